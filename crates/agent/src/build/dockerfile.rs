//! Dockerfiles: the one of an environment, and those of jobs.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use lanza_model::{Reason, code};

use super::{
    diagnose,
    requirements::{Origin, Requirements},
};
use crate::{source::inside, target::docker::BUILD};

/// Home of the user that jobs run as in environment images; the code lies below it.
pub(crate) const HOME: &str = "/home/lanza";

/// Variables of the agent that say where packages come from and mean the same inside of a build.
pub(crate) const INDEX_VARIABLES: &[&str] = &["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PRE"];

/// An environment that is to be made.
pub(crate) struct Plan<'a> {
    pub(crate) base: &'a str,
    pub(crate) requirements: Option<&'a Requirements>,
    /// User and group that jobs run as.
    pub(crate) user: u64,
    pub(crate) key: &'a str,
    /// The builder keeps folders between builds (`RUN --mount=type=cache`).
    pub(crate) cache_mounts: bool,
    /// When somebody asked for packages that are installed anew, in milliseconds: no layer from before is good enough.
    pub(crate) anew: Option<i64>,
}

/// Returns the Dockerfile of an environment. It needs nothing but a shell in the base image; where that has no Python,
/// the packages stay out and the report says so. BuildKit and the classic builder both take it, the latter without
/// cache mounts.
pub(crate) fn environment(plan: &Plan<'_>) -> String {
    const PIP: &str = "python3 -m pip install --no-input --disable-pip-version-check --progress-bar off";
    const REPORT: &str = "/opt/lanza/report.txt";
    let user = plan.user;
    let mut text = format!("FROM {}\nUSER root\nLABEL {BUILD}={}\n", plan.base, plan.key);
    for name in INDEX_VARIABLES {
        let _ = writeln!(text, "ARG {name}");
    }
    let account = if user == 0 {
        String::new()
    } else {
        format!(
            " && {{ grep -q '^[^:]*:[^:]*:{user}:' /etc/passwd || echo 'lanza:x:{user}:{user}::{HOME}:/bin/sh' >> /etc/passwd; }}"
        )
    };
    let _ = writeln!(
        text,
        "RUN mkdir -p {HOME} /opt/lanza && chown {user}:{user} {HOME} && touch {REPORT}{account}\n\
         RUN command -v python3 > /dev/null || {{ command -v python > /dev/null && \
         ln -s \"$(command -v python)\" /usr/local/bin/python3; }} || echo no-python >> {REPORT}"
    );
    if let Some(requirements) = plan.requirements {
        text.push_str("COPY requirements.txt lines.txt constraints.txt of-all.txt /opt/lanza/\n");
        if requirements.local {
            text.push_str("COPY code /opt/lanza/code\nWORKDIR /opt/lanza/code\n");
        }
        let run = if plan.cache_mounts {
            "RUN --mount=type=cache,target=/var/cache/pip export PIP_CACHE_DIR=/var/cache/pip; "
        } else {
            "RUN export PIP_NO_CACHE_DIR=1; "
        };
        // A builder that is told to use no cache would throw the kept folders away, too.
        let anew = plan.anew.map_or_else(String::new, |ms| format!(": anew {ms}; "));
        // Debian's own Python refuses packages besides its own; in an image of one job they do no harm.
        let head = format!(
            "{run}{anew}export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore; if ! grep -q no-python {REPORT}; then "
        );
        let list = "-r /opt/lanza/requirements.txt -c /opt/lanza/constraints.txt";
        let script = if requirements.origin == Origin::Frozen {
            frozen(PIP, list, &requirements.options.join(" "), REPORT)
        } else {
            format!("{PIP} {list}")
        };
        let _ = writeln!(text, "{head}{script}; fi");
        let _ = writeln!(
            text,
            "RUN if ! grep -q no-python {REPORT}; then \
             python3 -m pip freeze --disable-pip-version-check | sed 's/^/package /' >> {REPORT}; fi"
        );
    }
    let _ = writeln!(text, "ENV HOME={HOME} PYTHONUNBUFFERED=1\nUSER {user}\nWORKDIR {HOME}");
    text
}

