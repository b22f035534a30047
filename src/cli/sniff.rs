//! `sniff`: live, a line a message, a summary on stderr at the end.

use super::CliError;
use super::args::SniffArgs;
use super::output::{data, say};
use super::run::{Control, run as run_loop};
use super::{input, resolve};
use crate::report::any_view::AnyView;
use crate::report::facts::CaptureFacts;
use crate::report::settings::{Settings, ViewKind};
use std::fmt::Write;

/// Sniffs until stopped.
pub(crate) fn run(args: &SniffArgs) -> Result<(), CliError> {
    let kind = ViewKind::from(args.view);
    let jobs = resolve::jobs(&args.dissect);
    let settings = Settings { jobs, ..resolve::settings(kind, &args.output, 1, true)? };
    let keys = resolve::keys(&args.dissect, true, args.output.quiet)?;
    let options = resolve::options(&args.dissect, &args.output, keys.as_ref());
    let words = args.expression.join(" ");
    let expression = args.filter.as_deref().or_else(|| (!words.is_empty()).then_some(words.as_str()));
    let input = input::live(&args.interface, expression, &args.live)?;
    let quiet = args.output.quiet;
    if !quiet {
        say(&format!("capturing on {}, Ctrl-C ends it", args.interface));
    }
    let control = Control { live: true, count: args.live.count, duration: args.live.duration, jobs, quiet };
    let view = AnyView::new(kind, settings, data());
    let facts = run_loop(input, options, view, control)?;
    if !quiet {
        say(&summary(&facts));
    }
    Ok(())
}

fn summary(facts: &CaptureFacts) -> String {
    let health = &facts.health;
    let dropped: u64 = facts.source.inputs.iter().filter_map(|input| input.dropped).sum();
    let duration = facts.duration().map(|duration| format!(" in {duration}")).unwrap_or_default();
    let counts = &facts.counts;
    let mut text = format!(
        "{} packets{duration}, {dropped} dropped by the kernel; {} TCP connections, {} of them ZMTP; {} messages",
        health.packets,
        health.tcp_connections,
        counts.connections.saturating_sub(health.datagrams.connections),
        counts.messages
    );
    if health.datagrams.connections > 0 {
        let _ = write!(text, "; {} ZMTP senders in datagrams", health.datagrams.connections);
    }
    if counts.paths > 0 {
        let _ = write!(text, ", {} paths", counts.paths);
    }
    if health.reassembly.lost_bytes > 0 {
        let _ = write!(text, "; {} bytes missing", health.reassembly.lost_bytes);
    }
    text
}
