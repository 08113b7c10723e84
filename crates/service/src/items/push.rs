//! A launch comes in: everything is checked, resolved and stored, or nothing is.

use std::sync::Arc;

use lanza_api::item::{ItemConfig, Plan};
use lanza_model::{
    Priority, Role, Target, code, config,
    id::ItemId,
    item::StateName,
    name,
    policy::Policy,
    resources::{self, Request},
    shell,
    spec::{Door, JobReference, LaunchSpec},
    template,
};
use lanza_store::{accounts::Entity, agents::Agent, items::Item, queues::Queue};
use serde_json::{Map, Value, json};

use super::{layers, stock::ComeBack};
use crate::{
    Actor, Error, Result, Service,
    agents::status_of,
    queues::{effective, is_draining, templates_invalid},
};

/// Largest launch spec, in bytes of JSON.
const SPEC_BYTES: usize = 4 << 20;
/// The project of runs for which nobody names one.
const DEFAULT_PROJECT: &str = "uncategorized";

/// What the wire sends beside the spec.
#[derive(Debug, Clone, Default)]
pub struct WirePush {
    /// 0 to 3.
    pub priority: Option<i64>,
    /// Values of template variables.
    pub template_variables: Option<Map<String, Value>>,
}

/// An accepted launch.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Entity of the queue.
    pub entity: Entity,
    /// The queue.
    pub(super) queue: Queue,
    /// Who served the queue just before a new item came.
    pub(super) agents: Arc<[Agent]>,
    /// The item.
    pub item: Item,
    /// False when the idempotency key was seen before.
    pub new: bool,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// The spec with resource and resource args filled in, for the wire.
    pub resolved_spec: Map<String, Value>,
}

/// A launch that has been checked and not stored.
struct Checked {
    entity: Entity,
    queue: Queue,
    spec: LaunchSpec,
    target: Target,
    queue_config: Map<String, Value>,
    template_variables: Map<String, Value>,
    priority: Priority,
    max_attempts: u32,
    resources: Map<String, Value>,
    job: Option<String>,
    job_artifact: Option<String>,
    code_artifact: Option<String>,
    run_entity: String,
    run_project: String,
    warnings: Vec<String>,
}

impl Service {
    /// Puts a launch on a queue.
    ///
    /// # Errors
    /// Everything that is wrong with the spec, by field; an unknown queue; a role below member.
    pub async fn item_push(
        &self,
        actor: &Actor,
        entity: &str,
        queue: &str,
        spec: Value,
        door: Door,
        wire: WirePush,
    ) -> Result<Pushed> {
        let back = Box::pin(self.item_come_back(actor, entity, queue, &spec)).await?;
        let (actor, spec, wire) = match &back {
            ComeBack::No => (actor, spec, wire),
            ComeBack::Taken(pushed) => return Ok((**pushed).clone()),
            ComeBack::Anew(author, spec) => (&**author, spec.clone(), WirePush::default()),
        };
        let checked = self.item_check(actor, entity, queue, spec, door, wire).await?;
        self.run_id_own(actor, &checked).await?;
        let mut warnings = checked.warnings.clone();
        let agents = self.store.agents_of_queue(&checked.queue.id).await?;
        warnings.extend(self.unserved(&checked.queue, &agents));
        warnings.extend(self.misread(&checked, &agents));
        let planned_run = checked.spec.run_id.clone().unwrap_or_else(name::new_run_name);
        let item = Item {
            id: ItemId::new(),
            entity_id: checked.entity.id.clone(),
            queue_id: checked.queue.id.clone(),
            queue_name: checked.queue.name.clone(),
            target: checked.target,
            state: StateName::Queued,
            phase: None,
            attempt: 0,
            max_attempts: checked.max_attempts,
            losses: 0,
            next_retry_at: None,
            agent_id: None,
            stock: false,
            priority: checked.priority,
            author_id: actor.user_id.clone(),
            author: actor.username.clone(),
            created_at: self.now(),
            leased_at: None,
            lease_expires_at: None,
            acknowledged_at: None,
            started_at: None,
            ended_at: None,
            unreachable_since: None,
            stop_requested_at: None,
            stop_requested_by: None,
            stop_grace_seconds: None,
            deleted: false,
            exit_code: None,
            signal: None,
            reason: None,
            warnings: checked.warnings.clone(),
            job: checked.job.clone(),
            job_artifact: checked.job_artifact.clone(),
            code_artifact: checked.code_artifact.clone(),
            run_entity: checked.run_entity.clone(),
            run_project: checked.run_project.clone(),
            planned_run,
            run: None,
            runs: Vec::new(),
            name: checked.spec.name.clone(),
            queue_config: checked.queue_config.clone(),
            item_config: checked.spec.resource_args.clone(),
            template_variables: checked.template_variables.clone(),
            resources: checked.resources.clone(),
            reserved: None,
            stop_cause: None,
            not_before: checked.spec.not_before,
            idempotency_key: checked.spec.idempotency_key.clone(),
            environment: None,
            source: None,
            spec: checked.spec.raw.clone(),
        };
        let (item, new) = self.store.item_insert(item).await.map_err(|e| match e {
            lanza_store::Error::Moved => crate::queues::queue_missing(queue),
            other => other.into(),
        })?;
        if new {
            // Agents serve the target of their queue; what runs elsewhere is not for each of them.
            // Nor does every machine have what some items ask for.
            let everyone = checked.queue.target != Some(item.target) || !item.resources.is_empty();
            self.wakers.item_queued(&item.queue_id, everyone);
            metrics::counter!("lanza_items_pushed_total").increment(1);
        }
        let resolved_spec = resolved_spec(&item, checked.target, &actor.username);
        let Checked { entity, queue, .. } = checked;
        Ok(Pushed { entity, queue, agents, item, new, warnings, resolved_spec })
    }

