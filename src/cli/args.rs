//! The flags as they are typed. Comments here are help texts: clap shows them as they stand, so they hold no back-ticks.
#![allow(clippy::doc_markdown)]

use crate::report::settings::{Format, Payload, ViewKind};
use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Takes ZeroMQ traffic apart: frames, messages, and request/reply paths through proxies.
///
/// Reads captures (pcap, pcapng) or an interface. ZMTP is recognised on any port, also where a capture begins in the middle
/// of connections: over TCP, WebSocket, PGM and, where told, UDP.
#[derive(Debug, Parser)]
#[command(name = "zmtpscope", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  zmtpscope analyze broker.pcap
  zmtpscope paths broker.pcap
  sudo zmtpscope sniff -i lo 'tcp port 5555'")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The overview: what was captured, who talks to whom, request latencies, findings
    #[command(after_help = "\
Examples:
  zmtpscope analyze broker.pcap
  zmtpscope analyze --format jsonl broker.pcap | jq 'select(.type == \"route\")'
  zmtpscope analyze host-a.pcap host-b.pcap --clock-offset host-b.pcap=-37ms")]
    Analyze(ViewArgs),
    /// Live: a line a message as it comes, a summary at the end
    #[command(after_help = "\
Examples:
  sudo zmtpscope sniff -i lo
  sudo zmtpscope sniff -i eth0 'tcp port 5555'
  sudo zmtpscope sniff -i any --view paths --duration 10s
  sudo zmtpscope sniff -i lo --format jsonl > messages.jsonl")]
    Sniff(SniffArgs),
    /// One row a connection
    #[command(after_help = "\
Examples:
  zmtpscope connections broker.pcap
  zmtpscope connections --format csv broker.pcap > connections.csv
  gzip -dc broker.pcap.gz | zmtpscope connections -
  sudo tcpdump -i lo -U -w - | zmtpscope connections -      (Ctrl-C ends both)")]
    Connections(ViewArgs),
    /// A table of frames for each connection
    #[command(after_help = "\
Examples:
  zmtpscope frames broker.pcap --conn 0
  zmtpscope frames broker.pcap --payload hex --max-body 32
  zmtpscope frames --format jsonl broker.pcap | jq 'select(.kind == \"command\")'")]
    Frames(ViewArgs),
    /// One row a multipart message
    #[command(after_help = "\
Examples:
  zmtpscope messages broker.pcap
  zmtpscope messages --payload none --format jsonl broker.pcap
  sudo zmtpscope messages -i lo --count 1000")]
    Messages(ViewArgs),
    /// Paths of requests and replies across connections and proxies, and of one-way messages through devices
    #[command(after_help = "\
Examples:
  zmtpscope paths broker.pcap
  zmtpscope paths broker.pcap --conn 3
  zmtpscope paths --format jsonl broker.pcap | jq 'select(.status == \"broken\")'
  zmtpscope paths broker.pcap --explain 12
  zmtpscope paths broker.pcap --path 12 --format mermaid > path.mmd
  zmtpscope paths host-a.pcap host-b.pcap       (their clocks are compared first)")]
    Paths(PathsArgs),
    /// Who talks to whom: sockets, the proxies that they belong to, messages and latencies
    #[command(after_help = "\
Examples:
  zmtpscope topology broker.pcap
  zmtpscope topology --format dot broker.pcap | dot -Tsvg > topology.svg
  zmtpscope topology --format mermaid broker.pcap > topology.mmd
  zmtpscope topology --format jsonl broker.pcap | jq 'select(.type == \"link\")'")]
    Topology(ViewArgs),
    /// What is wrong or odd, in words, with packet numbers
    #[command(after_help = "\
