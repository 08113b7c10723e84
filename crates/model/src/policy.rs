//! A queue's policy: limits, time limits and retries.

use serde_json::{Map, Value};

use crate::{
    Reason,
    clock::Time,
    code, name,
    spec::{Invalid, invalid},
};

/// How long a running item of a silent agent keeps its place, unless the policy says else.
pub const LOST_AFTER_SECONDS: i64 = 600;
/// Wait before the first retry, unless the policy says else.
pub const BACKOFF_SECONDS: i64 = 10;
/// Waits between retries double up to this (or stay at the policy's own, if that is longer).
const BACKOFF_MOST_SECONDS: i64 = 3600;
/// How often a policy may have an item repeated at most.
const RETRIES_MOST: u64 = 99;

/// Keys of a policy.
pub const KEYS: &[&str] = &[
    "max_running",
    "max_running_per_user",
    "paused",
    "draining",
    "retry",
    "start_timeout_seconds",
    "max_duration_seconds",
    "lost_after_seconds",
    "submitter_fields",
];
const RETRY_KEYS: &[&str] = &["max", "on", "backoff_seconds"];
const CAUSES: &[&str] = &["lost", "preempted", "infrastructure", "exit:<code>"];

/// What an attempt may have ended for so that it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its agent fell silent, or what was left of it is gone.
    Lost,
    /// Its machine was taken away, as its run had announced.
    Preempted,
    /// A pull, push, registry, git host, package index or disk failed.
    Infrastructure,
    /// The workload exited with this code.
    Exit(i32),
}

/// When and how often an attempt is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How often at most.
    pub max: u32,
    /// After what.
    pub on: Vec<Cause>,
    /// Wait before the first retry, in seconds; each further one takes twice as long.
    pub backoff_seconds: i64,
}

/// A queue's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Items with agents at the same time.
    pub max_running: Option<i64>,
    /// Items of one author with agents at the same time.
    pub max_running_per_user: Option<i64>,
    /// Nothing is handed out; none leaves it as it is.
    pub paused: Option<bool>,
    /// Nothing new is taken.
    pub draining: bool,
    /// Repetition of failed attempts; none means only what was lost before it ran.
    pub retry: Option<Retry>,
    /// Limit from the acknowledgement to the begin of the workload, in seconds.
    pub start_timeout_seconds: Option<i64>,
    /// Limit of the workload, in seconds.
    pub max_duration_seconds: Option<i64>,
    /// How long a running item of a silent agent keeps its place, in seconds.
    pub lost_after_seconds: i64,
    /// The fields that a submitter may set, instead of the target's allow-list.
    pub submitter_fields: Option<Vec<String>>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first field that is wrong, by its path; unknown keys name the nearest known one.
    pub fn parse(policy: &Map<String, Value>) -> Result<Self, Invalid> {
        unknown("", policy, KEYS)?;
        let flag = |key: &str| match policy.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(other) => Err(invalid(key, format!("is true or false, not `{other}`"))),
        };
        Ok(Self {
            max_running: positive(policy, "", "max_running")?,
            max_running_per_user: positive(policy, "", "max_running_per_user")?,
            paused: flag("paused")?,
            draining: flag("draining")?.unwrap_or(false),
            retry: match policy.get("retry") {
                None | Some(Value::Null) => None,
                Some(Value::Object(retry)) => Some(Retry::parse(retry)?),
                Some(other) => return Err(invalid("retry", format!("is an object with `max`, not `{other}`"))),
            },
            start_timeout_seconds: positive(policy, "", "start_timeout_seconds")?,
            max_duration_seconds: positive(policy, "", "max_duration_seconds")?,
            lost_after_seconds: positive(policy, "", "lost_after_seconds")?.unwrap_or(LOST_AFTER_SECONDS),
            submitter_fields: submitter_fields(policy.get("submitter_fields"))?,
        })
    }

    /// Reads what can be read, for policies that were checked when they came in.
    pub fn lenient(policy: &Map<String, Value>) -> Self {
        Self::parse(policy).unwrap_or_else(|_| Self { lost_after_seconds: LOST_AFTER_SECONDS, ..Self::default() })
    }

    /// How many attempts an item may have.
    pub fn max_attempts(&self) -> u32 {
        self.retry.as_ref().map_or(1, |r| r.max + 1)
    }
}

