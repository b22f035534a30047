//! What is particular to a session over WebSocket: how it begins, and frames that are not ZMTP's.

use super::remark::{Remark, tell};
use super::{State, frame_row};
use crate::base::chunk::Position;
use crate::base::direction::Direction;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::event::{EventSink, Frame, FrameKind};
use crate::zmtp::framer::{At, Control};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::Command;
use crate::zmtp::wire::greeting::Version;
use crate::zmtp::wire::http::{Head, Start};
use crate::zmtp::ws::exchange::Upgrade;
use crate::zmtp::ws::oddity::Oddity;

impl State {
    /// The connection begins with this upgrade.
    pub(super) fn begin_websocket(&mut self, upgrade: &Upgrade) {
        for direction in Direction::BOTH {
            let peer = &mut self.peers[direction];
            peer.version = Some(Version::ZWS_2_0);
            peer.subprotocol = upgrade.agreed;
            let without_mechanism = upgrade.agreed.is_some_and(|agreed| agreed.mechanism.is_none());
            self.sides[direction].identity_is_next = without_mechanism && upgrade.at[direction].is_some();
        }
    }

    /// One side's part of the upgrade.
    pub(super) fn upgrade(
        &mut self,
        direction: Direction,
        at: At,
        end: Position,
        head: &Head<'_>,
        octets: &[u8],
        sink: &mut impl EventSink,
    ) {
        self.upgraded[direction] = true;
        let kind = FrameKind::Upgrade(head);
        sink.frame(self.peers.as_ref(), &frame_row(direction, at, end, octets, kind));
        let Start::Response { status, .. } = head.start else { return };
        let text = match (status, head.zws().next()) {
            (101, Some(_)) => return,
            (101, None) => {
                "the server switches to WebSocket but names no subprotocol: a client of ZWS closes the connection"
                    .to_owned()
            }
            _ => format!("the server answers {status} instead of switching to WebSocket: there is no ZMTP connection"),
        };
        self.handshake.refuse();
        tell(Remark::new("upgrade-refused", Severity::Error, text).by("45/ZWS"), direction, at, sink);
    }

    /// PING, PONG or CLOSE of WebSocket.
    pub(super) fn control(&mut self, direction: Direction, at: At, control: &Control<'_>, sink: &mut impl EventSink) {
        let Control { opcode, octets, missing, end } = *control;
        let row = frame_row(direction, at, end, octets, FrameKind::Control(opcode));
        let length = octets.len() as u64 + missing;
        sink.frame(self.peers.as_ref(), &Frame { length, missing, ..row });
    }
}

/// RFC 45 has subscriptions as messages. libzmq 4.3.5 sends them as commands under CURVE, as it does over TCP, but its
/// WebSocket engine does nothing with those that it gets.
pub(super) fn subscription_in_vain(peer: &Peer, command: &Command<'_>) -> Option<Remark> {
    let over_websocket = peer.version == Some(Version::ZWS_2_0);
    (over_websocket && command.name == b"SUBSCRIBE").then(|| {
        let text = "SUBSCRIBE as a command over WebSocket, where a message is expected: libzmq 4.3.5 sends this under CURVE \
                    and ignores it, so the peer publishes nothing to this subscriber";
        Remark::new("ws-subscribe", Severity::Warning, text).by("45/ZWS")
    })
}

/// As an anomaly.
pub(super) fn remark(oddity: Oddity) -> Remark {
    let (code, severity) = oddity.code();
    Remark::new(code, severity, oddity.text()).by(oddity.spec())
}
