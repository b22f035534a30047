//! Key logs: secrets that a peer, or a tool beside it, wrote down so that its CURVE connections can be opened.
//!
//! One key a line; keys are 64 hexadecimal digits. `#` begins a comment. What a line may say:
//!
//! ```text
//! PUBLIC SECRET                            any key pair, as libsodium's crypto_box_keypair made it
//! CURVE_CLIENT_TRANSIENT [PUBLIC] SECRET   C' c', of one connection
//! CURVE_SERVER_TRANSIENT [PUBLIC] SECRET   S' s', of one connection
//! CURVE_SERVER [PUBLIC] SECRET             S s, the server's long-term pair
//! CURVE_SERVER_PUBLIC PUBLIC               S alone, as clients are configured with it
//! CURVE_SESSION PUBLIC [PUBLIC] KEY        C', or C' and S' in any order, and the key that both transient pairs agree
//!                                          on (crypto_box_beforenm); who sees only that call cannot tell which is C'
//! ```
//!
//! A log may grow while it is used. Secrets are zeroed when it is dropped, and are not in its `Debug` output.

use super::curve::boxes::public_of;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zeroize::Zeroizing;

/// Octets of a key, public, secret or agreed.
pub const KEY_LENGTH: usize = 32;

/// A public key.
pub type Public = [u8; KEY_LENGTH];

/// A secret key, or an agreed one.
pub type Secret = Zeroizing<[u8; KEY_LENGTH]>;

/// So many servers that were proven to be one are tried before all others.
const PROVEN: usize = 16;

/// What a key pair is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line without a label.
    Any,
    /// Of a client, for one connection.
    ClientTransient,
    /// Of a server, for one connection.
    ServerTransient,
    /// Of a server, for all its connections.
    Server,
}

/// A key pair, or the public half of one.
pub struct Pair {
    /// What the log says it is.
    pub kind: Kind,
    /// Its public half.
    pub public: Public,
    /// Its secret half.
    pub secret: Option<Secret>,
}

/// A line that says nothing usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it; never its content.
    pub why: &'static str,
}

/// All keys of a log. Shared by all sessions; what is added later is found by those that still wait.
#[derive(Default)]
pub struct KeyLog {
    keys: RwLock<Keys>,
    /// Counts additions, so that who waits need not look in vain.
    generation: AtomicU64,
    /// Where more of it comes from.
    source: Mutex<Option<Box<dyn Source>>>,
}

/// Where the lines of a log that grows come from.
pub trait Source: Send {
    /// Adds to `log` what is new, without waiting for anything.
    fn look(&mut self, log: &KeyLog);
}

#[derive(Default)]
struct Keys {
    pairs: Vec<Pair>,
    by_public: FxHashMap<Public, usize>,
    sessions: FxHashMap<Public, Secret>,
    /// Pairs that opened a WELCOME, the latest last.
    proven: Vec<usize>,
    /// Transient pairs that were found to belong to a connection, and so to no other.
    spent: FxHashSet<usize>,
}

impl KeyLog {
    /// The keys in `text`, and what could not be understood.
    pub fn parse(text: &str) -> (Self, Vec<BadLine>) {
        let log = Self::default();
        let bad = log.add(0, text);
        (log, bad)
    }

    /// More lines, all of them whole, after so many that were `before`.
    pub fn add(&self, before: u64, text: &str) -> Vec<BadLine> {
        let mut keys = self.write();
        let mut bad = Vec::new();
        let known = (keys.pairs.len(), keys.sessions.len());
        for (line, words) in (before + 1..).zip(text.lines()) {
            if let Err(why) = keys.line(words) {
                bad.push(BadLine { line, why });
            }
        }
        if (keys.pairs.len(), keys.sessions.len()) != known {
            self.generation.fetch_add(1, Ordering::Release);
        }
        bad
    }

    /// Changes when keys are added.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// From now on `source` is asked for more whenever a connection lacks its key, and by [`Self::look`].
    pub fn follow(&self, source: impl Source + 'static) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(source));
    }

