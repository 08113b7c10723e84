//! The option `env` of a target's configuration, and the secrets that it names.

use std::collections::BTreeSet;

use serde_json::Value;

/// An entry of `env`: `NAME=value`, or a name whose value the agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvEntry {
    /// Name and value.
    Value(String, String),
    /// The agent's own value.
    FromAgent(String),
}

/// Reads `env`: a text, a list of texts, or an object.
///
/// # Errors
/// What is wrong with the first bad entry, as a clause that follows the option's name.
pub fn env_entries(value: &Value) -> Result<Vec<EnvEntry>, String> {
    let one = |text: &str| match text.split_once('=') {
        Some(("", _)) => Err(format!("has an entry without a name, `{text}`")),
        Some((name, value)) => Ok(EnvEntry::Value(name.to_owned(), value.to_owned())),
        None if text.is_empty() => Err("has an empty entry".into()),
        None => Ok(EnvEntry::FromAgent(text.to_owned())),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![one(text)?]),
        Value::Array(list) => list
            .iter()
            .map(|v| v.as_str().ok_or_else(|| format!("takes NAME=VALUE texts, not `{v}`")).and_then(one))
            .collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| match value {
                _ if name.is_empty() || name.contains('=') => {
                    Err(format!("has `{name}`, which is no name of a variable"))
                }
                Value::Null => Ok(EnvEntry::FromAgent(name.clone())),
                Value::String(s) => Ok(EnvEntry::Value(name.clone(), s.clone())),
                Value::Number(_) | Value::Bool(_) => Ok(EnvEntry::Value(name.clone(), value.to_string())),
                _ => Err(format!("has a value of `{name}` that is not a text")),
            })
            .collect(),
        other => Err(format!("takes NAME=VALUE texts, not `{other}`")),
    }
}

/// Adds the names of the secrets that a document refers to, as `secret:NAME` or `VARIABLE=secret:NAME`.
pub fn secret_names(document: &Value, names: &mut BTreeSet<String>) {
    match document {
        Value::String(text) => {
            let value = text.split_once('=').map_or(text.as_str(), |(_, value)| value);
            let name = text.strip_prefix("secret:").or_else(|| value.strip_prefix("secret:"));
            names.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Value::Array(list) => list.iter().for_each(|inner| secret_names(inner, names)),
        Value::Object(object) => object.values().for_each(|inner| secret_names(inner, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_by_their_names_wherever_they_stand() {
        let mut names = BTreeSet::new();
        let document = json!({
            "env": ["TOKEN=secret:HF", "PLAIN=secret", "A=b=secret:NO", "secret:"],
            "spec": { "containers": [{ "env": [{ "name": "T", "value": "secret:DB" }] }] },
            "memory": 3,
        });
        secret_names(&document, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["DB", "HF"]);
    }

    #[test]
    fn entries_of_every_spelling() {
        assert_eq!(
            env_entries(&json!(["A=1=2", "B"])).expect("legal"),
            [EnvEntry::Value("A".into(), "1=2".into()), EnvEntry::FromAgent("B".into())]
        );
        assert_eq!(env_entries(&json!({"A": 1})).expect("legal"), [EnvEntry::Value("A".into(), "1".into())]);
        assert_eq!(env_entries(&json!({"A": null})).expect("legal"), [EnvEntry::FromAgent("A".into())]);
        assert_eq!(env_entries(&json!([])).expect("legal"), []);
        for wrong in [json!(["=x"]), json!(3), json!(true), json!([1]), json!({"": "x"}), json!({"a=b": 1})] {
            assert!(env_entries(&wrong).is_err(), "{wrong}");
        }
    }
}
