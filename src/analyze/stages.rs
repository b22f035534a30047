//! A whole analysis, from a source to an observer: reading, dissecting and showing, one after the other or at the same time.
//!
//! ```text
//!  one job      read ─► dissect ─► correlate and show      all on the thread that called, a batch at a time
//!  two          read ∙► dissect ═► correlate and show      ═► goes to another thread: hands over what was filled,
//!  more         read ═► dissect ═► correlate and show         gets back what was used
//!  frames       read ═► dissect ─► show                    ∙► either thread reads
//! ```
//!
//! With two, the thread that shows reads ahead while it has nothing to show; otherwise the one that dissects reads, and finds
//! it in its processor's cache. But a source that is slow ([`PacketSource::is_slow`]: live, compressed) is read on a thread of
//! its own all the same.
//!
//! Invariants: each stage does its work in the order of the capture, whatever the other ones do meanwhile, so the answer
//! does not depend on how many threads there are. What waits between two stages is bounded, and a stage that is ahead waits;
//! live, reading may be 32 MiB ahead, and beyond that it is the kernel that drops, and counts. Memory is used again.
//! The observer stays on the thread that called.

use super::engine::{Dissection, Options};
use super::health::Health;
use super::observer::Observer;
use super::outlet::Outlet;
use super::relay::{Dispatch, Known, Relay};
use super::results::{Conclusion, Results};
use crate::base::time::Timestamp;
use crate::capture::batch::{Batch, Filled};
use crate::capture::error::CaptureError;
use crate::capture::packet::PacketSource;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Batches that wait to be dissected.
const FILE_BATCHES: usize = 2;
const LIVE_BATCHES: usize = 16_384;

/// Octets of those, live: what waits here need not wait in the kernel's buffer, which is as large.
const LIVE_OCTETS: usize = 32 << 20;

/// Live, a batch that takes more is not used again.
const LIVE_REUSED: usize = 64 << 10;

/// Live, between two looks at whether there is room for more.
const PAUSE: Duration = Duration::from_millis(1);

/// Dispatches that wait to be shown: about what comes while the correlator looks through its window, so that neither waits
/// for the other.
const DISPATCHES: usize = 16;

/// A batch of so many octets is one of a file: more follows at once, and what there is to be shown need not be before a few of
/// them, which is some milliseconds. After smaller ones nobody knows when the next comes.
const LARGE: usize = 256 << 10;
const SHOWN_AFTER: usize = 32;

/// How an analysis is to be run.
pub struct Plan<'a> {
    /// What is to be different from the default.
    pub options: Options,
    /// Threads: with 1 all is done on the one that calls.
    pub jobs: usize,
    /// Packets come as they happen: time passes while they do, and without them.
    pub live: bool,
    /// Read no more than so many packets.
    pub count: Option<u64>,
    /// Set from elsewhere when reading is to end.
    pub stop: &'a AtomicBool,
}

/// How far reading got. All that was read so far is shown, but for the last stages' work at hand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    /// Packets read.
    pub packets: u64,
    /// Octets of the files read.
    pub read_bytes: u64,
    /// There were no more packets for a while (live).
    pub idle: bool,
}

/// What came of an analysis.
pub struct Outcome<O> {
    /// It was told everything.
    pub observer: O,
    /// What was seen, and what was left out.
    pub health: Health,
    /// Times of the earliest and the latest packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Reading ended early: told to, or because of `failure`.
    pub stopped: bool,
    /// Why no more could be read; what was read until then was analysed.
    pub failure: Option<CaptureError>,
}

