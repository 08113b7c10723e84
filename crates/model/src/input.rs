//! What a job takes: JSON Schemas and type documents, and whether a launch's values fit them.
//!
//! Schemas are a subset of JSON Schema: what the client documents for job inputs, and what Pydantic models are turned
//! into (`$ref`, `allOf`, `anyOf`). Words that are not known here (`title`, `label`, `format`, `pattern` …) shape a form
//! and refuse nothing.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// How deep schemas are followed, so that one that refers to itself ends.
const DEPTH: usize = 32;

/// A value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule: `type`, `enum`, `minimum`, `required` … as the schema calls it.
    pub rule: &'static str,
    /// Dotted path of the value.
    pub path: String,
    /// What is wrong, a clause that follows the path.
    pub why: String,
}

/// Checks `value` against `schema`. `known` is what the job has where the launch gives nothing: it makes a value that is
/// required not missing. Empty when it fits.
pub fn check_schema(schema: &Value, value: &Value, known: Option<&Value>, path: &str) -> Vec<Violation> {
    let mut check = Check { root: schema, found: Vec::new() };
    check.value(schema, value, known, path, 0);
    check.found
}

struct Check<'a> {
    root: &'a Value,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn refuse(&mut self, rule: &'static str, path: &str, why: impl Into<String>) {
        self.found.push(Violation { rule, path: path.to_owned(), why: why.into() });
    }

    fn value(&mut self, schema: &Value, value: &Value, known: Option<&Value>, path: &str, depth: usize) {
        let Some(rules) = schema.as_object() else { return };
        if depth > DEPTH {
            return;
        }
        if let Some(target) =
            rules.get("$ref").and_then(Value::as_str).and_then(|r| self.root.pointer(r.strip_prefix('#')?))
        {
            let target = target.clone();
            self.value(&target, value, known, path, depth + 1);
        }
        for part in rules.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(part, value, known, path, depth + 1);
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = rules.get(word).and_then(Value::as_array) {
                self.any_of(choices, value, known, path, depth);
            }
        }
        if let Some(kinds) = rules.get("type")
            && !kinds_of(kinds).iter().any(|k| is_kind(value, k))
        {
            let wanted = kinds_of(kinds).into_iter().map(kind_words).collect::<Vec<_>>().join(" or ");
            return self.refuse("type", path, format!("must be {wanted}, and is {}", shown(value)));
        }
        if let Some(only) = rules.get("const")
            && !equal(only, value)
        {
            self.refuse("const", path, format!("must be {}, and is {}", shown(only), shown(value)));
        }
        if let Some(choices) = rules.get("enum").and_then(Value::as_array)
            && !choices.iter().any(|c| equal(c, value))
        {
            let choices = choices.iter().map(shown).collect::<Vec<_>>().join(", ");
            self.refuse("enum", path, format!("must be one of {choices}, and is {}", shown(value)));
        }
        match value {
            Value::Number(_) => self.number(rules, value, path),
            Value::String(text) => self.text(rules, text, path),
            Value::Array(items) => self.array(rules, items, path, depth),
            Value::Object(object) => self.object(rules, object, known, path, depth),
            _ => {}
        }
    }

    fn any_of(&mut self, choices: &[Value], value: &Value, known: Option<&Value>, path: &str, depth: usize) {
        let mut refusals = Vec::new();
        for choice in choices {
            let mut inner = Check { root: self.root, found: Vec::new() };
            inner.value(choice, value, known, path, depth + 1);
            if inner.found.is_empty() {
                return;
            }
            refusals.push((choice, inner.found));
        }
        // `Optional[X]` is X or null: what X says is what helps.
        refusals.retain(|(choice, _)| choice["type"] != "null");
        match refusals.len() {
            0 => {}
            1 => self.found.append(&mut refusals.remove(0).1),
            n => self.refuse(
                "anyOf",
                path,
                format!("fits none of the {n} forms that are allowed, and is {}", shown(value)),
            ),
        }
    }

    fn number(&mut self, rules: &Map<String, Value>, value: &Value, path: &str) {
        let Some(number) = value.as_f64() else { return };
        let bound = |key: &str| rules.get(key).and_then(Value::as_f64);
        // The oldest drafts have a flag beside the bound.
        let strict = |key: &str| rules.get(key).and_then(Value::as_bool).unwrap_or(false);
        let mut refuse = |rule, words: &str, bound: f64| {
            self.refuse(rule, path, format!("must be {words} {bound}, and is {value}"));
        };
        if let Some(least) = bound("minimum") {
            match strict("exclusiveMinimum") {
                true if number <= least => refuse("exclusiveMinimum", "more than", least),
                _ if number < least => refuse("minimum", "at least", least),
                _ => {}
            }
        }
        if let Some(most) = bound("maximum") {
            match strict("exclusiveMaximum") {
                true if number >= most => refuse("exclusiveMaximum", "less than", most),
                _ if number > most => refuse("maximum", "at most", most),
                _ => {}
            }
        }
        if let Some(least) = bound("exclusiveMinimum").filter(|l| number <= *l) {
            refuse("exclusiveMinimum", "more than", least);
        }
        if let Some(most) = bound("exclusiveMaximum").filter(|m| number >= *m) {
            refuse("exclusiveMaximum", "less than", most);
        }
        if let Some(step) = bound("multipleOf").filter(|s| *s > 0.0) {
            let times = number / step;
            if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
                refuse("multipleOf", "a multiple of", step);
            }
        }
    }

    fn text(&mut self, rules: &Map<String, Value>, text: &str, path: &str) {
        let length = text.chars().count() as u64;
        if let Some(least) = rules.get("minLength").and_then(Value::as_u64).filter(|l| length < *l) {
            self.refuse("minLength", path, format!("must have at least {least} characters, and has {length}"));
        }
        if let Some(most) = rules.get("maxLength").and_then(Value::as_u64).filter(|m| length > *m) {
            self.refuse("maxLength", path, format!("must have at most {most} characters, and has {length}"));
        }
    }

    fn array(&mut self, rules: &Map<String, Value>, items: &[Value], path: &str, depth: usize) {
        let length = items.len() as u64;
        if let Some(least) = rules.get("minItems").and_then(Value::as_u64).filter(|l| length < *l) {
            self.refuse("minItems", path, format!("must have at least {least} entries, and has {length}"));
        }
        if let Some(most) = rules.get("maxItems").and_then(Value::as_u64).filter(|m| length > *m) {
            self.refuse("maxItems", path, format!("must have at most {most} entries, and has {length}"));
        }
        if rules.get("uniqueItems").and_then(Value::as_bool) == Some(true)
            && let Some(twice) = items.iter().enumerate().find_map(|(i, a)| items[..i].contains(a).then_some(a))
        {
            self.refuse("uniqueItems", path, format!("must have no entry twice, and has {} twice", shown(twice)));
        }
        if let Some(inner) = rules.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(inner, item, None, &format!("{path}[{index}]"), depth + 1);
            }
        }
    }

    fn object(
        &mut self,
        rules: &Map<String, Value>,
        object: &Map<String, Value>,
        known: Option<&Value>,
        path: &str,
        depth: usize,
    ) {
        let empty = Map::new();
        let properties = rules.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let here = |key: &str| known.and_then(|k| k.get(key));
        for (key, inner) in properties {
            if let Some(value) = object.get(key) {
                self.value(inner, value, here(key), &join(path, key), depth + 1);
            }
        }
        let listed = rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        // The client's own forms mark the property itself.
        let marked = properties.iter().filter(|(_, p)| p["required"] == true).map(|(key, _)| key.as_str());
        let mut names: Vec<&str> = listed.chain(marked).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let default = properties.get(name).is_some_and(|p| p.get("default").is_some());
            if !default && !object.contains_key(name) && here(name).is_none() {
                self.refuse("required", &join(path, name), "must be given");
            }
        }
        match rules.get("additionalProperties") {
            Some(Value::Bool(false)) => {
                for key in object.keys().filter(|k| !properties.contains_key(*k)) {
                    let near = crate::name::nearest(key, properties.keys().map(String::as_str));
                    let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
                    self.refuse("additionalProperties", &join(path, key), format!("is no input of the job{hint}"));
                }
            }
            Some(inner @ Value::Object(_)) => {
                for (key, value) in object.iter().filter(|(k, _)| !properties.contains_key(*k)) {
                    self.value(inner, value, here(key), &join(path, key), depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// Checks `value` against a type document, as runs leave it. It only knows what kinds a run had once, so it refuses less
/// than a schema: keys may be new or left out, null fits everywhere, and a list may have any length.
pub fn check_types(types: &Value, value: &Value, path: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    types_into(types, value, path, 0, &mut found);
    found
}

fn types_into(types: &Value, value: &Value, path: &str, depth: usize, found: &mut Vec<Violation>) {
    let params = &types["params"];
    let wanted = match types["wb_type"].as_str() {
        _ if value.is_null() || depth > DEPTH => return,
        Some("typedDict") => "object",
        Some("list") => "array",
        Some(kind @ ("number" | "string" | "boolean")) => kind,
        Some("union") => {
            let choices = params["allowed_types"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fits = |t: &Value| check_types(t, value, path).is_empty();
            if !choices.is_empty() && !choices.iter().any(fits) {
                let words: Vec<_> = choices.iter().filter_map(|t| t["wb_type"].as_str()).map(words_of).collect();
                let why = format!("must be {}, and is {}", words.join(" or "), shown(value));
                found.push(Violation { rule: "type", path: path.to_owned(), why });
            }
            return;
        }
        // A value that was null once says nothing of what it may be; the rest is the client's own business.
        _ => return,
    };
    if !is_kind(value, wanted) {
        let why = format!("must be {}, and is {}", kind_words(wanted), shown(value));
        found.push(Violation { rule: "type", path: path.to_owned(), why });
        return;
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let Some(inner) = params["type_map"].get(key) {
                    types_into(inner, value, &join(path, key), depth + 1, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                types_into(&params["element_type"], item, &format!("{path}[{index}]"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// Turns a type document into a schema for a form; `defaults` are the values that the job has by itself.
pub fn schema_of_types(types: &Value, defaults: Option<&Value>) -> Value {
    let params = &types["params"];
    let mut schema = match types["wb_type"].as_str() {
        Some("typedDict") => {
            let map = params["type_map"].as_object();
            let inner =
                |(key, t): (&String, &Value)| (key.clone(), schema_of_types(t, defaults.and_then(|d| d.get(key))));
            let properties: Map<String, Value> = map.into_iter().flatten().map(inner).collect();
            return json!({ "type": "object", "properties": properties });
        }
        Some("list") => json!({ "type": "array", "items": schema_of_types(&params["element_type"], None) }),
        Some(kind @ ("number" | "string" | "boolean")) => json!({ "type": kind }),
        Some("union") => {
            let choices = params["allowed_types"].as_array().into_iter().flatten();
            json!({ "anyOf": choices.map(|t| schema_of_types(t, None)).collect::<Vec<_>>() })
        }
        _ => json!({}),
    };
    if let (Some(default), Some(schema)) = (defaults, schema.as_object_mut()) {
        schema.insert("default".into(), default.clone());
    }
    schema
}

/// Whether a type document names no input at all.
pub fn is_empty_types(types: &Value) -> bool {
    match types["wb_type"].as_str() {
        Some("typedDict") => types["params"]["type_map"].as_object().is_none_or(Map::is_empty),
        None | Some("unknown" | "invalid" | "none") => true,
        Some(_) => false,
    }
}

fn kinds_of(kinds: &Value) -> Vec<&str> {
    match kinds {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// A kind that is not known holds for everything: it is the form's business.
fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn kind_words(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "number" => "a number",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "object" => "an object",
        "array" => "a list",
        other => other,
    }
}

fn words_of(wb_type: &str) -> &str {
    kind_words(match wb_type {
        "typedDict" => "object",
        "list" => "array",
        "none" => "null",
        other => other,
    })
}

/// Numbers are equal by value: 1 and 1.0 are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs(),
        _ => a == b,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value as it is named in a sentence, cut short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let mut cut: String = text.chars().take(57).collect();
    let _ = write!(cut, "…");
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schema: &Value, value: Value) -> Vec<(&'static str, String)> {
        check_schema(schema, &value, None, "").into_iter().map(|v| (v.rule, v.path)).collect()
    }

    #[test]
    fn each_documented_attribute_refuses_its_violation_by_path() {
        let schema = json!({
            "type": "object",
            "properties": {
                "lr": {"type": "number", "minimum": 0, "maximum": 1, "title": "Rate", "description": "step"},
                "epochs": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
                "name": {"type": "string", "enum": ["a", "b"], "format": "free", "label": "l", "placeholder": "p"},
                "flag": {"type": "boolean"},
                "layers": {"type": "array", "items": {"type": "integer", "enum": [1, 2, 3]},
                           "uniqueItems": true, "minItems": 1, "maxItems": 3},
                "opt": {"type": "object", "properties": {"beta": {"type": "number", "multipleOf": 0.5}}},
                "word": {"type": "string", "minLength": 2, "maxLength": 3},
                "old": {"type": "number", "minimum": 1, "exclusiveMinimum": true},
                "only": {"const": 5},
            },
        });
        let good = json!({"lr": 0, "epochs": 5.0, "name": "b", "flag": false, "layers": [3, 1], "opt": {"beta": 1.5},
            "word": "abc", "old": 1.1, "only": 5.0, "unknown": [1]});
        assert_eq!(check_schema(&schema, &good, None, ""), []);
        for (value, rule, path) in [
            (json!([]), "type", ""),
            (json!({"lr": "x"}), "type", "lr"),
            (json!({"lr": true}), "type", "lr"),
            (json!({"lr": -0.1}), "minimum", "lr"),
            (json!({"lr": 1.1}), "maximum", "lr"),
            (json!({"epochs": 1.5}), "type", "epochs"),
            (json!({"epochs": 0}), "exclusiveMinimum", "epochs"),
            (json!({"epochs": 100}), "exclusiveMaximum", "epochs"),
            (json!({"name": "c"}), "enum", "name"),
            (json!({"flag": 1}), "type", "flag"),
            (json!({"layers": []}), "minItems", "layers"),
            (json!({"layers": [1, 2, 3, 1]}), "maxItems", "layers"),
            (json!({"layers": [1, 1]}), "uniqueItems", "layers"),
            (json!({"layers": [1, 9]}), "enum", "layers[1]"),
            (json!({"opt": {"beta": 0.3}}), "multipleOf", "opt.beta"),
            (json!({"word": "a"}), "minLength", "word"),
            (json!({"word": "äöüß"}), "maxLength", "word"),
            (json!({"old": 1}), "exclusiveMinimum", "old"),
            (json!({"only": 6}), "const", "only"),
        ] {
            assert_eq!(refused(&schema, value.clone()).first(), Some(&(rule, path.to_owned())), "{value}");
        }
        let two = check_schema(&schema, &json!({"lr": 5, "flag": "x"}), None, "run_config");
        assert_eq!(two.len(), 2, "one for each field: {two:?}");
        assert_eq!((two[0].path.as_str(), two[0].why.as_str()), ("run_config.lr", "must be at most 1, and is 5"));
    }

    #[test]
    fn what_is_required_is_given_known_or_has_a_default() {
        let listed = json!({"type": "object", "required": ["a", "b"], "properties": {"a": {}, "b": {"default": 1}}});
        assert_eq!(refused(&listed, json!({})), [("required", "a".to_owned())]);
        assert_eq!(refused(&listed, json!({"a": null})), []);
        assert_eq!(check_schema(&listed, &json!({}), Some(&json!({"a": 3})), ""), []);
        let marked = json!({"properties": {"in": {"properties": {"x": {"type": "string", "required": true}}}}});
        assert_eq!(refused(&marked, json!({})), []);
        assert_eq!(refused(&marked, json!({"in": {}})), [("required", "in.x".to_owned())]);
    }

    #[test]
    fn what_pydantic_writes_is_understood() {
        let schema = json!({
            "$defs": {
                "Kind": {"enum": ["sgd", "adam"], "type": "string"},
                "Opt": {"type": "object", "properties": {"rate": {"type": "number", "exclusiveMinimum": 0}},
                        "additionalProperties": false, "required": ["rate"]},
                "Loop": {"properties": {"next": {"$ref": "#/$defs/Loop"}}, "allOf": [{"$ref": "#/$defs/Loop"}]},
            },
            "properties": {
                "kind": {"allOf": [{"$ref": "#/$defs/Kind"}], "default": "sgd"},
                "opt": {"$ref": "#/$defs/Opt"},
                "maybe": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}], "default": null},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "loop": {"$ref": "#/$defs/Loop"},
            },
        });
        assert_eq!(refused(&schema, json!({"kind": "adam", "opt": {"rate": 1}, "maybe": null, "either": "x"})), []);
        assert_eq!(refused(&schema, json!({"kind": "x"})), [("enum", "kind".to_owned())]);
        assert_eq!(refused(&schema, json!({"opt": {"rate": 0}})), [("exclusiveMinimum", "opt.rate".to_owned())]);
        assert_eq!(refused(&schema, json!({"maybe": 1})), [("minimum", "maybe".to_owned())]);
        assert_eq!(refused(&schema, json!({"either": []})), [("anyOf", "either".to_owned())]);
        assert_eq!(refused(&schema, json!({"loop": {"next": {"next": {}}}})), []);
        let typo = check_schema(&schema, &json!({"opt": {"rate": 1, "ratee": 1}}), None, "");
        assert_eq!(typo[0].why, "is no input of the job; did you mean `rate`?");
    }

    #[test]
    fn a_kind_that_a_run_had_is_the_kind_that_it_takes() {
        let types = json!({"wb_type": "typedDict", "params": {"type_map": {
            "lr": {"wb_type": "number"}, "name": {"wb_type": "string"}, "flag": {"wb_type": "boolean"},
            "none": {"wb_type": "none"}, "thing": {"wb_type": "pythonObject"},
            "layers": {"wb_type": "list", "params": {"element_type": {"wb_type": "number"}, "length": 2}},
            "mix": {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "number"}, {"wb_type": "string"}]}},
            "opt": {"wb_type": "typedDict", "params": {"type_map": {"beta": {"wb_type": "number"}}}},
        }}});
        let good = json!({"lr": 1, "none": {"x": 1}, "thing": "x", "layers": [1, 2, 3], "mix": "x", "opt": {}, "new": 1, "flag": null});
        assert_eq!(check_types(&types, &good, ""), []);
        for (value, path) in [
            (json!({"lr": "x"}), "lr"),
            (json!({"name": 3}), "name"),
            (json!({"flag": 1}), "flag"),
            (json!({"layers": 1}), "layers"),
            (json!({"layers": [1, "x"]}), "layers[1]"),
            (json!({"mix": []}), "mix"),
            (json!({"opt": {"beta": "x"}}), "opt.beta"),
        ] {
            let found = check_types(&types, &value, "");
            assert_eq!(found.iter().map(|v| v.path.as_str()).collect::<Vec<_>>(), [path], "{value}");
        }
        assert_eq!(check_types(&json!({"wb_type": "unknown"}), &json!({"a": 1}), ""), []);
        let form = schema_of_types(&types, Some(&json!({"lr": 0.5, "opt": {"beta": 2}})));
        assert_eq!(form["properties"]["lr"], json!({"type": "number", "default": 0.5}));
        assert_eq!(form["properties"]["opt"]["properties"]["beta"], json!({"type": "number", "default": 2}));
        assert_eq!(form["properties"]["layers"], json!({"type": "array", "items": {"type": "number"}}));
        assert!(
            is_empty_types(&json!({"wb_type": "typedDict", "params": {"type_map": {}}})) && !is_empty_types(&types)
        );
    }
}
