//! Input coercion: arguments as the schema types them.

use std::collections::HashMap;

use async_graphql::{
    Name, Value as GraphValue,
    indexmap::IndexMap,
    parser::types::{BaseType, InputValueDefinition, ServiceDocument, Type, TypeKind, TypeSystemDefinition},
};
use lanza_service::{Error, Result};
use serde_json::{Map, Value};

/// Fields of an input object, or arguments of a field, with their types.
pub(super) type Typed = Vec<(String, Type)>;

/// The input objects of the schema.
#[derive(Debug, Default)]
pub(super) struct Inputs(HashMap<String, Typed>);

pub(super) fn typed<'a>(definitions: impl Iterator<Item = &'a InputValueDefinition>) -> Typed {
    definitions.map(|d| (d.name.node.to_string(), d.ty.node.clone())).collect()
}

impl Inputs {
    pub(super) fn of(document: &ServiceDocument) -> Self {
        let mut inputs = HashMap::new();
        for definition in &document.definitions {
            if let TypeSystemDefinition::Type(ty) = definition
                && let TypeKind::InputObject(object) = &ty.node.kind
            {
                inputs.insert(ty.node.name.node.to_string(), typed(object.fields.iter().map(|f| &f.node)));
            }
        }
        Self(inputs)
    }

    /// Turns arguments into JSON, putting single values into lists where the schema expects lists.
    pub(super) fn arguments(&self, types: &Typed, values: &IndexMap<Name, GraphValue>) -> Result<Map<String, Value>> {
        let mut arguments = Map::new();
        for (name, value) in values {
            let value = value.clone().into_json().map_err(|e| Error::Internal(Box::new(e)))?;
            let value = match types.iter().find(|(n, _)| n == name.as_str()) {
                Some((_, ty)) => self.coerce(ty, value),
                None => value,
            };
            arguments.insert(name.to_string(), value);
        }
        Ok(arguments)
    }

    fn coerce(&self, ty: &Type, value: Value) -> Value {
        if value.is_null() {
            return value;
        }
        match &ty.base {
            BaseType::List(inner) => match value {
                Value::Array(items) => items.into_iter().map(|v| self.coerce(inner, v)).collect(),
                single => Value::Array(vec![self.coerce(inner, single)]),
            },
            BaseType::Named(name) => match (self.0.get(name.as_str()), value) {
                (Some(fields), Value::Object(object)) => Value::Object(
                    object
                        .into_iter()
                        .map(|(key, v)| {
                            let v = match fields.iter().find(|(n, _)| *n == key) {
                                Some((_, ty)) => self.coerce(ty, v),
                                None => v,
                            };
                            (key, v)
                        })
                        .collect(),
                ),
                (_, value) => value,
            },
        }
    }
}
