//! Cut-off, damaged and hostile files.

use super::*;

/// Every prefix of every kind of file yields the packets that are whole in it, and says so if it ends within one.
#[test]
fn a_file_may_end_anywhere() {
    let mut files = vec![pcapng_parts(LITTLE), pcapng_parts(BIG)];
    for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
        files.extend([pcap_parts(LITTLE, magic), pcap_parts(BIG, magic)]);
    }
    for parts in files {
        let file = parts.concat();
        let (whole, _) = read(&file);
        let mut ends = vec![0];
        ends.extend(parts.iter().scan(0, |end, part| {
            *end += part.len();
            Some(*end)
        }));
        for length in 0..=file.len() {
            let Ok(source) = open(&file[..length]) else {
                assert!(length < pcap::FILE_HEADER);
                continue;
            };
            let (seen, stats) = drain(source);
            assert_eq!(seen, whole[..seen.len()]);
            let parts = ends.iter().filter(|&&end| end <= length).count() - 1;
            let (again, _) = read(&file[..ends[parts].max(pcap::FILE_HEADER)]);
            assert_eq!(seen.len(), again.len());
            let cut = stats.warnings.iter().any(|text| text.contains("cut off"));
            assert_eq!(cut, !ends.contains(&length), "{length}");
        }
    }
}

#[test]
fn a_cut_off_tail_is_told_with_the_packet_and_what_is_left() {
    let file = pcap_sample(LITTLE, 0xa1b2_c3d4);
    let (seen, stats) = read(&file[..file.len() - 2]);
    assert_eq!(seen.len(), 2);
    let expected = "the file is cut off in the middle of packet 3 (19 bytes left)";
    assert_eq!(stats.warnings, [expected]);
}

#[test]
fn damage_ends_the_file_with_what_was_read() {
    let intact = pcapng_sample(LITTLE);
    let mut wrong_trailer = LITTLE.packet(0, 1, b"abc", 3);
    *wrong_trailer.last_mut().expect("not empty") = 1;
    for (damage, words) in [
        (LITTLE.words(&[6, 0xffff_fff0, 0]), "packet 3 claims 4294967280 bytes"),
        (LITTLE.words(&[1, 0xffff_fff0, 0]), "claims to be longer"),
        (LITTLE.words(&[6, 8, 0]), "shorter than its own frame"),
        (wrong_trailer, "ends with another length"),
        (LITTLE.packet(7, 1, b"abc", 3), "contradicts itself"),
        (LITTLE.block(6, &LITTLE.words(&[0, 0, 0, 99, 99])), "contradicts itself"),
        (LITTLE.block(6, b"1234"), "contradicts itself"),
        (LITTLE.block(1, b""), "cannot be parsed"),
        (LITTLE.block(0x0a0d_0d0a, b"nomagic!"), "no byte-order magic"),
    ] {
        let (seen, stats) = read(&[&intact[..], &damage, &intact].concat());
        assert_eq!(seen.len(), 2);
        assert!(stats.warnings[0].contains(words), "{:?}", stats.warnings);
    }
    let hostile = LITTLE.words(&[0, 0, u32::MAX, u32::MAX]);
    let (seen, stats) = read(&[pcap_sample(LITTLE, 0xa1b2_c3d4), hostile].concat());
    assert_eq!(seen.len(), 3);
    assert!(stats.warnings[0].contains("packet 4 claims 4294967295 bytes"));
}

#[test]
fn what_is_no_capture_is_named() {
    for (bytes, words) in [
        (&b""[..], "empty: not even"),
        (b"\xfd7zXZ\0\0\0", "compressed with xz: decompress"),
        (b"BZh91AY&SY", "compressed with bzip2: decompress"),
        (b"<!DOCTYPE html><html lang=de>", "(it begins with 3c21444f)"),
        (b"\xd4\xc3\xb2\xa1\x02\0", "cut off in its header: it has 6 bytes"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0no byte-order magic", "neither pcap nor pcapng"),
    ] {
        let error = open(bytes).err().expect("no capture").to_string();
        assert!(error.contains(words), "{error}");
    }
    let missing = FileSource::open(Path::new("no/such/file.pcap"));
    assert!(matches!(missing, Err(CaptureError::Io { .. })));
}

/// Any byte may be wrong: no panic, no endless loop.
#[test]
fn any_byte_may_be_wrong() {
    for file in [pcapng_sample(LITTLE), pcapng_sample(BIG), pcap_sample(BIG, 0xa1b2_c3d4)] {
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] = value;
                if let Ok(source) = open(&file) {
                    drain(source);
                }
            }
        }
    }
}
