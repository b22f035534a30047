//! Where packets come from, as the command line says.

use super::CliError;
use super::args::{LiveArgs, ViewArgs};
use super::output::say;
use super::resolve::clock_offsets;
use crate::analyze::clocks::{self, FileClock, Origin};
use crate::analyze::engine::Options;
use crate::base::text::preview;
use crate::base::time::Duration;
use crate::capture::error::CaptureError;
use crate::capture::file::FileSource;
use crate::capture::live::{LiveOptions, LiveSource};
use crate::capture::merge::MergedSource;
use crate::capture::packet::PacketSource;
use anyhow::Context;
use std::path::Path;

/// Where packets come from, and what is known about its clocks.
pub(crate) struct Input {
    /// The files merged, or the interface.
    pub(crate) source: Box<dyn PacketSource>,
    /// One for each of several files.
    pub(crate) clocks: Vec<FileClock>,
}

/// The files, or the interface, of a view.
pub(crate) fn open(args: &ViewArgs, options: &Options) -> Result<Input, CliError> {
    if let Some(interface) = &args.interface {
        return live(interface, args.filter.as_deref(), &args.live);
    }
    if let Some(option) = live_only(&args.live) {
        return Err(CliError::Usage(format!("{option} is for live capture, with -i; files are read as they are")));
    }
    let given = clock_offsets(&args.files, &args.clock_offset)?;
    let clocks = if args.files.len() > 1 { clocks(args, &given, options)? } else { Vec::new() };
    let mut files = Vec::with_capacity(args.files.len());
    for (at, path) in args.files.iter().enumerate() {
        let offset = clocks.get(at).map(|clock| clock.offset).or(given[at]).unwrap_or_default();
        files.push(file(path, args.filter.as_deref())?.with_clock_offset(offset));
    }
    if let [_] = files[..]
        && let Some(only) = files.pop()
    {
        return Ok(Input { source: Box::new(only), clocks });
    }
    Ok(Input { source: Box::new(MergedSource::new(files).map_err(anyhow::Error::new)?), clocks })
}

/// One capture file, from its start.
fn file(path: &Path, filter: Option<&str>) -> Result<FileSource, CliError> {
    let file = FileSource::open(path).map_err(anyhow::Error::new)?;
    match filter {
        Some(expression) => Ok(file.with_filter(expression).map_err(anyhow::Error::new)?),
        None => Ok(file),
    }
}

/// The clocks of several files, estimated where they are not given, and said on stderr where they differ.
fn clocks(args: &ViewArgs, given: &[Option<Duration>], options: &Options) -> Result<Vec<FileClock>, CliError> {
    let mut open = |at: usize| -> Result<Option<Box<dyn PacketSource>>, CaptureError> {
        let path: &Path = &args.files[at];
        if !path.is_file() {
            return Ok(None);
        }
        let file = FileSource::open(path)?;
        let file = match &args.filter {
            Some(expression) => file.with_filter(expression)?,
            None => file,
        };
        Ok(Some(Box::new(file)))
    };
    let clocks = clocks::estimate(given, options, &mut open).map_err(anyhow::Error::new)?;
    if !args.output.quiet {
        for (path, clock) in args.files.iter().zip(&clocks) {
            let name = preview(path.as_os_str().as_encoded_bytes(), 200);
            let once = path == Path::new("-") || path.exists() && !path.is_file();
            if once && clock.origin != Origin::Given {
                say(&format!(
                    "{name} can be read only once, so its clock is not compared with the other files': \
                              --clock-offset {name}=±DURATION corrects it"
                ));
                continue;
            }
            let told = match clock.origin {
                Origin::Estimated { .. } => clock.offset != Duration::default(),
                Origin::Unknown => args.output.verbose,
                Origin::Reference | Origin::Given => false,
            };
            if told {
                say(&format!("{name}: {}", clock.text()));
            }
        }
    }
    Ok(clocks)
}

/// An option that means nothing where files are read.
fn live_only(args: &LiveArgs) -> Option<&'static str> {
    let given = [
        (args.promiscuous, "--promiscuous"),
        (args.buffer.is_some(), "--buffer"),
        (args.snaplen.is_some(), "--snaplen"),
        (args.duration.is_some(), "--duration"),
    ];
    given.into_iter().find_map(|(given, option)| given.then_some(option))
}

/// An interface.
pub(crate) fn live(interface: &str, filter: Option<&str>, args: &LiveArgs) -> Result<Input, CliError> {
    let defaults = LiveOptions::new(interface);
    let options = LiveOptions {
        promiscuous: args.promiscuous,
        filter: filter.map(str::to_owned),
        buffer_bytes: args.buffer.unwrap_or(defaults.buffer_bytes),
        snaplen: args.snaplen.unwrap_or(defaults.snaplen),
        ..defaults
    };
    let source = LiveSource::open(&options).context("cannot capture")?;
    Ok(Input { source: Box::new(source), clocks: Vec::new() })
}
