//! How far the clocks of several captures are apart, found before they are merged.
//!
//! Two kinds of evidence, the second only where there is none of the first. A packet that two captures hold was captured
//! by each at about the same time (`sightings`): of the two directions of a connection, each bounds the difference of the
//! clocks from one side, as requests and replies do in NTP (RFC 5905 section 8). And a message that came in at one host
//! left another one later, not earlier (`causality`). The difference is the middle between the bounds; half of what is between them is
//! its uncertainty.
//!
//! Invariants: every file is read once more at most for each kind, in bounded memory; reading ends as soon as enough is
//! known. One difference holds for a whole file: clocks that drift apart meanwhile are met on average.

mod bounds;
mod causality;
mod sightings;
#[cfg(test)]
mod tests;

use crate::analyze::engine::Options;
use crate::base::time::Duration;
use crate::capture::error::CaptureError;
use crate::capture::packet::PacketSource;
use sightings::Sightings;

/// The clock of one capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileClock {
    /// What is added to its times.
    pub offset: Duration,
    /// How that is known.
    pub origin: Origin,
}

/// How the clock offset of a capture is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The others are measured against this one.
    Reference,
    /// The user says so.
    Given,
    /// From packets that it has in common with `with`, or from messages that passed from one to the other.
    Estimated {
        /// The file it was compared with.
        with: usize,
        /// Half of the distance between the bounds, those of `with` included.
        uncertainty: Duration,
        /// What was compared.
        evidence: ClockEvidence,
        /// How many of them.
        samples: u64,
    },
    /// Nothing joins it to another: its times are taken as they are.
    Unknown,
}

/// What two captures were compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEvidence {
    /// The same packets.
    Packets,
    /// Messages that came in at one and left at the other.
    Messages,
}

impl FileClock {
    /// Nothing is known, nothing is changed.
    const UNKNOWN: Self = Self { offset: Duration(0), origin: Origin::Unknown };

    /// In words: what was done to its times, and why.
    pub fn text(&self) -> String {
        let corrected = format!("clock corrected by {}", signed(self.offset));
        match self.origin {
            Origin::Reference => "the other clocks are compared with its clock".to_owned(),
            Origin::Given => format!("{corrected}, as given"),
            Origin::Unknown => "nothing joins it to the other files: its clock is taken as it is".to_owned(),
            Origin::Estimated { with, uncertainty, evidence, samples } => {
                let by = match evidence {
                    ClockEvidence::Packets => "packets that both hold",
                    ClockEvidence::Messages => "messages that passed from one to the other",
                };
                format!("{corrected} ± {uncertainty}, estimated by {samples} {by} (this and file {with})")
            }
        }
    }

    fn is_known(&self) -> bool {
        self.origin != Origin::Unknown
    }

    fn uncertainty(&self) -> i64 {
        match self.origin {
            Origin::Estimated { uncertainty, .. } => uncertainty.0,
            _ => 0,
        }
    }
}

/// How far one clock is ahead of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    /// Clock of the second minus clock of the first.
    ahead: i64,
    uncertainty: i64,
    samples: u64,
}

/// The clocks of captures: those that are `given`, the others as far as they can be compared. `open` opens one from its
/// start, `None` if that is not possible a second time.
///
/// # Errors
/// When a capture cannot be opened or read.
pub fn estimate(
    given: &[Option<Duration>],
    options: &Options,
    open: &mut dyn FnMut(usize) -> Result<Option<Box<dyn PacketSource>>, CaptureError>,
) -> Result<Vec<FileClock>, CaptureError> {
    let fixed = |offset| FileClock { offset, origin: Origin::Given };
    let mut clocks: Vec<_> = given.iter().map(|offset| offset.map_or(FileClock::UNKNOWN, fixed)).collect();
    if let Some(first) = clocks.first_mut().filter(|first| !first.is_known()) {
        first.origin = Origin::Reference;
    }
    if clocks.iter().all(FileClock::is_known) {
        return Ok(clocks);
    }
    // The more files, the less of each: what is held and compared is bounded over all of them.
    let samples = options.limits.clock_samples / clocks.len();
    let mut sightings = Sightings::new(clocks.len(), samples);
    sightings.read(open)?;
    attach(&mut clocks, ClockEvidence::Packets, |one, other| sightings.difference(one, other));
    if clocks.iter().all(FileClock::is_known) {
        return Ok(clocks);
    }
    let captures = causality::read(clocks.len(), samples, options, open)?;
    attach(&mut clocks, ClockEvidence::Messages, |one, other| {
        let (one, other) = (captures[one].as_ref()?, captures[other].as_ref()?);
        causality::difference(one, other)
    });
    Ok(clocks)
}

/// Gives files whose clock is unknown one by comparison with a file whose clock is known, the surest first.
fn attach(
    clocks: &mut [FileClock],
    evidence: ClockEvidence,
    mut difference: impl FnMut(usize, usize) -> Option<Difference>,
) {
    let count = clocks.len();
    let mut differences = Vec::new();
    for one in 0..count {
        for other in one + 1..count {
            differences.extend(difference(one, other).map(|found| (one, other, found)));
        }
    }
    loop {
        let mut best: Option<(i64, usize, FileClock)> = None;
        for &(one, other, found) in &differences {
            let (with, file, ahead) = match (clocks[one].is_known(), clocks[other].is_known()) {
                (true, false) => (one, other, found.ahead),
                (false, true) => (other, one, found.ahead.saturating_neg()),
                _ => continue,
            };
            let uncertainty = found.uncertainty.saturating_add(clocks[with].uncertainty());
            if best.as_ref().is_none_or(|(least, ..)| uncertainty < *least) {
                let origin =
                    Origin::Estimated { with, uncertainty: Duration(uncertainty), evidence, samples: found.samples };
                let offset = Duration(clocks[with].offset.0.saturating_sub(ahead));
                best = Some((uncertainty, file, FileClock { offset, origin }));
            }
        }
        let Some((_, file, clock)) = best else { return };
        clocks[file] = clock;
    }
}

/// `-37.000000ms`: to the nanosecond, as `--clock-offset` takes it.
fn signed(offset: Duration) -> String {
    let sign = if offset.0 < 0 { '-' } else { '+' };
    let nanoseconds = offset.0.unsigned_abs();
    format!("{sign}{}.{:06}ms", nanoseconds / 1_000_000, nanoseconds % 1_000_000)
}