Examples:
  zmtpscope findings broker.pcap
  zmtpscope findings --format jsonl broker.pcap | jq 'select(.severity == \"error\")'")]
    Findings(ViewArgs),
    /// Runs a program and logs the keys of its CURVE connections, for --keylog (Linux)
    ///
    /// A library is preloaded into COMMAND and its children: each CURVE connection, of either side, appends the key of its
    /// session to FILE before anything is sent that this key opens. No long-term key is logged. It works where libzmq
    /// calls a shared libsodium (Debian's libzmq, pyzmq's wheels), and not where libsodium or TweetNaCl is linked in
    /// statically, nor with other implementations (JeroMQ, NetMQ). All that COMMAND computes with libsodium's
    /// crypto_box_beforenm is logged.
    ///
    /// Whoever can read FILE can read the traffic. It is created for its owner alone; lines are appended.
    ///
    /// The exit status is that of COMMAND, 128+N if signal N ended it; 125 if zmtpscope failed, 126 if COMMAND cannot be
    /// executed, 127 if it is not found.
    #[command(after_help = "\
Examples:
  zmtpscope keylog -o keys.log -- python3 server.py
  zmtpscope messages --keylog keys.log capture.pcap
  sudo zmtpscope sniff -i lo --keylog keys.log              (at the same time: the log is followed)")]
    Keylog(KeylogArgs),
    /// What can be sniffed, and why not, if not
    #[command(after_help = "\
Examples:
  zmtpscope interfaces
  zmtpscope interfaces --format jsonl")]
    #[command(mut_arg("conn", |arg| arg.hide(true)), mut_arg("payload", |arg| arg.hide(true)))]
    #[command(mut_arg("max_body", |arg| arg.hide(true)), mut_arg("show_secrets", |arg| arg.hide(true)))]
    #[command(mut_arg("quiet", |arg| arg.hide(true)), mut_arg("verbose", |arg| arg.hide(true)))]
    Interfaces(OutputArgs),
}

/// A view of files or of an interface.
#[derive(Debug, clap::Args)]
pub(crate) struct ViewArgs {
    /// Captures, pcap or pcapng; several are merged by time; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "interface", conflicts_with = "interface")]
    pub(crate) files: Vec<PathBuf>,

    /// Capture on this interface instead
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: Option<String>,

    /// Only packets that this BPF expression lets through
    #[arg(short, long, value_name = "BPF")]
    pub(crate) filter: Option<String>,

    /// Correct the clock of a FILE: its times become later (+) or earlier (-), as in b.pcap=+37ms.
    /// Clocks of several files that are not given are estimated
    #[arg(long, value_name = "FILE=±DURATION", conflicts_with = "interface")]
    pub(crate) clock_offset: Vec<String>,

    #[command(flatten)]
    pub(crate) live: LiveArgs,
    #[command(flatten)]
    pub(crate) dissect: DissectArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The view of paths.
#[derive(Debug, clap::Args)]
pub(crate) struct PathsArgs {
    /// Only the path of this number
    #[arg(long, value_name = "N", conflicts_with = "explain")]
    pub(crate) path: Option<u64>,

    /// Say in words why each hop of this path was joined to the one before
    #[arg(long, value_name = "N")]
    pub(crate) explain: Option<u64>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Live only, with a summary.
#[derive(Debug, clap::Args)]
pub(crate) struct SniffArgs {
    /// Capture on this interface; "zmtpscope interfaces" lists them
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: String,

    /// Only packets that this BPF expression lets through
    #[arg(value_name = "BPF", conflicts_with = "filter")]
    pub(crate) expression: Vec<String>,

    /// The same, as an option
    #[arg(short, long, value_name = "BPF")]
    pub(crate) filter: Option<String>,

    /// What is shown as it comes
    #[arg(long, value_enum, default_value = "messages")]
    pub(crate) view: SniffView,

    #[command(flatten)]
    pub(crate) live: LiveArgs,
    #[command(flatten)]
    pub(crate) dissect: DissectArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A program to run.
#[derive(Debug, clap::Args)]
pub(crate) struct KeylogArgs {
    /// The key log, appended to
    #[arg(short, long, value_name = "FILE", env = "ZMTPKEYLOGFILE")]
    pub(crate) output: PathBuf,

