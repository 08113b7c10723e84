//! Which keys the documents of runs have, and which kinds of values.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::lenient;

/// Different keys that are noticed, and how deep they are nested.
const KEYS_MOST: usize = 20_000;
const DEPTH_MOST: usize = 5;

/// The kinds of values: number, text, truth, other.
pub(crate) const KINDS: [&str; 4] = ["number", "text", "bool", "other"];
const NUMBER: u8 = 1;
const TEXT: u8 = 2;
const TRUTH: u8 = 4;
const OTHER: u8 = 8;

/// The keys of configs and summaries, and which kinds of values they had, as bits.
#[derive(Debug, Default)]
pub(crate) struct SeenKeys {
    config: HashMap<String, u8>,
    summary: HashMap<String, u8>,
}

impl SeenKeys {
    /// Notices the keys of a run's documents.
    pub(crate) fn see(&mut self, config: &str, summary: &str) {
        for (name, mut value) in lenient::object(config) {
            if name == "_wandb" {
                continue;
            }
            if let Some(inner) = value.get_mut("value") {
                value = inner.take();
            }
            self.add(true, name, value, 0);
        }
        // Summaries have up to thousands of plain values: they are not even made.
        let read =
            |seen: &mut Self, text: &str| serde_json::Deserializer::from_str(text).deserialize_map(Outermost(seen));
        // What was noticed before a bare word is noticed again.
        if read(self, summary).is_err() {
            let _ = read(self, &lenient::quoted(summary));
        }
    }

    /// Lists them as `config.…` and `summary.…`, in order.
    pub(crate) fn sorted(&self) -> Vec<(String, u8)> {
        let named = |prefix: &str, keys: &HashMap<String, u8>| {
            keys.iter().map(|(name, kinds)| (format!("{prefix}.{name}"), *kinds)).collect::<Vec<_>>()
        };
        let mut all = named("config", &self.config);
        all.extend(named("summary", &self.summary));
        all.sort();
        all
    }

    fn add(&mut self, of_config: bool, name: String, value: Value, depth: usize) {
        match value {
            // Media are values; other objects are folders of keys.
            Value::Object(inner) if depth < DEPTH_MOST && !inner.contains_key("_type") => {
                for (key, value) in inner {
                    self.add(of_config, format!("{name}.{key}"), value, depth + 1);
                }
            }
            value => self.note(of_config, &name, kind(&value)),
        }
    }

    fn note(&mut self, of_config: bool, name: &str, kind: u8) {
        let full = self.config.len() + self.summary.len() >= KEYS_MOST;
        let keys = if of_config { &mut self.config } else { &mut self.summary };
        if let Some(kinds) = keys.get_mut(name) {
            *kinds |= kind;
        } else if !full {
            keys.insert(name.to_owned(), kind);
        }
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        _ if lenient::number(value).is_some() => NUMBER,
        Value::String(_) => TEXT,
        Value::Bool(_) => TRUTH,
        Value::Null => 0,
        _ => OTHER,
    }
}

/// Reads a summary's outermost keys.
struct Outermost<'s>(&'s mut SeenKeys);

/// What an outermost key has: a kind, or an object to look into.
enum Found {
    Plain(u8),
    Object(Map<String, Value>),
}

impl<'de> Visitor<'de> for Outermost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(lenient::Name(name)) = map.next_key()? {
            match map.next_value()? {
                _ if name == "_wandb" => {}
                Found::Plain(kind) => self.0.note(false, &name, kind),
                Found::Object(object) => self.0.add(false, name.into_owned(), Value::Object(object), 0),
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Found;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Found, E> {
                Ok(Found::Plain(0))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
                Ok(Found::Plain(TRUTH))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
                Ok(Found::Plain(NUMBER))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
                Ok(Found::Plain(NUMBER))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
                Ok(Found::Plain(NUMBER))
            }

            fn visit_str<E>(self, text: &str) -> Result<Found, E> {
                Ok(Found::Plain(if lenient::is_number_word(text) { NUMBER } else { TEXT }))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Found::Plain(OTHER))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = map.next_entry()? {
                    object.insert(name, value);
                }
                Ok(Found::Object(object))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_kinds_of_their_values_in_all_runs() {
        let mut seen = SeenKeys::default();
        let config = r#"{"lr":{"value":0.1},"model":{"value":{"width":8}},"_wandb":{"value":{"x":1}}}"#;
        let summary = r#"{"loss":NaN,"best":"NaN","note":"x","ok":true,"gone":null,"list":[1,{"a":2}],"_wandb":{"runtime":1},
            "deep":{"x":1,"more":{"y":"z"}},"image":{"_type":"image-file","width":3},"big":18446744073709551615}"#;
        seen.see(config, summary);
        seen.see("{}", r#"{"note":3,"ok":false,"deep":7}"#);
        seen.see("broken", "broken");
        let found: Vec<String> = seen.sorted().into_iter().map(|(key, kinds)| format!("{key}:{kinds}")).collect();
        assert_eq!(
            found,
            [
                "config.lr:1",
                "config.model.width:1",
                "summary.best:1",
                "summary.big:1",
                "summary.deep:1",
                "summary.deep.more.y:2",
                "summary.deep.x:1",
                "summary.gone:0",
                "summary.image:8",
                "summary.list:8",
                "summary.loss:1",
                "summary.note:3",
                "summary.ok:4",
            ]
        );
    }
}
