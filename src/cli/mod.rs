//! The command line: flags → resolved settings → a source, an analysis, a view.
//!
//! Invariants: stdout carries data only, diagnostics go to stderr; a closed pipe is success; exit status 0 done, 1 could
//! not be done, 2 wrong usage.

mod args;
mod input;
mod interfaces;
#[cfg(has_preload)]
mod keylog;
mod keys;
mod output;
mod progress;
mod resolve;
mod run;
mod signals;
mod sniff;
mod view;

use args::{Args, Command};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use output::say;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The work could not be done.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Parses the command line, does what it says, says how that went.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors: clap knows the status and the stream.
            let _ = error.print();
            if names_a_file(&error) {
                say("to see what is in a capture: zmtpscope analyze FILE");
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(args.command) {
        Ok(status) => status,
        Err(CliError::Usage(what)) => {
            let what = format!("{what}\n\nFor more information, try '--help'.\n");
            let _ = clap::Error::raw(ErrorKind::ValueValidation, what).print();
            ExitCode::from(2)
        }
        Err(CliError::Failed(error)) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(CliError::Failed(error)) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    use crate::report::settings::ViewKind as Kind;
    match command {
        Command::Analyze(args) => view::run(Kind::Analyze, &args),
        Command::Sniff(args) => sniff::run(&args),
        Command::Connections(args) => view::run(Kind::Connections, &args),
        Command::Frames(args) => view::run(Kind::Frames, &args),
        Command::Messages(args) => view::run(Kind::Messages, &args),
        Command::Paths(args) => view::paths(&args),
        Command::Topology(args) => view::run(Kind::Topology, &args),
        Command::Findings(args) => view::run(Kind::Findings, &args),
        Command::Keylog(args) => return keylog(&args),
        Command::Interfaces(args) => interfaces::run(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(has_preload)]
#[allow(clippy::unnecessary_wraps)] // As the other one, which can only fail.
fn keylog(args: &args::KeylogArgs) -> Result<ExitCode, CliError> {
    Ok(keylog::run(args))
}

#[cfg(not(has_preload))]
fn keylog(_: &args::KeylogArgs) -> Result<ExitCode, CliError> {
    let what =
        "keylog is for Linux with glibc: this build cannot preload a library; a program can write the log itself";
    Err(CliError::Failed(anyhow::anyhow!(what)))
}

/// Whether a file stands where a command should.
fn names_a_file(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::InvalidSubcommand
        && matches!(error.get(ContextKind::InvalidSubcommand), Some(ContextValue::String(name)) if Path::new(name).exists())
}

/// Whether the reader of our output went away: `| head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