    /// Nothing on stderr about the log, such as that it stayed empty
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

/// How an interface is captured on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Live capture")]
pub(crate) struct LiveArgs {
    /// Receive what is for other stations too
    #[arg(long)]
    pub(crate) promiscuous: bool,

    /// Kernel buffer, as in 64M; a longer burst loses packets, and they are counted [default: 32M]
    #[arg(long, value_name = "BYTES", value_parser = super::resolve::bytes)]
    pub(crate) buffer: Option<usize>,

    /// Bytes kept of each packet [default: 262144]
    #[arg(long, value_name = "BYTES")]
    pub(crate) snaplen: Option<u32>,

    /// Stop after this time, as in 10s, 1m30s
    #[arg(long, value_name = "DURATION", value_parser = super::resolve::duration)]
    pub(crate) duration: Option<crate::base::time::Duration>,

    /// Stop after so many packets (of files too)
    #[arg(long, value_name = "PACKETS")]
    pub(crate) count: Option<u64>,
}

/// How ZMTP is found and opened.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Dissection")]
pub(crate) struct DissectArgs {
    /// Take connections of this port for ZMTP although their first bytes do not say so: those of TCP are listed, and decoded
    /// if they have a greeting, or frames of WebSocket; datagrams to it are taken for those of PGM, or else of RADIO in UDP
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) port: Vec<u16>,

    /// Take UDP datagrams from and to this port for those of DGRAM sockets, which are bare bodies
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) dgram: Vec<u16>,

    /// Secret keys that open CURVE connections, one pair a line; read on as it grows while live
    #[arg(long, value_name = "FILE", env = "ZMTPKEYLOGFILE")]
    pub(crate) keylog: Option<PathBuf>,

    /// Threads: with 1 everything is done on one, with more reading, dissecting and showing overlap; default: as many as
    /// there are cores. The answer is the same
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// What is written, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// How results are written
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: FormatArg,

    /// Only these connections (by number); with paths: paths that touch them
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) conn: Vec<u32>,

    /// How bodies are shown; in JSON, text (the default) gives text and hex
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) payload: PayloadArg,

    /// Leading bytes of each body shown [default: frames 64, messages 256]
    #[arg(long, value_name = "BYTES", value_parser = super::resolve::bytes)]
    pub(crate) max_body: Option<usize>,

    /// Show the passwords of PLAIN, which are *** otherwise
    #[arg(long)]
    pub(crate) show_secrets: bool,

    /// Stop after so many rows
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<u64>,

    /// Colour in tables
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) color: ColorArg,

    /// No progress, warnings or summary on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Say more on stderr: what was left out, and how long it took
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For people
    Table,
    /// One JSON object a line
    Jsonl,
    /// One JSON document
    Json,
    /// Comma-separated values
    Csv,
    /// A graph for Graphviz (topology)
    Dot,
    /// A diagram for Mermaid (topology, paths)
    Mermaid,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Table => Self::Table,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Json => Self::Json,
            FormatArg::Csv => Self::Csv,
            FormatArg::Dot => Self::Dot,
            FormatArg::Mermaid => Self::Mermaid,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PayloadArg {
    /// Not at all
    None,
    /// As text where they are text
    Text,
    /// As hexadecimal
    Hex,
}

impl From<PayloadArg> for Payload {
    fn from(payload: PayloadArg) -> Self {
        match payload {
            PayloadArg::None => Self::None,
            PayloadArg::Text => Self::Text,
            PayloadArg::Hex => Self::Hex,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SniffView {
    /// A line a message
    Messages,
    /// A line a frame
    Frames,
    /// A line a path, when it is complete
    Paths,
}

impl From<SniffView> for ViewKind {
    fn from(view: SniffView) -> Self {
        match view {
            SniffView::Messages => Self::Messages,
            SniffView::Frames => Self::Frames,
            SniffView::Paths => Self::Paths,
        }
    }
}
