//! What CI runs, from cheap to dear.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    checklist, dependencies as checks, licences, postgres,
    python::{Environment, answers},
    root,
    step::{call, seconds, skip, step},
    ui,
};

/// Everything, in order; the first failure ends it.
pub(crate) fn all() -> Result<()> {
    let begin = Instant::now();
    fmt()?;
    dependencies()?;
    lint()?;
    doc()?;
    unit(&[])?;
    ui::test()?;
    conformance(&[])?;
    kill(&[])?;
    println!("\nall passed in {}", seconds(begin.elapsed()));
    Ok(())
}

/// Checks the formatting.
pub(crate) fn fmt() -> Result<()> {
    step("formatting", || call(cargo().args(["fmt", "--all", "--check"]), "run `cargo xtask fmt`"))
}

/// Formats all sources.
pub(crate) fn format() -> Result<()> {
    step("format all sources", || call(cargo().args(["fmt", "--all"]), "a source file does not parse"))
}

/// Checks the table of tests, and runs clippy on everything with warnings as errors.
pub(crate) fn lint() -> Result<()> {
    step("checklist", checklist::check)?;
    step("lints", || {
        let arguments = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        call(cargo().args(arguments), "the lints and their reasons are in Cargo.toml and clippy.toml")
    })
}

/// Builds the documentation, with warnings as errors.
pub(crate) fn doc() -> Result<()> {
    step("documentation", || {
        let arguments = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
        call(cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"), "a link or a code block in a comment is wrong")
    })
}

/// Checks what depends on what.
pub(crate) fn dependencies() -> Result<()> {
    step("dependencies", || {
        let metadata = checks::metadata()?;
        checks::arrows(&metadata)?;
        checks::unused(&metadata)?;
        licences::check(&metadata)?;
        if answers("cargo-deny") {
            call(cargo().args(["deny", "check", "bans", "licenses", "sources"]), "the policy is in deny.toml")?;
        } else {
            println!(
                "    cargo-deny is not installed: licences and bans of deny.toml were checked here, sources were not"
            );
        }
        Ok(())
    })
}

/// Runs the Rust tests, with a private Postgres where one is installed.
pub(crate) fn unit(extra: &[&str]) -> Result<()> {
    let cluster = cluster()?;
    step("unit tests", || {
        let mut command = cargo();
        command.args(["test", "--locked"]);
        if !extra.contains(&"-p") {
            command.arg("--workspace");
        }
        command.args(extra);
        if let Some(cluster) = &cluster {
            command.env("LANZA_TEST_POSTGRES_URL", cluster.url());
        }
        count_tests(&mut command)
    })
}

/// A private Postgres until it is dropped, unless the caller's environment names one.
fn cluster() -> Result<Option<postgres::Cluster>> {
    if std::env::var_os("LANZA_TEST_POSTGRES_URL").is_some_and(|url| !url.is_empty()) {
        return Ok(None);
    }
    let Some(programs) = postgres::programs() else {
        skip("postgres", "`initdb` is neither in /usr/lib/postgresql nor on the PATH")?;
        return Ok(None);
    };
    step("start a private Postgres", || postgres::Cluster::start(&programs)).map(Some)
}

/// Runs the conformance suite against a debug build.
///
/// Of the whole suite, a few tests that failed beside others are run once more alone: on two busy cores a client that
/// takes twice its time looks like a mistake of ours. One that fails again has failed; one that does not is named.
pub(crate) fn conformance(extra: &[&str]) -> Result<()> {
    let python = client()?;
    let cluster = cluster()?;
    let run = |arguments: &[&str]| {
        let mut command = pytest(&python);
        command.args(arguments);
        if let Some(cluster) = &cluster {
            command.env("LANZA_TEST_POSTGRES_URL", cluster.url());
        }
        call(&mut command, "`cargo xtask test conformance -k NAME -x` runs one test")
    };
    if !extra.is_empty() {
        return step("conformance tests", || run(&[&WITHOUT_CACHE[..], extra].concat()));
    }
    let cache = root().join("target/conformance");
    let remember = format!("cache_dir={}", cache.display());
    // Each worker has a server of its own. Most of a test is waiting for a Python to start.
    let whole = ["-o", &remember, "--cache-clear", "-n", "3", "--dist", "loadfile", "-q"];
    let Err(failed) = step("conformance tests", || run(&whole)) else { return Ok(()) };
    let again = last_failed(&cache);
    if again.is_empty() || again.len() > MOST_AGAIN {
        return Err(failed);
    }
    step("conformance tests that failed beside others, alone", || run(&["-o", &remember, "--last-failed", "-q"]))?;
    println!("    passed alone, and failed beside others: {}", again.join(", "));
    Ok(())
}

/// Where more tests fail than these, it is not for want of time.
const MOST_AGAIN: usize = 4;

/// The names of the tests that failed, as pytest remembers them.
fn last_failed(cache: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(cache.join("v/cache/lastfailed")).unwrap_or_default();
    let tests: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    tests.into_iter().map(|(test, _)| test).collect()
}

/// Runs the kill test against a debug build. It is alone on the machine, and smaller than its own default unless the
/// caller sets its size.
pub(crate) fn kill(extra: &[&str]) -> Result<()> {
    let python = client()?;
    step("kill tests", || {
        let mut command = pytest(&python);
        command.args(WITHOUT_CACHE).args(["kill", "-q", "-s"]).args(extra);
        for (name, value) in
            [("LANZA_KILL_LAUNCHES", "30"), ("LANZA_KILL_PER_PHASE", "1"), ("LANZA_CHAOS_LAUNCHES", "30")]
        {
            if std::env::var(name).is_err() {
                command.env(name, value);
            }
        }
        call(&mut command, "the witness and the logs are named above; LANZA_KILL_SEED repeats a run")
    })
}

/// The binary under test and a Python with the client.
fn client() -> Result<Environment> {
    step("build lanza", || call(cargo().args(["build", "--locked", "-p", "lanza"]), "the compiler says why"))?;
    step("Python environment of the conformance suite", || {
        Environment::ready("conformance", &[&root().join("conformance/requirements.txt")])
    })
}

/// Nothing is left in the clone.
const WITHOUT_CACHE: [&str; 2] = ["-p", "no:cacheprovider"];

fn pytest(python: &Environment) -> Command {
    let mut command = Command::new(python.program("python"));
    command.args(["-m", "pytest"]).current_dir(root().join("conformance")).env("PATH", python.search_path());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs `cargo test` with its output on the terminal, and adds up the closing lines of its many programs.
fn count_tests(command: &mut Command) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().expect("stdout is a pipe");
    let mut sums = [0_u64; 3];
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            for (sum, word) in sums.iter_mut().zip(["passed", "failed", "ignored"]) {
                *sum += counted(result, word);
            }
        }
    }
    let status = child.wait()?;
    let [passed, failed, ignored] = sums;
    println!("cargo test: {passed} passed, {failed} failed, {ignored} ignored");
    if !status.success() {
        bail!("`cargo test` ended with {status}; `cargo xtask test unit NAME` runs one test");
    }
    Ok(())
}

fn counted(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

fn cargo() -> Command {
    // The cargo that runs us knows which toolchain it belongs to.
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.current_dir(root());
    command
}
