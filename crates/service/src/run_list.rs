//! Lists of runs, and runs in groups.

use std::collections::{BTreeMap, HashMap};

use lanza_api::run::{MetricSummary, RunGroup, RunKey};
use lanza_model::id::RunId;
use lanza_store::{
    projects::Project,
    runs::{Column, Condition, Run},
};
use serde_json::Value;

use crate::{
    Error, Result, Service, lenient,
    run_filter::{Filter, Key, arrange, order},
    run_table::Cells,
    seen_keys::KINDS,
};

/// Keys by which runs are grouped at once, and metrics that are summed up.
const BY_MOST: usize = 4;
const METRICS_MOST: usize = 20;
/// Groups that are answered.
const GROUPS_MOST: usize = 1000;

/// Which runs of a project are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// The client's filter document.
    pub filter: Option<String>,
    /// The client's order.
    pub order: Option<String>,
    /// Conditions beside the filter.
    pub conditions: Vec<Condition>,
    /// Row id of the run after which the page begins.
    pub after: Option<String>,
    /// How many at most.
    pub limit: i64,
}

impl RunQuery {
    /// The filter with the conditions.
    fn whole_filter(&self) -> Result<Filter> {
        let mut all: Vec<Filter> = self.conditions.iter().map(Filter::of_condition).collect();
        all.push(Filter::parse(self.filter.as_deref())?);
        Ok(Filter::And(all))
    }
}

impl Service {
    /// Lists runs of a project.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad filter or cursor, or when too many runs would have to be looked at.
    pub async fn run_list(&self, project: &Project, query: &RunQuery) -> Result<Vec<Run>> {
        let (key, descending) = order(query.order.as_deref());
        let after: Option<RunId> = match query.after.as_deref().filter(|a| !a.is_empty()) {
            Some(after) => Some(after.parse().map_err(|_| Error::invalid("after", "is not a cursor of this list"))?),
            None => None,
        };
        let (mut conditions, rest) = Filter::parse(query.filter.as_deref())?.split();
        if let (None, Key::Column(column)) = (&rest, &key)
            && column.orders()
        {
            conditions.extend(query.conditions.iter().cloned());
            let order = (*column, descending);
            return Ok(self.store.run_list(&project.id, &conditions, order, after.as_ref(), query.limit).await?);
        }
        let filter = query.whole_filter()?;
        let mut keys = vec![key.clone()];
        filter.keys(&mut keys);
        let page = self
            .run_table(project, &keys, |table| {
                let mut found: Vec<Cells<'_>> = table.passing(&filter).collect();
                found.sort_by(|a, b| arrange(a.get(&key), b.get(&key), descending).then_with(|| a.id().cmp(b.id())));
                let from = match &after {
                    // A run that has left the list in the meantime ends it.
                    Some(after) => found.iter().position(|c| c.id() == after).map_or(found.len(), |at| at + 1),
                    None => 0,
                };
                let limit = query.limit.max(0) as usize;
                found.iter().skip(from).take(limit).map(|c| c.id().clone()).collect::<Vec<RunId>>()
            })
            .await?;
        let mut runs: HashMap<RunId, Run> =
            self.store.runs_by_id(&page).await?.into_iter().map(|r| (r.id.clone(), r)).collect();
        Ok(page.iter().filter_map(|id| runs.remove(id)).collect())
    }

    /// Counts the runs of a project that pass a filter.
    ///
    /// # Errors
    /// As [`Service::run_list`].
    pub async fn run_count(&self, project: &Project, filter: Option<&str>) -> Result<i64> {
        let (conditions, rest) = Filter::parse(filter)?.split();
        if rest.is_none() {
            return Ok(self.store.run_count(&project.id, &conditions).await?);
        }
        let filter = Filter::parse(filter)?;
        let mut keys = Vec::new();
        filter.keys(&mut keys);
        self.run_table(project, &keys, |table| table.passing(&filter).count() as i64).await
    }

    /// Puts the runs of a project that pass a filter into groups of equal values; the largest first.
    ///
    /// # Errors
    /// As [`Service::run_list`], and [`Error::Invalid`] for no key, or too many.
    pub async fn run_groups(
        &self,
        project: &Project,
        query: &RunQuery,
        by: &[String],
        metrics: &[String],
    ) -> Result<Vec<RunGroup>> {
        if !(1..=BY_MOST).contains(&by.len()) {
            return Err(Error::invalid("by", format!("names 1 to {BY_MOST} keys")));
        }
        if metrics.len() > METRICS_MOST {
            return Err(Error::invalid("metrics", format!("names at most {METRICS_MOST} keys")));
        }
        let filter = query.whole_filter()?;
        let by: Vec<Key> = by.iter().map(|k| known("by", k)).collect::<Result<_>>()?;
        let measured: Vec<(&String, Key)> =
            metrics.iter().map(|k| Ok((k, known("metrics", k)?))).collect::<Result<_>>()?;
        let state = Key::Column(Column::State);
        let mut keys = vec![state.clone()];
        keys.extend(by.iter().chain(measured.iter().map(|(_, k)| k)).cloned());
        filter.keys(&mut keys);
        let mut groups = self
            .run_table(project, &keys, |table| {
                let mut groups: BTreeMap<String, Group> = BTreeMap::new();
                for cells in table.passing(&filter) {
                    let values: Vec<Value> = by.iter().map(|k| cells.get(k).cloned().unwrap_or(Value::Null)).collect();
                    let name = Value::from(values.clone()).to_string();
                    let group = groups.entry(name).or_insert_with(|| Group::new(values, measured.len()));
                    group.runs += 1;
                    if let Some(state) = cells.get(&state).and_then(Value::as_str) {
                        *group.states.entry(state.to_owned()).or_insert(0) += 1;
                    }
                    for (sum, (_, key)) in group.sums.iter_mut().zip(&measured) {
                        sum.add(cells.get(key).and_then(lenient::number));
                    }
                }
                groups.into_values().collect::<Vec<_>>()
            })
            .await?;
        groups.sort_by_key(|g| std::cmp::Reverse(g.runs));
        groups.truncate(GROUPS_MOST);
        Ok(groups.into_iter().map(|g| g.shown(&measured)).collect())
    }

