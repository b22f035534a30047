//! What the source may and may not say: the import table of ARCHITECTURE.md, where clocks and terminals are, how long a
//! file may grow.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and the layers, or single modules of layers, that it may name.
const IMPORTS: [(&str, &[&str]); 9] = [
    ("base", &[]),
    ("capture", &["base"]),
    ("decap", &["capture", "base"]),
    ("flow", &["decap", "base"]),
    ("zmtp", &["base"]),
    ("correlate", &["zmtp", "base"]),
    ("analyze", &["correlate", "zmtp", "flow", "decap", "capture", "base"]),
    // Single modules: how a connection ended, what an input says about itself, and interfaces are part of what is shown.
    ("report", &["analyze", "correlate", "zmtp", "base", "flow::table", "capture::packet", "capture::interfaces"]),
    ("cli", &["report", "analyze", "capture", "base"]),
];

/// Lines of the longest file that is still looked at with one's own eyes.
const LONGEST_FILE: usize = 700;

/// A source file: its path below `src`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The folder directly below `src`; empty for `lib.rs` and `main.rs`.
    fn layer(&self) -> &str {
        self.path.split_once('/').map_or("", |(layer, _)| layer)
    }

    /// Its lines without comments, numbered from 1. What a string literal holds after `//` is lost too, which no rule
    /// here looks for.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The lines of code, as `path:line: text`, that contain one of `words`.
    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let hit = |line: &str| words.iter().any(|word| contains_word(line, word));
        self.code()
            .filter(|(_, line)| hit(line))
            .map(|(at, line)| format!("src/{}:{at}: {}", self.path, line.trim()))
            .collect()
    }
}

/// Whether `word` stands in `line` and does not go on to the left.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 50, "the source was not found");
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).expect("a folder of src").map(|e| e.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(root, &entry, sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(root).expect("below src").to_str().expect("UTF-8").replace('\\', "/");
            sources.push(Source { path, text: fs::read_to_string(&entry).expect("a source file") });
        }
    }
}

/// Fails with all `complaints`, one a line.
fn assert_none(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let mut complaints = Vec::new();
    for source in sources() {
        let layer = source.layer();
        if layer.is_empty() {
            continue;
        }
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == layer) else {
            complaints.push(format!("src/{layer}: a layer that the import table does not know"));
            continue;
        };
        for (at, line) in source.code() {
            for (from, _) in line.match_indices("crate::") {
                let target = &line[from + "crate::".len()..];
                let may = |prefix: &str| target.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(is_word));
                if !may(layer) && !allowed.iter().any(|prefix| may(prefix)) {
                    complaints.push(format!("src/{}:{at}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert_none(&complaints, "imports that the layers do not allow");
}

#[test]
fn the_import_table_has_no_cycle() {
    for (place, (layer, allowed)) in IMPORTS.iter().enumerate() {
        for target in *allowed {
            let target = target.split("::").next().expect("never empty");
            let at = IMPORTS.iter().position(|(name, _)| *name == target);
            assert!(at.is_some_and(|at| at < place), "{layer} names {target}, which does not come before it");
        }
    }
}

#[test]
fn only_the_edges_read_a_clock() {
    let clocks = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"];
    let inside = |source: &Source| source.layer() != "cli" && source.path != "capture/live.rs";
    let complaints: Vec<_> = sources().iter().filter(|s| inside(s)).flat_map(|s| s.lines_with(&clocks)).collect();
    assert_none(&complaints, "time comes with the packets");
}

#[test]
fn only_the_edges_write_to_a_terminal() {
    let macros = ["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout", "io::stderr"];
    let inside = |source: &Source| !matches!(source.layer(), "cli" | "report" | "");
    let complaints: Vec<_> = sources().iter().filter(|s| inside(s)).flat_map(|s| s.lines_with(&macros)).collect();
    assert_none(&complaints, "what is found goes to the observer");
}

#[test]
fn nothing_is_unsafe() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    let complaints: Vec<_> = sources().iter().flat_map(|source| source.lines_with(&words)).collect();
    assert_none(&complaints, "no unsafe code");
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("a manifest");
    assert!(manifest.contains("unsafe_code = \"forbid\""), "the compiler is told so too");
}

#[test]
fn no_file_is_too_long() {
    let complaints: Vec<_> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("src/{path}: {lines} lines"))
        .collect();
    assert_none(&complaints, "split these files");
}
