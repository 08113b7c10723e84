//! Options of `docker run`, as queues have them, turned into what the Docker API takes.
//!
//! A queue's config says them by name (`volume`, `shm-size`, one letter where Docker has one); lists repeat an option and
//! `true` is a bare flag. An option that is not known here is refused by name rather than left out.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding, ResourcesUlimits,
};
use lanza_model::{Reason, code};
use serde_json::{Map, Value};

/// What the options say besides the container's settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Name of the container.
    pub(crate) name: Option<String>,
    /// `linux/amd64`, for example.
    pub(crate) platform: Option<String>,
    /// `always`, `missing` or `never`.
    pub(crate) pull: Option<String>,
    /// Entry point, instead of the job's.
    pub(crate) entrypoint: Option<String>,
    /// Command, where the launch gives no arguments.
    pub(crate) command: Vec<String>,
}

/// Fills `body` from the options.
///
/// # Errors
/// Names the first option that is unknown or has an unusable value.
pub(crate) fn apply(options: &Map<String, Value>, body: &mut ContainerCreateBody) -> Result<Extra, Reason> {
    let mut extra = Extra::default();
    let mut host = body.host_config.take().unwrap_or_default();
    for (name, value) in options.iter().filter(|(_, v)| !v.is_null()) {
        let option = Flag { name, value };
        if !(resources(&option, &mut host)?
            || machine(&option, &mut host)?
            || container(&option, body, &mut host, &mut extra)?)
        {
            return Err(option.refuse("is not an option of `docker run` that this agent knows"));
        }
    }
    body.host_config = Some(host);
    Ok(extra)
}

/// One option with its value.
struct Flag<'a> {
    name: &'a str,
    value: &'a Value,
}

impl Flag<'_> {
    fn refuse(&self, why: &str) -> Reason {
        Reason::new(code::CONFIG_REFUSED, format!("{}: {why}", self.name))
    }

    fn texts(&self) -> Result<Vec<String>, Reason> {
        let one = |v: &Value| match v {
            Value::String(s) => Ok(s.clone()),
            Value::Number(n) => Ok(n.to_string()),
            _ => Err(self.refuse("takes a text")),
        };
        match self.value {
            Value::Array(list) => list.iter().map(one).collect(),
            other => Ok(vec![one(other)?]),
        }
    }

    fn text(&self) -> Result<Option<String>, Reason> {
        let mut texts = self.texts()?;
        if texts.len() == 1 { Ok(texts.pop()) } else { Err(self.refuse("takes one value")) }
    }

    fn flag(&self) -> Result<Option<bool>, Reason> {
        match self.value {
            Value::Bool(b) => Ok(Some(*b)),
            Value::String(s) if s == "true" || s.is_empty() => Ok(Some(true)),
            Value::String(s) if s == "false" => Ok(Some(false)),
            _ => Err(self.refuse("takes true or false")),
        }
    }

    fn whole(&self) -> Result<Option<i64>, Reason> {
        let number = self.text()?.and_then(|t| t.trim().parse().ok());
        number.map(Some).ok_or_else(|| self.refuse("takes a whole number"))
    }

    fn bytes(&self) -> Result<Option<i64>, Reason> {
        let number = self.text()?.and_then(|t| bytes(&t));
        number.map(Some).ok_or_else(|| self.refuse("takes a size, such as `512m` or `2g`"))
    }

    /// `key=value` texts, or an object.
    fn pairs(&self) -> Result<HashMap<String, String>, Reason> {
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
}

/// Reads a size of Docker: a number of bytes, or one with `b`, `k`, `m`, `g`, `t` (and perhaps a `b` or `ib`).
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
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

