//! The image and the settings of a container.

use std::{os::unix::fs::PermissionsExt, path::Path};

use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig};
use lanza_api::{
    agent::Reserved,
    item::{ItemEnvironment, ItemSource},
};
use lanza_model::{Phase, Reason, code};
use serde_json::{Map, Value};
use url::Url;

use super::{Failed, Job, broken, builder::Building, folders, no_entry_point, wanted_python};
use crate::{
    attempt::Progress,
    build::{
        dockerfile::{self, HOME},
        image::{Image, Images, Wanted},
        requirements::{Requirements, client_missing},
    },
    command::say,
    context::Context,
    source::{self, Fetched},
    target::{
        Container, Handle, Launch,
        docker::{AGENT, ATTEMPT, ITEM},
        docker_options,
        docker_tar::Code,
    },
    workload_env,
};

/// Where an item's scratch folder is in its containers.
const SCRATCH: &str = "/lanza/scratch";
/// User and group that jobs run as where nobody says otherwise.
const USER: u64 = 1000;

pub(super) async fn prepare(
    ctx: &Context,
    progress: &mut Progress,
    handle: &Handle,
    job: Job<'_>,
) -> Result<Launch, Failed> {
    let lease = progress.lease().clone();
    let mut body = ContainerCreateBody::default();
    // Before anything is built: a wrong option is told at once.
    let extra = docker_options::apply(&job.config.options, &mut body)?;
    let engine = ctx.engine.as_ref().ok_or_else(|| Reason::new(code::TARGET_UNAVAILABLE, "there is no Docker here"))?;
    let log = |phase: Phase| handle.dir.join("logs").join(format!("{phase}.log"));
    // An image that was made elsewhere is not built, so nothing can be said of that.
    let nothing = Map::new();
    let said = if job.image.is_some() { &nothing } else { &lease.spec };
    let building = Building::of(&ctx.options.config.builder, &ctx.options.environment, said)?;
    let platform = extra.platform.clone().or_else(|| building.platform.clone());
    let images = Images::new(ctx, handle, engine, progress.agent(), platform.clone(), building.destination.clone())?;
    let ready = ready(progress, &images, &job, &building, extra.pull.as_deref()).await;
    images.close();
    let Ready { image, mut code, own_command } = ready?;
    let inspected = images.inspect(&image.name).await?;
    if let Some(code) = &mut code {
        let of_image = inspected.and_then(|i| i.config?.user);
        code.owner = owner(body.user.as_deref().filter(|u| !u.is_empty()).or(of_image.as_deref()));
        if body.working_dir.is_none() {
            let inside = lease.overrides.get("working_dir").and_then(Value::as_str).unwrap_or_default();
            body.working_dir = Some(code.to.join(inside).display().to_string());
        }
    } else if let Some(folder) = lease.overrides.get("working_dir").and_then(Value::as_str).filter(|f| !f.is_empty()) {
        body.working_dir.get_or_insert_with(|| folder.to_owned());
    }
    body.image = Some(image.name.clone());
    let command: Vec<String> = job
        .command
        .iter()
        .map(|w| if source::notebook::is_notebook(w) { source::notebook::script_name(w) } else { w.clone() })
        .collect();
    set_command(&mut body, &lease.overrides, command, extra.entrypoint, extra.command, own_command);

    let base_url = reach_server(&mut body, &ctx.options.base_url);
    let host = body.host_config.get_or_insert_default();
    set_resources(host, progress.reserved());
    std::fs::set_permissions(job.scratch, std::fs::Permissions::from_mode(0o777))
        .map_err(|e| broken("open the scratch folder", &e))?;
    host.binds.get_or_insert_default().push(format!("{}:{SCRATCH}", job.scratch.display()));
    let labels = body.labels.get_or_insert_default();
    for (name, value) in [
        (ITEM, lease.item.clone()),
        (ATTEMPT, lease.attempt.to_string()),
        ("lanza.run", lease.run_id.clone()),
        (AGENT, progress.agent().to_owned()),
        ("lanza.queue", format!("{}/{}", lease.entity, lease.queue)),
    ] {
        labels.insert(name.to_owned(), value);
    }
    let mut environment: std::collections::BTreeMap<String, String> = job.config.environment.into_iter().collect();
    environment.extend(job.fetched.iter().flat_map(super::git_variables));
    environment.extend(workload_env::launch(&lease, &base_url, job.image.as_deref(), SCRATCH));
    say(&log(Phase::Start), &format!("starting a container of {}", image.name));
    Ok(Launch {
        handle: handle.clone(),
        command: Vec::new(),
        environment: environment.into_iter().collect(),
        folder: None,
        container: Some(Container { body: Box::new(body), name: extra.name, platform, code }),
        fresh: true,
    })
}

