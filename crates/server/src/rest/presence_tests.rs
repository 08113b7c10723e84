//! Streams of callers who are known no more.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{Request, header},
};
use futures::StreamExt;
use lanza_api::queue::NewQueue;
use lanza_service::accounts::KeyRequest;
use serde_json::json;
use tower::ServiceExt;

use super::tests::House;

const STREAMS: [&str; 4] = [
    "/api/v1/events",
    "/api/v1/entities/vision/projects/p/changes",
    "/api/v1/entities/vision/projects/p/runs/r1/log?follow=true",
    "/api/v1/items/{item}/logs?follow=true",
];

async fn open(house: &House, path: &str, name: header::HeaderName, value: &str) -> BodyDataStream {
    let path = path.replace("{item}", &house.item);
    let request = Request::get(&path).header(name, value).header(header::ACCEPT, "text/event-stream");
    let request = request.body(Body::empty()).expect("a request");
    let response = house.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200, "{path}");
    response.into_body().into_data_stream()
}

/// What a stream says until it ends, or null when it goes on for longer than it may.
async fn rest_of(mut stream: BodyDataStream) -> Option<String> {
    let read = async {
        let mut said = String::new();
        while let Some(Ok(bytes)) = stream.next().await {
            said.push_str(&String::from_utf8_lossy(&bytes));
        }
        said
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.ok()
}

#[tokio::test]
async fn a_stream_says_nothing_more_once_its_key_is_revoked() {
    let house = House::new().await;
    let ana = house.service.authenticate(&house.keys[0]).await.expect("ana");
    let (secret, key) = house.service.key_create(&ana, KeyRequest::full("a wall")).await.expect("a key");
    let mut streams = Vec::new();
    for path in STREAMS {
        streams.push((path, open(&house, path, header::AUTHORIZATION, &format!("Bearer {secret}")).await));
    }
    house.service.key_revoke(&ana, &key.id.to_string()).await.expect("revoked");
    // There is something to hear.
    let queue = NewQueue { name: Some("late".into()), target: Some("process".into()), ..NewQueue::default() };
    house.service.queue_create(&ana, "vision", queue).await.expect("a queue");
    let ends = streams.into_iter().map(|(path, stream)| async move { (path, rest_of(stream).await) });
    for (path, said) in futures::future::join_all(ends).await {
        let said = said.unwrap_or_else(|| panic!("{path} goes on"));
        assert!(!said.contains("late"), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let house = House::new().await;
    let secret = house.service.sign_in(None, None, Some(&house.keys[0])).await.expect("a session");
    let mut streams = Vec::new();
    for path in STREAMS {
        streams.push((path, open(&house, path, header::COOKIE, &format!("lanza_session={secret}")).await));
    }
    // Straight in the database, as another server would.
    house.store.session_delete(&lanza_service::accounts::secret_hash(&secret)).await.expect("ended");
    let ends = streams.into_iter().map(|(path, stream)| async move { (path, rest_of(stream).await) });
    for (path, said) in futures::future::join_all(ends).await {
        assert!(said.is_some(), "{path} goes on");
    }
}

#[tokio::test]
async fn a_stream_goes_on_while_its_caller_is_known() {
    let house = House::new().await;
    let ana = house.service.authenticate(&house.keys[0]).await.expect("ana");
    let mut stream = open(&house, STREAMS[0], header::AUTHORIZATION, &format!("Bearer {}", house.keys[0])).await;
    let queue = NewQueue { name: Some("late".into()), target: Some("process".into()), ..NewQueue::default() };
    house.service.queue_create(&ana, "vision", queue).await.expect("a queue");
    let first = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("an event");
    let first = first.expect("an event").expect("bytes");
    assert!(String::from_utf8_lossy(&first).contains(&json!("late").to_string()));
}
