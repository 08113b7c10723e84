//! Names that people and clients choose: which are legal, which are taken, and how missing ones are made up.

use rand::RngExt;

/// Entity names that would hide a route of the server.
pub const RESERVED_ENTITIES: &[&str] = &[
    "graphql",
    "files",
    "artifacts",
    "artifactsv2",
    "oidc",
    "sdk",
    "authorize",
    "login",
    "api",
    "storage",
    "launch",
    "queues",
    "agents",
    "jobs",
    "usage",
    "admin",
    "settings",
    "audit",
    "errors",
    "projects",
    "home",
    "ready",
    "healthz",
    "metrics",
    "assets",
    "openapi",
    "models",
    "static",
    "favicon.ico",
];

/// The project that queues and agents' own runs live under on the wandb wire; hidden from project lists.
pub const LAUNCH_PROJECT: &str = "model-registry";

/// A name is not allowed; the text says why, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

fn check(what: &str, name: &str, most: usize, extra: &str) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(Refused(format!("{what} must not be empty")));
    }
    if name.chars().count() > most {
        return Err(Refused(format!("{what} is longer than {most} characters")));
    }
    if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || extra.contains(*c))) {
        return Err(Refused(format!(
            "{what} `{name}` contains `{}`; use letters, digits and `{extra}`",
            bad.escape_debug()
        )));
    }
    Ok(())
}

/// Whether a character is not seen, or turns round or breaks the text that it stands in. What joins letters and parts of
/// emoji (U+200C, U+200D) is legal.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name that looks like an option could not be typed at a command line.
fn check_no_option(what: &str, name: &str) -> Result<(), Refused> {
    if name.starts_with('-') {
        let name = name.escape_debug();
        return Err(Refused(format!(
            "{what} `{name}` begins with `-`, so commands would take it for an option; begin it with a letter or a digit"
        )));
    }
    Ok(())
}

/// Checks the name of a user or team: 1 to 64 of letters, digits, `-`, `_`, the first no `-`, not a route of the server.
pub fn check_entity(name: &str) -> Result<(), Refused> {
    check("an entity name", name, 64, "-_")?;
    check_no_option("the entity name", name)?;
    if RESERVED_ENTITIES.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Refused(format!("`{name}` is reserved, choose another name")));
    }
    Ok(())
}

/// Checks the name of a project: 1 to 128 characters without `/ \ # ? % :` and those that are not seen.
pub fn check_project(name: &str) -> Result<(), Refused> {
    if name.trim().is_empty() {
        return Err(Refused("a project name must not be empty".into()));
    }
    if name.chars().count() > 128 {
        return Err(Refused("a project name is longer than 128 characters".into()));
    }
    if let Some(bad) = name.chars().find(|c| "/\\#?%:".contains(*c) || is_unseen(*c)) {
        return Err(Refused(format!("the project name `{}` contains `{}`", name.escape_debug(), bad.escape_debug())));
    }
    Ok(())
}

/// Checks the name of a queue: 1 to 64 characters without `/`, `?`, `#`, `%` and those that are not seen, the first no `-`.
pub fn check_queue(name: &str) -> Result<(), Refused> {
    let length = name.chars().count();
    if !(1..=64).contains(&length) || name.trim().is_empty() {
        return Err(Refused("a queue name has 1 to 64 characters".into()));
    }
    if [".", ".."].contains(&name) {
        return Err(Refused(format!("the queue name `{name}` would lead elsewhere in an address")));
    }
    if let Some(bad) = name.chars().find(|c| "/\\#?%".contains(*c) || is_unseen(*c)) {
        return Err(Refused(format!("the queue name `{}` contains `{}`", name.escape_debug(), bad.escape_debug())));
    }
    check_no_option("the queue name", name)
}

/// Checks a run's id: 1 to 128 characters, none of `/ \ # ? % :` (the client refuses the same).
pub fn check_run(name: &str) -> Result<(), Refused> {
    if name.trim() != name || !(1..=128).contains(&name.chars().count()) {
        return Err(Refused("a run id has 1 to 128 characters and no blanks around it".into()));
    }
    if let Some(bad) = name.chars().find(|c| "/\\#?%:".contains(*c) || is_unseen(*c)) {
        return Err(Refused(format!("the run id `{}` contains `{}`", name.escape_debug(), bad.escape_debug())));
    }
    Ok(())
}

/// Checks the name of an artifact collection (and so of a job): 1 to 128 of letters, digits, `-`, `_`, `.`.
pub fn check_collection(name: &str) -> Result<(), Refused> {
    check("an artifact name", name, 128, "-_.")
}

