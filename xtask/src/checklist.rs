//! The table of what is expected and which test shows it: `docs/checklist/*.toml` in, `docs/checklist.md` out.
//!
//! People keep the lines; this checks that every test that is named exists, that a line about git, builds, registries or
//! stopping names a test against the real component, and that the page is what the lines say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, Table};

use crate::root;

const FOLDER: &str = "docs/checklist";
const PAGE: &str = "docs/checklist.md";

/// Each reference's file, in the order of the page.
const FILES: &[&str] = &["launch.toml", "agent.toml"];

/// What a test can have run against: the word of the files, and what the page says of it.
const COMPONENTS: &[(&str, &str)] = &[
    ("client", "the unmodified `wandb` package and command, 0.31.0"),
    ("stock agent", "the unmodified `wandb launch-agent`, 0.31.0"),
    ("process", "Linux processes, started, watched and killed for real"),
    ("engine", "a Docker engine, with its own builder"),
    ("buildx", "`docker buildx` on that engine"),
    ("installer", "`uv` and `pip` with a package index on loopback that counts its requests"),
    ("git https", "git's own `http-backend`, with TLS and a password, and once without"),
    ("git ssh", "OpenSSH's `sshd` with `git-shell`, a key and known hosts"),
    ("registry", "`docker-registry` with TLS, a CA of its own and a password"),
    ("binary", "the `lanza` binary, through REST, GraphQL and its command line"),
    ("database", "SQLite, and Postgres where one is installed"),
    ("browser", "the web app in Chromium, with a real server and a real agent"),
    ("in process", "the rule itself, called by a test"),
];

/// What a line can be about that must be shown against the real thing, and what counts as that.
const REAL: &[(&str, &[&str])] = &[
    ("git", &["git https", "git ssh"]),
    ("build", &["installer", "engine", "buildx"]),
    ("registry", &["registry"]),
    ("stop", &["process", "engine"]),
];

/// The states of a line: the word, whether it names tests (`None`: it may), and the words of the page.
const STATES: &[(&str, Option<bool>, &str)] = &[
    ("shown", Some(true), "shown"),
    ("partly", Some(true), "shown in part"),
    ("differs", None, "differs on purpose"),
    ("untested", Some(false), "no test yet"),
    ("unbuilt", Some(false), "not built yet"),
    ("later", Some(false), "with a later target"),
];

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    let (page, tests) = page()?;
    fs::write(root().join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("wrote {PAGE}; {tests} tests are named in it and all of them exist");
    Ok(())
}

/// Refuses a line that names a test that is not there, and a page that is not what the lines say.
pub(crate) fn check() -> Result<()> {
    let (page, tests) = page()?;
    let there = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    if there != page {
        bail!("{PAGE} is not what {FOLDER} says; run `cargo xtask checklist`");
    }
    println!("    {PAGE} is up to date, and the {tests} tests that it names exist");
    Ok(())
}

/// Returns the page and how many tests it names.
fn page() -> Result<(String, usize)> {
    let folder = root().join(FOLDER);
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    let mut tests = BTreeSet::new();
    let mut parts = Vec::new();
    for name in FILES {
        let text = fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read {FOLDER}/{name}"))?;
        let reference = Reference::parse(&text).with_context(|| format!("{FOLDER}/{name}"))?;
        for line in reference.sections.iter().flat_map(|(_, lines)| lines) {
            let mut problems = line.problems(&root());
            if !ids.insert(line.id.clone()) {
                problems.push("its id is taken".to_owned());
            }
            wrong.extend(problems.into_iter().map(|problem| format!("{name}: `{}`: {problem}", line.id)));
            tests.extend(line.tests.iter().cloned());
        }
        parts.push(reference);
    }
    if !wrong.is_empty() {
        bail!("{} lines of {FOLDER} are wrong:\n  {}", wrong.len(), wrong.join("\n  "));
    }
    Ok((render(&parts, tests.len()), tests.len()))
}

/// One file of lines.
struct Reference {
    title: String,
    about: String,
    sections: Vec<(String, Vec<Line>)>,
}

/// One thing that somebody expects.
struct Line {
    id: String,
    says: String,
    about: Option<String>,
    state: String,
    note: String,
    tests: Vec<String>,
    on: Vec<String>,
}

impl Reference {
    fn parse(text: &str) -> Result<Self> {
        let document: DocumentMut = text.parse()?;
        let mut sections = Vec::new();
        for section in document.get("section").and_then(Item::as_array_of_tables).context("it has sections")? {
            let title = word(section, "title")?.context("a section has a title")?;
            let lines = section.get("line").and_then(Item::as_array_of_tables);
            let lines = lines.with_context(|| format!("section `{title}` has lines"))?;
            sections.push((title, lines.iter().map(Line::parse).collect::<Result<_>>()?));
        }
        let top = document.as_table();
        Ok(Self {
            title: word(top, "title")?.context("it has a title")?,
            about: word(top, "about")?.context("it says what it is about")?,
            sections,
        })
    }
}

