//! What a launch itself says of the build: the blocks `builder` and `registry` of its spec.
//!
//! They choose among what the agent allows, and hand out no right: who pushes where with which log-in is in the agent's own
//! config. The server checks the form, the agent what it can do.

use serde_json::{Map, Value};

use crate::{config::NotAllowed, docker::is_image_name};

/// Platforms that images are built for.
pub const PLATFORMS: &[&str] = &["linux/amd64", "linux/arm64"];

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuilderKind {
    /// The engine of the agent.
    Docker,
    /// Nobody: the base image, with the code laid over it.
    Noop,
}

/// Both blocks, read. What a launch leaves out is the agent's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchBuilder {
    /// Who builds.
    pub kind: Option<BuilderKind>,
    /// `linux/arm64`, for instance.
    pub platform: Option<String>,
    /// Image to build on, where neither the target's config nor the job names one.
    pub base_image: Option<String>,
    /// Where images are pushed, without `https://`.
    pub destination: Option<String>,
}

impl LaunchBuilder {
    /// Reads the blocks of a launch spec.
    ///
    /// # Errors
    /// Every field that a launch cannot say, or not in this way.
    pub fn parse(spec: &Map<String, Value>) -> Result<Self, Vec<NotAllowed>> {
        let (mut read, mut refused) = (Self::default(), Vec::new());
        for block in ["builder", "registry"] {
            match spec.get(block) {
                None | Some(Value::Null) => {}
                Some(Value::Object(fields)) => {
                    for (key, value) in fields.iter().filter(|(_, v)| !v.is_null()) {
                        let field = format!("{block}.{key}");
                        if let Err(why) = read.take(block, key, value) {
                            refused.push(NotAllowed::new(&field, why));
                        }
                    }
                }
                Some(other) => refused.push(NotAllowed::new(block, format!("takes keys and values, not `{other}`"))),
            }
        }
        if refused.is_empty() { Ok(read) } else { Err(refused) }
    }

    /// Whether the launch says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn take(&mut self, block: &str, key: &str, value: &Value) -> Result<(), String> {
        let text = || value.as_str().filter(|t| !t.is_empty()).ok_or_else(|| format!("takes a text, not `{value}`"));
        match (block, key) {
            ("builder", "type") => {
                self.kind = Some(match text()? {
                    "docker" => BuilderKind::Docker,
                    "noop" => BuilderKind::Noop,
                    other => return Err(format!("`{other}` is none of docker, noop, which a launch may choose")),
                });
            }
            ("builder", "platform") => {
                let platform = Some(text()?).filter(|p| PLATFORMS.contains(p));
                let platform = platform.ok_or_else(|| format!("is none of {}", PLATFORMS.join(", ")))?;
                self.platform = Some(platform.to_owned());
            }
            ("builder", "base_image") => {
                let image = text()?;
                if !is_image_name(image) {
                    return Err(format!("`{}` is not the name of an image", image.escape_debug()));
                }
                self.base_image = Some(image.to_owned());
            }
            ("builder", "destination" | "uri") | ("registry", "uri" | "url") => {
                let place = text()?;
                let place = place.strip_prefix("https://").unwrap_or(place).to_owned();
                if self.destination.as_ref().is_some_and(|other| *other != place) {
                    return Err(format!("`{place}` is not the place that the launch names beside it"));
                }
                self.destination = Some(place);
            }
            // What kind of registry a destination belongs to is seen from its name.
            ("registry", "type") => {
                text()?;
            }
            _ => {
                return Err(
                    "is the agent's business, since it works with the agent's rights; leave it out, or have it \
                            set in the agent's `launch-config.yaml`"
                        .into(),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(spec: Value) -> Result<LaunchBuilder, Vec<String>> {
        let read = LaunchBuilder::parse(spec.as_object().expect("an object"));
        read.map_err(|list| list.into_iter().map(|n| n.field).collect())
    }

    #[test]
    fn a_launch_chooses_and_gains_nothing() {
        assert!(of(json!({"builder": null, "registry": {}})).expect("nothing").is_empty());
        let read = of(json!({
            "builder": {"type": "noop", "platform": "linux/arm64", "base_image": "a/b:1", "credentials": null},
            "registry": {"type": "ecr", "url": "https://r.example/x"},
        }));
        let read = read.expect("legal");
        assert_eq!((read.kind, read.platform.as_deref()), (Some(BuilderKind::Noop), Some("linux/arm64")));
        assert_eq!((read.base_image.as_deref(), read.destination.as_deref()), (Some("a/b:1"), Some("r.example/x")));
        for (spec, field) in [
            (json!({"builder": "docker"}), "builder"),
            (json!({"builder": {"type": "kaniko"}}), "builder.type"),
            (json!({"builder": {"type": 1}}), "builder.type"),
            (json!({"builder": {"platform": "linux/s390x"}}), "builder.platform"),
            (json!({"builder": {"base_image": {"x": 1}}}), "builder.base_image"),
            (json!({"builder": {"base_image": "a b"}}), "builder.base_image"),
            (json!({"builder": {"credentials": {"username": "u"}}}), "builder.credentials"),
            (json!({"builder": {"build-context-store": "s3://b/x"}}), "builder.build-context-store"),
            (json!({"builder": {"kaniko-config": {}}}), "builder.kaniko-config"),
            (json!({"registry": {"credentials": 1}}), "registry.credentials"),
            (json!({"registry": []}), "registry"),
            (json!({"builder": {"destination": "a/b"}, "registry": {"uri": "c/d"}}), "registry.uri"),
        ] {
            assert_eq!(of(spec).expect_err(field), [field]);
        }
    }
}
