//! Options of `docker run`, as queues have them, turned into what the Docker API takes.
//!
//! A queue's config says them by name (`volume`, `shm-size`, one letter where Docker has one); lists repeat an option and
//! `true` is a bare flag. An option that is not known here is refused by name rather than left out.

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding, ResourcesUlimits,
};
use lanza_model::{
    Reason, code,
    docker::{Flag, Port, Ulimit, port},
    resources::GpuRequest,
};
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
        // As the server checked it at the launch.
        option.check().of(&option)?;
        if !(resources(&option, &mut host)?
            || machine(&option, &mut host)?
            || container(&option, body, &mut host, &mut extra)?)
        {
            return Err(refuse(&option, "is not an option of `docker run` that this agent knows"));
        }
    }
    body.host_config = Some(host);
    Ok(extra)
}

/// What a reader refuses is told with the option's name.
trait OrRefuse<T> {
    fn of(self, o: &Flag<'_>) -> Result<T, Reason>;
}

impl<T> OrRefuse<T> for Result<T, String> {
    fn of(self, o: &Flag<'_>) -> Result<T, Reason> {
        self.map_err(|why| refuse(o, &why))
    }
}

fn refuse(o: &Flag<'_>, why: &str) -> Reason {
    Reason::new(code::CONFIG_REFUSED, format!("{}: {why}", o.name))
}

fn resources(o: &Flag<'_>, host: &mut HostConfig) -> Result<bool, Reason> {
    match o.name {
        "cpus" | "cpu" => host.nano_cpus = o.cpus().of(o)?.map(|cpus| (cpus * 1e9) as i64),
        "cpu-shares" | "c" => host.cpu_shares = o.whole().of(o)?,
        "cpu-period" => host.cpu_period = o.whole().of(o)?,
        "cpu-quota" => host.cpu_quota = o.whole().of(o)?,
        "cpu-rt-period" => host.cpu_realtime_period = o.whole().of(o)?,
        "cpu-rt-runtime" => host.cpu_realtime_runtime = o.whole().of(o)?,
        "cpuset-cpus" => host.cpuset_cpus = o.text().of(o)?,
        "cpuset-mems" => host.cpuset_mems = o.text().of(o)?,
        "m" | "memory" => host.memory = o.size().of(o)?,
        "memory-reservation" => host.memory_reservation = o.size().of(o)?,
        "memory-swap" => host.memory_swap = o.size().of(o)?,
        "memory-swappiness" => host.memory_swappiness = o.whole().of(o)?,
        "shm-size" => host.shm_size = o.size().of(o)?,
        "pids-limit" => host.pids_limit = o.whole().of(o)?,
        "oom-kill-disable" => host.oom_kill_disable = o.flag().of(o)?,
        "oom-score-adj" => host.oom_score_adj = o.whole().of(o)?,
        "blkio-weight" => host.blkio_weight = o.weight().of(o)?,
        "ulimit" => {
            let limits = o.ulimits().of(o)?.into_iter();
            let limit = |l: Ulimit| ResourcesUlimits { name: Some(l.name), soft: Some(l.soft), hard: Some(l.hard) };
            host.ulimits = Some(limits.map(limit).collect());
        }
        "gpus" => host.device_requests = o.gpus().of(o)?.map(|wanted| vec![gpus(wanted)]),
        _ => return Ok(false),
    }
    Ok(true)
}

fn gpus(wanted: GpuRequest) -> DeviceRequest {
    let mut request = DeviceRequest { capabilities: Some(vec![vec!["gpu".to_owned()]]), ..Default::default() };
    match wanted {
        GpuRequest::All => request.count = Some(-1),
        GpuRequest::Count(count) => request.count = Some(count.into()),
        GpuRequest::Devices(names) => request.device_ids = Some(names),
    }
    request
}

fn machine(o: &Flag<'_>, host: &mut HostConfig) -> Result<bool, Reason> {
    let add = |list: &mut Option<Vec<String>>, texts: Vec<String>| list.get_or_insert_default().extend(texts);
    match o.name {
        "v" | "volume" => add(&mut host.binds, o.texts().of(o)?),
        "volumes-from" => host.volumes_from = Some(o.texts().of(o)?),
        "volume-driver" => host.volume_driver = o.text().of(o)?,
        "tmpfs" => {
            let mounts = o.texts().of(o)?.into_iter().map(|t| match t.split_once(':') {
                Some((path, options)) => (path.to_owned(), options.to_owned()),
                None => (t, String::new()),
            });
            host.tmpfs = Some(mounts.collect());
        }
        "network" | "net" => host.network_mode = o.text().of(o)?,
        "add-host" => add(&mut host.extra_hosts, o.texts().of(o)?),
        "dns" => host.dns = Some(o.texts().of(o)?),
        "dns-search" => host.dns_search = Some(o.texts().of(o)?),
        "dns-opt" | "dns-option" => host.dns_options = Some(o.texts().of(o)?),
        "link" => host.links = Some(o.texts().of(o)?),
        "privileged" => host.privileged = o.flag().of(o)?,
        "cap-add" => host.cap_add = Some(o.texts().of(o)?),
        "cap-drop" => host.cap_drop = Some(o.texts().of(o)?),
        "security-opt" => host.security_opt = Some(o.texts().of(o)?),
        "group-add" => host.group_add = Some(o.texts().of(o)?),
        "device" => host.devices = Some(o.texts().of(o)?.iter().map(|t| device(t)).collect()),
        "device-cgroup-rule" => host.device_cgroup_rules = Some(o.texts().of(o)?),
        "runtime" => host.runtime = o.text().of(o)?,
        "ipc" => host.ipc_mode = o.text().of(o)?,
        "pid" => host.pid_mode = o.text().of(o)?,
        "uts" => host.uts_mode = o.text().of(o)?,
        "userns" => host.userns_mode = o.text().of(o)?,
        "cgroup-parent" => host.cgroup_parent = o.text().of(o)?,
        "init" => host.init = o.flag().of(o)?,
        "read-only" => host.readonly_rootfs = o.flag().of(o)?,
        "sysctl" => host.sysctls = Some(o.pairs().of(o)?.into_iter().collect()),
        "storage-opt" => host.storage_opt = Some(o.pairs().of(o)?.into_iter().collect()),
        "publish-all" => host.publish_all_ports = o.flag().of(o)?,
        "log-driver" => host.log_config.get_or_insert_with(log_config).typ = o.text().of(o)?,
        "log-opt" => {
            host.log_config.get_or_insert_with(log_config).config = Some(o.pairs().of(o)?.into_iter().collect());
        }
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
        "name" => extra.name = o.text().of(o)?,
        "platform" => extra.platform = o.text().of(o)?,
        "pull" => extra.pull = o.pull().of(o)?,
        "entrypoint" => extra.entrypoint = o.text().of(o)?,
        "command" => {
            extra.command = match o.value {
                Value::String(s) => s.split_whitespace().map(str::to_owned).collect(),
                _ => o.texts().of(o)?,
            };
        }
        "w" | "workdir" => body.working_dir = o.text().of(o)?,
        "u" | "user" => body.user = o.text().of(o)?,
        "h" | "hostname" => body.hostname = o.text().of(o)?,
        "domainname" => body.domainname = o.text().of(o)?,
        "l" | "label" => body.labels.get_or_insert_default().extend(o.pairs().of(o)?),
        "t" | "tty" => body.tty = o.flag().of(o)?,
        "stop-signal" => body.stop_signal = o.text().of(o)?,
        "expose" => body.exposed_ports = Some(o.texts().of(o)?.into_iter().map(|p| port(&p)).collect()),
        "p" | "publish" => publish(o, body, host)?,
        // What the agent does anyway, or what has no meaning without a terminal.
        "rm" | "d" | "detach" | "i" | "interactive" | "it" | "stop-timeout" | "restart" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn publish(o: &Flag<'_>, body: &mut ContainerCreateBody, host: &mut HostConfig) -> Result<(), Reason> {
    for Port { inside, on_host, address } in o.ports().of(o)? {
        body.exposed_ports.get_or_insert_default().push(inside.clone());
        let bindings = host.port_bindings.get_or_insert_default().entry(inside).or_default();
        bindings.get_or_insert_default().push(PortBinding { host_ip: address, host_port: on_host });
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
    fn what_the_server_takes_at_the_launch_reaches_the_engine() {
        let values = [
            json!("x"),
            json!("1"),
            json!("1g"),
            json!("no"),
            json!("all"),
            json!("a=1:2"),
            json!("8080"),
            json!(""),
            json!(2),
            json!(0.5),
            json!(true),
            json!([]),
            json!(["1"]),
            json!(["a", "b"]),
            json!({"a": "b"}),
        ];
        for name in lanza_model::docker::names() {
            for value in &values {
                let checked = Flag { name, value }.check();
                let applied = of(json!({ name: value })).map(drop).map_err(|r| r.message);
                assert_eq!(applied, checked.map_err(|why| format!("{name}: {why}")), "{name} {value}");
            }
        }
    }
}