impl Line {
    fn parse(table: &Table) -> Result<Self> {
        let id = word(table, "id")?.context("a line has an id")?;
        let known = ["id", "says", "about", "state", "note", "tests", "on"];
        if let Some((key, _)) = table.iter().find(|(key, _)| !known.contains(key)) {
            bail!("`{id}` has a key `{key}` that nobody reads");
        }
        let of = |key| word(table, key).with_context(|| format!("`{id}`"));
        let list = |key| words(table, key).with_context(|| format!("`{id}`"));
        Ok(Self {
            says: of("says")?.with_context(|| format!("`{id}` says something"))?,
            about: of("about")?,
            state: of("state")?.unwrap_or_else(|| "shown".to_owned()),
            note: of("note")?.unwrap_or_default(),
            tests: list("tests")?,
            on: list("on")?,
            id,
        })
    }

    fn problems(&self, root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        match STATES.iter().find(|(state, ..)| *state == self.state) {
            None => found.push(format!("there is no state `{}`", self.state)),
            Some((_, Some(true), _)) if self.tests.is_empty() => found.push("it names no test".to_owned()),
            Some((_, Some(false), _)) if !self.tests.is_empty() => {
                found.push("it names tests, so it is shown".to_owned());
            }
            Some(_) => {}
        }
        if self.state != "shown" && self.note.is_empty() {
            found.push("it has no note that says why, or what is missing".to_owned());
        }
        if self.tests.is_empty() != self.on.is_empty() {
            found.push("tests and what they ran against (`on`) go together".to_owned());
        }
        for component in self.on.iter().filter(|on| COMPONENTS.iter().all(|(known, _)| known != on)) {
            found.push(format!("there is no component `{component}`"));
        }
        if let Some(about) = &self.about {
            match REAL.iter().find(|(word, _)| word == about) {
                None => found.push(format!("nothing is known of lines about `{about}`")),
                Some((_, real)) if matches!(self.state.as_str(), "shown" | "partly") => {
                    let conformance = self.tests.iter().any(|test| test.starts_with("conformance/"));
                    if !conformance || !self.on.iter().any(|on| real.contains(&on.as_str())) {
                        found.push(format!("a line about {about} needs a conformance test on one of {real:?}"));
                    }
                }
                Some(_) => {}
            }
        }
        found.extend(self.tests.iter().filter_map(|test| missing(root, test)));
        found
    }
}

fn word(table: &Table, key: &str) -> Result<Option<String>> {
    let Some(item) = table.get(key) else { return Ok(None) };
    Ok(Some(item.as_str().with_context(|| format!("`{key}` is a text"))?.trim().to_owned()))
}

fn words(table: &Table, key: &str) -> Result<Vec<String>> {
    let Some(item) = table.get(key) else { return Ok(Vec::new()) };
    let list = item.as_array().with_context(|| format!("`{key}` is a list"))?;
    list.iter().map(|v| v.as_str().map(str::to_owned).with_context(|| format!("`{key}` is a list of texts"))).collect()
}

/// Says what is missing of a test: `conformance/FILE.py::NAME`, `ui/FILE.test.ts::TITLE`, or `CRATE: MODULE::NAME` with
/// `tests/FILE` for the module of an integration test.
fn missing(root: &Path, test: &str) -> Option<String> {
    if let Some((file, name)) = test.split_once("::")
        && file.starts_with("conformance/")
    {
        let Ok(text) = fs::read_to_string(root.join(file)) else { return Some(format!("there is no file {file}")) };
        let there = name.starts_with("test_") && text.lines().any(|l| l.starts_with(&format!("def {name}(")));
        return (!there).then(|| format!("{file} has no test `{name}`"));
    }
    if let Some((file, title)) = test.split_once("::")
        && file.starts_with("ui/")
    {
        let Ok(text) = fs::read_to_string(root.join(file)) else { return Some(format!("there is no file {file}")) };
        return (!text.contains(&format!("test(\"{title}\""))).then(|| format!("{file} has no test \"{title}\""));
    }
    let Some((package, path)) = test.split_once(": ") else {
        return Some(format!(
            "`{test}` is none of `conformance/FILE.py::NAME`, `ui/FILE.test.ts::TITLE` and `CRATE: MODULE::NAME`"
        ));
    };
    let home = match package {
        "xtask" => root.join("xtask"),
        "lanza" => root.join("crates/lanza"),
        other => root.join("crates").join(other.strip_prefix("lanza-").unwrap_or(other)),
    };
    let Some((module, name)) = path.rsplit_once("::") else {
        return Some(format!("`{test}` names no module"));
    };
    let module = module.replace("::", "/");
    let candidates = if module.starts_with("tests/") {
        vec![home.join(format!("{module}.rs"))]
    } else {
        vec![home.join(format!("src/{module}.rs")), home.join(format!("src/{module}/mod.rs"))]
    };
    let Some(text) = candidates.iter().find_map(|file| fs::read_to_string(file).ok()) else {
        return Some(format!("{package} has no module `{module}`"));
    };
    (!is_test(&text, name)).then(|| format!("{package} has no test `{name}` in `{module}`"))
}