    /// Lists the keys that the configs and summaries of a project's runs have or had, at most 20,000.
    ///
    /// # Errors
    /// As [`Service::run_list`].
    pub async fn run_keys(&self, project: &Project) -> Result<Vec<RunKey>> {
        self.run_table_keys(project, |table| {
            let Some(keys) = table.keys() else { return Vec::new() };
            keys.sorted()
                .into_iter()
                .map(|(key, bits)| RunKey {
                    key,
                    kinds: KINDS
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| bits & (1 << i) != 0)
                        .map(|(_, k)| (*k).to_owned())
                        .collect(),
                })
                .collect()
        })
        .await
    }
}

fn known(field: &'static str, key: &str) -> Result<Key> {
    match Key::parse(key) {
        Key::Unknown => Err(Error::invalid(
            field,
            format!("`{key}` is not a key of runs; `config.…` and `summary.…` are those of the documents"),
        )),
        key => Ok(key),
    }
}

struct Group {
    values: Vec<Value>,
    runs: i64,
    states: BTreeMap<String, i64>,
    sums: Vec<Sum>,
}

impl Group {
    fn new(values: Vec<Value>, metrics: usize) -> Self {
        Self { values, runs: 0, states: BTreeMap::new(), sums: vec![Sum::default(); metrics] }
    }

