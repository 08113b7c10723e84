//! Time, handed in.
//!
//! Nothing below `main` asks the system for the time: it asks a [`Clock`], which tests step.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, in milliseconds since 1970-01-01 UTC. Written in REST as RFC 3339 with milliseconds and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Returns the instant `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn since_ms(self, earlier: Time) -> i64 {
        self.0 - earlier.0
    }

    /// Parses as [`Time::parse`] does.
    ///
    /// # Errors
    /// Why it is no time, a clause that tells what is malformed from what is too late or too early to be kept.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            // A year that is certainly there shows whether the rest is a time.
            let elsewhen = text.get(..4).filter(|y| y.bytes().all(|b| b.is_ascii_digit())).and(text.get(4..));
            if elsewhen.is_some_and(|rest| Self::parse(&format!("2000{rest}")).is_some()) {
                let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
                format!("`{text}` is out of range: times are from {first:.0} to {last:.0}")
            } else {
                format!("`{text}` is not an RFC 3339 time, such as 2026-11-21T22:13:21Z")
            }
        })
    }

    /// Parses RFC 3339, or the zone-less form (`2026-11-21T22:13:21.16`, read as UTC) that wandb clients write.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(t) = text.parse::<jiff::Timestamp>() {
            return Some(Self(t.as_millisecond()));
        }
        format!("{text}Z").parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Time::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time")))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current instant.
    fn now(&self) -> Time;

    /// Returns the milliseconds since some moment of the past, which nobody who sets the machine's clock can move. It
    /// stands still while the machine sleeps.
    fn steady_ms(&self) -> i64 {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        FIRST.get_or_init(Instant::now).elapsed().as_millis() as i64
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
    steady: Arc<AtomicI64>,
}

impl ManualClock {
    /// Starts at `start`.
    pub fn at(start: Time) -> Self {
        Self { now: Arc::new(AtomicI64::new(start.0)), steady: Arc::default() }
    }

    /// Lets `ms` milliseconds pass.
    pub fn advance_ms(&self, ms: i64) {
        self.steady.fetch_add(ms, Ordering::SeqCst);
        self.jump_ms(ms);
    }

    /// Somebody sets the clock `ms` milliseconds forward.
    pub fn jump_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::SeqCst))
    }

    fn steady_ms(&self) -> i64 {
        self.steady.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_and_read_back() {
        let t = Time(1_763_763_201_160);
        assert_eq!(t.to_string(), "2025-11-21T22:13:21.160Z");
        assert_eq!(Time::parse("2025-11-21T22:13:21.160Z"), Some(t));
        assert_eq!(Time::parse("2025-11-21T22:13:21.16"), Some(t));
        assert_eq!(Time::parse("yesterday"), None);
        assert_eq!(Time::read("2025-11-21T22:13:21.16"), Ok(t));
        let why = |text: &str| Time::read(text).expect_err(text);
        assert!(why("yesterday").contains("is not an RFC 3339 time"));
        assert!(why("9999-13-01T00:00:00Z").contains("is not an RFC 3339 time"));
        assert!(why("9999-12-31T23:59:59Z").contains("to 9999-12-30T22:00:00Z"), "{}", why("9999-12-31T23:59:59Z"));
    }
}
