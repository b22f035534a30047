//! Every feature of the formats.

use super::*;

#[test]
fn pcap_in_both_byte_orders_and_both_units() {
    for order in [LITTLE, BIG] {
        for (magic, unit, format) in [(0xa1b2_c3d4, 1_000, "pcap"), (0xa1b2_3c4d, 1, "pcap (ns)")] {
            let (seen, stats) = read(&pcap_sample(order, magic));
            let expected = [
                (1, 1_000_000_000 + 5 * unit, 1, b"abc".to_vec(), 3),
                (2, 0xffff_fff0 * 1_000_000_000 + 7 * unit, 1, vec![], 0),
                (3, 2_000_000_000, 1, b"defgh".to_vec(), 1500),
            ];
            assert_eq!(seen, expected);
            assert_eq!(stats.format, format);
            assert_eq!((stats.dropped, stats.warnings), (None, vec![]));
        }
    }
}

#[test]
fn the_frame_check_bits_are_not_part_of_the_link_type() {
    let file = [LITTLE.pcap(0xa1b2_c3d4, 0x4400_0001), LITTLE.record(0, 0, b"a", 1)].concat();
    assert_eq!(read(&file).0[0].2, 1);
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    let mut file = LITTLE.pcap(0xa1b2_cd34, 1);
    for byte in *b"ab" {
        file.extend(LITTLE.words(&[1, 2, 1, 1, 99, 99]));
        file.push(byte);
    }
    let (seen, stats) = read(&file);
    assert_eq!(seen[1], (2, 1_000_002_000, 1, b"b".to_vec(), 1));
    assert!(stats.warnings.is_empty());
}

#[test]
fn pcapng_in_both_byte_orders() {
    for order in [LITTLE, BIG] {
        let (seen, stats) = read(&pcapng_sample(order));
        let expected = [(1, 1_000_005_000, 1, b"abc".to_vec(), 3), (2, 100_000_000_005, 113, b"defgh".to_vec(), 1500)];
        assert_eq!(seen, expected);
        assert_eq!((stats.format, stats.dropped), ("pcapng", Some(3)));
        assert!(stats.warnings.is_empty());
    }
}

#[test]
fn clocks_of_any_unit() {
    let time = |resolution: u8, offset: i64, ticks: u64| {
        let offset = BIG.u64(offset.cast_unsigned());
        let options: [(u16, &[u8]); 2] = [(9, &[resolution]), (14, &offset)];
        let parts = [BIG.section(), BIG.interface(1, 0, &options), BIG.packet(0, ticks, b"", 0)];
        read(&parts.concat()).0[0].1
    };
    assert_eq!(time(0, 0, 3), 3_000_000_000);
    assert_eq!(time(3, 0, 1_500), 1_500_000_000);
    assert_eq!(time(12, 0, 1_999), 1);
    assert_eq!(time(127, 0, u64::MAX), 0);
    assert_eq!(time(0x80 | 0x14, 0, 3 << 19), 1_500_000_000);
    assert_eq!(time(0x80 | 0x40, 0, 1 << 63), 500_000_000);
    assert_eq!(time(0xff, 0, u64::MAX), 0);
    assert_eq!(time(6, -10, 1_000_000), -9_000_000_000);
    assert_eq!(time(0, 0, u64::MAX), i64::MAX);
    assert_eq!(time(6, i64::MIN, 0), i64::MIN);
}

#[test]
fn a_section_has_its_own_byte_order_and_interfaces() {
    let file = [pcapng_sample(LITTLE), pcapng_sample(BIG)].concat();
    let (seen, stats) = read(&file);
    let numbers: Vec<_> = seen.iter().map(|packet| (packet.0, packet.2)).collect();
    assert_eq!(numbers, [(1, 1), (2, 113), (3, 1), (4, 113)]);
    assert_eq!(stats.dropped, Some(6));
}

#[test]
fn the_last_statistics_of_an_interface_count() {
    let more = [LITTLE.statistics(0, 5), LITTLE.statistics(1, 7), LITTLE.statistics(9, 100)];
    let (_, stats) = read(&[pcapng_sample(LITTLE), more.concat()].concat());
    assert_eq!(stats.dropped, Some(12));
}

/// `epb_dropcount` counts what was dropped before its packet, the statistics all of it: the same drops.
#[test]
fn packets_tell_of_drops_before_them() {
    for order in [LITTLE, BIG] {
        let packet = |options: &[(u16, &[u8])]| {
            let body = [order.words(&[0, 0, 7, 3, 3]), b"abc\0".to_vec(), order.options(options)];
            order.block(6, &body.concat())
        };
        let flags = order.u32(1);
        let drops = |count: u64| packet(&[(2, &flags), (4, &order.u64(count)), (2, &flags)]);
        let file = [order.section(), order.interface(1, 0, &[])].concat();
        let dropped = |blocks: &[Vec<u8>]| {
            let (seen, stats) = read(&[&file[..], &blocks.concat()].concat());
            assert_eq!(seen.len(), blocks.len() - usize::from(blocks.last() == Some(&order.statistics(0, 9))));
            stats.dropped
        };
        assert_eq!(dropped(&[packet(&[]), packet(&[(2, &flags)])]), None);
        assert_eq!(dropped(&[drops(0)]), Some(0));
        assert_eq!(dropped(&[drops(3), packet(&[]), drops(4)]), Some(7));
        assert_eq!(dropped(&[drops(3), drops(4), order.statistics(0, 9)]), Some(9));
        // Options that are not options: no drops, and the packet all the same.
        let broken =
            order.block(6, &[order.words(&[0, 0, 7, 3, 3]), b"abc\0\0\x04\x04\0\xff\xff\xff\xff".to_vec()].concat());
        assert_eq!(dropped(&[broken]), None);
    }
}

