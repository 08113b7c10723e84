//! What a job needs, as a normalised text: equal needs have equal text, whatever their order, case and comments.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use super::pyproject;
use crate::source::{artifact::hex, inside};

/// Where the list came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `requirements.txt` or `pyproject.toml` of the source: it must install.
    Source,
    /// The frozen list of the run or folder that the job was made from: packages that do not install become warnings.
    Frozen,
}

/// A normalised list of requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirements {
    pub(crate) origin: Origin,
    /// Lines such as `--extra-index-url …`, in their order.
    pub(crate) options: Vec<String>,
    /// Requirements, sorted.
    pub(crate) lines: Vec<String>,
    /// Constraints, sorted.
    pub(crate) constraints: Vec<String>,
    /// A requirement is a path of the source, so the environment depends on the code.
    pub(crate) local: bool,
}

impl Requirements {
    /// Reads the list of a job: the source's `requirements.txt`, else the dependencies of its `pyproject.toml` (in the
    /// versions of `uv.lock`), else the frozen one; none when there is none of them.
    pub(crate) fn of_job(folder: &Path, frozen: Option<&str>) -> Option<Self> {
        let found = if let Some(text) = include(folder, "requirements.txt") {
            Self::parse(Origin::Source, &text, folder)
        } else if let Some(lines) =
            include(folder, "pyproject.toml").and_then(|text| pyproject::dependencies(&text)).filter(|l| !l.is_empty())
        {
            let mut found = Self::parse(Origin::Source, &lines.join("\n"), folder);
            if let Some(lock) = include(folder, "uv.lock") {
                found.constraints.extend(pyproject::locked(&lock));
                found.constraints.sort();
                found.constraints.dedup();
            }
            found
        } else {
            Self::parse(Origin::Frozen, frozen?, folder)
        };
        (!found.lines.is_empty()).then_some(found)
    }

    /// Normalises `text`; files that it includes are looked for below `folder`.
    pub(crate) fn parse(origin: Origin, text: &str, folder: &Path) -> Self {
        let mut found = Self { origin, options: Vec::new(), lines: Vec::new(), constraints: Vec::new(), local: false };
        found.read(text, folder, 0);
        for list in [&mut found.lines, &mut found.constraints] {
            list.sort();
            list.dedup();
        }
        found
    }

    fn read(&mut self, text: &str, folder: &Path, depth: u32) {
        for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
            let line = without_comment(line).split_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() {
                continue;
            }
            let word = |names: &[&str]| {
                names.iter().find_map(|n| {
                    let rest = line.strip_prefix(n)?;
                    (n.len() == 2 || rest.starts_with([' ', '=']))
                        .then(|| rest.trim_start_matches([' ', '=']).to_owned())
                })
            };
            if let Some(file) = word(&["-r", "--requirement"]) {
                match include(folder, &file).filter(|_| depth < 8) {
                    Some(text) => self.read(&text, folder, depth + 1),
                    None => self.lines.push(line),
                }
            } else if let Some(file) = word(&["-c", "--constraint"]) {
                match include(folder, &file) {
                    Some(text) => self
                        .constraints
                        .extend(text.lines().map(|l| without_comment(l).trim().to_owned()).filter(|l| !l.is_empty())),
                    None => self.lines.push(line),
                }
            } else if let Some(path) = word(&["-e", "--editable"]) {
                // The code is laid out anew for every attempt, so an environment cannot point into it.
                self.local |= !path.contains("://");
                self.lines.push(path);
            } else if line.starts_with('-') {
                self.options.push(line);
            } else {
                self.local |= is_local(&line);
                self.lines.push(normalise(&line));
            }
        }
    }

    /// Returns the text to install from.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.options.iter().chain(&self.lines) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Returns a digest of everything that decides what gets installed; `code` counts where the list points into it.
    pub(crate) fn digest(&self, code: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.text());
        digest.update("\0");
        digest.update(self.constraints.join("\n"));
        digest.update(if self.origin == Origin::Frozen { "\0frozen" } else { "\0" });
        if self.local {
            digest.update(code);
        }
        hex(&digest.finalize())
    }
}

/// Returns what to say about an environment with these packages (`name==version`) that does not have the client.
pub(crate) fn client_missing(packages: &[String]) -> Option<String> {
    let is_client = |line: &String| {
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(line.len());
        line[..end].eq_ignore_ascii_case("wandb")
    };
    (!packages.iter().any(is_client)).then(|| {
        "`wandb` is not among the packages of the job's environment, so a script that imports it fails; add it to \
         `requirements.txt`"
            .to_owned()
    })
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.split_once(" #").map_or(line, |(before, _)| before)
}

fn include(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(inside(folder, file)?).ok()
}

fn is_local(line: &str) -> bool {
    let target = line.split_once(" @ ").map_or(line, |(_, t)| t);
    target.starts_with(['.', '/']) || target.starts_with("file:") || (target.contains('/') && !target.contains("://"))
}

