//! A fragment of an IP datagram: what reassembly must know of it.

use super::datagram::Carried;
use super::segment::Skip;
use super::span::Span;
use std::net::IpAddr;

/// Which datagram a fragment is of (RFC 791 section 2.3, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Datagram {
    /// Source and destination.
    pub(super) addresses: [IpAddr; 2],
    pub(super) identification: u32,
    /// `None` in IPv6, where only that of the first fragment counts.
    pub(super) protocol: Option<u8>,
    /// So many tunnels are around it.
    pub(super) depth: u8,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) datagram: Datagram,
    /// What the payload of the datagram begins with.
    pub(super) protocol: u8,
    /// Of `payload` in that of the datagram.
    pub(super) offset: usize,
    /// Other fragments come behind it.
    pub(super) more: bool,
    pub(super) payload: Span<'a>,
}

/// Why a packet yields nothing by itself.
#[derive(Debug)]
pub(super) enum Stop<'a> {
    Skip(Skip),
    Fragment(Fragment<'a>),
}

impl From<Skip> for Stop<'_> {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

/// What is in a packet, or a part of one.
pub(super) type Found<'a> = Result<Carried<'a>, Stop<'a>>;
