//! What people see of secrets: the names that their queues refer to.

mod world;

use lanza_api::queue::NewQueue;
use lanza_model::Role;
use serde_json::{Value, json};
use world::World;

async fn names(w: &World, actor: &lanza_service::Actor) -> Vec<String> {
    w.service.secret_names(actor).await.expect("names").into_iter().collect()
}

#[tokio::test]
async fn everybody_sees_the_names_that_their_own_queues_refer_to() {
    let w = World::new().await;
    let bob = World::user(&w.service, "bob").await;
    assert!(names(&w, &w.ana).await.is_empty());
    let make = async |entity: &str, name: &str, config: Value, templates: Value| {
        let new = NewQueue {
            name: Some(name.into()),
            target: Some("docker".into()),
            config: config.as_object().cloned(),
            templates: templates.as_object().cloned(),
            ..NewQueue::default()
        };
        w.service.queue_create(&w.ana, entity, new).await.expect("a queue");
    };
    make("ana", "own", json!({ "env": ["TOKEN=secret:HF", "PLAIN=x"] }), json!({})).await;
    let template = json!({ "token": { "type": "string", "default": "secret:WANDB" } });
    make("vision", "shared", json!({ "env": { "A": "secret:DB", "B": "{{token}}" } }), template).await;
    make("vision", "twice", json!({ "env": { "A": "secret:DB" } }), json!({})).await;
    assert_eq!(names(&w, &w.ana).await, ["DB", "HF", "WANDB"]);
    assert!(names(&w, &bob).await.is_empty());
    w.service.member_put("vision", "bob", Role::Viewer).await.expect("a member");
    assert_eq!(names(&w, &bob).await, ["DB", "WANDB"]);
}
