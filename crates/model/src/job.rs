//! What a job is: the file `wandb-job.json` of an artifact of type `job`, and how jobs are named.
//!
//! Clients write two malformed values (the interpreter's name leaks into the entry point and the runtime); they are
//! put right when read, never in the stored file.

use serde_json::{Map, Value};

/// The artifact type of jobs.
pub const ARTIFACT_TYPE: &str = "job";
/// The description inside a job version.
pub const JOB_FILE: &str = "wandb-job.json";
/// The packages of the run or folder that the job was made from.
pub const FROZEN_REQUIREMENTS: &str = "requirements.frozen.txt";
/// Uncommitted changes, applied after a checkout.
pub const DIFF_FILE: &str = "diff.patch";

/// Key of our own in the job file: the runtime was chosen by a flag.
pub const PYTHON_CHOSEN: &str = "runtime_chosen";

/// Where a job's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A code artifact, by the id that the API returned.
    Code {
        /// Id of the artifact.
        artifact: String,
    },
    /// A git repository at a commit.
    Git {
        /// Remote URL.
        remote: String,
        /// Commit, branch or tag.
        commit: String,
    },
    /// An image that holds everything.
    Image {
        /// Name with tag.
        image: String,
    },
}

impl Source {
    /// Returns `code`, `git` or `image`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => "code",
            Self::Git { .. } => "git",
            Self::Image { .. } => "image",
        }
    }
}

/// A parsed and normalised job file.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFile {
    /// Where the code comes from.
    pub source: Source,
    /// Command that starts the job; empty for an image's own.
    pub entrypoint: Vec<String>,
    /// Arguments of the job, read and never written by clients.
    pub args: Vec<String>,
    /// The entry point is a notebook.
    pub notebook: bool,
    /// Folder of the source that a build is narrowed to.
    pub build_context: Option<String>,
    /// Dockerfile, relative to the build context.
    pub dockerfile: Option<String>,
    /// Image to lay the code over.
    pub base_image: Option<String>,
    /// Python's `major.minor`, if it is known.
    pub python: Option<String>,
    /// Somebody chose that version with a flag, so that nothing in the source overrides it.
    pub python_chosen: bool,
    /// Type document of the inputs.
    pub input_types: Value,
    /// Type document of the outputs.
    pub output_types: Value,
}

/// A job file cannot be understood; the text says which part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{JOB_FILE}: {0}")]
pub struct Malformed(pub String);

