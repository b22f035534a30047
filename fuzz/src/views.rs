//! One analysis that feeds every view in every format, and checks what they wrote.

use crate::assert_harmless;
use std::cell::RefCell;
use std::io::{self, Cursor, Write};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use zmtpscope::analyze::accounts::{Accounts, PER_CONNECTION};
use zmtpscope::analyze::connection::ConnectionSummary;
use zmtpscope::analyze::engine::{Analyzer, Options};
use zmtpscope::analyze::health::Health;
use zmtpscope::analyze::observer::{ConnectionRef, Interest, Observer};
use zmtpscope::analyze::stages::{self, Outcome, Plan};
use zmtpscope::base::direction::Direction;
use zmtpscope::base::limits::Limits;
use zmtpscope::capture::batch::{Batch, Filled};
use zmtpscope::capture::error::CaptureError;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::packet::{Next, PacketSource, SourceStats};
use zmtpscope::correlate::findings::Finding;
use zmtpscope::correlate::path::Path;
use zmtpscope::report::any_view::AnyView;
use zmtpscope::report::facts::CaptureFacts;
use zmtpscope::report::settings::{Format, Payload, Settings, ViewKind};
use zmtpscope::zmtp::event::{Frame, Message};

const KINDS: [ViewKind; 8] = [
    ViewKind::Analyze,
    ViewKind::Connections,
    ViewKind::Frames,
    ViewKind::Messages,
    ViewKind::Paths,
    ViewKind::Explanation,
    ViewKind::Findings,
    ViewKind::Topology,
];

/// The formats that a view has.
fn formats(kind: ViewKind) -> &'static [Format] {
    match kind {
        ViewKind::Analyze => &[Format::Table, Format::Jsonl, Format::Json],
        ViewKind::Explanation => &[Format::Table],
        ViewKind::Topology => &[Format::Table, Format::Jsonl, Format::Json, Format::Dot, Format::Mermaid],
        ViewKind::Paths => &[Format::Table, Format::Jsonl, Format::Json, Format::Csv, Format::Mermaid],
        _ => &[Format::Table, Format::Jsonl, Format::Json, Format::Csv],
    }
}

/// Small bounds, so that short inputs reach them.
pub fn small_limits() -> Limits {
    Limits {
        pending_bytes: 1 << 12,
        pending_total_bytes: 1 << 13,
        pending_segments: 16,
        gap_patience_packets: 3,
        fragment_datagrams: 4,
        fragment_bytes: 1 << 12,
        connections: 8,
        half_open: 8,
        held_bytes: 1 << 10,
        held_total_bytes: 1 << 12,
        resync_bytes: 1 << 11,
        session_total_bytes: 1 << 13,
        summary_total_bytes: 1 << 13,
        command_bytes: 1 << 9,
        parts: 8,
        window_messages: 32,
        sealed_bytes: 1 << 10,
        anomalies: 16,
        ..Limits::default()
    }
}

#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every view in every format that it has.
pub struct AllViews {
    views: Vec<(ViewKind, Format, Output, AnyView)>,
    body_bytes: u64,
}

impl AllViews {
    /// `choice` is for the settings that all of them share.
    fn new(choice: u8) -> Self {
        let settings = |format| Settings {
            format,
            payload: [Payload::Text, Payload::Hex, Payload::None][usize::from(choice % 3)],
            max_body: (choice & 4 != 0).then_some(usize::from(choice)),
            show_secrets: choice & 8 != 0,
            width: (choice & 16 != 0).then_some(usize::from(choice)),
            several_files: choice & 32 != 0,
            live: choice & 64 != 0,
            path: Some(u64::from(choice >> 6)).filter(|_| choice & 1 != 0),
            ..Settings::default()
        };
        let pairs = KINDS.into_iter().flat_map(|kind| formats(kind).iter().map(move |&format| (kind, format)));
        let views = pairs.map(|(kind, format)| {
            let output = Output::default();
            let view = AnyView::new(kind, settings(format), Box::new(output.clone()));
            (kind, format, output, view)
        });
        Self { views: views.collect(), body_bytes: 0 }
    }

    fn each(&mut self, mut tell: impl FnMut(&mut AnyView)) {
        self.views.iter_mut().for_each(|(.., view)| tell(view));
    }
}

impl Observer for AllViews {
    fn interest(&self) -> Interest {
        Interest { paths: true, ..Interest::default() }
    }

    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        self.each(|view| view.frame(connection, frame));
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        self.each(|view| view.message(connection, message, key));
    }

    fn path(&mut self, path: Path) {
        self.each(|view| view.path(path.clone()));
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        for direction in Direction::BOTH.into_iter().filter(|_| !connection.transport.is_one_way()) {
            let traffic = connection.traffic[direction];
            self.body_bytes += traffic.body_bytes + traffic.undecoded_bytes;
        }
        self.each(|view| view.connection(connection));
    }

    fn finding(&mut self, finding: &Finding) {
        assert_harmless(finding.code, &finding.text);
        self.each(|view| view.finding(finding));
    }
}

