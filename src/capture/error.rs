//! Why packets could not be had.

use std::io;

/// The tool's own failures while capturing: the file, the device, the permission, the filter.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or read; why is the source of this error.
    #[error("{name}: cannot be read")]
    Io {
        /// Path as given, or `standard input`.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a capture, or damaged at its very start.
    #[error("{name}: {what}")]
    Format {
        /// Path as given.
        name: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The interface cannot be opened.
    #[error("{name}: {what}")]
    Device {
        /// Interface as given.
        name: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The BPF expression does not compile.
    #[error("filter '{expression}': {what}")]
    Filter {
        /// As given.
        expression: String,
        /// What libpcap said.
        what: String,
    },
    /// Built without libpcap.
    #[error(
        "this zmtpscope was built without libpcap: no live capture, no interfaces, no BPF filters; install libpcap-dev and build again with default features"
    )]
    WithoutLibpcap,
}
