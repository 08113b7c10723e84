//! Options of `docker run` as queues and launches write them: which there are, and what each takes.
//!
//! The server refuses at the launch what the agent could not pass on to the engine, and the agent reads through the
//! same words. Lists repeat an option (an empty one leaves it out), `true` is a bare flag.

use serde_json::Value;

use crate::resources::{GpuRequest, Request};

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// One text or number.
    Text,
    /// Texts.
    Texts,
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A whole number that fits into 16 bits.
    Weight,
    /// A size with a unit.
    Size,
    /// A number of CPUs.
    Cpus,
    /// GPUs.
    Gpus,
    /// `NAME=SOFT[:HARD]`.
    Ulimits,
    /// `KEY=VALUE`, or an object.
    Pairs,
    /// `[[ADDRESS:]PORT:]PORT`.
    Ports,
    /// When to pull.
    Pull,
    /// Nothing but `no`: the agent starts things anew, not the engine.
    Restart,
    /// Anything: what the agent does by itself, or what has no meaning without a terminal.
    Nothing,
}

const OPTIONS: &[(&str, Takes)] = &[
    ("add-host", Takes::Texts),
    ("blkio-weight", Takes::Weight),
    ("c", Takes::Whole),
    ("cap-add", Takes::Texts),
    ("cap-drop", Takes::Texts),
    ("cgroup-parent", Takes::Text),
    ("command", Takes::Texts),
    ("cpu", Takes::Cpus),
    ("cpu-period", Takes::Whole),
    ("cpu-quota", Takes::Whole),
    ("cpu-rt-period", Takes::Whole),
    ("cpu-rt-runtime", Takes::Whole),
    ("cpu-shares", Takes::Whole),
    ("cpus", Takes::Cpus),
    ("cpuset-cpus", Takes::Text),
    ("cpuset-mems", Takes::Text),
    ("d", Takes::Nothing),
    ("detach", Takes::Nothing),
    ("device", Takes::Texts),
    ("device-cgroup-rule", Takes::Texts),
    ("dns", Takes::Texts),
    ("dns-opt", Takes::Texts),
    ("dns-option", Takes::Texts),
    ("dns-search", Takes::Texts),
    ("domainname", Takes::Text),
    ("entrypoint", Takes::Text),
    ("expose", Takes::Texts),
    ("gpus", Takes::Gpus),
    ("group-add", Takes::Texts),
    ("h", Takes::Text),
    ("hostname", Takes::Text),
    ("i", Takes::Nothing),
    ("init", Takes::Flag),
    ("interactive", Takes::Nothing),
    ("ipc", Takes::Text),
    ("it", Takes::Nothing),
    ("l", Takes::Pairs),
    ("label", Takes::Pairs),
    ("link", Takes::Texts),
    ("log-driver", Takes::Text),
    ("log-opt", Takes::Pairs),
    ("m", Takes::Size),
    ("memory", Takes::Size),
    ("memory-reservation", Takes::Size),
    ("memory-swap", Takes::Size),
    ("memory-swappiness", Takes::Whole),
    ("name", Takes::Text),
    ("net", Takes::Text),
    ("network", Takes::Text),
    ("oom-kill-disable", Takes::Flag),
    ("oom-score-adj", Takes::Whole),
    ("p", Takes::Ports),
    ("pid", Takes::Text),
    ("pids-limit", Takes::Whole),
    ("platform", Takes::Text),
    ("privileged", Takes::Flag),
    ("publish", Takes::Ports),
    ("publish-all", Takes::Flag),
    ("pull", Takes::Pull),
    ("read-only", Takes::Flag),
    ("restart", Takes::Restart),
    ("rm", Takes::Nothing),
    ("runtime", Takes::Text),
    ("security-opt", Takes::Texts),
    ("shm-size", Takes::Size),
    ("stop-signal", Takes::Text),
    ("stop-timeout", Takes::Nothing),
    ("storage-opt", Takes::Pairs),
    ("sysctl", Takes::Pairs),
    ("t", Takes::Flag),
    ("tmpfs", Takes::Texts),
    ("tty", Takes::Flag),
    ("u", Takes::Text),
    ("ulimit", Takes::Ulimits),
    ("user", Takes::Text),
    ("userns", Takes::Text),
    ("uts", Takes::Text),
    ("v", Takes::Texts),
    ("volume", Takes::Texts),
    ("volume-driver", Takes::Text),
    ("volumes-from", Takes::Texts),
    ("w", Takes::Text),
    ("workdir", Takes::Text),
];