/// Returns the shell's words that install a frozen list: as a whole, else each of its packages for itself. What then
/// fails is written to the report, unless it concerns all packages (`of-all.txt` has the words that tell): an index
/// that is away, or a full disk, ends the build.
fn frozen(pip: &str, list: &str, options: &str, report: &str) -> String {
    const SAID: &str = "/opt/lanza/said.txt";
    const STATUS: &str = "/opt/lanza/status.txt";
    let [missing, unsatisfied] = diagnose::NOT_FOUND;
    let retrying = diagnose::RETRYING;
    // What pip says is kept and seen. Where its status could not even be written, the disk is full.
    format!(
        "try() {{ {{ {pip} \"$@\" < /dev/null; echo $? > {STATUS}; }} 2>&1 | tee {SAID}; \
         test \"$(cat {STATUS})\" = 0; }}; \
         of_all() {{ ! test -s {STATUS} || grep -qiFf /opt/lanza/of-all.txt {SAID} || \
         {{ grep -qF '{retrying}' {SAID} && grep -qiF -e '{missing}' -e '{unsatisfied}' {SAID}; }}; }}; \
         try {list} || {{ ! of_all || exit 1; \
         echo 'the list as a whole cannot be installed; trying its packages one by one'; \
         while IFS= read -r line; do try {options} \"$line\" || {{ ! of_all || exit 1; \
         echo \"failed $line\" >> {report} || exit 1; }}; done < /opt/lanza/lines.txt; }}; \
         rm -f {SAID} {STATUS}"
    )
}

/// Returns the Dockerfile without the lines that name a frontend to be fetched from a registry.
pub(crate) fn without_syntax_lines(text: &str) -> String {
    let mut directives = true;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Directives are the comments at the very top; a later one is a comment and means nothing.
        let trimmed = line.trim();
        let comment = trimmed.strip_prefix('#').map(str::trim);
        directives &= comment.is_some_and(|c| c.contains('='));
        let syntax =
            comment.and_then(|c| c.split_once('=')).is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case("syntax"));
        if !(directives && syntax) {
            kept.push_str(line);
        }
    }
    kept
}

/// Returns the Dockerfile and the build context of a job that is built whole; none when an environment will do.
pub(crate) fn of_job(
    root: &Path,
    given: Option<&str>,
    of_job: Option<&str>,
    command: &[String],
) -> Result<Option<(PathBuf, PathBuf)>, Reason> {
    if let Some(name) = given.or(of_job) {
        let path = inside(root, name).filter(|p| p.is_file());
        let path = path.ok_or_else(|| {
            Reason::new(code::SOURCE_MISSING, format!("the Dockerfile `{name}` is not in the job's code"))
        })?;
        return Ok(Some((path, root.to_owned())));
    }
    let beside = command.iter().filter_map(|w| inside(root, w)).find(|p| p.is_file());
    let folder = beside.as_deref().and_then(Path::parent).unwrap_or(root);
    let path = folder.join("Dockerfile.wandb");
    let own = path.strip_prefix(root).ok().and_then(|p| inside(root, p.to_str()?));
    Ok(own.filter(|p| p.is_file()).map(|path| (path, folder.to_owned())))
}

/// Checks the name of an image to build on: it becomes a line of a Dockerfile.
pub(crate) fn check_base(name: &str) -> Result<(), Reason> {
    if lanza_model::docker::is_image_name(name) {
        return Ok(());
    }
    Err(Reason::new(code::BASE_IMAGE_MISSING, format!("`{}` is not the name of an image", name.escape_debug())))
}

