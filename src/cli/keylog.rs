//! `keylog`: runs a program with a library preloaded that writes down the keys of its CURVE connections.
//!
//! The library is `preload/curve_sessions.rs`, compiled by `build.rs` and carried in this program. It is put into a
//! directory of its own for as long as the program runs; its children find it there, too, whatever descriptors they close.
//!
//! Invariants: the program's streams, terminal and exit status are its own, and so are signals; keys are never shown.

use super::args::KeylogArgs;
use super::output::say;
use crate::base::text::preview;
use anyhow::{Context, bail, ensure};
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// The library.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/keylog.so"));

/// What the library reads the name of the log from; `--keylog` of the other commands knows it, too.
const FILE_VARIABLE: &str = "ZMTPKEYLOGFILE";

/// The dynamic linker's.
const PRELOAD_VARIABLE: &str = "LD_PRELOAD";

// What env(1), nice(1) and timeout(1) end with.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Signals that are meant for the program when they reach us.
const PASSED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Runs the program; gives its exit status, or 125 to 127 where it could not be run.
pub(crate) fn run(args: &KeylogArgs) -> ExitCode {
    let status = log_keys(args).unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        OWN_FAILURE
    });
    ExitCode::from(status)
}

fn log_keys(args: &KeylogArgs) -> anyhow::Result<u8> {
    let name = preview(args.output.as_os_str().as_bytes(), 200);
    let log = create(&args.output).with_context(|| format!("cannot write the key log {name}"))?;
    let before = log.metadata()?;
    if before.is_file() && before.mode() & 0o077 != 0 && !args.quiet {
        say(&format!("{name}: others than its owner may read this file, in which keys will be"));
    }
    // The program may change its directory.
    let path = fs::canonicalize(&args.output)?;

    let library = Library::put()?;
    let mut signals = Signals::new(signals_to_watch())?;
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).env(FILE_VARIABLE, path).env(PRELOAD_VARIABLE, library.preload());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            say(&format!("{}: {error}", preview(args.command[0].as_bytes(), 200)));
            return Ok(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let status = wait(&mut child, &mut signals)?;
    if before.is_file() && log.metadata()?.len() == before.len() && !args.quiet {
        say(NOTHING_LOGGED);
    }
    Ok(exit_status(status))
}

const NOTHING_LOGGED: &str = "no key was logged. Either no CURVE handshake got as far as the keys, or the program's libzmq \
cannot be listened to: it has libsodium or TweetNaCl linked in statically, or the program is static, set-user-ID, or no \
user of libzmq at all (JeroMQ, NetMQ). Keys are seen where libsodium is a shared library of its own (ldd tells)";

/// The log, to append to. Keys are for the eyes of the owner.
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Waits for the end of the program. Signals come in order with that of its end, and as long as it was not waited for its
/// number is nobody else's.
fn wait(child: &mut Child, signals: &mut Signals) -> anyhow::Result<ExitStatus> {
    for signal in signals.forever() {
        if signal == SIGCHLD {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
        } else if !came_from_terminal(signal)
            && let (Some(child), Some(signal)) =
                (Pid::from_raw(child.id().cast_signed()), Signal::from_named_raw(signal))
        {
            // It may have ended just now.
            let _ = kill_process(child, signal);
        }
    }
    bail!("signals ended before the program did")
}

/// Whether the program got this signal already: keys of the terminal go to all of its foreground group.
fn came_from_terminal(signal: i32) -> bool {
    let foreground = || tcgetpgrp(File::open("/dev/tty").ok()?).ok();
    matches!(signal, SIGINT | SIGQUIT) && foreground() == Some(getpgrp())
}

/// Signals to be told of. Those that are ignored here, as under nohup(1), the program must inherit so: a handler would
/// be the end of that.
fn signals_to_watch() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let passed_on = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    passed_on.chain([SIGCHLD]).collect()
}

/// As shells tell it.
fn exit_status(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE)
}

/// The library on disk, removed at the end.
struct Library {
    directory: PathBuf,
    file: PathBuf,
}

impl Library {
    /// In a directory that is new, and in which nobody else may write. Others may read: the program may change its user
    /// before it starts children.
    fn put() -> anyhow::Result<Self> {
        let parent = env::temp_dir();
        let parent = fs::canonicalize(&parent).with_context(|| format!("{}", parent.display()))?;
        ensure!(
            !parent.as_os_str().as_bytes().iter().any(|octet| matches!(octet, b' ' | b':')),
            "the dynamic linker cannot preload from {}: it takes spaces and colons for separators; set TMPDIR",
            preview(parent.as_os_str().as_bytes(), 200)
        );
        let directory = new_directory(&parent)?;
        let library = Self { file: directory.join("zmtpscope-keylog.so"), directory };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&library.file)?;
        file.write_all(LIBRARY)?;
        Ok(library)
    }

    /// The value for the dynamic linker: this library before those that it has to load anyway.
    fn preload(&self) -> OsString {
        let mut value = self.file.as_os_str().as_bytes().to_vec();
        if let Some(others) = env::var_os(PRELOAD_VARIABLE).filter(|others| !others.is_empty()) {
            value.push(b':');
            value.extend_from_slice(others.as_bytes());
        }
        OsString::from_vec(value)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Creates a directory; that it did not exist is what makes it ours.
fn new_directory(parent: &Path) -> anyhow::Result<PathBuf> {
    for attempt in 0..1000_u32 {
        let directory = parent.join(format!("zmtpscope-{}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o755).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", directory.display())),
        }
    }
    bail!("cannot create a new directory in {}", parent.display())
}
