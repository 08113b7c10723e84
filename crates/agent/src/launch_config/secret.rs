//! Secrets of the agent's config: written out, in a variable of the agent, or in a file.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

/// Where a secret is. It is read when it is needed, so a new one counts without a restart.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the config itself.
    Text(String),
    /// In a variable of the agent's environment.
    Variable(String),
    /// In a file, without the newline at its end.
    File(PathBuf),
    /// A line `NAME=value` of a file.
    Line(PathBuf, String),
}

/// A secret that configurations refer to as `secret:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// Where it is.
    pub value: Secret,
    /// Queues whose admins may hand it to jobs; none means every queue.
    pub queues: Option<Vec<String>>,
    /// Submitters may name it as well.
    pub submitters: bool,
}

impl fmt::Debug for Secret {
    /// Leaves the secret itself out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Variable(name) => write!(f, "Variable({name})"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Line(path, name) => write!(f, "Line({}, {name})", path.display()),
        }
    }
}

impl Secret {
    /// Reads it; `environment` is the agent's.
    ///
    /// # Errors
    /// Says where it was looked for in vain.
    pub fn read(&self, environment: &BTreeMap<String, String>) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Variable(name) => {
                environment.get(name).cloned().ok_or_else(|| format!("the variable {name}, which is not set"))
            }
            Self::File(path) => fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|e| format!("the file {} ({e})", path.display())),
            Self::Line(path, name) => {
                let text = fs::read_to_string(path).map_err(|e| format!("the file {} ({e})", path.display()))?;
                line(&text, name).ok_or_else(|| format!("the file {}, which has no line `{name}=`", path.display()))
            }
        }
    }
}

/// Finds `NAME=value` in the text of an environment file: `#` begins a comment, `export` is left out, and quotes around
/// the whole value are taken off.
fn line(text: &str, name: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=')?;
        (key.trim() == name && !line.starts_with('#')).then(|| value.trim())
    })?;
    let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    Some(quoted.unwrap_or(value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_where_they_are_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "from file\n").unwrap();
        let environment = BTreeMap::from([("T".to_owned(), "from variable".to_owned())]);
        assert_eq!(Secret::File(file.clone()).read(&environment).unwrap(), "from file");
        assert_eq!(Secret::Variable("T".into()).read(&environment).unwrap(), "from variable");
        fs::write(&file, "# T=no\nT=old\nexport T='a b=c'\nTT=x\n").unwrap();
        assert_eq!(Secret::Line(file.clone(), "T".into()).read(&environment).unwrap(), "a b=c");
        assert!(Secret::Line(file.clone(), "U".into()).read(&environment).unwrap_err().contains("`U=`"));
        assert!(Secret::Variable("U".into()).read(&environment).unwrap_err().contains('U'));
        assert!(!format!("{:?}", Secret::Text("hush".into())).contains("hush"));
    }
}
