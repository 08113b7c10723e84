//! The image and the settings of a container.

use std::{os::unix::fs::PermissionsExt, path::Path};

use bollard::models::{ContainerCreateBody, HostConfig};
use lanza_api::item::{ItemEnvironment, ItemSource};
use lanza_model::{Phase, Reason, code};
use serde_json::{Map, Value};
use url::Url;

use super::{Failed, Job, broken, commands, folders, no_entry_point, source_python};
use crate::{
    attempt::Progress,
    build::{
        image::{HOME, Image, Images, dockerfile_of, whole_tag},
        requirements::Requirements,
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
    let records = ctx.state.environments();
    let platform = extra.platform.as_deref();
    let agent = progress.agent().to_owned();

    let mut code = None;
    let image = match (&job.image, &job.fetched) {
        (Some(image), _) => {
            progress.begin(Phase::Pull).await;
            let commands = commands(ctx, log(Phase::Pull), Phase::Pull);
            let images = Images { engine, commands: &commands, records: &records, agent: &agent, platform };
            pulled(&images, progress, image, extra.pull.as_deref()).await?
        }
        (None, Some(fetched)) => {
            if job.command.is_empty() {
                return Err(no_entry_point(lease.job.as_deref()));
            }
            let commands = commands(ctx, log(Phase::Build), Phase::Build);
            let images = Images { engine, commands: &commands, records: &records, agent: &agent, platform };
            let (image, folder) = built(ctx, progress, handle, &images, fetched, &job).await?;
            code = folder;
            image
        }
        (None, None) => return Err(no_entry_point(lease.job.as_deref())),
    };
    let inspected = Images {
        engine,
        commands: &commands(ctx, log(Phase::Start), Phase::Start),
        records: &records,
        agent: &agent,
        platform,
    }
    .inspect(&image.name)
    .await?;
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
    set_command(&mut body, &lease.overrides, command, extra.entrypoint, extra.command, job.image.is_some());

    let base_url = reach_server(&mut body, &ctx.options.base_url);
    let host = body.host_config.get_or_insert_default();
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
        container: Some(Container { body: Box::new(body), name: extra.name, platform: extra.platform, code }),
    })
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
    let pulled = wanted && images.pull(name).await?;
    let found = if pulled { images.inspect(name).await? } else { here };
    let Some(found) = found else { return Err(images.missing(name)) };
    let mut warnings = Vec::new();
    if wanted && !pulled {
        warnings.push(format!("the image `{name}` cannot be pulled; the local one is used"));
    }
    for warning in &warnings {
        progress.warn(warning.clone()).await;
    }
    let digest = found.repo_digests.and_then(|d| d.into_iter().next()).or(found.id);
    progress
        .source(ItemSource { kind: "image".into(), commit: None, image: digest.or_else(|| Some(name.to_owned())) })
        .await;
    Ok(Image { name: name.to_owned(), digest: None, cached: !pulled, packages: Vec::new(), warnings })
}

/// Finds or builds the image of a job with code, and says which code is laid over it.
async fn built(
    ctx: &Context,
    progress: &mut Progress,
    handle: &Handle,
    images: &Images<'_>,
    fetched: &Fetched,
    job: &Job<'_>,
) -> Result<(Image, Option<Code>), Failed> {
    let lease = progress.lease().clone();
    let (root, _) = folders(Some(&fetched.job), &lease.overrides, job.work)?;
    let given = lease.overrides.get("dockerfile").and_then(Value::as_str);
    if let Some((dockerfile, context)) = dockerfile_of(&root, given, fetched.job.dockerfile.as_deref(), &job.command)? {
        progress.begin(Phase::Build).await;
        let reference = lease.job.as_deref().and_then(|j| lanza_model::spec::JobReference::parse(j).ok());
        let name = reference.map_or_else(|| "job".to_owned(), |r| r.name);
        let text = std::fs::read(&dockerfile).map_err(|e| broken("read the Dockerfile", &e))?;
        let digest = crate::source::artifact::hex(&<sha2::Sha256 as sha2::Digest>::digest(
            [fetched.digest.as_bytes(), b"\0", &text].concat(),
        ));
        let tag = whole_tag(&lease.run_entity, &lease.run_project, &name, &digest);
        let image = images.build_whole(&tag, &dockerfile, &context).await?;
        return Ok((image, None));
    }
    if fetched.job.notebook || job.command.iter().any(|w| source::notebook::is_notebook(w)) {
        source::notebook::convert_all(&root, &job.command)?;
    }
    let requirements = Requirements::of_job(&root, fetched.frozen.as_deref());
    let base = base_image(ctx, fetched, &job.config.builder, &root);
    let found = if let Some(found) = images.find(&base, requirements.as_ref(), &fetched.digest).await? {
        found
    } else {
        progress.begin(Phase::Build).await;
        let folder = handle.dir.join("build");
        let built = images.build(&base, requirements.as_ref(), &fetched.digest, &root, &folder).await;
        let _ = crate::state_dir::remove_dir(&folder);
        built?
    };
    for warning in &found.warnings {
        progress.warn(warning.clone()).await;
    }
    progress
        .environment(ItemEnvironment {
            digest: found.digest.clone().unwrap_or_default(),
            cached: found.cached,
            packages: found.packages.clone(),
        })
        .await;
    Ok((found, Some(Code { from: root, to: format!("{HOME}/src").into(), owner: None })))
}

/// Returns the image to build on: the queue's word, the job's, the agent's, else the plain Python image.
fn base_image(ctx: &Context, fetched: &Fetched, builder: &Map<String, Value>, root: &Path) -> String {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    let accelerator = builder.get("accelerator").or_else(|| builder.get("cuda")).and_then(|a| a.get("base_image"));
    text(builder.get("base_image"))
        .or_else(|| text(accelerator))
        .or_else(|| fetched.job.base_image.clone())
        .or_else(|| text(ctx.options.config.builder.get("base_image")))
        .unwrap_or_else(|| {
            let python = source_python(root).or_else(|| fetched.job.python.clone());
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