#[test]
fn simple_and_obsolete_packet_blocks() {
    for order in [LITTLE, BIG] {
        let simple = |length: u32, bytes: &[u8]| order.block(3, &[&order.u32(length), bytes].concat());
        let obsolete = [[order.u16(0), order.u16(4)].concat(), order.words(&[0, 2_000_000, 3, 3]), b"old".to_vec()];
        let file = [
            order.section(),
            order.interface(101, 4, &[]),
            order.block(2, &obsolete.concat()),
            simple(3, b"abc"),
            simple(9, b"abcd"),
        ];
        let (seen, stats) = read(&file.concat());
        let expected = [
            (1, 2_000_000_000, 101, b"old".to_vec(), 3),
            (2, 2_000_000_000, 101, b"abc".to_vec(), 3),
            (3, 2_000_000_000, 101, b"abcd".to_vec(), 9),
        ];
        assert_eq!(seen, expected);
        assert_eq!(stats.dropped, Some(4));
        assert!(stats.warnings[0].starts_with("2 packets hold no time"));
    }
}

/// One byte a read, and now and then an interruption.
pub(super) struct Drip(pub(super) Cursor<Vec<u8>>, pub(super) bool);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0.read(&mut buffer[..1])
    }
}

#[test]
fn short_reads_change_nothing() {
    for file in [pcapng_sample(BIG), pcap_sample(LITTLE, 0xa1b2_c3d4)] {
        let drip = Drip(Cursor::new(file.clone()), false);
        let source = FileSource::from_reader("drip", Box::new(drip), None).expect("a capture");
        assert_eq!(drain(source).0, read(&file).0);
    }
}

#[test]
fn packets_longer_than_the_buffer() {
    let long = vec![7; 3 << 20];
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    for _ in 0..3 {
        file.extend(LITTLE.record(1, 0, &long, 3 << 20));
        file.extend(LITTLE.record(1, 0, b"short", 5));
    }
    let (seen, stats) = read(&file);
    assert!(stats.warnings.is_empty());
    assert!(seen.iter().step_by(2).all(|packet| packet.3 == long));
    assert!(seen.iter().skip(1).step_by(2).all(|packet| packet.3 == b"short"));
}

#[test]
fn peeking_changes_nothing() {
    let mut source = open(&pcapng_sample(LITTLE)).expect("a capture");
    let mut times = Vec::new();
    while let Some(at) = source.peek_time().expect("memory does not fail") {
        assert_eq!(source.peek_time().expect("no failure"), Some(at));
        match source.next_packet().expect("no failure") {
            Next::Packet(packet) => assert_eq!(packet.at, at),
            other => panic!("{other:?}"),
        }
        times.push(at.0);
    }
    assert_eq!(times, [1_000_005_000, 100_000_000_005]);
}

#[cfg(feature = "libpcap")]
#[test]
fn a_filter_leaves_the_numbers_as_they_are() {
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    let other = [0; 60];
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    for bytes in [&arp[..], &other, &arp, &other] {
        file.extend(LITTLE.record(1, 0, bytes, 60));
    }
    let source = open(&file).expect("a capture").with_filter("arp");
    let mut source = source.expect("a right expression");
    let mut numbers = Vec::new();
    while let Next::Packet(packet) = source.next_packet().expect("no failure") {
        numbers.push(packet.id.number());
    }
    assert_eq!(numbers, [1, 3]);
    let stats = source.stats().inputs.remove(0);
    assert_eq!((stats.packets, stats.filtered), (4, 2));
}

#[cfg(not(feature = "libpcap"))]
#[test]
fn without_libpcap_there_is_no_filter() {
    let source = open(&pcapng_sample(LITTLE)).expect("a capture");
    let filtered = source.with_filter("tcp");
    assert!(matches!(filtered, Err(CaptureError::WithoutLibpcap)));
}

/// A pipe with the other end in this test: each read gives one of the pieces.
struct Pipe(std::collections::VecDeque<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.pop_front().expect("nobody waits for more than there is");
        space[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

#[test]
fn what_came_through_a_pipe_is_handed_on_before_more_is_waited_for() {
    let packet = |seconds| LITTLE.record(seconds, 0, b"octets", 6);
    let begin = [LITTLE.pcap(0xa1b2_c3d4, 1), packet(1), packet(2), packet(3)[..7].to_vec()].concat();
    let simple = |octet: u8| LITTLE.block(3, &[&LITTLE.u32(4)[..], &[octet; 4]].concat());
    let begin_ng =
        [LITTLE.section(), LITTLE.interface(1, 0, &[]), simple(1), simple(2), simple(3)[..9].to_vec()].concat();
    for (begin, rest) in [(begin, packet(3)[7..].to_vec()), (begin_ng, simple(3)[9..].to_vec())] {
        let pipe = Pipe([begin, rest, Vec::new()].into());
        let mut source = FileSource::from_reader("pipe", Box::new(pipe), None).unwrap();
        let mut batch = Batch::default();
        assert_eq!(source.fill(&mut batch, u64::MAX).unwrap(), Filled::Drained);
        assert_eq!(batch.packets().map(|packet| packet.id.number()).collect::<Vec<_>>(), [1, 2]);
        batch.clear();
        assert_eq!(source.fill(&mut batch, u64::MAX).unwrap(), Filled::Drained);
        assert_eq!(batch.packets().map(|packet| packet.id.number()).collect::<Vec<_>>(), [3]);
        batch.clear();
        assert_eq!(source.fill(&mut batch, u64::MAX).unwrap(), Filled::End);
    }
}
