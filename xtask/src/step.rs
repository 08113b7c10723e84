//! One step of a command: a line before, a line with the time after.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Runs `work` between two lines that name it.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n==> {name}");
    let begin = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "FAILED" };
    println!("<== {name}: {word} in {}", seconds(begin.elapsed()));
    result.with_context(|| name.to_owned())
}

/// Runs a command with its output on the terminal. `hint` says what to do when it fails.
pub(crate) fn call(command: &mut Command, hint: &str) -> Result<()> {
    println!("    $ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot start `{}`; {hint}", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}; {hint}", shown(command));
    }
    Ok(())
}

/// Runs a command quietly and returns what it printed on stdout. Its output is part of the error when it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` ended with {}:\n{}{}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Says why a part is left out, or fails when `LANZA_REQUIRE` names it.
pub(crate) fn skip(what: &str, reason: &str) -> Result<()> {
    let required = std::env::var("LANZA_REQUIRE").unwrap_or_default();
    if required.split(',').any(|word| word.trim() == what) {
        bail!("LANZA_REQUIRE names {what}, but {reason}");
    }
    println!("    skipped: {what}, because {reason}");
    Ok(())
}

/// Writes a duration as people read it.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02.0} s", (seconds / 60.0) as u64, seconds % 60.0)
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
