//! Filters and orders of run lists: the client's Mongo-like JSON, and its `+`/`-` keys.
//!
//! What speaks of columns alone becomes SQL; the rest is decided here, row by row. Unknown keys match nothing and order
//! nothing, as the client expects.

use std::{borrow::Cow, cmp::Ordering, collections::HashSet};

use lanza_model::clock::Time;
use lanza_store::runs::{Cell, Column, Comparison, Condition, LeanRun, Parts};
use regex::Regex;
use serde_json::{Map, Value};

use crate::{Error, Result, lenient, picker::Picker};

/// A parsed filter.
#[derive(Debug, Clone)]
pub enum Filter {
    /// All hold.
    And(Vec<Filter>),
    /// One holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A key compares.
    Test(Key, Test),
}

/// What a filter or an order looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A column.
    Column(Column),
    /// Notes or description.
    Description,
    /// Any tag.
    Tags,
    /// Seconds from begin to end.
    Duration,
    /// A key of the config, dotted.
    Config(String),
    /// A key of the summary, dotted.
    Summary(String),
    /// A key that nobody knows.
    Unknown,
}

/// How a key compares.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equals one of these.
    In(Vec<Value>),
    /// Greater, smaller, or equal.
    Order(&'static [Ordering], Value),
    /// Is there, or is not.
    Exists(bool),
    /// Matches.
    Matches(Regex),
}

/// What the keys of one run are.
pub trait Values {
    /// Returns what a key is for this run.
    fn value(&self, key: &Key) -> Option<Cow<'_, Value>>;
}

/// A run with what some keys need of its documents.
#[derive(Debug)]
pub struct Documents<'a> {
    run: &'a LeanRun,
    columns: &'a [Column],
    config: Map<String, Value>,
    summary: Map<String, Value>,
}

const LESS: &[Ordering] = &[Ordering::Less];
const AT_MOST: &[Ordering] = &[Ordering::Less, Ordering::Equal];
const GREATER: &[Ordering] = &[Ordering::Greater];
const AT_LEAST: &[Ordering] = &[Ordering::Greater, Ordering::Equal];

