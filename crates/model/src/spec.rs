//! The launch spec: one request to run one job, as every door takes it.
//!
//! The shape is the wandb client's (keys of its launch package 0.31), plus our `priority`, `not_before`,
//! `idempotency_key`, `resources` and `rebuild`. REST is strict: unknown keys are named and refused. The wire is lenient:
//! unknown keys are kept and ignored, since clients of other versions write them.

use serde_json::{Map, Value};

use crate::{clock::Time, priority::Priority, target::Target};

/// The source uri that marks a sweep's scheduler.
pub const SCHEDULER_URI: &str = "placeholder-uri-scheduler";

/// Keys that the client's launch spec has.
const CLIENT_KEYS: &[&str] = &[
    "job",
    "docker",
    "entity",
    "project",
    "name",
    "run_id",
    "resource",
    "resource_args",
    "overrides",
    "git",
    "sweep_id",
    "queue_entity",
    "builder",
    "registry",
    "python_version",
    "image_uri",
    "uri",
    "_resume_count",
    "template_variables",
    "additional_services",
    "queue",
];

/// Keys that only we have.
const OWN_KEYS: &[&str] = &["priority", "not_before", "idempotency_key", "resources", "rebuild"];

/// Letters of a run's display name.
const NAME_LETTERS: usize = 256;
const OVERRIDE_KEYS: &[&str] =
    &["args", "run_config", "entry_point", "entrypoint", "artifacts", "files", "dockerfile", "working_dir"];

/// Which door the spec came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Unknown keys are refused.
    Rest,
    /// Unknown keys are kept.
    Wire,
}

/// A field of what somebody wrote is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// Dotted path of the field.
    pub field: String,
    /// What is wrong with it, in words that follow the field's name.
    pub why: String,
}

pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Invalid {
    Invalid { field: field.into(), why: why.into() }
}

/// What a launch changes about the job, for this one item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Arguments instead of the job's.
    pub args: Vec<String>,
    /// Values for `wandb.config`.
    pub run_config: Map<String, Value>,
    /// Entry point instead of the job's.
    pub entry_point: Vec<String>,
    /// Artifacts by input name.
    pub artifacts: Map<String, Value>,
    /// Values for managed config files, by path.
    pub files: Map<String, Value>,
    /// Dockerfile instead of the job's, relative to the source's root.
    pub dockerfile: Option<String>,
    /// Working directory below the source's root.
    pub working_dir: Option<String>,
}

/// What `resource_args` says for one target.
type TargetArgs = (Target, Map<String, Value>);

/// A launch spec with its parts parsed; `raw` keeps every key as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchSpec {
    /// `entity/project/name:alias`, or none for an image or a scheduler.
    pub job: Option<String>,
    /// An image instead of a job.
    pub image: Option<String>,
    /// Entity of the run; none means the queue's.
    pub entity: Option<String>,
    /// Project of the run; none means the job's.
    pub project: Option<String>,
    /// Display name of the run.
    pub name: Option<String>,
    /// The run's id, if the caller chose it.
    pub run_id: Option<String>,
    /// The target named by the item.
    pub resource: Option<Target>,
    /// The submitter's layer of target configuration: the object below `resource_args.<resource>`.
    pub resource_args: Map<String, Value>,
    /// The same for every target that `resource_args` names.
    args_by_target: Vec<TargetArgs>,
    /// Values for the queue's template variables.
    pub template_variables: Map<String, Value>,
    /// What differs from the job.
    pub overrides: Overrides,
    /// Sweep of the run.
    pub sweep_id: Option<String>,
    /// How often a preempted run has been put back.
    pub resume_count: u32,
    /// Priority asked for.
    pub priority: Option<Priority>,
    /// Not to start before this time.
    pub not_before: Option<Time>,
    /// A second push with the same key is the same item.
    pub idempotency_key: Option<String>,
    /// `cpus`, `memory`, `gpus` asked for.
    pub resources: Map<String, Value>,
    /// The environment is built anew, whatever is there.
    pub rebuild: bool,
    /// Everything that was sent, without secrets and without `author`.
    pub raw: Map<String, Value>,
}

