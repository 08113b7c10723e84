//! What a source needs: its Python version and its packages, as its own files say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lanza_model::job::{FROZEN_REQUIREMENTS, python_minor};
use toml_edit::{Document, Item, Table};

/// Reads a file of the source, by its path.
pub(super) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Files that name a Python version, the first that does wins.
const PYTHON_FILES: [&str; 2] = ["runtime.txt", ".python-version"];

/// A list of packages and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// In the form of `requirements.txt`.
    pub(super) text: String,
    /// The file; none when there is no list.
    pub(super) file: Option<&'static str>,
    /// What could not be taken over.
    pub(super) warnings: Vec<String>,
}

/// Returns the Python version that the source asks for, and the file that does.
pub(super) fn python(read: Read) -> Option<(String, &'static str)> {
    PYTHON_FILES.iter().find_map(|file| {
        let text = read(file)?;
        let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?;
        Some((python_minor(line)?, *file))
    })
}

/// Returns the packages: `requirements.txt`, else the versions that `uv.lock` fixes, else what `pyproject.toml` asks for,
/// else a frozen list that lies there.
pub(super) fn packages(read: Read) -> Needs {
    if let Some(text) = read("requirements.txt") {
        return Needs { text, file: Some("requirements.txt"), ..Needs::default() };
    }
    let mut warnings = Vec::new();
    if let Some(text) = read("uv.lock") {
        match locked(&text) {
            Ok((text, left_out)) => {
                warnings.extend(left_out);
                return Needs { text, file: Some("uv.lock"), warnings };
            }
            Err(why) => warnings.push(format!("uv.lock is not used: {why}")),
        }
    }
    if let Some(text) = read("pyproject.toml") {
        match project(&text) {
            Ok(text) => return Needs { text, file: Some("pyproject.toml"), warnings },
            Err(why) => warnings.push(format!("pyproject.toml is not used: {why}")),
        }
    }
    match read(FROZEN_REQUIREMENTS) {
        Some(text) => Needs { text, file: Some(FROZEN_REQUIREMENTS), warnings },
        None => Needs { warnings, ..Needs::default() },
    }
}

/// Whether a list names the client, without which a job has no run.
pub(super) fn names_wandb(text: &str) -> bool {
    text.lines().any(|l| !l.trim_start().starts_with('#') && l.to_ascii_lowercase().contains("wandb"))
}

fn project(text: &str) -> Result<String, String> {
    let document = parse(text)?;
    let list = document.get("project").and_then(|p| p.get("dependencies")).and_then(Item::as_array);
    let list = list.ok_or("it has no project.dependencies")?;
    let lines: Vec<&str> = list.iter().filter_map(|d| d.as_str()).collect();
    Ok(lines.join("\n") + "\n")
}

fn parse(text: &str) -> Result<Document<String>, String> {
    Document::parse(text.to_owned()).map_err(|e| format!("it is not TOML ({})", e.message()))
}

/// A package of a lock file.
struct Locked<'a> {
    version: &'a str,
    /// Line that installs it; none where it is a folder of the project.
    line: Option<String>,
    /// The project itself.
    root: bool,
    needs: Vec<Need>,
    extras: HashMap<&'a str, Vec<Need>>,
}

/// An edge from one package to another.
#[derive(Clone)]
struct Need {
    name: String,
    version: Option<String>,
    extras: Vec<String>,
    marker: Option<String>,
}

