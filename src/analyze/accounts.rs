//! What an analysis holds of the wire, account by account: what bounds its memory, and what tests measure.
//!
//! Beside these, a connection takes memory of its own that does not depend on what it carries, and what its session never
//! gives up: the first part of a message and some metadata of each side, hashes under way, what was told of it. Together that
//! is no more than [`PER_CONNECTION`], for [`Limits::connections`] at most.
//!
//! [`Limits::connections`]: crate::base::limits::Limits::connections

/// Octets that one connection takes at most beside what is in the accounts.
pub const PER_CONNECTION: usize = 9 << 10;

/// Octets of memory that each account holds now. Each has a field of [`Limits`](crate::base::limits::Limits) for a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Out of order in TCP: `pending_total_bytes`.
    pub pending: usize,
    /// Of connections that may be ZMTP: `held_total_bytes`.
    pub undecided: usize,
    /// Of ZMTP in datagrams: `held_total_bytes`.
    pub datagrams: usize,
    /// Of sessions: `session_total_bytes`.
    pub sessions: usize,
    /// Of connections that ended: `summary_total_bytes`.
    pub summaries: usize,
}
#[cfg(test)]
mod tests {
    use super::PER_CONNECTION;
    use crate::flow::reassembly::Reassembler;
    use crate::flow::table::FlowInfo;
    use crate::zmtp::peer::Peer;
    use crate::zmtp::session::Session;

    #[test]
    fn what_a_connection_takes_by_itself_leaves_room_for_what_its_session_keeps() {
        let flow = size_of::<FlowInfo>() + 2 * size_of::<Reassembler>();
        // At the gate, in the table, and in its session.
        let alone = 2 * flow + size_of::<Session>() + 2 * size_of::<Peer>();
        assert!(alone + (5 << 10) <= PER_CONNECTION, "{alone}");
    }
}
