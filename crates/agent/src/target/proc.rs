//! What `/proc` says about processes. A process is identified by its id and its start time (in ticks since the boot
//! named by [`boot_id`]), since ids are used again.

use std::{collections::HashMap, fs, path::Path};

use serde::{Deserialize, Serialize};

/// Identity of a process on this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Process id.
    pub(crate) pid: u32,
    /// Start time, in ticks since boot.
    pub(crate) start: u64,
}

/// A line of the process table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// Ended, and not yet waited for: as good as gone.
    pub(crate) zombie: bool,
}

/// Returns the id of this boot of the machine.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// Returns the process `pid`, if there is one.
pub(crate) fn read(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may itself hold any character, so the fields begin after the last one.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Process { id: ProcessId { pid, start }, parent, group, session, zombie: matches!(state, "Z" | "X" | "x") })
}

/// Whether exactly this process lives.
pub(crate) fn is_alive(id: ProcessId) -> bool {
    read(id.pid).is_some_and(|p| p.id == id && !p.zombie)
}

/// Returns every process that can be seen.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter_map(read).collect()
}

/// Returns the living descendants of `root`, nearest first.
pub(crate) fn descendants(root: u32) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            next.push(child.id.pid);
            found.push(child);
        }
    }
    found.retain(|p| !p.zombie);
    found
}

/// Whether the environment that `pid` was started with holds all of `entries` (`NAME=value`).
pub(crate) fn has_environment(pid: u32, entries: &[String]) -> bool {
    let Ok(environ) = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")) else { return false };
    entries.iter().all(|wanted| environ.split(|b| *b == 0).any(|entry| entry == wanted.as_bytes()))
}

/// Returns the living processes whose environment holds all of `entries`, without this one.
pub(crate) fn marked(entries: &[String]) -> Vec<Process> {
    let own = std::process::id();
    all().into_iter().filter(|p| !p.zombie && p.id.pid != own && has_environment(p.id.pid, entries)).collect()
}

/// Returns the value of `name` in the environment that `pid` was started with.
pub(crate) fn environment(pid: u32, name: &str) -> Option<String> {
    let environ = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).ok()?;
    let mut entries = environ.split(|b| *b == 0).filter_map(|e| std::str::from_utf8(e).ok()?.split_once('='));
    entries.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned())
}

/// Returns how many processes the kernel has killed since boot because memory ran out, of the machine or of a control
/// group; 0 where it does not count them.
pub(crate) fn memory_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

/// Whether `pid` belongs to the user of this process.
pub(crate) fn is_own(pid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_read() {
        let line = "42 (a) b (c) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        let p = parse(42, line).expect("legal");
        assert_eq!((p.id.start, p.parent, p.group, p.session, p.zombie), (987_654, 7, 42, 40, false));
    }

    #[test]
    fn this_process_is_alive_and_its_reused_id_is_not() {
        let me = read(std::process::id()).expect("self");
        assert!(is_alive(me.id));
        assert!(!is_alive(ProcessId { start: me.id.start + 1, ..me.id }));
        assert!(!boot_id().is_empty());
    }
}