/// Returns what the project of a lock file needs, each with its exact version; packages for development are left out.
fn locked(text: &str) -> Result<(String, Vec<String>), String> {
    let document = parse(text)?;
    let packages = document.get("package").and_then(Item::as_array_of_tables).ok_or("it locks no package")?;
    let mut all: BTreeMap<&str, Vec<Locked>> = BTreeMap::new();
    let mut roots = Vec::new();
    for package in packages {
        let name = text_of(package, "name").ok_or("a package of it has no name")?;
        let version = text_of(package, "version").unwrap_or_default();
        let source = package.get("source");
        let from = |key: &str| source.and_then(|s| s.get(key)).and_then(Item::as_str);
        let line = if from("registry").is_some() {
            Some(format!("{name}=={version}"))
        } else if let Some(git) = from("git") {
            let (address, commit) = git.split_once('#').unwrap_or((git, ""));
            let address = address.split('?').next().unwrap_or(address);
            Some(if commit.is_empty() {
                format!("{name} @ git+{address}")
            } else {
                format!("{name} @ git+{address}@{commit}")
            })
        } else {
            from("url").map(|url| format!("{name} @ {url}"))
        };
        let root = [from("virtual"), from("editable")].contains(&Some("."));
        if root {
            roots.push((name, version));
        }
        let optional = package.get("optional-dependencies").and_then(Item::as_table_like);
        let extras =
            optional.into_iter().flat_map(|t| t.iter()).map(|(extra, list)| (extra, needs(Some(list)))).collect();
        let found = Locked { version, line, root, needs: needs(package.get("dependencies")), extras };
        all.entry(name).or_default().push(found);
    }
    if roots.is_empty() {
        return Err("it names no project of its own".into());
    }
    Ok(walk(&all, roots))
}

/// Goes through everything that the roots need, and joins the conditions on the way.
fn walk(all: &BTreeMap<&str, Vec<Locked>>, roots: Vec<(&str, &str)>) -> (String, Vec<String>) {
    /// Conditions of one package; none at all means always.
    type Conditions = BTreeSet<Option<String>>;
    let mut lines: BTreeMap<String, Conditions> = BTreeMap::new();
    let mut warnings = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let root = |(name, version): (&str, &str)| {
        (Need { name: name.to_owned(), version: Some(version.to_owned()), extras: Vec::new(), marker: None }, None)
    };
    let mut open: Vec<(Need, Option<String>)> = roots.into_iter().map(root).collect();
    while let Some((need, above)) = open.pop() {
        let condition = match (above, need.marker.clone()) {
            (Some(a), Some(b)) if a != b => Some(format!("({a}) and ({b})")),
            (a, b) => a.or(b),
        };
        let key = (need.name.clone(), need.version.clone(), need.extras.clone(), condition.clone());
        if !seen.insert(key) {
            continue;
        }
        for found in all.get(need.name.as_str()).into_iter().flatten() {
            if need.version.as_ref().is_some_and(|v| v != found.version) {
                continue;
            }
            match &found.line {
                Some(line) => {
                    lines.entry(line.clone()).or_default().insert(condition.clone());
                }
                None if !found.root => {
                    warnings.insert(format!("`{}` of uv.lock is a folder, not a package; left out", need.name));
                }
                None => {}
            }
            let extras = need.extras.iter().filter_map(|e| found.extras.get(e.as_str())).flatten();
            open.extend(found.needs.iter().chain(extras).map(|n| (n.clone(), condition.clone())));
        }
    }
    let mut text = String::new();
    for (line, conditions) in lines {
        text.push_str(&line);
        if !conditions.contains(&None) {
            let all: Vec<String> = conditions.into_iter().flatten().collect();
            let joined = if all.len() == 1 { all[0].clone() } else { format!("({})", all.join(") or (")) };
            text.push_str(&format!(" ; {joined}"));
        }
        text.push('\n');
    }
    (text, warnings.into_iter().collect())
}

fn needs(list: Option<&Item>) -> Vec<Need> {
    let tables = list.and_then(Item::as_array).into_iter().flatten().filter_map(|d| d.as_inline_table());
    tables
        .map(|d| Need {
            name: d.get("name").and_then(|v| v.as_str()).unwrap_or_default().to_owned(),
            version: d.get("version").and_then(|v| v.as_str()).map(str::to_owned),
            extras: d
                .get("extra")
                .and_then(|v| v.as_array())
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str())
                .map(str::to_owned)
                .collect(),
            marker: d.get("marker").and_then(|v| v.as_str()).map(str::to_owned),
        })
        .collect()
}

