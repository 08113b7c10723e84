//! Reading the numbers of a row without building the row: nearly all rows are flat objects of numbers.

use serde_json::Value;

use crate::lenient;

/// The numbers of a row by key. Nested objects are folders of keys: `a.b`. Made once and used for many rows.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Keys by their places in the line.
    flat: Vec<(usize, usize, f64)>,
    /// Keys of rows that are not plain.
    made: Vec<(String, f64)>,
}

impl Numbers {
    /// Reads a row; what is not an object has no numbers.
    pub(super) fn read(&mut self, line: &str) {
        self.flat.clear();
        self.made.clear();
        if self.read_flat(line).is_none() {
            self.flat.clear();
            for (key, value) in lenient::object(line) {
                self.nested(key, &value);
            }
        }
    }

    /// The numbers of the line that was read, with their keys.
    pub(super) fn of<'l>(&'l self, line: &'l str) -> impl Iterator<Item = (&'l str, f64)> {
        let flat = self.flat.iter().map(move |(from, to, value)| (&line[*from..*to], *value));
        flat.chain(self.made.iter().map(|(key, value)| (key.as_str(), *value)))
    }

    /// Returns what a key is in the line that was read.
    pub(super) fn get(&self, line: &str, key: &str) -> Option<f64> {
        self.of(line).find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    fn nested(&mut self, key: String, value: &Value) {
        match value {
            // Media are values.
            Value::Object(inner) if !inner.contains_key("_type") => {
                for (name, value) in inner {
                    self.nested(format!("{key}.{name}"), value);
                }
            }
            value => self.made.extend(lenient::number(value).map(|n| (key, n))),
        }
    }

    /// Reads a flat object; none when it is something else, or not plain enough.
    fn read_flat(&mut self, line: &str) -> Option<()> {
        let bytes = line.as_bytes();
        let mut at = blank(bytes, 0);
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        at = blank(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Some(());
        }
        loop {
            let (key, end) = text(line, at)?;
            let key = (at + 1, at + 1 + key.len());
            at = blank(bytes, end);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at = blank(bytes, at + 1);
            let (number, end) = match bytes.get(at)? {
                b'"' => {
                    let (value, end) = text(line, at)?;
                    (word(value), end)
                }
                b'{' | b'[' => return None,
                _ => {
                    let end = at + bytes[at..].iter().position(|b| matches!(b, b',' | b'}' | b' ' | b'\t'))?;
                    let token = &line[at..end];
                    let number = match token {
                        "true" | "false" | "null" => None,
                        _ => Some(word(token).or_else(|| token.parse().ok())?),
                    };
                    (number, end)
                }
            };
            self.flat.extend(number.map(|n| (key.0, key.1, n)));
            at = blank(bytes, end);
            match bytes.get(at)? {
                b',' => at = blank(bytes, at + 1),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }
}

fn blank(bytes: &[u8], from: usize) -> usize {
    from + bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Reads a text without escapes that begins at a quote; returns it and where it ends.
fn text(line: &str, at: usize) -> Option<(&str, usize)> {
    let rest = line.get(at..)?.strip_prefix('"')?;
    let end = rest.bytes().position(|b| matches!(b, b'"' | b'\\'))?;
    (rest.as_bytes()[end] == b'"').then(|| (&rest[..end], at + end + 2))
}

fn word(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Vec<(String, f64)> {
        let mut numbers = Numbers::default();
        numbers.read(line);
        let mut all: Vec<(String, f64)> = numbers.of(line).map(|(k, v)| (k.to_owned(), v)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    #[test]
    fn flat_and_nested_rows_give_their_numbers() {
        let pair = |k: &str, v: f64| (k.to_owned(), v);
        assert_eq!(read(r#"{"a":1, "b" : -2.5e3,"c":"x","d":true,"e":null}"#), [pair("a", 1.0), pair("b", -2500.0)]);
        assert_eq!(
            read(r#"{"a":{"b":1,"c":{"d":2}},"e":[1],"img":{"_type":"image-file","size":3}}"#),
            [pair("a.b", 1.0), pair("a.c.d", 2.0)]
        );
        assert_eq!(read(r#"{"q\"x":1,"t":"a\"b","u":4}"#), [pair("q\"x", 1.0), pair("u", 4.0)]);
        let words = read(r#"{"a":NaN,"b":-Infinity,"c":"NaN"}"#);
        assert!(words[0].1.is_nan() && words[1].1 == f64::NEG_INFINITY && words[2].1.is_nan());
        assert!(
            read("not json").is_empty() && read("{}").is_empty() && read("").is_empty() && read("{\"a\":").is_empty()
        );
    }

    proptest! {
        #[test]
        fn the_quick_way_reads_what_the_parser_reads(values in prop::collection::btree_map("[a-z/_.]{1,8}", any::<f64>(), 0..8)) {
            let finite: std::collections::BTreeMap<_, _> = values.into_iter().filter(|(_, v)| v.is_finite()).collect();
            let line = serde_json::to_string(&finite).expect("JSON");
            let mut numbers = Numbers::default();
            prop_assert!(numbers.read_flat(&line).is_some(), "{line}");
            let parsed = lenient::object(&line);
            prop_assert_eq!(numbers.of(&line).count(), parsed.len());
            for ((key, quick), (name, value)) in numbers.of(&line).zip(&parsed) {
                // The quick way is exact; the parser may be off by one in the last digit.
                let value = value.as_f64().expect("a number");
                prop_assert!(key == name && (quick - value).abs() <= value.abs() * 1e-15 + f64::MIN_POSITIVE, "{key}: {quick} {value}");
                prop_assert_eq!(Some(&quick), finite.get(name));
            }
        }
    }
}
