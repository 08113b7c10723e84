//! What a launch says about its target and its build, held against what its submitter may say and what agents can use.

use lanza_model::{
    Code, Target,
    builder::LaunchBuilder,
    code,
    config::{self, Layer, NotAllowed},
    spec::{Door, LaunchSpec},
};
use lanza_store::queues::Queue;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Refuses what only the queue's admin may set.
pub(super) fn submitter_check(spec: &LaunchSpec, target: Target, fields: Option<&[String]>) -> Result<()> {
    let below = format!("resource_args.{}.", target.wire_name());
    config::check_submitter_within(target, fields, &spec.resource_args)
        .map_err(|refused| invalid(&below, &refused, code::FIELD_NOT_ALLOWED))?;
    match services(spec) {
        Some(services) => {
            config::check_services(fields, services).map_err(|refused| invalid("", &refused, code::FIELD_NOT_ALLOWED))
        }
        None => Ok(()),
    }
}

/// Refuses what the agent would refuse: a value that the target cannot take.
pub(super) fn values_check(
    queue: &Queue,
    spec: &LaunchSpec,
    target: Target,
    queue_config: &Map<String, Value>,
) -> Result<()> {
    let (own, of_queue): (Vec<_>, Vec<_>) = config::check_layers(target, queue_config, &spec.resource_args)
        .into_iter()
        .partition(|unusable| unusable.layer == Layer::Launch);
    let refused = |list: Vec<config::Unusable>| list.into_iter().map(|u| u.what).collect::<Vec<NotAllowed>>();
    if !own.is_empty() {
        return Err(invalid(&format!("resource_args.{}.", target.wire_name()), &refused(own), code::CONFIG_REFUSED));
    }
    if of_queue.is_empty() {
        return Ok(());
    }
    let refused = refused(of_queue);
    let why = format!(
        "{}; nothing can run on the queue `{}` until its admin mends that",
        NotAllowed::list(&refused),
        queue.name
    );
    Err(Error::Invalid { field: format!("queue.config.{}", refused[0].field), why, code: code::CONFIG_REFUSED })
}

/// Further objects need a target that has them.
pub(super) fn services_fit(
    spec: &LaunchSpec,
    queue: &Queue,
    target: Target,
    door: Door,
    warnings: &mut Vec<String>,
) -> Result<()> {
    if target == Target::Kubernetes || services(spec).is_none() {
        return Ok(());
    }
    let why = format!("are objects of Kubernetes, and items of the queue `{}` run on `{target}`", queue.name);
    if door == Door::Rest {
        return Err(Error::Invalid { field: "additional_services".into(), why, code: code::TARGET_MISMATCH });
    }
    warnings.push(format!("the additional_services are ignored: they {why}"));
    Ok(())
}

/// Refuses what a launch may not say of its build.
pub(super) fn builder_check(
    spec: &LaunchSpec,
    queue: &Queue,
    target: Target,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let builder = LaunchBuilder::parse(&spec.raw).map_err(|refused| invalid("", &refused, code::BUILDER_REFUSED))?;
    if !builder.is_empty() && target == Target::Process {
        let queue = &queue.name;
        warnings
            .push(format!("`builder` and `registry` are ignored: items of the queue `{queue}` run without an image"));
    }
    Ok(())
}

/// The further objects of a launch.
fn services(spec: &LaunchSpec) -> Option<&Value> {
    spec.raw.get("additional_services").filter(|s| !s.as_array().is_some_and(Vec::is_empty))
}

/// The first one's field is told beside the sentence.
fn invalid(below: &str, refused: &[NotAllowed], code: Code) -> Error {
    Error::Invalid { field: format!("{below}{}", refused[0].field), why: NotAllowed::list(refused), code }
}
