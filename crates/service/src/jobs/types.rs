//! Type documents: what the client notes about the inputs and outputs of a job.

use serde_json::{Map, Value, json};

/// Describes a JSON value as clients do.
pub(super) fn type_of(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "wb_type": "none" }),
        Value::Bool(_) => json!({ "wb_type": "boolean" }),
        Value::Number(_) => json!({ "wb_type": "number" }),
        Value::String(_) => json!({ "wb_type": "string" }),
        Value::Array(items) => {
            let mut kinds: Vec<Value> = Vec::new();
            for kind in items.iter().map(type_of) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            let element = match kinds.len() {
                0 => json!({ "wb_type": "unknown" }),
                1 => kinds.remove(0),
                _ => json!({ "wb_type": "union", "params": { "allowed_types": kinds } }),
            };
            json!({ "wb_type": "list", "params": { "element_type": element, "length": items.len() } })
        }
        Value::Object(object) => typed_dict(object),
    }
}

/// Describes an object. Its keys are sorted, so that equal objects have equal descriptions.
pub(super) fn typed_dict(object: &Map<String, Value>) -> Value {
    let mut keys: Vec<_> = object.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    let types: Map<String, Value> = keys.into_iter().map(|(key, value)| (key.clone(), type_of(value))).collect();
    json!({ "wb_type": "typedDict", "params": { "type_map": types } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_that_the_client_writes() {
        let config =
            json!({"opt": {"lr": 0.1}, "layers": [1, 2, 3], "name": "x", "flag": true, "no": null, "mix": [1, "a"]});
        assert_eq!(
            type_of(&config),
            json!({"wb_type": "typedDict", "params": {"type_map": {
                "flag": {"wb_type": "boolean"},
                "layers": {"wb_type": "list", "params": {"element_type": {"wb_type": "number"}, "length": 3}},
                "mix": {"wb_type": "list", "params": {"element_type": {"wb_type": "union",
                    "params": {"allowed_types": [{"wb_type": "number"}, {"wb_type": "string"}]}}, "length": 2}},
                "name": {"wb_type": "string"},
                "no": {"wb_type": "none"},
                "opt": {"wb_type": "typedDict", "params": {"type_map": {"lr": {"wb_type": "number"}}}},
            }}})
        );
    }
}
