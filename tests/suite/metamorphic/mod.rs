//! Changes to a capture that must not change what is found, or only in a known way; on every fixture.
