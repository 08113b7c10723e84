//! `lanza agent prune`: what no job used lately goes from this machine.

use std::time::Duration;

use lanza_agent::{PruneOptions, Pruned, prune};
use lanza_model::clock::{Clock as _, SystemClock};

use crate::{
    args::AgentPrune,
    config::Config,
    exit::{self, Failure, Outcome},
    output::{
        self,
        table::{ago, table},
    },
    paths,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn run(args: AgentPrune, config: &Config) -> Outcome {
    let mut all = Pruned::default();
    let known = paths::agents(&config.environment)?;
    // Those that are named are not alone: others may use their images.
    let looked_at = if args.state.is_empty() { known.clone() } else { args.state.clone() };
    let known = [known, args.state.clone()].concat();
    for state_dir in looked_at {
        let environment = config.environment.all().clone();
        let (others, keep) = (known.clone(), DAY * args.days);
        let options = PruneOptions { state_dir, others, environment, keep, dry_run: args.dry_run };
        let one = prune(&options, &SystemClock)
            .await
            .map_err(|e| Failure::caused("cannot look for what is no longer used", &e))?;
        all.removed.extend(one.removed);
        all.in_use.extend(one.in_use);
        all.failed.extend(one.failed);
        all.kept += one.kept;
        all.no_images = all.no_images.or(one.no_images);
    }
    if args.print.json {
        output::json(&all)?;
    } else {
        if !all.removed.is_empty() {
            let now = SystemClock.now();
            let rows = all
                .removed
                .iter()
                .map(|p| vec![p.kind.to_owned(), p.digest.chars().take(12).collect(), ago(p.last_used, now)])
                .collect();
            output::data(&table(&["KIND", "DIGEST", "LAST USED"], rows))?;
        }
        let verb = if args.dry_run { "would be removed" } else { "removed" };
        output::say(&format!("{} {verb}, {} kept, {} old and in use", all.removed.len(), all.kept, all.in_use.len()));
        if let Some(why) = &all.no_images {
            output::warn(&format!("images were not looked at: {why}"));
        }
        for piece in &all.failed {
            output::warn(&format!("cannot remove {}: {}", piece.name, piece.why.as_deref().unwrap_or_default()));
        }
    }
    if all.failed.is_empty() { Ok(exit::DONE) } else { Err(Failure::failed("some could not be removed")) }
}
