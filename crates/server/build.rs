//! Puts the built web app (`ui/dist`) into release binaries. A build without it succeeds and says how to get it.
//!
//! Debug builds embed nothing: they read the files when they are asked, so building the web app does not build the server.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const HOW: &str =
    "the web app is not built, so the server has plain pages only: `cargo xtask ui` builds it (needs Node 20)";

fn main() {
    let source = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package"));
    let dist = source.join("../../ui/dist");
    let release = env::var_os("PROFILE").is_some_and(|profile| profile == "release");
    // `cargo xtask ui` touches this file when it builds the app for the first time: the warning goes away then.
    println!("cargo:rerun-if-changed=build.rs");
    let built = dist.join("index.html").is_file();
    let mut files = BTreeMap::new();
    if !built {
        println!("cargo:warning={HOW}");
    } else if release {
        println!("cargo:rerun-if-changed={}", dist.display());
        collect(&dist, "", &mut files);
        smallest(&mut files);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names an output folder")).join("ui_files.rs");
    fs::write(out, source_of(&files)).expect("the output folder takes files");
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).expect("the built web app can be read") {
        let entry = entry.expect("the built web app can be read");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, entry.path().canonicalize().expect("the file is there"));
        }
    }
}

/// Keeps one form of each file: gzipped where it is smaller, since every browser takes that on plain http too.
fn smallest(files: &mut BTreeMap<String, PathBuf>) {
    let gzipped: Vec<String> = files.keys().filter_map(|name| name.strip_suffix(".gz")).map(str::to_owned).collect();
    for name in gzipped {
        files.remove(&name);
    }
}

/// A table of names and bytes, sorted by name.
fn source_of(files: &BTreeMap<String, PathBuf>) -> String {
    let mut text = String::from("&[\n");
    for (name, path) in files {
        writeln!(text, "    ({name:?}, include_bytes!({:?}).as_slice()),", path.display().to_string())
            .expect("text takes text");
    }
    text.push(']');
    text
}