    /// Adds what is new where it comes from. A connection that lacks its key calls this at once and not when the next
    /// packet comes: peers log a key before they send what it opens, but many packets may be taken apart in one go.
    pub fn look(&self) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = &mut *source {
            source.look(self);
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        let keys = self.read();
        keys.pairs.len() + keys.sessions.len()
    }

    /// The agreed key of the connection with this client's transient key.
    pub fn session(&self, client_transient: &Public) -> Option<Secret> {
        self.read().sessions.get(client_transient).cloned()
    }

    /// The secret half of a pair.
    pub fn secret(&self, public: &Public) -> Option<Secret> {
        let keys = self.read();
        keys.by_public.get(public).and_then(|&at| keys.pairs[at].secret.clone())
    }

    /// Looks for a server's long-term pair that `opens`: first those that proved to be one, then all from number `from`
    /// on. Of those no more than `most` are tried; also gives where to go on when there are more keys.
    pub fn find_server<T>(
        &self,
        from: usize,
        most: usize,
        mut opens: impl FnMut(&Pair) -> Option<T>,
    ) -> (Option<T>, usize) {
        let keys = self.read();
        let proven = keys.proven.iter().rev();
        if let Some(found) = proven.into_iter().find_map(|&at| opens(&keys.pairs[at])) {
            return (Some(found), from);
        }
        let may = |at: usize, pair: &Pair| matches!(pair.kind, Kind::Any | Kind::Server) && !keys.spent.contains(&at);
        let (found, next) = keys.find(from, most, may, &mut opens);
        drop(keys);
        if let Some((at, found)) = found {
            let mut keys = self.write();
            keys.proven.push(at);
            if keys.proven.len() > PROVEN {
                keys.proven.remove(0);
            }
            return (Some(found), next);
        }
        (None, next)
    }

    /// Looks for a server's transient pair that `opens`, first among those that belong to no connection yet; see
    /// [`Self::find_server`].
    pub fn find_server_transient<T>(
        &self,
        from: usize,
        most: usize,
        mut opens: impl FnMut(&Pair) -> Option<T>,
    ) -> (Option<T>, usize) {
        let keys = self.read();
        let may = |pair: &Pair| matches!(pair.kind, Kind::Any | Kind::ServerTransient);
        let fresh = |at: usize, pair: &Pair| may(pair) && !keys.spent.contains(&at);
        let (found, next) = keys.find(from, most, fresh, &mut opens);
        // The same connection may be in the capture twice.
        let spent = |at: usize, pair: &Pair| may(pair) && keys.spent.contains(&at);
        let found = found.or_else(|| keys.find(from, most, spent, &mut opens).0);
        drop(keys);
        let found = found.map(|(at, found)| {
            self.write().spent.insert(at);
            found
        });
        (found, next)
    }