/// Returns the tag of a job that is built whole: one repository per job, one tag per content.
pub(crate) fn whole_tag(entity: &str, project: &str, job: &str, digest: &str) -> String {
    let part = |text: &str| {
        let text: String =
            text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let text = text.split('-').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-");
        if text.is_empty() { "x".to_owned() } else { text }
    };
    format!("{}/{}/{}:{digest}", part(entity), part(project), part(job))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_dockerfile_of_the_job_is_found_in_the_documented_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/train.py"), "").unwrap();
        let command = ["python".to_owned(), "sub/train.py".to_owned()];
        let of = |given, job| of_job(root, given, job, &command);
        assert_eq!(of(None, None).unwrap(), None);
        fs::write(root.join("sub/Dockerfile.wandb"), "").unwrap();
        assert_eq!(of(None, None).unwrap(), Some((root.join("sub/Dockerfile.wandb"), root.join("sub"))));
        fs::write(root.join("D"), "").unwrap();
        assert_eq!(of(None, Some("D")).unwrap(), Some((root.join("D"), root.to_owned())));
        assert!(of(Some("E"), Some("D")).unwrap_err().message.contains("`E`"));
        assert!(of(Some("../D"), None).is_err());
    }

    /// Runs the words for a frozen list with a pip that says of each package what `said` has for it, and fails then.
    /// Returns whether it ended well, and the report.
    fn run_frozen(said: &[(&str, &str)]) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut cases = String::new();
        for (name, text) in said {
            let _ = writeln!(cases, "*{name}*) echo \"{text}\"; exit 1;;");
        }
        // The list as a whole fails with the first that fails.
        let first = said.first().map_or_else(String::new, |(_, text)| format!("*-r*) echo \"{text}\"; exit 1;;\n"));
        fs::write(at("pip"), format!("case \"$*\" in\n{first}{cases}esac\ncat\n")).unwrap();
        fs::write(at("lines.txt"), "good==1\nbad==1\nlast==1\n").unwrap();
        fs::write(at("of-all.txt"), diagnose::words_of_all().fold(String::new(), |t, w| t + w + "\n")).unwrap();
        let pip = format!("sh {}", at("pip"));
        let script = frozen(&pip, "-r x", "--no-deps", &at("report.txt"));
        let script = script.replace("/opt/lanza", &folder.path().display().to_string());
        let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
        (status.success(), fs::read_to_string(at("report.txt")).unwrap_or_default())
    }

    #[test]
    fn of_a_frozen_list_a_package_may_fail_and_the_index_may_not() {
        assert_eq!(run_frozen(&[]), (true, String::new()));
        let missing = "ERROR: No matching distribution found for bad";
        assert_eq!(run_frozen(&[("bad", missing)]), (true, "failed bad==1\n".into()));
        let retrying = format!("WARNING: Retrying (Retry(total=4, connect=None)) after connection broken\n{missing}");
        for away in [
            "OSError: [Errno 28] No space left on device",
            "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken",
            "ERROR: 403 Client Error: Forbidden",
            &retrying,
        ] {
            assert_eq!(run_frozen(&[("bad", away)]), (false, String::new()), "{away}");
            // Away after the whole list failed by a package of its own.
            assert_eq!(run_frozen(&[("bad", missing), ("last", away)]), (false, "failed bad==1\n".into()), "{away}");
        }
        // An index that was asked twice, and answered.
        let compiled = "Retrying (Retry(total=4, connect=None))\nERROR: Failed building wheel for bad";
        assert_eq!(run_frozen(&[("bad", compiled)]), (true, "failed bad==1\n".into()));
    }

    #[test]
    fn packages_are_installed_anew_by_another_step_and_all_else_is_kept() {
        let requirements = Requirements::parse(Origin::Source, "pebble\n", Path::new("/nonexistent"));
        let of = |anew| {
            let requirements = Some(&requirements);
            environment(&Plan { base: "b", requirements, user: 1000, key: "k", cache_mounts: true, anew })
        };
        let (old, new) = (of(None), of(Some(7)));
        let differ: Vec<_> = old.lines().zip(new.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(differ.len(), 1);
        assert!(differ[0].1.contains(": anew 7; ") && differ[0].1.contains("pip install"), "{differ:?}");
        assert_ne!(of(Some(8)), new);
    }

    #[test]
    fn tags_are_legal_names() {
        assert_eq!(whole_tag("Acme_X", "my proj", "job-https___h_r.git_", "ab"), "acme-x/my-proj/job-https-h-r-git:ab");
    }

    #[test]
    fn base_images_are_names_and_no_lines() {
        for good in ["python:3.11-slim", "r.local:5000/a/b_c:1", &format!("a@sha256:{}", "0".repeat(64))] {
            assert!(check_base(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\nRUN id", "a#b", "-x", "a@sha256:12", "a@md5:0"] {
            assert!(check_base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn syntax_lines_go_and_all_else_stays() {
        let text = "# syntax=docker/dockerfile:1.4\n# escape=`\n#SYNTAX = x\nFROM a\n# syntax=late\nRUN b\n";
        assert_eq!(without_syntax_lines(text), "# escape=`\nFROM a\n# syntax=late\nRUN b\n");
        assert_eq!(without_syntax_lines("FROM a"), "FROM a");
    }
}
