//! Content by path: where clients turn when a signed link did not work.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::request::Parts,
    response::Response,
};
use lanza_service::Error;

use crate::wandb::{Door, asker::Client, errors::Failed, storage::send};

/// `GET /artifactsV2/{region}/{entity}/{project}/{collection}[/{artifact}]/{birth artifact}/{hexadecimal MD5}/{name}`, or
/// as older clients have it `/artifactsV2/{region}/{entity}/{hexadecimal MD5}/{birth artifact}`.
pub(in super::super) async fn get_v2(
    State(door): State<Arc<Door>>,
    Path(rest): Path<String>,
    client: Client,
    asked: Parts,
) -> Result<Response, Failed> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (entity, md5, name) = match parts[..] {
        [_, entity, md5, birth] => (entity, md5, birth),
        [_, entity, .., md5, name] if (7..=8).contains(&parts.len()) => (entity, md5, name),
        _ => return Err(Error::not_found("artifact content", rest).into()),
    };
    content(&door, &client, (entity, md5, name), &asked).await
}

/// `GET /artifacts/{entity}/{hexadecimal MD5}`.
pub(in super::super) async fn get_v1(
    State(door): State<Arc<Door>>,
    Path((entity, md5)): Path<(String, String)>,
    client: Client,
    asked: Parts,
) -> Result<Response, Failed> {
    content(&door, &client, (&entity, &md5, &md5), &asked).await
}

async fn content(
    door: &Door,
    client: &Client,
    (entity, md5, name): (&str, &str, &str),
    asked: &Parts,
) -> Result<Response, Failed> {
    let blob = door.service.artifact_content_find(&client.actor, entity, md5).await?;
    Ok(send(door, &blob, name, asked).await?)
}
