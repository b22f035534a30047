//! zmtpscope: a wire-level ZMTP (`ZeroMQ` Message Transport Protocol) dissector and packet analyzer.
//!
//! Bytes go up through the layers, each of which knows only those below it (ARCHITECTURE.md):
//! [`capture`] → [`decap`] → [`flow`] → [`zmtp`] → [`correlate`], wired together by [`analyze`], shown by [`report`] and
//! [`cli`].

pub mod analyze;
pub mod base;
pub mod capture;
pub mod cli;
pub mod correlate;
pub mod decap;
pub mod flow;
pub mod report;
pub mod zmtp;