/// Checks an API key: an optional `prefix-`, then at least 40 of letters, digits and `_` (clients refuse less). A refusal
/// is a clause that goes on from the key.
pub fn check_api_key(key: &str) -> Result<(), Refused> {
    let secret = key.rsplit_once('-').map_or(key, |(_, s)| s);
    if secret.len() < 40 || key.len() > 256 {
        return Err(Refused("has at least 40 characters after its optional `prefix-`".into()));
    }
    if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Refused("has letters, digits and `_` only after its optional `prefix-`".into()));
    }
    Ok(())
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const MIXED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn random_text(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| alphabet[rng.random_range(0..alphabet.len())] as char).collect()
}

/// Returns a fresh API key or token: 40 random letters and digits, about 238 bits.
pub fn new_secret() -> String {
    random_text(MIXED, 40)
}

/// Returns a fresh run id: eight characters of `[a-z0-9]`, the first a letter.
pub fn new_run_name() -> String {
    let mut name = random_text(&LOWER[..26], 1);
    name.push_str(&random_text(LOWER, 7));
    name
}

const ADJECTIVES: &[&str] = &[
    "amber", "ancient", "autumn", "bold", "brisk", "calm", "clear", "copper", "crisp", "curious", "dawn", "deep",
    "eager", "early", "fair", "fancy", "fine", "fresh", "gentle", "glad", "golden", "grand", "happy", "hidden", "icy",
    "jolly", "keen", "kind", "late", "light", "lively", "lucky", "mellow", "misty", "noble", "pale", "patient",
    "proud", "quick", "quiet", "rapid", "rare", "ruby", "rustic", "sage", "silver", "smooth", "solar", "spring",
    "steady", "still", "summer", "sunny", "swift", "tidy", "vivid", "warm", "wild", "winter", "wise",
];
const NOUNS: &[&str] = &[
    "acorn", "bay", "birch", "bloom", "breeze", "bridge", "brook", "canyon", "cedar", "cloud", "comet", "coral",
    "creek", "dune", "eagle", "ember", "falcon", "feather", "fern", "field", "fire", "fjord", "forest", "galaxy",
    "glade", "grove", "harbor", "hill", "island", "lagoon", "lake", "leaf", "meadow", "mesa", "moon", "mountain",
    "oak", "ocean", "orchard", "owl", "pebble", "pine", "planet", "plateau", "pond", "rain", "reef", "ridge", "river",
    "rock", "shadow", "sky", "snow", "spark", "star", "stone", "stream", "sun", "tide", "valley", "wave", "wind",
];

/// Returns a display name such as `brisk-meadow-12` for the `number`-th run of a project.
pub fn new_display_name(number: u64) -> String {
    let mut rng = rand::rng();
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let noun = NOUNS[rng.random_range(0..NOUNS.len())];
    format!("{adjective}-{noun}-{number}")
}

/// Returns the known name that is nearest to `word`, for "did you mean" hints: at most a third of it differs.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().div_ceil(3);
    known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut previous = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = previous + usize::from(ca != *cb);
            previous = row[j + 1];
            row[j + 1] = substituted.min(previous + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_clients_refuse_are_refused() {
        assert!(check_api_key(&new_secret()).is_ok());
        assert!(check_api_key(&format!("local-{}", new_secret())).is_ok());
        assert!(check_api_key("short").is_err());
        assert!(check_api_key(&"!".repeat(40)).is_err());
        assert!(check_api_key(&format!("{}-short", new_secret())).is_err());
    }

    #[test]
    fn reserved_entities_are_refused_whatever_their_case() {
        assert!(check_entity("GraphQL").is_err());
        assert!(check_entity("ana-maria_2").is_ok());
        assert!(check_entity("a/b").is_err());
        assert!(check_entity("").is_err());
        for refused in [check_entity("-x"), check_queue("--all")] {
            assert!(refused.expect_err("an option").to_string().contains("begin it with a letter or a digit"));
        }
        assert!(check_entity("x-").is_ok() && check_queue("a -b").is_ok());
    }

    #[test]
    fn names_with_characters_that_nobody_sees_are_refused() {
        for unseen in ['\n', '\u{7}', '\u{200b}', '\u{200f}', '\u{202e}', '\u{2066}', '\u{feff}'] {
            let name = format!("a{unseen}b");
            for refused in [check_queue(&name), check_project(&name), check_run(&name), check_entity(&name)] {
                assert!(refused.is_err(), "{name:?}");
            }
        }
        assert!(check_queue("ünï 👩‍🔬").is_ok() && check_project("می‌خواهم").is_ok());
    }

    #[test]
    fn made_up_run_names_are_legal() {
        for _ in 0..100 {
            let name = new_run_name();
            assert!(name.len() == 8 && check_run(&name).is_ok());
        }
    }

    #[test]
    fn the_nearest_known_name_is_found() {
        assert_eq!(nearest("dokcer", ["docker", "process"]), Some("docker"));
        assert_eq!(nearest("zzz", ["docker", "process"]), None);
    }
}
