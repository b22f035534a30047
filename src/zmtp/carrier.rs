//! What carries the frames of a connection: a stream of ZMTP's own, or WebSocket. Whichever it is, out come the same
//! items.

use super::framer::{At, Framer, Item, Unfinished};
use super::probe::Preamble;
use super::ws::exchange::Upgrade;
use super::ws::framer::WsFramer;
use crate::base::chunk::Chunk;
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With ZMTP.
    Own(PerDirection<Preamble>),
    /// With HTTP, and goes on as WebSocket.
    WebSocket(Upgrade),
}

impl From<PerDirection<Preamble>> for Beginning {
    fn from(preambles: PerDirection<Preamble>) -> Self {
        Self::Own(preambles)
    }
}

impl Beginning {
    /// Some of it is not in the capture.
    pub fn is_midstream(&self) -> bool {
        match self {
            Self::Own(preambles) => preambles.iter().any(|(_, preamble)| matches!(preamble, Preamble::Midstream(_))),
            Self::WebSocket(upgrade) => upgrade.agreed.is_some() && upgrade.at.iter().any(|(_, at)| at.is_none()),
        }
    }
}

/// The framer of one direction.
#[derive(Debug)]
pub enum Carrier {
    /// Frames one after the other.
    Own(Framer),
    /// Each in a WebSocket message.
    WebSocket(Box<WsFramer>),
}

impl Default for Carrier {
    fn default() -> Self {
        Self::Own(Framer::default())
    }
}

impl Carrier {
    /// For one direction of a connection that begins so.
    pub fn new(direction: Direction, beginning: &Beginning) -> Self {
        match beginning {
            Beginning::Own(preambles) => Self::Own(Framer::new(preambles[direction])),
            Beginning::WebSocket(upgrade) => Self::WebSocket(Box::new(WsFramer::new(direction, upgrade))),
        }
    }

    /// The next piece of the stream, as for [`Framer::push`].
    pub fn push(&mut self, chunk: &Chunk<'_>, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        match self {
            Self::Own(framer) => framer.push(chunk, limits, on),
            Self::WebSocket(framer) => framer.push(chunk, limits, on),
        }
    }

    /// Whether whole messages are only counted from here on, where that is quicker.
    pub fn skim(&mut self, skims: bool) {
        if let Self::Own(framer) = self {
            framer.skim(skims);
        }
    }

    /// No more comes, as for [`Framer::finish`].
    pub fn finish(&mut self, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        match self {
            Self::Own(framer) => framer.finish(limits, on),
            Self::WebSocket(_) => {}
        }
    }

    /// What is under way, as for [`Framer::unfinished`].
    pub fn unfinished(&self) -> (Unfinished<'_>, Option<At>) {
        match self {
            Self::Own(framer) => framer.unfinished(),
            Self::WebSocket(framer) => (framer.unfinished(), None),
        }
    }

    /// Octets held.
    pub fn held(&self) -> usize {
        match self {
            Self::Own(framer) => framer.held(),
            Self::WebSocket(framer) => framer.held(),
        }
    }

    /// Gives them up, as [`Framer::release`] does.
    pub fn release(&mut self) {
        match self {
            Self::Own(framer) => framer.release(),
            Self::WebSocket(framer) => framer.release(),
        }
    }
}