    // A panic while the lock was held leaves keys behind that are whole: they are only ever added.
    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn find<T>(
        &self,
        from: usize,
        most: usize,
        may: impl Fn(usize, &Pair) -> bool,
        opens: &mut impl FnMut(&Pair) -> Option<T>,
    ) -> (Option<(usize, T)>, usize) {
        let mut tried = 0;
        for (at, pair) in self.pairs.iter().enumerate().skip(from) {
            if !may(at, pair) {
                continue;
            }
            if tried == most {
                return (None, at);
            }
            tried += 1;
            if let Some(found) = opens(pair) {
                return (Some((at, found)), at);
            }
        }
        (None, self.pairs.len())
    }

    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let words = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        match words[..] {
            [] => {}
            ["CURVE_CLIENT_TRANSIENT", ref keys @ ..] => self.pair(Kind::ClientTransient, keys)?,
            ["CURVE_SERVER_TRANSIENT", ref keys @ ..] => self.pair(Kind::ServerTransient, keys)?,
            ["CURVE_SERVER", ref keys @ ..] => self.pair(Kind::Server, keys)?,
            ["CURVE_SERVER_PUBLIC", public] => {
                self.insert(Pair { kind: Kind::Server, public: *key(public)?, secret: None });
            }
            ["CURVE_SESSION", ref publics @ .., agreed] if (1..=2).contains(&publics.len()) => {
                let agreed = key(agreed)?;
                let publics: Vec<_> = publics.iter().map(|public| key(public)).collect::<Result<_, _>>()?;
                // No HELLO ever shows S' as its C', so that an entry for it harms nobody.
                self.sessions.extend(publics.into_iter().map(|public| (*public, agreed.clone())));
            }
            ["CURVE_SERVER_PUBLIC" | "CURVE_SESSION", ..] => return Err("not as many keys as this label takes"),
            [public, secret] if is_key_like(public) => self.pair(Kind::Any, &[public, secret])?,
            [one] if is_key_like(one) => return Err("a key alone, without a label that says what it is"),
            _ => return Err("neither a key pair nor a label that is known"),
        }
        Ok(())
    }

    fn pair(&mut self, kind: Kind, words: &[&str]) -> Result<(), &'static str> {
        let (public, secret) = match words {
            [secret] => (None, key(secret)?),
            [public, secret] => (Some(key(public)?), key(secret)?),
            _ => return Err("not as many keys as this label takes"),
        };
        let derived = public_of(&secret);
        if public.is_some_and(|public| *public != derived) {
            return Err("the public key does not belong to the secret one");
        }
        self.insert(Pair { kind, public: derived, secret: Some(secret) });
        Ok(())
    }

    fn insert(&mut self, pair: Pair) {
        let known = self.by_public.get(&pair.public).copied();
        match known.map(|at| &mut self.pairs[at]) {
            // The same again, or more about it.
            Some(known) if known.secret.is_some() || pair.secret.is_none() => {}
            _ => {
                self.by_public.insert(pair.public, self.pairs.len());
                self.pairs.push(pair);
            }
        }
    }
}

fn is_key_like(word: &str) -> bool {
    word.bytes().all(|octet| octet.is_ascii_hexdigit())
}

