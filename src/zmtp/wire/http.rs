//! The heads of HTTP/1.1 requests and responses (RFC 9112), as far as a WebSocket's opening needs them (RFC 6455,
//! section 4; RFC 45, section "Handshake"): who asks for which subprotocol, what is chosen, where the body ends.
//! The lines are parsed by the crate `httparse`.

use super::greeting::MechanismName;
use httparse::{EMPTY_HEADER, Request, Response, Status};
use std::fmt;

/// Header fields of one head; browsers send some twenty.
const MOST_FIELDS: usize = 100;

/// A subprotocol of ZWS 2.0: `ZWS2.0`, or `ZWS2.0/` and a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subprotocol {
    /// `None` without: the first message of each side is its identity, as in ZMTP 2.0.
    pub mechanism: Option<MechanismName>,
}

impl Subprotocol {
    /// From its name, in which case matters (RFC 6455 compares it exactly, and so does libzmq).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name.strip_prefix(b"ZWS2.0")? {
            [] => Some(Self { mechanism: None }),
            [b'/', mechanism @ ..] => Some(Self { mechanism: Some(MechanismName::from_name(mechanism)?) }),
            _ => None,
        }
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZWS2.0")?;
        self.mechanism.map_or(Ok(()), |mechanism| write!(f, "/{mechanism}"))
    }
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// What a client asks for.
    Request {
        /// `GET`, for WebSocket.
        method: &'a str,
        /// The resource, with what follows its question mark.
        path: &'a str,
    },
    /// What a server answers.
    Response {
        /// 101 where it switches protocols.
        status: u16,
        /// Its words.
        reason: &'a str,
    },
}

/// How much body follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many octets.
    Octets(u64),
    /// Chunks, each with its length.
    Chunked,
    /// Not said: nothing after a request, all up to the end of the connection after a response.
    Unsaid,
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Its first line.
    pub start: Start<'a>,
    /// `Host`.
    pub host: Option<&'a [u8]>,
    /// It asks for, or agrees to, WebSocket.
    pub is_websocket: bool,
    /// The subprotocols offered or chosen, whatever they are.
    pub subprotocols: Vec<&'a [u8]>,
    /// What follows it.
    pub body: BodyLength,
    /// It has a field that is a secret, as `Cookie` or `Authorization`.
    pub has_secret: bool,
}

impl Head<'_> {
    /// The subprotocols of ZWS 2.0 that it offers or chooses.
    pub fn zws(&self) -> impl Iterator<Item = Subprotocol> {
        self.subprotocols.iter().filter_map(|name| Subprotocol::from_name(name))
    }
}

/// What octets are, that should be a head.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A head, and how many octets it has with the empty line at its end.
    Head(Head<'a>, usize),
    /// The beginning of one.
    Incomplete,
    /// Something else.
    Other,
}

/// Whether octets can be the beginning of an HTTP/1 connection.
pub fn may_begin(octets: &[u8]) -> bool {
    const STARTS: [&[u8]; 9] =
        [b"GET ", b"HTTP/1.1 ", b"POST ", b"HEAD ", b"PUT ", b"CONNECT ", b"OPTIONS ", b"DELETE ", b"PATCH "];
    !octets.is_empty() && STARTS.iter().any(|start| octets.iter().zip(*start).all(|(a, b)| a == b))
}

/// Parses a head.
pub fn head(octets: &[u8]) -> Parsed<'_> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let (parsed, start) = if octets.starts_with(b"HTTP/") {
        let mut response = Response::new(&mut fields);
        let parsed = response.parse(octets);
        (parsed, response.code.map(|status| Start::Response { status, reason: response.reason.unwrap_or_default() }))
    } else {
        let mut request = Request::new(&mut fields);
        let parsed = request.parse(octets);
        (parsed, request.method.zip(request.path).map(|(method, path)| Start::Request { method, path }))
    };
    let (length, start) = match (parsed, start) {
        (Ok(Status::Complete(length)), Some(start)) => (length, start),
        (Ok(Status::Partial), _) => return Parsed::Incomplete,
        _ => return Parsed::Other,
    };
    let mut head = Head {
        start,
        host: None,
        is_websocket: false,
        subprotocols: Vec::new(),
        body: BodyLength::Unsaid,
        has_secret: false,
    };
    for field in fields.iter().take_while(|field| !field.name.is_empty()) {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("Host") {
            head.host = Some(field.value);
        } else if is("Upgrade") {
            head.is_websocket |= elements(field.value).any(|element| element.eq_ignore_ascii_case(b"websocket"));
        } else if is("Sec-WebSocket-Protocol") {
            head.subprotocols.extend(elements(field.value));
        } else if is("Transfer-Encoding") {
            head.body = BodyLength::Chunked;
        } else if is("Content-Length") && head.body == BodyLength::Unsaid {
            let Some(length) = std::str::from_utf8(field.value).ok().and_then(|text| text.trim().parse().ok()) else {
                return Parsed::Other;
            };
            head.body = BodyLength::Octets(length);
        } else if is("Cookie") || is("Authorization") || is("Proxy-Authorization") || is("Set-Cookie") {
            head.has_secret = true;
        }
    }
    Parsed::Head(head, length)
}

