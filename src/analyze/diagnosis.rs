//! What a connection as a whole says once it is over: why its handshake failed, and what stays closed to the reader.
//!
//! What each failure looks like was observed with libzmq 4.3.5 on both ends: it sends ERROR only where an authenticator
//! refuses with 400 or 500, and otherwise closes without a word. Nothing is said of a handshake of which bytes are missing.

use super::connection::{ConnectionSummary, HandshakeOutcome};
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::base::time::Duration;
use crate::correlate::findings::Finding;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::curve::opening::Want;
use crate::zmtp::handshake::Step;
use crate::zmtp::session::Closed;
use crate::zmtp::wire::greeting::{MechanismName, Version};

/// libzmq's `ZMQ_HANDSHAKE_IVL`, give or take what a loaded machine adds.
const HANDSHAKE_TIMEOUT: std::ops::Range<i64> = 29_900_000_000..31_000_000_000;

/// What there is to be said about a connection that is over.
pub fn diagnose(connection: &ConnectionSummary, limits: &Limits) -> Vec<Finding> {
    let found = match connection.only {
        // Nothing can be said about what was agreed, or who did not answer.
        Some(direction) => [Some(one_direction(connection, direction)), None, closed(connection, limits)],
        None => [unfinished(connection), stopped_by_timer(connection), closed(connection, limits)],
    };
    found.into_iter().flatten().map(|said| said.finding(connection)).collect()
}

struct Said {
    code: &'static str,
    severity: Severity,
    text: String,
    spec: &'static str,
    /// It shows in the last packet rather than in the first.
    at_end: bool,
}

impl Said {
    fn finding(self, connection: &ConnectionSummary) -> Finding {
        let position = if self.at_end { connection.last } else { connection.start };
        Finding {
            code: self.code,
            severity: self.severity,
            at: Some(position.at),
            conns: vec![connection.conn],
            packets: vec![position.packet],
            text: self.text,
            spec: self.spec,
        }
    }
}

/// Only one direction is in the capture: what the version rests on, and what may be wrong because of it.
fn one_direction(connection: &ConnectionSummary, direction: Direction) -> Said {
    let (from, to) = match direction {
        Direction::ClientToServer => ("client", "server"),
        Direction::ServerToClient => ("server", "client"),
    };
    let (basis, spec) = match (&connection.peers[direction].greeting, connection.version) {
        (_, Some(Version::V1_0)) => (
            format!(
                "version 1.0 is taken from how the frames of the {from} are built; it has no greeting that says so"
            ),
            "13/ZMTP",
        ),
        (Some(_), Some(version @ Version::V2_0)) => (
            format!(
                "version {version} is taken from the greeting of the {from}, which a socket type and an identity follow \
                 instead of a mechanism: it has found the {to} to be no newer"
            ),
            "15/ZMTP",
        ),
        (Some(_), Some(version)) => (
            format!(
                "version {version} is what the {from} offers, and so is the mechanism: the {to} may be of an older one (3.0 \
                 where 3.1 is said), and may have refused"
            ),
            "37/ZMTP",
        ),
        (_, Some(version)) => (format!("version {version} is what the {from} says"), "37/ZMTP"),
        (_, None) => (format!("the version is unknown, since the {from} was not seen to begin"), "37/ZMTP"),
    };
    let text = format!(
        "only packets from {from} to {to} are in the capture (asymmetric routing, or a mirror of one direction), although \
         {octets} bytes of the other direction were acknowledged: {basis}. What the {to} said is unknown: who it is, how the \
         handshake ended, and whether requests were answered",
        octets = connection.lost_bytes[direction.reverse()],
    );
    Said { code: "one-direction", severity: Severity::Note, text, spec, at_end: false }
}