/// Whether a function of this name carries an attribute that makes it a test.
fn is_test(text: &str, name: &str) -> bool {
    let mut attribute = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attribute |= line.contains("test");
        } else if line.contains(&format!("fn {name}(")) {
            return attribute;
        } else if !line.is_empty() && !line.starts_with("//") {
            attribute = false;
        }
    }
    false
}

fn render(references: &[Reference], tests: usize) -> String {
    let mut out = String::from(
        "# What is expected, and which test shows it\n\n\
         Generated by `cargo xtask checklist` from `docs/checklist/*.toml`; `cargo xtask test lint` fails when a test that is named here is\n\
         not there, or when this page is not what those files say. Tests of `conformance/` drive the real binary, those of `ui/e2e` a browser;\n\
         the others are run by `cargo test -p CRATE NAME`. A line about git, builds, registries or stopping names a test against the real component.\n\n",
    );
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let lines = || references.iter().flat_map(|r| &r.sections).flat_map(|(_, lines)| lines);
    for line in lines() {
        *counts.entry(&line.state).or_default() += 1;
    }
    let _ = writeln!(out, "| state | lines |\n|---|---|");
    for (state, _, words) in STATES {
        let _ = writeln!(out, "| {words} | {} |", counts.get(state).unwrap_or(&0));
    }
    let _ = writeln!(out, "| all | {} |\n\n{tests} tests are named. What they ran against:\n", lines().count());
    let _ = writeln!(out, "| component | what it is | lines |\n|---|---|---|");
    for (component, what) in COMPONENTS {
        let count = lines().filter(|line| line.on.iter().any(|on| on == component)).count();
        let _ = writeln!(out, "| {component} | {what} | {count} |");
    }
    for reference in references {
        let _ = writeln!(out, "\n## {}\n\n{}", reference.title, reference.about);
        for (title, lines) in &reference.sections {
            let _ = writeln!(out, "\n### {title}\n\n| line | state | tests | ran against |\n|---|---|---|---|");
            for line in lines {
                let _ = writeln!(
                    out,
                    "| `{}` {} | {} | {} | {} |",
                    line.id,
                    cell(&line.says),
                    state_cell(line),
                    line.tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>"),
                    line.on.join(", "),
                );
            }
        }
    }
    out
}

fn state_cell(line: &Line) -> String {
    let words = STATES.iter().find(|(state, ..)| *state == line.state).map_or("", |(.., words)| words);
    if line.note.is_empty() { words.to_owned() } else { format!("{words}: {}", cell(&line.note)) }
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let text = format!("title = 't'\nabout = 'a'\n[[section]]\ntitle = 's'\n[[section.line]]\n{text}\n");
        let reference = Reference::parse(&text).unwrap();
        reference.sections[0].1[0].problems(&root())
    }

    #[test]
    fn a_line_that_names_what_is_not_there_is_wrong() {
        let own = "tests = ['xtask: checklist::a_line_that_names_what_is_not_there_is_wrong']\non = ['in process']";
        assert_eq!(problems(&format!("id = 'x'\nsays = 'y'\n{own}")), Vec::<String>::new());
        for (text, says) in [
            ("tests = ['xtask: checklist::render']\non = ['in process']", "has no test `render`"),
            ("tests = ['xtask: nowhere::x']\non = ['in process']", "has no module"),
            ("tests = ['conformance/test_nowhere.py::test_x']\non = ['client']", "there is no file"),
            ("tests = ['conformance/test_builds.py::phases']\non = ['client']", "has no test"),
            ("tests = ['ui/e2e/app.test.ts::nothing happens']\non = ['browser']", "has no test"),
            ("tests = ['something']\non = ['client']", "is none of"),
            (own.split_once('\n').unwrap().0, "go together"),
            ("", "names no test"),
            ("state = 'unbuilt'", "no note"),
            ("state = 'finished'\nnote = 'n'", "no state `finished`"),
            (&format!("state = 'later'\nnote = 'n'\n{own}"), "so it is shown"),
            (&format!("about = 'git'\n{own}"), "needs a conformance test"),
            (&own.replace("in process", "the moon"), "no component `the moon`"),
        ] {
            let found = problems(&format!("id = 'x'\nsays = 'y'\n{text}"));
            assert!(found.iter().any(|problem| problem.contains(says)), "{text}: {found:?}");
        }
        assert!(
            Reference::parse("title = 't'\nabout = 'a'\n[[section]]\ntitle = 's'\n[[section.line]]\nid = 'x'\nwho = 1")
                .is_err()
        );
    }
}