/// Returns the names of all options that an agent knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// A limit of `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// `nofile`, for instance.
    pub name: String,
    /// Where the process meets it.
    pub soft: i64,
    /// How far it may raise it.
    pub hard: i64,
}

/// A published port, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// In the container, with its protocol.
    pub inside: String,
    /// On the host.
    pub on_host: Option<String>,
    /// Address of the host.
    pub address: Option<String>,
}

/// One option with its value. The readers return none for a list without entries; a refusal is a clause that follows
/// the option's name.
#[derive(Debug, Clone, Copy)]
pub struct Flag<'a> {
    /// Name, normalised.
    pub name: &'a str,
    /// What is written behind it.
    pub value: &'a Value,
}

/// What a reader says of a value.
type Read<T> = Result<T, String>;

impl Flag<'_> {
    /// Checks that an agent can pass the option on.
    ///
    /// # Errors
    /// When it knows no such option, or the option takes something else.
    pub fn check(&self) -> Read<()> {
        match self.takes()? {
            Takes::Text => self.text().map(drop),
            Takes::Texts => self.texts().map(drop),
            Takes::Flag => self.flag().map(drop),
            Takes::Whole => self.whole().map(drop),
            Takes::Weight => self.weight().map(drop),
            Takes::Size => self.size().map(drop),
            Takes::Cpus => self.cpus().map(drop),
            Takes::Gpus => self.gpus().map(drop),
            Takes::Ulimits => self.ulimits().map(drop),
            Takes::Pairs => self.pairs().map(drop),
            Takes::Ports => self.ports().map(drop),
            Takes::Pull => self.pull().map(drop),
            Takes::Restart if self.value.as_str() != Some("no") => {
                Err("is the agent's business; set a retry policy on the queue".into())
            }
            Takes::Restart | Takes::Nothing => Ok(()),
        }
    }

    /// Checks that agents know the option, whatever its value is.
    ///
    /// # Errors
    /// When they do not; names the one that is nearest.
    pub fn known(&self) -> Read<()> {
        self.takes().map(drop)
    }

    fn takes(&self) -> Read<Takes> {
        if let Some((_, takes)) = OPTIONS.iter().find(|(name, _)| *name == self.name) {
            return Ok(*takes);
        }
        let known = names().filter(|n| n.len() > 2);
        let hint = crate::name::nearest(self.name, known).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        Err(format!("is not an option of `docker run` that agents know{hint}"))
    }

    /// Reads texts and numbers.
    ///
    /// # Errors
    /// When something is neither.
    pub fn texts(&self) -> Read<Vec<String>> {
        let one = |v: &Value| match v {
            Value::String(s) => Ok(s.clone()),
            Value::Number(n) => Ok(n.to_string()),
            other => Err(format!("takes a text, not `{other}`")),
        };
        match self.value {
            Value::Array(list) => list.iter().map(one).collect(),
            other => Ok(vec![one(other)?]),
        }
    }

    /// Reads one text.
    ///
    /// # Errors
    /// When there is more than one.
    pub fn text(&self) -> Read<Option<String>> {
        let mut texts = self.texts()?;
        if texts.len() > 1 {
            return Err("takes one value, not a list".into());
        }
        Ok(texts.pop())
    }

    /// Reads one text with `read`, which returns none for what `takes` does not describe.
    fn one<T>(&self, takes: &str, read: impl Fn(&str) -> Option<T>) -> Read<Option<T>> {
        let Some(text) = self.text()? else { return Ok(None) };
        read(text.trim()).map(Some).ok_or_else(|| format!("takes {takes}, not `{text}`"))
    }

    /// Reads true or false.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self) -> Read<Option<bool>> {
        match self.value {
            Value::Bool(b) => Ok(Some(*b)),
            Value::String(s) if s == "true" || s.is_empty() => Ok(Some(true)),
            Value::String(s) if s == "false" => Ok(Some(false)),
            Value::Array(list) if list.is_empty() => Ok(None),
            other => Err(format!("takes true or false, not `{other}`")),
        }
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// When it is none.
    pub fn whole(&self) -> Read<Option<i64>> {
        self.one("a whole number", |t| t.parse().ok())
    }

    /// Reads a weight.
    ///
    /// # Errors
    /// When it is none, or out of range.
    pub fn weight(&self) -> Read<Option<u16>> {
        self.one("a whole number up to 65535", |t| t.parse().ok())
    }

    /// Reads a size in bytes; -1 is no limit.
    ///
    /// # Errors
    /// When it is none.
    pub fn size(&self) -> Read<Option<i64>> {
        self.one("a size, such as `512m` or `2g`", size)
    }

    /// Reads a number of CPUs.
    ///
    /// # Errors
    /// When it is none.
    pub fn cpus(&self) -> Read<Option<f64>> {
        self.one("a number of CPUs", |t| t.parse().ok().filter(|n: &f64| (0.0..1e6).contains(n)))
    }

    /// Reads `all`, a number, `device=0,1` or a list of devices.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn gpus(&self) -> Read<Option<GpuRequest>> {
        if self.value.as_array().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        // A list of one option is that option, a list of devices is one option.
        let value = match self.value.as_array().map(Vec::as_slice) {
            Some([Value::String(only)]) if only == "all" || only.contains('=') => Value::from(only.as_str()),
            _ => self.value.clone(),
        };
        let one = serde_json::Map::from_iter([("gpus".to_owned(), value)]);
        Request::parse(&one).map(|r| Some(r.gpus)).map_err(|(_, why)| why)
    }

    /// Reads limits.
    ///
    /// # Errors
    /// When one is not of the form `NAME=SOFT[:HARD]`.
    pub fn ulimits(&self) -> Read<Vec<Ulimit>> {
        let one = |text: &String| {
            let (name, limits) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
            let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
            Some(Ulimit { name: name.to_owned(), soft: soft.parse().ok()?, hard: hard.parse().ok()? })
        };
        self.texts()?.iter().map(|t| one(t).ok_or_else(|| format!("takes NAME=SOFT[:HARD], not `{t}`"))).collect()
    }

    /// Reads `KEY=VALUE` texts, or an object.
    ///
    /// # Errors
    /// When it is neither.
    pub fn pairs(&self) -> Read<Vec<(String, String)>> {
        if let Value::Object(object) = self.value {
            let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            return Ok(object.iter().map(|(k, v)| (k.clone(), text(v))).collect());
        }
        let pair = |t: String| match t.split_once('=') {
            Some((k, v)) => (k.to_owned(), v.to_owned()),
            None => (t, String::new()),
        };
        Ok(self.texts()?.into_iter().map(pair).collect())
    }

    /// Reads published ports.
    ///
    /// # Errors
    /// When one is not of the form `[[ADDRESS:]PORT:]PORT`.
    pub fn ports(&self) -> Read<Vec<Port>> {
        let one = |text: &String| {
            let parts: Vec<&str> = text.rsplitn(3, ':').collect();
            let (inside, on_host, address) = match parts.as_slice() {
                [inside] => (*inside, None, None),
                [inside, on_host] => (*inside, Some(*on_host), None),
                [inside, on_host, address] => (*inside, Some(*on_host), Some(*address)),
                _ => return None,
            };
            let owned = |t: Option<&str>| t.map(str::to_owned);
            (!inside.is_empty()).then(|| Port {
                inside: port(inside),
                on_host: owned(on_host),
                address: owned(address),
            })
        };
        self.texts()?.iter().map(|t| one(t).ok_or_else(|| format!("takes [[ADDRESS:]PORT:]PORT, not `{t}`"))).collect()
    }

    /// Reads when to pull.
    ///
    /// # Errors
    /// When it is none of the engine's words.
    pub fn pull(&self) -> Read<Option<String>> {
        self.one("always, missing or never", |t| ["always", "missing", "never"].contains(&t).then(|| t.to_owned()))
    }
}

