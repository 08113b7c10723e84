//! `lanza usage`.

use lanza_api::{List, client::segment, usage::Usage};

use crate::{
    args,
    config::Config,
    exit::{self, Outcome},
    output::{self, table::table},
};

pub(crate) async fn run(args: args::Usage, config: Config) -> Outcome {
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.entity.as_deref()).await?;
    // A `+` is a blank in a query, and times may have one.
    let since = segment(&args.since).replace('+', "%2B").replace('&', "%26");
    let path = format!("/usage?entity={}&by={}&since={since}", segment(&entity), args.by);
    let answer: List<Usage> = client.get(&path).await?;
    if args.scope.print.json {
        output::json(&answer)?;
        return Ok(exit::DONE);
    }
    if answer.items.is_empty() {
        output::say(&format!("nothing of `{entity}` ran in that time"));
        return Ok(exit::DONE);
    }
    let hours = |h: f64| format!("{h:.2}");
    let row = |key: &str, items: i64, wall: f64, cpu: f64, gpu: f64| {
        vec![key.to_owned(), items.to_string(), hours(wall), hours(cpu), hours(gpu)]
    };
    let mut rows: Vec<_> =
        answer.items.iter().map(|u| row(&u.key, u.items, u.wall_hours, u.cpu_hours, u.gpu_hours)).collect();
    if answer.items.len() > 1 {
        let sum = |of: fn(&Usage) -> f64| answer.items.iter().map(of).sum::<f64>();
        let items = answer.items.iter().map(|u| u.items).sum();
        rows.push(row("(all)", items, sum(|u| u.wall_hours), sum(|u| u.cpu_hours), sum(|u| u.gpu_hours)));
    }
    output::data(&table(&[args.by.as_str(), "items", "wall hours", "cpu hours", "gpu hours"], rows))?;
    Ok(exit::DONE)
}
