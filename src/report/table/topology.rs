//! The topology for people: each process with its sockets, and who is connected to them.

use super::lines::wrapped;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::topology::{Graph, Link, NodeKind};

/// Links of one socket that are listed; the others are counted.
const LISTED: usize = 20;

/// Nodes that accept connections, listed.
const NODES: usize = 200;

/// The picture as text.
pub fn topology(graph: &Graph, settings: &Settings) -> String {
    let mut text = String::new();
    let accepting: Vec<_> =
        graph.nodes.iter().enumerate().filter(|(_, node)| !matches!(node.kind, NodeKind::Peers { .. })).collect();
    for &(at, node) in accepting.iter().take(NODES) {
        let transit = node.transit.map(|time| format!(", messages pass in p50 {}, p99 {}", time.p50, time.p99));
        let title = format!("{}{}", graph.node_title(at), transit.unwrap_or_default());
        text.push_str(&painted(&wrapped(&title, 2, settings.width), Tone::Strong, settings.color));
        text.push('\n');
        for (number, socket) in node.sockets.iter().enumerate() {
            text.push_str(&wrapped(&socket.text(), 4, settings.width));
            text.push('\n');
            let ends = |link: &&Link| (link.to == (at, number) || link.from == (at, number)) && link.connections > 0;
            let links: Vec<_> = graph.links.iter().filter(ends).collect();
            for link in links.iter().take(LISTED) {
                let (arrow, (other, place)) =
                    if link.to == (at, number) { ("◀─", link.from) } else { ("─▶", link.to) };
                let socket = graph.nodes[other].sockets[place].text();
                let words =
                    format!("{arrow} {socket} of {}: {}", graph.node_title(other), graph.link_text(link, false));
                text.push_str(&wrapped(&words, 6, settings.width));
                text.push('\n');
            }
            if links.len() > LISTED {
                text.push_str(&wrapped(&format!("and {} more", links.len() - LISTED), 6, settings.width));
                text.push('\n');
            }
        }
    }
    if accepting.len() > NODES {
        text.push_str(&wrapped(&format!("and {} more", accepting.len() - NODES), 2, settings.width));
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("  none\n");
    }
    text
}
