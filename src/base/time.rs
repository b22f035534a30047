//! Time as captures carry it: signed nanoseconds since the Unix epoch, UTC.

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};

/// A point in time, nanoseconds since 1970-01-01T00:00:00Z.
///
/// A capture file's clock is data like any other: it may be 0, far in the future, or run backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A span of time in nanoseconds; negative where an effect was captured before its cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl Timestamp {
    /// From a count of whole seconds and nanoseconds, saturating at the ends of the range (years 1677 and 2262).
    pub fn from_parts(seconds: i64, nanoseconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    }

    /// The time of day in UTC with microseconds, `12:34:56.123456`, as table views show it.
    pub fn time_of_day(self) -> String {
        let of_day = self.0.rem_euclid(86_400_000_000_000);
        let seconds = of_day / 1_000_000_000;
        let micros = of_day % 1_000_000_000 / 1_000;
        format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Duration {
    /// Whole microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros * 1_000)
    }

    /// Whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * 1_000_000_000)
    }
}

/// RFC 3339, UTC, always nine fractional digits: `2026-07-01T12:34:56.123456789Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, mut rest) = (self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000));
        let mut fraction = *b".000000000Z";
        for digit in fraction[1..10].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        for text in [&second(seconds)[..], &fraction] {
            f.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// A second as `2026-07-01T12:34:56`. Rows by the million are of few seconds, each after the other.
fn second(seconds: i64) -> [u8; 19] {
    thread_local! {
        static LATEST: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
    }
    let (known, text) = LATEST.get();
    if known == seconds {
        return text;
    }
    let civil = jiff::Timestamp::from_second(seconds).expect("every i64 of nanoseconds is in range").to_string();
    let text = civil.as_bytes()[..19].try_into().expect("these years have four digits");
    LATEST.set((seconds, text));
    text
}

/// Three significant digits with the unit that suits: `850 ns`, `41.3 µs`, `1.20 ms`, `2.05 s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let ns = self.0.unsigned_abs();
        if ns < 1_000 {
            return write!(f, "{sign}{ns} ns");
        }
        let (unit, scaled) = match ns {
            0..1_000_000 => ("µs", ns as f64 / 1e3),
            1_000_000..1_000_000_000 => ("ms", ns as f64 / 1e6),
            _ => ("s", ns as f64 / 1e9),
        };
        let digits = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
        write!(f, "{sign}{scaled:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_with_nine_digits() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Timestamp(1_795_350_828_548_642_000).to_string(), "2026-11-22T12:33:48.548642000Z");
        assert_eq!(Timestamp(i64::MIN).to_string(), "1677-09-21T00:12:43.145224192Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "2262-04-11T23:47:16.854775807Z");
        for ns in [-1, 0, 1, 999_999_999, 1_000_000_000, -1_000_000_001, 1_795_350_828_048_642_007, 999_999_999] {
            let civil = jiff::Timestamp::from_nanosecond(i128::from(ns)).expect("in range");
            assert_eq!(Timestamp(ns).to_string(), format!("{civil:.9}"));
        }
    }

    #[test]
    fn time_of_day_is_right_before_the_epoch_too() {
        assert_eq!(Timestamp(1_795_350_828_548_642_000).time_of_day(), "12:33:48.548642");
        assert_eq!(Timestamp(-1_000).time_of_day(), "23:59:59.999999");
    }

    #[test]
    fn durations_choose_their_unit() {
        let shown = |ns| Duration(ns).to_string();
        assert_eq!(shown(850), "850 ns");
        assert_eq!(shown(41_349), "41.3 µs");
        assert_eq!(shown(1_200_000), "1.20 ms");
        assert_eq!(shown(-2_050_000_000), "-2.05 s");
    }
}
