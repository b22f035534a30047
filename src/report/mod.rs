//! Results → bytes. Tables are for people and fit the terminal; jsonl, json and csv are for programs.
//!
//! Invariants: what is written for programs is defined in [`model`] alone; every byte of the wire that reaches a table
//! went through [`crate::base::text`]; nothing is kept that grows with the number of frames, messages or paths.

pub mod any_view;
pub mod community_id;
pub mod csv;
pub mod diagram;
pub mod explain;
pub mod facts;
pub mod model;
pub mod output;
pub mod paint;
pub mod pictures;
pub mod record;
pub mod records;
pub mod route;
#[cfg(test)]
mod samples;
pub mod scribes;
pub mod settings;
pub mod sheet;
pub mod spread;
pub mod summary;
pub mod table;
pub mod topology;
pub mod view;
