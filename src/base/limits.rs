//! Every bound of the program, with its default and its reason. Reaching one is counted and reported, never silent.

use super::time::Duration;

/// Bounds on memory and patience. All are per analysis and may be changed before it starts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one direction kept out of order while an earlier segment is awaited. TCP windows scale to 1 GiB, but a
    /// capture that lost a segment learns so from the peer's next acknowledgement, well within 4 MiB.
    pub pending_bytes: usize,
    /// Bytes of memory that this takes of all connections together; beyond, those that were silent longest give up what
    /// they wait for.
    pub pending_total_bytes: usize,
    /// Segments of one direction kept out of order: bounds the cost of streams cut into single bytes.
    pub pending_segments: usize,
    /// After the peer acknowledged bytes that are not in the capture, so many more packets of the connection are
    /// awaited before they count as missing: taps and multi-queue cards reorder by a few packets. Fewer where waiting never
    /// helped.
    pub gap_patience_packets: u32,
    /// The same as a time, for connections with few packets.
    pub gap_patience: Duration,
    /// IP datagrams that wait for fragments at once; the oldest is given up first.
    pub fragment_datagrams: usize,
    /// Bytes held for them. Linux holds as much before it drops fragments.
    pub fragment_bytes: usize,
    /// How long a datagram waits for its fragments, from the first one seen. Receivers wait as long (Linux 30 s, RFC 8200
    /// 60 s), and where identifications wrap sooner a longer wait would mix datagrams (RFC 4963).
    pub fragment_time: Duration,
    /// Flows of datagrams tracked at once (sources of PGM, sender and receiver of UDP); the one idle longest is given up.
    pub datagram_flows: usize,
    /// After a packet of a PGM source that is missing was last asked for, or was first missed, a repair is awaited so long.
    /// Receivers ask within 50 ms, and again every 200 ms (libzmq).
    pub repair_time: Duration,
    /// Packets of one PGM source that wait for a repair before them.
    pub repair_packets: usize,
    /// Bytes of those.
    pub repair_bytes: usize,
    /// Groups joined on TCP connections that are remembered, to recognise their messages in UDP.
    pub joined_groups: usize,
    /// TCP connections tracked at once; beyond, the eighth that was silent longest is given up. As many that are over are
    /// remembered, so that late packets of theirs open nothing.
    pub connections: usize,
    /// Attempts to connect, of which nothing but a SYN was seen, tracked at once beside those; beyond, the eighth that was
    /// silent longest is given up.
    pub half_open: usize,
    /// A connection without a packet for so long is given up when its place is needed, and a new packet of it starts
    /// a new one only with a SYN.
    pub idle: Duration,
    /// Bytes of a connection held back until it is known whether it speaks ZMTP and which number it gets.
    pub held_bytes: usize,
    /// Pieces of a connection held back so: where packets were captured without content, gaps are all there is.
    pub held_pieces: usize,
    /// Bytes of memory that all of them take together; beyond, those that were silent longest are decided by what there is
    /// of them. As much again is for what datagrams of ZMTP wait for.
    pub held_total_bytes: usize,
    /// How long an undecided connection may keep later ones from being numbered.
    pub held_time: Duration,
    /// Bytes of one HTTP head kept while its end is awaited. Servers take as much (Apache 8 KiB a line, nginx 32 KiB).
    pub http_head_bytes: usize,
    /// Bytes of one direction kept while looking for the next frame after a loss. A frame that is longer than this can
    /// only be passed over.
    pub resync_bytes: usize,
    /// Bytes of memory that all ZMTP connections together take for messages and sealed frames under way, for searches for the
    /// next frame, and for metadata; beyond, those that were silent longest give up theirs, but for some 1 KiB each.
    pub session_total_bytes: usize,
    /// Bytes of memory that the summaries of connections that ended take until those before them are over; beyond, those with
    /// the lowest numbers are told at once.
    pub summary_total_bytes: usize,
    /// Bytes of a command kept for decoding. READY with metadata is some hundred bytes; libzmq sets no bound.
    pub command_bytes: usize,
    /// Leading bytes of each message part kept; length and hash always cover all of it. At least 255, so that every
    /// identity is whole (RFC 28: 1 to 255 octets).
    pub head_bytes: usize,
    /// Parts of one message described one by one; further ones are counted.
    pub parts: usize,
    /// Messages under correlation at once: a request and its replies are joined if they are this close to each other.
    pub window_messages: usize,
    /// A request not answered within this time of capture is reported unanswered when its place is needed.
    pub answer_time: Duration,
    /// Connections that are over and still known to the correlator, in case messages of them are on their way elsewhere;
    /// beyond, those that ended first are forgotten.
    pub ended_connections: usize,
    /// Bytes of a CURVE frame held to be opened, which needs all of it; a longer one stays closed. Only connections with
    /// a key hold any, one frame in each direction.
    pub sealed_bytes: usize,
    /// Keys of a key log tried on one connection, where the log does not say which is its own: each costs some 50 µs.
    pub curve_keys: usize,
    /// Packets, or messages, kept of several captures together to compare their clocks by.
    pub clock_samples: usize,
    /// Pairs of address and endpoint of which refused connections are counted; those of further pairs are not.
    pub refused_endpoints: usize,
    /// Anomalies reported one by one; further ones are counted by code.
    pub anomalies: usize,
    /// Anomalies of one kind reported of one connection, so that a flood on it leaves room for all others.
    pub anomalies_alike: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_bytes: 4 << 20,
            pending_total_bytes: 128 << 20,
            pending_segments: 8192,
            gap_patience_packets: 64,
            gap_patience: Duration::from_millis(200),
            fragment_datagrams: 4096,
            fragment_bytes: 4 << 20,
            fragment_time: Duration::from_secs(30),
            datagram_flows: 4096,
            repair_time: Duration::from_secs(1),
            repair_packets: 8192,
            repair_bytes: 4 << 20,
            joined_groups: 4096,
            connections: 200_000,
            half_open: 1 << 16,
            idle: Duration::from_secs(3600),
            held_bytes: 64 << 10,
            held_pieces: 8192,
            held_total_bytes: 32 << 20,
            held_time: Duration::from_secs(1),
            http_head_bytes: 32 << 10,
            resync_bytes: 64 << 10,
            session_total_bytes: 128 << 20,
            summary_total_bytes: 16 << 20,
            command_bytes: 64 << 10,
            head_bytes: 256,
            parts: 4096,
            window_messages: 1 << 16,
            answer_time: Duration::from_secs(30),
            ended_connections: 1 << 14,
            sealed_bytes: 16 << 20,
            curve_keys: 4096,
            refused_endpoints: 4096,
            clock_samples: 1 << 18,
            anomalies: 10_000,
            anomalies_alike: 100,
        }
    }
}
