//! `lanza list`, and which project other commands mean.

use lanza_api::{Client, client::segment, entity::Project};
use lanza_model::clock::{Clock as _, SystemClock};

use super::print_list;
use crate::{
    args::{List, ProjectScope},
    config::Config,
    exit::{Failure, Outcome},
    output::table::{ago, table},
};

pub(crate) async fn list(args: List, config: Config) -> Outcome {
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.entity.as_deref()).await?;
    let path = format!("/entities/{}/projects", segment(&entity));
    let nothing = format!("`{entity}` has no project");
    print_list(&client, &path, usize::MAX, &args.scope.print, &nothing, render).await
}

fn render(projects: &[Project]) -> String {
    let now = SystemClock.now();
    let rows = projects.iter().map(|p| vec![p.name.clone(), p.runs.to_string(), ago(p.created_at, now)]).collect();
    table(&["project", "runs", "made"], rows)
}

/// Returns the path of a project: as it stands in the object's own name, else by flag, else by variable.
pub(crate) async fn path(
    config: &Config,
    client: &Client,
    scope: &ProjectScope,
    named: Option<(Option<&str>, &str)>,
) -> Result<String, Failure> {
    let project = match named {
        Some((_, project)) => project.to_owned(),
        None => scope.project.clone().or_else(|| config.project()).ok_or_else(|| {
            Failure::usage("no project is named")
                .hint("Name one with --project or WANDB_PROJECT; `lanza list` shows them.")
        })?,
    };
    let entity = match named {
        Some((Some(entity), _)) => entity.to_owned(),
        _ => config.entity(client, scope.scope.entity.as_deref()).await?,
    };
    Ok(format!("/entities/{}/projects/{}", segment(&entity), segment(&project)))
}
