//! What this machine has to hand out, and how it is set aside for items.
//!
//! CPUs and memory are what the agent itself may use, GPUs are those that the vendor's tool shows; the config and flags
//! win over what is found. An agent counts only its own items: two agents on one machine each declare their share.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use lanza_api::agent::Reserved;
use lanza_model::resources::{Capacity, GpuRequest, Request};
use tokio::{process::Command, time::timeout};
use tracing::{info, warn};

use crate::{options::Declared, workload_env};

/// How long the tool of a GPU's vendor may take; the first call after a boot loads the driver.
const TOOL_PATIENCE: Duration = Duration::from_secs(30);

/// What shows the GPUs of each vendor.
const TOOLS: [(&str, [&str; 2]); 2] =
    [("nvidia-smi", ["--query-gpu=index", "--format=csv,noheader"]), ("rocm-smi", ["--showid", "--csv"])];

/// Variables by which a process is told its GPUs.
const VISIBLE: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"];

/// The machine as the agent shares it out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Machine {
    /// All of it.
    pub(crate) total: Capacity,
    /// The GPUs, by the names that programs select them by.
    gpus: Vec<String>,
    /// The GPUs were declared, so an item that asks for none sees none.
    declared: bool,
}

impl Machine {
    /// Looks at the machine; what is declared is taken as it is.
    pub(crate) async fn look(declared: &Declared, environment: &BTreeMap<String, String>) -> Self {
        let found = if declared.gpus.is_some() { Vec::new() } else { found_gpus(environment).await };
        let machine = Self::of(declared, found);
        let total = &machine.total;
        info!(
            "this machine has {} CPUs, {} MiB of memory, {} GPUs to hand out",
            total.cpus.unwrap_or_default(),
            total.memory_bytes.unwrap_or_default() >> 20,
            machine.gpus.len()
        );
        machine
    }

    fn of(declared: &Declared, found: Vec<String>) -> Self {
        let gpus = declared.gpus.clone().unwrap_or(found);
        let cpus = declared.cpus.or_else(|| std::thread::available_parallelism().ok().map(|n| n.get() as f64));
        let total = Capacity {
            cpus,
            memory_bytes: declared.memory_bytes.or_else(memory_bytes),
            gpus: u32::try_from(gpus.len()).ok(),
        };
        Self { total, gpus, declared: declared.gpus.is_some() }
    }

    /// Returns what is left beside what is reserved.
    pub(crate) fn left<'r>(&self, reserved: impl Iterator<Item = &'r Reserved> + Clone) -> Capacity {
        let cpus: f64 = reserved.clone().map(|r| r.cpus).sum();
        let memory: u64 = reserved.clone().map(|r| r.memory_bytes).sum();
        let gpus = self.free_gpus(reserved).len();
        Capacity {
            cpus: self.total.cpus.map(|n| (n - cpus).max(0.0)),
            memory_bytes: self.total.memory_bytes.map(|n| n.saturating_sub(memory)),
            gpus: u32::try_from(gpus).ok(),
        }
    }

    fn free_gpus<'r>(&self, reserved: impl Iterator<Item = &'r Reserved> + Clone) -> Vec<String> {
        let taken = |gpu: &String| reserved.clone().any(|r| r.gpus.contains(gpu));
        self.gpus.iter().filter(|g| !taken(g)).cloned().collect()
    }

    /// Sets aside what is asked for; none when it is not there.
    pub(crate) fn reserve<'r>(
        &self,
        request: &Request,
        reserved: impl Iterator<Item = &'r Reserved> + Clone,
    ) -> Option<Reserved> {
        let free = self.free_gpus(reserved.clone());
        let gpus = match &request.gpus {
            GpuRequest::Count(n) => free.get(..*n as usize)?.to_vec(),
            GpuRequest::All if free.is_empty() || free.len() < self.gpus.len() => return None,
            GpuRequest::All => free,
            // Names that the agent does not know are the target's business, and only those of one item.
            GpuRequest::Devices(list) => {
                let busy = list.iter().any(|d| self.gpus.contains(d) && !free.contains(d));
                if busy || list.len() > free.len() {
                    return None;
                }
                list.clone()
            }
        };
        let left = self.left(reserved);
        let others = Request { gpus: GpuRequest::Count(0), ..request.clone() };
        others.fits(&left, &self.total).then_some(Reserved {
            cpus: request.cpus,
            memory_bytes: request.memory_bytes,
            gpus,
        })
    }

    /// Returns the variables that show a process the GPUs that are its own.
    pub(crate) fn visible(&self, reserved: &Reserved) -> Vec<(String, String)> {
        if reserved.gpus.is_empty() && !self.declared {
            return Vec::new();
        }
        let list = reserved.gpus.join(",");
        VISIBLE.iter().map(|name| ((*name).to_owned(), list.clone())).collect()
    }
}

/// Returns the memory that this agent may use: the machine's, or less where a control group says so.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse::<u64>().ok()?;
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|f| std::fs::read_to_string(f).ok()?.trim().parse::<u64>().ok());
    Some(limit.unwrap_or(u64::MAX).min(kib << 10))
}

