//! Whether the values of a launch fit the job's inputs, whichever door they come through.

use lanza_api::artifact::JobInputs;
use lanza_model::{
    input::{self, Violation},
    spec::Overrides,
};
use serde_json::{Map, Value, json};

use super::ResolvedJob;
use crate::{Error, Result, Service};

/// Key of the config among the inputs of a job, as clients write it; config files have their paths, below `files`.
const CONFIG: &str = "@wandb.config";

impl Service {
    /// Checks the values of a launch against the job's schemas, or against the types of its first run.
    ///
    /// # Errors
    /// [`Error::Inputs`] with every field that does not fit.
    pub(crate) async fn job_inputs_check(&self, job: &ResolvedJob, overrides: &Overrides) -> Result<()> {
        let mut fields = violations(&job.metadata, &job.file.input_types, overrides, None);
        // What is required may come from the run that the job was made of. That is read only when it matters.
        if fields.iter().any(|f| f.rule == "required")
            && let Ok(id) = job.artifact_id.parse()
            && let Some(run) = self.job_maker(&id).await?
        {
            let known = Value::Object(super::from_run::config_values(&run.config));
            fields = violations(&job.metadata, &job.file.input_types, overrides, Some(&known));
        }
        if fields.is_empty() { Ok(()) } else { Err(Error::Inputs { job: job.reference.clone(), fields }) }
    }
}

/// The types of the config: of the metadata, which are those of managed inputs or of the first run, else of the job file.
fn config_types<'a>(metadata: &'a Value, of_file: &'a Value) -> &'a Value {
    metadata["input_types"].get(CONFIG).filter(|t| !input::is_empty_types(t)).unwrap_or(of_file)
}

fn violations(metadata: &Value, types: &Value, overrides: &Overrides, known: Option<&Value>) -> Vec<Violation> {
    let schemas = &metadata["input_schemas"];
    let config = Value::Object(overrides.run_config.clone());
    let mut found = match schemas.get(CONFIG).filter(|s| s.is_object()) {
        Some(schema) => input::check_schema(schema, &config, known, "overrides.run_config"),
        None => input::check_types(config_types(metadata, types), &config, "overrides.run_config"),
    };
    for (path, values) in &overrides.files {
        let name = format!("overrides.files.{path}");
        if let Some(schema) = schemas["files"].get(path).filter(|s| s.is_object()) {
            // A file brings its own values; the launch only changes some.
            found.extend(input::check_schema(schema, values, None, &name).into_iter().filter(|v| v.rule != "required"));
        } else if let Some(types) = metadata["input_types"]["files"].get(path) {
            found.extend(input::check_types(types, values, &name));
        }
    }
    found
}

/// Where a run keeps the config files that are inputs of its job.
const FILES_OF_RUN: &str = "_wandb_configs/";

/// Returns the name by which a run keeps the config file at `path`.
pub(super) fn file_of_run(path: &str) -> String {
    format!("{FILES_OF_RUN}{path}")
}

/// Reads a config file: JSON or YAML, whatever its name says. None where it is neither.
pub(super) fn read_file(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str(text).ok().or_else(|| serde_norway::from_str(text).ok()).filter(Value::is_object)
}

/// What the run that a job was made of had.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// The values of its config.
    pub(super) config: Value,
    /// Those of its config files, by their paths.
    pub(super) files: Map<String, Value>,
}

/// Returns what a form shows: the job's schemas, else schemas made of its types. `defaults` are the values of the run that
/// it was made of.
pub(super) fn form(metadata: &Value, of_file: &Value, defaults: Option<&Defaults>) -> JobInputs {
    let of_files = |path: &str| defaults.and_then(|d| d.files.get(path));
    let defaults = defaults.map(|d| &d.config);
    let schemas = &metadata["input_schemas"];
    let learned = &metadata["input_types"];
    let types = config_types(metadata, of_file);
    let files_of = |value: &Value| value["files"].as_object().cloned().unwrap_or_default();
    let typed = |(path, types): (String, Value)| {
        let schema = input::schema_of_types(&types, of_files(&path));
        (path, schema)
    };
    let mut files: Map<String, Value> = files_of(learned).into_iter().map(typed).collect();
    let given = |(path, schema): (String, Value)| {
        let schema = with_defaults(&schema, of_files(&path));
        (path, schema)
    };
    files.extend(files_of(schemas).into_iter().map(given));
    let config = match schemas.get(CONFIG).filter(|s| s.is_object()) {
        Some(schema) => with_defaults(schema, defaults),
        None if input::is_empty_types(types) => Value::Null,
        None => input::schema_of_types(types, defaults),
    };
    let from = if schemas.is_object() {
        "schema"
    } else if config.is_null() && files.is_empty() {
        "unknown"
    } else {
        "types"
    };
    JobInputs { from: from.to_owned(), config, files }
}