/// Analyses all packets of `source`. `on` is called now and then, with the observer, between two pieces of work; it may end
/// the reading.
pub fn run<O: Observer>(
    source: &mut dyn PacketSource,
    plan: Plan<'_>,
    observer: O,
    on: &mut dyn FnMut(&mut O, Pause) -> ControlFlow<()>,
) -> Outcome<O> {
    let Plan { options, jobs, live, count, stop } = plan;
    let results = Results::new(&options.limits, observer);
    let course = Course { stop, enough: AtomicBool::new(false), live, ahead: AtomicUsize::new(0) };
    let (frames, is_slow) = (results.interest().frames, source.is_slow());
    let reader = Reader { source, left: count, packets: 0, stopped: false };
    let (ended, results, span) = thread::scope(|scope| match jobs {
        0 | 1 => course.here(Direct::new(&course, &Desk::new(reader)), Dissection::new(options, results), on),
        _ if frames => course.here(Ahead::start(scope, &course, reader), Dissection::new(options, results), on),
        2 if !is_slow => {
            let desk = Desk::new(reader);
            course.apart(scope, Direct::new(&course, &desk), Some(&desk), options, results, on)
        }
        _ => course.apart(scope, Ahead::start(scope, &course, reader), None, options, results, on),
    });
    let (results, conclusion) = results;
    let (observer, health) = results.finish(conclusion);
    Outcome { observer, health, span, stopped: ended.stopped, failure: ended.failure }
}

/// Why there are no more packets.
struct Ended {
    stopped: bool,
    failure: Option<CaptureError>,
}

/// What the reader hands on.
#[derive(Default)]
struct Read {
    batch: Batch,
    pause: Pause,
    idle: Option<Timestamp>,
}

/// The first stage.
struct Reader<'a> {
    source: &'a mut dyn PacketSource,
    left: Option<u64>,
    packets: u64,
    stopped: bool,
}

impl Reader<'_> {
    /// The next packets, into what may hold earlier ones; `Break` with the last.
    fn next(&mut self, read: &mut Read, over: bool) -> ControlFlow<Option<CaptureError>> {
        read.batch.clear();
        read.idle = None;
        self.stopped = over || self.left == Some(0);
        let filled = if self.stopped {
            Ok(Filled::End)
        } else {
            self.source.fill(&mut read.batch, self.left.unwrap_or(u64::MAX))
        };
        let count = read.batch.len() as u64;
        self.packets += count;
        self.left = self.left.map(|left| left - count);
        if let Ok(Filled::Idle(now)) = filled {
            read.idle = Some(now);
        }
        let idle = matches!(filled, Ok(Filled::Idle(_) | Filled::Drained));
        read.pause = Pause { packets: self.packets, read_bytes: self.source.stats().read_bytes, idle };
        match filled {
            Ok(Filled::More | Filled::Drained | Filled::Idle(_)) => ControlFlow::Continue(()),
            Ok(Filled::End) => ControlFlow::Break(None),
            Err(error) => ControlFlow::Break(Some(error)),
        }
    }
}

/// What the second stage gets.
trait Reads {
    /// The next packets; `None` after the last.
    fn next(&mut self) -> Option<&Read>;
    /// No more are wanted, or there are none.
    fn end(self) -> Ended;
}

/// Where threads read that have other work as well, one at a time; what was read too early waits here.
struct Desk<'a> {
    turns: Mutex<Turns<'a>>,
    /// The last stage waits.
    idle: AtomicBool,
}

struct Turns<'a> {
    reader: Reader<'a>,
    filled: VecDeque<Read>,
    used: Vec<Read>,
    ended: Option<Ended>,
}

impl<'a> Desk<'a> {
    fn new(reader: Reader<'a>) -> Arc<Self> {
        let turns = Turns { reader, filled: VecDeque::new(), used: Vec::new(), ended: None };
        Arc::new(Self { turns: Mutex::new(turns), idle: AtomicBool::new(false) })
    }

    fn turns(&self) -> MutexGuard<'_, Turns<'a>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what will be asked for; whether there was any need of it.
    fn read_ahead(&self, over: bool) -> bool {
        // Who has it reads.
        let Ok(mut turns) = self.turns.try_lock() else { return false };
        if turns.filled.len() >= FILE_BATCHES {
            return false;
        }
        let read = turns.read(over);
        let is_needed = read.is_some();
        turns.filled.extend(read);
        is_needed
    }
}

impl Turns<'_> {
    /// The next packets; `None` after the last.
    fn read(&mut self, over: bool) -> Option<Read> {
        if self.ended.is_some() {
            return None;
        }
        let mut read = self.used.pop().unwrap_or_default();
        if let ControlFlow::Break(failure) = self.reader.next(&mut read, over) {
            self.ended = Some(Ended { stopped: self.reader.stopped, failure });
        }
        Some(read)
    }
}

