//! Each object of the contract, to the letter.

use super::connection::Connection;
use super::finding::FindingModel;
use super::frame::FrameModel;
use super::message::{MessageModel, Parties};
use super::path::PathModel;
use crate::base::direction::Direction;
use crate::correlate::findings::Finding;
use crate::report::samples::{connection, peer, position, proxied, with_message};
use crate::report::settings::{Payload, Settings};
use crate::zmtp::anomaly::Severity;
use crate::zmtp::event::{Frame, FrameKind};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::{Command, command};
use crate::zmtp::wire::frame::FrameFlags;
use crate::zmtp::wire::greeting::{Greeting, MechanismName};
use crate::zmtp::wire::socket_type::SocketType;

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("models serialize")
}

#[test]
fn a_connection() {
    let expected = concat!(
        r#"{"type":"connection","schema":1,"conn":0,"community_id":"1:JGUWUqcGyxtRW+sEYaghPWx0IU8=","transport":"tcp","#,
        r#""client":"127.0.0.1:50112","server":"127.0.0.1:5555","start":"2026-07-01T12:00:00.000000000Z","#,
        r#""end":"2026-07-01T12:00:00.001000000Z","start_packet":1,"end_packet":42,"end_reason":"fin","#,
        r#""ended_by":"client","midstream":false,"version":"3.1","mechanism":"NULL","handshake":"complete","#,
        r#""decrypted":null,"peers":{"client":{"version":"3.1","socket_type":"REQ","identity":null,"#,
        r#""identity_source":null,"properties":{"Socket-Type":"REQ"}},"server":{"version":"3.1","#,
        r#""socket_type":"ROUTER","identity":"","identity_source":"announced","#,
        r#""properties":{"Socket-Type":"ROUTER","Identity":""}}},"messages":{"c2s":10,"s2c":10},"#,
        r#""frames":{"c2s":20,"s2c":20},"commands":{"c2s":1,"s2c":1},"body_bytes":{"c2s":160,"s2c":170},"#,
        r#""lost_bytes":{"c2s":0,"s2c":0}}"#
    );
    let summary = connection(0);
    let ours = json(&Connection::new(&summary, false));
    assert_eq!(ours, expected);
    assert!(json(&Connection::new(&summary, true)).contains(r#""end_packet":42,"file":0,"#));
}

/// Calls `with` with a command frame.
fn with_command(body: &[u8], mechanism: MechanismName, with: impl FnOnce(&Peer, &Frame<'_>)) {
    let mut client = peer(SocketType::REQ, None);
    client.greeting = client.greeting.map(|greeting| Greeting { mechanism: Some(mechanism), ..greeting });
    let parsed: Option<Command<'_>> = command(body, mechanism);
    let frame = Frame {
        direction: Direction::ClientToServer,
        offset: 64,
        start: position(9, 0),
        end: position(9, 0),
        flags: FrameFlags(4),
        length: body.len() as u64,
        missing: 0,
        head: body,
        kind: FrameKind::Command(parsed.as_ref()),
    };
    with(&client, &frame);
}

#[test]
fn a_frame() {
    let expected = concat!(
        r#"{"type":"frame","schema":1,"conn":0,"dir":"c2s","ts":"2026-07-01T12:00:00.000000000Z","packet":9,"#,
        r#""offset":64,"kind":"command","name":"READY","ordinal":null,"part":null,"more":false,"long":false,"#,
        r#""length":25,"missing":0,"encrypted":false,"#,
        r#""hex":"0552454144590b536f636b65742d5479706500000003524551","text":null,"#,
        r#""fields":{"Socket-Type":"REQ"}}"#
    );
    with_command(b"\x05READY\x0bSocket-Type\0\0\0\x03REQ", MechanismName::NULL, |sender, frame| {
        assert_eq!(json(&FrameModel::new(0, sender, frame, &Settings::default())), expected);
    });
}

#[test]
fn a_password_is_shown_only_if_asked_for() {
    for body in [&b"\x05HELLO\x05admin\x06secret"[..], b"\x05HELLO\x05admin\x07secret", b"\x09HELLO\x05admin\x06secret"]
    {
        with_command(body, MechanismName::PLAIN, |sender, frame| {
            let text = json(&FrameModel::new(0, sender, frame, &Settings::default()));
            assert!(!text.contains("secret") && !text.contains("736563726574"), "{text}");
            assert!(text.contains(r#""hex":null,"text":null"#), "{text}");
        });
    }
    with_command(b"\x05HELLO\x05admin\x06secret", MechanismName::PLAIN, |sender, frame| {
        let text = json(&FrameModel::new(0, sender, frame, &Settings::default()));
        assert!(text.ends_with(r#""fields":{"username":"admin","password":"***"}}"#), "{text}");
        let settings = Settings { show_secrets: true, ..Settings::default() };
        let text = json(&FrameModel::new(0, sender, frame, &settings));
        assert!(text.ends_with(r#""fields":{"username":"admin","password":"secret"}}"#), "{text}");
        assert!(text.contains(r#""hex":"0548454c4c4f"#), "{text}");
    });
}

#[test]
fn a_message() {
    let expected = concat!(
        r#"{"type":"message","schema":1,"key":"5f0c000000000001","conn":0,"src":"127.0.0.1:50112","#,
        r#""dst":"127.0.0.1:5555","dir":"c2s","ordinal":0,"start":"2026-07-01T12:00:00.000005000Z","#,
        r#""ts":"2026-07-01T12:00:00.000005000Z","start_packet":12,"packet":12,"encrypted":false,"#,
        r#""parts":[{"length":0,"missing":0,"hex":"","text":""},"#,
        r#"{"length":7,"missing":0,"hex":"72657175657374","text":"request"}],"envelope":[""],"role":"request"}"#
    );
    with_message(&[b"", b"request"], |connection, message| {
        let parties = Parties::new(connection, message.direction);
        let model = |settings: &Settings| json(&MessageModel::new(&parties, message, 0x5f0c_0000_0000_0001, settings));
        assert_eq!(model(&Settings::default()), expected);
        let text = model(&Settings { max_body: Some(3), ..Settings::default() });
        assert!(text.contains(r#"{"length":7,"missing":0,"hex":"726571","text":"req"}"#), "{text}");
        let text = model(&Settings { payload: Payload::None, ..Settings::default() });
        assert!(text.contains(r#"{"length":7,"missing":0,"hex":null,"text":null}"#), "{text}");
    });
}

#[test]
fn a_path() {
    let expected = concat!(
        r#"{"type":"path","schema":1,"path":3,"status":"complete","pattern":"req-rep","#,
        r#""request":[{"key":"5f0c00000000000c","conn":0,"src":"127.0.0.1:50112","dst":"127.0.0.1:5555","dir":"c2s","#,
        r#""ordinal":12,"ts":"2026-07-01T12:00:00.000000000Z","packet":12,"identity":null,"evidence":"origin","#,
        r#""confidence":1.0},{"key":"5f0c00000000000e","conn":90,"src":"127.0.0.1:5556","dst":"127.0.0.1:40022","#,
        r#""dir":"s2c","ordinal":12,"ts":"2026-07-01T12:00:00.000041000Z","packet":14,"identity":"006b8b4567","#,
        r#""evidence":"assigned","confidence":0.999}],"#
    );
    let path = proxied(3, 0);
    let text = json(&PathModel::new(&path, false));
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with(r#""latency_ns":183000,"confidence":0.999}"#), "{text}");
    assert_eq!(json(&PathModel::new(&path, true)).matches(r#","file":0,"identity""#).count(), 4);
}

#[test]
fn a_finding() {
    let finding = Finding {
        code: "mechanism-mismatch",
        severity: Severity::Error,
        at: None,
        conns: vec![3],
        packets: vec![position(9, 0).packet, position(11, 0).packet],
        text: "in words".to_owned(),
        spec: "37/ZMTP",
    };
    assert_eq!(
        json(&FindingModel::new(&finding, false)),
        concat!(
            r#"{"type":"finding","schema":1,"code":"mechanism-mismatch","severity":"error","ts":null,"conns":[3],"#,
            r#""packets":[9,11],"text":"in words","spec":"37/ZMTP"}"#
        )
    );
}
