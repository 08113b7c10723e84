//! The web app: building it, and its tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    python::{Environment, answers},
    root,
    step::{call, skip, step},
};

/// Most gzipped script that the first page may load, in bytes.
const FIRST_LOAD_BYTES: u64 = 300 * 1024;

/// Builds the web app into `ui/dist`, where the next build of the server finds it.
pub(crate) fn build() -> Result<()> {
    if !answers("npm") {
        bail!(
            "`npm` is not on the PATH; the web app needs Node 20 or newer. The server works without it, with plain pages"
        );
    }
    packages()?;
    bundle()
}

/// Checks, tests and builds the web app, then drives it with a browser where there is one.
pub(crate) fn test() -> Result<()> {
    if !answers("npm") {
        return skip("node", "`npm` is not on the PATH");
    }
    packages()?;
    step("web app: generated types", || call(npm().args(["run", "-s", "types:check"]), "run `npm run types` in ui/"))?;
    step("web app: types", || call(npm().args(["run", "-s", "check"]), "tsc names the lines"))?;
    step("web app: lints", || call(npm().args(["run", "-s", "lint"]), "the rules are in ui/eslint.config.js"))?;
    step("web app: unit tests", || call(npm().args(["run", "-s", "test"]), "`npx vitest NAME` in ui/ runs one"))?;
    bundle()?;
    browser_tests()
}

fn browser_tests() -> Result<()> {
    let Some(chromium) = chromium() else {
        return skip(
            "chromium",
            "neither `chromium` nor `google-chrome` is on the PATH, and LANZA_CHROMIUM is not set",
        );
    };
    step("build lanza", || {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        call(
            Command::new(cargo).current_dir(root()).args(["build", "--locked", "-p", "lanza"]),
            "the compiler says why",
        )
    })?;
    let python = step("Python environment of the conformance suite", || {
        Environment::ready("conformance", &[&root().join("conformance/requirements.txt")])
    })?;
    step("web app: browser tests", || {
        let mut command = npm();
        // The numbers on the screen are compared with what the unmodified client reads.
        command.env("LANZA_CLIENT_PYTHON", python.program("python"));
        command.args(["run", "-s", "e2e"]).env("LANZA_CHROMIUM", &chromium);
        if env::var_os("LANZA_BIN").is_none() {
            command.env("LANZA_BIN", root().join("target/debug/lanza"));
        }
        call(&mut command, "screenshots of the failing page are in ui/e2e/output")
    })
}

/// Installs the packages of the lock file, unless they are those already.
fn packages() -> Result<()> {
    let lock = folder().join("package-lock.json");
    let installed = folder().join("node_modules/.package-lock.json");
    if newer(&installed, &lock) {
        return Ok(());
    }
    step("web app: packages", || {
        let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        call(npm().args(quiet), "the registry must be reachable, or the cache filled")
    })
}

fn bundle() -> Result<()> {
    let first = !folder().join("dist/index.html").is_file();
    step("web app: build", || call(npm().args(["run", "-s", "build"]), "vite names the file"))?;
    let size = first_load()?;
    println!("    the first page loads {} KiB of gzipped script", size.div_ceil(1024));
    if size > FIRST_LOAD_BYTES {
        bail!("the first page loads {size} bytes of gzipped script; at most {FIRST_LOAD_BYTES} are allowed");
    }
    if first {
        // The build script looks again, and says no more that the app is missing.
        let script = root().join("crates/server/build.rs");
        fs::File::options().append(true).open(&script)?.set_modified(SystemTime::now())?;
    }
    Ok(())
}

/// The gzipped size of the scripts that `index.html` names.
fn first_load() -> Result<u64> {
    let dist = folder().join("dist");
    let page = fs::read_to_string(dist.join("index.html")).context("the built page")?;
    let mut size = 0;
    for part in page
        .split('"')
        .filter(|part| part.starts_with("/assets/") && Path::new(part).extension().is_some_and(|e| e == "js"))
    {
        size += fs::metadata(dist.join(format!("{}.gz", &part[1..])))?.len();
    }
    if size == 0 {
        bail!("the built page names no script");
    }
    Ok(size)
}

fn newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    matches!((time(file), time(than)), (Some(file), Some(than)) if file >= than)
}

fn chromium() -> Option<PathBuf> {
    if let Some(named) = env::var_os("LANZA_CHROMIUM") {
        return Some(named.into());
    }
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    ["chromium", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

fn folder() -> PathBuf {
    root().join("ui")
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder());
    command
}