/// Lower-cases the package's name, with `-` for `_` and `.`, and drops blanks around versions.
fn normalise(line: &str) -> String {
    if is_local(line) || line.contains("://") {
        return line.to_owned();
    }
    let (requirement, marker) = line.split_once(';').map_or((line, None), |(r, m)| (r, Some(m.trim())));
    let (requirement, hashes) = requirement.split_once(" --").map_or((requirement, None), |(r, h)| (r, Some(h.trim())));
    let end =
        requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(requirement.len());
    let name = requirement[..end].to_ascii_lowercase().replace(['_', '.'], "-");
    let mut text = name + &requirement[end..].split_whitespace().collect::<String>();
    if let Some(marker) = marker {
        text.push_str(" ; ");
        text.push_str(marker);
    }
    if let Some(hashes) = hashes {
        text.push_str(" --");
        text.push_str(hashes);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Requirements {
        Requirements::parse(Origin::Source, text, Path::new("/nonexistent"))
    }

    #[test]
    fn equal_needs_have_equal_text() {
        let a = parse("# needs\nScikit_Learn == 1.9.1  # pinned\nwandb==0.31.0\n\n");
        let b = parse("wandb==0.31.0\r\nscikit-learn==1.9.1\nwandb ==0.31.0\n");
        assert_eq!(a.text(), "scikit-learn==1.9.1\nwandb==0.31.0\n");
        assert_eq!(a.digest(""), b.digest("code"));
        assert_ne!(a.digest(""), parse("wandb==0.31.1\nscikit-learn==1.9.1").digest(""));
        assert_ne!(a.digest(""), parse("--pre\nwandb==0.31.0\nscikit-learn==1.9.1").digest(""));
    }

    #[test]
    fn hashes_markers_extras_and_addresses_survive() {
        assert_eq!(
            parse(
                "A_b[x, y] >= 1 ; python_version < '4'\nc==1 \\\n  --hash=sha256:ab\ngit+https://h/R_x.git@v1#egg=R_x\n"
            )
            .lines,
            ["a-b[x,y]>=1 ; python_version < '4'", "c==1 --hash=sha256:ab", "git+https://h/R_x.git@v1#egg=R_x"]
        );
    }

    #[test]
    fn an_environment_without_the_client_is_remarked_on() {
        for (packages, there) in [
            (&["wandb==0.31.0"][..], true),
            (&["numpy==2", "wandb @ file:///x/wandb.whl"], true),
            (&["wandb-core==1", "wandbx==2"], false),
            (&[], false),
        ] {
            let packages: Vec<String> = packages.iter().map(|p| (*p).to_owned()).collect();
            assert_eq!(client_missing(&packages).is_none(), there, "{packages:?}");
        }
    }

    #[test]
    fn a_list_that_points_into_the_code_depends_on_it() {
        for text in ["-e .", "./lib", "--editable=sub", "pkg @ file:///x", "vendor/a.whl"] {
            let r = parse(text);
            assert!(r.local, "{text}");
            assert_ne!(r.digest("a"), r.digest("b"), "{text}");
        }
        assert!(!parse("a @ https://h/a.whl\n-e git+https://h/r.git").local);
        assert_eq!(parse("-e .").lines, ["."]);
    }

    #[test]
    fn included_files_count_by_their_content_and_stay_below_the_source() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("base.txt"), "numpy==2\n").unwrap();
        fs::write(folder.path().join("requirements.txt"), "-r base.txt\n-c ../../etc/passwd\nwandb\n").unwrap();
        let r = Requirements::of_job(folder.path(), Some("ignored==1")).unwrap();
        assert_eq!(r.lines, ["-c ../../etc/passwd", "numpy==2", "wandb"]);
        assert_eq!(r.origin, Origin::Source);
        fs::remove_file(folder.path().join("requirements.txt")).unwrap();
        assert_eq!(Requirements::of_job(folder.path(), Some("a==1")).unwrap().origin, Origin::Frozen);
        assert_eq!(Requirements::of_job(folder.path(), None), None);

        fs::write(folder.path().join("pyproject.toml"), "[project]\ndependencies = [\"b>=1\", \"A\"]\n").unwrap();
        let plain = Requirements::of_job(folder.path(), Some("a==1")).unwrap();
        assert_eq!((plain.origin, plain.lines.join(" ")), (Origin::Source, "a b>=1".into()));
        fs::write(
            folder.path().join("uv.lock"),
            "[[package]]\nname = \"b\"\nversion = \"2\"\nsource = { registry = \"https://h/simple\" }\n",
        )
        .unwrap();
        let locked = Requirements::of_job(folder.path(), None).unwrap();
        assert_eq!(locked.constraints, ["b==2"]);
        assert_ne!(locked.digest(""), plain.digest(""));

        // What the agent's own user may read is not the job's.
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("requirements.txt")).unwrap();
        assert_eq!(Requirements::of_job(folder.path(), None).unwrap(), locked);
    }
}
