//! The two directions of a connection, and values that exist once for each.

use std::ops::{Index, IndexMut};

/// Which way bytes travel. The *client* is the side that opened the TCP connection (RFC 9293: sent the first SYN),
/// whatever its `ZeroMQ` socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the side that opened the TCP connection.
    ClientToServer,
    /// From the side that accepted it.
    ServerToClient,
}

impl Direction {
    /// Both, client to server first.
    pub const BOTH: [Self; 2] = [Self::ClientToServer, Self::ServerToClient];

    /// The other way.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }

    /// `c2s` or `s2c`.
    pub fn abbreviation(self) -> &'static str {
        match self {
            Self::ClientToServer => "c2s",
            Self::ServerToClient => "s2c",
        }
    }
}

/// One `T` for each direction. A side of the connection is named by the direction it *sends* in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerDirection<T> {
    /// What the client sent, or the client itself.
    pub c2s: T,
    /// What the server sent, or the server itself.
    pub s2c: T,
}

impl<T> PerDirection<T> {
    /// Both values, client to server first.
    pub fn iter(&self) -> impl Iterator<Item = (Direction, &T)> {
        Direction::BOTH.into_iter().zip([&self.c2s, &self.s2c])
    }

    /// References to both.
    pub fn as_ref(&self) -> PerDirection<&T> {
        PerDirection { c2s: &self.c2s, s2c: &self.s2c }
    }

    /// The same for each direction, made by `f`.
    pub fn from_fn(mut f: impl FnMut(Direction) -> T) -> Self {
        Self { c2s: f(Direction::ClientToServer), s2c: f(Direction::ServerToClient) }
    }
}

impl<T> Index<Direction> for PerDirection<T> {
    type Output = T;
    fn index(&self, direction: Direction) -> &T {
        match direction {
            Direction::ClientToServer => &self.c2s,
            Direction::ServerToClient => &self.s2c,
        }
    }
}

impl<T> IndexMut<Direction> for PerDirection<T> {
    fn index_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ClientToServer => &mut self.c2s,
            Direction::ServerToClient => &mut self.s2c,
        }
    }
}
