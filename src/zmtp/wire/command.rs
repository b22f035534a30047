//! Commands (RFC 37, section "Commands"): `name-length (1) name data`, in a frame with the COMMAND flag.
//!
//! The prose of older RFCs (names of 8 characters, padded) is not what is on the wire.

use super::greeting::MechanismName;
use super::metadata::{Metadata, metadata};
use super::{curve, gssapi, plain};
use nom::bytes::complete::{tag, take};
use nom::combinator::{all_consuming, rest};
use nom::multi::length_data;
use nom::number::complete::{be_u16, u8};
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// A command: its name as sent, its data, and what the data mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// As the specifications spell it; for libzmq's misspelt ones, what was meant.
    pub name: &'a [u8],
    /// What the data say.
    pub body: Body<'a>,
    /// Which mistake of which libzmq version this command shows, if any.
    pub quirk: Option<Quirk>,
}

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// READY (NULL, PLAIN) or INITIATE (PLAIN): metadata in clear.
    Metadata(Metadata<'a>),
    /// ERROR: the reason.
    Error(&'a [u8]),
    /// HELLO of PLAIN.
    PlainHello(plain::PlainHello<'a>),
    /// HELLO of CURVE.
    CurveHello(curve::CurveHello<'a>),
    /// WELCOME of CURVE.
    CurveWelcome(curve::CurveWelcome<'a>),
    /// INITIATE of CURVE.
    CurveInitiate(curve::CurveInitiate<'a>),
    /// READY or MESSAGE of CURVE.
    CurveBox(curve::CurveBox<'a>),
    /// INITIATE or READY of CURVE whose box was opened.
    CurveOpened {
        /// Short nonce.
        nonce: u64,
        /// The client's long-term key, in INITIATE.
        client_key: Option<&'a [u8]>,
        /// What was in the box.
        metadata: Metadata<'a>,
    },
    /// INITIATE of GSSAPI.
    GssToken(gssapi::Token<'a>),
    /// MESSAGE of GSSAPI.
    GssWrapped(gssapi::Wrapped),
    /// WELCOME of PLAIN, which has no data; of GSSAPI a command without a name, which says that there is no more token.
    Empty,
    /// SUBSCRIBE or CANCEL: the topic.
    Topic(&'a [u8]),
    /// JOIN or LEAVE: the group.
    Group(&'a [u8]),
    /// PING: how long the sender may be silent, in tenths of a second, and up to 16 octets to be given back.
    Ping {
        /// Tenths of a second; 0 for no limit.
        ttl: u16,
        /// Usually empty with libzmq.
        context: &'a [u8],
    },
    /// PONG: the context of the PING.
    Pong(&'a [u8]),
    /// A name that no RFC has (`X-…`), or a mechanism's own command.
    Unknown(&'a [u8]),
    /// A known name, but the data do not follow its grammar.
    Malformed(&'a [u8]),
}

impl Command<'_> {
    /// The short nonce, where this is a command of CURVE that has one.
    pub fn curve_nonce(&self) -> Option<u64> {
        match &self.body {
            Body::CurveHello(hello) => Some(hello.nonce),
            Body::CurveInitiate(initiate) => Some(initiate.nonce),
            Body::CurveBox(sealed) => Some(sealed.nonce),
            Body::CurveOpened { nonce, .. } => Some(*nonce),
            _ => None,
        }
    }
}

/// Known mistakes of senders, recognised so that they are not mistaken for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// libzmq 4.3.0 and later, PLAIN only: `^RROR` for `\x05ERROR`; the C compiler took `\x5E` for the escape.
    CaretRror,
    /// libzmq 4.3.0 and 4.3.1, PLAIN only: HELLO is called WELCOME, in a name field of 5 octets.
    HelloNamedWelcome,
}

impl Quirk {
    /// Stable name, as the code of an anomaly.
    pub fn code(self) -> &'static str {
        match self {
            Self::CaretRror => "caret-rror",
            Self::HelloNamedWelcome => "hello-named-welcome",
        }
    }
}

const CARET_RROR: &[u8] = b"^RROR";

const HELLO_NAMED_WELCOME: &[u8] = b"\x05WELCOME";

fn name_and_data(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    (length_data(u8), rest).parse(input)
}

/// Parses the whole body of a command frame; `None` if it does not even hold a name.
pub fn command(body: &[u8], mechanism: MechanismName) -> Option<Command<'_>> {
    if mechanism == MechanismName::PLAIN {
        let mut caret = preceded(tag(CARET_RROR), all_consuming(error_reason));
        if let Ok((_, reason)) = caret.parse(body) {
            return Some(Command { name: b"ERROR", body: Body::Error(reason), quirk: Some(Quirk::CaretRror) });
        }
        let mut welcome = preceded(tag(HELLO_NAMED_WELCOME), all_consuming(plain::hello));
        if let Ok((_, hello)) = welcome.parse(body) {
            let quirk = Some(Quirk::HelloNamedWelcome);
            return Some(Command { name: b"HELLO", body: Body::PlainHello(hello), quirk });
        }
    }
    if mechanism == MechanismName::GSSAPI && body.is_empty() {
        return Some(Command { name: b"", body: Body::Empty, quirk: None });
    }
    let (_, (name, data)) = name_and_data(body).ok()?;
    let body = meaning(name, data, mechanism).unwrap_or(Body::Malformed(data));
    Some(Command { name, body, quirk: None })
}

fn error_reason(input: &[u8]) -> IResult<&[u8], &[u8]> {
    length_data(u8).parse(input)
}

fn ping(input: &[u8]) -> IResult<&[u8], Body<'_>> {
    let (input, (ttl, context)) = (be_u16, rest).parse(input)?;
    Ok((input, Body::Ping { ttl, context }))
}

/// What `data` mean under this name; `None` if they do not follow its grammar.
fn meaning<'a>(name: &[u8], data: &'a [u8], mechanism: MechanismName) -> Option<Body<'a>> {
    fn whole<T>(parsed: IResult<&[u8], T>) -> Option<T> {
        parsed.ok().filter(|(rest, _)| rest.is_empty()).map(|(_, value)| value)
    }
    let gssapi = mechanism == MechanismName::GSSAPI;
    let clear = gssapi || mechanism == MechanismName::NULL || mechanism == MechanismName::PLAIN;
    let curve = mechanism == MechanismName::CURVE;
    let plain = mechanism == MechanismName::PLAIN;
    Some(match name {
        b"READY" if clear => Body::Metadata(metadata(data)),
        b"INITIATE" if plain => Body::Metadata(metadata(data)),
        b"HELLO" if plain => Body::PlainHello(whole(plain::hello(data))?),
        b"WELCOME" if plain && data.is_empty() => Body::Empty,
        b"WELCOME" if plain => return None,
        b"HELLO" if curve => Body::CurveHello(whole(curve::hello(data))?),
        b"WELCOME" if curve => Body::CurveWelcome(whole(curve::welcome(data))?),
        b"INITIATE" if curve => Body::CurveInitiate(whole(curve::initiate(data))?),
        b"READY" | b"MESSAGE" if curve => Body::CurveBox(whole(curve::sealed(data))?),
        b"INITIATE" if gssapi => Body::GssToken(whole(gssapi::initiate(data))?),
        b"MESSAGE" if gssapi => Body::GssWrapped(gssapi_data(data, data.len() as u64)?),
        b"ERROR" => Body::Error(whole(error_reason(data))?),
        b"SUBSCRIBE" | b"CANCEL" => Body::Topic(data),
        b"JOIN" | b"LEAVE" => Body::Group(data),
        b"PING" => whole(ping(data))?,
        b"PONG" => Body::Pong(data),
        _ => Body::Unknown(data),
    })
}

/// The CURVE MESSAGE that a *message* frame carries: libzmq sends encrypted traffic without the COMMAND flag, although
/// RFC 37 asks for it.
pub fn curve_message(body: &[u8]) -> Option<curve::CurveBox<'_>> {
    let (data, _) = tag::<_, _, nom::error::Error<&[u8]>>(&b"\x07MESSAGE"[..]).parse(body).ok()?;
    curve::sealed(data).ok().map(|(_, sealed)| sealed)
}

/// The GSSAPI MESSAGE that a *message* frame of `length` octets carries, to judge by its first ones.
pub fn gssapi_message(head: &[u8], length: u64) -> Option<gssapi::Wrapped> {
    let (data, name) = tag::<_, _, nom::error::Error<&[u8]>>(&b"\x07MESSAGE"[..]).parse(head).ok()?;
    gssapi_data(data, length.checked_sub(name.len() as u64)?)
}

/// The token fills the frame.
fn gssapi_data(data: &[u8], length: u64) -> Option<gssapi::Wrapped> {
    let (_, wrapped) = gssapi::wrapped(data).ok()?;
    (length == 4 + u64::from(wrapped.length)).then_some(wrapped)
}

/// The octets of a command's body that say which it is: enough for [`is_known_name`].
pub const NAME_OCTETS: usize = 10;

/// Whether a body that begins with `head` is a command with a name that RFC 37 or a mechanism defines.
pub fn is_known_name(head: &[u8]) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"READY",
        b"ERROR",
        b"HELLO",
        b"WELCOME",
        b"INITIATE",
        b"MESSAGE",
        b"SUBSCRIBE",
        b"CANCEL",
        b"JOIN",
        b"LEAVE",
        b"PING",
        b"PONG",
        b"RROR",
    ];
    let named = |input| -> IResult<&[u8], &[u8]> {
        let (input, length) = u8(input)?;
        take(length)(input)
    };
    head.starts_with(CARET_RROR) || named(head).is_ok_and(|(_, name)| NAMES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_of_a_req_socket() {
        let body = b"\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0";
        assert_eq!(body.len(), 38, "the length that libzmq sends");
        let parsed = command(body, MechanismName::NULL).expect("a command");
        let Body::Metadata(metadata) = parsed.body else { panic!("{parsed:?}") };
        assert_eq!(metadata.value("Socket-Type"), Some(&b"REQ"[..]));
    }

    #[test]
    fn libzmq_misspells_error_under_plain() {
        let parsed = command(b"\x5eRROR\x03400", MechanismName::PLAIN).expect("a command");
        assert_eq!(
            (parsed.name, parsed.body, parsed.quirk),
            (&b"ERROR"[..], Body::Error(b"400"), Some(Quirk::CaretRror))
        );
        assert_eq!(command(b"\x5eRROR\x03400", MechanismName::NULL), None, "94 octets of name are not there");
        let right = command(b"\x05ERROR\x03400", MechanismName::PLAIN).expect("a command");
        assert_eq!((right.body, right.quirk), (Body::Error(b"400"), None));
    }

    #[test]
    fn libzmq_4_3_0_calls_hello_welcome() {
        let parsed = command(b"\x05WELCOME\x05admin\x06secret", MechanismName::PLAIN).expect("a command");
        let hello = plain::PlainHello { username: b"admin", password: b"secret" };
        assert_eq!((parsed.name, parsed.body), (&b"HELLO"[..], Body::PlainHello(hello)));
        assert_eq!(parsed.quirk, Some(Quirk::HelloNamedWelcome));
        let right = command(b"\x07WELCOME", MechanismName::PLAIN).expect("a command");
        assert_eq!((right.name, right.body, right.quirk), (&b"WELCOME"[..], Body::Empty, None));
    }

    #[test]
    fn gssapi_wraps_what_fills_its_frame() {
        let wrapped = gssapi::Wrapped { length: 3, sequence: None };
        let parsed = command(b"\x07MESSAGE\0\0\0\x03abc", MechanismName::GSSAPI).expect("a command");
        assert_eq!(parsed.body, Body::GssWrapped(wrapped));
        let parsed = command(b"\x07MESSAGE\0\0\0\x04abc", MechanismName::GSSAPI).expect("a command");
        assert!(matches!(parsed.body, Body::Malformed(_)));
        assert_eq!(gssapi_message(b"\x07MESSAGE\0\0\0\x03a", 15), Some(wrapped), "a head is enough");
        assert_eq!(gssapi_message(b"\x07MESSAGE\0\0\0\x03abcd", 16), None);
        let last = command(b"", MechanismName::GSSAPI).expect("what libzmq's client sends last");
        assert_eq!((last.name, last.body), (&b""[..], Body::Empty));
    }

    #[test]
    fn heartbeats_subscriptions_and_groups() {
        let body = |bytes| command(bytes, MechanismName::NULL).expect("a command").body;
        assert_eq!(body(b"\x04PING\x01\x2c"), Body::Ping { ttl: 300, context: b"" });
        assert_eq!(body(b"\x04PING\x00\x0actx"), Body::Ping { ttl: 10, context: b"ctx" });
        assert_eq!(body(b"\x04PING\x00"), Body::Malformed(b"\0"));
        assert_eq!(body(b"\x04PONG"), Body::Pong(b""));
        assert_eq!(body(b"\x09SUBSCRIBEnews"), Body::Topic(b"news"));
        assert_eq!(body(b"\x06CANCEL"), Body::Topic(b""));
        assert_eq!(body(b"\x04JOINTV"), Body::Group(b"TV"));
        assert_eq!(body(b"\x06X-MINEdata"), Body::Unknown(b"data"));
    }

    #[test]
    fn the_same_name_means_something_else_under_another_mechanism() {
        let hello = command(b"\x05HELLO\x01u\x01p", MechanismName::PLAIN).expect("a command");
        assert_eq!(hello.body, Body::PlainHello(plain::PlainHello { username: b"u", password: b"p" }));
        let hello = command(b"\x05HELLO\x01u\x01p", MechanismName::CURVE).expect("a command");
        assert_eq!(hello.body, Body::Malformed(b"\x01u\x01p"));
        let welcome = command(b"\x07WELCOME", MechanismName::PLAIN).expect("a command");
        assert_eq!(welcome.body, Body::Empty);
    }

    #[test]
    fn a_body_without_a_whole_name_is_no_command() {
        assert_eq!(command(b"", MechanismName::NULL), None);
        assert_eq!(command(b"\x05REA", MechanismName::NULL), None);
    }
}