/// A handshake that ended without READY and without ERROR.
fn unfinished(connection: &ConnectionSummary) -> Option<Said> {
    let ConnectionSummary { peers, steps, end, .. } = connection;
    let offers = |direction| peers[direction].mechanism();
    let both =
        |mechanism| offers(Direction::ClientToServer) == mechanism && offers(Direction::ServerToClient) == mechanism;
    let mechanism = connection.mechanism?;
    let refused = connection.handshake == HandshakeOutcome::Failed
        && !steps.iter().any(|(_, step)| *step == Step::Error)
        && both(Some(&mechanism))
        && !is_timeout(connection);
    if !refused {
        return None;
    }
    let Some(by) = end.by else { return Some(cut("a peer")) };
    // Who sent HELLO is the client of the mechanism, whichever side connected.
    let silent = |direction: Direction| steps[direction] == Step::Nothing;
    let (code, text, spec) = match mechanism {
        MechanismName::CURVE if steps[by.reverse()] == Step::Hello && silent(by) => (
            "curve-hello-refused",
            "the CURVE server closed the connection at HELLO: the client was given another server's public key \
             (ZMQ_CURVE_SERVERKEY), and its messages never leave it; libzmq tries again for ever",
            "26/CURVEZMQ",
        ),
        MechanismName::CURVE if steps[by.reverse()] == Step::Initiate => (
            "handshake-refused-silently",
            "the CURVE server closed the connection at INITIATE without ERROR: its authenticator answered 300 (temporary \
             failure) or not at all, or the client's own key pair does not fit together",
            "27/ZAP",
        ),
        MechanismName::PLAIN if steps[by.reverse()] == Step::Hello => (
            "handshake-refused-silently",
            "the PLAIN server closed the connection at HELLO without ERROR: it has no authenticator (ZAP handler), as \
             PLAIN needs one, or that answered 300 (temporary failure)",
            "27/ZAP",
        ),
        MechanismName::NULL if steps[by.reverse()] == Step::Ready && silent(by) => (
            "handshake-refused-silently",
            "one side read the other's READY and closed without a word: their socket types do not fit together, or its \
             authenticator answered 300. libzmq does not try again where the connecting side closes because of the types: \
             that socket waits for ever",
            "37/ZMTP",
        ),
        _ => return Some(cut(if by == Direction::ClientToServer { "the client" } else { "the server" })),
    };
    Some(Said { code, severity: Severity::Error, text: text.to_owned(), spec, at_end: true })
}

/// A handshake that stops in a way that no known cause explains.
fn cut(who: &str) -> Said {
    let text = format!("{who} closed the connection before the handshake was complete, without a word");
    Said { code: "handshake-cut", severity: Severity::Warning, text, spec: "37/ZMTP", at_end: true }
}

fn is_timeout(connection: &ConnectionSummary) -> bool {
    let Duration(lasted) = connection.last.at - connection.start.at;
    HANDSHAKE_TIMEOUT.contains(&lasted) && connection.end.by.is_some()
}

/// Connections that end half a minute after they began.
fn stopped_by_timer(connection: &ConnectionSummary) -> Option<Said> {
    if !is_timeout(connection) || connection.midstream {
        return None;
    }
    let old = connection.version.is_some_and(|version| version <= Version::V2_0);
    let (code, severity, text) = match connection.handshake {
        HandshakeOutcome::Failed | HandshakeOutcome::Partial => (
            "handshake-timeout",
            Severity::Error,
            "the handshake was not complete after 30 s, and was given up (ZMQ_HANDSHAKE_IVL): one side stopped answering, \
             or a proxy in between accepts connections without passing them on",
        ),
        HandshakeOutcome::Complete if old => (
            "handshake-timer",
            Severity::Warning,
            "closed 30 s after it began although its handshake was complete: libzmq 4.3.3 and 4.3.4 forget to stop the \
             handshake timer where the peer speaks ZMTP 2.0 or older; 4.3.5 does not",
        ),
        _ => return None,
    };
    Some(Said { code, severity, text: text.to_owned(), spec: "37/ZMTP", at_end: true })
}

/// Why messages stay closed, and what would open them.
fn closed(connection: &ConnectionSummary, limits: &Limits) -> Option<Said> {
    let (code, text, spec) = match connection.closed? {
        Closed::Gssapi => {
            let text = "encrypted with GSSAPI: only sizes, times and sequence numbers are known, and no key log opens it; \
                        with ZMQ_GSSAPI_PLAINTEXT on both sides libzmq authenticates without encrypting";
            ("gssapi-closed", text.to_owned(), "38/ZMTP-GSSAPI")
        }
        Closed::Curve(want) => ("curve-no-key", wanted(want, limits), "26/CURVEZMQ"),
    };
    Some(Said { code, severity: Severity::Note, text, spec, at_end: false })
}

fn wanted(want: Option<Want>, limits: &Limits) -> String {
    let text = match want {
        None => {
            "encrypted with CURVE: only sizes, times and nonces are known. --keylog opens it with the secret of one \
             transient key of either side, or the session key: long-term keys cannot open traffic (forward secrecy)"
        }
        Some(Want::LongTermOnly) => {
            "the key log has the server's long-term key, and no transient key of this connection: long-term keys cannot \
             open traffic (forward secrecy)"
        }
        Some(Want::NoKey) => {
            "the key log has no key of this connection; it takes the secret of one transient key of either side, or the \
             session key: long-term keys cannot open traffic (forward secrecy)"
        }
        Some(Want::Limit) => {
            return format!("{} keys of the key log were tried, and no more of them will be", limits.curve_keys);
        }
    };
    text.to_owned()
}