impl JobFile {
    /// Reads a job file.
    ///
    /// # Errors
    /// When it is no JSON object, or lacks a source.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| Malformed(format!("is not JSON ({e})")))?;
        let kind = value["source_type"].as_str().unwrap_or_default();
        let source = &value["source"];
        let text = |v: &Value, what: &str| -> Result<String, Malformed> {
            v.as_str().filter(|s| !s.is_empty()).map(str::to_owned).ok_or_else(|| Malformed(format!("has no {what}")))
        };
        let parsed = match kind {
            "artifact" => {
                let reference = text(&source["artifact"], "source.artifact")?;
                let artifact = reference.rsplit('/').next().unwrap_or_default().to_owned();
                Source::Code { artifact }
            }
            "repo" => Source::Git {
                remote: text(&source["git"]["remote"], "source.git.remote")?,
                commit: text(&source["git"]["commit"], "source.git.commit")?,
            },
            "image" => Source::Image { image: text(&source["image"], "source.image")? },
            other => return Err(Malformed(format!("has the unknown source type `{other}`"))),
        };
        let optional = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        Ok(Self {
            entrypoint: normalise_entrypoint(words(&source["entrypoint"])),
            args: words(&source["args"]),
            notebook: source["notebook"].as_bool().unwrap_or(false),
            build_context: optional(&source["build_context"]),
            dockerfile: optional(&source["dockerfile"]),
            base_image: optional(&source["base_image"]),
            python: value["runtime"].as_str().and_then(python_minor),
            python_chosen: value[PYTHON_CHOSEN].as_bool().unwrap_or(false),
            input_types: value.get("input_types").cloned().unwrap_or(Value::Null),
            output_types: value.get("output_types").cloned().unwrap_or(Value::Null),
            source: parsed,
        })
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().map(|l| l.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

/// Puts an entry point right: `pythonCPython 3.11` becomes `python3`, and a bare `x.py` is run by Python.
pub fn normalise_entrypoint(mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut() {
        if let Some(rest) = first.strip_prefix("python")
            && ["CPython ", "PyPy "].iter().any(|i| rest.strip_prefix(i).is_some_and(|v| python_minor(v).is_some()))
        {
            "python3".clone_into(first);
        } else if std::path::Path::new(first.as_str()).extension().is_some_and(|e| e == "py") {
            words.insert(0, "python3".to_owned());
        }
    }
    words
}

/// Returns the words of an entry point with Python in front where it is a bare script or notebook, as new job files are
/// written: clients do not put it there themselves.
pub fn runnable(mut words: Vec<String>) -> Vec<String> {
    let script = |w: &String| std::path::Path::new(w).extension().is_some_and(|e| e == "py" || e == "ipynb");
    if words.first().is_some_and(script) {
        words.insert(0, "python".to_owned());
    }
    words
}

/// Returns the script or notebook that a command hands to Python directly.
pub fn script_of(words: &[String]) -> Option<&str> {
    let script = |w: &&String| std::path::Path::new(w.as_str()).extension().is_some_and(|e| e == "py" || e == "ipynb");
    let python = words.first().is_some_and(|w| w.rsplit('/').next().is_some_and(|w| w.starts_with("python")));
    let place = usize::from(python);
    words.get(place).filter(script).map(String::as_str)
}

/// Whether an image's tag may be an alias.
pub fn is_tag_alias(tag: &str) -> bool {
    !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Returns `major.minor` of a Python version, whatever stands around it (`3.11.7`, `CPython 3.11.7`, `python-3.11`).
pub fn python_minor(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.');
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: u32 = parts.next()?.parse().ok()?;
    Some(format!("{major}.{minor}"))
}

/// Makes a text safe as an artifact name: other characters than letters, digits, `_`, `-`, `.` become `_`; more than
/// 128 characters are cut in the middle.
pub fn safe_name(text: &str) -> String {
    let safe: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect();
    if safe.len() <= 128 { safe } else { format!("{}..{}", &safe[..63], &safe[safe.len() - 63..]) }
}

/// Returns the default name of a job made from git: `job-<remote>_<path>`.
pub fn default_git_name(remote: &str, path: &str) -> String {
    safe_name(&format!("job-{remote}_{path}"))
}

/// Returns the default name of a job made from a code artifact: `job-<name>`.
pub fn default_code_name(collection: &str) -> String {
    safe_name(&format!("job-{collection}"))
}

/// Splits an image into name and tag: a colon after the last slash. (A digest loses its last part only, as in the
/// client.)
pub fn image_and_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// Returns the default name of a job made from an image: `job-<image without tag>`.
pub fn default_image_name(image: &str) -> String {
    safe_name(&format!("job-{}", image_and_tag(image).0))
}

/// Whether a user may give `alias`: `v7` and the like belong to versions.
pub fn is_version_alias(alias: &str) -> bool {
    alias.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Builds the content of a job file.
pub fn write_job_file(
    source: &Source,
    entrypoint: &[String],
    python: Option<&str>,
    extra: Map<String, Value>,
    input_types: Value,
    output_types: Value,
) -> Value {
    let (kind, mut inner) = match source {
        Source::Code { artifact } => {
            ("artifact", serde_json::json!({"artifact": format!("wandb-artifact://_id/{artifact}")}))
        }
        Source::Git { remote, commit } => ("repo", serde_json::json!({"git": {"remote": remote, "commit": commit}})),
        Source::Image { image } => ("image", serde_json::json!({"image": image})),
    };
    let version = if extra.contains_key("dockerfile") || extra.contains_key("build_context") { "0.17.0" } else { "v0" };
    if let Value::Object(o) = &mut inner {
        if !matches!(source, Source::Image { .. }) || !entrypoint.is_empty() {
            o.insert("entrypoint".into(), entrypoint.into());
        }
        if !matches!(source, Source::Image { .. }) {
            o.insert("notebook".into(), Value::Bool(false));
        }
        o.extend(extra);
    }
    serde_json::json!({
        "_version": version,
        "source_type": kind,
        "source": inner,
        "input_types": input_types,
        "output_types": output_types,
        "runtime": python.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn malformed_values_of_clients_are_put_right() {
        let file = JobFile::parse(
            json!({"_version": "v0", "source_type": "artifact", "runtime": "CPython 3.11.7",
                   "source": {"artifact": "wandb-artifact://_id/abc", "entrypoint": ["pythonCPython 3.11", "train.py"]}})
            .to_string()
            .as_bytes(),
        )
        .expect("legal");
        assert_eq!(file.entrypoint, ["python3", "train.py"]);
        assert_eq!(file.python.as_deref(), Some("3.11"));
        assert_eq!(file.source, Source::Code { artifact: "abc".into() });
        assert_eq!(normalise_entrypoint(vec!["train.py".into()]), ["python3", "train.py"]);
        assert_eq!(normalise_entrypoint(vec!["python".into(), "t.py".into()]), ["python", "t.py"]);
    }

    #[test]
    fn what_we_write_we_read() {
        for source in [
            Source::Code { artifact: "0".repeat(32) },
            Source::Git { remote: "https://h/r.git".into(), commit: "c0ffee".into() },
            Source::Image { image: "repo/name:1.2".into() },
        ] {
            let value = write_job_file(
                &source,
                &["python".into(), "a.py".into()],
                Some("3.12"),
                Map::new(),
                json!({}),
                json!({}),
            );
            let read = JobFile::parse(value.to_string().as_bytes()).expect("own file");
            assert_eq!(read.source, source);
            assert_eq!(read.entrypoint, ["python", "a.py"]);
            assert_eq!(read.python.as_deref(), Some("3.12"));
        }
        assert!(JobFile::parse(b"{}").is_err());
        assert!(JobFile::parse(b"[").is_err());
    }

    #[test]
    fn bare_scripts_are_run_by_python() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(runnable(words("train.py --lr 1")), ["python", "train.py", "--lr", "1"]);
        assert_eq!(runnable(words("n.ipynb")), ["python", "n.ipynb"]);
        assert_eq!(runnable(words("sh run.sh")), ["sh", "run.sh"]);
        assert_eq!(script_of(&words("python3.11 a/b.py -x")), Some("a/b.py"));
        assert_eq!(script_of(&words("a.py")), Some("a.py"));
        assert_eq!(script_of(&words("python -m pkg x.py")), None);
        assert_eq!(script_of(&words("sh x.py")), None);
        assert!(is_tag_alias("1.2-a_b") && !is_tag_alias("a/b") && !is_tag_alias(""));
    }

    #[test]
    fn default_names() {
        assert_eq!(
            default_git_name("https://github.com/acme/ml-repo.git", "train.py"),
            "job-https___github.com_acme_ml-repo.git_train.py"
        );
        assert_eq!(default_image_name("host:5000/a/b:1.2"), "job-host_5000_a_b");
        assert_eq!(image_and_tag("host:5000/a"), ("host:5000/a", None));
        assert_eq!(safe_name(&"x".repeat(200)).len(), 128);
        assert!(is_version_alias("v7") && !is_version_alias("v7a") && !is_version_alias("v"));
    }
}
