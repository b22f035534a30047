//! Where packets come from, as the command line says.

use super::CliError;
use super::args::{LiveArgs, ViewArgs};
use super::resolve::clock_offsets;
use crate::capture::file::FileSource;
use crate::capture::live::{LiveOptions, LiveSource};
use crate::capture::merge::MergedSource;
use crate::capture::packet::PacketSource;
use anyhow::Context;

/// The files, or the interface, of a view.
pub(crate) fn open(args: &ViewArgs) -> Result<Box<dyn PacketSource>, CliError> {
    if let Some(interface) = &args.interface {
        return live(interface, args.filter.as_deref(), &args.live);
    }
    if let Some(option) = live_only(&args.live) {
        return Err(CliError::Usage(format!("{option} is for live capture, with -i; files are read as they are")));
    }
    let offsets = clock_offsets(&args.files, &args.clock_offset)?;
    let mut files = Vec::with_capacity(args.files.len());
    for (path, offset) in args.files.iter().zip(offsets) {
        let mut file = FileSource::open(path).map_err(anyhow::Error::new)?.with_clock_offset(offset);
        if let Some(expression) = &args.filter {
            file = file.with_filter(expression).map_err(anyhow::Error::new)?;
        }
        files.push(file);
    }
    if let [_] = files[..]
        && let Some(only) = files.pop()
    {
        return Ok(Box::new(only));
    }
    Ok(Box::new(MergedSource::new(files).map_err(anyhow::Error::new)?))
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
pub(crate) fn live(interface: &str, filter: Option<&str>, args: &LiveArgs) -> Result<Box<dyn PacketSource>, CliError> {
    let defaults = LiveOptions::new(interface);
    let options = LiveOptions {
        promiscuous: args.promiscuous,
        filter: filter.map(str::to_owned),
        buffer_bytes: args.buffer.unwrap_or(defaults.buffer_bytes),
        snaplen: args.snaplen.unwrap_or(defaults.snaplen),
        ..defaults
    };
    let source = LiveSource::open(&options).context("cannot capture")?;
    Ok(Box::new(source))
}