impl LaunchSpec {
    /// Parses a launch spec.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn parse(value: Value, door: Door) -> Result<Self, Invalid> {
        let Value::Object(mut raw) = value else {
            return Err(invalid("spec", "is not a JSON object"));
        };
        if door == Door::Rest {
            for secret in ["author", "_wandb_api_key"] {
                if raw.contains_key(secret) {
                    return Err(invalid(secret, "is set by the server and must not be sent"));
                }
            }
            let known = || CLIENT_KEYS.iter().chain(OWN_KEYS).copied();
            if let Some(key) = raw.keys().find(|k| !known().any(|known| known == k.as_str())) {
                let hint =
                    crate::name::nearest(key, known()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                return Err(invalid(key.clone(), format!("is not a key of a launch{hint}")));
            }
        }
        raw.remove("author");
        raw.remove("_wandb_api_key");
        // A null means "not given", for every key.
        raw.retain(|_, v| !v.is_null());

        let (job, image) = what_runs(&raw)?;
        let resource = match text(&raw, "resource")? {
            None => None,
            Some(r) => Some(Target::parse(&r).ok_or_else(|| {
                invalid("resource", format!("`{r}` is not a target; the targets are {}", Target::names()))
            })?),
        };
        let run_id = text(&raw, "run_id")?;
        if let Some(run_id) = &run_id {
            crate::name::check_run(run_id).map_err(|e| invalid("run_id", e.to_string()))?;
        }
        let project = text(&raw, "project")?;
        if let Some(project) = &project {
            crate::name::check_project(project).map_err(|e| invalid("project", e.to_string()))?;
        }
        let priority = priority(&raw)?;
        let not_before = match text(&raw, "not_before")? {
            None => None,
            Some(t) => Some(Time::read(&t).map_err(|why| invalid("not_before", why))?),
        };
        let idempotency_key = text(&raw, "idempotency_key")?;
        if idempotency_key.as_ref().is_some_and(|k| k.is_empty() || k.len() > 256) {
            return Err(invalid("idempotency_key", "has 1 to 256 bytes"));
        }
        let rebuild = match raw.get("rebuild") {
            None => false,
            Some(Value::Bool(rebuild)) => *rebuild,
            Some(_) => return Err(invalid("rebuild", "is neither true nor false")),
        };
        let args_by_target = resource_args(&raw)?;
        let own_args = args_by_target.iter().find(|(target, _)| resource.is_none_or(|r| r == *target));
        let name = text(&raw, "name")?;
        if name.as_ref().is_some_and(|name| name.chars().count() > NAME_LETTERS) {
            return Err(invalid("name", format!("has more than {NAME_LETTERS} letters")));
        }
        Ok(Self {
            resource_args: own_args.map(|(_, args)| args.clone()).unwrap_or_default(),
            args_by_target,
            template_variables: object(&raw, "template_variables")?,
            overrides: overrides(&raw, door)?,
            entity: text(&raw, "entity")?,
            name,
            sweep_id: text(&raw, "sweep_id")?,
            resume_count: raw.get("_resume_count").and_then(Value::as_u64).unwrap_or(0).try_into().unwrap_or(u32::MAX),
            resources: object(&raw, "resources")?,
            job,
            image,
            project,
            run_id,
            resource,
            priority,
            not_before,
            idempotency_key,
            rebuild,
            raw,
        })
    }

    /// Makes `resource_args` those of `target`, which the queue may have decided, and returns the other targets for which
    /// something is set.
    pub fn take_args_of(&mut self, target: Target) -> Vec<Target> {
        let own = self.args_by_target.iter().find(|(named, _)| *named == target);
        self.resource_args = own.map(|(_, args)| args.clone()).unwrap_or_default();
        let others = self.args_by_target.iter().filter(|(named, args)| *named != target && !args.is_empty());
        others.map(|(named, _)| *named).collect()
    }

    /// Whether this is a sweep's scheduler, which runs as a process on any queue.
    pub fn is_scheduler(&self) -> bool {
        self.raw.get("uri").and_then(Value::as_str) == Some(SCHEDULER_URI)
    }
}

/// A job as it is named in a spec: `[entity/[project/]]name[:alias]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReference {
    /// Owner; none means the queue's entity.
    pub entity: Option<String>,
    /// Project; none means the spec's.
    pub project: Option<String>,
    /// Name of the collection.
    pub name: String,
    /// `vN`, an alias or a digest; `latest` when nothing is said.
    pub alias: String,
}

impl JobReference {
    /// Parses a reference.
    ///
    /// # Errors
    /// When it has more than three parts or an empty one.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.strip_prefix("wandb-artifact://").unwrap_or(text);
        let (path, alias) = text.rsplit_once(':').unwrap_or((text, "latest"));
        let parts: Vec<&str> = path.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|p| p.is_empty()) || alias.is_empty() || alias.contains('/') {
            return Err(invalid("job", format!("`{text}` is not of the form `entity/project/name:alias`")));
        }
        let mut parts = parts.into_iter().rev().map(str::to_owned);
        let name = parts.next().unwrap_or_default();
        let project = parts.next();
        Ok(Self { name, project, entity: parts.next(), alias: alias.to_owned() })
    }
}

