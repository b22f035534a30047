//! `analyze`, `connections`, `frames`, `messages`, `paths`, `topology`, `findings`: one view of files or of an interface.

use super::CliError;
use super::args::{PathsArgs, ViewArgs};
use super::output::{data, say};
use super::run::{Control, run as run_loop};
use super::{input, resolve};
use crate::report::any_view::AnyView;
use crate::report::settings::{Settings, ViewKind};
use std::time::Instant;

/// Shows the view of this kind.
pub(crate) fn run(kind: ViewKind, args: &ViewArgs) -> Result<(), CliError> {
    show(kind, None, args)
}

/// Shows paths: all, one, or one in words.
pub(crate) fn paths(args: &PathsArgs) -> Result<(), CliError> {
    let kind = if args.explain.is_some() { ViewKind::Explanation } else { ViewKind::Paths };
    show(kind, args.explain.or(args.path), &args.view)
}

fn show(kind: ViewKind, path: Option<u64>, args: &ViewArgs) -> Result<(), CliError> {
    let live = args.interface.is_some();
    let jobs = resolve::jobs(&args.dissect);
    let settings = Settings { path, jobs, ..resolve::settings(kind, &args.output, args.files.len(), live)? };
    let keys = resolve::keys(&args.dissect, live, args.output.quiet)?;
    let options = resolve::options(&args.dissect, &args.output, keys.as_ref());
    let input = input::open(args, &options)?;
    let control =
        Control { live, count: args.live.count, duration: args.live.duration, jobs, quiet: args.output.quiet };
    let started = Instant::now();
    let view = AnyView::new(kind, settings, data());
    let facts = run_loop(input, options, view, control)?;
    if facts.counts.connections == 0 && !facts.stopped && !args.output.quiet {
        say(&format!(
            "no ZMTP found (packets: {}, TCP connections: {})",
            facts.health.packets, facts.health.tcp_connections
        ));
    }
    if args.output.verbose {
        let seconds = started.elapsed().as_secs_f64();
        let mebibytes = facts.health.bytes as f64 / f64::from(1 << 20);
        say(&format!("{} packets, {mebibytes:.1} MiB in {seconds:.3} s", facts.health.packets));
        for (reason, count) in &facts.health.skipped {
            say(&format!("{count} packets not used: {reason}"));
        }
    }
    Ok(())
}
