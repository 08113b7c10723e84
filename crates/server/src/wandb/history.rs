//! What runs have logged, on the wire.

use lanza_service::{Error, history::SampleSpec};
use lanza_store::chunks::Stream;
use serde_json::{Value, json};

use super::{
    graphql::{Ctx, Resolved, Resolvers},
    runs::parent,
};

pub(super) fn register(r: &mut Resolvers) {
    r.on("Run", "history", history);
    r.on("Run", "events", events);
    r.on("Run", "sampledHistory", sampled_history);
    r.on("Run", "parquetHistory", parquet_history);
    r.on("Run", "historyKeys", history_keys);
    r.on("Run", "logLines", log_lines);
}

const SAMPLES: usize = 500;
/// How many rows tell the client where live reading starts.
const LIVE_ROWS: usize = 1000;
/// Most console lines of one answer.
const LINES: i64 = 10_000;

fn samples(ctx: &Ctx<'_>) -> usize {
    ctx.int("samples").map_or(SAMPLES, |n| n.max(1) as usize)
}

/// Raw lines: the client reads the bare `NaN` in them.
fn history(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        let (low, high) = (ctx.int("minStep"), ctx.int("maxStep"));
        let window = (low.is_some() || high.is_some()).then(|| low.unwrap_or(i64::MIN)..high.unwrap_or(i64::MAX));
        Ok(ctx.service.run_lines(&run, Stream::History, window, samples(&ctx)).await?.into())
    })
}

fn events(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        Ok(ctx.service.run_lines(&run, Stream::Events, None, samples(&ctx)).await?.into())
    })
}

fn sampled_history(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        let mut lists = Vec::new();
        for spec in ctx.texts("specs") {
            let spec: SampleSpec =
                serde_json::from_str(&spec).map_err(|e| Error::invalid("specs", format!("`{spec}`: {e}")))?;
            lists.push(Value::from(ctx.service.run_samples(&run, &spec).await?));
        }
        Ok(lists.into())
    })
}

/// Nothing is packed into Parquet, so all rows are live ones: the client then reads on with the queries above.
fn parquet_history(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        let rows = ctx.service.run_live_rows(&run, &ctx.texts("liveKeys"), LIVE_ROWS).await?;
        Ok(json!({ "parquetUrls": [], "liveData": rows }))
    })
}

fn history_keys(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        Ok(ctx.service.run_history_keys(&run).await?.as_ref().clone())
    })
}

fn log_lines(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        let number = |name: &str| ctx.text(name).and_then(|cursor| cursor.parse::<i64>().ok());
        let end = number("before").unwrap_or(run.console_rows);
        let (from, count) = match ctx.int("last") {
            Some(last) => {
                let last = last.clamp(0, LINES);
                ((end - last).max(0), last)
            }
            None => (number("after").map_or(0, |n| n + 1), ctx.first(1000, LINES)),
        };
        let lines = ctx.service.run_console(&run, from, count as usize).await?;
        let last = lines.last().map(|l| l.number);
        let edges: Vec<Value> = lines
            .into_iter()
            .filter(|l| l.number < end)
            .map(|l| {
                json!({
                    "cursor": l.number.to_string(),
                    "node": {
                        "number": l.number,
                        "timestamp": l.timestamp,
                        "level": l.level,
                        "label": l.label,
                        "line": l.text,
                    },
                })
            })
            .collect();
        let more = last.is_some_and(|n| n + 1 < run.console_rows);
        let page = json!({ "endCursor": last.map(|n| n.to_string()), "hasNextPage": more });
        Ok(json!({ "edges": edges, "pageInfo": page }))
    })
}