impl Filter {
    /// Parses a filter; null, empty text and `{}` are all runs.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not a filter.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let text = text.unwrap_or_default().trim();
        if text.is_empty() || text == "null" {
            return Ok(Self::And(Vec::new()));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|e| Error::invalid("filters", format!("is not JSON: {e}")))?;
        Self::of(&value)
    }

    fn of(value: &Value) -> Result<Self> {
        let object = value.as_object().ok_or_else(|| Error::invalid("filters", "is not an object"))?;
        let mut all = Vec::with_capacity(object.len());
        for (key, value) in object {
            all.push(match key.as_str() {
                "$and" => Self::And(Self::list(value)?),
                "$or" => Self::Or(Self::list(value)?),
                "$nor" => Self::Not(Box::new(Self::Or(Self::list(value)?))),
                "$not" => Self::Not(Box::new(Self::of(value)?)),
                other if other.starts_with('$') => {
                    return Err(Error::invalid("filters", format!("`{other}` is not an operator")));
                }
                key => Self::tests(&Key::parse(key), value)?,
            });
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::And(all) })
    }

    fn list(value: &Value) -> Result<Vec<Self>> {
        let list = value.as_array().ok_or_else(|| Error::invalid("filters", "expects a list after $and, $or, $nor"))?;
        list.iter().map(Self::of).collect()
    }

    fn tests(key: &Key, value: &Value) -> Result<Self> {
        let Some(operators) = value.as_object().filter(|o| o.keys().any(|k| k.starts_with('$'))) else {
            return Ok(Self::Test(key.clone(), Test::In(vec![value.clone()])));
        };
        let mut all = Vec::with_capacity(operators.len());
        for (operator, operand) in operators {
            let test = |test| Self::Test(key.clone(), test);
            let list = || {
                operand
                    .as_array()
                    .cloned()
                    .ok_or_else(|| Error::invalid("filters", "expects a list after $in and $nin"))
            };
            all.push(match operator.as_str() {
                "$eq" => test(Test::In(vec![operand.clone()])),
                "$ne" => Self::Not(Box::new(test(Test::In(vec![operand.clone()])))),
                "$in" => test(Test::In(list()?)),
                "$nin" => Self::Not(Box::new(test(Test::In(list()?)))),
                "$lt" => test(Test::Order(LESS, operand.clone())),
                "$lte" => test(Test::Order(AT_MOST, operand.clone())),
                "$gt" => test(Test::Order(GREATER, operand.clone())),
                "$gte" => test(Test::Order(AT_LEAST, operand.clone())),
                "$exists" => test(Test::Exists(operand.as_bool().unwrap_or(true))),
                "$regex" => {
                    let text = operand.as_str().unwrap_or_default();
                    let regex = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
                    test(Test::Matches(regex.map_err(|e| Error::invalid("filters", format!("`{text}`: {e}")))?))
                }
                "$not" => Self::Not(Box::new(Self::tests(key, operand)?)),
                other => return Err(Error::invalid("filters", format!("`{other}` is not an operator"))),
            });
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::And(all) })
    }

    /// Splits off what the database can decide; what is left is for [`Filter::holds`], none when nothing is.
    pub fn split(self) -> (Vec<Condition>, Option<Self>) {
        let mut conditions = Vec::new();
        let mut rest = Vec::new();
        let all = match self {
            Self::And(all) => all,
            other => vec![other],
        };
        for filter in all {
            match filter {
                Self::And(inner) => {
                    let (more, left) = Self::And(inner).split();
                    conditions.extend(more);
                    rest.extend(left);
                }
                Self::Test(key, test) => match condition(&key, &test) {
                    Some(condition) => conditions.push(condition),
                    None => rest.push(Self::Test(key, test)),
                },
                other => rest.push(other),
            }
        }
        let rest = if rest.is_empty() { None } else { Some(Self::And(rest)) };
        (conditions, rest)
    }

    /// Says the same as a condition of the database.
    pub fn of_condition(condition: &Condition) -> Self {
        let order = |wanted, ms: i64| Test::Order(wanted, Value::from(ms));
        let test = match &condition.comparison {
            Comparison::In(words) => Test::In(words.iter().map(|w| Value::from(w.as_str())).collect()),
            Comparison::AtLeast(ms) => order(AT_LEAST, *ms),
            Comparison::After(ms) => order(GREATER, *ms),
            Comparison::AtMost(ms) => order(AT_MOST, *ms),
            Comparison::Before(ms) => order(LESS, *ms),
        };
        Self::Test(Key::Column(condition.column), test)
    }

    /// Adds the keys that it looks at.
    pub fn keys(&self, keys: &mut Vec<Key>) {
        match self {
            Self::And(all) | Self::Or(all) => {
                for filter in all {
                    filter.keys(keys);
                }
            }
            Self::Not(inner) => inner.keys(keys),
            Self::Test(key, _) => {
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
            }
        }
    }

    /// Whether a run passes.
    pub fn holds(&self, run: &impl Values) -> bool {
        match self {
            Self::And(all) => all.iter().all(|f| f.holds(run)),
            Self::Or(any) => any.iter().any(|f| f.holds(run)),
            Self::Not(inner) => !inner.holds(run),
            Self::Test(key, test) => {
                let found = run.value(key);
                match (found.as_deref(), test) {
                    (found, Test::Exists(wanted)) => found.is_some_and(|v| !v.is_null()) == *wanted,
                    (None, Test::In(words)) => *key != Key::Unknown && words.iter().any(Value::is_null),
                    (None, _) => false,
                    // A list passes when an element does, or when it is the list that is asked for.
                    (Some(list @ Value::Array(items)), test) => {
                        items.iter().any(|v| passes(v, test)) || passes(list, test)
                    }
                    (Some(value), test) => passes(value, test),
                }
            }
        }
    }
}

fn passes(value: &Value, test: &Test) -> bool {
    match test {
        Test::In(words) => words.iter().any(|w| compare(value, w) == Some(Ordering::Equal)),
        Test::Order(wanted, operand) => compare(value, operand).is_some_and(|o| wanted.contains(&o)),
        Test::Matches(regex) => value.as_str().is_some_and(|s| regex.is_match(s)),
        Test::Exists(wanted) => *wanted,
    }
}

/// A moment as a filter names it: a time, or a day, which begins at midnight UTC.
fn moment(text: &str) -> Option<i64> {
    Time::parse(text).or_else(|| Time::parse(&format!("{text}T00:00:00"))).map(|t| t.0)
}