fn resources(o: &Flag<'_>, host: &mut HostConfig) -> Result<bool, Reason> {
    match o.name {
        "cpus" | "cpu" => {
            let cpus: Option<f64> = o.text()?.and_then(|t| t.trim().parse().ok()).filter(|c| *c >= 0.0);
            host.nano_cpus = Some((cpus.ok_or_else(|| o.refuse("takes a number of CPUs"))? * 1e9) as i64);
        }
        "cpu-shares" | "c" => host.cpu_shares = o.whole()?,
        "cpu-period" => host.cpu_period = o.whole()?,
        "cpu-quota" => host.cpu_quota = o.whole()?,
        "cpu-rt-period" => host.cpu_realtime_period = o.whole()?,
        "cpu-rt-runtime" => host.cpu_realtime_runtime = o.whole()?,
        "cpuset-cpus" => host.cpuset_cpus = o.text()?,
        "cpuset-mems" => host.cpuset_mems = o.text()?,
        "m" | "memory" => host.memory = o.bytes()?,
        "memory-reservation" => host.memory_reservation = o.bytes()?,
        "memory-swap" => host.memory_swap = o.bytes()?,
        "memory-swappiness" => host.memory_swappiness = o.whole()?,
        "shm-size" => host.shm_size = o.bytes()?,
        "pids-limit" => host.pids_limit = o.whole()?,
        "oom-kill-disable" => host.oom_kill_disable = o.flag()?,
        "oom-score-adj" => host.oom_score_adj = o.whole()?,
        "blkio-weight" => {
            host.blkio_weight =
                o.whole()?.map(|w| u16::try_from(w).map_err(|_| o.refuse("is out of range"))).transpose()?;
        }
        "ulimit" => {
            let limits = o.texts()?.iter().map(|t| ulimit(t)).collect::<Option<Vec<_>>>();
            host.ulimits = Some(limits.ok_or_else(|| o.refuse("takes NAME=SOFT[:HARD]"))?);
        }
        "gpus" => host.device_requests = Some(vec![gpus(o)?]),
        _ => return Ok(false),
    }
    Ok(true)
}

fn ulimit(text: &str) -> Option<ResourcesUlimits> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Some(ResourcesUlimits { name: Some(name.to_owned()), soft: soft.parse().ok(), hard: Some(hard.parse().ok()?) })
        .filter(|l| l.soft.is_some() && !name.is_empty())
}

/// `all`, a number, or `device=0,1` (the quotes that a shell needs are taken off).
fn gpus(o: &Flag<'_>) -> Result<DeviceRequest, Reason> {
    let text = o.text()?.unwrap_or_default();
    let text = text.trim_matches(['"', '\'']);
    let mut request = DeviceRequest { capabilities: Some(vec![vec!["gpu".to_owned()]]), ..Default::default() };
    if text == "all" {
        request.count = Some(-1);
    } else if let Ok(count) = text.parse() {
        request.count = Some(count);
    } else if let Some(devices) = text.strip_prefix("device=") {
        request.device_ids = Some(devices.split(',').map(str::to_owned).collect());
    } else {
        return Err(o.refuse("takes `all`, a number, or `device=0,1`"));
    }
    Ok(request)
}