/// What is launched: a job or an image, and neither for a sweep's scheduler.
fn what_runs(raw: &Map<String, Value>) -> Result<(Option<String>, Option<String>), Invalid> {
    let job = text(raw, "job")?;
    let docker = object(raw, "docker")?;
    let image = match docker.get("docker_image") {
        None | Some(Value::Null) => text(raw, "image_uri")?,
        Some(Value::String(s)) if !s.is_empty() => Some(s.clone()),
        Some(_) => return Err(invalid("docker.docker_image", "is not a text")),
    };
    let scheduler = text(raw, "uri")?.as_deref() == Some(SCHEDULER_URI);
    if let Some(image) = image.as_deref().filter(|i| i.starts_with('-') || i.contains(char::is_whitespace)) {
        return Err(invalid("docker.docker_image", format!("`{image}` is not the name of an image")));
    }
    match (&job, &image) {
        (Some(_), Some(_)) => return Err(invalid("job", "and docker.docker_image exclude each other; give one")),
        (None, None) if !scheduler => {
            return Err(invalid("job", "is missing; give a job (`entity/project/name:alias`) or docker.docker_image"));
        }
        _ => {}
    }
    if let Some(job) = &job {
        JobReference::parse(job)?;
    }
    Ok((job, image))
}

/// The priority asked for, by its word or its number on the wire.
fn priority(raw: &Map<String, Value>) -> Result<Option<Priority>, Invalid> {
    Ok(match raw.get("priority") {
        None => None,
        Some(Value::String(word)) => Some(
            Priority::parse(word)
                .ok_or_else(|| invalid("priority", format!("`{word}` is none of critical, high, medium, low")))?,
        ),
        Some(number) => Some(
            number
                .as_i64()
                .and_then(Priority::from_number)
                .ok_or_else(|| invalid("priority", "is none of critical, high, medium, low"))?,
        ),
    })
}

fn text(raw: &Map<String, Value>, key: &str) -> Result<Option<String>, Invalid> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) if s.is_empty() => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(invalid(key, "is not a text")),
    }
}

fn object(raw: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, Invalid> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(o)) => Ok(o.clone()),
        Some(_) => Err(invalid(key, "is not an object")),
    }
}

/// Reads the objects of `resource_args` with their targets, whichever side's names they are filed under.
fn resource_args(raw: &Map<String, Value>) -> Result<Vec<TargetArgs>, Invalid> {
    let mut read = Vec::new();
    for (key, value) in object(raw, "resource_args")? {
        let Some(target) = Target::parse(&key) else {
            return Err(invalid(
                format!("resource_args.{key}"),
                format!("is not a target; the targets are {}", Target::names()),
            ));
        };
        match value {
            Value::Object(args) => read.push((target, args)),
            Value::Null => {}
            _ => return Err(invalid(format!("resource_args.{key}"), "is not an object")),
        }
    }
    Ok(read)
}

