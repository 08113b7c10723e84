//! Keys and secrets are cut out of everything that leaves this machine: logs, reasons, warnings.
//!
//! Each byte of a secret becomes a `*`, so that offsets into a log mean the same on both sides. A secret that begins in
//! one piece of a log and ends in the next is found because pieces are read with what stands before and behind them; the
//! end of a log that still grows is held back while it may be the beginning of one.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt, path::Path};

use bytes::Bytes;

use crate::launch_config::LaunchConfig;

/// Shorter texts are no secrets, and stand in every log by chance.
const SHORTEST_BYTES: usize = 6;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// Longest first, so that a secret which holds another one goes as a whole.
    secrets: Vec<Vec<u8>>,
}

impl Redactor {
    /// Knows the agent's own key and every secret of its config, as far as they can be read now.
    pub(crate) fn of_agent(key: &str, config: &LaunchConfig, environment: &BTreeMap<String, String>) -> Self {
        let lanza = &config.lanza;
        let git = lanza.git_credentials.values().filter_map(|c| c.password.as_ref());
        let registries = lanza.registry_credentials.values().map(|c| &c.password);
        let own = lanza.secrets.values().map(|s| &s.value);
        let read = git.chain(registries).chain(own).filter_map(|s| s.read(environment).ok());
        let mut redactor = Self::default();
        let variables = environment.iter().filter(|(n, v)| is_secret(n, v)).map(|(_, v)| v.clone());
        redactor.extend(read.chain(variables).chain([key.to_owned()]));
        redactor
    }

    /// Knows these as well.
    pub(crate) fn extend(&mut self, secrets: impl IntoIterator<Item = String>) {
        for secret in secrets {
            // A key file of many lines may be printed line by line.
            for text in secret.lines().chain([secret.as_str()]) {
                let text = text.trim();
                if text.len() >= SHORTEST_BYTES && !self.secrets.iter().any(|s| s == text.as_bytes()) {
                    self.secrets.push(text.as_bytes().to_vec());
                }
            }
        }
        self.secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
    }

    fn longest(&self) -> usize {
        self.secrets.first().map_or(0, Vec::len)
    }

    /// Masks what stands in `bytes` as a whole.
    fn mask(&self, bytes: &mut [u8]) {
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(at) = find(&bytes[from..], secret) {
                let found = &mut bytes[from + at..from + at + secret.len()];
                // Lines stay lines.
                found.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b'*');
                from += at + secret.len();
            }
        }
    }

    /// Returns `text` without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.mask(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns how many bytes at the end of `bytes` may be the beginning of a secret.
    fn open_end(&self, bytes: &[u8]) -> usize {
        let longest = |s: &Vec<u8>| (1..s.len()).rev().find(|n| bytes.ends_with(&s[..*n])).unwrap_or(0);
        self.secrets.iter().map(longest).max().unwrap_or(0)
    }

    /// Reads at most `most` bytes of a log from `from`, masked. `whole` says that the log grows no more, so that nothing
    /// at its end is held back.
    pub(crate) fn read(&self, path: &Path, from: u64, most: u64, whole: bool) -> Bytes {
        let Ok(file) = File::open(path) else { return Bytes::new() };
        let length = file.metadata().map_or(0, |m| m.len());
        let around = self.longest().saturating_sub(1) as u64;
        let begin = from.saturating_sub(around);
        let end = (from + most).min(length);
        let mut window = vec![0; ((end + around).min(length).saturating_sub(begin)) as usize];
        let filled = fill(&file, &mut window, begin);
        window.truncate(filled);
        // Only the end of the file is uncertain; a piece in its middle has what follows in view.
        let at_end = begin + filled as u64 >= length;
        let held_back = if whole || !at_end { 0 } else { self.open_end(&window) };
        self.mask(&mut window);
        window.truncate(filled - held_back);
        let begin = usize::try_from(from - begin).unwrap_or(usize::MAX).min(window.len());
        let end = (begin + usize::try_from(end.saturating_sub(from)).unwrap_or(0)).min(window.len());
        Bytes::from(window).slice(begin..end)
    }
}

