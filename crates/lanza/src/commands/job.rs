//! `lanza job …`.

mod create;
mod needs;
mod pack;
mod repository;
mod show;

use lanza_api::{
    Client,
    artifact::{Job, JobAnswer, JobDiffAnswer, JobVersion, JobVersionAnswer},
    client::segment,
};
use lanza_model::{
    clock::{Clock as _, SystemClock},
    spec::JobReference,
};

use super::{print_list, project};
use crate::{
    args::{JobCommand, JobDescribe, JobDiff, OneJob},
    config::Config,
    exit::{self, Failure, Outcome},
    output::{
        self,
        table::{ago, fields, or_dash, table},
    },
};

pub(crate) async fn run(command: JobCommand, config: Config) -> Outcome {
    match command {
        JobCommand::List { scope } => {
            let client = config.client()?;
            let path = format!("{}/jobs", project::path(&config, &client, &scope, None).await?);
            print_list(&client, &path, usize::MAX, &scope.scope.print, "the project has no job", list).await
        }
        JobCommand::Show(job) => {
            let (client, path, alias) = find(&job, &config).await?;
            let json = job.scope.scope.print.json;
            if let Some(alias) = alias {
                let answer: JobVersionAnswer = client.get(&format!("{path}/versions/{}", segment(&alias))).await?;
                if json { output::json(&answer)? } else { output::data(&show::describe(&answer.version))? }
            } else {
                let answer: JobAnswer = client.get(&path).await?;
                if json { output::json(&answer)? } else { output::data(&of_job(&answer.job))? }
            }
            Ok(exit::DONE)
        }
        JobCommand::Versions(job) => {
            let (client, path, _) = find(&job, &config).await?;
            let path = format!("{path}/versions");
            print_list(&client, &path, usize::MAX, &job.scope.scope.print, "the job has no version", versions).await
        }
        JobCommand::Create(args) => create::run(*args, config).await,
        JobCommand::Describe(args) => describe(args, config).await,
        JobCommand::Diff(args) => diff(args, config).await,
    }
}

async fn describe(args: JobDescribe, config: Config) -> Outcome {
    let (client, path, alias) = find(&args.job, &config).await?;
    let word = args.version.or(alias).unwrap_or_else(|| "latest".to_owned());
    let answer: JobVersionAnswer = client.get(&format!("{path}/versions/{}", segment(&word))).await?;
    if args.job.scope.scope.print.json {
        output::json(&answer)?;
    } else {
        output::data(&show::describe(&answer.version))?;
    }
    Ok(exit::DONE)
}

async fn diff(args: JobDiff, config: Config) -> Outcome {
    let (client, path, alias) = find(&args.job, &config).await?;
    let (from, to) = match (alias, args.second) {
        (None, Some(second)) => (args.first, second),
        (Some(alias), None) => (alias, args.first),
        (None, None) => (args.first, "latest".to_owned()),
        (Some(_), Some(_)) => return Err(Failure::usage("two versions are compared, and three are named")),
    };
    let answer: JobDiffAnswer = client.get(&format!("{path}/diff?from={}&to={}", segment(&from), segment(&to))).await?;
    if args.job.scope.scope.print.json {
        output::json(&answer)?;
    } else {
        let text = show::diff(&answer.diff);
        if text.is_empty() {
            output::say(&format!("{} and {} are the same", answer.diff.from, answer.diff.to));
        }
        output::data(&text)?;
    }
    Ok(exit::DONE)
}

/// Returns the path of a job and the alias that was named with it.
async fn find(job: &OneJob, config: &Config) -> Result<(Client, String, Option<String>), Failure> {
    let reference = JobReference::parse(&job.job)
        .map_err(|_| Failure::usage(format!("`{}` is not [[ENTITY/]PROJECT/]NAME[:ALIAS]", job.job)))?;
    let client = config.client()?;
    let named = reference.project.as_deref().map(|project| (reference.entity.as_deref(), project));
    let path = project::path(config, &client, &job.scope, named).await?;
    let alias = job.job.rsplit('/').next().is_some_and(|n| n.contains(':')).then_some(reference.alias);
    Ok((client, format!("{path}/jobs/{}", segment(&reference.name)), alias))
}

fn list(jobs: &[Job]) -> String {
    let now = SystemClock.now();
    let rows = jobs
        .iter()
        .map(|j| {
            let latest = j.latest.as_ref();
            vec![
                j.name.clone(),
                or_dash(latest.map(|v| v.version.as_str())),
                or_dash(latest.map(|v| v.source_type.as_str())),
                or_dash(latest.map(|v| v.entrypoint.join(" "))),
                or_dash(latest.and_then(|v| v.python.as_deref())),
                ago(latest.map_or(j.created_at, |v| v.created_at), now),
            ]
        })
        .collect();
    table(&["job", "latest", "source", "command", "python", "made"], rows)
}

fn of_job(job: &Job) -> String {
    let mut text = fields(&[
        ("job", format!("{}/{}/{}", job.entity, job.project, job.name)),
        ("description", job.description.clone()),
        ("versions", job.versions.to_string()),
        ("made", job.created_at.to_string()),
    ]);
    if let Some(latest) = &job.latest {
        text.push('\n');
        text.push_str(&show::describe(latest));
    }
    text
}

fn versions(versions: &[JobVersion]) -> String {
    let now = SystemClock.now();
    let rows = versions
        .iter()
        .map(|v| {
            vec![
                v.version.clone(),
                v.aliases.join(","),
                v.source_type.clone(),
                v.entrypoint.join(" "),
                or_dash(v.author.as_deref()),
                ago(v.created_at, now),
            ]
        })
        .collect();
    table(&["version", "aliases", "source", "command", "author", "made"], rows)
}