/// Adds the values that the job has by itself where the schema names no default.
fn with_defaults(schema: &Value, defaults: Option<&Value>) -> Value {
    let mut schema = schema.clone();
    let Some(defaults) = defaults.and_then(Value::as_object) else { return schema };
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (key, property) in properties {
            let Some(default) = defaults.get(key) else { continue };
            if property["properties"].is_object() && default.is_object() {
                // Field by field: what is no input stays out of sight.
                *property = with_defaults(property, Some(default));
            } else if let Value::Object(property) = property {
                property.entry("default").or_insert_with(|| json!(default));
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(config: Value, files: Value) -> Overrides {
        Overrides {
            run_config: config.as_object().cloned().unwrap_or_default(),
            files: files.as_object().cloned().unwrap_or_default(),
            ..Overrides::default()
        }
    }

    fn paths(metadata: &Value, types: &Value, overrides: &Overrides) -> Vec<String> {
        violations(metadata, types, overrides, None).into_iter().map(|v| v.path).collect()
    }

    #[test]
    fn a_schema_wins_over_learned_types_and_those_over_the_files() {
        let number = json!({"wb_type": "typedDict", "params": {"type_map": {"x": {"wb_type": "number"}}}});
        let text = json!({"wb_type": "typedDict", "params": {"type_map": {"x": {"wb_type": "string"}}}});
        let empty = json!({"wb_type": "typedDict", "params": {"type_map": {}}});
        let given = overrides(json!({"x": 1}), json!({}));
        assert_eq!(paths(&json!({}), &number, &given), [""; 0]);
        assert_eq!(paths(&json!({"input_types": {CONFIG: text}}), &number, &given), ["overrides.run_config.x"]);
        assert_eq!(paths(&json!({"input_types": {CONFIG: empty}}), &text, &given), ["overrides.run_config.x"]);
        let schema =
            json!({"input_types": {CONFIG: text}, "input_schemas": {CONFIG: {"properties": {"x": {"maximum": 0}}}}});
        assert_eq!(paths(&schema, &text, &given), ["overrides.run_config.x"]);
        assert_eq!(paths(&schema, &text, &overrides(json!({"x": -1}), json!({}))), [""; 0]);
    }

    #[test]
    fn config_files_have_schemas_and_types_of_their_own() {
        let metadata = json!({
            "input_types": {"files": {"b.yaml": {"wb_type": "typedDict", "params": {"type_map": {"n": {"wb_type": "number"}}}}}},
            "input_schemas": {"files": {"a.json": {"required": ["y"], "properties": {"x": {"type": "integer"}}}}},
        });
        let given = overrides(json!({}), json!({"a.json": {"x": 1.5}, "b.yaml": {"n": "q"}, "c.yaml": {"z": 1}}));
        assert_eq!(paths(&metadata, &Value::Null, &given), ["overrides.files.a.json.x", "overrides.files.b.yaml.n"]);
    }

    #[test]
    fn a_form_has_the_values_of_the_first_run_as_defaults() {
        let types = json!({"wb_type": "typedDict", "params": {"type_map": {"x": {"wb_type": "number"}}}});
        let of = |config: Value| Defaults { config, ..Defaults::default() };
        let of_types = form(&json!({}), &types, Some(&of(json!({"x": 3}))));
        assert_eq!((of_types.from.as_str(), &of_types.config["properties"]["x"]["default"]), ("types", &json!(3)));
        let metadata =
            json!({"input_schemas": {CONFIG: {"properties": {"x": {"type": "number"}, "y": {"default": 1}}}}});
        let of_schema = form(&metadata, &types, Some(&of(json!({"x": 3, "y": 4}))));
        assert_eq!(of_schema.config["properties"]["x"]["default"], 3);
        assert_eq!((of_schema.from.as_str(), &of_schema.config["properties"]["y"]["default"]), ("schema", &json!(1)));
        assert_eq!(form(&json!({"_partial": true}), &json!({}), None).from, "unknown");
    }

    #[test]
    fn config_files_of_the_run_are_defaults_of_what_is_an_input() {
        let number = json!({"wb_type": "number"});
        let typed = |map: Value| json!({"wb_type": "typedDict", "params": {"type_map": map}});
        let metadata = json!({
            "input_types": {"files": {"a.yaml": typed(json!({"data": typed(json!({"rows": number}))}))}},
            "input_schemas": {"files": {"b.json": {"properties": {
                "lr": {"type": "number"}, "opt": {"type": "object", "properties": {"beta": {"default": 1}, "eps": {}}},
            }}}},
        });
        let files = [
            ("a.yaml", "data:\n  rows: 10\n  path: hidden\nseed: 1\n"),
            ("b.json", r#"{"lr": 0.5, "opt": {"beta": 2, "eps": 3, "hidden": 4}}"#),
        ];
        let files =
            files.map(|(path, text)| (path.to_owned(), read_file(text.as_bytes()).unwrap())).into_iter().collect();
        let shown = form(&metadata, &Value::Null, Some(&Defaults { config: Value::Null, files })).files;
        assert_eq!(
            shown["a.yaml"]["properties"]["data"]["properties"]["rows"],
            json!({"type": "number", "default": 10})
        );
        let of_schema = &shown["b.json"]["properties"];
        assert_eq!(of_schema["lr"]["default"], 0.5);
        assert_eq!(of_schema["opt"]["properties"], json!({"beta": {"default": 1}, "eps": {"default": 3}}));
        assert!(!Value::Object(shown.clone()).to_string().contains("hidden"));
        assert_eq!(
            (read_file(b"- 1"), read_file(b"\xff"), file_of_run("a/b.yaml").as_str()),
            (None, None, "_wandb_configs/a/b.yaml")
        );
    }
}
