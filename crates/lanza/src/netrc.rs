//! `.netrc`: where `lanza login` and `wandb login` keep keys.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Returns `HOST:PORT` (or `HOST`) of an address, which is what machines are called in the file.
fn machine(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Host without its port.
fn host(machine: &str) -> &str {
    match machine.rsplit_once(':') {
        // Not inside an IPv6 address.
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => machine,
    }
}

/// Finds the password for the server at `url`: an entry with its port wins over one without, over `default`.
pub(crate) fn password(text: &str, url: &str) -> Option<String> {
    let machine = machine(url);
    let entries = entries(text);
    let find = |name: Option<&str>| {
        entries.iter().find(|(m, _)| m.as_deref() == name).map(|(_, p)| p.clone()).filter(|p| !p.is_empty())
    };
    find(Some(machine)).or_else(|| find(Some(host(machine)))).or_else(|| find(None))
}

/// Every machine (none stands for `default`) with its password.
fn entries(text: &str) -> Vec<(Option<String>, String)> {
    let mut entries: Vec<(Option<String>, String)> = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" => entries.push((words.next(), String::new())),
            "default" => entries.push((None, String::new())),
            "password" => {
                if let (Some(last), Some(password)) = (entries.last_mut(), words.next()) {
                    last.1 = password;
                }
            }
            "login" | "account" => {
                words.next();
            }
            _ => {}
        }
    }
    entries
}

/// Words of the file; quotes hold a word together, `#` at the begin of one starts a comment.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
            let (word, tail) = match quote {
                Some(q) => rest[1..].split_once(q).unwrap_or((&rest[1..], "")),
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            words.push(word.to_owned());
            rest = tail.trim_start();
        }
    }
    words
}

/// Puts the key for the server at `url` into the file, which is made private; other entries stay as they are.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn write(path: &Path, url: &str, key: &str) -> io::Result<()> {
    let machine = machine(url);
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    let mut kept = String::new();
    let mut ours = false;
    for line in old.lines() {
        let first = words(line);
        match first.first().map(String::as_str) {
            Some("machine") => ours = first.get(1).is_some_and(|m| m == machine),
            Some("default") => ours = false,
            _ => {}
        }
        if !ours {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let _ = write!(kept, "machine {machine}\n  login user\n  password {key}\n");
    // Written beside and moved over, so that a crash loses no entry and nobody else can read it at any time.
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(kept.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_with_the_port_wins() {
        let text = "# mine\nmachine h login u password one\nmachine h:8080\n  login user\n  password 'two'\ndefault password d";
        assert_eq!(password(text, "http://h:8080/path").as_deref(), Some("two"));
        assert_eq!(password(text, "http://h:9").as_deref(), Some("one"));
        assert_eq!(password(text, "https://else").as_deref(), Some("d"));
        assert_eq!(password("machine h login u", "http://h"), None);
    }

    #[test]
    fn a_key_is_replaced_and_the_rest_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".netrc");
        fs::write(&path, "machine other\n  password keep\nmachine h:1\n  login user\n  password old\n")
            .expect("written");
        write(&path, "http://h:1", "new").expect("written");
        let text = fs::read_to_string(&path).expect("there");
        assert_eq!(password(&text, "http://h:1").as_deref(), Some("new"));
        assert_eq!(password(&text, "http://other").as_deref(), Some("keep"));
        assert!(!text.contains("old"), "{text}");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
