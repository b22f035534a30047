//! One connection on its way to being opened: what its handshake showed, the key once it is found, the frames that are
//! held until they are whole.
//!
//! Invariants: nothing is held before there is a key, and no frame above [`Limits::sealed_bytes`]; what does not open is
//! not guessed at.

use super::boxes::{BoxKey, Sender, initiate_nonce, message_nonce, ready_nonce, welcome_nonce};
use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::zmtp::framer::At;
use crate::zmtp::keylog::{KEY_LENGTH, KeyLog, Pair, Public};
use crate::zmtp::wire::command::{Body, Command, curve_message};
use crate::zmtp::wire::curve::{BOX_OVERHEAD, VOUCHED};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::metadata::metadata;
use std::ops::Range;
use std::sync::Arc;

/// Octets of a MESSAGE before its box: its name, the short nonce.
const MESSAGE_CLEAR: usize = 8 + 8;

/// The longest box with metadata that is kept while there is no key; libzmq's are some 200 octets.
const LONGEST_WAITING: usize = 4096;

/// The metadata that a peer sent in a box.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Who sent it.
    pub direction: Direction,
    /// Its nonce.
    pub nonce: u64,
    /// Long-term key, vouch and metadata of INITIATE, metadata of READY.
    plain: Vec<u8>,
    metadata_at: usize,
}

impl Introduction {
    /// As the body of the command that brought it.
    pub fn body(&self) -> Body<'_> {
        Body::CurveOpened { nonce: self.nonce, client_key: self.client_key(), metadata: metadata(self.metadata()) }
    }

    /// What the metadata are parsed from.
    pub fn metadata(&self) -> &[u8] {
        &self.plain[self.metadata_at..]
    }

    /// The client's long-term key, from INITIATE.
    pub fn client_key(&self) -> Option<&[u8]> {
        (self.metadata_at > 0).then(|| &self.plain[..KEY_LENGTH])
    }
}

/// A frame that is not whole yet.
#[derive(Debug)]
pub struct Held {
    /// Its header as sent.
    pub header: FrameHeader,
    /// Where it began.
    pub at: At,
    /// The octets of its body so far.
    pub bytes: Vec<u8>,
    /// The latest place where one of them was found.
    pub reached: Position,
}

/// A MESSAGE that was opened in its place.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its short nonce.
    pub nonce: u64,
    /// More parts of the same message follow.
    pub more: bool,
    /// It holds a command, not a part of a message.
    pub command: bool,
    /// Where the content is.
    pub content: Range<usize>,
}

/// Why a frame was given back as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is no MESSAGE.
    Other,
    /// The key does not open it.
    Sealed,
}

/// Why nothing can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The log has the server's long-term secret key, which opened WELCOME and can open nothing else.
    LongTermOnly,
    /// The log has no key of this connection.
    NoKey,
    /// Of a long log only so many keys were tried.
    Limit,
}

/// The opening of one connection.
#[derive(Debug)]
pub struct Opening {
    keys: Arc<KeyLog>,
    /// The state of the log at the last look.
    generation: u64,
    /// Who sent HELLO.
    client: Direction,
    client_transient: Option<Public>,
    /// Nonce and box.
    welcome: Option<(Vec<u8>, Vec<u8>)>,
    server_transient: Option<Public>,
    /// Boxes with metadata that wait for a key: from the client and from the server.
    initiate: Option<(u64, Vec<u8>)>,
    ready: Option<(u64, Vec<u8>)>,
    key: Option<BoxKey>,
    /// Something did open.
    proven: bool,
    client_secret_known: bool,
    /// Pairs tried, and how far in the log.
    tried: usize,
    servers_seen: usize,
    transients_seen: usize,
    /// Frames under way.
    pub held: PerDirection<Option<Held>>,
    /// Where a frame began that was given up, which is not told yet.
    pub given_up: PerDirection<Option<At>>,
    /// What failed was told.
    pub told: PerDirection<bool>,
    spare: Vec<u8>,
}

impl Opening {
    /// With these keys, nothing known yet.
    pub fn new(keys: Arc<KeyLog>) -> Self {
        Self {
            generation: keys.generation(),
            keys,
            client: Direction::ClientToServer,
            client_transient: None,
            welcome: None,
            server_transient: None,
            initiate: None,
            ready: None,
            key: None,
            proven: false,
            client_secret_known: false,
            tried: 0,
            servers_seen: 0,
            transients_seen: 0,
            held: PerDirection::default(),
            given_up: PerDirection::default(),
            told: PerDirection::default(),
            spare: Vec::new(),
        }
    }

