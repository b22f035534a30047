//! A topology as a flowchart of Mermaid: <https://mermaid.js.org/syntax/flowchart.html>. Arrows as in [`super::dot`].

use crate::report::topology::{Graph, NodeKind};
use std::fmt::Write;

/// The picture as a `flowchart`.
pub fn topology(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let title = graph.node_title(at);
        let proxy = node.kind == NodeKind::Proxy;
        if proxy {
            let transit = node.transit.map(|time| format!(": p50 {}, p99 {}", time.p50, time.p99)).unwrap_or_default();
            let _ = writeln!(text, "  subgraph p{at}[\"{}\"]", escaped(&format!("{title}{transit}")));
        }
        for (number, socket) in node.sockets.iter().enumerate() {
            let mut label = escaped(&socket.text());
            if let NodeKind::Peers { .. } = node.kind {
                let _ = write!(label, "<br/>{}", escaped(&title));
            }
            let indent = if proxy { "    " } else { "  " };
            let _ = writeln!(text, "{indent}n{at}_{number}[\"{label}\"]");
        }
        if proxy {
            text.push_str("  end\n");
        }
    }
    for link in &graph.links {
        let label = graph.link_text(link, link.is_turned()).split(", ").map(escaped).collect::<Vec<_>>().join("<br/>");
        let (from, to) = link.ends();
        let _ = writeln!(text, "  n{}_{} -->|\"{label}\"| n{}_{}", from.0, from.1, to.0, to.1);
    }
    text
}

/// Every character that could mean something to Mermaid or to HTML as its entity code: `#35;` for `#`.
pub fn escaped(label: &str) -> String {
    let mut text = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '-' | '+' | '→' | '←' | '?') {
            text.push(c);
        } else {
            let _ = write!(text, "#{};", u32::from(c));
        }
    }
    text
}
