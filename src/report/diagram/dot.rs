//! A topology as a graph of Graphviz: <https://graphviz.org/doc/info/lang.html>. Arrows go where requests go, else where
//! connections do.

use crate::report::topology::{Graph, NodeKind};
use std::fmt::Write;

/// The picture as a `digraph`.
pub fn topology(graph: &Graph) -> String {
    let mut text = String::from(
        "digraph zmtp {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (at, node) in graph.nodes.iter().enumerate() {
        let title = graph.node_title(at);
        if node.kind == NodeKind::Proxy {
            let transit = node.transit.map(|time| format!(": p50 {}, p99 {}", time.p50, time.p99)).unwrap_or_default();
            line(&mut text, 2, &format!("subgraph cluster_{at} {{"));
            line(&mut text, 4, &format!("label={};", quoted(&format!("{title}{transit}"))));
            for (number, socket) in node.sockets.iter().enumerate() {
                line(&mut text, 4, &format!("n{at}_{number} [label={}];", quoted(&socket.text())));
            }
            line(&mut text, 2, "}");
        } else {
            for (number, socket) in node.sockets.iter().enumerate() {
                let label = match node.kind {
                    NodeKind::Peers { .. } => format!("{}\n{title}", socket.text()),
                    _ => socket.text(),
                };
                line(&mut text, 2, &format!("n{at}_{number} [label={}];", quoted(&label)));
            }
        }
    }
    for link in &graph.links {
        let label = graph.link_text(link, link.is_turned()).replace(", ", "\n");
        let (from, to) = link.ends();
        let ends = format!("n{}_{} -> n{}_{}", from.0, from.1, to.0, to.1);
        line(&mut text, 2, &format!("{ends} [label={}];", quoted(&label)));
    }
    text.push_str("}\n");
    text
}

fn line(text: &mut String, indent: usize, words: &str) {
    let _ = writeln!(text, "{:indent$}{words}", "");
}

/// A quoted string whose only escapes are for the quote, the backslash (which would begin one: `\N` is the node's name) and the
/// line break.
pub fn quoted(label: &str) -> String {
    let mut text = String::with_capacity(label.len() + 2);
    text.push('"');
    for c in label.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            // Labels know the entities of HTML.
            '&' => text.push_str("&amp;"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
