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
}

impl fmt::Debug for Secret {
    /// Leaves the secret itself out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Variable(name) => write!(f, "Variable({name})"),
            Self::File(path) => write!(f, "File({})", path.display()),
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
        }
    }
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
        assert!(Secret::Variable("U".into()).read(&environment).unwrap_err().contains('U'));
        assert!(!format!("{:?}", Secret::Text("hush".into())).contains("hush"));
    }
}