impl Retry {
    fn parse(retry: &Map<String, Value>) -> Result<Self, Invalid> {
        unknown("retry.", retry, RETRY_KEYS)?;
        let max = match retry.get("max") {
            None | Some(Value::Null) => 1,
            Some(value) => value.as_u64().filter(|n| *n <= RETRIES_MOST).ok_or_else(|| {
                invalid("retry.max", format!("is a whole number from 0 to {RETRIES_MOST}, not `{value}`"))
            })?,
        };
        let on = match retry.get("on") {
            None | Some(Value::Null) => vec![Cause::Lost, Cause::Preempted, Cause::Infrastructure],
            Some(Value::Array(words)) => {
                words.iter().enumerate().map(|(i, w)| Cause::parse(i, w)).collect::<Result<_, _>>()?
            }
            Some(one @ Value::String(_)) => vec![Cause::parse(0, one)?],
            Some(other) => {
                return Err(invalid("retry.on", format!("is a list of {}, not `{other}`", CAUSES.join(", "))));
            }
        };
        Ok(Self {
            max: u32::try_from(max).unwrap_or(u32::MAX),
            on,
            backoff_seconds: match retry.get("backoff_seconds") {
                Some(Value::Number(n)) if n.as_u64() == Some(0) => 0,
                _ => positive(retry, "retry.", "backoff_seconds")?.unwrap_or(BACKOFF_SECONDS),
            },
        })
    }

    /// Says when an attempt that ended at `now` for `cause` is tried again, after `retries` retries so far; none means
    /// that the item has failed.
    pub fn next(&self, cause: Cause, retries: u32, now: Time) -> Option<Time> {
        if retries >= self.max || !self.on.contains(&cause) {
            return None;
        }
        let most = BACKOFF_MOST_SECONDS.max(self.backoff_seconds);
        let wait = self.backoff_seconds.saturating_mul(1_i64 << retries.min(30)).min(most);
        Some(now.plus_ms(wait.saturating_mul(1000)))
    }
}

impl Cause {
    fn parse(index: usize, word: &Value) -> Result<Self, Invalid> {
        let field = || format!("retry.on[{index}]");
        let Some(text) = word.as_str() else {
            return Err(invalid(field(), format!("is one of {}, not `{word}`", CAUSES.join(", "))));
        };
        match text {
            "lost" => Ok(Self::Lost),
            "preempted" => Ok(Self::Preempted),
            "infrastructure" => Ok(Self::Infrastructure),
            _ => match text.strip_prefix("exit:").map(str::parse::<u8>) {
                Some(Ok(code)) if code > 0 => Ok(Self::Exit(code.into())),
                Some(_) => Err(invalid(field(), format!("`{text}` needs an exit code from 1 to 255"))),
                None => {
                    let hint = name::nearest(text, CAUSES.iter().copied())
                        .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                    Err(invalid(field(), format!("`{text}` is none of {}{hint}", CAUSES.join(", "))))
                }
            },
        }
    }

    /// Says what an attempt that failed for `reason` ended for, in the words of a retry policy. What was preempted also
    /// ended as it would have without: with its exit code, or lost.
    pub fn of(reason: Option<&Reason>, exit_code: Option<i32>) -> Vec<Self> {
        const LOST: &[code::Code] = &[code::AGENT_LOST, code::SUPERVISOR_LOST];
        const INFRASTRUCTURE: &[code::Code] = &[
            code::FETCH_FAILED,
            code::GIT_LOGIN_FAILED,
            code::GIT_HOST_UNKNOWN,
            code::IMAGE_MISSING,
            code::BASE_IMAGE_MISSING,
            code::NO_SPACE,
            code::REGISTRY_LOGIN_FAILED,
            code::PUSH_FAILED,
            code::INDEX_UNAVAILABLE,
            code::TARGET_UNAVAILABLE,
            code::AGENT_FAILED,
        ];
        let word = reason.map_or("", |r| r.code.as_str());
        let among = |codes: &[code::Code]| codes.iter().any(|c| c.word == word);
        if among(LOST) {
            vec![Self::Lost]
        } else if among(INFRASTRUCTURE) {
            vec![Self::Infrastructure]
        } else if word == code::EXIT_CODE.word {
            exit_code.map(Self::Exit).into_iter().collect()
        } else if word == code::PREEMPTED.word {
            vec![Self::Preempted, exit_code.map_or(Self::Lost, Self::Exit)]
        } else {
            Vec::new()
        }
    }
}

fn unknown(below: &str, object: &Map<String, Value>, known: &[&str]) -> Result<(), Invalid> {
    match object.keys().find(|k| !known.contains(&k.as_str())) {
        None => Ok(()),
        Some(key) => Err(invalid(format!("{below}{key}"), unknown_key("a policy", key, known))),
    }
}

