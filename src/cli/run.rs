//! Any command that looks at packets: everything from a source goes into an analysis, of which a view shows the results.

use super::input::Input;
use super::output::warn;
use super::progress::Progress;
use super::signals::stop_flag;
use crate::analyze::engine::Options;
use crate::analyze::stages::{self, Outcome, Pause, Plan};
use crate::base::time::Duration;
use crate::report::any_view::AnyView;
use crate::report::facts::CaptureFacts;
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

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
    /// Threads.
    pub(crate) jobs: usize,
    /// Neither progress nor warnings.
    pub(crate) quiet: bool,
}

/// Reads `input` to its end, or until told to stop; then finishes the view. If reading fails, what was found until then
/// is shown all the same.
pub(crate) fn run(input: Input, options: Options, view: AnyView, control: Control) -> anyhow::Result<CaptureFacts> {
    let Input { mut source, clocks } = input;
    let stop = stop_flag()?;
    let keys = options.keys.clone();
    let mut progress = Progress::new(!control.live && !control.quiet, source.stats().total_bytes);
    let mut flushed = Instant::now();
    let until = control.duration.map(|duration| {
        let nanoseconds = u64::try_from(duration.0).unwrap_or(0);
        Instant::now() + std::time::Duration::from_nanos(nanoseconds)
    });
    let mut written: io::Result<()> = Ok(());
    let mut on = |view: &mut AnyView, pause: Pause| {
        progress.update(pause.packets, pause.read_bytes);
        if view.is_done() {
            return ControlFlow::Break(());
        }
        // What comes through a pipe may come as slowly as what is captured.
        if !control.live && !pause.idle {
            return ControlFlow::Continue(());
        }
        let now = Instant::now();
        if pause.idle || now - flushed >= FLUSH_EVERY {
            flushed = now;
            if let Some(keys) = &keys {
                keys.look();
            }
            written = std::mem::replace(&mut written, Ok(())).and_then(|()| view.flush());
        }
        if written.is_err() || until.is_some_and(|until| now >= until) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let plan = Plan { options, jobs: control.jobs, live: control.live, count: control.count, stop: &stop };
    let Outcome { observer: mut view, health, span, stopped, failure } = stages::run(&mut *source, plan, view, &mut on);
    written?;
    progress.clear();
    let facts = CaptureFacts { health, source: source.stats(), clocks, span, stopped, counts: view.counts() };
    if !control.quiet {
        warn(&facts.source);
    }
    view.finish(&facts)?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(facts),
    }
}
