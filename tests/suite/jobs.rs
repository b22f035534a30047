//! However many threads, and however packets are batched: the same output, byte by byte, of every view in every format.

use std::cell::RefCell;
use std::io::{self, Cursor, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use zmtpscope::analyze::engine::Options;
use zmtpscope::analyze::keys::KeyLog;
use zmtpscope::analyze::stages::{self, Outcome, Plan};
use zmtpscope::base::limits::Limits;
use zmtpscope::capture::batch::{Batch, Filled};
use zmtpscope::capture::error::CaptureError;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::merge::MergedSource;
use zmtpscope::capture::packet::{Next, PacketSource, SourceStats};
use zmtpscope::report::any_view::AnyView;
use zmtpscope::report::facts::CaptureFacts;
use zmtpscope::report::settings::{Format, Settings, ViewKind};

const KINDS: [ViewKind; 7] = [
    ViewKind::Analyze,
    ViewKind::Connections,
    ViewKind::Frames,
    ViewKind::Messages,
    ViewKind::Paths,
    ViewKind::Findings,
    ViewKind::Topology,
];

/// So many threads, beside one.
const JOBS: [usize; 2] = [2, 8];

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that gives no more than so many packets at a time.
struct Morsels<S>(S, u64);

impl<S: PacketSource> PacketSource for Morsels<S> {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        self.0.next_packet()
    }

    fn fill(&mut self, batch: &mut Batch, most: u64) -> Result<Filled, CaptureError> {
        self.0.fill(batch, most.min(self.1))
    }

    fn stats(&self) -> SourceStats {
        self.0.stats()
    }
}

/// What is shown of `source`, and whether it was read to its end.
fn shown(
    source: &mut dyn PacketSource,
    (kind, format): (ViewKind, Format),
    options: &Options,
    count: Option<u64>,
    jobs: usize,
) -> (String, bool) {
    let paper = Paper::default();
    let view = AnyView::new(kind, Settings { format, jobs, ..Settings::default() }, Box::new(paper.clone()));
    let plan = Plan { options: options.clone(), jobs, live: false, count, stop: &AtomicBool::new(false) };
    let outcome = stages::run(source, plan, view, &mut |_, _| ControlFlow::Continue(()));
    let Outcome { mut observer, health, span, stopped, failure } = outcome;
    assert!(failure.is_none(), "{failure:?}");
    let facts = CaptureFacts { health, span, stopped, source: source.stats(), ..CaptureFacts::default() };
    observer.finish(&facts).expect("paper takes everything");
    let written = String::from_utf8(paper.0.borrow().clone()).expect("text");
    (format!("{written}{:?}{:?}", facts, observer.counts()), stopped)
}

/// Every capture among the fixtures.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = std::fs::read_dir(folder).expect("the fixtures are part of the repository");
    let mut captures: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    captures.retain(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng" || end == "gz"));
    captures.sort();
    assert!(captures.len() >= 20, "fixtures are missing: {captures:?}");
    captures
}

/// The key log beside a capture, and else no difference from the default.
fn options(capture: &Path) -> Options {
    let keys = std::fs::read_to_string(capture.with_extension("keylog")).ok();
    Options { keys: keys.map(|text| Arc::new(KeyLog::parse(&text).0)), ..Options::default() }
}

fn open(capture: &Path) -> FileSource {
    FileSource::open(capture).expect("a fixture is a capture")
}

fn each_view(mut check: impl FnMut((ViewKind, Format))) {
    for kind in KINDS {
        check((kind, Format::Table));
        check((kind, Format::Jsonl));
    }
}

#[test]
fn every_view_of_every_fixture_is_the_same() {
    for capture in captures() {
        let options = options(&capture);
        each_view(|view| {
            let (expected, _) = shown(&mut open(&capture), view, &options, None, 1);
            for jobs in [2, 3] {
                let (found, _) = shown(&mut open(&capture), view, &options, None, jobs);
                assert_eq!(expected, found, "{}: {view:?} with {jobs} jobs", capture.display());
            }
        });
    }
}

#[test]
fn batches_show_nowhere() {
    for capture in captures() {
        let options = options(&capture);
        for kind in [ViewKind::Analyze, ViewKind::Frames, ViewKind::Messages, ViewKind::Paths] {
            let view = (kind, Format::Jsonl);
            let (expected, _) = shown(&mut open(&capture), view, &options, None, 1);
            for (jobs, most) in [(1, 1), (2, 3), (3, 2)] {
                let (found, _) = shown(&mut Morsels(open(&capture), most), view, &options, None, jobs);
                assert_eq!(expected, found, "{}: {view:?}, {most} at a time", capture.display());
            }
            let merged = MergedSource::new(vec![open(&capture)]).expect("one file");
            let (copied, _) = shown(&mut Morsels(merged, 100), view, &options, None, 2);
            assert_eq!(expected, copied, "{}: {view:?}, copied", capture.display());
        }
    }
}

/// Bounds that even a small capture reaches.
fn narrow() -> Options {
    let limits = Limits {
        pending_bytes: 1 << 12,
        pending_total_bytes: 1 << 13,
        pending_segments: 16,
        connections: 8,
        held_bytes: 1 << 10,
        held_total_bytes: 1 << 12,
        resync_bytes: 1 << 11,
        session_total_bytes: 1 << 13,
        command_bytes: 1 << 9,
        parts: 8,
        window_messages: 32,
        anomalies: 4,
        anomalies_alike: 2,
        ..Limits::default()
    };
    Options { limits, ..Options::default() }
}