    /// Says what a launch would do, and changes nothing.
    ///
    /// # Errors
    /// As for [`Service::item_push`].
    pub async fn item_plan(&self, actor: &Actor, entity: &str, queue: &str, spec: Value) -> Result<Plan> {
        let checked = self.item_check(actor, entity, queue, spec, Door::Rest, WirePush::default()).await?;
        self.run_id_own(actor, &checked).await?;
        let mut warnings = checked.warnings.clone();
        let agents = self.store.agents_of_queue(&checked.queue.id).await?;
        warnings.extend(self.unserved(&checked.queue, &agents));
        warnings.extend(self.misread(&checked, &agents));
        Ok(Plan {
            queue: checked.queue.name.clone(),
            target: checked.target,
            job: checked.job.clone(),
            project: checked.run_project.clone(),
            settings: config::settings(&checked.queue.config, &checked.queue_config, &checked.spec.resource_args),
            resources: checked.resources,
            config: ItemConfig {
                effective: effective(&checked.queue_config, &checked.spec.resource_args),
                queue: checked.queue_config,
                item: checked.spec.resource_args,
            },
            template_variables: checked.template_variables,
            warnings,
        })
    }

    async fn item_check(
        &self,
        actor: &Actor,
        entity: &str,
        queue: &str,
        spec: Value,
        door: Door,
        wire: WirePush,
    ) -> Result<Checked> {
        if spec.to_string().len() > SPEC_BYTES {
            return Err(Error::TooLarge { what: "the launch spec".into(), limit: "4 MiB".into() });
        }
        let role = if actor.job.is_none() { Role::Member } else { Role::Viewer };
        let (entity, queue) = self.queue_find_as(actor, entity, queue, role).await?;
        if is_draining(&queue) {
            return Err(Error::conflict(format!("the queue `{}` is draining and takes nothing new", queue.name)));
        }
        let mut warnings = Vec::new();
        let mut spec = LaunchSpec::parse(spec, door)?;
        let target = target_of(&queue, &spec, door, &mut warnings)?;
        args_of_target(&mut spec, &queue, target, door, &mut warnings)?;
        image_fits(&spec, &queue, target, door, &mut warnings)?;
        if let Some(values) = wire.template_variables {
            spec.template_variables = values;
        }
        // The admin's templates are part of the queue's config; a submitter who fills them sends nothing else.
        if !spec.template_variables.is_empty() && !spec.resource_args.is_empty() {
            spec.resource_args = Map::new();
            warnings.push("resource_args are ignored because template_variables are given".to_owned());
        }
        let template_variables =
            template::resolve(&queue.templates, &spec.template_variables).map_err(templates_invalid)?;
        let queue_config = match template::render(&Value::Object(queue.config.clone()), &template_variables) {
            Value::Object(rendered) => rendered,
            _ => Map::new(),
        };
        let policy = Policy::lenient(&queue.policy);
        // In a personal space both layers are the owner's.
        if entity.team || !self.layer_is_owners(actor, &spec).await? {
            layers::submitter_check(&spec, target, policy.submitter_fields.as_deref())?;
        }
        layers::values_check(&queue, &spec, target, &queue_config)?;
        layers::services_fit(&spec, &queue, target, door, &mut warnings)?;
        layers::builder_check(&spec, &queue, target, &mut warnings)?;
        let resources = resources_of(&spec, &effective(&queue_config, &spec.resource_args), door, &mut warnings)?;
        let priority = Self::priority_of(&queue, &spec, wire.priority, &mut warnings)?;
        let mut checked = Checked {
            run_entity: spec.entity.clone().unwrap_or_else(|| entity.name.clone()),
            run_project: spec.project.clone().or_else(|| Some(actor.job.as_ref()?.project.clone())).unwrap_or_default(),
            entity,
            queue,
            spec,
            target,
            queue_config,
            template_variables,
            priority,
            max_attempts: policy.max_attempts(),
            resources,
            job: None,
            job_artifact: None,
            code_artifact: None,
            warnings,
        };
        self.resolve_job(actor, &mut checked).await?;
        self.handed_on_check(actor, &checked.spec).await?;
        if checked.run_project.is_empty() {
            DEFAULT_PROJECT.clone_into(&mut checked.run_project);
        }
        checked.run_entity = self.run_entity_of(actor, &checked).await?;
        Ok(checked)
    }

