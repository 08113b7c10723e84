//! JSON as clients write it: with bare `NaN`, `Infinity` and `-Infinity`.
//!
//! Documents are stored as they came. Where we must look inside, or answer strict JSON, the three words become strings.

use std::{borrow::Cow, collections::HashSet};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// Parses a client's document.
///
/// # Errors
/// When it is not JSON even so.
pub fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(e) => match quoted(text) {
            Cow::Owned(strict) => serde_json::from_str(&strict),
            Cow::Borrowed(_) => Err(e),
        },
    }
}

/// Parses a client's document that must be an object; anything else is empty.
pub fn object(text: &str) -> serde_json::Map<String, Value> {
    parse(text).unwrap_or_default()
}

/// Whether a text is one object as clients write them, which every reader can read.
pub fn is_object(text: &str) -> bool {
    /// Nesting that a parser with a stack takes.
    const DEEPEST: usize = 127;
    if !text.trim_start().starts_with('{') {
        return false;
    }
    // Only the parser of values minds how deep a document goes, and it is the slower one.
    if text.bytes().filter(|b| matches!(b, b'{' | b'[')).count() > DEEPEST {
        return parse::<Value>(text).is_ok();
    }
    parse::<IgnoredAny>(text).is_ok()
}

/// The name of a key, where it stands in the document if that can be.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Parses an object and keeps only some of its outermost keys; the values of the others are skipped.
pub(crate) fn some_of(text: &str, wanted: &HashSet<String>) -> serde_json::Map<String, Value> {
    struct Keys<'w>(&'w HashSet<String>);
    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = serde_json::Map<String, Value>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = serde_json::Map::new();
            while let Some(Name(key)) = map.next_key::<Name<'de>>()? {
                if self.0.contains(key.as_ref()) {
                    found.insert(key.into_owned(), map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    if wanted.is_empty() {
        return serde_json::Map::new();
    }
    let read = |text: &str| serde_json::Deserializer::from_str(text).deserialize_map(Keys(wanted));
    read(text).or_else(|_| read(&quoted(text))).unwrap_or_default()
}

/// Returns the document with the bare words quoted.
pub fn quoted(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut strict = String::with_capacity(text.len() + 16);
    let (mut copied, mut at, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 2,
            b'"' => {
                in_string = !in_string;
                at += 1;
            }
            b'N' | b'I' | b'-' if !in_string => {
                let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|w| bytes[at..].starts_with(w.as_bytes()));
                if let Some(word) = word {
                    strict.push_str(&text[copied..at]);
                    strict.push('"');
                    strict.push_str(word);
                    strict.push('"');
                    at += word.len();
                    copied = at;
                } else {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    strict.push_str(&text[copied..]);
    Cow::Owned(strict)
}

/// Looks a dotted key up: literally first (`loss.min` may be one key), then as nesting.
pub fn lookup<'a>(object: &'a serde_json::Map<String, Value>, key: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(key) {
        return Some(value);
    }
    key.match_indices('.').find_map(|(at, _)| match object.get(&key[..at])? {
        Value::Object(inner) => lookup(inner, &key[at + 1..]),
        _ => None,
    })
}

/// Returns the `_step` of a history line, if it has one.
pub fn step_of(line: &str) -> Option<i64> {
    const KEY: &str = "\"_step\":";
    let at = line.find(KEY)?;
    let rest = &line[at + KEY.len()..];
    // One occurrence outside of any nested object needs no parser.
    if line.get(1..at).is_some_and(|before| !before.contains('{')) && !rest.contains(KEY) {
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        if matches!(rest.as_bytes().get(end), Some(b',' | b'}')) {
            return rest[..end].parse().ok();
        }
    }
    match object(line).get("_step")? {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        _ => None,
    }
}

/// Whether a text is one of the words that stand for numbers.
pub(crate) fn is_number_word(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// Reads a number, the quoted words included.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => match s.as_str() {
            // The words of `is_number_word`.
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Writes a number as JSON; what is not finite becomes a word.
pub fn value(number: f64) -> Value {
    if number.is_nan() {
        Value::from("NaN")
    } else if number.is_infinite() {
        Value::from(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bare_words_become_strings_and_texts_stay() {
        let text = r#"{"a":NaN,"b":[Infinity,-Infinity,-1],"c":"NaN \" Infinity","d":1.79e+09}"#;
        assert_eq!(
            parse::<Value>(text).expect("JSON"),
            json!({ "a": "NaN", "b": ["Infinity", "-Infinity", -1], "c": "NaN \" Infinity", "d": 1.79e9 })
        );
        assert!(parse::<Value>("{").is_err());
        assert!(matches!(quoted(r#"{"c":"NaN"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn an_object_is_told_from_what_no_reader_could_read() {
        for good in ["{}", r#" {"a":NaN,"b":[{"c":-Infinity}],"d":"{bad"} "#, r#"{"a":"\"NaN"}"#] {
            assert!(is_object(good), "{good}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        let wide = format!("{{\"a\":[{}]}}", vec!["[]"; 500].join(","));
        for bad in ["", "{bad", "{bad}", "[1]", "3", "null", "{} {}", r#"{"a":nan}"#, r#"{"a":1"#, &deep] {
            assert!(!is_object(bad), "{bad:.20}");
        }
        assert!(is_object(&wide));
    }

    #[test]
    fn some_keys_are_read_and_the_rest_is_skipped() {
        let wanted = HashSet::from(["a".to_owned(), "n".to_owned()]);
        let some = some_of(r#"{"x":{"a":9},"a":{"b":[1]},"n":NaN,"y":[NaN]}"#, &wanted);
        assert_eq!(Value::Object(some), json!({ "a": { "b": [1] }, "n": "NaN" }));
        assert!(some_of("[1]", &wanted).is_empty() && some_of("{", &wanted).is_empty());
    }

    #[test]
    fn the_step_is_that_of_the_row_and_not_of_something_in_it() {
        assert_eq!(step_of(r#"{"loss":1,"_step":17,"x":2}"#), Some(17));
        assert_eq!(step_of(r#"{"_step": 4}"#), Some(4));
        assert_eq!(step_of(r#"{"a":{"_step":3},"_step":9}"#), Some(9));
        assert_eq!(step_of(r#"{"a":{"_step":3}}"#), None);
        assert_eq!(step_of(r#"{"_step":1e3}"#), Some(1000));
        assert_eq!(step_of(r#"{"a":NaN,"b":{"c":1},"_step":2}"#), Some(2));
        assert_eq!(step_of("not json"), None);
        assert_eq!(step_of(""), None);
    }

    #[test]
    fn a_dotted_key_is_literal_first() {
        let row = object(r#"{"a.b":1,"a":{"b":2,"c":{"d":3}},"x":{"y.z":4}}"#);
        assert_eq!(lookup(&row, "a.b"), Some(&json!(1)));
        assert_eq!(lookup(&row, "a.c.d"), Some(&json!(3)));
        assert_eq!(lookup(&row, "x.y.z"), Some(&json!(4)));
        assert_eq!(lookup(&row, "a.q"), None);
    }
}
