//! Every stateless parser there is. Invariants: no panic; what is borrowed lies in the input, so that nothing of it is
//! longer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zmtpscope::base::direction::PerDirection;
use zmtpscope::zmtp::probe::probe;
use zmtpscope::zmtp::wire::command::{command, curve_message, is_known_name};
use zmtpscope::zmtp::wire::greeting::{MechanismName, greeting, short_greeting};
use zmtpscope::zmtp::wire::metadata::metadata;
use zmtpscope::zmtp::wire::socket_type::SocketType;
use zmtpscope::zmtp::wire::websocket::{self, Mask};
use zmtpscope::zmtp::wire::{curve, frame, gssapi, http, legacy, plain, radio, tsdu};

fuzz_target!(|bytes: &[u8]| {
    for mechanism in [MechanismName::NULL, MechanismName::PLAIN, MechanismName::CURVE, MechanismName::GSSAPI] {
        if let Some(parsed) = command(bytes, mechanism) {
            // With GSSAPI there is one without octets.
            assert!(parsed.name.len() <= bytes.len());
            let _ = parsed.curve_nonce();
        }
    }
    let parsed = metadata(bytes);
    let read: usize = parsed.properties.iter().map(|p| 1 + p.name.len() + 4 + p.value.len()).sum();
    assert_eq!(read + parsed.rest.len(), bytes.len());
    let _ = (parsed.value("Socket-Type"), SocketType::from_name(bytes));
    let _ = (curve_message(bytes), is_known_name(bytes));
    let _ =
        (curve::hello(bytes), curve::welcome(bytes), curve::initiate(bytes), curve::sealed(bytes), plain::hello(bytes));
    for (rest, parsed) in [greeting(bytes), short_greeting(bytes)].into_iter().flatten() {
        assert!(rest.len() < bytes.len());
        let _ = parsed.identity_length();
    }
    for (rest, _) in [frame::frame_header(bytes), legacy::frame_header(bytes)].into_iter().flatten() {
        assert!(rest.len() < bytes.len());
    }
    if let Ok((rest, header)) = websocket::frame_header(bytes) {
        assert!(rest.len() < bytes.len());
        let (mut clear, mut masked) = (Vec::new(), Vec::new());
        let mask = header.mask.unwrap_or(Mask([1, 2, 3, 4]));
        mask.remove(header.length, rest, &mut clear);
        mask.remove(header.length, &clear, &mut masked);
        assert_eq!(masked, rest, "masking twice changes nothing");
    }
    let _ = (http::head(bytes), http::may_begin(bytes));
    let _ = (gssapi::initiate(bytes), gssapi::wrapped(bytes), tsdu::evidence(bytes));
    if let Ok((_, parsed)) = radio::radio(bytes) {
        assert_eq!(1 + parsed.group.len() + parsed.body.len(), bytes.len());
    }
    let _ = MechanismName::is_plausible(bytes);
    let half = bytes.len() / 2;
    for is_final in [false, true] {
        let _ = probe(&PerDirection { c2s: bytes.to_vec(), s2c: Vec::new() }, is_final);
        let _ = probe(&PerDirection { c2s: bytes[..half].to_vec(), s2c: bytes[half..].to_vec() }, is_final);
    }
});
