//! Boxes (`crypto_box`: X25519, `XSalsa20`, Poly1305) and their nonces. The cryptography is that of the crate of this
//! name.

use crate::zmtp::keylog::{Public, Secret};
use crate::zmtp::wire::curve::BOX_OVERHEAD;
use crypto_box::aead::AeadInPlace;
use crypto_box::{PublicKey, SalsaBox, SecretKey, Tag};
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use std::fmt;

/// Who sealed a box; with what it is, that makes the first octets of its nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The side that sent HELLO, whichever opened the TCP connection.
    Client,
    /// The side that answers it.
    Server,
}

/// Nonce of the box in WELCOME: its prefix, then the 16 octets that are sent.
pub fn welcome_nonce(long: &[u8]) -> [u8; 24] {
    nonce(b"WELCOME-", long)
}

/// Nonce of the box in INITIATE.
pub fn initiate_nonce(short: u64) -> [u8; 24] {
    nonce(b"CurveZMQINITIATE", &short.to_be_bytes())
}

/// Nonce of the box in READY.
pub fn ready_nonce(short: u64) -> [u8; 24] {
    nonce(b"CurveZMQREADY---", &short.to_be_bytes())
}

/// Nonce of the box in MESSAGE.
pub fn message_nonce(sender: Sender, short: u64) -> [u8; 24] {
    let prefix = match sender {
        Sender::Client => b"CurveZMQMESSAGEC",
        Sender::Server => b"CurveZMQMESSAGES",
    };
    nonce(prefix, &short.to_be_bytes())
}

fn nonce(prefix: &[u8], rest: &[u8]) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..prefix.len()].copy_from_slice(prefix);
    nonce[prefix.len()..].copy_from_slice(rest);
    nonce
}

/// The public half of the pair whose secret half this is.
pub fn public_of(secret: &Secret) -> Public {
    *SecretKey::from_bytes(**secret).public_key().as_bytes()
}

/// What opens the boxes between two key pairs.
pub enum BoxKey {
    /// From the public half of one and the secret half of the other.
    Agreed(SalsaBox),
    /// As one of the peers computed it.
    Given(XSalsa20Poly1305),
}

impl BoxKey {
    /// The key that the owner of `secret` shares with the owner of `public`.
    pub fn agreed(public: &Public, secret: &Secret) -> Self {
        Self::Agreed(SalsaBox::new(&PublicKey::from_bytes(*public), &SecretKey::from_bytes(**secret)))
    }

    /// That key itself.
    pub fn given(key: &Secret) -> Self {
        Self::Given(XSalsa20Poly1305::new((&**key).into()))
    }

    /// Opens a box where it is, authenticator first. `None` if it was sealed with another key or nonce, or was changed;
    /// its octets are as before, then.
    pub fn open_in_place<'a>(&self, nonce: &[u8; 24], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let (tag, body) = sealed.split_at_mut_checked(BOX_OVERHEAD)?;
        let tag = Tag::clone_from_slice(tag);
        let opened = match self {
            Self::Agreed(key) => key.decrypt_in_place_detached(nonce.into(), b"", body, &tag),
            Self::Given(key) => key.decrypt_in_place_detached(nonce.into(), b"", body, &tag),
        };
        opened.ok().map(|()| &*body)
    }

    /// What is in a box.
    pub fn open(&self, nonce: &[u8; 24], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = sealed.to_vec();
        self.open_in_place(nonce, &mut sealed).map(<[u8]>::to_vec)
    }
}

impl fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxKey")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use zeroize::Zeroizing;

    /// Octets written in hexadecimal.
    pub(crate) fn octets<const N: usize>(text: &str) -> [u8; N] {
        let octet = |at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal");
        std::array::from_fn(octet)
    }

    // The vectors of libsodium's and RustCrypto's tests.
    const ALICE: &str = "ac3a70ba35df3c3fae427a7c72021d68f2c1e044040b75f17313c0c8b5d4241d";
    const BOB_SECRET: &str = "b581fb5ae182a16f603f39270d4e3b95bc008310b727a11dd4e784a0044d461b";
    const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    const SEALED: &str = "c03f27d188ef650cd12936913137bb17ed4c98c2648939e2e1d2e855470a7b8c632cabfd5ab3b3c2d313dc8c9ecf5da173e1f9c318cdef1dced6d2519e695085e6b5c401a2bd5331442986c7076d412625497c4cb2fd94c6f103961033b2c930d7e82e0341f29d3879bd6ab9d881ea3a1f365d634e653c6e171aac7fc1e76934d23be6f04a54010808dbf0f9bd30f63b68d026";
    const PLAIN: &str = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705";

    #[test]
    fn a_box_opens_for_its_receiver_only_and_only_whole() {
        let (nonce, sealed) = (octets(NONCE), octets::<147>(SEALED));
        let bob = Zeroizing::new(octets(BOB_SECRET));
        let key = BoxKey::agreed(&octets(ALICE), &bob);
        assert_eq!(key.open(&nonce, &sealed), Some(octets::<131>(PLAIN).to_vec()));
        assert_eq!(BoxKey::agreed(&public_of(&bob), &bob).open(&nonce, &sealed), None, "another key");
        assert_eq!(key.open(&[0; 24], &sealed), None, "another nonce");
        assert_eq!(key.open(&nonce, &sealed[..sealed.len() - 1]), None, "cut");
        assert_eq!(key.open(&nonce, &sealed[..15]), None, "no authenticator");
        for at in 0..sealed.len() {
            let mut damaged = sealed;
            damaged[at] ^= 0x10;
            let before = damaged;
            assert_eq!(key.open_in_place(&nonce, &mut damaged), None, "octet {at} damaged");
            assert_eq!(damaged, before, "what does not open is left alone");
        }
    }

    #[test]
    fn nonces_are_prefix_and_count() {
        assert_eq!(&message_nonce(Sender::Client, 3), b"CurveZMQMESSAGEC\0\0\0\0\0\0\0\x03");
        assert_eq!(&message_nonce(Sender::Server, 258), b"CurveZMQMESSAGES\0\0\0\0\0\0\x01\x02");
        assert_eq!(&initiate_nonce(2), b"CurveZMQINITIATE\0\0\0\0\0\0\0\x02");
        assert_eq!(&ready_nonce(1), b"CurveZMQREADY---\0\0\0\0\0\0\0\x01");
        assert_eq!(&welcome_nonce(b"0123456789abcdef"), b"WELCOME-0123456789abcdef");
    }
}
