//! The GraphQL engine of the wandb door.
//!
//! `schema.graphql` beside this folder is the whole schema; [`Engine::new`] turns it into an executable one, once, at
//! start. What a field answers comes from one of two places:
//!
//! 1. a **resolver** that was registered for `(type, field)`, or
//! 2. the **parent object**: a field without a resolver reads the key of its own name.
//!
//! A missing key is null for a scalar. For a root field, and for a field that yields objects, it is the error
//! [`code::NOT_BUILT`]: nothing that holds state is silently null, so an object that is known to be absent is written
//! as an explicit `null`.
//!
//! # How to add a resolver
//!
//! ```ignore
//! pub(super) fn register(r: &mut Resolvers) {
//!     r.on("Query", "project", project);
//! }
//!
//! fn project(ctx: Ctx<'_>) -> Resolved<'_> {
//!     Box::pin(async move {
//!         let Some(name) = ctx.text("name") else { return Ok(Value::Null) };
//!         let project = ctx.service.project_find(ctx.actor, ctx.text("entityName"), name).await?;
//!         Ok(project.map_or(Value::Null, |p| json!({ "id": p.id, "name": p.name, "_row": p.id })))
//!     })
//! }
//! ```
//!
//! - A resolver returns the JSON of its field; nested resolvers see that JSON as [`Ctx::parent`]. Keys that the schema
//!   does not know (here `_row`) are private to resolvers.
//! - Arguments are in [`Ctx::args`], already coerced by the schema (a single value where a list is expected has become
//!   a list; enums are strings). Mutations read theirs with [`Ctx::input`].
//! - An object of an interface or union carries `__typename`.
//! - Lists of objects hold no nulls.
//! - Numbers that are not finite are strings (`"NaN"`, `"Infinity"`): JSON has no others, and the client's parser is strict.
//! - URLs are absolute and begin with [`Ctx::base_url`], the server's address as this caller sees it.
//! - A root field of `Mutation` is refused to a key for reading before its resolver is asked. A query that makes a link to
//!   upload by asks `Actor::require_writable` itself, or a service function that does.
//! - An `Err` fails the whole request with the HTTP status that [`super::errors`] gives it.

mod coerce;
mod schema;
mod transport;

use std::{collections::HashMap, sync::Arc};

use async_graphql::Context;
use futures::future::BoxFuture;
use lanza_model::code;
use lanza_service::{Actor, Error, Result, Service};
use serde_json::{Map, Value, json};

pub(crate) use schema::Engine;
pub(super) use transport::graphql;

/// What a resolver returns.
pub(crate) type Resolved<'a> = BoxFuture<'a, Result<Value>>;
/// A resolver: a plain function.
pub(crate) type Resolver = for<'a> fn(Ctx<'a>) -> Resolved<'a>;

/// Who asks, and as what it sees this server. One for each request.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) service: Arc<Service>,
    pub(crate) actor: Arc<Actor>,
    /// Scheme, host and prefix without a slash at the end.
    pub(crate) base_url: String,
    /// The person whom a service account says it acts for.
    pub(crate) on_behalf_of: Option<String>,
    /// Name of the operation, if it has one.
    pub(crate) operation: Option<String>,
}

/// Everything that a resolver may look at.
pub(crate) struct Ctx<'a> {
    /// What the product does.
    pub(crate) service: &'a Arc<Service>,
    /// Who asks.
    pub(crate) actor: &'a Actor,
    /// The object that the field belongs to; null for root fields.
    pub(crate) parent: &'a Value,
    /// The field's arguments.
    pub(crate) args: Map<String, Value>,
    /// The server's address as the caller sees it, without a slash at the end.
    pub(crate) base_url: &'a str,
    /// The person whom a service account says it acts for.
    pub(crate) on_behalf_of: Option<&'a str>,
    /// Name of the operation, if it has one.
    pub(crate) operation: Option<&'a str>,
    context: &'a Context<'a>,
}

impl Ctx<'_> {
    /// Returns a text argument; null and absent are the same.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.args.get(name).and_then(Value::as_str)
    }

    /// Returns a whole-number argument.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.args.get(name).and_then(Value::as_i64)
    }

    /// Returns the `input` of a mutation.
    pub(crate) fn input(&self) -> Input<'_> {
        Input(self.args.get("input").unwrap_or(&Value::Null))
    }

    /// Returns a list of texts.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.args.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// Returns the page size `first`, bounded.
    pub(crate) fn first(&self, default: i64, most: i64) -> i64 {
        self.int("first").unwrap_or(default).clamp(0, most)
    }

    /// Returns a key of the parent object as text.
    pub(crate) fn parent_text(&self, key: &str) -> Option<&str> {
        self.parent.get(key).and_then(Value::as_str)
    }

    /// Returns whether the request selects `path` (dotted) below this field.
    pub(crate) fn selects(&self, path: &str) -> bool {
        path.split('.').fold(self.context.look_ahead(), |look, field| look.field(field)).exists()
    }
}

/// The input object of a mutation. An explicit null is the same as absent: "leave it as it is".
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a Value);

impl<'a> Input<'a> {
    /// Returns a field that is there and not null.
    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    /// Returns a text.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Returns a text that the schema demands.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is missing, which the schema has refused before.
    pub(crate) fn required(self, name: &str) -> Result<&'a str> {
        self.text(name).ok_or_else(|| Error::invalid(name, "is missing"))
    }

    /// Returns a whole number.
    pub(crate) fn int(self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    /// Returns a flag.
    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// Returns a list of texts.
    pub(crate) fn texts(self, name: &str) -> Option<Vec<String>> {
        let list = self.get(name)?.as_array()?;
        Some(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    }

    /// Returns a list of objects.
    pub(crate) fn objects(self, name: &str) -> impl Iterator<Item = Input<'a>> {
        self.get(name).and_then(Value::as_array).into_iter().flatten().map(Input)
    }
}

/// The resolvers of the door, by type and field.
#[derive(Default)]
pub(crate) struct Resolvers(HashMap<(&'static str, &'static str), Resolver>);

impl Resolvers {
    /// Registers a resolver. The engine refuses at start a field that the schema does not have.
    pub(crate) fn on(&mut self, on_type: &'static str, field: &'static str, resolver: Resolver) {
        let before = self.0.insert((on_type, field), resolver);
        debug_assert!(before.is_none(), "{on_type}.{field} has two resolvers");
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> std::collections::BTreeSet<String> {
        self.0.keys().map(|(on_type, field)| format!("{on_type}.{field}")).collect()
    }
}

/// A page of a connection: nodes with their cursors, of which one more than `first` were looked up.
pub(crate) fn connection(mut nodes: Vec<(String, Value)>, first: i64) -> Value {
    let more = nodes.len() as i64 > first;
    nodes.truncate(first.max(0) as usize);
    let end = nodes.last().map(|(cursor, _)| cursor.clone());
    let edges: Vec<Value> = nodes.into_iter().map(|(cursor, node)| json!({ "cursor": cursor, "node": node })).collect();
    json!({ "edges": edges, "pageInfo": { "endCursor": end, "hasNextPage": more } })
}

/// What is missing or invisible is null on this door, not an error.
pub(crate) fn or_null<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Marks a field that the schema has and the server does not serve yet.
pub(crate) fn not_built(what: &str) -> Error {
    Error::Invalid { field: what.to_owned(), why: "is not built in this server yet".into(), code: code::NOT_BUILT }
}
