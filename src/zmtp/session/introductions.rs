//! How peers introduce themselves: greetings, identities before ZMTP 3.0, commands.

use super::remark::{Remark, tell};
use super::words::{introduction, remarks};
use super::{State, conduct, frame, frame_row, websocket};
use crate::base::chunk::Position;
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::assembler::WholeFrame;
use crate::zmtp::event::{EventSink, FrameKind};
use crate::zmtp::framer::At;
use crate::zmtp::wire::command::{self, Body, Command};
use crate::zmtp::wire::greeting::{Greeting, MechanismName};

impl State {
    /// A greeting is complete.
    pub(super) fn greeting(
        &mut self,
        direction: Direction,
        at: At,
        end: Position,
        parsed: Greeting,
        octets: &[u8],
        sink: &mut impl EventSink,
    ) {
        let peer = &mut self.peers[direction];
        peer.greeting = Some(parsed);
        peer.version = Some(parsed.version);
        peer.socket_type = parsed.socket_type;
        let kind = FrameKind::Greeting(&parsed);
        sink.frame(self.peers.as_ref(), &frame_row(direction, at, end, octets, kind));
        let mut found = Vec::new();
        conduct::greeting(&parsed, &mut found);
        for remark in found {
            tell(remark, direction, at, sink);
        }
        if let (Some(this), Some(other)) = (parsed.mechanism, self.peers[direction.reverse()].mechanism().copied())
            && this != other
        {
            let [other, this] =
                [other, this].map(|name| if name.0 == [0; 20] { "none".to_owned() } else { name.to_string() });
            let text = format!(
                "one side offers {other}, the other {this}: they must be the same, and libzmq closes the connection without a word"
            );
            tell(Remark::new("mechanism-mismatch", Severity::Error, text), direction, at, sink);
        }
    }

    /// The first frame of a peer before ZMTP 3.0.
    pub(super) fn identity(
        &mut self,
        direction: Direction,
        ended: &WholeFrame,
        end: Position,
        sink: &mut impl EventSink,
    ) {
        let side = &mut self.sides[direction];
        let octets = &side.assembler.message().heads;
        sink.frame(self.peers.as_ref(), &frame(direction, ended, end, octets, FrameKind::Identity));
        let peer = &mut self.peers[direction];
        // A hole in it leaves it unknown.
        peer.identity = (ended.missing == 0).then(|| octets.as_slice().into());
        peer.introduced = Some(end);
        side.assembler.clear_message();
        self.handshake.identity(direction);
        sink.peer(direction, &self.peers[direction]);
        if let Some(remark) = self.type_mismatch(direction) {
            tell(remark, direction, ended.at, sink);
        }
    }

    /// A command is complete. `opened` if it was in a CURVE MESSAGE.
    pub(super) fn command(
        &mut self,
        direction: Direction,
        ended: &WholeFrame,
        end: Position,
        opened: bool,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        let mechanism = self.mechanism(direction).copied().unwrap_or(MechanismName::NULL);
        let side = &mut self.sides[direction];
        side.traffic.commands += 1;
        let body = side.assembler.command();
        let whole = body.len() as u64 == ended.header.length;
        let mut parsed = if whole { command::command(body, mechanism) } else { None };
        match parsed.as_ref().map(|parsed| &parsed.body).filter(|_| !opened) {
            Some(Body::CurveHello(hello)) if self.client_transient.is_none() => {
                self.client_transient = hello.client_transient.try_into().ok();
            }
            _ => {}
        }
        let nonce = parsed.as_ref().filter(|_| !opened).and_then(Command::curve_nonce);
        let introductions = match (&mut self.opening, &parsed) {
            (Some(opening), Some(parsed)) if !opened => opening.handshake(direction, parsed, limits),
            _ => Vec::new(),
        };
        let (now, late): (Vec<_>, Vec<_>) = introductions.iter().partition(|one| one.direction == direction);
        if let (Some(parsed), Some(introduction)) = (&mut parsed, now.first()) {
            parsed.body = introduction.body();
        }
        sink.frame(self.peers.as_ref(), &frame(direction, ended, end, body, FrameKind::Command(parsed.as_ref())));

        let mut found = Vec::new();
        let mut introduced = None;
        if let Some(parsed) = &parsed {
            let again = self.handshake.is_ready(direction);
            self.handshake.command(direction, parsed.name, mechanism);
            // Messages begin behind these.
            let begins = matches!(parsed.name, b"READY" | b"INITIATE");
            side.start_lost &= opened || !begins;
            introduced = introduction(parsed, &self.peers[direction], end);
            conduct::command(parsed, self.peers[direction].mechanism().copied(), again, &mut found);
            remarks(parsed, &mut found);
            found.extend(websocket::subscription_in_vain(&self.peers[direction], parsed));
        } else if whole {
            found.push(Remark::new("malformed-command", Severity::Warning, "a command that holds no whole name"));
        }
        if ended.header.flags.more() {
            found.push(Remark::new(
                "command-more",
                Severity::Warning,
                "a command has the MORE flag, which must be zero",
            ));
        }
        if let Some(peer) = introduced {
            // Over WebSocket some send it although they agreed to no mechanism; then no identity comes.
            self.sides[direction].identity_is_next = false;
            self.peers[direction] = peer;
            sink.peer(direction, &self.peers[direction]);
            found.extend(self.type_mismatch(direction));
        }
        let at = ended.at;
        for introduction in late {
            self.introduce_late(introduction, At { position: end, ..at }, sink);
        }
        if let Some(nonce) = nonce {
            self.nonce(direction, nonce, at, sink);
        }
        for remark in found {
            tell(remark, direction, at, sink);
        }
    }

    /// What the socket types say, once both peers are known.
    pub(super) fn type_mismatch(&self, direction: Direction) -> Option<Remark> {
        let this = self.peers[direction].socket_type?;
        let other = self.peers[direction.reverse()].socket_type?;
        let text = || {
            format!("{this} cannot talk to {other}: libzmq closes the connection, and does not retry if it opened it")
        };
        (!this.may_talk_to(other)).then(|| Remark::new("socket-type-mismatch", Severity::Error, text()))
    }
}
