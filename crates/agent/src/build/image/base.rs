//! The image that an environment is built on.

use bollard::models::ImageInspect;
use lanza_model::{Phase, Reason, code};

use super::{Images, dockerfile};
use crate::attempt::Progress;

impl Images<'_> {
    /// Finds the image to build on, or brings it; returns whether `phase` was begun for that.
    ///
    /// Where the config asks for a platform, one that is here for another does not count: some builders would build on it
    /// all the same, and the engine would refuse the container. Where nobody asks, what is here will do, since machines
    /// that emulate other processors run it.
    pub(crate) async fn base(
        &self,
        progress: &mut Progress,
        name: &str,
        phase: Phase,
    ) -> Result<(ImageInspect, bool), Reason> {
        dockerfile::check_base(name)?;
        let fits = |image: &ImageInspect| self.platform.as_deref().is_none_or(|p| is_for(image, p));
        let here = self.inspect(name).await?;
        if let Some(here) = here.clone().filter(fits) {
            return Ok((here, false));
        }
        progress.begin(phase).await;
        let missing = |why: &str| Reason::new(code::BASE_IMAGE_MISSING, why.to_owned());
        let other = |image: &ImageInspect| {
            let asked = self.platform.as_deref().unwrap_or_default();
            format!("the image `{name}` is here for {}, and {asked} is asked for", platform_of(image))
        };
        if let Err(reason) = self.pull(name, phase, code::BASE_IMAGE_MISSING).await {
            return Err(match here {
                Some(here) => Reason { message: format!("{}; {}", other(&here), reason.message), ..reason },
                None => reason,
            });
        }
        match self.inspect(name).await? {
            Some(found) if fits(&found) => Ok((found, true)),
            Some(found) => Err(missing(&format!("{}; the registry has no other", other(&found)))),
            None => Err(missing(&format!("there is no image `{name}`"))),
        }
    }
}

/// `linux/arm64/v8`.
fn platform_of(image: &ImageInspect) -> String {
    let parts = [&image.os, &image.architecture, &image.variant];
    parts.into_iter().flatten().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join("/")
}

/// Whether an image is for a platform as people write it: `linux/arm64`, `linux/arm/v7`, `arm64`.
fn is_for(image: &ImageInspect, platform: &str) -> bool {
    let text = |part: &Option<String>| part.as_deref().unwrap_or_default().to_lowercase();
    let (os, architecture, variant) = (text(&image.os), text(&image.architecture), text(&image.variant));
    let platform = platform.to_lowercase();
    let parts: Vec<&str> = platform.split('/').collect();
    let (wanted_os, rest) = match parts.as_slice() {
        [os @ ("linux" | "windows"), rest @ ..] => (Some(*os), rest),
        rest => (None, rest),
    };
    let same = |wanted: Option<&&str>, has: &str| wanted.is_none_or(|w| has.is_empty() || usual(w) == usual(has));
    wanted_os.is_none_or(|w| os.is_empty() || os == w)
        && same(rest.first(), &architecture)
        // arm64 knows one variant only, which images name or leave out.
        && (usual(&architecture) == "arm64" || same(rest.get(1), &variant))
}

fn usual(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" => "arm",
        other => other,
    }
}

/// Returns a platform by one name of the several that people and engines have for it: `linux/arm64`.
pub(super) fn usual_platform(platform: &str) -> String {
    let platform = platform.to_lowercase();
    let mut parts: Vec<&str> = platform.split('/').filter(|p| !p.is_empty()).collect();
    if parts.first().is_some_and(|os| !["linux", "windows"].contains(os)) {
        parts.insert(0, "linux");
    }
    let rest: &[&str] = match parts.get(1).map(|a| usual(a)) {
        // arm64 knows one variant only, which people name or leave out.
        Some("arm64") => &["arm64"],
        Some("armv7l") => &["arm", "v7"],
        Some("armv6l") => &["arm", "v6"],
        Some("i386" | "i686") => &["386"],
        Some(other) => {
            return std::iter::once(parts[0])
                .chain([other])
                .chain(parts[2..].iter().copied())
                .collect::<Vec<_>>()
                .join("/");
        }
        None => &[],
    };
    parts[..parts.len().min(1)].iter().chain(rest).copied().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_one_name() {
        for (said, usual) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64", "linux/amd64"),
            ("AMD64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/armv7l", "linux/arm/v7"),
            ("windows/amd64", "windows/amd64"),
            ("linux/riscv64", "linux/riscv64"),
            ("linux", "linux"),
        ] {
            assert_eq!(usual_platform(said), usual, "{said}");
        }
    }

    #[test]
    fn platforms() {
        let image = |os: &str, architecture: &str, variant: &str| ImageInspect {
            os: Some(os.into()),
            architecture: Some(architecture.into()),
            variant: Some(variant.into()),
            ..Default::default()
        };
        for (image, platform, fits) in [
            (image("linux", "amd64", ""), "linux/amd64", true),
            (image("linux", "amd64", ""), "linux/x86_64", true),
            (image("linux", "amd64", ""), "linux/arm64", false),
            (image("linux", "arm64", "v8"), "linux/arm64", true),
            (image("linux", "arm64", ""), "linux/arm64/v8", true),
            (image("linux", "arm", "v7"), "linux/arm/v6", false),
            (image("linux", "arm", "v7"), "arm", true),
            (image("windows", "amd64", ""), "linux/amd64", false),
            (image("linux", "amd64", ""), "linux", true),
            (ImageInspect::default(), "linux/amd64", true),
        ] {
            assert_eq!(is_for(&image, platform), fits, "{} {platform}", platform_of(&image));
        }
        assert_eq!(platform_of(&image("linux", "arm64", "v8")), "linux/arm64/v8");
    }
}
