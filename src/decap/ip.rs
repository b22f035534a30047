//! IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200 section 4), and the TCP header (RFC 9293 section 3.1).

use super::segment::{Segment, Skip, TcpFlags};
use super::span::Span;
use super::tunnel;
use crate::base::endpoint::Endpoint;
use etherparse::err::{ip_auth, ipv4, ipv6, tcp as tcp_errors};
use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    TcpHeaderSlice, ip_number,
};
use std::net::IpAddr;

/// IPv4 or IPv6, told by the version. `depth` tunnels are around it.
pub(super) fn segment(datagram: Span<'_>, depth: u8) -> Result<Segment<'_>, Skip> {
    match datagram.field::<1>(0)?[0] >> 4 {
        4 => v4(datagram, depth),
        6 => v6(datagram, depth),
        _ => Err(Skip::NotIp),
    }
}

/// An IPv4 datagram, perhaps with padding behind it.
pub(super) fn v4(datagram: Span<'_>, depth: u8) -> Result<Segment<'_>, Skip> {
    let header = Ipv4HeaderSlice::from_slice(datagram.bytes()).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(error) => datagram.lacks(error.required_len),
        ipv4::HeaderSliceError::Content(_) => Skip::Malformed,
    })?;
    let length = header.slice().len();
    let datagram = match usize::from(header.total_len()) {
        // Captured before the network card cut it into segments (TSO): as long as the packet.
        0 => datagram,
        total if total < length => return Err(Skip::Malformed),
        total => datagram.with_length(total),
    };
    if header.is_fragmenting_payload() {
        return Err(Skip::Fragment);
    }
    transport(
        header.protocol(),
        [header.source_addr().into(), header.destination_addr().into()],
        datagram.after(length)?,
        depth,
    )
}

/// An IPv6 packet, perhaps with padding behind it.
pub(super) fn v6(packet: Span<'_>, depth: u8) -> Result<Segment<'_>, Skip> {
    let header = Ipv6HeaderSlice::from_slice(packet.bytes()).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(error) => packet.lacks(error.required_len),
        ipv6::HeaderSliceError::Content(_) => Skip::Malformed,
    })?;
    let length = header.slice().len();
    let packet = match usize::from(header.payload_length()) {
        // TSO, or a jumbogram (RFC 2675): as long as the packet.
        0 => packet,
        payload => packet.with_length(length + payload),
    };
    let mut next = header.next_header();
    let mut rest = packet.after(length)?;
    loop {
        match next {
            ip_number::IPV6_HEADER_HOP_BY_HOP | ip_number::IPV6_ROUTE_HEADER | ip_number::IPV6_DESTINATION_OPTIONS => {
                let extension =
                    Ipv6RawExtHeaderSlice::from_slice(rest.bytes()).map_err(|error| rest.lacks(error.required_len))?;
                next = extension.next_header();
                rest = rest.after(extension.slice().len())?;
            }
            ip_number::IPV6_FRAGMENTATION_HEADER => {
                let fragment = Ipv6FragmentHeaderSlice::from_slice(rest.bytes())
                    .map_err(|error| rest.lacks(error.required_len))?;
                // An "atomic fragment" is whole (RFC 6946).
                if fragment.is_fragmenting_payload() {
                    return Err(Skip::Fragment);
                }
                next = fragment.next_header();
                rest = rest.after(fragment.slice().len())?;
            }
            _ => break,
        }
    }
    transport(next, [header.source_addr().into(), header.destination_addr().into()], rest, depth)
}

/// What IP carries; `addresses` are source and destination.
fn transport(
    mut protocol: IpNumber,
    addresses: [IpAddr; 2],
    mut payload: Span<'_>,
    depth: u8,
) -> Result<Segment<'_>, Skip> {
    while protocol == ip_number::AUTHENTICATION_HEADER {
        let header = IpAuthHeaderSlice::from_slice(payload.bytes()).map_err(|error| match error {
            ip_auth::HeaderSliceError::Len(error) => payload.lacks(error.required_len),
            ip_auth::HeaderSliceError::Content(_) => Skip::Malformed,
        })?;
        protocol = header.next_header();
        payload = payload.after(header.slice().len())?;
    }
    match protocol {
        ip_number::TCP => tcp(addresses, payload),
        other => tunnel::segment(other, payload, depth),
    }
}

fn tcp(addresses: [IpAddr; 2], segment: Span<'_>) -> Result<Segment<'_>, Skip> {
    let header = TcpHeaderSlice::from_slice(segment.bytes()).map_err(|error| match error {
        tcp_errors::HeaderSliceError::Len(error) => segment.lacks(error.required_len),
        tcp_errors::HeaderSliceError::Content(_) => Skip::Malformed,
    })?;
    let payload = segment.after(header.slice().len())?;
    let [source, destination] = addresses;
    Ok(Segment {
        source: Endpoint::new(source, header.source_port()),
        destination: Endpoint::new(destination, header.destination_port()),
        sequence: header.sequence_number(),
        acknowledgement: header.ack().then(|| header.acknowledgment_number()),
        flags: TcpFlags { syn: header.syn(), fin: header.fin(), rst: header.rst(), ack: header.ack() },
        payload: payload.bytes(),
        cut: u32::try_from(payload.cut()).unwrap_or(u32::MAX),
    })
}