/// Returns the GPUs that the vendors' tools show, or those of them that the agent itself was given.
async fn found_gpus(environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (program, args) in TOOLS {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(workload_env::safe(environment)).stdin(Stdio::null()).kill_on_drop(true);
        match timeout(TOOL_PATIENCE, command.output()).await {
            Ok(Ok(done)) if done.status.success() => found = indices(&String::from_utf8_lossy(&done.stdout)),
            Ok(Ok(done)) => warn!("`{program}` fails: {}", String::from_utf8_lossy(&done.stdout).trim()),
            // Most machines have neither.
            Ok(Err(_)) => {}
            Err(_) => warn!("`{program}` does not end within {} s", TOOL_PATIENCE.as_secs()),
        }
        if !found.is_empty() {
            break;
        }
    }
    if found.is_empty() {
        return found;
    }
    match VISIBLE.iter().find_map(|name| environment.get(*name)) {
        // A list that ends at `-1` or `NoDevFiles` is how people hide the rest.
        Some(own) => own
            .split(',')
            .map(str::trim)
            .take_while(|d| !d.is_empty() && *d != "-1" && *d != "NoDevFiles")
            .map(str::to_owned)
            .collect(),
        None => found,
    }
}

/// Reads the first column of a vendor's table: a number, or `card` and a number.
fn indices(text: &str) -> Vec<String> {
    let first = text.lines().filter_map(|l| l.split(',').next()).map(str::trim);
    let numbers = first.map(|f| f.strip_prefix("card").unwrap_or(f)).filter(|n| n.parse::<u32>().is_ok());
    numbers.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine() -> Machine {
        let gpus = (0..4).map(|n| n.to_string()).collect();
        Machine::of(&Declared { cpus: Some(8.0), memory_bytes: Some(1 << 30), gpus: Some(gpus) }, Vec::new())
    }

    fn asks(value: &serde_json::Value) -> Request {
        Request::parse(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn what_is_set_aside_is_nobody_elses() {
        let machine = machine();
        let mut held: Vec<Reserved> = Vec::new();
        for (ask, gpus) in [
            (json!({"gpus": 1}), Some(vec!["0"])),
            (json!({"gpus": 2, "cpus": 6}), Some(vec!["1", "2"])),
            (json!({"gpus": 2}), None),
            (json!({"gpus": "all"}), None),
            (json!({"gpus": "device=2"}), None),
            (json!({"gpus": 1, "cpus": 3}), None),
            (json!({"gpus": "device=3"}), Some(vec!["3"])),
            (json!({"gpus": 1}), None),
            (json!({"cpus": 2, "memory": "1g"}), Some(vec![])),
            (json!({"memory": "1"}), None),
            (json!({}), Some(vec![])),
        ] {
            let got = machine.reserve(&asks(&ask), held.iter());
            let names = got.as_ref().map(|r| r.gpus.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(names, gpus, "{ask}");
            held.extend(got);
        }
        let none = Capacity { cpus: Some(0.0), memory_bytes: Some(0), gpus: Some(0) };
        assert_eq!(machine.left(held.iter()), none);
        held.remove(1);
        assert_eq!(machine.reserve(&asks(&json!({"gpus": 2})), held.iter()).unwrap().gpus, ["1", "2"]);
        assert_eq!(machine.reserve(&asks(&json!({"gpus": "all"})), [].iter()).unwrap().gpus.len(), 4);
    }

    #[test]
    fn a_process_sees_its_own_gpus() {
        let mut machine = machine();
        let two = Reserved { gpus: vec!["1".into(), "3".into()], ..Reserved::default() };
        assert_eq!(machine.visible(&two)[0], ("CUDA_VISIBLE_DEVICES".to_owned(), "1,3".to_owned()));
        assert_eq!(machine.visible(&Reserved::default())[0].1, "", "GPUs were declared: it asked for none");
        machine.declared = false;
        assert!(machine.visible(&Reserved::default()).is_empty(), "as the stock agent has it");
    }

    #[test]
    fn the_vendors_tables_are_read() {
        assert_eq!(indices("0\n1\n"), ["0", "1"]);
        assert!(indices("No devices were found\n").is_empty());
        assert_eq!(indices("device,Device ID\ncard0,0x740f\ncard1,0x740f\n\n"), ["0", "1"]);
    }

    #[tokio::test]
    async fn gpus_are_found_and_narrowed_to_those_of_the_agent() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("nvidia-smi");
        std::fs::write(&tool, "#!/bin/sh\n[ \"$1\" = --query-gpu=index ] && printf '0\\n1\\n2\\n'\n").unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let mut environment = BTreeMap::from([("PATH".to_owned(), path)]);
        assert_eq!(found_gpus(&environment).await, ["0", "1", "2"]);
        environment.insert("CUDA_VISIBLE_DEVICES".into(), "2,0".into());
        assert_eq!(found_gpus(&environment).await, ["2", "0"]);
        environment.insert("CUDA_VISIBLE_DEVICES".into(), "-1".into());
        assert!(found_gpus(&environment).await.is_empty());
        environment.insert("PATH".into(), "/nowhere".into());
        assert!(found_gpus(&environment).await.is_empty());
    }
}