/// A port with its protocol.
pub fn port(text: &str) -> String {
    if text.contains('/') { text.to_owned() } else { format!("{text}/tcp") }
}

/// Whether a text is the name of an image that may become a line of a Dockerfile.
pub fn is_image_name(name: &str) -> bool {
    let plain = !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c));
    let digest = name.split_once('@').is_none_or(|(_, d)| {
        d.strip_prefix("sha256:").is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    plain && digest && !name.is_empty()
}

/// Reads a size of Docker: a number of bytes, or one with `b`, `k`, `m`, `g`, `t` (and perhaps a `b` or `ib`).
fn size(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    if digits == "-1" {
        return Some(-1);
    }
    let number: f64 = digits.trim().parse().ok()?;
    (number >= 0.0).then(|| (number * f64::from(1u32 << (shift / 2)) * f64::from(1u32 << (shift - shift / 2))) as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_take_what_docker_run_takes() {
        for (name, value) in [
            ("gpus", json!("all")),
            ("gpus", json!("device=0,1")),
            ("gpus", json!(2)),
            ("command", json!(["python", "a.py"])),
            ("command", json!("python a.py")),
            ("ulimit", json!([])),
            ("cpus", json!([])),
            ("memory", json!(["1g"])),
            ("label", json!({ "team": "vision" })),
            ("init", json!(true)),
            ("tty", json!("")),
            ("p", json!("127.0.0.1:80:8080")),
            ("rm", json!(true)),
        ] {
            assert_eq!(Flag { name, value: &value }.check(), Ok(()), "{name} {value}");
        }
        for (name, value, words) in [
            ("volumme", json!("/a:/b"), "did you mean `volume`?"),
            ("gpus", json!(true), "takes a number"),
            ("memory", json!("lots"), "such as `512m`"),
            ("cpus", json!("500m"), "takes a number of CPUs, not `500m`"),
            ("name", json!(["a", "b"]), "takes one value"),
            ("workdir", json!(false), "takes a text, not `false`"),
            ("privileged", json!("yes"), "takes true or false"),
            ("ulimit", json!("nofile"), "NAME=SOFT[:HARD], not `nofile`"),
            ("restart", json!("always"), "retry policy"),
            ("pull", json!("sometimes"), "always, missing or never"),
            ("blkio-weight", json!(70_000), "up to 65535"),
        ] {
            let why = Flag { name, value: &value }.check().expect_err(name);
            assert!(why.contains(words), "{name}: {why}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("1k", 1024), ("2MB", 2 << 20), ("1gib", 1 << 30), ("-1", -1), ("3t", 3 << 40)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        assert_eq!((size("x"), size("1q"), size("-5m")), (None, None, None));
    }

    #[test]
    fn images_are_names_and_no_lines() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        assert!(["python:3.11-slim", "h:5000/a/b", digest.as_str()].into_iter().all(is_image_name));
        assert!(["", "-v", "a b", "a\nRUN x", "a#b", "a@sha256:0"].into_iter().all(|n| !is_image_name(n)));
    }
}