/// Reads when it is asked, unless somebody has.
struct Direct<'a> {
    course: &'a Course<'a>,
    desk: Arc<Desk<'a>>,
    latest: Option<Read>,
}

impl<'a> Direct<'a> {
    fn new(course: &'a Course<'a>, desk: &Arc<Desk<'a>>) -> Self {
        Self { course, desk: Arc::clone(desk), latest: None }
    }
}

impl Reads for Direct<'_> {
    fn next(&mut self) -> Option<&Read> {
        let mut turns = self.desk.turns();
        turns.used.extend(self.latest.take());
        self.latest = turns.filled.pop_front().or_else(|| turns.read(self.course.is_over()));
        self.latest.as_ref()
    }

    fn end(self) -> Ended {
        self.desk.turns().ended.take().unwrap_or(Ended { stopped: true, failure: None })
    }
}

/// Reads on a thread of its own, while what was read before is dissected.
struct Ahead<'scope> {
    course: &'scope Course<'scope>,
    filled: Receiver<Read>,
    used: Sender<Read>,
    latest: Option<Read>,
    reading: thread::ScopedJoinHandle<'scope, Ended>,
}

impl<'scope> Ahead<'scope> {
    fn start<'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        course: &'env Course<'env>,
        reader: Reader<'env>,
    ) -> Self {
        let (full, filled) = sync_channel(if course.live { LIVE_BATCHES } else { FILE_BATCHES });
        let (used, empty) = channel();
        let reading = spawn(scope, "read", move || course.read(reader, &full, &empty));
        Self { course, filled, used, latest: None, reading }
    }
}

impl Reads for Ahead<'_> {
    fn next(&mut self) -> Option<&Read> {
        if let Some(read) = self.latest.take() {
            self.course.ahead.fetch_sub(read.batch.memory(), Ordering::Relaxed);
            // Reading may be over.
            let _ = self.used.send(read);
        }
        self.latest = self.filled.recv().ok();
        self.latest.as_ref()
    }

    fn end(self) -> Ended {
        drop(self.filled);
        joined(self.reading)
    }
}

/// What all stages look at.
struct Course<'a> {
    stop: &'a AtomicBool,
    /// The last stage wants no more.
    enough: AtomicBool,
    live: bool,
    /// Octets that wait to be dissected.
    ahead: AtomicUsize,
}

type Span = Option<(Timestamp, Timestamp)>;

type Finished<O> = (Ended, (Results<O>, Conclusion), Span);

