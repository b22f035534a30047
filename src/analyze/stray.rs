//! What is said about connections that are not ZMTP although one side of them is: other protocols at a ZMTP port, and
//! greetings that cannot be believed. They get no number, so what is said of them names their endpoints.

use super::gate::Held;
use crate::base::chunk::{Chunk, Data};
use crate::base::direction::Direction;
use crate::base::text::hex;
use crate::correlate::findings::Finding;
use crate::flow::table::{EndReason, FlowInfo};
use crate::zmtp::anomaly::Severity;
use crate::zmtp::wire::greeting::{SIGNATURE_FIRST, SIGNATURE_LAST, SIGNATURE_LENGTH};

/// Octets shown.
const SHOWN: usize = 24;

/// Whether these are how a peer since ZMTP 2.0 begins, the length in its padding being that of an identity.
fn is_signature(octets: &[u8]) -> bool {
    octets.first() == Some(&SIGNATURE_FIRST)
        && octets.get(1..8) == Some(&[0; 7])
        && octets.get(SIGNATURE_LENGTH - 1) == Some(&SIGNATURE_LAST)
}

/// A connection that was left, by what it began with.
pub(super) fn left(held: &Held) -> Option<Finding> {
    let heads = held.heads();
    let signed = Direction::BOTH.map(|direction| is_signature(&heads[direction]));
    let shown = |direction| {
        let octets: &[u8] = &heads[direction];
        format!("{}{}", hex(&octets[..octets.len().min(SHOWN)]), if octets.len() > SHOWN { "…" } else { "" })
    };
    let flow = &held.flow;
    let closed = held.end.is_some_and(|end| matches!(end.reason, EndReason::Fin | EndReason::Reset));
    let (c2s, s2c) = (Direction::ClientToServer, Direction::ServerToClient);
    let text = match signed {
        [true, true] => format!(
            "{} and {} both begin as ZMTP does, but never got to an agreement on how to go on: {} and {}",
            flow.client,
            flow.server,
            shown(c2s),
            shown(s2c)
        ),
        [false, true] if !heads.c2s.is_empty() => foreign(flow, c2s, &shown(c2s)),
        [true, false] if !heads.s2c.is_empty() => foreign(flow, s2c, &shown(s2c)),
        [true, false] if closed => {
            format!("{} began as ZMTP does, {}, and {} never answered", flow.client, shown(c2s), flow.server)
        }
        _ => return None,
    };
    Some(finding(flow, text))
}

/// The first octets of one side of a connection that was left for what the other side sent.
#[cold]
pub(super) fn answer(flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>) -> Option<Finding> {
    let Data::Bytes(bytes) = chunk.data else { return None };
    is_signature(bytes).then(|| finding(flow, foreign(flow, direction.reverse(), "something else")))
}

fn foreign(flow: &FlowInfo, direction: Direction, what: &str) -> String {
    let (sender, receiver) = (flow.sender(direction), flow.receiver(direction));
    format!("{receiver} speaks ZMTP, and {sender} sent it what is not ZMTP: {what}")
}

fn finding(flow: &FlowInfo, text: String) -> Finding {
    Finding {
        code: "not-zmtp",
        severity: Severity::Warning,
        at: Some(flow.last.at),
        conns: Vec::new(),
        packets: vec![flow.first.packet, flow.last.packet],
        text,
        spec: "37/ZMTP",
    }
}
