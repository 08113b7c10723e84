//! Which crate may depend on which, and whether each dependency is used.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{root, step::capture};

/// The allowed arrows between our crates, and the outside crates that a crate must never see. Tests may do more.
const RULES: &[Rule] = &[
    Rule { name: "lanza-model", ours: &[], never: &["tokio", "sqlx", "axum", "async-graphql", "reqwest", "hyper"] },
    Rule { name: "lanza-api", ours: &["lanza-model"], never: &["sqlx", "axum", "async-graphql", "clap"] },
    Rule { name: "lanza-store", ours: &["lanza-model"], never: &["axum", "async-graphql", "clap"] },
    Rule {
        name: "lanza-service",
        ours: &["lanza-model", "lanza-api", "lanza-store"],
        never: &["axum", "async-graphql", "http", "hyper", "sqlx", "clap"],
    },
    Rule {
        name: "lanza-server",
        // The store is only opened there and handed to the service.
        ours: &["lanza-model", "lanza-api", "lanza-store", "lanza-service"],
        never: &["sqlx", "clap", "bollard", "kube"],
    },
    Rule {
        name: "lanza-agent",
        ours: &["lanza-model", "lanza-api"],
        never: &["sqlx", "axum", "async-graphql", "clap"],
    },
    Rule {
        name: "lanza",
        ours: &["lanza-model", "lanza-api", "lanza-store", "lanza-service", "lanza-server", "lanza-agent"],
        never: &["sqlx", "axum", "async-graphql"],
    },
    Rule { name: "xtask", ours: &[], never: &[] },
];

struct Rule {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// What cargo knows about the workspace and everything that it builds.
pub(crate) fn metadata() -> Result<Value> {
    let text =
        capture(Command::new("cargo").args(["metadata", "--format-version", "1", "--locked"]).current_dir(root()))?;
    serde_json::from_str(&text).context("cargo metadata is not JSON")
}

/// Refuses an arrow that the map of the workspace does not have.
pub(crate) fn arrows(metadata: &Value) -> Result<()> {
    let members = members(metadata);
    let mut wrong = Vec::new();
    for package in &members {
        let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else { continue };
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.test_only) {
            let ours = members.iter().any(|member| member.name == dependency.name);
            let forbidden = rule.never.contains(&dependency.name.as_str());
            if forbidden || (ours && !rule.ours.contains(&dependency.name.as_str())) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("arrows that ARCHITECTURE.md does not have: {}", wrong.join(", "));
    }
    println!("    arrows between {} crates are as they should be", members.len());
    Ok(())
}

/// Refuses a dependency whose name occurs nowhere in the sources of the crate that asks for it.
pub(crate) fn unused(metadata: &Value) -> Result<()> {
    let members = members(metadata);
    let mut wrong = Vec::new();
    let mut count = 0;
    for package in &members {
        let mut product = String::new();
        read_sources(&package.folder.join("src"), &mut product)?;
        product += &fs::read_to_string(package.folder.join("build.rs")).unwrap_or_default();
        let mut tests = product.clone();
        for folder in ["tests", "benches", "examples"] {
            read_sources(&package.folder.join(folder), &mut tests)?;
        }
        for dependency in &package.dependencies {
            count += 1;
            let sources = if dependency.test_only { &tests } else { &product };
            // A few packages name their library without the dash (`md-5` is `md5`).
            let undashed = dependency.name.replace('-', "");
            if !has_word(sources, &dependency.imported_as) && !has_word(sources, &undashed) {
                wrong.push(format!("{} does not use {}", package.name, dependency.name));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("unused dependencies: {}", wrong.join(", "));
    }
    println!("    all {count} dependencies are used");
    Ok(())
}

struct Package {
    name: String,
    folder: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    imported_as: String,
    test_only: bool,
}

fn members(metadata: &Value) -> Vec<Package> {
    let ids: Vec<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
    list(&metadata["packages"])
        .filter(|package| package["id"].as_str().is_some_and(|id| ids.contains(&id)))
        .map(|package| Package {
            name: text(&package["name"]),
            folder: Path::new(&text(&package["manifest_path"])).parent().map(Path::to_path_buf).unwrap_or_default(),
            dependencies: list(&package["dependencies"]).map(dependency).collect(),
        })
        .collect()
}

fn dependency(value: &Value) -> Dependency {
    let name = text(&value["name"]);
    let imported_as = value["rename"].as_str().unwrap_or(&name).replace('-', "_");
    Dependency { imported_as, test_only: value["kind"].as_str() == Some("dev"), name }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_sources(folder: &Path, text: &mut String) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
    }
    Ok(())
}

fn has_word(text: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, found)| {
        !text[..start].chars().next_back().is_some_and(letter)
            && !text[start + found.len()..].chars().next().is_some_and(letter)
    })
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_word_is_not_part_of_another() {
        assert!(has_word("use md5::Digest;", "md5"));
        assert!(!has_word("let cmd5 = 1;", "md5"));
        assert!(!has_word("tokio_util::sync", "tokio"));
        assert!(has_word("tokio_util::sync; tokio::spawn", "tokio"));
    }
}