fn overrides(raw: &Map<String, Value>, door: Door) -> Result<Overrides, Invalid> {
    let all = object(raw, "overrides")?;
    if door == Door::Rest
        && let Some(key) = all.keys().find(|k| !OVERRIDE_KEYS.contains(&k.as_str()))
    {
        let hint = crate::name::nearest(key, OVERRIDE_KEYS.iter().copied())
            .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        return Err(invalid(format!("overrides.{key}"), format!("is not an override{hint}")));
    }
    let words = |key: &str| -> Result<Vec<String>, Invalid> {
        match all.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .iter()
                .map(|v| match v {
                    Value::String(s) => Ok(s.clone()),
                    Value::Number(n) => Ok(n.to_string()),
                    Value::Bool(b) => Ok(b.to_string()),
                    _ => Err(invalid(format!("overrides.{key}"), "has an entry that is not a text")),
                })
                .collect(),
            Some(_) => Err(invalid(format!("overrides.{key}"), "is not a list")),
        }
    };
    let part = |key: &str| object(&all, key).map_err(|e| invalid(format!("overrides.{key}"), e.why));
    let line = |key: &str| text(&all, key).map_err(|e| invalid(format!("overrides.{key}"), e.why));
    let entry_point = words("entry_point")?;
    Ok(Overrides {
        args: words("args")?,
        run_config: part("run_config")?,
        entry_point: if entry_point.is_empty() { words("entrypoint")? } else { entry_point },
        artifacts: part("artifacts")?,
        files: part("files")?,
        dockerfile: line("dockerfile")?,
        working_dir: line("working_dir")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rest(v: Value) -> Result<LaunchSpec, Invalid> {
        LaunchSpec::parse(v, Door::Rest)
    }

    #[test]
    fn exactly_one_of_job_and_image() {
        assert_eq!(rest(json!({})).expect_err("none").field, "job");
        assert_eq!(rest(json!({"job": "a/b/c:v1", "docker": {"docker_image": "x"}})).expect_err("both").field, "job");
        assert!(rest(json!({"docker": {"docker_image": "x:1"}})).is_ok());
        let scheduler = LaunchSpec::parse(json!({"uri": SCHEDULER_URI, "entity": "e"}), Door::Wire).expect("scheduler");
        assert!(scheduler.is_scheduler());
    }

    #[test]
    fn rest_names_unknown_keys_and_the_wire_keeps_them() {
        let e = rest(json!({"job": "a/b/c:v1", "prioritty": "high"})).expect_err("unknown key");
        assert_eq!(e.field, "prioritty");
        assert!(e.why.contains("`priority`"), "{}", e.why);
        assert_eq!(rest(json!({"job": "a/b/c:v1", "author": "eve"})).expect_err("author").field, "author");
        let s =
            LaunchSpec::parse(json!({"job": "a/b/c:v1", "x": 1, "author": "eve", "_wandb_api_key": "k"}), Door::Wire)
                .expect("lenient");
        assert!(s.raw.contains_key("x") && !s.raw.contains_key("author") && !s.raw.contains_key("_wandb_api_key"));
    }

    #[test]
    fn either_sides_target_name_finds_the_resource_args() {
        let s =
            rest(json!({"job": "c:v1", "resource": "docker", "resource_args": {"local-container": {"gpus": "all"}}}))
                .expect("legal");
        assert_eq!(s.resource, Some(Target::Docker));
        assert_eq!(s.resource_args["gpus"], "all");
        assert_eq!(rest(json!({"job": "c:v1", "resource": "abacus"})).expect_err("target").field, "resource");
    }

    #[test]
    fn arguments_are_those_of_the_target_that_the_queue_decides() {
        let args = json!({"kubernetes": {"cpus": 3}, "local-container": {"gpus": "all"}, "slurm": {}});
        let mut s = rest(json!({"job": "c:v1", "resource_args": args})).expect("legal");
        assert_eq!(s.take_args_of(Target::Docker), [Target::Kubernetes]);
        assert_eq!(s.resource_args["gpus"], "all");
        assert_eq!(s.take_args_of(Target::Process), [Target::Kubernetes, Target::Docker]);
        assert!(s.resource_args.is_empty());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for image in ["-v/:/x", "a b", "a\tb"] {
            let e = rest(json!({"docker": {"docker_image": image}})).expect_err(image);
            assert_eq!(e.field, "docker.docker_image");
        }
        let long = json!({"job": "c:v1", "name": "x".repeat(257)});
        assert_eq!(rest(long).expect_err("too long").field, "name");
    }

    #[test]
    fn job_references() {
        let r = JobReference::parse("e/p/n:v3").expect("legal");
        assert_eq!(
            (r.entity.as_deref(), r.project.as_deref(), r.name.as_str(), r.alias.as_str()),
            (Some("e"), Some("p"), "n", "v3")
        );
        assert_eq!(JobReference::parse("n").expect("legal").alias, "latest");
        assert!(JobReference::parse("a/b/c/d:v1").is_err());
        assert!(JobReference::parse("a//c:v1").is_err());
    }

    #[test]
    fn wrong_types_are_named_by_path() {
        for (spec, field) in [
            (json!({"job": "c", "overrides": {"args": "x"}}), "overrides.args"),
            (json!({"job": "c", "overrides": {"run_config": []}}), "overrides.run_config"),
            (json!({"job": "c", "overrides": {"arg": []}}), "overrides.arg"),
            (json!({"job": "c", "resource_args": {"docker": 1}}), "resource_args.docker"),
            (json!({"job": "c", "run_id": "a/b"}), "run_id"),
            (json!({"job": "c", "rebuild": "yes"}), "rebuild"),
            (json!({"job": "c", "not_before": "9999-12-31T23:59:59Z"}), "not_before"),
            (json!({"job": 3}), "job"),
        ] {
            assert_eq!(rest(spec).expect_err(field).field, field);
        }
    }
}