/// Whether a variable's name says that its value is secret. A path is where a secret is, and not the secret.
fn is_secret(name: &str, value: &str) -> bool {
    const WORDS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|w| name.contains(w)) && !value.starts_with('/')
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == first) {
        let at = from + at;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn fill(file: &File, buffer: &mut [u8], from: u64) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], from + filled as u64) {
            Ok(0) | Err(_) => break,
            Ok(n) => filled += n,
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.extend(secrets.iter().map(|s| (*s).to_owned()));
        redactor
    }

    #[test]
    fn a_secret_is_cut_wherever_the_pieces_of_a_log_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let secrets = redactor(&["hunter2hunter2", "hunter2", "-----BEGIN-----\nabcdefgh\n-----END-----"]);
        let log = "a hunter2hunter2 b hunter2\nhunterhunter2 abcdefgh hunter";
        let clean = "a ************** b *******\nhunter******* ******** hunter";
        std::fs::write(&path, log).unwrap();
        for piece in 1..=log.len() as u64 {
            let mut got = Vec::new();
            while got.len() < log.len() {
                got.extend(secrets.read(&path, got.len() as u64, piece, true));
            }
            assert_eq!(String::from_utf8(got).unwrap(), clean, "pieces of {piece}");
        }
    }

    #[test]
    fn a_secret_is_cut_wherever_the_log_stood_when_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = redactor(&["hunter2hunter2", "password"]);
        let log = "x hunter2hunter2 pass passpassword hunter2";
        for cut in 0..log.len() {
            let path = folder.path().join(format!("{cut}.log"));
            std::fs::write(&path, &log[..cut]).unwrap();
            let mut got = secrets.read(&path, 0, 1 << 20, false).to_vec();
            std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&log.as_bytes()[cut..]).unwrap();
            while got.len() < log.len() {
                let more = secrets.read(&path, got.len() as u64, 1 << 20, true);
                assert!(!more.is_empty());
                got.extend(more);
            }
            assert_eq!(String::from_utf8(got).unwrap(), "x ************** pass pass******** hunter2", "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_begins_like_no_secret_is_not_held_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        std::fs::write(&path, "progress 10%\n").unwrap();
        assert_eq!(redactor(&["hunter2"]).read(&path, 0, 100, false), "progress 10%\n");
        assert_eq!(redactor(&[]).read(&path, 9, 3, false), "10%");
        std::fs::write(&path, "huntress hunt").unwrap();
        assert_eq!(redactor(&["hunter2"]).read(&path, 0, 100, false), "huntress ");
    }

    #[test]
    fn what_the_agent_knows_is_secret() {
        let config = LaunchConfig::parse(
            "f",
            "lanza: {secrets: {A: aaaaaaaa, B: {env: FROM}}, git: {credentials: {h: {password: gggggggg}}},\n\
             \x20 registry: {credentials: {r: {username: u, password: rrrrrrrr}}}}",
        )
        .unwrap();
        let environment = [("FROM", "bbbbbbbb"), ("AWS_SECRET_ACCESS_KEY", "ssssssss"), ("TOKEN_FILE", "/etc/tokens")];
        let environment = environment.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let redactor = Redactor::of_agent("kkkkkkkk", &config, &environment);
        let text = "aaaaaaaa bbbbbbbb gggggggg rrrrrrrr ssssssss kkkkkkkk /etc/tokens";
        assert_eq!(redactor.text(text), format!("{} /etc/tokens", ["********"; 6].join(" ")));
    }

    #[test]
    fn short_texts_are_no_secrets() {
        assert_eq!(redactor(&["a", "", "12345"]).text("a 12345"), "a 12345");
        assert_eq!(redactor(&["s3cr3t!"]).text("cannot log in as u:s3cr3t!@host"), "cannot log in as u:*******@host");
    }
}
