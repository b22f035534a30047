//! Everything that is tested from outside, in one binary; modules by purpose.
//!
//! * [`architecture`]: what the source may and may not say;
//! * [`truth`]: the fixtures against what the applications logged and an independent reader found;
//! * [`paths`]: what is said of each request, field by field, against the same truth;
//! * [`piped`]: captures that come through a pipe while they are made;
//! * [`explanations`]: what is said in words of one request;
//! * [`curve`]: encrypted connections, opened with keys and not without;
//! * [`closed`]: encrypted connections without keys, followed all the same;
//! * [`security`]: mechanisms without keys, and what refusals say;
//! * [`datagrams`]: UDP of RADIO, and PGM;
//! * [`metamorphic`]: changes to a capture that must not change the result, or only in a known way;
//! * [`numbering`]: which connection has which number;
//! * [`one_direction`]: captures that lack what one side sent;
//! * [`hostile`]: garbage, absurd lengths, floods, escape sequences;
//! * [`clocks`]: captures of several hosts whose clocks differ;
//! * [`memory`]: what hostile captures make an analysis hold, measured by its own accounts;
//! * [`hostile_peers`]: real hostile clients, and what is said about each;
//! * [`interests`]: views that want little, and what is not computed for them;
//! * [`jobs`]: any number of threads, and any batches;
//! * [`keylog`]: programs of which the keys are logged, sniffed at the same time;
//! * [`live`]: real libzmq peers on loopback, sniffed;
//! * [`midstream`]: connections that began before the capture, with long bodies.
//!
//! The rest is what they share: [`conversation`], [`fixture`], [`formats`], [`packets`], [`program`], [`recording`].

#![allow(unreachable_pub)] // A binary: nothing in it can be reached from outside.

mod architecture;
mod clocks;
mod closed;
mod conversation;
mod curve;
mod datagrams;
mod explanations;
mod fixture;
mod formats;
mod forwarding;
mod hostile;
mod hostile_peers;
mod interests;
mod jobs;
#[cfg(all(feature = "libpcap", target_os = "linux"))]
mod keylog;
#[cfg(feature = "libpcap")]
mod live;
mod memory;
mod metamorphic;
mod midstream;
mod numbering;
mod one_direction;
mod packets;
mod paths;
mod piped;
mod program;
mod recording;
mod security;
mod truth;
mod websocket;
