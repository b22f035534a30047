//! What a command shows: an [`Observer`] that writes.

use super::facts::CaptureFacts;
use super::output::Output;
use super::settings::Settings;
use crate::analyze::observer::Observer;
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use std::io;

/// Shows results as they come, the rest when there are no more. Observers cannot fail: the first error of writing is
/// kept by the [`Output`], and given by the next [`View::flush`] or [`View::finish`].
pub trait View: Observer {
    /// Where it writes.
    fn output(&mut self) -> &mut Output;

    /// Writes what could not be written before all was known.
    fn conclude(&mut self, _capture: &CaptureFacts) {}

    /// Nothing that is still to come will be shown: the limit is reached, or nobody reads any more.
    fn is_done(&mut self) -> bool {
        self.output().is_done()
    }

    /// What was shown reaches its reader now.
    fn flush(&mut self) -> io::Result<()> {
        self.output().flush()
    }

    /// No more results.
    fn finish(&mut self, capture: &CaptureFacts) -> io::Result<()> {
        self.conclude(capture);
        self.flush()
    }
}

/// Whether a path is the one, or touches one of the connections, that are shown.
pub fn selects_path(settings: &Settings, path: &Path) -> bool {
    settings.path.is_none_or(|number| number == path.number)
        && (settings.conns.is_none() || path.hops().any(|hop| settings.selects(hop.conn)))
}

/// Whether a finding is about one of the connections that are shown.
pub fn selects_finding(settings: &Settings, finding: &Finding) -> bool {
    settings.conns.is_none() || finding.conns.iter().any(|&conn| settings.selects(conn))
}
