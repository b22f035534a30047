//! The loop: packets from a source through an analysis to a view.

use super::input::Input;
use super::output::warn;
use super::progress::Progress;
use super::signals::stop_flag;
use crate::analyze::engine::{Analyzer, Options};
use crate::analyze::keys::KeyLog;
use crate::base::time::{Duration, Timestamp};
use crate::capture::error::CaptureError;
use crate::capture::packet::Next;
use crate::report::any_view::AnyView;
use crate::report::facts::CaptureFacts;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// So many packets between two looks at whether the reader still wants more, and at the clock.
const LOOK_EVERY: u64 = 256;

/// Live output is at most this old, also while packets keep coming.
const FLUSH_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// When to stop, and what to say meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    /// Packets come as they happen: output must not wait.
    pub(crate) live: bool,
    /// Stop after so many packets.
    pub(crate) count: Option<u64>,
    /// Stop after this time.
    pub(crate) duration: Option<Duration>,
    /// Neither progress nor warnings.
    pub(crate) quiet: bool,
}

/// Reads `input` to its end, or until told to stop; then finishes the view. If reading fails, what was found until then
/// is shown all the same.
pub(crate) fn run(input: Input, options: Options, view: AnyView, control: Control) -> anyhow::Result<CaptureFacts> {
    let Input { mut source, clocks } = input;
    let source = &mut *source;
    let stop = stop_flag()?;
    let mut progress = Progress::new(!control.live && !control.quiet);
    let keys = options.keys.clone();
    let mut analyzer = Analyzer::new(options, view);
    let mut facts = CaptureFacts { clocks, ..CaptureFacts::default() };
    let mut failure: Option<CaptureError> = None;
    let mut packets = 0_u64;
    let mut flushed = Instant::now();
    let until = control.duration.map(|duration| {
        let nanoseconds = u64::try_from(duration.0).unwrap_or(0);
        Instant::now() + std::time::Duration::from_nanos(nanoseconds)
    });
    let over = |at: Instant| until.is_some_and(|until| at >= until);

    loop {
        if stop.load(Ordering::Relaxed) {
            facts.stopped = true;
            break;
        }
        if control.count.is_some_and(|count| packets >= count) {
            facts.stopped = true;
            break;
        }
        match source.next_packet() {
            Ok(Next::Packet(packet)) => {
                packets += 1;
                widen(&mut facts.span, packet.at);
                analyzer.packet(&packet);
                progress.update(packets, source);
                let look = control.live || packets.is_multiple_of(LOOK_EVERY) || analyzer.observer().is_done();
                if !look {
                    continue;
                }
            }
            Ok(Next::Idle(now)) => {
                analyzer.tick(now);
                flushed = Instant::now();
                look(keys.as_deref());
                analyzer.observer().flush()?;
            }
            Ok(Next::End) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        if analyzer.observer().is_done() {
            facts.stopped = true;
            break;
        }
        if control.live {
            let now = Instant::now();
            if over(now) {
                facts.stopped = true;
                break;
            }
            if now - flushed >= FLUSH_EVERY {
                flushed = now;
                look(keys.as_deref());
                if let Some((_, latest)) = facts.span {
                    analyzer.tick(latest);
                }
                analyzer.observer().flush()?;
            }
        }
    }
    progress.clear();
    let (mut view, health) = analyzer.finish();
    facts.health = health;
    facts.counts = view.counts();
    facts.source = source.stats();
    if !control.quiet {
        warn(&facts.source);
    }
    view.finish(&facts)?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(facts),
    }
}

/// Looks for new keys, of a log that grows.
fn look(keys: Option<&KeyLog>) {
    if let Some(keys) = keys {
        keys.look();
    }
}

fn widen(span: &mut Option<(Timestamp, Timestamp)>, at: Timestamp) {
    *span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
}
