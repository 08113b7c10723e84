//! How a queue did in a window of time: states, waiting times, failures, attempts, and what its jobs used.

use std::collections::BTreeMap;

use lanza_api::{
    agent::Reserved,
    usage::{AttemptSpan, Bin, CauseCount, JobLoad, Load, OverTime, QueueStats, Spread},
};
use lanza_model::{clock::Time, item::StateName};
use lanza_store::{
    chunks::Stream,
    items::{AttemptsAfter, Failed, Fate, JobRun, Measure, Peak, Took, UsedBy, UsedIn, items_of},
};

use crate::{Actor, Error, Result, Service, lenient, usage::summed};

/// The longest window.
const WINDOW_MOST_MS: i64 = 90 * 24 * 3_600_000 + 3_600_000;
/// Slices of a window unless somebody asks for another number.
const SLICES: u32 = 90;
/// Slices at most.
const SLICES_MOST: u32 = 500;
/// Failures that are grouped, newest first.
const FAILURES: i64 = 10_000;
/// Causes that are listed.
const CAUSES: usize = 50;
/// Items that are grouped by job, newest first.
const JOB_ITEMS: i64 = 20_000;
/// Jobs that are listed.
const JOBS: usize = 50;
/// Runs whose system metrics are read for each job, and for all of them.
const RUNS_OF_JOB: usize = 3;
const RUNS_READ: usize = 60;
/// Samples of a run's system metrics that are read.
const SAMPLES: usize = 30;
/// Upper bounds of the distribution of waiting times, in milliseconds.
const BOUNDS: [i64; 13] = [
    100, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000,
    86_400_000,
];

/// A window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub since: Time,
    /// Its end, exclusive.
    pub until: Time,
}

/// A page of attempts.
#[derive(Debug)]
pub struct AttemptPage {
    /// The attempts.
    pub attempts: Vec<AttemptSpan>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

impl Service {
    /// Reads a window: `since` a week ago unless it is given, `until` now; each RFC 3339 or an age such as `7d`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one is not a time, the end is not after the begin, or the window is longer than 90 days.
    pub fn window(&self, since: Option<&str>, until: Option<&str>) -> Result<Window> {
        let window = Window { since: self.since(since)?, until: self.instant("until", until, 0)? };
        if window.until <= window.since {
            return Err(Error::invalid("until", "is not after `since`"));
        }
        if window.until.since_ms(window.since) > WINDOW_MOST_MS {
            return Err(Error::invalid("since", "is more than 90 days before the end of the window"));
        }
        Ok(window)
    }

    /// Says how a queue did in a window.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for a number of slices that is not 1 to 500.
    pub async fn queue_stats(
        &self,
        actor: &Actor,
        (entity, queue): (&str, &str),
        window: Window,
        slices: Option<u32>,
    ) -> Result<QueueStats> {
        let slices = slices.unwrap_or(SLICES);
        if !(1..=SLICES_MOST).contains(&slices) {
            return Err(Error::invalid("slices", format!("is 1 to {SLICES_MOST}")));
        }
        let (_, queue) = self.queue_find(actor, entity, queue).await?;
        let Window { since, until } = window;
        let width = (until.since_ms(since) + i64::from(slices) - 1) / i64::from(slices);
        let store = &self.store;
        let (fates, peaks, waiting, duration, failed, used, counts) = tokio::try_join!(
            store.queue_fates(&queue.id, since, until, width),
            store.queue_peaks(&queue.id, since, until, width),
            store.queue_took(&queue.id, Measure::Waiting, since, until),
            store.queue_took(&queue.id, Measure::Duration, since, until),
            store.queue_failed(&queue.id, since, until, FAILURES),
            store.attempts_used(UsedIn::Queue(&queue.id), UsedBy::User, since, until),
            store.queue_counts(&queue.id),
        )?;
        let over_time = over_time(&fates, &peaks, width, slices as usize);
        let mut ended = BTreeMap::new();
        for fate in fates.iter().filter(|f| f.ended.is_some()) {
            *ended.entry(fate.state.as_str().to_owned()).or_insert(0) += fate.items;
        }
        Ok(QueueStats {
            since,
            until,
            counts,
            pushed: over_time.pushed.iter().sum(),
            ended,
            waiting: spread(&waiting),
            waiting_histogram: histogram(&waiting),
            duration: spread(&duration),
            over_time,
            errors_cut: failed.len() as i64 == FAILURES,
            errors: causes(failed),
            users: summed(used),
        })
    }

