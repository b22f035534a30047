//! What was not used and why: no result hides a blind spot.

use crate::decap::fragments::FragmentStats;
use crate::decap::segment::Skip;
use crate::flow::reassembly::ReassemblyStats;
use std::collections::BTreeMap;

/// Counts of everything that was seen, and of everything that was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Packets seen.
    pub packets: u64,
    /// Octets captured.
    pub bytes: u64,
    /// Packets not used, by reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// Fragments of IP datagrams; packets of those that did not become whole are among the packets not used.
    pub fragments: FragmentStats,
    /// What came over PGM and UDP.
    pub datagrams: DatagramStats,
    /// TCP connections seen.
    pub tcp_connections: u64,
    /// TCP connections that do not speak ZMTP, or carried too little to tell.
    pub other_connections: u64,
    /// Octets of those.
    pub other_bytes: u64,
    /// Segments with data of connections that were over.
    pub late_segments: u64,
    /// Connections given up because there were too many at once.
    pub evicted: u64,
    /// Attempts to connect that were given up unanswered, because there were too many at once.
    pub half_open_evicted: u64,
    /// Times that a connection was judged by what it had sent so far, because all that were undecided held too much.
    pub judged_early: u64,
    /// Times that a connection gave up what it held of messages under way and of metadata, because all together held too
    /// much.
    pub released_connections: u64,
    /// Connections told before others with lower numbers that were still open, because all summaries together held too much.
    pub connections_told_early: u64,
    /// Sums over all connections.
    pub reassembly: ReassemblyStats,
    /// Anomalies beyond those reported one by one.
    pub anomalies_not_listed: u64,
    /// Messages whose request or reply may have been missed because the correlation window was full.
    pub given_up_messages: u64,
}

/// What came in datagrams of ZMTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramStats {
    /// Connections: each of a sender and a receiver.
    pub connections: u64,
    /// UDP datagrams of RADIO.
    pub radio: u64,
    /// UDP datagrams of DGRAM.
    pub dgram: u64,
    /// Data packets of PGM that were used, each once.
    pub pgm_data: u64,
    /// Of these, repairs: the original is not in the capture.
    pub pgm_repaired: u64,
    /// Repairs and copies of what had been used already.
    pub pgm_repeated: u64,
    /// Data packets that never came.
    pub pgm_lost: u64,
    /// Source path messages.
    pub pgm_spm: u64,
    /// Requests for repair, and the source's confirmations of them.
    pub pgm_nak: u64,
}

impl Health {
    /// Adds the counts of one direction of a connection.
    pub fn add(&mut self, stats: ReassemblyStats) {
        let sum = &mut self.reassembly;
        sum.bytes += stats.bytes;
        sum.lost_bytes += stats.lost_bytes;
        sum.retransmitted += stats.retransmitted;
        sum.captured_twice += stats.captured_twice;
        sum.out_of_order += stats.out_of_order;
        sum.conflicts += stats.conflicts;
        sum.out_of_window += stats.out_of_window;
        sum.limit_gaps += stats.limit_gaps;
    }
}
