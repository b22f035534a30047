//! Who receives what an analysis finds, as it finds it.

use super::connection::ConnectionSummary;
use crate::base::direction::PerDirection;
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::flow::table::FlowInfo;
use crate::zmtp::event::{Frame, Message};
use crate::zmtp::peer::Peer;

/// The connection that a frame or message belongs to.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRef<'a> {
    /// Its number.
    pub conn: u32,
    /// Its endpoints and packets.
    pub flow: &'a FlowInfo,
    /// What is known about its peers by now; `c2s` is the client.
    pub peers: PerDirection<&'a Peer>,
}

/// Which results are wanted: what is not wanted is not computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// [`Observer::path`] is wanted: messages are correlated.
    pub paths: bool,
}

/// Receives results. Frames and messages come in the order in which the capture completes them within a connection;
/// paths in the order in which they began; connections and findings when the analysis is over, but for connections of
/// which there are too many to keep ([`crate::base::limits::Limits::summary_total_bytes`]).
pub trait Observer {
    /// What is wanted.
    fn interest(&self) -> Interest {
        Interest::default()
    }
    /// A greeting or frame.
    fn frame(&mut self, _connection: &ConnectionRef<'_>, _frame: &Frame<'_>) {}
    /// A message, and its key (the same in every capture that saw it).
    fn message(&mut self, _connection: &ConnectionRef<'_>, _message: &Message<'_>, _key: u64) {}
    /// A path.
    fn path(&mut self, _path: &Path) {}
    /// A connection; in the order of their numbers, if memory sufficed.
    fn connection(&mut self, _connection: &ConnectionSummary) {}
    /// A finding.
    fn finding(&mut self, _finding: &Finding) {}
}
