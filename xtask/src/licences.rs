//! The licences and bans of `deny.toml`, checked without cargo-deny, which takes minutes to build.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::root;

/// Refuses a package whose licence is not allowed, or that is banned.
pub(crate) fn check(metadata: &Value) -> Result<()> {
    let policy = fs::read_to_string(root().join("deny.toml")).context("cannot read deny.toml")?;
    let allowed = strings(&policy, "licenses", "allow")?;
    let banned = strings(&policy, "bans", "deny")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has packages")?;
    let mut wrong = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if banned.iter().any(|banned| banned == name) {
            wrong.insert(name, "is banned".to_owned());
        } else if !satisfied(licence, &allowed) {
            wrong.insert(name, format!("has the licence `{licence}`"));
        }
    }
    if !wrong.is_empty() {
        let lines: Vec<String> = wrong.iter().map(|(name, why)| format!("{name} {why}")).collect();
        bail!("deny.toml forbids: {}", lines.join("; "));
    }
    println!("    the licences of {} packages are allowed, none is banned", packages.len());
    Ok(())
}

/// The strings of one array in one table of our own `deny.toml`: an array of plain strings, or of `{ crate = "…" }`.
fn strings(policy: &str, table: &str, key: &str) -> Result<Vec<String>> {
    let body = policy.split_once(&format!("[{table}]\n")).with_context(|| format!("deny.toml has no [{table}]"))?.1;
    let body = body.split("\n[").next().unwrap_or(body);
    let array = body.split_once(&format!("{key} = [")).with_context(|| format!("[{table}] has no {key}"))?.1;
    let array = array.split_once("\n]").with_context(|| format!("{key} ends on a line of its own"))?.0;
    let lines = array.lines().map(|line| line.split('#').next().unwrap_or_default());
    // One value a line: with `crate = "a", reason = "b"` the first string is the value.
    Ok(lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met by the allowed licences. `/` is the old way to write OR.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    // An exception belongs to the licence before it.
    let mut words: Vec<String> = Vec::new();
    let mut parts = spaced.split_whitespace();
    while let Some(part) = parts.next() {
        if part == "WITH"
            && let (Some(last), Some(exception)) = (words.last_mut(), parts.next())
        {
            *last = format!("{last} WITH {exception}");
        } else {
            words.push(part.to_owned());
        }
    }
    let mut position = 0;
    let result = any_of(&words, &mut position, allowed);
    result && position == words.len()
}

fn any_of(words: &[String], position: &mut usize, allowed: &[String]) -> bool {
    let mut result = all_of(words, position, allowed);
    while words.get(*position).is_some_and(|word| word == "OR") {
        *position += 1;
        result |= all_of(words, position, allowed);
    }
    result
}

fn all_of(words: &[String], position: &mut usize, allowed: &[String]) -> bool {
    let mut result = one(words, position, allowed);
    while words.get(*position).is_some_and(|word| word == "AND") {
        *position += 1;
        result &= one(words, position, allowed);
    }
    result
}

fn one(words: &[String], position: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*position) else { return false };
    *position += 1;
    if word != "(" {
        return allowed.contains(word);
    }
    let result = any_of(words, position, allowed);
    *position += 1;
    result
}

#[cfg(test)]
mod tests {
    use super::{satisfied, strings};

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned(), "Unicode-3.0".to_owned()];
        for good in
            ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR X) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(satisfied(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT OR X) AND Y", "MIT MIT"] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn lists_are_found_in_their_table() {
        let policy = "[licenses]\nallow = [\n  \"MIT\", # why\n  \"ISC\",\n]\n\n[bans]\ndeny = [\n  { crate = \"openssl\", reason = \"one\" },\n]\n";
        assert_eq!(strings(policy, "licenses", "allow").expect("a list"), ["MIT", "ISC"]);
        assert_eq!(strings(policy, "bans", "deny").expect("a list"), ["openssl"]);
        assert!(strings(policy, "bans", "allow").is_err());
    }
}
