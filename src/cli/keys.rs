//! The key log of `--keylog`: read at the start, and while packets are live as it grows.

use super::output::say;
use crate::analyze::keys::{BadLine, KeyLog};
use crate::base::text::preview;
use anyhow::ensure;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A larger file is none that keys were logged to.
const LARGEST: u64 = 64 << 20;

/// Bad lines told one by one.
const TOLD: usize = 5;

/// A key log on disk.
pub(crate) struct KeyFile {
    path: PathBuf,
    log: Arc<KeyLog>,
    quiet: bool,
    /// Octets of it that were read, up to the end of a line.
    read: u64,
    /// Lines of those.
    lines: u64,
    /// What [`KeyLog::wanted`] said at the last look.
    wanted: u64,
}

impl KeyFile {
    /// Reads what is there. While packets are `live` it need not be there yet, and its last line may be under way.
    pub(crate) fn open(path: &Path, live: bool, quiet: bool) -> anyhow::Result<Self> {
        let mut file = Self { path: path.to_owned(), log: Arc::default(), quiet, read: 0, lines: 0, wanted: 0 };
        match file.more(live) {
            Ok(()) => {}
            Err(error) if live && is_missing(&error) => {
                if !quiet {
                    say(&format!("{}: not there yet, is awaited", file.name()));
                }
            }
            Err(error) => return Err(error.context(format!("cannot read the key log {}", file.name()))),
        }
        Ok(file)
    }

    /// Its keys, now and later.
    pub(crate) fn log(&self) -> Arc<KeyLog> {
        Arc::clone(&self.log)
    }

    /// Reads what was added. That it cannot be read for the moment is no reason to stop.
    pub(crate) fn look(&mut self) {
        self.wanted = self.log.wanted();
        let _ = self.more(true);
    }

    /// The same, if a connection sought a key in vain since: peers log a key before they send what it opens.
    pub(crate) fn look_if_wanted(&mut self) {
        if self.log.wanted() != self.wanted {
            self.look();
        }
    }

    fn more(&mut self, growing: bool) -> anyhow::Result<()> {
        let mut file = File::open(&self.path)?;
        if growing {
            let length = file.metadata()?.len();
            if length < self.read {
                // Begun anew.
                (self.read, self.lines) = (0, 0);
            }
            if length == self.read {
                return Ok(());
            }
            file.seek(SeekFrom::Start(self.read))?;
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= LARGEST, "more than {} MiB: it is none", LARGEST >> 20);
        let whole = bytes.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        let bytes = if growing { &bytes[..whole] } else { &bytes[..] };
        // Keys are ASCII: what is none becomes a bad line.
        let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        let bad = self.log.add(self.lines, &text);
        self.read += bytes.len() as u64;
        self.lines += text.lines().count() as u64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PAIR: &str = "ac3a70ba35df3c3fae427a7c72021d68f2c1e044040b75f17313c0c8b5d4241d \
                        68f208412d8dd5db9d0c6d18512e86f0ec75665ab841372d57b042b27ef89d4c";

    #[test]
    fn a_log_that_grows_is_read_line_by_line() {
        let path = std::env::temp_dir().join(format!("zmtpscope-keylog-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert!(KeyFile::open(&path, false, true).is_err(), "without packets to come, nothing is awaited");
        let mut keys = KeyFile::open(&path, true, true).expect("it is awaited");
        let mut file = File::create(&path).expect("a temporary file");
        let mut write = |text: &str| file.write_all(text.as_bytes()).expect("it is written");
        write("# keys\n");
        write(&PAIR[..70]);
        keys.look();
        assert_eq!((keys.log.count(), keys.lines), (0, 1));
        write(&PAIR[70..]);
        keys.look();
        assert_eq!(keys.log.count(), 0, "the line has no end yet");
        write("\n");
        keys.look();
        assert_eq!((keys.log.count(), keys.lines), (1, 2));
        let _ = std::fs::remove_file(&path);
    }
}