/// Gives the container what was set aside for it: its own GPUs, and limits where the queue's options say none.
fn set_resources(host: &mut HostConfig, reserved: &Reserved) {
    if !reserved.gpus.is_empty() {
        let is_gpu = |r: &DeviceRequest| r.capabilities.iter().flatten().flatten().any(|c| c == "gpu");
        let requests = host.device_requests.get_or_insert_default();
        requests.retain(|r| !is_gpu(r));
        requests.push(DeviceRequest {
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            device_ids: Some(reserved.gpus.clone()),
            ..Default::default()
        });
    }
    let no_cpu_limit = host.nano_cpus.is_none() && host.cpu_quota.is_none();
    if no_cpu_limit && reserved.cpus > 0.0 {
        host.nano_cpus = Some((reserved.cpus * 1e9) as i64);
    }
    if host.memory.is_none() && reserved.memory_bytes > 0 {
        host.memory = i64::try_from(reserved.memory_bytes).ok();
    }
}

/// What a container is made of.
struct Ready {
    image: Image,
    /// Code to lay over it.
    code: Option<Code>,
    /// The image has a command, so the job need not.
    own_command: bool,
}

/// Brings, finds or builds the image.
async fn ready(
    progress: &mut Progress,
    images: &Images<'_>,
    job: &Job<'_>,
    building: &Building,
    pull: Option<&str>,
) -> Result<Ready, Failed> {
    let lease = progress.lease().clone();
    if let Some(image) = &job.image {
        progress.begin(Phase::Pull).await;
        nothing_anew(progress, "the job runs an image that was made elsewhere").await;
        return Ok(Ready { image: pulled(images, progress, image, pull).await?, code: None, own_command: true });
    }
    let Some(fetched) = &job.fetched else { return Err(no_entry_point(lease.job.as_deref())) };
    let (root, _) = folders(Some(&fetched.job), &lease.overrides, job.work)?;
    let given = lease.overrides.get("dockerfile").and_then(Value::as_str);
    let own = dockerfile::of_job(&root, given, fetched.job.dockerfile.as_deref(), &job.command)?;
    if let Some((file, context)) = own {
        if let Some(why) = building.nothing {
            return Err(Reason::new(
                code::JOB_UNSUPPORTED,
                format!("the job is built by a Dockerfile (`{}`), and {why}", named(&file, &root)),
            ));
        }
        if let Some(frozen) = &fetched.frozen {
            // The folder of a `Dockerfile.wandb` is its context, and may be another than the code's.
            source::lay_beside(&context, frozen).map_err(|e| broken("lay the frozen list beside the code", &e))?;
        }
        let reference = lease.job.as_deref().and_then(|j| lanza_model::spec::JobReference::parse(j).ok());
        let name = reference.map_or_else(|| "job".to_owned(), |r| r.name);
        let tag = |key: &str| dockerfile::whole_tag(&lease.run_entity, &lease.run_project, &name, key);
        let image = images.whole(progress, &file, &context, tag).await?;
        say_environment(progress, &image).await;
        return Ok(Ready { image, code: None, own_command: job.command.is_empty() });
    }
    if job.command.is_empty() {
        return Err(no_entry_point(lease.job.as_deref()));
    }
    if fetched.job.notebook || job.command.iter().any(|w| source::notebook::is_notebook(w)) {
        source::notebook::convert_all(&root, &job.command)?;
    }
    let code = Some(Code { from: root.clone(), to: format!("{HOME}/src").into(), owner: None });
    let requirements = Requirements::of_job(&root, fetched.frozen.as_deref());
    let base = base_image(fetched, &job.config.builder, building, &root);
    let image = if let Some(why) = building.nothing {
        nothing_anew(progress, why).await;
        unbuilt(images, progress, &base, why, requirements.is_some()).await?
    } else {
        let wanted = Wanted {
            base,
            requirements: requirements.as_ref(),
            code: &fetched.digest,
            source: &root,
            user: user_id(&lease.spec)?,
        };
        // What else a base image holds is known where something was installed on it.
        let plain = is_plain_python(&wanted.base) && requirements.is_none();
        let mut image = images.environment(progress, &wanted).await?;
        if plain || !image.packages.is_empty() {
            image.warnings.extend(client_missing(&image.packages));
        }
        image
    };
    say_environment(progress, &image).await;
    Ok(Ready { image, code, own_command: false })
}