/// Says that a key is not known, and which is nearest.
pub fn unknown_key(what: &str, key: &str, known: &[&str]) -> String {
    match name::nearest(key, known.iter().copied()) {
        Some(nearest) => format!("is not {what}; did you mean `{nearest}`?"),
        None => format!("is not {what}; known are {}", known.join(", ")),
    }
}

fn positive(object: &Map<String, Value>, below: &str, key: &str) -> Result<Option<i64>, Invalid> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        // Up to 30 years in seconds, so that sums of times stay in range.
        Some(value) => value
            .as_i64()
            .filter(|n| (1..1_000_000_000).contains(n))
            .map(Some)
            .ok_or_else(|| invalid(format!("{below}{key}"), format!("is a positive whole number, not `{value}`"))),
    }
}

fn submitter_fields(value: Option<&Value>) -> Result<Option<Vec<String>>, Invalid> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(i, v)| match v.as_str() {
                Some(path) if !path.is_empty() && !path.split('.').any(str::is_empty) => Ok(path.to_owned()),
                _ => Err(invalid(format!("submitter_fields[{i}]"), format!("is a dotted path, not `{v}`"))),
            })
            .collect::<Result<_, _>>()
            .map(Some),
        Some(other) => Err(invalid("submitter_fields", format!("is a list of dotted paths, not `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(value: Value) -> Result<Policy, Invalid> {
        Policy::parse(value.as_object().expect("an object"))
    }

    #[test]
    fn a_policy_is_read_with_its_defaults() {
        let read =
            policy(json!({ "max_running": 2, "retry": { "max": 3, "on": ["lost", "exit:75"] } })).expect("legal");
        let retry = read.retry.clone().expect("a retry");
        assert_eq!((read.max_running, read.max_attempts(), read.lost_after_seconds), (Some(2), 4, 600));
        assert_eq!((retry.on, retry.backoff_seconds), (vec![Cause::Lost, Cause::Exit(75)], BACKOFF_SECONDS));
        assert_eq!(policy(json!({})).expect("legal").max_attempts(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (bad, field, says) in [
            (json!({ "max_runing": 2 }), "max_runing", "did you mean `max_running`"),
            (json!({ "max_running": 0 }), "max_running", "positive"),
            (json!({ "retry": { "maximum": 2 } }), "retry.maximum", "known are max"),
            (json!({ "retry": { "max": -1 } }), "retry.max", "from 0 to 99"),
            (json!({ "retry": { "on": ["infrastucture"] } }), "retry.on[0]", "did you mean `infrastructure`"),
            (json!({ "retry": { "on": ["lost", "exit:0"] } }), "retry.on[1]", "1 to 255"),
            (json!({ "retry": 3 }), "retry", "object"),
            (json!({ "paused": "yes" }), "paused", "true or false"),
            (json!({ "submitter_fields": ["a..b"] }), "submitter_fields[0]", "dotted path"),
        ] {
            let error = policy(bad.clone()).expect_err(&bad.to_string());
            assert_eq!(error.field, field, "{error}");
            assert!(error.why.contains(says), "{error}");
        }
    }

    #[test]
    fn waits_double_and_end_after_the_last_retry() {
        let retry = Retry { max: 12, on: vec![Cause::Lost], backoff_seconds: 5 };
        let waits: Vec<_> = (0..13).map(|n| retry.next(Cause::Lost, n, Time(0)).map(|t| t.0 / 1000)).collect();
        assert_eq!(waits[..4], [Some(5), Some(10), Some(20), Some(40)]);
        assert_eq!((waits[11], waits[12]), (Some(3600), None));
        assert_eq!(retry.next(Cause::Exit(1), 0, Time(0)), None, "a user's exit code is nobody else's fault");
    }

    #[test]
    fn causes_follow_from_reasons() {
        let of = |code, exit| Cause::of(Some(&Reason::new(code, "x")), exit);
        assert_eq!(of(code::AGENT_LOST, None), [Cause::Lost]);
        assert_eq!(of(code::PUSH_FAILED, None), [Cause::Infrastructure]);
        assert_eq!(of(code::EXIT_CODE, Some(75)), [Cause::Exit(75)]);
        assert_eq!(of(code::PREEMPTED, Some(75)), [Cause::Preempted, Cause::Exit(75)]);
        assert_eq!(of(code::PREEMPTED, None), [Cause::Preempted, Cause::Lost]);
        assert_eq!(of(code::NO_INIT, Some(0)), []);
        assert_eq!(of(code::INSTALL_FAILED, None), []);
    }
}
