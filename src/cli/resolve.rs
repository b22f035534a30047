//! Typed values → what they mean.

use super::CliError;
use super::args::{ColorArg, DissectArgs, OutputArgs};
use super::keys;
use crate::analyze::engine::Options;
use crate::analyze::keys::KeyLog;
use crate::base::limits::Limits;
use crate::base::time::Duration;
use crate::report::settings::{Format, Settings, ViewKind};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Narrower terminals are taken to be this wide.
const NARROWEST: usize = 20;

/// What the analysis is to do.
pub(crate) fn options(dissect: &DissectArgs, output: &OutputArgs, keys: Option<&Arc<KeyLog>>) -> Options {
    let mut limits = Limits::default();
    limits.head_bytes = limits.head_bytes.max(output.max_body.unwrap_or(0));
    limits.command_bytes = limits.command_bytes.max(output.max_body.unwrap_or(0));
    Options { limits, ports: dissect.port.clone(), dgram_ports: dissect.dgram.clone(), keys: keys.cloned() }
}

/// How the output is to be.
pub(crate) fn settings(kind: ViewKind, output: &OutputArgs, files: usize, live: bool) -> Result<Settings, CliError> {
    let format = Format::from(output.format);
    if let Some(what) = missing_form(format, kind) {
        return Err(CliError::Usage(what.to_owned()));
    }
    let conns = (!output.conn.is_empty()).then(|| output.conn.iter().copied().collect());
    Ok(Settings {
        format,
        payload: output.payload.into(),
        max_body: output.max_body,
        show_secrets: output.show_secrets,
        conns,
        path: None,
        limit: output.limit,
        width: terminal_width(),
        color: colored(output.color),
        several_files: files > 1,
        live,
        jobs: 1,
    })
}

/// Why this view cannot be written like that, if it cannot.
fn missing_form(format: Format, kind: ViewKind) -> Option<&'static str> {
    match (format, kind) {
        (Format::Csv, ViewKind::Analyze) => {
            Some("the overview has no CSV form: its lines differ; choose table, jsonl or json, or another command")
        }
        (Format::Csv, ViewKind::Topology) => {
            Some("the topology has no CSV form: nodes and links differ; choose table, jsonl, json, dot or mermaid")
        }
        (Format::Dot, kind) if kind != ViewKind::Topology => Some("--format dot is for topology"),
        (Format::Mermaid, kind) if !matches!(kind, ViewKind::Topology | ViewKind::Paths) => {
            Some("--format mermaid is for topology and paths")
        }
        (format, ViewKind::Explanation) if format != Format::Table => Some("--explain is text: it has no other format"),
        _ => None,
    }
}

/// Threads: so many, or as many as there are processors.
pub(crate) fn jobs(dissect: &DissectArgs) -> usize {
    dissect.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from)
}

/// The key log, if there is one.
pub(crate) fn keys(dissect: &DissectArgs, live: bool, quiet: bool) -> Result<Option<Arc<KeyLog>>, CliError> {
    let path = dissect.keylog.as_deref().filter(|path| !path.as_os_str().is_empty());
    Ok(path.map(|path| keys::open(path, live, quiet).map(Arc::new)).transpose()?)
}

/// Columns to write: what `COLUMNS` says, else those of the terminal on stdout, `None` if it is none.
fn terminal_width() -> Option<usize> {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    if let Some(columns) = wanted.filter(|&columns| columns > 0) {
        return Some(columns.max(NARROWEST));
    }
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let (width, _) = terminal_size::terminal_size()?;
    Some(usize::from(width.0).max(NARROWEST))
}

fn colored(color: ColorArg) -> bool {
    match color {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => {
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// The clock offset of each of `files`, where one is given.
pub(crate) fn clock_offsets(files: &[PathBuf], given: &[String]) -> Result<Vec<Option<Duration>>, CliError> {
    let mut offsets = vec![None; files.len()];
    for one in given {
        let usage = |what: &str| CliError::Usage(format!("--clock-offset '{one}': {what}"));
        let (file, offset) = one.rsplit_once('=').ok_or_else(|| usage("not of the form FILE=±DURATION"))?;
        let at = files.iter().position(|other| other == Path::new(file));
        let at = at.ok_or_else(|| usage("no such FILE on the command line"))?;
        offsets[at] = Some(duration(offset).map_err(|what| usage(&what))?);
    }
    Ok(offsets)
}

/// A duration such as `+37ms`, `-1.5s`, `1m30s`, `250us`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: a number and ns, us, ms, s, m or h, as in 37ms or 1m30s");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..unit_at].parse().map_err(|_| wrong())?;
        let after = &rest[unit_at..];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        total += number * nanoseconds(&after[..unit_end]).ok_or_else(wrong)?;
        rest = &after[unit_end..];
    }
    if total > i64::MAX as f64 {
        return Err(format!("'{text}' is more than 292 years"));
    }
    let total = total.round() as i64;
    Ok(Duration(if negative { -total } else { total }))
}

fn nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" | "" => 1e9,
        "m" | "min" => 6e10,
        "h" => 3.6e12,
        _ => return None,
    })
}

/// A count of bytes such as `4096`, `64k`, `32M`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("'{text}' is no count of bytes: a number, or one with k, M or G");
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ns = |text| duration(text).map(|duration| duration.0);
        assert_eq!(ns("+37ms"), Ok(37_000_000));
        assert_eq!(ns("-1.5s"), Ok(-1_500_000_000));
        assert_eq!(ns("1m30s"), Ok(90_000_000_000));
        assert_eq!(ns("250us"), Ok(250_000));
        assert_eq!(ns("3"), Ok(3_000_000_000));
        for wrong in ["", "+", "ms", "1x", "1..2s", "--1s", "99999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_of_bytes() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64k"), Ok(65536));
        assert_eq!(bytes("2M"), Ok(2 << 20));
        assert!(bytes("").is_err() && bytes("k").is_err() && bytes("-1").is_err());
    }

    #[test]
    fn an_offset_names_one_of_the_files() {
        let files = [PathBuf::from("a.pcap"), PathBuf::from("b=1.pcap")];
        let offsets = clock_offsets(&files, &["b=1.pcap=-37ms".to_owned()]).expect("right");
        assert_eq!(offsets, [None, Some(Duration(-37_000_000))]);
        for wrong in ["c.pcap=1s", "a.pcap", "a.pcap=x"] {
            assert!(matches!(clock_offsets(&files, &[wrong.to_owned()]), Err(CliError::Usage(_))), "{wrong}");
        }
    }
}
