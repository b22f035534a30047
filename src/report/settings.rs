//! What the user chose about output, resolved.

use std::collections::BTreeSet;

/// Which results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewKind {
    /// The overview.
    Analyze,
    /// One row a connection.
    Connections,
    /// One row a frame.
    Frames,
    /// One row a message.
    Messages,
    /// One row a request/reply path.
    Paths,
    /// One path in words.
    Explanation,
    /// One row a finding.
    Findings,
    /// Who talks to whom.
    Topology,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON object a line.
    Jsonl,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// A graph for Graphviz.
    Dot,
    /// A diagram for Mermaid.
    Mermaid,
}

/// How bodies are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// As text where they are text; JSON has both text and hex.
    #[default]
    Text,
    /// As hexadecimal.
    Hex,
    /// Not at all.
    None,
}

/// Everything a view needs to know about its output.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent choices
pub struct Settings {
    /// How results are written.
    pub format: Format,
    /// How bodies are shown.
    pub payload: Payload,
    /// Leading bytes of each body shown; `None` for the view's default.
    pub max_body: Option<usize>,
    /// Show passwords.
    pub show_secrets: bool,
    /// Only these connections; `None` for all.
    pub conns: Option<BTreeSet<u32>>,
    /// Only the path of this number.
    pub path: Option<u64>,
    /// Stop after so many rows.
    pub limit: Option<u64>,
    /// Columns of the terminal; `None` where the output goes to a file or pipe, whose lines may be of any length.
    pub width: Option<usize>,
    /// Colour tables.
    pub color: bool,
    /// Packet numbers need a file to be understood.
    pub several_files: bool,
    /// Rows are wanted as they come, not in batches.
    pub live: bool,
    /// Threads that may format what is shown; with 0 or 1, the one that calls.
    pub jobs: usize,
}

impl Settings {
    /// Leading bytes of a frame's body to show.
    pub fn frame_body(&self) -> usize {
        self.max_body.unwrap_or(64)
    }

    /// Leading bytes of a message part to show.
    pub fn part_body(&self) -> usize {
        self.max_body.unwrap_or(256)
    }

    /// Threads to format with: more would wait for the one that finds out what is to be shown.
    pub fn threads(&self) -> usize {
        self.jobs.clamp(1, 6)
    }

    /// Whether results of this connection are to be shown.
    pub fn selects(&self, conn: u32) -> bool {
        self.conns.as_ref().is_none_or(|conns| conns.contains(&conn))
    }
}
