//! How a command ends: exit codes, and failures with their advice.

use std::{error::Error as _, fmt::Write as _, io::Write as _};

use lanza_api::ClientError;
use lanza_model::Code;

/// The command did what was asked; a followed item finished.
pub(crate) const DONE: u8 = 0;
/// The command, or the item that it followed, failed.
pub(crate) const FAILED: u8 = 1;
/// The command line cannot be understood.
pub(crate) const USAGE: u8 = 2;
/// The server refused, or what was asked for does not exist.
pub(crate) const REFUSED: u8 = 3;
/// The server does not answer.
pub(crate) const UNREACHABLE: u8 = 4;
/// The followed item was stopped.
pub(crate) const STOPPED: u8 = 5;

/// Why a command did not do what was asked, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One of the exit codes above.
    pub(crate) exit: u8,
    /// What was attempted on what, and why it failed.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// Number of the help page.
    pub(crate) help: Option<String>,
}

/// What commands answer: the exit code.
pub(crate) type Outcome = Result<u8, Failure>;

impl Failure {
    pub(crate) fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, help: None }
    }

    /// Something on this machine went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    /// The words of the command line make no sense together.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// What was asked for is not there or not allowed.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(REFUSED, message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.help = Some(code.help.to_owned());
        self.hint.get_or_insert_with(|| code.hint.to_owned());
        self
    }

    /// An error of a library, with the chain of its causes.
    pub(crate) fn caused(message: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = message.into();
        let mut next = Some(error);
        while let Some(cause) = next {
            let words = cause.to_string();
            // Some libraries repeat the cause in their own words.
            if !text.ends_with(&words) {
                let _ = write!(text, ": {words}");
            }
            next = cause.source();
        }
        Self::failed(text)
    }

    /// The failure as it is shown.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("lanza: error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  {hint}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "  For more, run `lanza explain {help}`.");
        }
        text
    }

    pub(crate) fn print(&self) {
        let _ = std::io::stderr().write_all(self.render().as_bytes());
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => {
                let mut failure = Self::caused(error.to_string(), error.source().unwrap_or(&error));
                failure.exit = UNREACHABLE;
                failure.hint("Check WANDB_BASE_URL and that the server runs; `lanza doctor` looks at both.")
            }
            ClientError::Refused { status, problem } => {
                let exit = if *status >= 500 { FAILED } else { REFUSED };
                let mut failure = Self::new(exit, problem.message.clone());
                failure.hint.clone_from(&problem.hint);
                failure.help = Some(problem.help.clone()).filter(|h| !h.is_empty());
                if *status >= 500 && !problem.request_id.is_empty() {
                    failure.hint = Some(format!("The server's log has more under request {}.", problem.request_id));
                }
                failure
            }
            ClientError::Malformed { .. } => {
                Self::failed(error.to_string()).hint("Is WANDB_BASE_URL the address of a Lanza server?")
            }
        }
    }
}

impl From<lanza_agent::Error> for Failure {
    fn from(error: lanza_agent::Error) -> Self {
        let mut failure = match std::error::Error::source(&error) {
            Some(cause) => Self::caused(error.to_string(), cause),
            None => Self::failed(error.to_string()),
        };
        failure.exit = error.exit_code();
        failure.hint = error.hint().map(str::to_owned);
        if let lanza_agent::Error::Refused { code, .. } = &error
            && let Some(code) = lanza_model::code::find(code)
        {
            failure = failure.code(code);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!([DONE, FAILED, USAGE, REFUSED, UNREACHABLE, STOPPED], [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_refusal_says_what_to_do_and_where_to_read_more() {
        let problem = lanza_api::Problem::new(lanza_model::code::QUEUE_NOT_FOUND, "there is no queue `gpu` in `acme`");
        let failure = Failure::from(ClientError::Refused { status: 404, problem: Box::new(problem) });
        assert_eq!(failure.exit, REFUSED);
        let text = failure.render();
        assert!(text.starts_with("lanza: error: there is no queue `gpu` in `acme`\n"), "{text}");
        assert!(text.contains("lanza explain LZ0012"), "{text}");
    }
}