    /// A chosen run id may be that of an earlier run, which then goes on, but not of a run of somebody else.
    async fn run_id_own(&self, actor: &Actor, checked: &Checked) -> Result<()> {
        let Some(run_id) = &checked.spec.run_id else { return Ok(()) };
        let Some(entity) = self.store.entity_by_name(&checked.run_entity).await? else { return Ok(()) };
        let Some(project) = self.store.project_by_name(&entity.id, &checked.run_project).await? else { return Ok(()) };
        match self.store.run_by_name(&project.id, run_id).await? {
            Some(run) if run.author != actor.username => Err(Error::Invalid {
                field: "run_id".into(),
                why: format!("is the id of a run of `{}`; choose another, or none", run.author),
                code: code::SPEC_INVALID,
            }),
            _ => Ok(()),
        }
    }

    /// The entity of the run must be one that the author may write into.
    async fn run_entity_of(&self, actor: &Actor, checked: &Checked) -> Result<String> {
        let found = match &actor.job {
            // Whoever may push there may write there.
            None if checked.run_entity == checked.entity.name => return Ok(checked.run_entity.clone()),
            Some(_) => self.project_writable(actor, &checked.run_entity, &checked.run_project).await?,
            None => self.entity_for(actor, &checked.run_entity, Role::Member).await.map_err(|e| match e {
                Error::NotFound { id, .. } => Error::Invalid {
                    field: "entity".into(),
                    why: format!("you do not belong to an entity `{id}`"),
                    code: code::SPEC_INVALID,
                },
                other => other,
            })?,
        };
        Ok(found.name)
    }

    async fn resolve_job(&self, actor: &Actor, checked: &mut Checked) -> Result<()> {
        let Some(written) = checked.spec.job.clone() else { return Ok(()) };
        let reference = JobReference::parse(&written)?;
        let project = reference.project.clone().or_else(|| Some(checked.run_project.clone()).filter(|p| !p.is_empty()));
        let resolved = match &project {
            Some(project) => self.job_resolve(actor, &reference, &checked.entity.name, project).await?,
            None => None,
        };
        if checked.run_project.is_empty() {
            checked.run_project = project.unwrap_or_default();
        }
        if let Some(job) = resolved {
            // A preempted item comes back as it was taken, whatever the job has learned since.
            if checked.spec.resume_count == 0 {
                self.job_inputs_check(&job, &checked.spec.overrides).await?;
            }
            checked.job = Some(job.reference);
            checked.job_artifact = Some(job.artifact_id);
            checked.code_artifact = job.code_artifact;
        } else {
            checked.warnings.push(format!("the job `{written}` does not exist (yet), or you may not see it"));
            // Named in full, so that whoever takes the item knows where to look.
            checked.job = Some(match &checked.run_project {
                project if project.is_empty() => written,
                run_project => {
                    let entity = reference.entity.as_ref().unwrap_or(&checked.entity.name);
                    let project = reference.project.as_ref().unwrap_or(run_project);
                    format!("{entity}/{project}/{}:{}", reference.name, reference.alias)
                }
            });
        }
        Ok(())
    }