/// The elements of a list, as `a, b`.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&octet| octet == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 45, section "Handshake".
    const REQUEST: &[u8] = b"GET /zeromq HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\
        Sec-WebSocket-Protocol: ZWS2.0,ZWS2.0/NULL\r\nSec-WebSocket-Version: 13\r\n\
        Origin: http://example.com\r\n\r\n";

    fn parsed(octets: &[u8]) -> Head<'_> {
        match head(octets) {
            Parsed::Head(head, length) => {
                assert_eq!(length, octets.len());
                head
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_request_of_the_rfc() {
        let head = parsed(REQUEST);
        assert_eq!(head.start, Start::Request { method: "GET", path: "/zeromq" });
        assert_eq!(head.host, Some(&b"server.example.com"[..]));
        assert!(head.is_websocket && !head.has_secret);
        let null = Subprotocol { mechanism: Some(MechanismName::NULL) };
        assert_eq!(head.zws().collect::<Vec<_>>(), [Subprotocol { mechanism: None }, null]);
    }

    #[test]
    fn the_response_of_the_rfc() {
        let octets = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\nSec-WebSocket-Protocol: ZWS2.0\r\n\r\n";
        let head = parsed(octets);
        assert_eq!(head.start, Start::Response { status: 101, reason: "Switching Protocols" });
        assert_eq!(head.zws().next(), Some(Subprotocol { mechanism: None }));
    }

    #[test]
    fn every_prefix_of_a_head_may_become_one() {
        for end in 1..REQUEST.len() {
            assert!(may_begin(&REQUEST[..end]), "{end}");
            assert_eq!(super::head(&REQUEST[..end]), Parsed::Incomplete, "{end}");
        }
        assert!(!may_begin(b"") && !may_begin(b"GETX") && !may_begin(b"\xff\0"));
        assert_eq!(super::head(b"\xff\0\0\0\r\n\r\n"), Parsed::Other);
    }

    #[test]
    fn names_are_compared_in_any_case_and_lists_may_be_split() {
        let head = parsed(
            b"GET / HTTP/1.1\r\nupgrade: WebSocket\r\nSEC-WEBSOCKET-PROTOCOL: mqtt ,  ZWS2.0/PLAIN\r\n\
              sec-websocket-protocol:ZWS2.0/CURVE\r\ncookie: a=b\r\n\r\n",
        );
        let mechanisms: Vec<_> = head.zws().map(|zws| zws.mechanism).collect();
        assert_eq!(mechanisms, [Some(MechanismName::PLAIN), Some(MechanismName::CURVE)]);
        assert!(head.is_websocket && head.has_secret);
    }

    #[test]
    fn only_zws_2_0_counts() {
        for name in [&b"ZWS2.0/"[..], b"zws2.0", b"ZWS2.01", b"ZWS1.0", b"WSNetMQ", b"ZWS2.0/lower", b"mqtt"] {
            assert_eq!(Subprotocol::from_name(name), None, "{name:?}");
        }
        assert_eq!(Subprotocol::from_name(b"ZWS2.0/PLAIN").map(|zws| zws.to_string()), Some("ZWS2.0/PLAIN".into()));
    }

    #[test]
    fn bodies_have_their_lengths() {
        assert_eq!(parsed(b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n").body, BodyLength::Octets(12));
        assert_eq!(parsed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").body, BodyLength::Chunked);
        assert_eq!(head(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), Parsed::Other);
    }
}