/// Returns the path of a file of the job as the job knows it.
fn named(file: &Path, root: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

/// Whether a base image is known to have Python and no packages.
fn is_plain_python(base: &str) -> bool {
    base.starts_with("python:") && base.ends_with("-slim")
}

/// Says that `--rebuild` comes to nothing.
async fn nothing_anew(progress: &mut Progress, why: &str) {
    if progress.renew_since().is_some() {
        progress.warn(format!("nothing is built anew: {why}")).await;
    }
}

async fn say_environment(progress: &mut Progress, image: &Image) {
    for warning in &image.warnings {
        progress.warn(warning.clone()).await;
    }
    progress
        .environment(
            ItemEnvironment {
                digest: image.digest.clone().unwrap_or_default(),
                cached: image.cached,
                packages: image.packages.clone(),
            },
            None,
        )
        .await;
}

/// Returns the base image as it is, for agents that build nothing.
async fn unbuilt(
    images: &Images<'_>,
    progress: &mut Progress,
    base: &str,
    why: &str,
    wants_packages: bool,
) -> Result<Image, Failed> {
    let (found, pulled) = images.base(progress, base, Phase::Pull).await?;
    let mut warnings = Vec::new();
    if wants_packages {
        warnings.push(format!("{why}, so the job's packages must be in the base image `{base}`"));
    }
    let digest = found.id.map(|id| id.trim_start_matches("sha256:").to_owned());
    Ok(Image { name: base.to_owned(), digest, cached: !pulled, packages: Vec::new(), warnings })
}

/// Returns the user that the launch asks for.
fn user_id(spec: &Map<String, Value>) -> Result<u64, Reason> {
    match spec.get("docker").and_then(|d| d.get("user_id")) {
        None | Some(Value::Null) => Ok(USER),
        Some(value) => {
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|n| *n < 1 << 31);
            number.ok_or_else(|| Reason::new(code::CONFIG_REFUSED, format!("docker.user_id: `{value}` is no user id")))
        }
    }
}

