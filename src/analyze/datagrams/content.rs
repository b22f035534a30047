//! What one flow of datagrams carries, in order: held until it is known to be ZMTP and has its number, then dissected.

use super::Joins;
use crate::analyze::health::Health;
use crate::analyze::observer::Ends;
use crate::analyze::outlet::Outlet;
use crate::analyze::sink::Sink;
use crate::base::chunk::Position;
use crate::base::direction::PerDirection;
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::flow::table::FlowInfo;
use crate::zmtp::datagrams::{Datagram, DatagramSession};
use crate::zmtp::event::EventSink;
use crate::zmtp::wire::tsdu::{Evidence, evidence};
use rustc_hash::FxHashMap;

/// So many PGM packets with frames that go on in the next are as good as one that they fill.
const WEAK: u32 = 2;

/// What a flow carries, in order.
#[derive(Debug)]
pub(super) struct Content {
    /// `None` before the first data.
    pub(super) info: Option<FlowInfo>,
    pub(super) state: State,
    pub(super) told: bool,
    pub(super) evidence: u32,
    pub(super) held: Vec<Held>,
    pub(super) held_bytes: usize,
    /// Datagrams that were not used, should it turn out to be something else.
    pub(super) packets: u64,
    /// UDP: octets so far.
    pub(super) offset: u64,
}

#[derive(Debug)]
pub(super) enum State {
    Undecided,
    /// It is ZMTP, and has no number yet.
    Decided,
    Open(Box<Open>),
    Other,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) conn: u32,
    pub(super) session: DatagramSession,
    pub(super) endpoints_hash: PerDirection<u64>,
    /// How often each kind of anomaly was reported.
    pub(super) told: FxHashMap<&'static str, usize>,
}

/// One datagram in its order, or a loss.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    Datagram { datagram: Datagram<'a>, continues: bool },
    Lost { position: Position, offset: u64, packets: u64 },
}

#[derive(Debug)]
pub(super) enum Held {
    Datagram { position: Position, offset: u64, bytes: Box<[u8]>, cut: u64, continues: bool },
    Lost { position: Position, offset: u64, packets: u64 },
}

impl Held {
    pub(super) fn piece(&self) -> Piece<'_> {
        match *self {
            Self::Datagram { position, offset, ref bytes, cut, continues } => {
                Piece::Datagram { datagram: Datagram { position, offset, bytes, cut }, continues }
            }
            Self::Lost { position, offset, packets } => Piece::Lost { position, offset, packets },
        }
    }
}

impl Content {
    /// The next piece: judged and held, or dissected.
    pub(super) fn take<O: Outlet>(&mut self, piece: Piece<'_>, limits: &Limits, sink: &mut Parts<'_, O>) {
        match &mut self.state {
            State::Other => {}
            State::Open(open) => {
                let info = self.info.as_ref().expect("what is open has data");
                let Open { conn, session, endpoints_hash, told } = &mut **open;
                sink.with(*conn, info, endpoints_hash, told, limits, |sink| {
                    session.piece(piece, limits, sink);
                });
            }
            State::Undecided | State::Decided => self.hold(piece),
        }
    }

    /// Octets of memory of what is held and of messages under way.
    pub(super) fn memory(&self) -> usize {
        let under_way = if let State::Open(open) = &self.state { open.session.held() } else { 0 };
        self.held_bytes + self.held.capacity() * size_of::<Held>() + under_way
    }

    /// Memory is short: what is not known to be ZMTP is not, and less will be known about a message under way.
    pub(super) fn release(&mut self) {
        match &mut self.state {
            State::Undecided => self.state = State::Other,
            State::Open(open) => open.session.release(),
            State::Decided | State::Other => {}
        }
    }

    pub(super) fn hold(&mut self, piece: Piece<'_>) {
        let held = match piece {
            Piece::Datagram { datagram: Datagram { position, offset, bytes, cut }, continues } => {
                self.held_bytes += bytes.len();
                if matches!(self.state, State::Undecided) && self.info.is_some_and(|i| i.transport != Transport::Udp) {
                    self.judge(bytes, cut, continues);
                }
                Held::Datagram { position, offset, bytes: bytes.into(), cut, continues }
            }
            Piece::Lost { position, offset, packets } => Held::Lost { position, offset, packets },
        };
        self.held.push(held);
    }

    /// Whether a TSDU is libzmq's.
    pub(super) fn judge(&mut self, tsdu: &[u8], cut: u64, continues: bool) {
        let seen = if cut > 0 || continues { Evidence::None } else { evidence(tsdu) };
        self.evidence += match seen {
            Evidence::Strong => WEAK,
            Evidence::Weak => 1,
            Evidence::None | Evidence::Against => 0,
        };
        if self.told || self.evidence >= WEAK {
            self.state = State::Decided;
        } else if seen == Evidence::Against {
            self.state = State::Other;
        }
    }
}

impl DatagramSession {
    pub(super) fn piece(&mut self, piece: Piece<'_>, limits: &Limits, sink: &mut impl EventSink) {
        match piece {
            Piece::Datagram { datagram, continues } => self.datagram(&datagram, continues, limits, sink),
            Piece::Lost { position, offset, packets } => self.lost(position, offset, packets, sink),
        }
    }
}

/// The parts of the engine that a sink needs.
pub(super) struct Parts<'a, O> {
    pub(super) outlet: &'a mut O,
    pub(super) joins: &'a mut Joins,
    pub(super) health: &'a mut Health,
}

impl<O: Outlet> Parts<'_, O> {
    pub(super) fn with(
        &mut self,
        conn: u32,
        flow: &FlowInfo,
        endpoints_hash: &PerDirection<u64>,
        told: &mut FxHashMap<&'static str, usize>,
        limits: &Limits,
        give: impl FnOnce(&mut Sink<'_, O>),
    ) {
        give(&mut Sink {
            conn,
            ends: &Ends::from(flow),
            flow,
            endpoints_hash,
            told,
            outlet: self.outlet,
            joins: self.joins,
            attention: None,
            health: self.health,
            limits,
        });
    }
}