fn key(word: &str) -> Result<Secret, &'static str> {
    if word.len() != 2 * KEY_LENGTH || !is_key_like(word) {
        return Err("a key that is not 64 hexadecimal digits");
    }
    let mut key = Secret::default();
    for (octet, digits) in key.iter_mut().zip(word.as_bytes().chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
        *octet = value(digits[0]) << 4 | value(digits[1]);
    }
    Ok(key)
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} keys)", self.count())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("kind", &self.kind).field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Alice's and Bob's pairs of libsodium's and RustCrypto's test vectors.
    const ALICE: &str = "ac3a70ba35df3c3fae427a7c72021d68f2c1e044040b75f17313c0c8b5d4241d";
    const ALICE_SECRET: &str = "68f208412d8dd5db9d0c6d18512e86f0ec75665ab841372d57b042b27ef89d4c";
    const BOB: &str = "e8980c86e032f1eb2975052e8d65bddd15c3b59641174ec9678a53789d92c754";
    const BOB_SECRET: &str = "b581fb5ae182a16f603f39270d4e3b95bc008310b727a11dd4e784a0044d461b";

    fn public(text: &str) -> Public {
        *key(text).expect("a key")
    }

    fn secret(log: &KeyLog, of: &str) -> Option<String> {
        log.secret(&public(of)).map(|secret| crate::base::text::hex(&*secret))
    }

    #[test]
    fn a_pair_with_and_without_its_public_half() {
        for line in [
            format!("{ALICE} {ALICE_SECRET}"),
            format!("  CURVE_CLIENT_TRANSIENT\t{ALICE} {ALICE_SECRET}  # c0"),
            format!("CURVE_SERVER_TRANSIENT {ALICE_SECRET}"),
            format!("CURVE_SERVER {}", ALICE_SECRET.to_uppercase()),
        ] {
            let (log, bad) = KeyLog::parse(&line);
            assert_eq!(bad, [], "{line}");
            assert_eq!(secret(&log, ALICE).as_deref(), Some(ALICE_SECRET), "{line}");
            assert_eq!(log.count(), 1);
        }
    }

    #[test]
    fn a_session_key_and_a_servers_public_key() {
        let (log, bad) = KeyLog::parse(&format!("CURVE_SESSION {ALICE} {BOB_SECRET}\nCURVE_SERVER_PUBLIC {BOB}\n"));
        assert_eq!(bad, []);
        assert!(log.session(&public(ALICE)).is_some() && log.session(&public(BOB)).is_none());
        assert_eq!(secret(&log, BOB), None);
        let (found, _) = log.find_server(0, 9, |pair| Some(pair.public));
        assert_eq!(found, Some(public(BOB)));
        assert_eq!(log.find_server_transient(0, 9, |_| Some(())).0, None, "it was said to be none");
        // The other half may come later, from the server.
        let generation = log.generation();
        assert_eq!(log.add(2, &format!("{BOB} {BOB_SECRET}")), []);
        assert_ne!(log.generation(), generation);
        assert_eq!(secret(&log, BOB).as_deref(), Some(BOB_SECRET));
    }

    #[test]
    fn a_session_key_of_two_public_keys_is_that_of_either() {
        let (log, bad) = KeyLog::parse(&format!("CURVE_SESSION {ALICE} {BOB} {BOB_SECRET}\n"));
        assert_eq!(bad, []);
        assert_eq!(log.session(&public(ALICE)), log.session(&public(BOB)));
        assert!(log.session(&public(BOB)).is_some());
        let (log, bad) =
            KeyLog::parse(&format!("CURVE_SESSION {ALICE} {BOB} {ALICE} {BOB_SECRET}\nCURVE_SESSION x {BOB}"));
        assert_eq!((log.count(), bad.len()), (0, 2));
    }

    #[test]
    fn bad_lines_are_told_by_number_and_the_rest_is_used() {
        let text = format!(
            "# made by hand\n\n{ALICE} {BOB_SECRET}\n{BOB} {BOB_SECRET}\n{BOB}\nCURVE_SESSION {BOB}\nCLIENT_RANDOM 00 11\n\
             {ALICE} {}\n\u{fffd}\u{fffd}",
            &ALICE_SECRET[..40]
        );
        let (log, bad) = KeyLog::parse(&text);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3, 5, 6, 7, 8, 9]);
        assert_eq!(log.count(), 1);
        assert_eq!(log.add(9, "x")[0].line, 10);
    }

    #[test]
    fn secrets_are_not_shown() {
        let (log, _) = KeyLog::parse(&format!("{ALICE} {ALICE_SECRET}"));
        let (pair, _) = log.find_server(0, 1, |pair| Some(format!("{pair:?}")));
        let shown = format!("{log:?} {}", pair.expect("there is one"));
        let octets = format!("{:?}", &*key(ALICE_SECRET).expect("a key"));
        assert!(!shown.contains(ALICE_SECRET) && !shown.contains(octets.trim_matches(['[', ']'])), "{shown}");
    }

    #[test]
    fn a_transient_key_belongs_to_one_connection_first() {
        let (log, _) = KeyLog::parse(&format!("{ALICE} {ALICE_SECRET}\n{BOB} {BOB_SECRET}"));
        assert_eq!(log.find_server_transient(0, 9, |pair| Some(pair.public)), (Some(public(ALICE)), 0));
        assert_eq!(log.find_server_transient(0, 9, |pair| Some(pair.public)), (Some(public(BOB)), 1));
        assert_eq!(
            log.find_server_transient(0, 9, |pair| Some(pair.public)),
            (Some(public(ALICE)), 2),
            "or is seen twice"
        );
        let (log, _) = KeyLog::parse(&format!("{ALICE} {ALICE_SECRET}\n{BOB} {BOB_SECRET}"));
        assert_eq!(log.find_server(0, 1, |_| None::<()>), (None, 1), "only so many are tried at a time");
        assert_eq!(log.find_server(1, 1, |_| None::<()>), (None, 2));
    }
}