#[test]
fn what_is_given_up_for_want_of_memory_is_the_same() {
    for capture in captures() {
        for kind in [ViewKind::Analyze, ViewKind::Messages, ViewKind::Paths, ViewKind::Findings] {
            let view = (kind, Format::Jsonl);
            let (expected, _) = shown(&mut open(&capture), view, &narrow(), None, 1);
            for (jobs, most) in [(1, 2), (2, 3), (8, 5)] {
                let (found, _) = shown(&mut Morsels(open(&capture), most), view, &narrow(), None, jobs);
                assert_eq!(expected, found, "{}: {view:?} with {jobs} jobs", capture.display());
            }
        }
    }
}

/// A capture several times the size of a batch and of what stages hand to each other: one of the fixtures over and over,
/// later each time.
fn long() -> Vec<u8> {
    let once = std::fs::read(captures().iter().find(|path| path.ends_with("proxy-assigned.pcap")).expect("a fixture"))
        .expect("it can be read");
    let (header, records) = once.split_at(24);
    let mut file = header.to_vec();
    for round in 0..80_u32 {
        let mut rest = records;
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four octets"));
            let (seconds, length) = (word(0) + 3600 * round, 16 + word(8) as usize);
            file.extend(seconds.to_le_bytes());
            file.extend(&rest[4..length]);
            rest = &rest[length..];
        }
    }
    file
}

#[test]
fn a_capture_of_many_batches_is_the_same() {
    let file = long();
    assert!(file.len() > 2 << 20, "{} octets", file.len());
    let open = || FileSource::from_reader("long", Box::new(Cursor::new(file.clone())), None).expect("a capture");
    let rows = [ViewKind::Frames, ViewKind::Messages, ViewKind::Paths].into_iter();
    let documents = rows.flat_map(|kind| [(kind, Format::Json), (kind, Format::Csv), (kind, Format::Table)]);
    for view in KINDS.map(|kind| (kind, Format::Jsonl)).into_iter().chain(documents) {
        let (expected, stopped) = shown(&mut open(), view, &Options::default(), None, 1);
        assert!(!stopped && expected.len() > 1000, "{view:?}: {expected}");
        for jobs in JOBS {
            let (found, _) = shown(&mut open(), view, &Options::default(), None, jobs);
            assert!(expected == found, "{view:?} with {jobs} jobs");
        }
    }
}

#[test]
fn reading_ends_with_the_packet_it_was_told_to() {
    let file = long();
    let open = || FileSource::from_reader("long", Box::new(Cursor::new(file.clone())), None).expect("a capture");
    for count in [0, 1, 100, 7_777] {
        let mut expected = None;
        for jobs in [1, 2, 8] {
            let mut source = open();
            let view = (ViewKind::Analyze, Format::Jsonl);
            let (found, stopped) = shown(&mut source, view, &Options::default(), Some(count), jobs);
            assert!(
                stopped && found.contains(&format!("\"packets\":{count},")),
                "{count} packets, {jobs} jobs: {found}"
            );
            assert_eq!(*expected.get_or_insert(found.clone()), found, "{count} packets, {jobs} jobs");
        }
    }
}

/// A source that fails behind its first packets.
struct Failing(FileSource, u64);

impl PacketSource for Failing {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        let Some(left) = self.1.checked_sub(1) else {
            return Err(CaptureError::Format { name: "failing".to_owned(), what: "as it should".to_owned() });
        };
        self.1 = left;
        self.0.next_packet()
    }

    fn stats(&self) -> SourceStats {
        self.0.stats()
    }
}

#[test]
fn what_was_read_before_a_failure_is_analysed() {
    let capture = captures().into_iter().find(|path| path.ends_with("proxy-assigned.pcap")).expect("a fixture");
    for jobs in [1, 2, 3] {
        let view = AnyView::new(ViewKind::Messages, Settings::default(), Box::new(io::sink()));
        let plan = Plan { options: Options::default(), jobs, live: false, count: None, stop: &AtomicBool::new(false) };
        let mut source = Failing(open(&capture), 100);
        let outcome = stages::run(&mut source, plan, view, &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(outcome.health.packets, 100);
        assert!(matches!(outcome.failure, Some(CaptureError::Format { .. })), "{jobs} jobs");
    }
}

#[test]
fn who_wants_no_more_ends_the_reading() {
    let file = long();
    for (jobs, frames) in [(1, false), (2, false), (3, false), (2, true)] {
        let kind = if frames { ViewKind::Frames } else { ViewKind::Messages };
        let source = FileSource::from_reader("long", Box::new(Cursor::new(file.clone())), None).expect("a capture");
        let mut source = Morsels(source, 1);
        let view = AnyView::new(kind, Settings::default(), Box::new(io::sink()));
        let plan = Plan { options: Options::default(), jobs, live: false, count: None, stop: &AtomicBool::new(false) };
        let outcome = stages::run(&mut source, plan, view, &mut |_, _| ControlFlow::Break(()));
        assert!(outcome.stopped && outcome.health.packets < 1000, "{jobs} jobs: {} packets", outcome.health.packets);
    }
}
