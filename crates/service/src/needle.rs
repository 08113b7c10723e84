//! What somebody looks for in a log.

use regex::{Regex, RegexBuilder};

use crate::{Error, Result};

/// Longest text to look for, in characters.
const CHARS_MOST: usize = 500;

/// A text, upper and lower case alike, or a regular expression.
#[derive(Debug, Clone)]
pub struct Needle(Regex);

impl Needle {
    /// Reads what is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is empty, too long, or not an expression.
    pub fn new(text: &str, is_regex: bool) -> Result<Self> {
        if text.is_empty() || text.chars().count() > CHARS_MOST {
            return Err(Error::invalid("q", format!("has 1 to {CHARS_MOST} characters")));
        }
        let pattern = if is_regex { text.to_owned() } else { regex::escape(text) };
        RegexBuilder::new(&pattern)
            .case_insensitive(!is_regex)
            .size_limit(1 << 20)
            .build()
            .map(Self)
            .map_err(|e| Error::invalid("q", format!("`{text}`: {e}")))
    }

    /// Whether a line has it.
    pub fn is_in(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_plain_and_expressions_are_exact() {
        let plain = Needle::new("Loss (val)", false).expect("a text");
        assert!(plain.is_in("epoch 3: loss (VAL) 0.1") && !plain.is_in("loss val"));
        let regex = Needle::new("^E[0-9]+", true).expect("an expression");
        assert!(regex.is_in("E12 failed") && !regex.is_in("e12 failed"));
        assert!(Needle::new("", false).is_err() && Needle::new("(", true).is_err());
    }
}
