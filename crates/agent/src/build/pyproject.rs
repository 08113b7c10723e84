//! Dependencies of a `pyproject.toml`, and the versions that `uv.lock` has for them.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, Item};

/// Returns the dependencies of the project; none when the file has no such table or cannot be read.
pub(super) fn dependencies(text: &str) -> Option<Vec<String>> {
    let document: DocumentMut = text.parse().ok()?;
    let list = document.get("project")?.get("dependencies")?.as_array()?;
    Some(list.iter().filter_map(|d| d.as_str()).map(|d| d.replace('\n', " ")).collect())
}

/// Returns the locked versions as constraints. A package that is locked in several versions (one for each platform, say)
/// is left to the installer.
pub(super) fn locked(text: &str) -> Vec<String> {
    let Ok(document) = text.parse::<DocumentMut>() else { return Vec::new() };
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = document.get("package").and_then(Item::as_array_of_tables);
    for package in packages.into_iter().flat_map(|p| p.iter()) {
        let text = |key: &str| package.get(key).and_then(Item::as_str).map(str::to_owned);
        // Only packages of an index have a version that an installer can ask for.
        let of_index = package.get("source").is_some_and(|s| s.get("registry").is_some());
        if let (true, Some(name), Some(version)) = (of_index, text("name"), text("version")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions.into_iter().filter(|(_, v)| v.len() == 1).map(|(name, v)| format!("{name}=={}", v[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_and_its_lock() {
        let project =
            "[project]\nname = \"x\"\ndependencies = [\n  \"wandb>=0.31\",\n  'numpy; sys_platform==\"linux\"',\n]\n";
        assert_eq!(dependencies(project).unwrap(), ["wandb>=0.31", "numpy; sys_platform==\"linux\""]);
        assert_eq!(dependencies("[tool.x]\n"), None);
        assert_eq!(dependencies("not = [toml"), None);
        let lock = r#"
            version = 1
            [[package]]
            name = "wandb"
            version = "0.31.0"
            source = { registry = "https://index.example/simple" }
            dependencies = [{ name = "click" }]
            [[package]]
            name = "numpy"
            version = "1.0"
            source = { registry = "https://index.example/simple" }
            [[package]]
            name = "numpy"
            version = "2.0"
            source = { registry = "https://index.example/simple" }
            [[package]]
            name = "x"
            version = "0.1"
            source = { virtual = "." }
        "#;
        assert_eq!(locked(lock), ["wandb==0.31.0"]);
        assert!(locked("nonsense [").is_empty());
    }
}
