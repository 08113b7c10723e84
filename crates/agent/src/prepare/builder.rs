//! How the image of an attempt is built: as the agent's block `builder` says, and what its launch chose of that.

use std::collections::BTreeMap;

use lanza_model::{
    Reason,
    builder::{BuilderKind, LaunchBuilder},
    code,
    config::NotAllowed,
};
use serde_json::{Map, Value};

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Building {
    /// What images are built for.
    pub(super) platform: Option<String>,
    /// Where they are pushed.
    pub(super) destination: Option<String>,
    /// What they are built on, where neither the target's config nor the job says.
    pub(super) base_image: Option<String>,
    /// Why nothing is built, if that is so.
    pub(super) nothing: Option<&'static str>,
}

impl Building {
    /// Reads both blocks.
    pub(super) fn of(
        agent: &Map<String, Value>,
        environment: &BTreeMap<String, String>,
        spec: &Map<String, Value>,
    ) -> Result<Self, Reason> {
        let refused = |why: String| Reason::new(code::BUILDER_REFUSED, why);
        let launch = LaunchBuilder::parse(spec).map_err(|list| refused(NotAllowed::list(&list)))?;
        let text = |key: &str| agent.get(key).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
        let destination = text("destination")
            .or_else(|| text("uri"))
            .map(|d| d.strip_prefix("https://").map(str::to_owned).unwrap_or(d));
        if let Some(wanted) = launch.destination.filter(|w| destination.as_ref() != Some(w)) {
            let own = destination.map_or("nowhere".to_owned(), |d| format!("to `{d}`"));
            return Err(refused(format!("the launch asks for a push to `{wanted}`, and this agent pushes {own}")));
        }
        let nothing = builds_nothing(agent, environment);
        let nothing = match (launch.kind, nothing) {
            (Some(BuilderKind::Noop), _) => Some("the launch wants nothing built (`builder.type: noop`)"),
            (Some(BuilderKind::Docker), Some(why)) => {
                return Err(refused(format!("the launch asks for a build by Docker (`builder.type`), and {why}")));
            }
            (_, nothing) => nothing,
        };
        Ok(Self {
            platform: launch.platform.or_else(|| text("platform")),
            base_image: launch.base_image.or_else(|| text("base_image")),
            destination,
            nothing,
        })
    }
}

/// Says why an agent builds nothing, if that is so.
fn builds_nothing(agent: &Map<String, Value>, environment: &BTreeMap<String, String>) -> Option<&'static str> {
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    match agent.get("type").and_then(Value::as_str) {
        Some("noop") => Some("this agent builds nothing (`builder.type: noop`)"),
        None if !std::env::split_paths(path).any(|d| d.join("docker").is_file()) => {
            Some("this agent builds nothing (it has no `docker` command)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(agent: Value, launch: Value) -> Result<Building, Reason> {
        let map = |v: Value| v.as_object().expect("an object").clone();
        Building::of(&map(agent), &BTreeMap::new(), &map(launch))
    }

    #[test]
    fn a_launch_chooses_among_what_the_agent_allows() {
        let agent = json!({"type": "docker", "destination": "https://r.example/x", "platform": "linux/amd64", "base_image": "a:1"});
        let plain = of(agent.clone(), json!({})).expect("legal");
        assert_eq!((plain.destination.as_deref(), plain.nothing), (Some("r.example/x"), None));
        let launch = json!({"builder": {"platform": "linux/arm64", "base_image": "b:2", "destination": "r.example/x"}});
        let chosen = of(agent.clone(), launch).expect("legal");
        assert_eq!((chosen.platform.as_deref(), chosen.base_image.as_deref()), (Some("linux/arm64"), Some("b:2")));
        assert_eq!(chosen.destination, plain.destination, "what a launch leaves out is the agent's");
        assert!(of(agent.clone(), json!({"builder": {"type": "noop"}})).expect("legal").nothing.is_some());
        for (agent, launch, words) in [
            (agent.clone(), json!({"registry": {"url": "evil.example/x"}}), "pushes to `r.example/x`"),
            (json!({"type": "docker"}), json!({"builder": {"destination": "evil.example/x"}}), "pushes nowhere"),
            (json!({"type": "noop"}), json!({"builder": {"type": "docker"}}), "builds nothing"),
            (json!({}), json!({"builder": {"type": "docker"}}), "no `docker` command"),
            (agent, json!({"builder": {"secret-name": "x"}}), "builder.secret-name: is the agent's business"),
        ] {
            let reason = of(agent, launch).expect_err(words);
            assert_eq!(reason.code, "builder_refused");
            assert!(reason.message.contains(words), "{}", reason.message);
        }
    }
}
