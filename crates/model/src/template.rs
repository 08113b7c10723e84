//! Template variables: `{{name}}` in a queue's configuration, filled by the submitter within the admin's bounds.

use serde_json::{Map, Value};

/// A template variable's definition or value is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template variable `{name}`: {why}")]
pub struct Invalid {
    /// The variable.
    pub name: String,
    /// What is wrong, as a clause.
    pub why: String,
}

fn invalid(name: &str, why: impl Into<String>) -> Invalid {
    Invalid { name: name.to_owned(), why: why.into() }
}

const TYPES: &[&str] = &["string", "integer", "number"];

/// Checks the definitions of a queue: `{name: {"schema": {type, enum, default, minimum, maximum}}}`, where the schema
/// may also stand without its wrapper. Returns them without the wrapper.
///
/// # Errors
/// Every defect, one per variable.
pub fn check_definitions(definitions: &Map<String, Value>) -> Result<Map<String, Value>, Vec<Invalid>> {
    let mut checked = Map::new();
    let mut errors = Vec::new();
    for (name, definition) in definitions {
        match check_definition(name, definition) {
            Ok(schema) => {
                checked.insert(name.clone(), schema);
            }
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

fn check_definition(name: &str, definition: &Value) -> Result<Value, Invalid> {
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Err(invalid(name, "has a name with other characters than letters, digits, `_` and `-`"));
    }
    let schema = definition.get("schema").unwrap_or(definition);
    let Value::Object(schema) = schema else {
        return Err(invalid(name, "has no schema object"));
    };
    let Some(kind) = schema.get("type").and_then(Value::as_str).filter(|t| TYPES.contains(t)) else {
        return Err(invalid(name, "needs a `type` of string, integer or number"));
    };
    if let Some(key) = schema
        .keys()
        .find(|k| !["type", "enum", "default", "minimum", "maximum", "description", "title"].contains(&k.as_str()))
    {
        return Err(invalid(name, format!("has an unknown attribute `{key}`")));
    }
    for bound in ["minimum", "maximum"] {
        if let Some(b) = schema.get(bound)
            && (kind == "string" || !b.is_number())
        {
            return Err(invalid(name, format!("has a `{bound}` that is not a number, or is a string")));
        }
    }
    if schema.get("enum").is_some_and(|e| e.as_array().is_none_or(Vec::is_empty)) {
        return Err(invalid(name, "has an `enum` that is not a list of values"));
    }
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum"))
        && least > most
    {
        return Err(invalid(name, format!("has a minimum of {least} above its maximum of {most}")));
    }
    let schema = Value::Object(schema.clone());
    // A choice that no launch could make would be refused only there.
    for choice in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
        check_value(name, &schema, choice)?;
    }
    if let Some(default) = schema.get("default") {
        check_value(name, &schema, default)?;
    }
    Ok(schema)
}

fn check_type(name: &str, kind: &str, value: &Value) -> Result<(), Invalid> {
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|f| f.fract() == 0.0),
        _ => value.is_number(),
    };
    if fits { Ok(()) } else { Err(invalid(name, format!("takes a {kind}, not `{value}`"))) }
}

fn check_value(name: &str, schema: &Value, value: &Value) -> Result<(), Invalid> {
    check_type(name, schema["type"].as_str().unwrap_or("string"), value)?;
    if let Some(list) = schema.get("enum").and_then(Value::as_array)
        && !list.iter().any(|v| v == value || (v.is_number() && v.as_f64() == value.as_f64()))
    {
        let allowed = list.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        return Err(invalid(name, format!("takes one of {allowed}, not `{value}`")));
    }
    let number = value.as_f64();
    if let (Some(n), Some(min)) = (number, schema.get("minimum").and_then(Value::as_f64))
        && n < min
    {
        return Err(invalid(name, format!("is {value}, the least is {min}")));
    }
    if let (Some(n), Some(max)) = (number, schema.get("maximum").and_then(Value::as_f64))
        && n > max
    {
        return Err(invalid(name, format!("is {value}, the most is {max}")));
    }
    Ok(())
}

/// A text that a submitter chooses freely is put into the admin's layer, where it must not read the agent's environment or
/// secrets. What the admin has listed is the admin's own word.
fn check_text(name: &str, schema: &Value, value: &Value) -> Result<(), Invalid> {
    let own = schema.get("enum").is_some() || schema.get("default") == Some(value);
    match value.as_str() {
        Some(text) if !own && (text.contains("${") || text.contains("secret:")) => {
            Err(invalid(name, "must not hold `${` or `secret:`, which only the queue's admin may write"))
        }
        _ => Ok(()),
    }
}

