//! JSON and YAML that people hand in: as a file, on stdin, or as words of the command line.

use std::io::Read as _;

use serde_json::{Map, Value};

use crate::exit::Failure;

/// Reads a file, or stdin for `-`. `flag` says which option it was.
pub(crate) fn file(path: &str, flag: &str) -> Result<Map<String, Value>, Failure> {
    parse(&read(path, flag)?, flag, path)
}

/// Reads a file, or stdin for `-`, that holds a list, or an object with the list below `key`.
pub(crate) fn list(path: &str, flag: &str, key: &str) -> Result<Vec<Value>, Failure> {
    match serde_norway::from_str(&read(path, flag)?) {
        Ok(Value::Array(list)) => Ok(list),
        Ok(Value::Object(mut object)) if object.len() == 1 => match object.remove(key) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(Failure::usage(format!("{flag}: {path} holds no list of {key}"))),
        },
        Ok(_) => Err(Failure::usage(format!("{flag}: {path} holds no list of {key}"))),
        Err(e) => Err(Failure::usage(format!("{flag}: {path} is neither YAML nor JSON ({e})"))),
    }
}

fn read(path: &str, flag: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|t| text = t)
    };
    read.map_err(|e| Failure::usage(format!("{flag}: cannot read `{path}`: {e}")))?;
    Ok(text)
}

/// Reads JSON that begins with a brace, else a file as [`file()`] does.
pub(crate) fn file_or_json(text: &str, flag: &str) -> Result<Map<String, Value>, Failure> {
    if text.trim_start().starts_with('{') { parse(text, flag, "the text") } else { file(text, flag) }
}

fn parse(text: &str, flag: &str, from: &str) -> Result<Map<String, Value>, Failure> {
    match serde_norway::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Failure::usage(format!("{flag}: {from} holds something else than keys and values"))),
        Err(e) => Err(Failure::usage(format!("{flag}: {from} is neither YAML nor JSON ({e})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_yaml_and_files_are_read() {
        assert_eq!(file_or_json("{\"a\": 1}", "-c").expect("JSON")["a"], 1);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "a:\n  b: [1, 2]\n").expect("written");
        assert_eq!(file_or_json(path.to_str().expect("text"), "-c").expect("YAML")["a"]["b"][1], 2);
        assert!(file_or_json("absent.yaml", "-c").expect_err("no file").message.contains("absent.yaml"));
        std::fs::write(&path, "- 1\n").expect("written");
        assert!(file(path.to_str().expect("text"), "-c").is_err());
    }
}
