//! The keys that [`super::engine::Options`] takes: what those above fill them with.

pub use crate::zmtp::keylog::{BadLine, KeyLog, Source};
