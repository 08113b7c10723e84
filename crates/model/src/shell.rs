//! Words of commands that people copy into a shell.

use std::borrow::Cow;

/// Quotes a word for a POSIX shell, where it needs that.
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_word_means_itself_to_a_shell() {
        assert_eq!(word("gpu-a100_x"), "gpu-a100_x");
        assert_eq!(word(""), "''");
        assert_eq!(word("x; echo pwn"), "'x; echo pwn'");
        assert_eq!(word("$(id)"), "'$(id)'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("über"), "'über'");
    }
}