fn text_of<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Item::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Needs {
        let files: HashMap<String, String> = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        packages(&|path| files.get(path).cloned())
    }

    const LOCK: &str = r#"
version = 1
requires-python = ">=3.11"

[[package]]
name = "my-project"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "numpy" },
    { name = "tool", extra = ["fast"] },
    { name = "winonly", marker = "sys_platform == 'win32'" },
    { name = "neighbour" },
]

[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "numpy"
version = "2.4.6"
source = { registry = "https://index.example/simple" }

[[package]]
name = "tool"
version = "1.0"
source = { git = "https://host.example/tool.git?rev=v1#0123abc" }
dependencies = [{ name = "numpy" }, { name = "shared", marker = "python_full_version < '3.12'" }]

[package.optional-dependencies]
fast = [{ name = "speed" }]

[[package]]
name = "speed"
version = "3"
source = { registry = "https://index.example/simple" }

[[package]]
name = "shared"
version = "4"
source = { registry = "https://index.example/simple" }

[[package]]
name = "winonly"
version = "5"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "shared" }]

[[package]]
name = "neighbour"
version = "0.2"
source = { editable = "libs/neighbour" }

[[package]]
name = "pytest"
version = "9"
source = { registry = "https://index.example/simple" }
"#;

    #[test]
    fn a_lock_fixes_every_version_that_the_project_needs() {
        let found = of(&[("uv.lock", LOCK), ("pyproject.toml", "[project]\ndependencies = ['numpy']")]);
        assert_eq!(found.file, Some("uv.lock"));
        assert_eq!(
            found.text,
            "numpy==2.4.6\n\
             shared==4 ; (python_full_version < '3.12') or (sys_platform == 'win32')\n\
             speed==3\n\
             tool @ git+https://host.example/tool.git@0123abc\n\
             winonly==5 ; sys_platform == 'win32'\n"
        );
        assert_eq!(found.warnings, ["`neighbour` of uv.lock is a folder, not a package; left out"]);
    }

    #[test]
    fn the_first_list_that_is_there_counts() {
        let project =
            "[project]\nname = 'x'\ndependencies = [\"wandb==0.31.0\", 'numpy>=2 ; python_version > \"3\"']\n";
        assert_eq!(of(&[("requirements.txt", "a\n"), ("uv.lock", LOCK)]).text, "a\n");
        let found = of(&[("pyproject.toml", project), ("requirements.frozen.txt", "b\n")]);
        assert_eq!(found.text, "wandb==0.31.0\nnumpy>=2 ; python_version > \"3\"\n");
        let found = of(&[("uv.lock", "["), ("pyproject.toml", "[tool.x]\n"), ("requirements.frozen.txt", "b\n")]);
        assert_eq!(
            (found.text.as_str(), found.file, found.warnings.len()),
            ("b\n", Some("requirements.frozen.txt"), 2)
        );
        assert_eq!(of(&[]), Needs::default());
        assert!(names_wandb("x\nwandb[media]==1\n") && !names_wandb("# wandb\nnumpy\n"));
    }

    #[test]
    fn the_python_version_is_that_of_the_first_file_that_names_one() {
        let of = |files: &[(&str, &str)]| {
            let files: HashMap<_, _> = files.iter().copied().collect();
            python(&|path| files.get(path).map(|t| (*t).to_owned()))
        };
        assert_eq!(
            of(&[("runtime.txt", "python-3.12.4\n"), (".python-version", "3.11")]),
            Some(("3.12".into(), "runtime.txt"))
        );
        assert_eq!(
            of(&[("runtime.txt", "pypy"), (".python-version", "# x\n3.11.2\n")]),
            Some(("3.11".into(), ".python-version"))
        );
        assert_eq!(of(&[]), None);
    }
}
