//! `{"type":"frame"}`.

use super::SCHEMA;
use super::bytes::{Hex, Shown, text_of, text_or_hex};
use super::fields::{Fields, public_path};
use crate::base::time::Timestamp;
use crate::report::settings::{Payload, Settings};
use crate::zmtp::event::{Frame, FrameKind, Seal};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::{Body, Command};
use crate::zmtp::wire::greeting::MechanismName;
use serde::Serialize;
use std::borrow::Cow;

/// One greeting or frame.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the contract names and explains the fields
pub struct FrameModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub conn: u32,
    pub dir: &'static str,
    pub ts: Shown<Timestamp>,
    pub packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    pub offset: u64,
    pub kind: &'static str,
    pub name: Option<Cow<'a, str>>,
    pub ordinal: Option<u64>,
    pub part: Option<u64>,
    pub more: bool,
    pub long: bool,
    pub length: u64,
    pub missing: u64,
    pub encrypted: bool,
    pub hex: Option<Hex<'a>>,
    pub text: Option<&'a str>,
    pub fields: Option<Fields<'a>>,
}

impl<'a> FrameModel<'a> {
    /// The row of `frame`, which `sender` sent on the connection of this number.
    pub fn new(conn: u32, sender: &Peer, frame: &'a Frame<'a>, settings: &Settings) -> Self {
        let (mut name, mut ordinal, mut part, mut encrypted) = (None, None, None, false);
        let (kind, fields) = match &frame.kind {
            FrameKind::Greeting(greeting) => ("greeting", Some(Fields::Greeting(greeting))),
            FrameKind::Upgrade(head) => {
                ("greeting", Some(Fields::Upgrade { head, show_secrets: settings.show_secrets }))
            }
            FrameKind::Control(opcode) => {
                name = opcode.name().map(Cow::Borrowed);
                ("control", Fields::of_control(*opcode, frame.head))
            }
            FrameKind::Command(command) => {
                name = command_name(sender, frame, settings).map(text_or_hex);
                ("command", command.and_then(|command| known_fields(sender, command, settings)))
            }
            FrameKind::Identity => ("identity", None),
            FrameKind::Part { ordinal: message, part: number, seal } => {
                (ordinal, part, encrypted) = (Some(*message), Some(*number), seal.is_closed());
                ("message", (*seal != Seal::Clear).then_some(Fields::Seal(*seal)))
            }
            FrameKind::CutPart { nonce } => ("message", Some(Fields::Seal(Seal::Opened { nonce: *nonce }))),
        };
        let shown = shown_body(sender, frame, settings);
        let cut = shown.is_some_and(|body| (body.len() as u64) < frame.length);
        Self {
            r#type: "frame",
            schema: SCHEMA,
            conn,
            dir: frame.direction.abbreviation(),
            ts: Shown(frame.end.at),
            packet: frame.end.packet.number(),
            file: settings.several_files.then_some(frame.end.packet.file()),
            offset: frame.offset,
            kind,
            name,
            ordinal,
            part,
            more: frame.flags.more(),
            long: frame.flags.long(),
            length: frame.length,
            missing: frame.missing,
            encrypted,
            hex: shown.map(Hex),
            text: shown.filter(|_| settings.payload != Payload::Hex).and_then(|body| text_of(body, cut)),
            fields,
        }
    }
}

/// The leading bytes that may be shown; `None` if none were asked for or they hold a secret.
pub fn shown_body<'a>(sender: &Peer, frame: &Frame<'a>, settings: &Settings) -> Option<&'a [u8]> {
    if settings.payload == Payload::None || (!settings.show_secrets && may_hold_secret(sender, frame)) {
        return None;
    }
    Some(&frame.head[..frame.head.len().min(settings.frame_body())])
}

/// The fields of a command; `None` if it has none.
pub fn known_fields<'a>(sender: &Peer, command: &'a Command<'a>, settings: &Settings) -> Option<Fields<'a>> {
    let identity_length = sender.greeting.and_then(|greeting| greeting.identity_length());
    Fields::of_command(command, settings.show_secrets, identity_length)
}

/// The name of a command; `None` if it has none, or if it may hold a secret.
pub fn command_name<'a>(sender: &Peer, frame: &Frame<'a>, settings: &Settings) -> Option<&'a [u8]> {
    let FrameKind::Command(Some(command)) = frame.kind else { return None };
    let damaged = matches!(command.body, Body::Unknown(_)) && may_hold_secret(sender, frame);
    (settings.show_secrets || !damaged).then_some(command.name)
}

/// Whether the frame is HELLO of PLAIN, or may be: a damaged one holds a password too, and its name may reach into it. Or
/// HTTP with credentials of any kind.
fn may_hold_secret(sender: &Peer, frame: &Frame<'_>) -> bool {
    if let FrameKind::Upgrade(head) = frame.kind {
        return head.has_secret || public_path(head).is_some_and(|(_, hidden)| hidden);
    }
    let FrameKind::Command(command) = frame.kind else { return false };
    let plain = sender.mechanism().is_none_or(|mechanism| *mechanism == MechanismName::PLAIN);
    match command.map(|command| &command.body) {
        Some(Body::PlainHello(_)) => true,
        Some(Body::Unknown(_) | Body::Malformed(_)) | None => plain,
        Some(_) => false,
    }
}
