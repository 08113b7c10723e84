//! The body of every error answer.

use lanza_model::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for programs (`code`) and for people (the rest).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable word, `queue_not_found` for instance.
    pub code: String,
    /// Number of the help page: `lanza explain LZ0012`, `/errors/LZ0012`.
    #[serde(default)]
    pub help: String,
    /// What was attempted on what, and why it failed.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Finds the request in the server's log.
    #[serde(default)]
    pub request_id: String,
    /// Each field that is wrong, where there may be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldProblem>,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Which rule it breaks: `type`, `maximum`, `required` …
    pub code: String,
    /// Dotted path in the request.
    pub path: String,
    /// A whole sentence.
    pub message: String,
}

impl Problem {
    /// Makes a problem of a known code, with the code's advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.word.to_owned(),
            help: code.help.to_owned(),
            message: message.into(),
            hint: Some(code.hint.to_owned()),
            request_id: String::new(),
            fields: Vec::new(),
        }
    }
}
