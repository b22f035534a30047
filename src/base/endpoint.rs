//! An address and a port: one end of a TCP connection.

use std::fmt;
use std::net::IpAddr;

/// `ip:port`, IPv6 in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IPv4 or IPv6 address, as in the IP header.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its two parts.
    pub fn new(ip: impl Into<IpAddr>, port: u16) -> Self {
        Self { ip: ip.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            // In one piece: most rows have two.
            IpAddr::V4(ip) => {
                let mut text = Digits::default();
                for (octet, after) in std::iter::zip(ip.octets(), *b"...:") {
                    text.number(octet.into());
                    text.push(after);
                }
                text.number(self.port);
                f.write_str(std::str::from_utf8(&text.octets[..text.length]).expect("digits are ASCII"))
            }
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// Room for `255.255.255.255:65535`.
#[derive(Default)]
struct Digits {
    octets: [u8; 21],
    length: usize,
}

impl Digits {
    fn push(&mut self, octet: u8) {
        self.octets[self.length] = octet;
        self.length += 1;
    }

    fn number(&mut self, number: u16) {
        for unit in [10_000, 1000, 100, 10] {
            if number >= unit {
                self.push(b'0' + (number / unit % 10) as u8);
            }
        }
        self.push(b'0' + (number % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    #[test]
    fn endpoints_are_written_as_socket_addresses_are() {
        let ips: [IpAddr; 5] = [
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::BROADCAST.into(),
            Ipv4Addr::new(10, 9, 100, 205).into(),
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        for ip in ips {
            for port in [0, 7, 10, 99, 100, 5555, 10_000, 40_305, u16::MAX] {
                assert_eq!(Endpoint::new(ip, port).to_string(), SocketAddr::new(ip, port).to_string());
            }
        }
    }
}
