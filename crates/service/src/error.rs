//! The one error of the product, sorted by what the caller can do about it. It knows nothing of HTTP.

use lanza_model::{Code, code};

/// What every service function returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object, or the caller may not see it.
    #[error("{what} `{id}` does not exist")]
    NotFound {
        /// Kind of object.
        what: &'static str,
        /// What it was asked for by.
        id: String,
        /// The code: [`code::NOT_FOUND`] or a particular one.
        code: Code,
    },
    /// There is no such object, and the caller may know which there are.
    #[error("{what} `{id}` does not exist; {choice}")]
    NoneOf {
        /// Kind of object.
        what: &'static str,
        /// What it was asked for by.
        id: String,
        /// What there is, a clause.
        choice: String,
        /// The code.
        code: Code,
    },
    /// The name or key is taken.
    #[error("{what} `{id}` exists already")]
    AlreadyExists {
        /// Kind of object.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// A field is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// Dotted path.
        field: String,
        /// What is wrong, a clause.
        why: String,
        /// The code: [`code::INVALID`] or a particular one.
        code: Code,
    },
    /// Values of a launch do not fit the job's inputs.
    #[error("{}", inputs_message(.job, .fields))]
    Inputs {
        /// The job.
        job: String,
        /// Each field that is wrong.
        fields: Vec<lanza_model::input::Violation>,
    },
    /// The object is not in a state for this.
    #[error("{message}")]
    Conflict {
        /// Which object, which state.
        message: String,
        /// The code: [`code::CONFLICT`] or a particular one.
        code: Code,
    },
    /// The body, list or file is over its limit.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// No key, or one that is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// The caller may see the object and not do this to it.
    #[error("{0}")]
    Forbidden(String),
    /// The caller came with a key that changes nothing.
    #[error("this API key only reads; what changes something needs one with the scope `full`")]
    ReadOnly,
    /// The caller came with a session cookie from a page of another site.
    #[error("a request with the session cookie must come from this site")]
    ForeignSite,
    /// Later may be better.
    #[error("{what} is not available at the moment")]
    Unavailable {
        /// What does not answer.
        what: String,
        /// Seconds to wait.
        retry_after_seconds: u32,
        /// Why.
        #[source]
        source: Option<lanza_store::Error>,
    },
    /// A mistake of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A missing or invisible object.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { what, id: id.into(), code: code::NOT_FOUND }
    }

    /// A wrong field.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into(), code: code::INVALID }
    }

    /// An object in the wrong state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), code: code::CONFLICT }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { code, .. }
            | Self::NoneOf { code, .. }
            | Self::Invalid { code, .. }
            | Self::Conflict { code, .. } => *code,
            Self::AlreadyExists { .. } => code::ALREADY_EXISTS,
            Self::Inputs { .. } => code::INPUT_INVALID,
            Self::TooLarge { .. } => code::TOO_LARGE,
            Self::Unauthenticated(_) => code::UNAUTHENTICATED,
            Self::Forbidden(_) => code::FORBIDDEN,
            Self::ReadOnly => code::READ_ONLY_KEY,
            Self::ForeignSite => code::FOREIGN_SITE,
            Self::Unavailable { .. } => code::UNAVAILABLE,
            Self::Internal(_) => code::INTERNAL,
        }
    }
}

fn inputs_message(job: &str, fields: &[lanza_model::input::Violation]) -> String {
    let each: Vec<String> = fields.iter().map(|f| format!("`{}` {}", f.path, f.why)).collect();
    format!("the values do not fit the inputs of `{job}`: {}", each.join("; "))
}

impl From<lanza_store::Error> for Error {
    fn from(error: lanza_store::Error) -> Self {
        match error {
            lanza_store::Error::Exists => Self::AlreadyExists { what: "an object of this name", id: String::new() },
            lanza_store::Error::Moved => Self::conflict("the object has changed in the meantime"),
            e if e.is_unstorable() => Self::invalid("text", "holds a NUL character, which cannot be stored"),
            e if e.is_full() => Self::Unavailable {
                what: "room on the server's disk, which is full,".into(),
                retry_after_seconds: 30,
                source: Some(e),
            },
            e if e.is_temporary() => {
                Self::Unavailable { what: "the database".into(), retry_after_seconds: 2, source: Some(e) }
            }
            e => Self::Internal(Box::new(e)),
        }
    }
}

impl From<lanza_model::name::Refused> for Error {
    fn from(refused: lanza_model::name::Refused) -> Self {
        Self::invalid("name", refused.0)
    }
}

impl From<lanza_model::spec::Invalid> for Error {
    fn from(invalid: lanza_model::spec::Invalid) -> Self {
        Self::Invalid { field: invalid.field, why: invalid.why, code: code::SPEC_INVALID }
    }
}
