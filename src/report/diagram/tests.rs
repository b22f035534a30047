//! Pictures of what cannot be drawn as it stands.

use super::{dot, mermaid, sequence::sequence};
use crate::analyze::connection::ConnectionSummary;
use crate::base::direction::Direction;
use crate::report::samples::{connection, proxied};
use crate::report::topology::{Graph, NodeKind, Topology};
use crate::zmtp::properties::Properties;
use crate::zmtp::wire::metadata::Property;

/// Two clients of a proxy and its worker; what the clients call themselves.
fn graph(client_type: &[u8]) -> Graph {
    let mut topology = Topology::default();
    for client in 0..2 {
        topology.path(&proxied(u64::from(client), client));
        let mut of_client = connection(u32::from(client));
        of_client.peers.c2s.socket_type = None;
        of_client.peers.c2s.properties = Properties::from_iter([Property { name: b"Socket-Type", value: client_type }]);
        topology.connection(&of_client);
    }
    let mut back = ConnectionSummary { conn: 90, ..connection(90) };
    back.client.port = 40022;
    back.server.port = 5556;
    topology.connection(&back);
    topology.finish()
}

#[test]
fn a_router_whose_messages_leave_through_a_dealer_is_one_process_with_it() {
    let graph = graph(b"REQ");
    let kinds: Vec<_> = graph.nodes.iter().map(|node| node.kind.name()).collect();
    assert_eq!(kinds, ["proxy", "peers", "peers"]);
    let bound: Vec<_> =
        graph.nodes[0].sockets.iter().filter_map(|socket| socket.bound.map(|bound| bound.port)).collect();
    assert_eq!(bound, [5555, 5556]);
    assert!(matches!(graph.nodes[1].kind, NodeKind::Peers { count: 2, hosts: 1, .. }));
    // Request in at 0, out at 41 µs; reply in at 142 µs, out at 183 µs.
    let transit = graph.nodes[0].transit.expect("both paths were followed");
    assert_eq!((transit.count, transit.p50.0 / 1000), (4, 41));
    let (direction, answered) = graph.links[0].answered.expect("clients were answered");
    assert_eq!((direction, answered.count, answered.p50.0 / 1000), (Direction::ClientToServer, 2, 183));
}

#[test]
fn what_the_wire_says_ends_no_label() {
    let graph = graph(b"a\"];\n} \\\" <b>&lt; #quot; ]|(\x1b");
    let dot = dot::topology(&graph);
    for line in dot.lines().filter(|line| line.contains("label=")) {
        let label = line.split_once("label=\"").expect("quoted").1;
        let inside = label.strip_suffix("\"];").or(label.strip_suffix("\";")).expect("ends where it should");
        let unescaped = inside.replace("\\\\", "").replace("\\\"", "");
        assert!(!unescaped.contains('"'), "{line}");
    }
    assert!(!dot.contains('\x1b') && dot.contains("&amp;lt;"), "{dot}");
    let mermaid = mermaid::topology(&graph);
    let line = mermaid.lines().find(|line| line.contains("2 peers")).expect("the clients");
    let label = line.split_once("[\"").and_then(|(_, rest)| rest.strip_suffix("\"]")).expect("one label");
    let plain = label.replace("<br/>", "");
    assert!(!plain.contains(['"', '<', '>', '[', ']', '|', '&', '(']), "{line}");
}

#[test]
fn a_path_is_drawn_as_a_sequence() {
    let text = sequence(&proxied(7, 1));
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "sequenceDiagram");
    assert_eq!(
        lines[1..4],
        [
            "participant p0 as 127.0.0.1:50113",
            "participant p1 as 127.0.0.1:5555, 127.0.0.1:5556",
            "participant p2 as 127.0.0.1:40022"
        ]
    );
    assert!(lines[4].starts_with("p0->>p1: ") && lines[5].starts_with("p1->>p2: "), "{text}");
    assert!(lines[5].contains("assigned 006b8b4567"), "{text}");
    assert!(lines[6].starts_with("p2-->>p1: ") && lines[7].starts_with("p1-->>p0: "), "{text}");
}
