//! Conditions on the columns of runs, as SQL.

/// A condition on a column of runs. Several hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: Column,
    /// How it compares.
    pub comparison: Comparison,
}

/// A column that lists can be filtered and ordered by, and what else of a run's own tables read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The state's word.
    State,
    /// The id that people see.
    Name,
    /// Display name.
    DisplayName,
    /// Group.
    Group,
    /// Kind of run.
    JobType,
    /// Sweep.
    Sweep,
    /// Author.
    Author,
    /// Machine.
    Host,
    /// Git commit.
    Commit,
    /// When it was made, ms.
    CreatedAt,
    /// When its documents changed, ms.
    UpdatedAt,
    /// When its client was heard of, ms.
    HeartbeatAt,
    /// When it ended, ms.
    EndedAt,
    /// Notes.
    Notes,
    /// Tags, a list in JSON.
    Tags,
}

/// How a column compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Equals one of these.
    In(Vec<String>),
    /// A time at or after.
    AtLeast(i64),
    /// A time after.
    After(i64),
    /// A time at or before.
    AtMost(i64),
    /// A time before.
    Before(i64),
}

impl Column {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::State => "r.state",
            Self::Name => "r.name",
            Self::DisplayName => "r.display_name",
            Self::Group => "r.group_name",
            Self::JobType => "r.job_type",
            Self::Sweep => "r.sweep",
            Self::Author => "r.author",
            Self::Host => "r.host",
            Self::Commit => "r.git_commit",
            Self::CreatedAt => "r.created_at",
            Self::UpdatedAt => "r.updated_at",
            Self::HeartbeatAt => "r.heartbeat_at",
            Self::EndedAt => "r.ended_at",
            Self::Notes => "r.notes",
            Self::Tags => "r.tags",
        }
    }

    /// Whether it holds a time.
    pub fn is_time(self) -> bool {
        matches!(self, Self::CreatedAt | Self::UpdatedAt | Self::HeartbeatAt | Self::EndedAt)
    }

    /// Whether lists are ordered and paged by it in the database: every run has it, and it lies before the documents in
    /// the row, which would all be read otherwise.
    pub fn orders(self) -> bool {
        matches!(self, Self::State | Self::Name | Self::DisplayName | Self::Author | Self::CreatedAt)
    }
}

pub(super) enum Bound<'a> {
    Text(&'a str),
    Int(i64),
}

/// Writes the conditions as SQL that follows `WHERE r.project_id = $1`.
pub(super) fn conditions_sql<'a>(conditions: &'a [Condition], bounds: &mut Vec<Bound<'a>>) -> String {
    use std::fmt::Write;
    let mut sql = String::new();
    for condition in conditions {
        let column = condition.column.sql();
        let mut compare = |operator: &str, ms: i64| {
            bounds.push(Bound::Int(ms));
            // Parameter 1 is the project.
            let _ = write!(sql, " AND {column} {operator} ${}", bounds.len() + 1);
        };
        match &condition.comparison {
            Comparison::AtLeast(ms) => compare(">=", *ms),
            Comparison::After(ms) => compare(">", *ms),
            Comparison::AtMost(ms) => compare("<=", *ms),
            Comparison::Before(ms) => compare("<", *ms),
            Comparison::In(words) => {
                let mut places = Vec::new();
                for word in words {
                    bounds.push(Bound::Text(word));
                    places.push(format!("${}", bounds.len() + 1));
                }
                let places = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
                let _ = write!(sql, " AND {column} IN ({places})");
            }
        }
    }
    sql
}

macro_rules! bind_all {
    ($query:expr, $bounds:expr) => {{
        let mut query = $query;
        for bound in $bounds {
            query = match bound {
                $crate::runs::filter::Bound::Text(text) => query.bind(text.to_owned()),
                $crate::runs::filter::Bound::Int(n) => query.bind(n),
            };
        }
        query
    }};
}

pub(super) use bind_all;