/// Analyses what `feed` gives, shows it in every way, and checks what was written.
pub fn show(options: Options, choice: u8, feed: impl FnOnce(&mut Analyzer<AllViews>)) {
    let limits = options.limits.clone();
    let mut analyzer = Analyzer::new(options, AllViews::new(choice));
    feed(&mut analyzer);
    check_accounts(analyzer.accounts(), &limits);
    let (views, health) = analyzer.finish();
    check_counts(&views, &health);
    let facts = CaptureFacts { health, ..CaptureFacts::default() };
    for (kind, format, output, mut view) in views.views {
        view.finish(&facts).expect("writing to memory cannot fail");
        check(kind, format, &output.0.borrow());
    }
}

/// What is held is within its limits, but for the latest packet and what each connection may keep.
fn check_accounts(accounts: Accounts, limits: &Limits) {
    const LATEST: usize = 1 << 18;
    let Accounts { pending, undecided, datagrams, sessions, summaries } = accounts;
    let kept = limits.connections * PER_CONNECTION + LATEST;
    assert!(pending <= limits.pending_total_bytes + LATEST, "{accounts:?}");
    assert!(undecided.max(datagrams) <= limits.held_total_bytes + kept, "{accounts:?}");
    assert!(sessions <= limits.session_total_bytes + kept, "{accounts:?}");
    assert!(summaries <= limits.summary_total_bytes + LATEST, "{accounts:?}");
}

/// A file that is read so many packets at a time.
struct Morsels(FileSource, u64);

impl PacketSource for Morsels {
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

/// Shows a capture in one of the ways with one thread and with three; both must write the same.
pub fn same_with_threads(options: &Options, choice: u8, bytes: &[u8]) {
    let kind = KINDS[usize::from(choice) % KINDS.len()];
    let format = formats(kind)[usize::from(choice / 8) % formats(kind).len()];
    let written = |jobs, most| {
        let source = FileSource::from_reader("fuzz", Box::new(Cursor::new(bytes.to_vec())), None).ok()?;
        let output = Output::default();
        let view = AnyView::new(kind, Settings { format, ..Settings::default() }, Box::new(output.clone()));
        // Compressed, a short input may hold any number of packets.
        let plan =
            Plan { options: options.clone(), jobs, live: false, count: Some(10_000), stop: &AtomicBool::new(false) };
        let mut source = Morsels(source, most);
        let outcome = stages::run(&mut source, plan, view, &mut |_, _| ControlFlow::Continue(()));
        let Outcome { mut observer, health, span, .. } = outcome;
        let facts = CaptureFacts { health, span, ..CaptureFacts::default() };
        observer.finish(&facts).expect("writing to memory cannot fail");
        let written = output.0.borrow().clone();
        Some(written)
    };
    assert!(written(1, u64::MAX) == written(3, 1 + u64::from(choice % 7)), "{kind:?} {format:?}");
}

fn check_counts(views: &AllViews, health: &Health) {
    // Those of datagrams are in no stream.
    let stream = health.reassembly.bytes + health.reassembly.lost_bytes;
    assert!(views.body_bytes <= stream, "{} octets of bodies in {stream} of streams", views.body_bytes);
    assert!(health.reassembly.bytes <= health.bytes, "{health:?}");
}

fn check(kind: ViewKind, format: Format, written: &[u8]) {
    let what = format!("{kind:?} {format:?}");
    let text = std::str::from_utf8(written).unwrap_or_else(|error| panic!("{what}: {error}"));
    for line in text.lines() {
        assert_harmless(&what, line);
    }
    let json = |text: &str| {
        serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"))
    };
    match format {
        Format::Table | Format::Dot | Format::Mermaid => {}
        Format::Json => {
            json(text);
        }
        Format::Jsonl => text.lines().for_each(|line| {
            json(line);
        }),
        Format::Csv => check_csv(&what, text),
    }
}

/// Every row has as many fields as the header (RFC 4180).
fn check_csv(what: &str, text: &str) {
    let (mut fields, mut columns, mut quoted) = (1, None, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields += 1,
            '\n' if !quoted => {
                assert_eq!(*columns.get_or_insert(fields), fields, "{what}: {text}");
                fields = 1;
            }
            _ => {}
        }
    }
    assert!(!quoted, "{what}: a quotation mark is open at the end");
}