    /// Whether something of this connection was opened.
    pub fn is_open(&self) -> bool {
        self.proven
    }

    /// Whether there is a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Why there is none.
    pub fn want(&self, limits: &Limits) -> Want {
        match (self.server_transient, self.tried) {
            (Some(_), _) => Want::LongTermOnly,
            (None, tried) if tried >= limits.curve_keys => Want::Limit,
            (None, _) => Want::NoKey,
        }
    }

    /// A command of the handshake. Gives what it and those before it say, as far as that can be opened by now.
    pub fn handshake(&mut self, direction: Direction, command: &Command<'_>, limits: &Limits) -> Vec<Introduction> {
        // Each is sent once; of what a hostile stream repeats, the first counts.
        match &command.body {
            Body::CurveHello(hello) if self.client_transient.is_none() => {
                self.client = direction;
                self.client_transient = hello.client_transient.try_into().ok();
            }
            Body::CurveWelcome(welcome) if self.welcome.is_none() => {
                self.welcome = Some((welcome.nonce.into(), welcome.welcome_box.into()));
            }
            Body::CurveInitiate(initiate) if self.initiate.is_none() => {
                self.initiate = Some((initiate.nonce, initiate.initiate_box.into()));
            }
            Body::CurveBox(ready) if command.name == b"READY" && self.ready.is_none() => {
                self.ready = Some((ready.nonce, ready.sealed.into()));
            }
            _ => return Vec::new(),
        }
        self.find_key(limits);
        let introductions = self.introductions();
        // Still waiting for a key: metadata of this size are nobody's, but would be kept for every connection.
        for waiting in [&mut self.initiate, &mut self.ready] {
            waiting.take_if(|(_, sealed)| sealed.len() > LONGEST_WAITING);
        }
        introductions
    }

    /// Tries again if the log has grown.
    pub fn look_again(&mut self, limits: &Limits) -> Vec<Introduction> {
        let generation = self.keys.generation();
        if self.key.is_some() || std::mem::replace(&mut self.generation, generation) == generation {
            return Vec::new();
        }
        self.find_key(limits);
        self.introductions()
    }

    fn find_key(&mut self, limits: &Limits) {
        self.search(limits);
        if self.key.is_some() {
            return;
        }
        self.keys.look();
        let generation = self.keys.generation();
        if std::mem::replace(&mut self.generation, generation) != generation {
            self.search(limits);
        }
    }

    fn search(&mut self, limits: &Limits) {
        let Some(client_transient) = self.client_transient.filter(|_| self.key.is_none()) else { return };
        if let Some(agreed) = self.keys.session(&client_transient) {
            self.key = Some(BoxKey::given(&agreed));
            return;
        }
        let client_secret = self.keys.secret(&client_transient);
        if client_secret.is_some() && !std::mem::replace(&mut self.client_secret_known, true) {
            // With it also those may open that were tried without.
            (self.tried, self.servers_seen, self.transients_seen) = (0, 0, 0);
        }
        // `None` from a pair of which the needed half is not in the log.
        let key_with = |pair: &Pair| match (&client_secret, &pair.secret) {
            (Some(secret), _) => Some(BoxKey::agreed(&pair.public, secret)),
            (None, Some(secret)) => Some(BoxKey::agreed(&client_transient, secret)),
            (None, None) => None,
        };
        if self.server_transient.is_none()
            && let Some((nonce, welcome_box)) = &self.welcome
        {
            let nonce = welcome_nonce(nonce);
            let most = limits.curve_keys.saturating_sub(self.tried);
            let mut tried = 0;
            let (found, seen) = self.keys.find_server(self.servers_seen, most, |pair| {
                tried += 1;
                let plain = key_with(pair)?.open(&nonce, welcome_box)?;
                plain.get(..KEY_LENGTH)?.try_into().ok()
            });
            (self.server_transient, self.servers_seen) = (found, seen);
            self.tried += tried;
        }
        if let Some(server_transient) = &self.server_transient {
            let server_secret = || self.keys.secret(server_transient);
            self.key = match client_secret {
                Some(secret) => Some(BoxKey::agreed(server_transient, &secret)),
                None => server_secret().map(|secret| BoxKey::agreed(&client_transient, &secret)),
            };
            return;
        }
        // Which transient pair of the server belongs to this connection, only a box with metadata can tell.
        let sealed = match (&self.initiate, &self.ready) {
            (Some((nonce, sealed)), _) => (initiate_nonce(*nonce), sealed),
            (None, Some((nonce, sealed))) => (ready_nonce(*nonce), sealed),
            (None, None) => return,
        };
        let most = limits.curve_keys.saturating_sub(self.tried);
        let mut tried = 0;
        let (found, seen) = self.keys.find_server_transient(self.transients_seen, most, |pair| {
            tried += 1;
            key_with(pair).filter(|key| key.open(&sealed.0, sealed.1).is_some())
        });
        (self.key, self.transients_seen) = (found, seen);
        self.tried += tried;
    }

