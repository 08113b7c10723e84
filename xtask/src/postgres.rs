//! A private Postgres for the store tests: its own folder, a free port, never the superuser of the machine.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{process::Scratch, step::capture};

/// A running cluster. It is stopped and removed when it is dropped.
pub(crate) struct Cluster {
    programs: PathBuf,
    scratch: Scratch,
    port: u16,
}

impl Cluster {
    /// Starts one. Postgres refuses to run as root, so root hands over to the user `postgres`, else to `nobody`.
    pub(crate) fn start(programs: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { programs: programs.to_path_buf(), scratch: Scratch::new("lanza-postgres")?, port };
        let folder = cluster.scratch.path();
        if is_root() {
            capture(Command::new("chown").arg(account()).arg(folder)).context("cannot hand the folder over")?;
        }
        let data = cluster.data();
        capture(cluster.command("initdb").arg("-D").arg(&data).args([
            "-U",
            "test",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]))?;
        // Durability is the business of other tests: these make thousands of small databases.
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=200 \
             -c fsync=off -c synchronous_commit=off -c full_page_writes=off",
            folder.display()
        );
        let log = folder.join("log");
        // Without a file of its own the server would keep our pipe open and `capture` would wait for ever.
        let status = cluster
            .command("pg_ctl")
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-o", &options, "start"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot start pg_ctl")?;
        if !status.success() {
            bail!("Postgres did not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        capture(cluster.command("createdb").args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "test", "test"]))?;
        Ok(cluster)
    }

    /// What `LANZA_TEST_POSTGRES_URL` is set to.
    pub(crate) fn url(&self) -> String {
        format!("postgres://test@127.0.0.1:{}/test", self.port)
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let user = account();
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={}", group(user)))
                .arg("--clear-groups")
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        // Its own folder: the caller's may be one that the other user cannot enter.
        command.current_dir("/").env("HOME", self.scratch.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let stopped = capture(self.command("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "-w", "stop"]));
        if let Err(error) = stopped {
            println!("    cannot stop Postgres: {error:#}");
        }
    }
}

/// The folder with `initdb` and `pg_ctl`: Debian keeps it off the PATH. The newest version wins.
pub(crate) fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort();
    let on_path = std::env::var("PATH").unwrap_or_default();
    let folders = found.into_iter().rev().map(|(_, path)| path).chain(on_path.split(':').map(PathBuf::from));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("createdb").is_file())
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn account() -> &'static str {
    if capture(Command::new("id").arg("postgres")).is_ok() { "postgres" } else { "nobody" }
}

fn group(user: &str) -> String {
    capture(Command::new("id").args(["-g", user])).map_or_else(|_| user.to_owned(), |id| id.trim().to_owned())
}