impl Course<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.enough.load(Ordering::Relaxed)
    }

    fn note(&self, flow: ControlFlow<()>) {
        if flow.is_break() {
            self.enough.store(true, Ordering::Relaxed);
        }
    }

    /// The second stage and the last on this thread.
    fn here<O: Observer>(
        &self,
        mut reads: impl Reads,
        mut dissection: Dissection<Results<O>>,
        on: &mut dyn FnMut(&mut O, Pause) -> ControlFlow<()>,
    ) -> Finished<O> {
        let mut span = None;
        while let Some(read) = reads.next() {
            self.dissect(read, &mut dissection, &mut span);
            self.note(on(&mut dissection.outlet().observer, read.pause));
        }
        (reads.end(), dissection.finish(), span)
    }

    /// The last stage on this thread, the second on one of its own, which reads at the `desk` if there is one.
    fn apart<'scope, 'env, O: Observer>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, 'env>,
        mut reads: impl Reads + Send + 'scope,
        desk: Option<&Arc<Desk<'env>>>,
        options: Options,
        mut results: Results<O>,
        on: &mut dyn FnMut(&mut O, Pause) -> ControlFlow<()>,
    ) -> Finished<O> {
        let interest = results.interest();
        let (told, tidings) = sync_channel::<Tidings>(DISPATCHES);
        let (shown, blank) = channel::<Dispatch>();
        let helped = desk.cloned();
        let dissecting = spawn(scope, "dissect", move || {
            let mut spare = Vec::new();
            let hand_on = |dispatch: &mut Dispatch| {
                // The one that came back last is the likeliest to be in a cache.
                spare.extend(blank.try_iter());
                let dispatch = std::mem::replace(dispatch, spare.pop().unwrap_or_else(Dispatch::new));
                // Nobody takes it where the observer panicked, which the thread that called will find out.
                let _ = told.send(Tidings::Told(dispatch));
            };
            let mut dissection = Dissection::new(options, Relay::new(interest, hand_on));
            let (mut span, mut not_shown) = (None, 0);
            while let Some(read) = reads.next() {
                if helped.as_ref().is_some_and(|desk| desk.idle.load(Ordering::Relaxed)) {
                    // Where there is no room for it, nobody waits.
                    let _ = told.try_send(Tidings::Taken);
                }
                self.dissect(read, &mut dissection, &mut span);
                not_shown += 1;
                if read.batch.octets() < LARGE || not_shown >= SHOWN_AFTER {
                    not_shown = 0;
                    dissection.outlet().hand_on();
                    if told.send(Tidings::Pause(read.pause)).is_err() {
                        break;
                    }
                }
            }
            let (mut relay, conclusion) = dissection.finish();
            relay.hand_on();
            (reads.end(), conclusion, span)
        });
        let mut known = Known::default();
        while let Ok(tiding) = self.next(&tidings, desk) {
            match tiding {
                Tidings::Taken => {}
                Tidings::Told(mut dispatch) => {
                    dispatch.deliver(&mut known, &mut results);
                    let _ = shown.send(dispatch);
                }
                Tidings::Pause(pause) => self.note(on(&mut results.observer, pause)),
            }
        }
        let (ended, conclusion, span) = joined(dissecting);
        (ended, (results, conclusion), span)
    }

    /// What the thread that dissects tells next; at the `desk`, this one reads rather than wait.
    fn next(&self, tidings: &Receiver<Tidings>, desk: Option<&Arc<Desk<'_>>>) -> Result<Tidings, RecvError> {
        let Some(desk) = desk else { return tidings.recv() };
        loop {
            match tidings.try_recv() {
                Ok(tiding) => return Ok(tiding),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) if desk.read_ahead(self.is_over()) => {}
                Err(TryRecvError::Empty) => break,
            }
        }
        desk.idle.store(true, Ordering::Relaxed);
        let tiding = tidings.recv();
        desk.idle.store(false, Ordering::Relaxed);
        tiding
    }

    /// The thread that reads.
    fn read(&self, mut reader: Reader<'_>, full: &SyncSender<Read>, empty: &Receiver<Read>) -> Ended {
        loop {
            // Live, batches are as small as what came at once: a few packets are not to wait in much memory.
            let used = empty.try_recv().ok().filter(|used| !self.live || used.batch.memory() <= LIVE_REUSED);
            let mut read = used.unwrap_or_default();
            while self.live && self.ahead.load(Ordering::Relaxed) > LIVE_OCTETS && !self.is_over() {
                thread::sleep(PAUSE);
            }
            let next = reader.next(&mut read, self.is_over());
            self.ahead.fetch_add(read.batch.memory(), Ordering::Relaxed);
            if full.send(read).is_err() {
                return Ended { stopped: true, failure: None };
            }
            if let ControlFlow::Break(failure) = next {
                return Ended { stopped: reader.stopped, failure };
            }
        }
    }

    fn dissect<T: Outlet>(&self, read: &Read, dissection: &mut Dissection<T>, span: &mut Span) {
        for packet in read.batch.packets() {
            *span =
                Some(span.map_or((packet.at, packet.at), |(first, last)| (first.min(packet.at), last.max(packet.at))));
            dissection.packet(&packet);
        }
        if let Some(now) = read.idle.or(span.map(|(_, last)| last)).filter(|_| self.live) {
            dissection.tick(now);
        }
    }
}

/// What the thread that dissects tells.
enum Tidings {
    Told(Dispatch),
    /// There is room for what could be read ahead.
    Taken,
    Pause(Pause),
}

/// A thread with a name, for those who look at where time goes.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> thread::ScopedJoinHandle<'scope, T> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, work).expect("the system has room for two more threads")
}

/// What a thread came to; if it panicked, so does this one.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
