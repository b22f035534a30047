//! What a command shows: an [`Observer`] that writes.

use super::facts::CaptureFacts;
use super::settings::Settings;
use crate::analyze::observer::Observer;
use crate::correlate::path::Path;
use std::io;

/// Shows results as they come, the rest when there are no more. Observers cannot fail: the first error of writing is
/// kept, and given by the next [`View::flush`] or [`View::finish`].
pub trait View: Observer {
    /// Nothing that is still to come will be shown: the limit is reached, or nobody reads any more.
    fn is_done(&self) -> bool;

    /// What was shown reaches its reader now.
    fn flush(&mut self) -> io::Result<()>;

    /// No more results.
    fn finish(&mut self, capture: &CaptureFacts) -> io::Result<()>;
}

/// Whether a path is the one, or touches one of the connections, that are shown.
pub fn selects_path(settings: &Settings, path: &Path) -> bool {
    settings.path.is_none_or(|number| number == path.number)
        && (settings.conns.is_none() || path.hops().any(|hop| settings.selects(hop.conn)))
}