/// Returns the value of every variable of the queue: the submitter's, else the default.
///
/// # Errors
/// An unknown variable, a missing one without default, or a value out of bounds; every defect at once.
pub fn resolve(
    definitions: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<Invalid>> {
    let mut errors = Vec::new();
    let mut values = Map::new();
    for name in given.keys().filter(|n| !definitions.contains_key(*n)) {
        let known = definitions.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {known}") };
        errors.push(invalid(name, format!("is not defined by the queue ({known})")));
    }
    for (name, schema) in definitions {
        match given.get(name).filter(|v| !v.is_null()).or_else(|| schema.get("default")) {
            None => errors.push(invalid(name, "needs a value, it has no default")),
            Some(value) => match check_value(name, schema, value).and_then(|()| check_text(name, schema, value)) {
                Ok(()) => {
                    values.insert(name.clone(), value.clone());
                }
                Err(e) => errors.push(e),
            },
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// Fills `{{name}}` in every text of `config`; a text that is exactly one placeholder takes the typed value.
/// Unknown placeholders stay as written.
pub fn render(config: &Value, values: &Map<String, Value>) -> Value {
    match config {
        Value::String(s) => render_text(s, values),
        Value::Array(list) => Value::Array(list.iter().map(|v| render(v, values)).collect()),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), render(v, values))).collect()),
        other => other.clone(),
    }
}

fn render_text(text: &str, values: &Map<String, Value>) -> Value {
    let trimmed = text.trim();
    if let Some(name) = trimmed.strip_prefix("{{").and_then(|t| t.strip_suffix("}}"))
        && let Some(value) = values.get(name.trim())
    {
        return value.clone();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start + 2..].find("}}") else { break };
        let name = rest[start + 2..start + 2 + length].trim();
        out.push_str(&rest[..start]);
        match values.get(name) {
            Some(Value::String(s)) => out.push_str(s),
            Some(value) => out.push_str(&value.to_string()),
            None => out.push_str(&rest[start..start + 4 + length]),
        }
        rest = &rest[start + 4 + length..];
    }
    out.push_str(rest);
    Value::String(out)
}

/// Returns the names of the placeholders in `config`, in order of appearance.
pub fn placeholders(config: &Value) -> Vec<String> {
    fn walk(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::String(s) => {
                let mut rest = s.as_str();
                while let Some(start) = rest.find("{{") {
                    let Some(length) = rest[start + 2..].find("}}") else { break };
                    let name = rest[start + 2..start + 2 + length].trim();
                    if !name.is_empty() && !names.iter().any(|n| n == name) {
                        names.push(name.to_owned());
                    }
                    rest = &rest[start + 4 + length..];
                }
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, names)),
            Value::Object(o) => o.values().for_each(|v| walk(v, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    walk(config, &mut names);
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().expect("an object").clone()
    }

    #[test]
    fn a_submitters_text_reads_nothing_of_the_agent() {
        let definitions = json!({"free": {"type": "string"}, "listed": {"type": "string", "enum": ["${HOME}/a"]},
                                 "kept": {"type": "string", "default": "secret:A"}});
        let of = |given: Value| resolve(definitions.as_object().unwrap(), given.as_object().unwrap());
        assert!(of(json!({"free": "plain $ text", "listed": "${HOME}/a"})).is_ok());
        for wrong in ["${AWS_SECRET_ACCESS_KEY}", "secret:TOKEN", "x secret:TOKEN"] {
            assert!(of(json!({"free": wrong, "listed": "${HOME}/a"})).is_err(), "{wrong}");
        }
        assert!(of(json!({"free": "x", "listed": "${HOME}/a", "kept": "secret:B"})).is_err());
    }

    #[test]
    fn a_whole_placeholder_takes_the_typed_value() {
        let values = map(json!({"gpus": 2, "team": "vision"}));
        assert_eq!(
            render(&json!({"gpus": "{{gpus}}", "label": "{{team}}-x{{ gpus }}", "other": ["{{unknown}}"]}), &values),
            json!({"gpus": 2, "label": "vision-x2", "other": ["{{unknown}}"]})
        );
        assert_eq!(placeholders(&json!({"a": "{{x}} {{y}}", "b": ["{{x}}"]})), ["x", "y"]);
    }

    #[test]
    fn values_are_held_to_their_bounds() {
        let definitions = check_definitions(&map(json!({
            "gpus": {"schema": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1}},
            "size": {"type": "string", "enum": ["s", "m"]},
        })))
        .expect("legal");
        assert_eq!(
            resolve(&definitions, &map(json!({"size": "m"}))).expect("legal"),
            map(json!({"gpus": 1, "size": "m"}))
        );
        let errors = resolve(&definitions, &map(json!({"gpus": 9, "size": "xl", "color": 1}))).expect_err("three");
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(resolve(&definitions, &Map::new()).expect_err("size").len(), 1);
    }

    #[test]
    fn broken_definitions_are_named() {
        for bad in [
            json!({"x": 1}),
            json!({"x": {"type": "float"}}),
            json!({"x": {"type": "integer", "default": "a"}}),
            json!({"x": {"type": "string", "minimum": 1}}),
            json!({"x": {"type": "string", "enum": []}}),
            json!({"x": {"type": "integer", "enum": [1, "a"]}}),
            json!({"x": {"type": "integer", "minimum": 5, "maximum": 2}}),
            json!({"x": {"type": "integer", "minimum": 2, "enum": [1, 3]}}),
        ] {
            assert_eq!(check_definitions(&map(bad.clone())).expect_err(&bad.to_string())[0].name, "x");
        }
    }
}