/// Compares values of one kind; a time may be compared with its text.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x.as_f64()?.partial_cmp(&y.as_f64()?),
        (Value::String(x), Value::String(y)) => Some(x.cmp(y)),
        (Value::Number(x), Value::String(y)) => x.as_f64()?.partial_cmp(&(moment(y)? as f64)),
        (Value::Bool(x), Value::Bool(y)) => Some(x.cmp(y)),
        _ => (a == b).then_some(Ordering::Equal),
    }
}

fn condition(key: &Key, test: &Test) -> Option<Condition> {
    let Key::Column(column) = key else { return None };
    let time = matches!(column, Column::CreatedAt | Column::UpdatedAt | Column::HeartbeatAt);
    let comparison = match test {
        Test::In(words) if !time => {
            Comparison::In(words.iter().map(|w| w.as_str().map(str::to_owned)).collect::<Option<_>>()?)
        }
        Test::Order(wanted, operand) if time => {
            let ms = match operand {
                Value::String(text) => moment(text)?,
                _ => return None,
            };
            match wanted {
                [Ordering::Less] => Comparison::Before(ms),
                [Ordering::Less, _] => Comparison::AtMost(ms),
                [Ordering::Greater] => Comparison::After(ms),
                _ => Comparison::AtLeast(ms),
            }
        }
        _ => return None,
    };
    Some(Condition { column: *column, comparison })
}

impl Key {
    /// Reads a key in any of the client's spellings.
    pub fn parse(key: &str) -> Self {
        let column = match key {
            "state" => Column::State,
            "name" => Column::Name,
            "displayName" | "display_name" => Column::DisplayName,
            "group" => Column::Group,
            "jobType" | "job_type" => Column::JobType,
            "sweep" => Column::Sweep,
            "username" | "user" | "user.username" => Column::Author,
            "host" => Column::Host,
            "commit" => Column::Commit,
            "createdAt" | "created_at" => Column::CreatedAt,
            "updatedAt" | "updated_at" => Column::UpdatedAt,
            "heartbeatAt" | "heartbeat_at" => Column::HeartbeatAt,
            "description" | "notes" => return Self::Description,
            "tags" => return Self::Tags,
            "duration" => return Self::Duration,
            _ => {
                if let Some(path) = key.strip_prefix("config.") {
                    return Self::Config(path.to_owned());
                }
                // The summary holds the last value of each key that was logged.
                let path = ["summary_metrics.", "summaryMetrics.", "summary."].iter().find_map(|p| key.strip_prefix(p));
                return match path.or_else(|| key.strip_prefix("keys_info.keys.")) {
                    Some(path) => Self::Summary(path.to_owned()),
                    None => Self::Unknown,
                };
            }
        };
        Self::Column(column)
    }
}

impl<'a> Documents<'a> {
    /// Wraps a run of which the parts of some keys were read.
    pub fn of(run: &'a LeanRun, wanted: &'a Wanted) -> Self {
        Self {
            run,
            columns: &wanted.parts.columns,
            config: wanted.config.pick(&run.config),
            summary: wanted.summary.pick(&run.summary),
        }
    }

    fn cell(&self, column: Column) -> Option<Value> {
        let place = self.columns.iter().position(|known| *known == column)?;
        match self.run.columns.get(place)? {
            Cell::Text(text) => text.clone().map(Value::from),
            Cell::Time(ms) => ms.map(Value::from),
        }
    }

    /// Returns what a key is for this run.
    pub fn get(&self, key: &Key) -> Option<Value> {
        match key {
            Key::Column(column) => self.cell(*column),
            Key::Description => self.cell(Column::Notes),
            Key::Tags => serde_json::from_str(self.cell(Column::Tags)?.as_str()?).ok(),
            Key::Duration => {
                let time = |column| self.cell(column)?.as_i64();
                let end = time(Column::EndedAt).or_else(|| time(Column::HeartbeatAt))?;
                Some((Time(end).since_ms(Time(time(Column::CreatedAt)?)) as f64 / 1000.0).into())
            }
            Key::Config(path) => config_value(&self.config, path).cloned(),
            Key::Summary(path) => lenient::lookup(&self.summary, path).cloned(),
            Key::Unknown => None,
        }
    }
}

