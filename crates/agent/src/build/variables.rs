//! Variables of the agent that installers obey, as part of the key of an environment.
//!
//! Everything that begins with `PIP_` or `UV_` reaches the installer, so everything counts but what is known to say only
//! how it works: a word of a later version is rather built for once too often than not noticed. A variable may also name
//! files, whose content counts then.

use std::{collections::BTreeMap, fs, path::Path};

use sha2::{Digest, Sha256};

use crate::source::artifact::hex;

/// What says how an installer works, how it looks, or who it is, and nothing of what it installs.
const NOT_COUNTED: &[&str] = &[
    // Caches, and where things lie for the time being.
    "PIP_CACHE_DIR",
    "PIP_NO_CACHE_DIR",
    "UV_CACHE_DIR",
    "UV_NO_CACHE",
    "UV_LINK_MODE",
    "UV_LOCK_TIMEOUT",
    // What is said.
    "PIP_DEBUG",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_LOG",
    "PIP_NO_COLOR",
    "PIP_NO_PYTHON_VERSION_WARNING",
    "PIP_NO_WARN_CONFLICTS",
    "PIP_NO_WARN_SCRIPT_LOCATION",
    "PIP_PROGRESS_BAR",
    "PIP_QUIET",
    "PIP_ROOT_USER_ACTION",
    "PIP_VERBOSE",
    "UV_HIDE_BUILD_OUTPUT",
    "UV_LOG_CONTEXT",
    "UV_NO_PROGRESS",
    "UV_NO_WRAP",
    "UV_SHOW_RESOLUTION",
    // How hosts are reached and believed.
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_PROXY",
    "PIP_RESUME_RETRIES",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_REQUEST_TIMEOUT",
    "UV_SYSTEM_CERTS",
    // Log-ins.
    "PIP_KEYRING_PROVIDER",
    "PIP_NO_INPUT",
    "UV_CREDENTIALS_DIR",
    "UV_GITHUB_TOKEN",
    "UV_KEYRING_PROVIDER",
    // The Python is chosen by the agent, and is in the key itself.
    "PIP_BREAK_SYSTEM_PACKAGES",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_NO_PYTHON_DOWNLOADS",
    "UV_PYPY_INSTALL_MIRROR",
    "UV_PYTHON",
    "UV_PYTHON_PREFERENCE",
    "UV_SYSTEM_PYTHON",
    "UV_VENV_CLEAR",
    // `uv run` sets it for all that it starts, an agent for instance.
    "UV_ENV_FILE",
    "UV_NO_ENV_FILE",
];

/// Beginnings of names of the same kind.
const NOT_COUNTED_PREFIXES: &[&str] = &[
    "UV_CONCURRENT_",
    "UV_INSTALLER_",
    "UV_INTERNAL__",
    "UV_PUBLISH_",
    "UV_PYTHON_BIN",
    "UV_PYTHON_CACHE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL",
    "UV_RUN_",
    "UV_TOOL_",
];

/// Variables whose words may be names of files that decide what is installed.
const FILES: &[&str] = &[
    "PIP_BUILD_CONSTRAINT",
    "PIP_CONFIG_FILE",
    "PIP_CONSTRAINT",
    "PIP_REQUIREMENT",
    "UV_BUILD_CONSTRAINT",
    "UV_CONFIG_FILE",
    "UV_CONSTRAINT",
    "UV_EXCLUDE",
    "UV_OVERRIDE",
];

/// Whether a variable may change what an installer installs.
fn counts(name: &str) -> bool {
    // The log-in of a named index.
    let login = name.starts_with("UV_INDEX_") && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD"));
    (name.starts_with("PIP_") || name.starts_with("UV_"))
        && !NOT_COUNTED.contains(&name)
        && !NOT_COUNTED_PREFIXES.iter().any(|p| name.starts_with(p))
        && !login
}

/// Returns a line for every variable of the agent that may change what is installed.
pub(super) fn lines(agent: &BTreeMap<String, String>) -> String {
    let mut lines = String::new();
    for (name, value) in agent.iter().filter(|(name, _)| counts(name)) {
        lines.push_str(&format!("\n{name}={value}"));
        if FILES.contains(&name.as_str()) {
            // A file that cannot be read is the installer's to complain of.
            for content in value.split_whitespace().filter_map(|word| fs::read(Path::new(word)).ok()) {
                lines.push_str(&format!(" {}", hex(&Sha256::digest(content))));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_the_packages_counts_and_nothing_else() {
        for name in [
            "PIP_INDEX_URL",
            "PIP_ONLY_BINARY",
            "PIP_A_WORD_OF_TOMORROW",
            "UV_CONSTRAINT",
            "UV_DEFAULT_INDEX",
            "UV_INDEX",
            "UV_INDEX_STRATEGY",
            "UV_INDEX_URL",
            "UV_PRERELEASE",
            "UV_RESOLUTION",
            "UV_EXCLUDE_NEWER",
            "UV_TORCH_BACKEND",
        ] {
            assert!(counts(name), "{name}");
        }
        for name in [
            "PATH",
            "PIPX_HOME",
            "PIP_CACHE_DIR",
            "PIP_PROGRESS_BAR",
            "UV",
            "UV_CACHE_DIR",
            "UV_CONCURRENT_BUILDS",
            "UV_INDEX_INNER_PASSWORD",
            "UV_INDEX_INNER_USERNAME",
            "UV_PYTHON_DOWNLOADS",
            "UV_RUN_RECURSION_DEPTH",
        ] {
            assert!(!counts(name), "{name}");
        }
    }

    #[test]
    fn a_file_that_a_variable_names_counts_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("constraints.txt");
        let of = || lines(&BTreeMap::from([("UV_CONSTRAINT".to_owned(), path.display().to_string())]));
        let missing = of();
        fs::write(&path, "pebble==1\n").unwrap();
        let one = of();
        fs::write(&path, "pebble==2\n").unwrap();
        assert!(missing != one && one != of());
        assert_eq!(lines(&BTreeMap::from([("PIP_CACHE_DIR".to_owned(), "/c".to_owned())])), "");
    }
}
