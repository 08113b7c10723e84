//! `lanza server` and `lanza dev` as processes: what they say, what they keep, how they end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

struct Daemon(Child);

impl Daemon {
    fn start(words: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanza"));
        command.args(words).args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
        command.env_clear().env("HOME", folder).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("started"))
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for the end; returns the exit code and the rest of stdout and stderr.
    fn end(mut self) -> (i32, String, String) {
        let mut texts = (String::new(), String::new());
        let mut stdout = self.0.stdout.take();
        let mut stderr = self.0.stderr.take();
        if let Some(out) = &mut stdout {
            out.read_to_string(&mut texts.0).expect("text");
        }
        if let Some(err) = &mut stderr {
            err.read_to_string(&mut texts.1).expect("text");
        }
        (self.0.wait().expect("ended").code().expect("no signal"), texts.0, texts.1)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After `end` it is gone, and this does nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(reader: impl std::io::Read, count: usize) -> Vec<String> {
    BufReader::new(reader).lines().take(count).map(|l| l.expect("text")).collect()
}

/// Reads stderr until the server listens.
fn said(daemon: &mut Daemon) -> Vec<String> {
    let mut said = Vec::new();
    let stderr = daemon.0.stderr.as_mut().expect("piped");
    let mut byte = [0_u8; 1];
    let mut line = String::new();
    while stderr.read(&mut byte).expect("read") == 1 {
        if byte[0] == b'\n' {
            said.push(std::mem::take(&mut line));
            if said.last().is_some_and(|l| l.starts_with("listening on ")) {
                break;
            }
        } else {
            line.push(char::from(byte[0]));
        }
    }
    said
}

#[test]
fn dev_prints_three_lines_and_keeps_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keys = Vec::new();
    for signal in ["-INT", "-TERM"] {
        let mut dev = Daemon::start(&["dev", "--target", "process"], folder.path());
        let said = lines(dev.0.stdout.take().expect("piped"), 3);
        assert!(said[0].starts_with("export WANDB_BASE_URL=http://localhost:"), "{said:?}");
        assert_eq!(said[2], "export WANDB_DISABLE_JOB_CREATION=false");
        let key = said[1].strip_prefix("export WANDB_API_KEY=").expect("a key").to_owned();
        let mut list = Command::new(env!("CARGO_BIN_EXE_lanza"));
        list.args(["queue", "list", "--json"]).env_clear();
        list.env("WANDB_BASE_URL", &said[0]["export WANDB_BASE_URL=".len()..]).env("WANDB_API_KEY", &key);
        let list = list.output().expect("ended");
        let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
        assert_eq!(list["items"][0]["name"], "default");
        assert_eq!(list["items"][0]["target"], "process");
        assert_eq!(list["items"][0]["entity"], "dev");
        let kept = folder.path().join("data/dev-key");
        assert_eq!(fs::read_to_string(&kept).expect("kept").trim(), key);
        assert_eq!(fs::metadata(&kept).expect("kept").permissions().mode() & 0o777, 0o600);
        keys.push(key);
        dev.signal(signal);
        let (code, more, stderr) = dev.end();
        assert_eq!((code, more.as_str()), (0, ""), "{stderr}");
    }
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_new_server_makes_its_first_user_once_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Daemon::start(&["server"], folder.path());
    let first = said(&mut server);
    assert!(first.iter().any(|l| l.contains("password")), "{first:?}");
    assert!(first.iter().any(|l| l.contains("WANDB_API_KEY=")), "{first:?}");
    // The folder has one server.
    let second = Daemon::start(&["server"], folder.path());
    let (code, _, stderr) = second.end();
    assert_eq!(code, 1);
    assert!(stderr.contains("another server uses"), "{stderr}");
    server.signal("-TERM");
    let (code, stdout, stderr) = server.end();
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");

    let mut again = Daemon::start(&["server"], folder.path());
    let lines = said(&mut again);
    assert_eq!(lines.len(), 1, "{lines:?}");
    again.signal("-INT");
    assert_eq!(again.end().0, 0);
}

#[test]
fn a_seeded_server_has_a_month_behind_it_and_is_filled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["dev", "--target", "process", "--agents", "0", "--seed=3", "--seed-runs", "20", "--seed-keys", "5"];
    let mut filled = Vec::new();
    for already in [false, true] {
        let mut dev = Daemon::start(&words, folder.path());
        let said = lines(dev.0.stdout.take().expect("piped"), 3);
        let list = |words: &[&str]| {
            let mut list = Command::new(env!("CARGO_BIN_EXE_lanza"));
            list.args(words).args(["-e", "team-a", "--json"]).env_clear();
            list.env("WANDB_BASE_URL", &said[0]["export WANDB_BASE_URL=".len()..]);
            list.env("WANDB_API_KEY", &said[1]["export WANDB_API_KEY=".len()..]);
            let list = list.output().expect("ended");
            let answer = String::from_utf8_lossy(&list.stdout).into_owned();
            let list: serde_json::Value =
                serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer} {list:?}"));
            list["items"].as_array().expect("a list").clone()
        };
        let items = list(&["item", "list", "--limit", "1000"]);
        for state in ["queued", "running", "finished", "failed", "stopped"] {
            assert!(items.iter().any(|i| i["state"] == state), "no item is {state}");
        }
        assert!(items.len() > 100 && items.iter().any(|i| i["attempt"] == 2), "{} items", items.len());
        assert_eq!(list(&["queue", "list"]).len(), 4);
        filled.push(items.len());
        dev.signal("-TERM");
        let (code, _, stderr) = dev.end();
        assert_eq!((code, stderr.contains("filled before")), (0, already), "{stderr}");
    }
    assert_eq!(filled[0], filled[1]);
}
