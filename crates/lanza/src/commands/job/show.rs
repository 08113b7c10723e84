//! Job versions as text.

use lanza_api::artifact::{JobDiff, JobVersion};
use serde_json::Value;

use crate::output::table::fields;

/// Everything that a launch needs to know.
pub(super) fn describe(version: &JobVersion) -> String {
    let source = &version.source;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let git = &source["git"];
    let from = match version.source_type.as_str() {
        "git" => format!("git {} at {}", text(&git["remote"]), text(&git["commit"])),
        "image" => format!("image {}", text(&source["image"])),
        "code" => format!("code {}", text(&source["artifact"])),
        _ => source.to_string(),
    };
    let list = |lines: &[String]| lines.join("\n");
    fields(&[
        ("version", version.reference.clone()),
        ("aliases", version.aliases.join(", ")),
        ("source", from),
        ("command", version.entrypoint.join(" ")),
        ("build context", text(&source["build_context"])),
        ("dockerfile", text(&source["dockerfile"])),
        ("base image", text(&source["base_image"])),
        ("python", version.python.clone().unwrap_or_default()),
        ("packages", list(&version.requirements)),
        ("inputs", inputs(version)),
        ("outputs", outputs(&version.output_types)),
        ("made of", version.made_of.clone().unwrap_or_default()),
        ("runs", list(&version.runs)),
        ("made", version.created_at.to_string()),
        ("author", version.author.clone().unwrap_or_default()),
    ])
}

fn inputs(version: &JobVersion) -> String {
    let inputs = &version.inputs;
    if inputs.from == "unknown" {
        return "not known before the first run".to_owned();
    }
    let mut lines = schema_lines(&inputs.config, "");
    for (path, schema) in &inputs.files {
        lines.push(format!("{path}:"));
        lines.extend(schema_lines(schema, "  "));
    }
    if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
}

/// One line per value: path, kind, bounds, default.
fn schema_lines(schema: &Value, margin: &str) -> Vec<String> {
    let mut lines = Vec::new();
    into_lines(schema, schema, "", 0, &mut lines);
    lines.into_iter().map(|l| format!("{margin}{l}")).collect()
}

fn into_lines(root: &Value, schema: &Value, path: &str, depth: usize, lines: &mut Vec<String>) {
    let target = schema["$ref"].as_str().and_then(|r| root.pointer(r.strip_prefix('#')?));
    let schema = target.unwrap_or(schema);
    if let Some(properties) = schema["properties"].as_object().filter(|_| depth < 16) {
        let listed = |key: &str| schema["required"].as_array().is_some_and(|l| l.iter().any(|v| v == key));
        for (key, inner) in properties {
            let inner_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let before = lines.len();
            into_lines(root, inner, &inner_path, depth + 1, lines);
            if (listed(key) || inner["required"] == true) && inner.get("default").is_none() && lines.len() == before + 1
            {
                lines[before].push_str(", required");
            }
        }
        return;
    }
    let mut words = vec![match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }];
    for (key, word) in [
        ("minimum", "at least "),
        ("exclusiveMinimum", "more than "),
        ("maximum", "at most "),
        ("exclusiveMaximum", "less than "),
        ("default", "default "),
    ] {
        if let Some(value) = schema.get(key) {
            words.push(format!("{word}{value}"));
        }
    }
    if let Some(choices) = schema["enum"].as_array() {
        words.push(format!("one of {}", choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    }
    let about = schema["description"].as_str().or_else(|| schema["title"].as_str());
    let about = about.map_or_else(String::new, |a| format!("  ({a})"));
    let name = if path.is_empty() { "config" } else { path };
    lines.push(format!("{name}: {}{about}", words.join(", ")));
}

fn outputs(types: &Value) -> String {
    let kinds = types["params"]["type_map"].as_object();
    let line = |(key, t): (&String, &Value)| format!("{key}: {}", t["wb_type"].as_str().unwrap_or("any"));
    kinds.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// What differs, `-` for the older side and `+` for the newer one.
pub(super) fn diff(diff: &JobDiff) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    };
    let mut lines = Vec::new();
    for change in &diff.changes {
        lines.push(format!("{}:", change.field));
        lines.push(format!("- {}", shown(&change.from)));
        lines.push(format!("+ {}", shown(&change.to)));
    }
    if !diff.files.is_empty() {
        lines.push("files:".to_owned());
        lines.extend(diff.files.iter().map(|f| {
            let mark = match f.change.as_str() {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            format!("{mark} {}", f.path)
        }));
    }
    if !diff.requirements_added.is_empty() || !diff.requirements_removed.is_empty() {
        lines.push("packages:".to_owned());
        lines.extend(diff.requirements_removed.iter().map(|r| format!("- {r}")));
        lines.extend(diff.requirements_added.iter().map(|r| format!("+ {r}")));
    }
    lines.into_iter().map(|l| l + "\n").collect()
}

#[cfg(test)]
mod tests {
    use lanza_api::artifact::{FileChange, JobChange};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_one_line_per_value() {
        let schema = json!({
            "required": ["lr"],
            "$defs": { "Opt": { "properties": { "beta": { "type": "number" } } } },
            "properties": {
                "lr": { "type": "number", "minimum": 0, "maximum": 1, "description": "step size" },
                "kind": { "type": "string", "enum": ["a", "b"], "default": "a" },
                "opt": { "$ref": "#/$defs/Opt" },
                "free": {},
            },
        });
        assert_eq!(
            schema_lines(&schema, ""),
            [
                "lr: number, at least 0, at most 1  (step size), required",
                "kind: string, default \"a\", one of \"a\" \"b\"",
                "opt.beta: number",
                "free: any",
            ]
        );
    }

    #[test]
    fn a_difference_reads_like_one() {
        let found = JobDiff {
            from: "v0".into(),
            to: "v1".into(),
            changes: vec![JobChange { field: "entrypoint".into(), from: json!(["python", "a.py"]), to: json!(["b"]) }],
            requirements_removed: vec!["x==1".into()],
            requirements_added: vec!["x==2".into()],
            files: vec![FileChange { path: "a.py".into(), change: "changed".into() }],
        };
        assert_eq!(diff(&found), "entrypoint:\n- python a.py\n+ b\nfiles:\n~ a.py\npackages:\n- x==1\n+ x==2\n");
    }
}
