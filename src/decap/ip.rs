//! IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200 section 4), and the headers of TCP (RFC 9293 section 3.1) and
//! UDP.

use super::datagram::{self, Carried};
use super::fragment::{Datagram, Found, Fragment, Stop};
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
pub(super) fn segment(datagram: Span<'_>, depth: u8) -> Found<'_> {
    match datagram.field::<1>(0)?[0] >> 4 {
        4 => v4(datagram, depth),
        6 => v6(datagram, depth),
        _ => Err(Skip::NotIp.into()),
    }
}

/// An IPv4 datagram, perhaps with padding behind it.
pub(super) fn v4(datagram: Span<'_>, depth: u8) -> Found<'_> {
    let header = Ipv4HeaderSlice::from_slice(datagram.bytes()).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(error) => datagram.lacks(error.required_len),
        ipv4::HeaderSliceError::Content(_) => Skip::Malformed,
    })?;
    let length = header.slice().len();
    let datagram = match usize::from(header.total_len()) {
        // Captured before the network card cut it into segments (TSO): as long as the packet.
        0 => datagram,
        total if total < length => return Err(Skip::Malformed.into()),
        total => datagram.with_length(total),
    };
    let protocol = header.protocol();
    let addresses = [header.source_addr().into(), header.destination_addr().into()];
    let payload = datagram.after(length)?;
    if header.is_fragmenting_payload() {
        let identification = u32::from(header.identification());
        return Err(Stop::Fragment(Fragment {
            datagram: Datagram { addresses, identification, protocol: Some(protocol.0), depth },
            protocol: protocol.0,
            offset: 8 * usize::from(header.fragments_offset().value()),
            more: header.more_fragments(),
            payload,
        }));
    }
    transport(protocol, addresses, payload, depth)
}

/// An IPv6 packet, perhaps with padding behind it.
pub(super) fn v6(packet: Span<'_>, depth: u8) -> Found<'_> {
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
    let addresses = [header.source_addr().into(), header.destination_addr().into()];
    extensions(header.next_header(), addresses, packet.after(length)?, depth)
}

/// The payload of a datagram that was put together from fragments.
pub(super) fn reassembled(datagram: Datagram, protocol: u8, payload: Span<'_>) -> Found<'_> {
    let Datagram { addresses, depth, .. } = datagram;
    match addresses[0] {
        IpAddr::V4(_) => transport(IpNumber(protocol), addresses, payload, depth),
        IpAddr::V6(_) => extensions(IpNumber(protocol), addresses, payload, depth),
    }
}

/// What comes behind the header of IPv6: extension headers, perhaps; `next` is the type of the first.
fn extensions(mut next: IpNumber, addresses: [IpAddr; 2], mut rest: Span<'_>, depth: u8) -> Found<'_> {
    loop {
        match next {
            ip_number::IPV6_HEADER_HOP_BY_HOP | ip_number::IPV6_ROUTE_HEADER | ip_number::IPV6_DESTINATION_OPTIONS => {
                let extension =
                    Ipv6RawExtHeaderSlice::from_slice(rest.bytes()).map_err(|error| rest.lacks(error.required_len))?;
                next = extension.next_header();
                rest = rest.after(extension.slice().len())?;
            }
            ip_number::IPV6_FRAGMENTATION_HEADER => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest.bytes())
                    .map_err(|error| rest.lacks(error.required_len))?;
                next = header.next_header();
                rest = rest.after(header.slice().len())?;
                // An "atomic fragment" is whole (RFC 6946).
                if header.is_fragmenting_payload() {
                    let identification = header.identification();
                    return Err(Stop::Fragment(Fragment {
                        datagram: Datagram { addresses, identification, protocol: None, depth },
                        protocol: next.0,
                        offset: 8 * usize::from(header.fragment_offset().value()),
                        more: header.more_fragments(),
                        payload: rest,
                    }));
                }
            }
            _ => return transport(next, addresses, rest, depth),
        }
    }
}

/// What IP carries; `addresses` are source and destination.
fn transport(mut protocol: IpNumber, addresses: [IpAddr; 2], mut payload: Span<'_>, depth: u8) -> Found<'_> {
    while protocol == ip_number::AUTHENTICATION_HEADER {
        let header = IpAuthHeaderSlice::from_slice(payload.bytes()).map_err(|error| match error {
            ip_auth::HeaderSliceError::Len(error) => payload.lacks(error.required_len),
            ip_auth::HeaderSliceError::Content(_) => Skip::Malformed,
        })?;
        protocol = header.next_header();
        payload = payload.after(header.slice().len())?;
    }
    match protocol {
        ip_number::TCP => tcp(addresses, payload).map(Carried::Tcp).map_err(Stop::Skip),
        ip_number::UDP => udp(addresses, payload, depth),
        ip_number::PGM => Ok(Carried::Pgm(datagram::Datagram::new(addresses, [0, 0], payload))),
        other => tunnel::segment(other, payload, depth),
    }
}

/// A UDP datagram (RFC 768), or what is inside if it is a tunnel.
fn udp(addresses: [IpAddr; 2], datagram: Span<'_>, depth: u8) -> Found<'_> {
    let ports = [datagram.u16(0)?, datagram.u16(2)?];
    let datagram = match usize::from(datagram.u16(4)?) {
        // A jumbogram (RFC 2675), or before segmentation: as long as the packet.
        0 => datagram,
        length @ 1..8 => return Err(datagram.with_length(length).lacks(8).into()),
        length => datagram.with_length(length),
    };
    let payload = datagram.after(8)?;
    match tunnel::over_udp(ports[1], payload, depth) {
        Some(found) => found,
        None => Ok(Carried::Udp(datagram::Datagram::new(addresses, ports, payload))),
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