    /// Lists attempts of a queue's items in a window, those that last first, then the last to end. `limit` counts items.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for a bad cursor.
    pub async fn queue_attempts(
        &self,
        actor: &Actor,
        (entity, queue): (&str, &str),
        window: Window,
        after: Option<&str>,
        limit: i64,
    ) -> Result<AttemptPage> {
        let (_, queue) = self.queue_find(actor, entity, queue).await?;
        let after = match after.filter(|a| !a.is_empty()) {
            None => None,
            Some(text) => Some(cursor(text).ok_or_else(|| Error::invalid("after", "is not a cursor of this list"))?),
        };
        let found = self.store.queue_attempts(&queue.id, window.since, window.until, after.as_ref(), limit).await?;
        let next = found
            .last()
            .filter(|_| items_of(&found) >= limit)
            .map(|last| format!("{}:{}", last.item_ended_at.map_or_else(String::new, |t| t.0.to_string()), last.item));
        let attempts = found.into_iter().map(attempt).collect();
        Ok(AttemptPage { attempts, next })
    }

    /// Says how each job's items did on a queue in a window, the most frequent first, with what their newest runs used of
    /// the machine as far as they logged it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn queue_jobs(
        &self,
        actor: &Actor,
        (entity, queue): (&str, &str),
        window: Window,
    ) -> Result<Vec<JobLoad>> {
        let (_, queue) = self.queue_find(actor, entity, queue).await?;
        let items = self.store.queue_job_runs(&queue.id, window.since, window.until, JOB_ITEMS).await?;
        let mut jobs: BTreeMap<Option<String>, Vec<JobRun>> = BTreeMap::new();
        for item in items {
            let job = item.job.as_deref().map(|j| j.split(':').next().unwrap_or(j).to_owned());
            jobs.entry(job).or_default().push(item);
        }
        let mut jobs: Vec<_> = jobs.into_iter().collect();
        jobs.sort_by_key(|(_, items)| std::cmp::Reverse(items.len()));
        jobs.truncate(JOBS);
        let mut left = RUNS_READ;
        let mut loads = Vec::with_capacity(jobs.len());
        for (job, items) in jobs {
            let mut gauges = Gauges::default();
            for item in items.iter().filter(|i| i.run.is_some()).take(RUNS_OF_JOB) {
                if left > 0 {
                    left -= 1;
                    self.gauge_run(actor, item, &mut gauges).await?;
                }
            }
            loads.push(job_load(job, &items, &gauges));
        }
        Ok(loads)
    }