    /// Opens the boxes with metadata that wait for it.
    fn introductions(&mut self) -> Vec<Introduction> {
        let Some(key) = &self.key else { return Vec::new() };
        let initiate = self.initiate.take().and_then(|(nonce, sealed)| {
            let plain = key.open(&initiate_nonce(nonce), &sealed).filter(|plain| plain.len() >= VOUCHED)?;
            Some(Introduction { direction: self.client, nonce, plain, metadata_at: VOUCHED })
        });
        let ready = self.ready.take().and_then(|(nonce, sealed)| {
            let plain = key.open(&ready_nonce(nonce), &sealed)?;
            Some(Introduction { direction: self.client.reverse(), nonce, plain, metadata_at: 0 })
        });
        let introductions: Vec<_> = initiate.into_iter().chain(ready).collect();
        self.proven |= !introductions.is_empty();
        introductions
    }

    /// Holds a frame from its header on, if there is a key and it is not too long. Says whether it does.
    pub fn hold(&mut self, direction: Direction, header: FrameHeader, at: At, limits: &Limits) -> bool {
        let holds = self.key.is_some() && header.length <= limits.sealed_bytes as u64;
        self.held[direction] = holds.then(|| {
            let bytes = std::mem::take(&mut self.spare);
            Held { header, at, bytes, reached: at.position }
        });
        holds
    }

    /// The frame that is held in this direction gets so many octets longer. Gives it back if it is too long to be held.
    pub fn lengthen(&mut self, direction: Direction, length: u64, limits: &Limits) -> Option<Held> {
        let held = self.held[direction].as_mut()?;
        let total = held.header.length.saturating_add(length);
        if total > limits.sealed_bytes as u64 {
            return self.held[direction].take();
        }
        held.header.length = total;
        None
    }

    /// More octets of the frame that is held in this direction. Says whether one is.
    pub fn more(&mut self, direction: Direction, bytes: &[u8], position: Position) -> bool {
        let Some(held) = &mut self.held[direction] else { return false };
        held.bytes.extend_from_slice(bytes);
        if (held.reached.at, held.reached.packet) < (position.at, position.packet) {
            held.reached = position;
        }
        true
    }

    /// Opens a whole frame in its place.
    pub fn open(&mut self, direction: Direction, held: &mut Held) -> Result<Opened, Failed> {
        let sealed = curve_message(&held.bytes).ok_or(Failed::Other)?;
        let nonce = sealed.nonce;
        let key = self.key.as_ref().ok_or(Failed::Sealed)?;
        let sender = if direction == self.client { Sender::Client } else { Sender::Server };
        let plain = key.open_in_place(&message_nonce(sender, nonce), &mut held.bytes[MESSAGE_CLEAR..]);
        let flags = *plain.and_then(<[u8]>::first).ok_or(Failed::Sealed)?;
        self.proven = true;
        let content = MESSAGE_CLEAR + BOX_OVERHEAD + 1..held.bytes.len();
        Ok(Opened { nonce, more: flags & 0x01 != 0, command: flags & 0x02 != 0, content })
    }

    /// Octets of memory: of frames under way, of boxes that wait for a key.
    pub fn memory(&self) -> usize {
        let frame = |direction| self.held[direction].as_ref().map_or(0, |held| held.bytes.capacity());
        let waiting = |sealed: &Option<(u64, Vec<u8>)>| sealed.as_ref().map_or(0, |(_, sealed)| sealed.capacity());
        let welcome = self.welcome.as_ref().map_or(0, |(nonce, sealed)| nonce.capacity() + sealed.capacity());
        let frames = frame(Direction::ClientToServer) + frame(Direction::ServerToClient);
        frames + self.spare.capacity() + welcome + waiting(&self.initiate) + waiting(&self.ready)
    }

    /// Memory is short: gives up the boxes that wait for a key, and what is kept for reuse.
    pub fn release(&mut self) {
        (self.initiate, self.ready, self.spare) = (None, None, Vec::new());
    }

    /// A frame was passed on: its buffer is used for the next one, unless it is large.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        const LARGEST_KEPT: usize = 16 << 10;
        if bytes.capacity() <= LARGEST_KEPT {
            bytes.clear();
            self.spare = bytes;
        }
    }
}
