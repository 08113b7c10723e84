//! CPUs, memory and GPUs: what a machine has, and what an item asks of it.
//!
//! The server hands out what fits, and the agent checks again before it reserves: both follow [`Request::fits`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Keys of `resources`, in launches and in targets' configs.
pub const KEYS: &[&str] = &["cpus", "memory", "gpus"];

/// Rounding of CPU shares that does not matter.
const CPU_GRAIN: f64 = 1e-6;

/// What a machine has, or has left. None of a kind means that it is not known, and then everything fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// CPUs, in cores.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// Memory, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Whole GPUs.
    #[serde(default)]
    pub gpus: Option<u32>,
}

/// GPUs that an item asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuRequest {
    /// So many, whichever they are.
    Count(u32),
    /// Every one of the machine, of which there must be at least one.
    All,
    /// These, by the target's own names for them.
    Devices(Vec<String>),
}

impl Default for GpuRequest {
    /// None.
    fn default() -> Self {
        Self::Count(0)
    }
}

/// What an item asks of a machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// CPUs, in cores; 0 for no wish.
    pub cpus: f64,
    /// Memory, in bytes; 0 for no wish.
    pub memory_bytes: u64,
    /// GPUs.
    pub gpus: GpuRequest,
}

impl Request {
    /// Reads the object `resources` of an item, or those keys of a target's config.
    ///
    /// # Errors
    /// Key and reason of the first value that means nothing.
    pub fn parse(resources: &Map<String, Value>) -> Result<Self, (String, String)> {
        let mut request = Self::default();
        let given = |key: &str| resources.get(key).filter(|v| !v.is_null());
        if let Some(value) = given("cpus") {
            request.cpus = cpus(value)
                .ok_or_else(|| ("cpus".to_owned(), format!("takes a number of CPUs, not `{}`", plain(value))))?;
        }
        if let Some(value) = given("memory") {
            request.memory_bytes = bytes(value).ok_or_else(|| {
                ("memory".to_owned(), format!("takes a size, such as `512m` or `2g`, not `{}`", plain(value)))
            })?;
        }
        if let Some(value) = given("gpus") {
            request.gpus = gpus(value).ok_or_else(|| {
                ("gpus".to_owned(), format!("takes a number, `all` or `device=0,1`, not `{}`", plain(value)))
            })?;
        }
        Ok(request)
    }