/// Brings the image of an image job: pulled, or the local one where that fails.
async fn pulled(
    images: &Images<'_>,
    progress: &mut Progress,
    name: &str,
    policy: Option<&str>,
) -> Result<Image, Failed> {
    let here = images.inspect(name).await?;
    let wanted = match policy {
        Some("never") => false,
        Some("missing") => here.is_none(),
        _ => true,
    };
    let mut failed = None;
    if wanted && let Err(reason) = images.pull(name, Phase::Pull, code::IMAGE_MISSING).await {
        failed = Some(reason);
    }
    let found = if wanted && failed.is_none() { images.inspect(name).await? } else { here };
    let Some(found) = found else {
        let missing = || Reason::new(code::IMAGE_MISSING, format!("the image `{name}` is not here"));
        return Err(failed.unwrap_or_else(missing));
    };
    let mut warnings = Vec::new();
    if failed.is_some() {
        warnings.push(format!("the image `{name}` cannot be pulled; the local one is used"));
    }
    for warning in &warnings {
        progress.warn(warning.clone()).await;
    }
    // By the name that was launched, and by what that name stands for today, where a registry has said it.
    let repository = name.split('@').next().unwrap_or(name);
    let digest =
        found.repo_digests.and_then(|all| all.into_iter().find_map(|d| d.split_once('@').map(|(_, d)| d.to_owned())));
    let image = digest.map_or_else(|| name.to_owned(), |digest| format!("{repository}@{digest}"));
    progress.source(ItemSource { kind: "image".into(), commit: None, image: Some(image) }).await;
    Ok(Image {
        name: name.to_owned(),
        digest: None,
        cached: !wanted || failed.is_some(),
        packages: Vec::new(),
        warnings,
    })
}

/// Returns the image to build on: the word of the target's config, the job's, the launch's and the agent's, else the plain
/// Python image.
fn base_image(fetched: &Fetched, builder: &Map<String, Value>, building: &Building, root: &Path) -> String {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    let accelerator = builder.get("accelerator").or_else(|| builder.get("cuda")).and_then(|a| a.get("base_image"));
    text(builder.get("base_image"))
        .or_else(|| text(accelerator))
        .or_else(|| fetched.job.base_image.clone())
        .or_else(|| building.base_image.clone())
        .unwrap_or_else(|| {
            let python = wanted_python(&fetched.job, root);
            format!("python:{}-slim", python.as_deref().unwrap_or("3.12"))
        })
}

/// Returns user and group; none for a name, which only the image can translate.
fn owner(user: Option<&str>) -> Option<(u64, u64)> {
    let user = user.unwrap_or_default();
    let (user, group) = user.split_once(':').map_or((user, None), |(u, g)| (u, Some(g)));
    let number = |text: &str| if text.is_empty() || text == "root" { Some(0) } else { text.parse().ok() };
    let user = number(user)?;
    Some((user, group.map_or(Some(user), number)?))
}

/// The launch's entry point and arguments win over the queue's options, and both over the image's own.
fn set_command(
    body: &mut ContainerCreateBody,
    overrides: &Map<String, Value>,
    mut command: Vec<String>,
    entrypoint: Option<String>,
    option: Vec<String>,
    is_image: bool,
) {
    let given = |keys: &[&str]| !super::words(overrides, keys).is_empty();
    let has_entry = given(&["entry_point", "entrypoint"]);
    if let Some(entrypoint) = entrypoint.filter(|_| !has_entry) {
        body.entrypoint = Some(vec![entrypoint]);
    } else if (has_entry || !is_image) && !command.is_empty() {
        body.entrypoint = Some(vec![command.remove(0)]);
    }
    if command.is_empty() {
        command = option;
    }
    body.cmd = (!command.is_empty()).then_some(command);
}