    fn priority_of(
        queue: &Queue,
        spec: &LaunchSpec,
        wire: Option<i64>,
        warnings: &mut Vec<String>,
    ) -> Result<Priority> {
        let asked = match wire {
            Some(number) => Some(Priority::from_number(number).ok_or_else(|| {
                Error::invalid("priority", format!("`{number}` is none of 0 (critical), 1 (high), 2 (medium), 3 (low)"))
            })?),
            None => spec.priority,
        };
        match asked {
            Some(p) if queue.prioritised => Ok(p),
            // Schedulers and retries always name the default.
            Some(p) if p != Priority::default() => {
                warnings.push(format!("the queue `{}` has no priorities, so `{p}` is ignored", queue.name));
                Ok(Priority::default())
            }
            _ => Ok(Priority::default()),
        }
    }

    /// Says what an agent of the client's own, if one serves the queue, would refuse or misread of a launch.
    fn misread(&self, checked: &Checked, agents: &[Agent]) -> Vec<String> {
        let config = effective(&checked.queue_config, &checked.spec.resource_args);
        let mut warnings = self.stock_warnings(&checked.queue, checked.target, &config, agents);
        if !warnings.is_empty() || checked.spec.resources.is_empty() {
            return warnings;
        }
        if let Some(agent) = self.agents_that_take(agents).find(|a| a.stock) {
            warnings.push(format!("{}: it sets no `resources` aside for an item", stock_agent(agent, &checked.queue)));
        }
        warnings
    }

    /// The agents that take items just now.
    fn agents_that_take<'a>(&self, agents: &'a [Agent]) -> impl Iterator<Item = &'a Agent> {
        let now = self.now();
        agents.iter().filter(move |a| ["polling", "running"].contains(&status_of(a, now)) && a.command == "none")
    }

    /// Says what is wrong with the queue's config: what its target does not know or take, and what an agent of the
    /// client's own, if one serves the queue, would refuse or misread.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue_warnings(&self, queue: &Queue) -> Result<Vec<String>> {
        let agents = self.store.agents_of_queue(&queue.id).await?;
        // Without a target of its own, each launch names one.
        let wrong = queue.target.map(|target| config::check_queue(target, &queue.config)).unwrap_or_default();
        let mut warnings: Vec<String> = wrong.iter().map(|w| format!("`{}` {}", w.field, w.why)).collect();
        let target = queue.target.unwrap_or(Target::Docker);
        warnings.extend(self.stock_warnings(queue, target, &queue.config, &agents));
        Ok(warnings)
    }

    fn stock_warnings(
        &self,
        queue: &Queue,
        target: Target,
        config: &Map<String, Value>,
        agents: &[Agent],
    ) -> Vec<String> {
        let Some(agent) = self.agents_that_take(agents).find(|a| a.stock) else { return Vec::new() };
        let who = stock_agent(agent, queue);
        config::misread_by_stock_agents(target, config)
            .iter()
            .map(|m| format!("{who}: `{}` {}", m.field, m.why))
            .collect()
    }

    /// Says so when nobody will take an item of this queue.
    fn unserved(&self, queue: &Queue, agents: &[Agent]) -> Option<String> {
        if self.agents_that_take(agents).next().is_some() {
            return None;
        }
        Some(format!(
            "no agent polls the queue `{}`; start one with `lanza agent -q {}`",
            queue.name,
            shell::word(&queue.name)
        ))
    }
}

fn stock_agent(agent: &Agent, queue: &Queue) -> String {
    format!("`wandb launch-agent` on {} ({}) serves the queue `{}`", agent.host, agent.version, queue.name)
}

