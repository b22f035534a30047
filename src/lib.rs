//! zmtpscope: a wire-level ZMTP (`ZeroMQ` Message Transport Protocol) dissector and packet analyzer.
//!
//! Bytes go up through the layers, each of which knows only those below it (ARCHITECTURE.md):
//! [`capture`] → [`decap`] → [`flow`] → [`zmtp`] → [`correlate`], wired together by [`analyze`], shown by [`report`] and
//! [`cli`].
//!
//! # As a library
//!
//! An [`analyze::engine::Analyzer`] takes packets from any [`capture::packet::PacketSource`] and tells an
//! [`analyze::observer::Observer`] what it finds; what the observer does not want is not computed. This prints each
//! request/reply path of a capture, hop by hop:
//!
//! ```
//! use std::path::Path as FilePath;
//! use zmtpscope::analyze::engine::{Analyzer, Options};
//! use zmtpscope::analyze::observer::{Interest, Observer};
//! use zmtpscope::capture::error::CaptureError;
//! use zmtpscope::capture::file::FileSource;
//! use zmtpscope::capture::packet::{Next, PacketSource};
//! use zmtpscope::correlate::path::Path;
//!
//! #[derive(Default)]
//! struct Paths(u32);
//!
//! impl Observer for Paths {
//!     fn interest(&self) -> Interest {
//!         Interest::PATHS
//!     }
//!
//!     fn path(&mut self, path: Path) {
//!         self.0 += 1;
//!         println!("request {}: {}", path.number, path.status.name());
//!         for hop in path.hops() {
//!             let evidence = hop.evidence.name();
//!             println!("  {} → {}  {evidence} {:.3}", hop.source, hop.destination, hop.confidence);
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), CaptureError> {
//!     let mut source = FileSource::open(FilePath::new("fixtures/proxy-assigned.pcap"))?;
//!     let mut analyzer = Analyzer::new(Options::default(), Paths::default());
//!     while let Next::Packet(packet) = source.next_packet()? {
//!         analyzer.packet(&packet);
//!     }
//!     let (paths, health) = analyzer.finish();
//!     assert_eq!((paths.0, health.packets), (40, 271));
//!     Ok(())
//! }
//! ```
//!
//! [`zmtp`] can be used alone: a [`zmtp::session::Session`] is given the bytes of both directions of a connection, from
//! wherever they come. The interface may change until version 1.0.

pub mod analyze;
pub mod base;
pub mod capture;
pub mod cli;
pub mod correlate;
pub mod decap;
pub mod flow;
pub mod report;
pub mod zmtp;
