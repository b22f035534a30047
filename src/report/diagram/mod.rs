//! Pictures as text for other programs to draw: Graphviz and Mermaid.
//!
//! Invariant: what came from the wire can end neither a label nor a line: each format has one function that every label goes
//! through.

pub mod dot;
pub mod mermaid;
pub mod sequence;
#[cfg(test)]
mod tests;
