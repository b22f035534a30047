//! A path as a sequence diagram of Mermaid: <https://mermaid.js.org/syntax/sequenceDiagram.html>.
//!
//! One path is a diagram; several are a Markdown document with a fenced diagram each, since a file of Mermaid holds one.

use super::mermaid::escaped;
use crate::base::endpoint::Endpoint;
use crate::base::text::hex;
use crate::base::time::Duration;
use crate::correlate::path::{Evidence, Hop, Path, joined_to};
use std::fmt::Write;

/// Who takes part: ends of connections, those of one process together.
#[derive(Debug, Default)]
struct Participants {
    names: Vec<Vec<Endpoint>>,
}

impl Participants {
    /// Along a row of hops, what received one sent the next.
    fn along(&mut self, hops: &[Hop]) {
        for (at, hop) in hops.iter().enumerate() {
            match joined_to(hops, at) {
                Some(entered) => self.together(entered.destination, hop.source),
                None => self.add(hop.source),
            }
            self.add(hop.destination);
        }
    }

    fn add(&mut self, endpoint: Endpoint) {
        if self.of(endpoint).is_none() {
            self.names.push(vec![endpoint]);
        }
    }

    fn together(&mut self, one: Endpoint, other: Endpoint) {
        match (self.of(one), self.of(other)) {
            (Some(at), None) => self.names[at].push(other),
            (None, Some(at)) => self.names[at].push(one),
            (Some(at), Some(other)) if at != other => {
                let more = self.names.remove(at.max(other));
                self.names[at.min(other)].extend(more);
            }
            (Some(_), Some(_)) => {}
            (None, None) => self.names.push(vec![one, other]),
        }
    }

    fn of(&self, endpoint: Endpoint) -> Option<usize> {
        self.names.iter().position(|names| names.contains(&endpoint))
    }
}

/// The path as a diagram.
pub fn sequence(path: &Path) -> String {
    let mut participants = Participants::default();
    participants.along(&path.request);
    participants.along(&path.reply);
    let mut text = String::from("sequenceDiagram\n");
    for (at, names) in participants.names.iter().enumerate() {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  participant p{at} as {}", escaped(&names.join(", ")));
    }
    let start = path.hops().next().map(|hop| hop.position.at).unwrap_or_default();
    for (hop, arrow) in path.request.iter().map(|hop| (hop, "->>")).chain(path.reply.iter().map(|hop| (hop, "-->>"))) {
        let (Some(from), Some(to)) = (participants.of(hop.source), participants.of(hop.destination)) else { continue };
        let _ = writeln!(text, "  p{from}{arrow}p{to}: {}", escaped(&label(hop, hop.position.at - start)));
    }
    if let (Some(first), Some(last)) = (participants.names.first(), participants.names.last())
        && !first.is_empty()
        && !last.is_empty()
    {
        let latency = path.latency.map(|latency| format!(", {latency}")).unwrap_or_default();
        let what = format!("path {} {}{latency}, confidence {:.3}", path.number, path.status.name(), path.confidence);
        let over = if participants.names.len() > 1 {
            format!("p0,p{}", participants.names.len() - 1)
        } else {
            "p0".to_owned()
        };
        let _ = writeln!(text, "  Note over {over}: {}", escaped(&what));
    }
    text
}

/// `+151 µs, message 0 on connection 2, assigned 006b8b4567`.
fn label(hop: &Hop, since: Duration) -> String {
    let mut text = format!("+{since}, message {} on connection {}", hop.ordinal, hop.conn);
    if hop.evidence != Evidence::Origin {
        let _ = write!(text, ", {}", hop.evidence.name());
    }
    if let Some(identity) = &hop.identity {
        let _ = write!(text, " {}", hex(identity));
    }
    text
}