fn target_of(queue: &Queue, spec: &LaunchSpec, door: Door, warnings: &mut Vec<String>) -> Result<Target> {
    if spec.is_scheduler() {
        return Ok(Target::Process);
    }
    match (queue.target, spec.resource) {
        (Some(q), Some(s)) if q != s => {
            if door == Door::Rest {
                return Err(Error::Invalid {
                    field: "resource".into(),
                    why: format!("is `{s}`, and the queue `{}` is for `{q}`", queue.name),
                    code: code::TARGET_MISMATCH,
                });
            }
            warnings.push(format!("the queue `{}` is for `{q}`, so the resource `{s}` is ignored", queue.name));
            Ok(q)
        }
        (Some(q), _) => Ok(q),
        (None, Some(s)) => Ok(s),
        (None, None) => Ok(Target::Docker),
    }
}

/// Takes the arguments of the item's target. Those of another target would silently do nothing.
fn args_of_target(
    spec: &mut LaunchSpec,
    queue: &Queue,
    target: Target,
    door: Door,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for other in spec.take_args_of(target) {
        let why = format!("are for `{other}`, and items of the queue `{}` run on `{target}`", queue.name);
        if door == Door::Rest {
            return Err(Error::Invalid { field: format!("resource_args.{other}"), why, code: code::TARGET_MISMATCH });
        }
        warnings.push(format!("the resource_args of `{other}` are ignored: they {why}"));
    }
    Ok(())
}

/// An image needs a target that has containers.
fn image_fits(spec: &LaunchSpec, queue: &Queue, target: Target, door: Door, warnings: &mut Vec<String>) -> Result<()> {
    let (Some(image), Target::Process) = (&spec.image, target) else { return Ok(()) };
    let why = format!(
        "`{image}` is an image, and items of the queue `{}` run on `{target}`; choose a queue with containers",
        queue.name
    );
    if door == Door::Rest {
        return Err(Error::Invalid { field: "docker.docker_image".into(), why, code: code::TARGET_MISMATCH });
    }
    warnings.push(why);
    Ok(())
}

/// What the item asks of the machine: its own words, else those of the target's config.
fn resources_of(
    spec: &LaunchSpec,
    config: &Map<String, Value>,
    door: Door,
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    if !spec.resources.is_empty() {
        if let Some(key) = spec.resources.keys().find(|k| !resources::KEYS.contains(&k.as_str())) {
            let why = lanza_model::policy::unknown_key("a resource", key, resources::KEYS);
            return Err(Error::Invalid { field: format!("resources.{key}"), why, code: code::SPEC_INVALID });
        }
        return match Request::parse(&spec.resources) {
            Ok(_) => Ok(spec.resources.clone()),
            Err((key, why)) if door == Door::Rest => {
                Err(Error::Invalid { field: format!("resources.{key}"), why, code: code::SPEC_INVALID })
            }
            Err((key, why)) => {
                warnings.push(format!("resources.{key} {why}, so nothing is set aside"));
                Ok(Map::new())
            }
        };
    }
    let mut asked = Map::new();
    for key in resources::KEYS {
        // Options of `docker run` come with their dashes and in their short form, too.
        let short = if *key == "memory" { "m" } else { key };
        let found = config.iter().find(|(k, _)| [*key, short].contains(&config::docker_option(k).as_str()));
        let Some((written, value)) = found.filter(|(_, v)| !v.is_null()) else { continue };
        let one = Map::from_iter([((*key).to_owned(), value.clone())]);
        match Request::parse(&one) {
            Ok(_) => asked.extend(one),
            Err((_, why)) => warnings.push(format!("`{written}` of the config {why}, so nothing is set aside for it")),
        }
    }
    Ok(asked)
}

/// The spec of an item with everything filled in, as the wire answers a push.
pub(super) fn resolved_spec(item: &Item, target: Target, author: &str) -> Map<String, Value> {
    let mut spec = item.spec.clone();
    let args = effective(&item.queue_config, &item.item_config);
    spec.insert("resource".into(), json!(target.wire_name()));
    spec.insert("resource_args".into(), json!({ target.wire_name(): args }));
    spec.insert("author".into(), json!(author));
    spec.insert("entity".into(), json!(item.run_entity));
    spec.insert("project".into(), json!(item.run_project));
    spec.insert("run_id".into(), json!(item.planned_run));
    spec.remove("template_variables");
    spec
}