impl Values for Documents<'_> {
    fn value(&self, key: &Key) -> Option<Cow<'_, Value>> {
        self.get(key).map(Cow::Owned)
    }
}

/// What has to be read of runs for some keys: parts of their rows, and outermost names of their documents.
#[derive(Debug, Default)]
pub struct Wanted {
    parts: Parts,
    config: Picker,
    summary: Picker,
}

impl Wanted {
    /// Collects what keys need.
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k Key>) -> Self {
        let (mut config, mut summary) = (HashSet::new(), HashSet::new());
        let mut columns: Vec<Column> = Vec::new();
        for key in keys {
            let (names, path) = match key {
                Key::Config(path) => (&mut config, path),
                Key::Summary(path) => (&mut summary, path),
                other => {
                    let needed: &[Column] = match other {
                        Key::Column(column) => std::slice::from_ref(column),
                        Key::Description => &[Column::Notes],
                        Key::Tags => &[Column::Tags],
                        Key::Duration => &[Column::CreatedAt, Column::HeartbeatAt, Column::EndedAt],
                        _ => &[],
                    };
                    columns.extend(needed.iter().filter(|c| !columns.contains(c)).copied().collect::<Vec<_>>());
                    continue;
                }
            };
            names.extend(path.match_indices('.').map(|(at, _)| path[..at].to_owned()));
            names.insert(path.clone());
        }
        let (config, summary) = (Picker::new(config), Picker::new(summary));
        let parts = Parts { config: !config.is_empty(), summary: !summary.is_empty(), columns };
        Self { parts, config, summary }
    }

    /// Which parts of runs have to be read.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}

/// Finds `lr`, `lr.value`, `deep.x` or `deep.value.x` in a config of the form `{"lr": {"value": …}}`.
fn config_value<'a>(config: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let unwrapped = |key: &str| config.get(key).map(|v| v.get("value").unwrap_or(v));
    if let Some(value) = unwrapped(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| {
        let value = unwrapped(&path[..at])?;
        let rest = &path[at + 1..];
        let rest = rest.strip_prefix("value.").unwrap_or(rest);
        match value {
            _ if rest == "value" => Some(value),
            Value::Object(inner) => lenient::lookup(inner, rest.strip_suffix(".value").unwrap_or(rest)),
            _ => None,
        }
    })
}

/// Parses an order: `-created_at`, `+config.lr.value`; none or an unknown key is the default, oldest first.
pub fn order(text: Option<&str>) -> (Key, bool) {
    let first = text.unwrap_or_default().split(',').next().unwrap_or_default().trim();
    let (descending, key) = match first.strip_prefix('-') {
        Some(key) => (true, key),
        None => (false, first.trim_start_matches('+')),
    };
    match Key::parse(key) {
        Key::Unknown => (Key::Column(Column::CreatedAt), false),
        key => (key, descending),
    }
}

/// Refuses an order by a key that runs do not have. The wire takes any: clients of other versions may know more keys.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_order(text: Option<&str>) -> Result<()> {
    for key in text.unwrap_or_default().split(',').map(|k| k.trim().trim_start_matches(['-', '+'])) {
        if !key.is_empty() && Key::parse(key) == Key::Unknown {
            let known = "created_at, updated_at, heartbeat_at, duration, name, display_name, state, user, group, job_type, \
                         sweep, host, commit, tags, notes, `config.KEY` and `summary.KEY`";
            return Err(Error::invalid("order", format!("`{key}` is no key of runs; the keys are {known}")));
        }
    }
    Ok(())
}

/// Orders values: numbers before texts, what is missing last in both directions.
pub fn arrange(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let missing = |v: Option<&Value>| v.is_none_or(Value::is_null);
    match (missing(a), missing(b)) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (Some(a), Some(b)) = (a, b) else { return Ordering::Equal };
    let rank = |v: &Value| match v {
        _ if lenient::number(v).is_some() => 0,
        Value::Bool(_) => 1,
        Value::String(_) => 2,
        _ => 3,
    };
    let ordering = match (lenient::number(a), lenient::number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y),
        _ => rank(a).cmp(&rank(b)).then_with(|| compare(a, b).unwrap_or(Ordering::Equal)),
    };
    if descending { ordering.reverse() } else { ordering }
}
