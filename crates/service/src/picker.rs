//! Some keys of a document, found by their text: several times as fast as parsing documents that have a thousand.

use std::{collections::HashSet, sync::LazyLock};

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::lenient;

/// What may stand between a key and what follows.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

// These are looked for a whole vector at a time, which the methods of texts do not do.
static BACKSLASH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\").expect("a legal expression"));
static OPENS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[{\[]").expect("a legal expression"));

/// Reads some outermost keys of documents.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    names: HashSet<String>,
    /// Finds `"name":`; none where a name could be mistaken for something between two texts.
    finder: Option<Regex>,
}

impl Picker {
    pub(crate) fn new(names: HashSet<String>) -> Self {
        let plain = !names.is_empty() && names.iter().all(|name| is_plain(name));
        let finder = plain
            .then(|| {
                let each: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
                Regex::new(&format!("\"(?:{})\"[ \\t\\r\\n]*:", each.join("|"))).ok()
            })
            .flatten();
        Self { names, finder }
    }

    /// Whether no key is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns those of the keys that a document has.
    pub(crate) fn pick(&self, text: &str) -> Map<String, Value> {
        if self.names.is_empty() {
            return Map::new();
        }
        self.by_text(text).unwrap_or_else(|| lenient::some_of(text, &self.names))
    }

    /// The same, where the text alone is certain; none where it takes a parser.
    fn by_text(&self, text: &str) -> Option<Map<String, Value>> {
        let finder = self.finder.as_ref()?;
        // Without a backslash every quote begins or ends a text, so that what was found is a key of some object.
        if BACKSLASH.is_match(text) {
            return None;
        }
        let mut found = Map::new();
        let mut depth = Depth::new(text);
        for place in finder.find_iter(text) {
            if depth.before(place.start()) == 1 {
                let (name, _) = place.as_str().strip_prefix('"')?.split_once('"')?;
                found.insert(name.to_owned(), value(&text[place.end()..])?);
            }
        }
        // A list has no keys.
        Some(if text.trim_start_matches(SPACE).starts_with('{') { found } else { Map::new() })
    }
}

/// Whether `"name"` is in a document nothing but that text: not the end of one text, and the beginning of the next.
fn is_plain(name: &str) -> bool {
    let follows_a_text = |c: char| SPACE.contains(&c) || [':', ',', '}', ']'].contains(&c);
    !name.is_empty()
        && !name.starts_with(follows_a_text)
        && !name.contains(|c: char| c == '"' || c == '\\' || c.is_control())
}

/// Reads the value with which a text begins.
fn value(text: &str) -> Option<Value> {
    let text = text.trim_start_matches(SPACE);
    if let Some(word) = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| text.starts_with(word)) {
        return Some(word.into());
    }
    Value::deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

/// How deep a place of a document without backslashes is nested.
struct Depth<'t> {
    text: &'t str,
    /// As far as was looked.
    at: usize,
    depth: i32,
    /// Where something is nested in the document first: before it nobody has to count.
    nested: usize,
}

impl<'t> Depth<'t> {
    fn new(text: &'t str) -> Self {
        let nested = OPENS.find_iter(text).nth(1).map_or(text.len(), |second| second.start());
        Self { text, at: 0, depth: 0, nested }
    }

    /// Returns how deep the quote at `place` lies, which begins a key. Places are asked for in their order.
    fn before(&mut self, place: usize) -> i32 {
        if place < self.nested {
            return 1;
        }
        while self.at < place {
            let rest = &self.text[self.at..place];
            let between = rest.find('"').unwrap_or(rest.len());
            for byte in rest[..between].bytes() {
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
            }
            self.at += between;
            if self.at < place {
                // Over the text to its end.
                let text = &self.text[self.at + 1..];
                self.at += 2 + text.find('"').unwrap_or(text.len());
            }
        }
        self.depth
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn picker(names: &[&str]) -> Picker {
        Picker::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn keys_are_found_by_their_text_where_that_is_certain() {
        let wanted = picker(&["a", "n", "x.y"]);
        for (text, expected) in [
            (r#"{"x":{"a":9},"a":{"b":[1]},"n":NaN,"y":2}"#, json!({ "a": { "b": [1] }, "n": "NaN" })),
            (r#" { "a" : -Infinity , "b":"a","x.y":"{[" , "c":"n"}"#, json!({ "a": "-Infinity", "x.y": "{[" })),
            (r#"{"s":"{A","t":1}"#, json!({})),
            (r#"{"z":"}{[","a":1,"a":2}"#, json!({ "a": 2 })),
            (r#"[{"a":1}]"#, json!({})),
            ("{}", json!({})),
            ("", json!({})),
        ] {
            let found = wanted.by_text(text).unwrap_or_else(|| panic!("a parser for {text}"));
            assert_eq!(Value::Object(found), expected, "{text}");
        }
        // What escapes something, has a bare word deep inside, or a name that is no plain text, is parsed.
        for (names, text, expected) in [
            (["a"], r#"{"b":"\"a\":1","a":2}"#, json!({ "a": 2 })),
            (["a"], r#"{"\u0061":3}"#, json!({ "a": 3 })),
            (["a"], r#"{"a":{"b":NaN}}"#, json!({ "a": { "b": "NaN" } })),
            ([":1,"], r#"{"x":1,": y":2,":1,":3}"#, json!({ ":1,": 3 })),
            (["q\"q"], r#"{"q\"q":4}"#, json!({ "q\"q": 4 })),
            ([""], r#"{"":5}"#, json!({ "": 5 })),
        ] {
            assert!(picker(&names).by_text(text).is_none(), "{text}");
            assert_eq!(Value::Object(picker(&names).pick(text)), expected, "{text}");
        }
    }

    fn documents() -> impl Strategy<Value = Value> {
        let text = "[a-c:,{}\\[\\]\" é]{0,4}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..5).prop_map(|o| Value::Object(o.into_iter().collect())),
            ]
        });
        prop::collection::vec((text, any), 0..6).prop_map(|o| Value::Object(o.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn text_says_the_same_as_a_parser(
            document in documents(), pretty: bool,
            names in prop::collection::hash_set("[a-c:,{}\" é]{0,3}", 1..4)
        ) {
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = text.expect("JSON");
            let parsed = lenient::some_of(&text, &names);
            prop_assert_eq!(&Picker::new(names.clone()).pick(&text), &parsed, "{} of {}", &text, names.len());
        }
    }
}
