//! `POST /graphql`: what clients send, and the HTTP status of what they get.

use std::sync::Arc;

use async_graphql::{
    Name, Request, Response as GraphResponse, ServerError, Value as ConstValue, Variables,
    parser::types::DocumentOperations,
};
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lanza_model::code;
use lanza_service::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{Door, asker::Questioner, errors},
    Asker,
};

/// The body of a request. Everything but the document may be missing, null or empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<Value>,
}

/// Answers one GraphQL request.
pub(in super::super) async fn graphql(
    State(door): State<Arc<Door>>,
    Questioner(client): Questioner,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return errors::respond(&super::super::too_large("the request"));
        }
        // The client went away or its compression is broken.
        Err(rejection) => return malformed(&rejection.body_text()),
    };
    let body: Body = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(e) => return malformed(&format!("the request is not a GraphQL request in JSON: {e}")),
    };
    let mut request = Request::new(body.query).variables(Variables::from_json(body.variables.unwrap_or_default()));
    // Version 0.31 sends "" for most of its queries.
    let named = body.operation_name.filter(|name| !name.is_empty());
    fill_defaults(&mut request, named.as_deref());
    let operation = named.clone().or_else(|| only_operation(&mut request));
    if let Some(name) = named {
        request = request.operation_name(name);
    }
    // The line of the request knows its path only, which is the same for all of them.
    tracing::debug!(operation = operation.as_deref().unwrap_or("-"), "an operation of the wandb client");
    let request = request.data(Arc::new(Asker {
        service: door.service.clone(),
        actor: client.actor,
        base_url: client.base_url,
        on_behalf_of: client.on_behalf_of,
        operation: operation.clone(),
    }));
    render(door.engine.schema.execute(request).await, operation.as_deref())
}

fn only_operation(request: &mut Request) -> Option<String> {
    match &request.parsed_query().ok()?.operations {
        DocumentOperations::Multiple(named) if named.len() == 1 => named.keys().next().map(ToString::to_string),
        _ => None,
    }
}

/// Gives variables their defaults where the client sends nothing, or a null. The engine does so for arguments of fields,
/// but not for `@include(if: …)`.
fn fill_defaults(request: &mut Request, operation: Option<&str>) {
    let defaults: Vec<_> = {
        let Ok(document) = request.parsed_query() else { return };
        document
            .operations
            .iter()
            .filter(|(name, _)| operation.is_none() || name.map(Name::as_str) == operation)
            .flat_map(|(_, definition)| &definition.node.variable_definitions)
            .filter_map(|v| Some((v.node.name.node.clone(), v.node.default_value.as_ref()?.node.clone())))
            .collect()
    };
    for (name, default) in defaults {
        let value = request.variables.entry(name).or_default();
        if matches!(value, ConstValue::Null) {
            *value = default;
        }
    }
}

fn malformed(message: &str) -> Response {
    let body = json!({ "errors": [{ "message": message, "extensions": { "code": code::MALFORMED.word } }] });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Gives the answer its status: that of the first resolver that failed, 400 for a document that does not validate.
fn render(answer: GraphResponse, operation: Option<&str>) -> Response {
    if answer.errors.is_empty() {
        return Json(json!({ "data": answer.data })).into_response();
    }
    let source = answer.errors.iter().find_map(own);
    let errors: Vec<Value> = answer.errors.iter().map(|e| rendered(e, operation)).collect();
    let status = source.map_or(StatusCode::BAD_REQUEST, errors::status);
    let mut response = (status, Json(json!({ "errors": errors }))).into_response();
    if let Some(error) = source {
        errors::log(error);
        response = errors::finish(error, response);
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lanza\""));
    }
    response
}

fn own(error: &ServerError) -> Option<&Error> {
    error.source.as_ref().and_then(|s| s.downcast_ref::<Error>())
}

fn rendered(error: &ServerError, operation: Option<&str>) -> Value {
    let (message, word) = match own(error) {
        Some(own) if own.code() == code::NOT_BUILT => {
            (format!("operation `{}`: {own}", operation.unwrap_or("(unnamed)")), code::NOT_BUILT.word)
        }
        Some(own) => (own.to_string(), own.code().word),
        None => (as_graphql_js(&error.message), code::INVALID.word),
    };
    let mut rendered = json!({ "message": message, "extensions": { "code": word } });
    if !error.path.is_empty() {
        rendered["path"] = json!(error.path);
    }
    rendered
}

/// The wording of the reference implementation, which the client's fallbacks look for.
fn as_graphql_js(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("Unknown field ") {
        return format!("Cannot query field {rest}");
    }
    // `Unknown argument "a" on field "b" of type "T".` is `Unknown argument "a" on field "T.b".` there.
    if let Some(rest) = message.strip_prefix("Unknown argument ")
        && let Some((argument, rest)) = rest.split_once(" on field \"")
        && let Some((field, rest)) = rest.split_once("\" of type \"")
        && let Some((on_type, rest)) = rest.split_once("\".")
    {
        return format!("Unknown argument {argument} on field \"{on_type}.{field}\".{rest}");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::as_graphql_js;

    #[test]
    fn validation_errors_are_worded_as_the_client_expects() {
        assert_eq!(as_graphql_js("Unknown field \"x\" on type \"Y\"."), "Cannot query field \"x\" on type \"Y\".");
        assert_eq!(
            as_graphql_js("Unknown argument \"a\" on field \"b\" of type \"T\"."),
            "Unknown argument \"a\" on field \"T.b\"."
        );
        assert_eq!(as_graphql_js("anything else"), "anything else");
    }
}
