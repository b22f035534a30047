//! The key log of `--keylog`: read at the start, and while packets are live as it grows.

use super::output::say;
use crate::analyze::keys::{BadLine, KeyLog, Source};
use crate::base::text::preview;
use anyhow::ensure;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A larger file is none that keys were logged to.
const LARGEST: u64 = 64 << 20;

/// Bad lines told one by one.
const TOLD: usize = 5;

/// A key log on disk.
struct KeyFile {
    path: PathBuf,
    quiet: bool,
    /// What of it is being read. Another file may take its place, as when logs are rotated.
    open: Option<Reading>,
}

/// A file, as far as it was read.
struct Reading {
    file: File,
    identity: Identity,
    /// Octets of it that were read, up to the end of a line.
    read: u64,
    /// Lines of those.
    lines: u64,
}

/// The keys that are in the file at `path`. While packets are `live` it need not be there yet, its last line may be under
/// way, and it is followed as it grows, is begun anew, or gives its place to another.
pub(crate) fn open(path: &Path, live: bool, quiet: bool) -> anyhow::Result<KeyLog> {
    let mut file = KeyFile { path: path.to_owned(), quiet, open: None };
    let log = KeyLog::default();
    let read = if live { file.grown(&log) } else { file.whole(&log) };
    match read {
        Ok(()) => {}
        Err(error) if live && is_missing(&error) => {
            if !quiet {
                say(&format!("{}: not there yet, is awaited", file.name()));
            }
        }
        Err(error) => return Err(error.context(format!("cannot read the key log {}", file.name()))),
    }
    if live {
        log.follow(file);
    }
    Ok(log)
}

impl Source for KeyFile {
    /// That it cannot be read for the moment is no reason to stop.
    fn look(&mut self, log: &KeyLog) {
        let _ = self.grown(log);
    }
}

impl KeyFile {
    /// Reads all of it, its last line with or without an end.
    fn whole(&self, log: &KeyLog) -> anyhow::Result<()> {
        let bytes = read(&File::open(&self.path)?)?;
        self.tell(&log.add(0, &text(&bytes)));
        Ok(())
    }

    /// Reads the lines that were added, first to the file that is being read, then to one that took its place.
    fn grown(&mut self, log: &KeyLog) -> anyhow::Result<()> {
        self.lines_of_open(log)?;
        let identity = identity(&fs::metadata(&self.path)?);
        if self.open.as_ref().is_none_or(|open| open.identity != identity) {
            let file = File::open(&self.path)?;
            let identity = self::identity(&file.metadata()?);
            self.open = Some(Reading { file, identity, read: 0, lines: 0 });
            self.lines_of_open(log)?;
        }
        Ok(())
    }

    fn lines_of_open(&mut self, log: &KeyLog) -> anyhow::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let length = open.file.metadata()?.len();
        if length < open.read {
            // Begun anew.
            (open.read, open.lines) = (0, 0);
        }
        if length == open.read {
            return Ok(());
        }
        open.file.seek(SeekFrom::Start(open.read))?;
        let bytes = read(&open.file)?;
        let whole = bytes.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        let text = text(&bytes[..whole]);
        let bad = log.add(open.lines, &text);
        open.read += whole as u64;
        open.lines += text.lines().count() as u64;
        self.tell(&bad);
        Ok(())
    }

    fn tell(&self, bad: &[BadLine]) {
        if self.quiet {
            return;
        }
        let name = self.name();
        for BadLine { line, why } in bad.iter().take(TOLD) {
            say(&format!("{name}: line {line} is not used: {why}"));
        }
        if bad.len() > TOLD {
            say(&format!("{name}: {} more lines are not used", bad.len() - TOLD));
        }
    }

    fn name(&self) -> String {
        preview(self.path.to_string_lossy().as_bytes(), 200)
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

fn read(file: &File) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST, "more than {} MiB: it is none", LARGEST >> 20);
    Ok(bytes)
}

/// Keys are ASCII: what is none becomes a bad line.
fn text(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}

/// What tells a file from another one of the same name.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
type Identity = Option<std::time::SystemTime>;

#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> Identity {
    metadata.created().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PAIR: &str = "ac3a70ba35df3c3fae427a7c72021d68f2c1e044040b75f17313c0c8b5d4241d \
                        68f208412d8dd5db9d0c6d18512e86f0ec75665ab841372d57b042b27ef89d4c";

    const OTHER: &str = "e8980c86e032f1eb2975052e8d65bddd15c3b59641174ec9678a53789d92c754 \
                         b581fb5ae182a16f603f39270d4e3b95bc008310b727a11dd4e784a0044d461b";

    /// A path at which nothing is, and is nothing afterwards.
    struct Fresh(PathBuf);

    impl Fresh {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("zmtpscope-{name}-{}", std::process::id()));
            let _ = fs::remove_file(&path);
            Self(path)
        }
    }

    impl Drop for Fresh {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_log_that_grows_is_read_line_by_line() {
        let path = Fresh::new("grows");
        assert!(open(&path.0, false, true).is_err(), "without packets to come, nothing is awaited");
        let log = open(&path.0, true, true).expect("it is awaited");
        let mut file = File::create(&path.0).expect("a temporary file");
        let mut count_after = |text: &str| {
            file.write_all(text.as_bytes()).expect("it is written");
            log.look();
            log.count()
        };
        assert_eq!(count_after("# keys\n"), 0);
        assert_eq!(count_after(&PAIR[..70]), 0);
        assert_eq!(count_after(&PAIR[70..]), 0, "the line has no end yet");
        assert_eq!(count_after("\n"), 1);
    }

    #[test]
    fn a_log_that_is_begun_anew_is_read_anew() {
        let path = Fresh::new("anew");
        fs::write(&path.0, format!("# a long comment to begin with\n{PAIR}\n")).expect("a temporary file");
        let log = open(&path.0, true, true).expect("it is there");
        assert_eq!(log.count(), 1);
        fs::write(&path.0, format!("{OTHER}\n")).expect("it is cut to nothing and written");
        log.look();
        assert_eq!(log.count(), 2);
    }

    #[test]
    fn a_log_that_gives_its_place_to_another_is_read_to_its_end() {
        let (path, rotated) = (Fresh::new("rotated"), Fresh::new("rotated.1"));
        fs::write(&path.0, "# nothing yet\n").expect("a temporary file");
        let log = open(&path.0, true, true).expect("it is there");
        let mut old = File::options().append(true).open(&path.0).expect("it is there");
        fs::rename(&path.0, &rotated.0).expect("a new name");
        writeln!(old, "{PAIR}").expect("it is written");
        log.look();
        assert_eq!(log.count(), 1, "the new one is not there yet");
        fs::write(&path.0, format!("# not shorter than the old one was before, so length tells nothing\n{OTHER}\n"))
            .expect("a temporary file");
        log.look();
        assert_eq!(log.count(), 2);
    }
}