/// Makes the server reachable from the container; returns the address to use there.
fn reach_server(body: &mut ContainerCreateBody, base_url: &str) -> String {
    let host: &mut HostConfig = body.host_config.get_or_insert_default();
    let url = Url::parse(base_url).ok();
    let loopback = url.as_ref().is_some_and(|u| match u.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    });
    if loopback && host.network_mode.is_none() {
        host.network_mode = Some("host".into());
    }
    let gateway = "host.docker.internal:host-gateway".to_owned();
    let shared = host.network_mode.as_deref().is_some_and(|n| n == "none" || n.starts_with("container:"));
    if !shared {
        let hosts = host.extra_hosts.get_or_insert_default();
        if !hosts.iter().any(|h| h.starts_with("host.docker.internal:")) {
            hosts.push(gateway);
        }
    }
    match url {
        // The admin chose another network, where the loopback is the container's own.
        Some(mut url) if loopback && host.network_mode.as_deref() != Some("host") && !shared => {
            let _ = url.set_host(Some("host.docker.internal"));
            url.to_string().trim_end_matches('/').to_owned()
        }
        _ => base_url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_on_the_loopback_is_reached_through_the_hosts_network() {
        for (base, network, used, mode) in [
            ("http://localhost:8080", None, "http://localhost:8080", Some("host")),
            ("http://127.0.0.1:1", None, "http://127.0.0.1:1", Some("host")),
            ("http://localhost:8080", Some("mine"), "http://host.docker.internal:8080", Some("mine")),
            ("https://lanza.example/x", None, "https://lanza.example/x", None),
        ] {
            let mut body = ContainerCreateBody {
                host_config: Some(HostConfig { network_mode: network.map(str::to_owned), ..Default::default() }),
                ..Default::default()
            };
            assert_eq!(reach_server(&mut body, base), used);
            let host = body.host_config.unwrap();
            assert_eq!(host.network_mode.as_deref(), mode);
            assert_eq!(host.extra_hosts.unwrap(), ["host.docker.internal:host-gateway"]);
        }
    }

    #[test]
    fn a_container_gets_what_was_set_aside_for_it() {
        let mut body = ContainerCreateBody::default();
        let options = json!({"gpus": 2, "cpus": 0.5, "device": "/dev/fuse"});
        docker_options::apply(options.as_object().unwrap(), &mut body).unwrap();
        let mut host = body.host_config.unwrap();
        let reserved = Reserved { cpus: 3.0, memory_bytes: 1 << 30, gpus: vec!["1".into(), "3".into()] };
        set_resources(&mut host, &reserved);
        let requests = host.device_requests.clone().unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].device_ids.as_deref(), Some(&["1".to_owned(), "3".to_owned()][..]));
        assert_eq!(requests[0].count, None, "Docker refuses a count beside devices");
        assert_eq!((host.nano_cpus, host.memory), (Some(500_000_000), Some(1 << 30)), "the queue's limit wins");

        let mut plain = HostConfig::default();
        set_resources(&mut plain, &Reserved::default());
        assert_eq!(plain, HostConfig::default());
    }

    #[test]
    fn owners() {
        assert_eq!(owner(None), Some((0, 0)));
        assert_eq!(owner(Some("1000")), Some((1000, 1000)));
        assert_eq!(owner(Some("1000:100")), Some((1000, 100)));
        assert_eq!(owner(Some("root")), Some((0, 0)));
        assert_eq!(owner(Some("nobody")), None);
    }

    #[test]
    fn the_command_of_a_container() {
        let of = |overrides: Value, command: &[&str], entry: Option<&str>, option: &[&str], image: bool| {
            let mut body = ContainerCreateBody::default();
            let texts = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
            let overrides = overrides.as_object().unwrap().clone();
            set_command(&mut body, &overrides, texts(command), entry.map(str::to_owned), texts(option), image);
            (body.entrypoint.unwrap_or_default().join(" "), body.cmd.unwrap_or_default().join(" "))
        };
        let own = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of(json!({}), &["python", "t.py", "-v"], None, &[], false), own("python", "t.py -v"));
        assert_eq!(of(json!({"args": ["-v"]}), &["-v"], None, &["x"], true), own("", "-v"));
        assert_eq!(of(json!({}), &[], None, &["x"], true), own("", "x"));
        assert_eq!(
            of(json!({"entry_point": ["sh", "-c"], "args": ["a"]}), &["sh", "-c", "a"], Some("q"), &[], true),
            own("sh", "-c a")
        );
    }
}