    /// Returns how many GPUs it takes of a machine that has `total`.
    pub fn gpu_count(&self, total: u32) -> u32 {
        match &self.gpus {
            GpuRequest::Count(n) => *n,
            // At least one: a machine without any is not what was meant.
            GpuRequest::All => total.max(1),
            GpuRequest::Devices(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether it asks for nothing.
    pub fn is_nothing(&self) -> bool {
        self.cpus < CPU_GRAIN && self.memory_bytes == 0 && self.gpus == GpuRequest::Count(0)
    }

    /// Whether it fits into what is `free` of a machine with `total`.
    pub fn fits(&self, free: &Capacity, total: &Capacity) -> bool {
        free.cpus.is_none_or(|n| self.cpus <= n + CPU_GRAIN)
            && free.memory_bytes.is_none_or(|n| self.memory_bytes <= n)
            && free.gpus.is_none_or(|n| self.gpu_count(total.gpus.unwrap_or(n)) <= n)
    }
}

impl Capacity {
    /// Returns what is left when `request` has been given of a machine with `total`.
    #[must_use]
    pub fn less(&self, request: &Request, total: &Self) -> Self {
        Self {
            cpus: self.cpus.map(|n| (n - request.cpus).max(0.0)),
            memory_bytes: self.memory_bytes.map(|n| n.saturating_sub(request.memory_bytes)),
            gpus: self.gpus.map(|n| n.saturating_sub(request.gpu_count(total.gpus.unwrap_or(n)))),
        }
    }
}

fn cpus(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(n) => n.as_f64(),
        // Kubernetes writes thousandths as `500m`.
        Value::String(s) => match s.trim().strip_suffix('m') {
            Some(thousandths) => thousandths.parse::<f64>().ok().map(|n| n / 1000.0),
            None => s.trim().parse().ok(),
        },
        _ => None,
    };
    number.filter(|n| n.is_finite() && (0.0..1e6).contains(n))
}

/// Reads a size: a number of bytes, or one with `k`, `m`, `g` or `t` (and perhaps a `b` or `ib`), powers of 1024.
pub fn bytes(value: &Value) -> Option<u64> {
    let bytes = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => {
            let s = s.trim().to_ascii_lowercase();
            let digits = s.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = match s[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
                "" => 1_u64,
                "k" => 1 << 10,
                "m" => 1 << 20,
                "g" => 1 << 30,
                "t" => 1 << 40,
                _ => return None,
            };
            digits.trim().parse::<f64>().ok().map(|n| n * factor as f64)
        }
        _ => None,
    };
    bytes.filter(|n| n.is_finite() && (0.0..1e18).contains(n)).map(|n| n as u64)
}

fn gpus(value: &Value) -> Option<GpuRequest> {
    let device = |v: &Value| match v {
        Value::String(s) if !s.trim().is_empty() => Some(s.trim().to_owned()),
        Value::Number(n) => n.as_u64().map(|n| n.to_string()),
        _ => None,
    };
    match value {
        Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).map(GpuRequest::Count),
        Value::String(s) => {
            // Docker wants quotes of its own around a list.
            let s = s.trim().trim_matches(['"', '\'']);
            if s == "all" || s == "-1" {
                Some(GpuRequest::All)
            } else if let Some(list) = s.strip_prefix("device=") {
                let names: Vec<String> = list.split(',').map(|n| n.trim().to_owned()).collect();
                (!names.iter().any(String::is_empty)).then_some(GpuRequest::Devices(names))
            } else {
                s.strip_prefix("count=").unwrap_or(s).parse().ok().map(GpuRequest::Count)
            }
        }
        Value::Array(list) => list.iter().map(device).collect::<Option<Vec<_>>>().map(GpuRequest::Devices),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(value: Value) -> Request {
        Request::parse(value.as_object().expect("an object")).expect("legal")
    }

    const MACHINE: Capacity = Capacity { cpus: Some(8.0), memory_bytes: Some(32 << 30), gpus: Some(3) };

    #[test]
    fn requests_are_read_as_people_write_them() {
        let read = request(json!({ "cpus": "500m", "memory": "1.5Gi", "gpus": "2" }));
        assert_eq!(read, Request { cpus: 0.5, memory_bytes: 3 << 29, gpus: GpuRequest::Count(2) });
        assert_eq!(request(json!({ "memory": "512m" })).memory_bytes, 512 << 20);
        assert_eq!(request(json!({ "memory": "2GB" })).memory_bytes, 2 << 30);
        assert_eq!(
            request(json!({ "gpus": "\"device=0,2\"" })).gpus,
            GpuRequest::Devices(vec!["0".into(), "2".into()])
        );
        assert_eq!(request(json!({ "gpus": [1] })).gpus, GpuRequest::Devices(vec!["1".into()]));
        assert!(request(json!({ "cpus": null })).is_nothing());
        for (bad, key) in [
            (json!({ "cpus": -1 }), "cpus"),
            (json!({ "memory": "lots" }), "memory"),
            (json!({ "gpus": true }), "gpus"),
        ] {
            assert_eq!(Request::parse(bad.as_object().expect("an object")).expect_err(key).0, key);
        }
    }

    #[test]
    fn what_was_given_is_gone() {
        let two = request(json!({ "gpus": 2, "cpus": 6 }));
        assert!(two.fits(&MACHINE, &MACHINE));
        let free = MACHINE.less(&two, &MACHINE);
        assert!(!two.fits(&free, &MACHINE), "six and six CPUs are too many for eight");
        assert!(request(json!({ "gpus": 1, "cpus": 2 })).fits(&free, &MACHINE));
        let all = request(json!({ "gpus": "all" }));
        assert!(!all.fits(&free, &MACHINE) && all.fits(&MACHINE, &MACHINE));
        assert_eq!(MACHINE.less(&all, &MACHINE).gpus, Some(0));
        assert!(!request(json!({ "memory": "33g" })).fits(&MACHINE, &MACHINE));
    }

    #[test]
    fn what_is_not_known_is_not_limited_and_no_gpu_is_known_to_be_none() {
        let unknown = Capacity::default();
        assert!(request(json!({ "gpus": 4, "cpus": 1000 })).fits(&unknown, &unknown));
        let none = Capacity { gpus: Some(0), ..unknown };
        assert!(!request(json!({ "gpus": "all" })).fits(&none, &none));
        assert!(!request(json!({ "gpus": 1 })).fits(&none, &none));
        assert!(Request::default().fits(&none, &none));
    }
}