    async fn gauge_run(&self, actor: &Actor, item: &JobRun, gauges: &mut Gauges) -> Result<()> {
        let name = item.run.as_deref().unwrap_or_default();
        let run = match self.run_find(actor, Some(&item.run_entity), &item.project, name).await {
            Ok(run) => run,
            // Deleted, or in an entity that the caller does not see.
            Err(Error::NotFound { .. } | Error::Forbidden { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        if run.event_rows > 0 {
            let lines = self.run_lines(&run, Stream::Events, None, SAMPLES).await?;
            for line in &lines {
                gauges.see(line);
            }
            gauges.runs += i64::from(!lines.is_empty());
        }
        Ok(())
    }
}

fn over_time(fates: &[Fate], peaks: &[Peak], width_ms: i64, slices: usize) -> OverTime {
    let zeros = || vec![0; slices];
    let mut of = OverTime {
        width_ms,
        waiting: zeros(),
        running: zeros(),
        most_waiting: zeros(),
        most_running: zeros(),
        pushed: zeros(),
        finished: zeros(),
        failed: zeros(),
        stopped: zeros(),
    };
    for fate in fates {
        let n = fate.items;
        let place = |slice: i64| usize::try_from(slice).ok();
        // At the end of a slice: counted from the one in which it begins to the one before it is over.
        let mut during = |list: fn(&mut OverTime) -> &mut Vec<i64>, from: i64, to: Option<i64>| {
            let to = to.map_or(slices, |t| place(t).unwrap_or(0)).min(slices);
            for slot in list(&mut of).iter_mut().take(to).skip(place(from).unwrap_or(0)) {
                *slot += n;
            }
        };
        during(|o| &mut o.waiting, fate.pushed, fate.leased.or(fate.ended));
        if let Some(leased) = fate.leased {
            during(|o| &mut o.running, leased, fate.ended);
        }
        let once = |list: &mut Vec<i64>, slice: Option<i64>| {
            if let Some(slot) = slice.and_then(place).and_then(|at| list.get_mut(at)) {
                *slot += n;
            }
        };
        once(&mut of.pushed, Some(fate.pushed));
        match fate.state {
            StateName::Finished => once(&mut of.finished, fate.ended),
            StateName::Failed => once(&mut of.failed, fate.ended),
            StateName::Stopped => once(&mut of.stopped, fate.ended),
            _ => {}
        }
    }
    // Where nothing changed in a slice, it ends with what there was all the time.
    of.most_waiting.clone_from(&of.waiting);
    of.most_running.clone_from(&of.running);
    for peak in peaks {
        let Some(at) = usize::try_from(peak.slice).ok().filter(|at| *at < slices) else { continue };
        // A slice begins with what the one before ended with.
        let (waited, ran) = if at == 0 { (0, 0) } else { (of.waiting[at - 1], of.running[at - 1]) };
        of.most_waiting[at] = peak.waiting.max(waited);
        of.most_running[at] = peak.running.max(ran);
    }
    of
}

fn spread(values: &[Took]) -> Spread {
    let count: i64 = values.iter().map(|v| v.items).sum();
    let at = |share: i64| {
        let place = (count - 1) * share / 100;
        let mut before = 0;
        values.iter().find_map(|v| {
            before += v.items;
            (before > place).then_some(v.ms)
        })
    };
    Spread { count, p50_ms: at(50), p95_ms: at(95), max_ms: at(100) }
}

fn histogram(values: &[Took]) -> Vec<Bin> {
    let bounds = BOUNDS.iter().map(|b| Some(*b)).chain([None]);
    let mut rest = values;
    bounds
        .map(|up_to_ms| {
            let end = up_to_ms.map_or(rest.len(), |b| rest.partition_point(|v| v.ms <= b));
            let (here, later) = rest.split_at(end);
            rest = later;
            Bin { up_to_ms, count: here.iter().map(|v| v.items).sum() }
        })
        .collect()
}

/// Groups failures, which come newest first.
fn causes(failed: Vec<Failed>) -> Vec<CauseCount> {
    let mut groups: Vec<CauseCount> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for item in failed {
        let cause = match (&item.reason, item.exit_code, item.signal) {
            (Some(reason), ..) => reason.code.clone(),
            (None, Some(code), _) => format!("exit:{code}"),
            (None, None, Some(signal)) => format!("signal:{signal}"),
            (None, None, None) => "unknown".to_owned(),
        };
        let place = *places.entry(cause.clone()).or_insert_with(|| {
            let (help, message) = item.reason.map(|r| (r.help, r.message)).unwrap_or_default();
            groups.push(CauseCount { cause, help, message, count: 0, last_at: item.ended_at, items: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.count += 1;
        if group.items.len() < 5 {
            group.items.push(item.item.to_string());
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    groups.truncate(CAUSES);
    groups
}

fn attempt(span: lanza_store::items::AttemptSpan) -> AttemptSpan {
    let reserved: Option<Reserved> = span.reserved.filter(|_| span.newest).and_then(|v| serde_json::from_value(v).ok());
    let (cause, help, message) =
        span.reason.map_or((None, None, None), |r| (Some(r.code), Some(r.help), Some(r.message)));
    AttemptSpan {
        item: span.item.to_string(),
        number: span.number,
        author: span.author,
        job: span.job,
        project: span.project,
        run: span.run,
        agent: span.agent_id,
        agent_name: span.agent,
        gpus: reserved.map(|r| r.gpus).unwrap_or_default(),
        state: span.state,
        unreachable: span.unreachable,
        begin: span.leased_at,
        end: span.ended_at,
        cause,
        help,
        message,
    }
}

/// Reads `<ms of the end>:<item>`; the number is missing for what has not ended.
fn cursor(text: &str) -> Option<AttemptsAfter> {
    let (ended, item) = text.split_once(':')?;
    let ended_at = if ended.is_empty() { None } else { Some(Time(ended.parse().ok()?)) };
    Some(AttemptsAfter { ended_at, item: item.parse().ok()? })
}

fn job_load(job: Option<String>, items: &[JobRun], gauges: &Gauges) -> JobLoad {
    let ended = |state| items.iter().filter(|i| i.state == state).count() as i64;
    let mut durations: Vec<i64> = items.iter().filter_map(|i| i.ms).collect();
    durations.sort_unstable();
    let durations: Vec<Took> = durations.into_iter().map(|ms| Took { ms, items: 1 }).collect();
    JobLoad {
        job,
        items: items.len() as i64,
        finished: ended(StateName::Finished),
        failed: ended(StateName::Failed),
        duration: spread(&durations),
        runs_measured: gauges.runs,
        cpu_percent: gauges.cpu.load(),
        gpu_percent: gauges.gpu.load(),
        gpu_memory_percent: gauges.gpu_memory.load(),
        memory_percent: gauges.memory.load(),
        memory_bytes: gauges.process_memory.load(),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Gauge {
    count: f64,
    sum: f64,
    max: f64,
}

impl Gauge {
    fn add(&mut self, value: f64) {
        self.max = if self.count == 0.0 { value } else { self.max.max(value) };
        self.count += 1.0;
        self.sum += value;
    }

    fn load(&self) -> Option<Load> {
        (self.count > 0.0).then(|| Load { mean: self.sum / self.count, max: self.max })
    }
}

/// What lines of system metrics say about the machine.
#[derive(Debug, Default)]
struct Gauges {
    runs: i64,
    cpu: Gauge,
    gpu: Gauge,
    gpu_memory: Gauge,
    memory: Gauge,
    process_memory: Gauge,
}

impl Gauges {
    fn see(&mut self, line: &str) {
        for (key, value) in lenient::object(line) {
            let Some(value) = lenient::number(&value).filter(|v| v.is_finite()) else { continue };
            // What one of several processes logged carries its label.
            let key = key.split("/l:").next().unwrap_or(&key);
            let Some(key) = key.strip_prefix("system.") else { continue };
            match key {
                "cpu" => self.cpu.add(value),
                "memory_percent" | "memory" => self.memory.add(value),
                "proc.memory.rssMB" => self.process_memory.add(value * 1_048_576.0),
                // `gpu.0.gpu`: the number of the device, and what is measured.
                _ => match key.strip_prefix("gpu.").and_then(|k| k.split_once('.')) {
                    Some((_, "gpu")) => self.gpu.add(value),
                    Some((_, "memoryAllocated")) => self.gpu_memory.add(value),
                    _ => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lanza_model::{Reason, code, id::ItemId};

    use super::*;

    fn took(ms: i64, items: i64) -> Took {
        Took { ms, items }
    }

    #[test]
    fn spreads_and_distributions_of_counted_values() {
        assert_eq!(spread(&[]), Spread::default());
        let ten: Vec<Took> = (1..=10).map(|ms| took(ms, 1)).collect();
        let spread = spread(&ten);
        assert_eq!((spread.count, spread.p50_ms, spread.p95_ms, spread.max_ms), (10, Some(5), Some(9), Some(10)));
        let bins = histogram(&[took(50, 2), took(1_000, 3), took(90_000_000, 1)]);
        assert_eq!(bins.len(), BOUNDS.len() + 1);
        assert_eq!((bins[0].count, bins[1].count), (2, 3));
        assert_eq!(bins.last(), Some(&Bin { up_to_ms: None, count: 1 }));
        assert_eq!(bins.iter().map(|b| b.count).sum::<i64>(), 6);
    }

    #[test]
    fn items_are_counted_from_slice_to_slice() {
        let fate = |pushed, leased, ended, state| Fate { pushed, leased, ended, state, items: 2 };
        let of = over_time(
            &[
                fate(-1, Some(1), Some(3), StateName::Finished),
                fate(0, None, None, StateName::Queued),
                fate(2, Some(2), Some(2), StateName::Failed),
                fate(1, None, Some(2), StateName::Stopped),
            ],
            &[Peak { slice: 0, waiting: 5, running: 0 }, Peak { slice: 2, waiting: 3, running: 4 }],
            10,
            4,
        );
        assert_eq!(of.most_waiting, [5, 4, 4, 2], "a slice begins with what the one before ended with");
        assert_eq!(of.most_running, [0, 2, 4, 0]);
        assert_eq!(of.waiting, [4, 4, 2, 2]);
        assert_eq!(of.running, [0, 2, 2, 0]);
        assert_eq!(of.pushed, [2, 2, 2, 0]);
        assert_eq!((of.finished, of.failed, of.stopped), (vec![0, 0, 0, 2], vec![0, 0, 2, 0], vec![0, 0, 2, 0]));
    }

    #[test]
    fn failures_are_grouped_by_cause() {
        let failed =
            |at, exit_code, reason| Failed { item: ItemId::new(), ended_at: Time(at), exit_code, signal: None, reason };
        let lost = Reason::new(code::AGENT_LOST, "the newest");
        let causes = causes(vec![
            failed(9, Some(1), None),
            failed(8, None, Some(lost.clone())),
            failed(7, None, Some(Reason::new(code::AGENT_LOST, "an older one"))),
        ]);
        assert_eq!(causes[0].cause, "agent_lost");
        assert_eq!((causes[0].count, causes[0].message.as_str(), causes[0].last_at), (2, "the newest", Time(8)));
        assert_eq!((causes[1].cause.as_str(), causes[1].count), ("exit:1", 1));
    }

    #[test]
    fn cursors_name_an_item_that_has_or_has_not_ended() {
        let item = ItemId::new();
        assert_eq!(cursor(&format!(":{item}")), Some(AttemptsAfter { ended_at: None, item: item.clone() }));
        assert_eq!(cursor(&format!("12:{item}")), Some(AttemptsAfter { ended_at: Some(Time(12)), item }));
        assert_eq!((cursor("12"), cursor("x:y")), (None, None));
    }

    #[test]
    fn system_metrics_of_all_processes_and_devices_count() {
        let mut gauges = Gauges::default();
        gauges
            .see(r#"{"system.cpu":40,"system.gpu.0.gpu":90,"system.gpu.1.gpu":70,"system.gpu.0.memoryAllocated":50}"#);
        gauges.see(r#"{"system.cpu/l:w0":60,"system.proc.memory.rssMB":2,"system.memory_percent":NaN,"_runtime":3}"#);
        assert_eq!(gauges.cpu.load(), Some(Load { mean: 50.0, max: 60.0 }));
        assert_eq!(gauges.gpu.load(), Some(Load { mean: 80.0, max: 90.0 }));
        assert_eq!(gauges.process_memory.load().map(|l| l.mean), Some(2_097_152.0));
        assert_eq!(gauges.memory.load(), None);
    }
}
