//! Captures that are compressed.

use super::*;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A frame without checksum and with a window of `1 << log` bytes, in raw blocks of some bytes each.
fn zstd_blocks(log: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    for chunk in bytes.chunks(50) {
        frame.extend(&((chunk.len() as u32) << 3).to_le_bytes()[..3]);
        frame.extend(chunk);
    }
    frame.extend([1, 0, 0]);
    frame
}

/// Packets that differ, with some that repeat.
fn long_sample() -> Vec<u8> {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    for number in 0..5000_u32 {
        let bytes = number.wrapping_mul(0x9e37_79b9).to_le_bytes().repeat(1 + number as usize % 7);
        file.extend(LITTLE.record(number, 0, &bytes, bytes.len() as u32));
    }
    file
}

#[test]
fn compressed_files_hold_the_same_packets() {
    for file in [pcapng_sample(BIG), pcap_sample(LITTLE, 0xa1b2_c3d4), long_sample()] {
        let plain = read(&file);
        for compressed in [gzip(&file), zstd(&file), zstd_blocks(17, &file)] {
            assert_eq!(read(&compressed), plain);
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    let file = long_sample();
    let plain = read(&file);
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5];
    for cut in [0, 10, 24, 1000, file.len()] {
        let (front, back) = file.split_at(cut);
        assert_eq!(read(&[gzip(front), gzip(b""), gzip(back)].concat()), plain);
        let frames = [&skippable[..], &zstd(front), &skippable, &zstd_blocks(10, back)].concat();
        assert_eq!(read(&frames), plain);
    }
}

#[test]
fn short_reads_of_compressed_files_change_nothing() {
    let file = long_sample();
    for compressed in [gzip(&file), zstd(&file)] {
        let drip = formats::Drip(Cursor::new(compressed), false);
        let source = FileSource::from_reader("drip", Box::new(drip), None).expect("a capture");
        assert_eq!(drain(source), {
            let (seen, stats) = read(&file);
            (seen, InputStats { name: "drip".to_owned(), ..stats })
        });
    }
}

#[test]
fn progress_counts_compressed_bytes() {
    let compressed = gzip(&long_sample());
    let size = compressed.len() as u64;
    let mut source = FileSource::from_reader("test", Box::new(Cursor::new(compressed)), Some(size)).expect("a capture");
    while let Next::Packet(_) = source.next_packet().expect("memory does not fail") {}
    assert_eq!((source.stats().read_bytes, source.stats().total_bytes), (size, Some(size)));
}

/// Whatever is missing behind, what is there is read.
#[test]
fn a_compressed_file_may_be_cut_off_anywhere() {
    let file = long_sample();
    let (plain, _) = read(&file);
    let blocks = zstd_blocks(22, &file);
    for (compressed, name, first) in
        [(gzip(&file), "gzip", 1000), (zstd(&file), "zstd", 128 << 10), (blocks, "zstd", 1000)]
    {
        let mut most = 0;
        for length in (0..compressed.len()).step_by(97).chain([compressed.len() - 1]) {
            match open(&compressed[..length]) {
                Ok(source) => {
                    let (seen, stats) = drain(source);
                    assert_eq!(seen, plain[..seen.len()]);
                    let words = format!("the {name} data are cut off");
                    assert!(stats.warnings[0].starts_with(&words), "{:?}", stats.warnings);
                    assert!(seen.len() >= most, "more bytes, fewer packets");
                    most = seen.len();
                }
                Err(error) => assert!(length < first, "{length}: {error}"),
            }
        }
        assert_eq!(most, plain.len(), "only the end mark was missing");
    }
}

#[test]
fn damage_inside_is_told_and_what_came_before_is_read() {
    let file = long_sample();
    let (plain, _) = read(&file);
    for (mut compressed, name) in [(gzip(&file), "gzip"), (zstd_blocks(20, &file), "zstd")] {
        let middle = compressed.len() / 2;
        compressed[middle..middle + 60].fill(0xff);
        let (seen, stats) = read(&compressed);
        assert!((1000..plain.len()).contains(&seen.len()), "{name}: {}", seen.len());
        assert_eq!(seen[..1000], plain[..1000]);
        assert!(stats.warnings[0].contains("damaged"), "{:?}", stats.warnings);
    }
    for mut compressed in [gzip(&file), zstd(&file)] {
        let last = compressed.len() - 5;
        compressed[last + 1] ^= 1;
        let (seen, stats) = read(&compressed);
        assert_eq!(seen, plain);
        assert!(stats.warnings[0].contains("are damaged"), "{:?}", stats.warnings);
    }
}

#[test]
fn a_window_larger_than_any_is_not_allocated() {
    let error = open(&zstd_blocks(40, &pcap_sample(LITTLE, 0xa1b2_c3d4))).err().expect("too large").to_string();
    assert!(error.contains("the zstd data ask for 1099511627776 bytes of memory, more than 134217728"), "{error}");
}

#[test]
fn what_is_compressed_and_no_capture_is_named() {
    for (bytes, words) in [
        (gzip(b"no capture at all, not at all"), "inside gzip: not a capture: neither pcap nor pcapng"),
        (zstd(b""), "inside zstd: empty"),
        (gzip(&gzip(&pcap_sample(LITTLE, 0xa1b2_c3d4))), "inside gzip: compressed with gzip: decompress"),
        (b"\x1f\x8b\x08\0\0".to_vec(), "nothing in it can be read: the gzip data are cut off"),
        (b"\x28\xb5\x2f\xfd\0".to_vec(), "nothing in it can be read: the zstd data are cut off"),
    ] {
        let error = open(&bytes).err().expect("no capture").to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Bytes from a reader that fails after them.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::from_raw_os_error(5)),
            count => Ok(count),
        }
    }
}

#[test]
fn a_disk_that_fails_is_an_error_also_below_a_decompressor() {
    let file = long_sample();
    for compressed in [gzip(&file), zstd(&file)] {
        let half = compressed[..compressed.len() / 2].to_vec();
        let opened = FileSource::from_reader("test", Box::new(Failing(Cursor::new(half))), None);
        let failed = opened.and_then(|mut source| {
            while let Next::Packet(_) = source.next_packet()? {}
            Ok(())
        });
        assert!(matches!(failed, Err(CaptureError::Io { source, .. }) if source.raw_os_error() == Some(5)));
    }
}

/// No panic, no endless loop.
#[test]
fn any_byte_of_a_compressed_file_may_be_wrong() {
    let file = pcapng_sample(LITTLE);
    for compressed in [gzip(&file), zstd(&file), zstd(&file.repeat(50)), zstd_blocks(10, &file)] {
        for at in 0..compressed.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut compressed = compressed.clone();
                compressed[at] = value;
                if let Ok(source) = open(&compressed) {
                    drain(source);
                }
            }
        }
    }
}