    fn shown(self, measured: &[(&String, Key)]) -> RunGroup {
        RunGroup {
            values: self.values,
            runs: self.runs,
            states: self.states,
            metrics: self.sums.iter().zip(measured).map(|(sum, (name, _))| ((*name).clone(), sum.shown())).collect(),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Sum {
    count: i64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else { return };
        (self.min, self.max) =
            if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.count += 1;
        self.sum += value;
    }

    fn shown(&self) -> MetricSummary {
        let some = |value: f64| (self.count > 0).then_some(value);
        MetricSummary {
            count: self.count,
            mean: some(self.sum / self.count.max(1) as f64),
            min: some(self.min),
            max: some(self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanza_model::clock::SystemClock;
    use lanza_store::{runs::RunFields, testing};
    use serde_json::json;

    use super::*;
    use crate::{Actor, accounts::UserRequest, runs::RunRequest};

    struct Desk {
        service: Arc<Service>,
        ana: Arc<Actor>,
        _guard: testing::Guard,
    }

    impl Desk {
        async fn all() -> Vec<Self> {
            let mut desks = Vec::new();
            for (guard, store) in testing::stores().await {
                let service = Service::new(store, Arc::new(SystemClock)).await.expect("a service");
                let request = UserRequest { username: "ana".into(), ..UserRequest::default() };
                let key = service.user_create(request).await.expect("a user").1;
                let ana = service.authenticate(&key).await.expect("ana");
                desks.push(Self { service, ana, _guard: guard });
            }
            desks
        }

        async fn put(&self, name: &str, lr: &Value, summary: &str) -> Run {
            let request = RunRequest {
                entity: Some("ana".into()),
                project: Some("p".into()),
                name: Some(name.into()),
                fields: RunFields {
                    config: Some(json!({ "lr": { "value": lr }, "model": { "value": { "width": 8 } } }).to_string()),
                    summary: Some(summary.to_owned()),
                    ..RunFields::default()
                },
                ..RunRequest::default()
            };
            self.service.run_upsert(&self.ana, request).await.expect("a run").run
        }

        async fn project(&self) -> Project {
            self.service.project_find(&self.ana, Some("ana"), "p").await.expect("the project")
        }

        async fn names(&self, filter: &Value, order: &str, after: Option<&Run>) -> Vec<String> {
            let query = RunQuery {
                filter: Some(filter.to_string()),
                order: Some(order.into()),
                after: after.map(|r| r.id.to_string()),
                limit: 3,
                ..RunQuery::default()
            };
            let runs = self.service.run_list(&self.project().await, &query).await.expect("a list");
            runs.into_iter().map(|r| r.name).collect()
        }
    }

    #[tokio::test]
    async fn lists_follow_what_changes() {
        for desk in Desk::all().await {
            let a = desk.put("a", &json!(0.1), r#"{"loss":3,"deep":{"x":1}}"#).await;
            desk.put("b", &json!(0.2), r#"{"loss":NaN}"#).await;
            desk.put("c", &json!(0.1), r#"{"loss":1}"#).await;
            let d = desk.put("d", &json!("auto"), "{}").await;
            let all = json!({});
            assert_eq!(desk.names(&all, "+summary.loss", None).await, ["c", "a", "b"]);
            assert_eq!(desk.names(&all, "+summary.loss", Some(&a)).await, ["b", "d"]);
            assert_eq!(desk.names(&json!({ "config.lr": 0.1 }), "-summary_metrics.loss", None).await, ["a", "c"]);
            assert_eq!(
                desk.names(&json!({ "config.model.width": { "$gt": 7 }, "state": "running" }), "-name", None).await,
                ["d", "c", "b"]
            );
            assert_eq!(desk.names(&json!({ "summary.deep.x": { "$exists": true } }), "", None).await, ["a"]);
            // A day is a moment, too, in SQL and beside what is asked of documents.
            for (day, found) in [("2020-01-01", 3), ("2999-12-31", 0)] {
                let after = json!({ "created_at": { "$gt": day } });
                assert_eq!(desk.names(&after, "-name", None).await.len(), found);
                assert_eq!(
                    desk.names(&json!({ "$or": [after, { "config.lr": 7 }] }), "-name", None).await.len(),
                    found
                );
            }
            desk.put("c", &json!(0.1), r#"{"loss":9}"#).await;
            desk.put("e", &json!(0.1), r#"{"loss":0}"#).await;
            desk.service.run_delete(&desk.ana, &d).await.expect("deleted");
            assert_eq!(desk.names(&all, "+summary.loss", None).await, ["e", "a", "c"]);
            assert_eq!(desk.names(&json!({ "config.lr": { "$exists": true } }), "-updatedAt", None).await.len(), 3);
            let count = desk.service.run_count(&desk.project().await, Some(r#"{"config.lr":0.1}"#)).await;
            assert_eq!(count.expect("a count"), 3);
        }
    }

    #[tokio::test]
    async fn the_first_look_at_the_keys_is_a_look_at_the_runs() {
        for desk in Desk::all().await {
            for (name, summary) in [("a", r#"{"loss":3}"#), ("b", r#"{"acc":1}"#), ("c", r#"{"loss":1}"#)] {
                desk.put(name, &json!(0.1), summary).await;
            }
            let project = desk.project().await;
            let keys = desk.service.run_keys(&project).await.expect("keys");
            let names: Vec<&str> = keys.iter().map(|k| k.key.as_str()).filter(|k| k.starts_with("summary.")).collect();
            assert_eq!(names, ["summary.acc", "summary.loss"]);
            assert_eq!(desk.names(&json!({}), "+summary.loss", None).await, ["c", "a", "b"]);
        }
    }

    #[tokio::test]
    async fn groups_count_runs_and_sum_up_metrics() {
        for desk in Desk::all().await {
            desk.put("a", &json!(0.1), r#"{"loss":3}"#).await;
            desk.put("b", &json!(0.1), r#"{"loss":NaN}"#).await;
            desk.put("c", &json!(0.1), r#"{"loss":1,"note":"x","ok":true}"#).await;
            desk.put("d", &json!("auto"), "{}").await;
            let project = desk.project().await;
            let by = ["config.lr".to_owned(), "state".to_owned()];
            let metrics = ["summary.loss".to_owned()];
            let groups = desk.service.run_groups(&project, &RunQuery::default(), &by, &metrics).await.expect("groups");
            assert_eq!(groups.len(), 2);
            assert_eq!(groups[0].values, [json!(0.1), json!("running")]);
            assert_eq!((groups[0].runs, groups[0].states["running"]), (3, 3));
            let loss = &groups[0].metrics["summary.loss"];
            assert_eq!((loss.count, loss.mean, loss.min, loss.max), (2, Some(2.0), Some(1.0), Some(3.0)));
            assert_eq!(groups[1].metrics["summary.loss"].mean, None);
            assert!(desk.service.run_groups(&project, &RunQuery::default(), &["x".into()], &[]).await.is_err());

            let keys = desk.service.run_keys(&project).await.expect("keys");
            let names: Vec<String> = keys.iter().map(|k| format!("{}:{}", k.key, k.kinds.join("|"))).collect();
            let expected = [
                "config.lr:number|text",
                "config.model.width:number",
                "summary.loss:number",
                "summary.note:text",
                "summary.ok:bool",
            ];
            assert_eq!(names, expected);
            desk.put("d", &json!(1), r#"{"fresh":[1]}"#).await;
            let keys = desk.service.run_keys(&project).await.expect("keys");
            assert!(keys.iter().any(|k| k.key == "summary.fresh" && k.kinds == ["other"]), "{keys:?}");
        }
    }
}