fn machine(o: &Flag<'_>, host: &mut HostConfig) -> Result<bool, Reason> {
    let add = |list: &mut Option<Vec<String>>, texts: Vec<String>| list.get_or_insert_default().extend(texts);
    match o.name {
        "v" | "volume" => add(&mut host.binds, o.texts()?),
        "volumes-from" => host.volumes_from = Some(o.texts()?),
        "volume-driver" => host.volume_driver = o.text()?,
        "tmpfs" => {
            let mounts = o.texts()?.into_iter().map(|t| match t.split_once(':') {
                Some((path, options)) => (path.to_owned(), options.to_owned()),
                None => (t, String::new()),
            });
            host.tmpfs = Some(mounts.collect());
        }
        "network" | "net" => host.network_mode = o.text()?,
        "add-host" => add(&mut host.extra_hosts, o.texts()?),
        "dns" => host.dns = Some(o.texts()?),
        "dns-search" => host.dns_search = Some(o.texts()?),
        "dns-opt" | "dns-option" => host.dns_options = Some(o.texts()?),
        "link" => host.links = Some(o.texts()?),
        "privileged" => host.privileged = o.flag()?,
        "cap-add" => host.cap_add = Some(o.texts()?),
        "cap-drop" => host.cap_drop = Some(o.texts()?),
        "security-opt" => host.security_opt = Some(o.texts()?),
        "group-add" => host.group_add = Some(o.texts()?),
        "device" => host.devices = Some(o.texts()?.iter().map(|t| device(t)).collect()),
        "device-cgroup-rule" => host.device_cgroup_rules = Some(o.texts()?),
        "runtime" => host.runtime = o.text()?,
        "ipc" => host.ipc_mode = o.text()?,
        "pid" => host.pid_mode = o.text()?,
        "uts" => host.uts_mode = o.text()?,
        "userns" => host.userns_mode = o.text()?,
        "cgroup-parent" => host.cgroup_parent = o.text()?,
        "init" => host.init = o.flag()?,
        "read-only" => host.readonly_rootfs = o.flag()?,
        "sysctl" => host.sysctls = Some(o.pairs()?),
        "storage-opt" => host.storage_opt = Some(o.pairs()?),
        "publish-all" => host.publish_all_ports = o.flag()?,
        "log-driver" => host.log_config.get_or_insert_with(log_config).typ = o.text()?,
        "log-opt" => host.log_config.get_or_insert_with(log_config).config = Some(o.pairs()?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn log_config() -> HostConfigLogConfig {
    HostConfigLogConfig { typ: None, config: None }
}

fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let on_host = parts.next().unwrap_or_default().to_owned();
    let inside = parts.next().map_or_else(|| on_host.clone(), str::to_owned);
    let permissions = parts.next().unwrap_or("rwm").to_owned();
    DeviceMapping {
        path_on_host: Some(on_host),
        path_in_container: Some(inside),
        cgroup_permissions: Some(permissions),
    }
}

fn container(
    o: &Flag<'_>,
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    extra: &mut Extra,
) -> Result<bool, Reason> {
    match o.name {
        "name" => extra.name = o.text()?,
        "platform" => extra.platform = o.text()?,
        "pull" => {
            extra.pull = o.text()?;
            if !matches!(extra.pull.as_deref(), Some("always" | "missing" | "never")) {
                return Err(o.refuse("is none of always, missing, never"));
            }
        }
        "entrypoint" => extra.entrypoint = o.text()?,
        "command" => {
            extra.command = match o.value {
                Value::String(s) => s.split_whitespace().map(str::to_owned).collect(),
                _ => o.texts()?,
            };
        }
        "w" | "workdir" => body.working_dir = o.text()?,
        "u" | "user" => body.user = o.text()?,
        "h" | "hostname" => body.hostname = o.text()?,
        "domainname" => body.domainname = o.text()?,
        "l" | "label" => body.labels.get_or_insert_default().extend(o.pairs()?),
        "t" | "tty" => body.tty = o.flag()?,
        "stop-signal" => body.stop_signal = o.text()?,
        "expose" => body.exposed_ports = Some(o.texts()?.into_iter().map(|p| port(&p)).collect()),
        "p" | "publish" => publish(o, body, host)?,
        // What the agent does anyway, or what has no meaning without a terminal.
        "rm" | "d" | "detach" | "i" | "interactive" | "it" | "stop-timeout" | "restart" => {
            if o.name == "restart" && !matches!(o.value.as_str(), Some("no")) {
                return Err(o.refuse("is the agent's business; set a retry policy on the queue"));
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn port(text: &str) -> String {
    if text.contains('/') { text.to_owned() } else { format!("{text}/tcp") }
}

fn publish(o: &Flag<'_>, body: &mut ContainerCreateBody, host: &mut HostConfig) -> Result<(), Reason> {
    for text in o.texts()? {
        let parts: Vec<&str> = text.rsplitn(3, ':').collect();
        let (inside, on_host, address) = match parts.as_slice() {
            [inside] => (*inside, None, None),
            [inside, on_host] => (*inside, Some(*on_host), None),
            [inside, on_host, address] => (*inside, Some(*on_host), Some(*address)),
            _ => return Err(o.refuse("takes [[ADDRESS:]PORT:]PORT")),
        };
        let inside = port(inside);
        body.exposed_ports.get_or_insert_default().push(inside.clone());
        let binding = PortBinding { host_ip: address.map(str::to_owned), host_port: on_host.map(str::to_owned) };
        let bindings = host.port_bindings.get_or_insert_default().entry(inside).or_default();
        bindings.get_or_insert_default().push(binding);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(options: Value) -> Result<(ContainerCreateBody, Extra), Reason> {
        let mut body = ContainerCreateBody::default();
        let extra = apply(options.as_object().unwrap(), &mut body)?;
        Ok((body, extra))
    }

    #[test]
    fn the_options_of_the_documentation() {
        let (body, extra) = of(json!({
            "volume": ["/data:/data:ro"], "network": "host", "privileged": true, "gpus": "all", "shm-size": "8g",
            "memory": "1.5g", "cpus": 0.5, "ulimit": ["nofile=1024:2048", "core=0"], "workdir": "/w", "u": "1000:1000",
            "p": "127.0.0.1:80:8080", "rm": true, "name": "x", "command": "python a.py", "device": "/dev/fuse",
            "add-host": "a:1.2.3.4", "label": {"team": "vision"}, "init": false,
        }))
        .unwrap();
        let host = body.host_config.unwrap();
        assert_eq!(host.binds.unwrap(), ["/data:/data:ro"]);
        assert_eq!((host.network_mode.as_deref(), host.privileged, host.init), (Some("host"), Some(true), Some(false)));
        assert_eq!(host.device_requests.unwrap()[0].count, Some(-1));
        assert_eq!((host.shm_size, host.memory, host.nano_cpus), (Some(8 << 30), Some(3 << 29), Some(500_000_000)));
        let limits: Vec<_> = host.ulimits.unwrap().into_iter().map(|l| (l.name.unwrap(), l.soft, l.hard)).collect();
        assert_eq!(limits, [("nofile".into(), Some(1024), Some(2048)), ("core".into(), Some(0), Some(0))]);
        assert_eq!((body.working_dir.as_deref(), body.user.as_deref()), (Some("/w"), Some("1000:1000")));
        let ports = host.port_bindings.unwrap();
        assert_eq!(ports["8080/tcp"].as_ref().unwrap()[0].host_port.as_deref(), Some("80"));
        assert_eq!(host.devices.unwrap()[0].cgroup_permissions.as_deref(), Some("rwm"));
        assert_eq!((extra.name.as_deref(), extra.command), (Some("x"), vec!["python".into(), "a.py".into()]));
    }

    #[test]
    fn an_unusable_option_is_named() {
        for (options, name) in [
            (json!({"volumme": "/a:/b"}), "volumme"),
            (json!({"memory": "lots"}), "memory"),
            (json!({"privileged": "yes"}), "privileged"),
            (json!({"gpus": "some"}), "gpus"),
            (json!({"ulimit": "nofile"}), "ulimit"),
            (json!({"network": ["a", "b"]}), "network"),
            (json!({"restart": "always"}), "restart"),
            (json!({"pull": "sometimes"}), "pull"),
        ] {
            let reason = of(options.clone()).expect_err(name);
            assert_eq!(reason.code, "config_refused");
            assert!(reason.message.starts_with(&format!("{name}: ")), "{}", reason.message);
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [("1", 1), ("1k", 1024), ("2MB", 2 << 20), ("1gib", 1 << 30), ("-1", -1), ("3t", 3 << 40)] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        assert_eq!((bytes("x"), bytes("1q"), bytes("-5m")), (None, None, None));
    }
}
