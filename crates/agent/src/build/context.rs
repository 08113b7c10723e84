//! The build context of a job with a Dockerfile: what the builder will see of a folder, and a digest of that.
//!
//! `.dockerignore` (or `NAME.dockerignore` beside the Dockerfile, which wins) is read as Docker reads it, so that a file
//! which cannot be copied does not cause a build either.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    diagnose,
    dockerfile::{self, Plan},
};
use crate::source::{artifact::hex, inside};

/// Patterns of files that a builder leaves out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignore {
    /// Segments of each pattern, and whether it takes files in again.
    patterns: Vec<(Vec<String>, bool)>,
}

impl Ignore {
    /// Reads the file that counts for `dockerfile`; returns its path, too.
    pub(crate) fn of(context: &Path, dockerfile: &Path) -> (Self, Option<PathBuf>) {
        let mut beside = dockerfile.as_os_str().to_owned();
        beside.push(".dockerignore");
        for path in [PathBuf::from(beside), context.join(".dockerignore")] {
            // A link that leads out of the job's code is not followed.
            let own = path.strip_prefix(context).ok().and_then(|p| inside(context, p.to_str()?));
            if let Some(text) = own.and_then(|p| fs::read_to_string(p).ok()) {
                return (Self::parse(&text), Some(path));
            }
        }
        (Self::default(), None)
    }

    fn parse(text: &str) -> Self {
        let mut patterns = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (line, again) = line.strip_prefix('!').map_or((line, false), |l| (l.trim(), true));
            let mut segments: Vec<String> = Vec::new();
            for segment in line.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => {
                        segments.pop();
                    }
                    other => segments.push(other.to_owned()),
                }
            }
            if !segments.is_empty() {
                patterns.push((segments, again));
            }
        }
        Self { patterns }
    }

    /// Whether a file at these segments is left out: the last pattern that fits it or a folder above it counts.
    fn leaves_out(&self, path: &[&str]) -> bool {
        let mut out = false;
        for (pattern, again) in &self.patterns {
            if out == *again && (1..=path.len()).any(|n| fits(pattern, &path[..n])) {
                out = !again;
            }
        }
        out
    }

    fn takes_in_again(&self) -> bool {
        self.patterns.iter().any(|(_, again)| *again)
    }
}

fn fits(pattern: &[String], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => (0..=path.len()).any(|n| fits(rest, &path[n..])),
        Some((first, rest)) => path.split_first().is_some_and(|(p, others)| {
            let (pattern, name): (Vec<char>, Vec<char>) = (first.chars().collect(), p.chars().collect());
            fits_segment(&pattern, &name) && fits(rest, others)
        }),
    }
}

fn fits_segment(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|n| fits_segment(rest, &name[n..])),
        ['?', rest @ ..] => !name.is_empty() && fits_segment(rest, &name[1..]),
        ['\\', c, rest @ ..] => name.first() == Some(c) && fits_segment(rest, &name[1..]),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|i| i + 1) else { return false };
            let Some(c) = name.first() else { return false };
            let (class, not) = match rest[..end].split_first() {
                Some(('^', class)) => (class, true),
                _ => (&rest[..end], false),
            };
            in_class(class, *c) != not && fits_segment(&rest[end + 1..], &name[1..])
        }
        [c, rest @ ..] => name.first() == Some(c) && fits_segment(rest, &name[1..]),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    match class {
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || in_class(rest, c),
        [one, rest @ ..] => *one == c || in_class(rest, c),
        [] => false,
    }
}

/// Returns a digest of all that a builder sees of `context`: names, contents, the right to execute, where links point.
/// Times, owners and files that are left out do not count.
pub(crate) fn digest(context: &Path, ignore: &Ignore) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut path = Vec::new();
    walk(context, ignore, &mut path, &mut digest)?;
    Ok(hex(&digest.finalize()))
}

fn walk(folder: &Path, ignore: &Ignore, path: &mut Vec<String>, digest: &mut Sha256) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_empty() && name == ".git" {
            // It differs between two fetches of one commit. A Dockerfile that copies it sees that of the first build.
            continue;
        }
        path.push(name);
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        let out = ignore.leaves_out(&segments);
        let kind = entry.file_type()?;
        let line = path.join("/");
        if kind.is_dir() {
            if !out {
                digest.update(format!("folder {line}\0"));
            }
            if !out || ignore.takes_in_again() {
                walk(&entry.path(), ignore, path, digest)?;
            }
        } else if !out && kind.is_symlink() {
            digest.update(format!("link {line}\0{}\0", fs::read_link(entry.path())?.to_string_lossy()));
        } else if !out && kind.is_file() {
            let mut file = File::open(entry.path())?;
            let metadata = file.metadata()?;
            let execute = if metadata.permissions().mode() & 0o111 == 0 { "file" } else { "program" };
            let mut content = Sha256::new();
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = io::Read::read(&mut file, &mut buffer)?;
                if count == 0 {
                    break;
                }
                content.update(&buffer[..count]);
            }
            digest.update(format!("{execute} {line}\0{}\0", hex(&content.finalize())));
        }
        path.pop();
    }
    Ok(())
}

/// Writes the context of an environment's build.
pub(super) fn write(folder: &Path, plan: &Plan<'_>, source: &Path) -> io::Result<()> {
    let (text, lines, constraints) = match plan.requirements {
        Some(r) => (r.text(), r.lines.join("\n") + "\n", r.constraints.join("\n")),
        None => (String::new(), String::new(), String::new()),
    };
    fs::write(folder.join("requirements.txt"), text)?;
    fs::write(folder.join("lines.txt"), lines)?;
    fs::write(folder.join("constraints.txt"), constraints)?;
    let of_all = diagnose::words_of_all().fold(String::new(), |text, word| text + word + "\n");
    fs::write(folder.join("of-all.txt"), of_all)?;
    if plan.requirements.is_some_and(|r| r.local) {
        copy_tree(source, &folder.join("code"))?;
    }
    fs::write(folder.join("Dockerfile"), dockerfile::environment(plan))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str, path: &str) -> bool {
        Ignore::parse(text).leaves_out(&path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn patterns_mean_what_docker_means() {
        for (text, path, expected) in [
            ("*.md", "README.md", true),
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/deep/a.md", true),
            ("**/*.md", "a.md", true),
            ("data", "data/x/y", true),
            ("/data/", "data/x", true),
            ("data/*", "data/x/y", true),
            ("*/temp*", "some/temporary.txt", true),
            ("*/*/temp*", "some/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("*\n!keep.py", "keep.py", false),
            ("*\n!keep.py", "other.py", true),
            ("*\n!src\nsrc/x", "src/a", false),
            ("*\n!src\nsrc/x", "src/x", true),
            ("!keep.py\n*", "keep.py", true),
            ("# note\n\n  a.txt  ", "a.txt", true),
            ("[a-c].py", "b.py", true),
            ("[^a-c].py", "b.py", false),
            ("x/../a.txt", "a.txt", true),
            ("**", "anything/at/all", true),
        ] {
            assert_eq!(out(text, path), expected, "{text:?} {path}");
        }
    }

    #[test]
    fn the_digest_follows_what_the_builder_sees_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("src")).unwrap();
        fs::write(root.join("src/a.py"), "1").unwrap();
        fs::write(root.join("notes.md"), "1").unwrap();
        let ignore = Ignore::parse("*.md\n");
        let of = || digest(root, &ignore).unwrap();
        let first = of();
        fs::write(root.join("notes.md"), "2").unwrap();
        File::open(root.join("src/a.py")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(of(), first);
        fs::set_permissions(root.join("src/a.py"), fs::Permissions::from_mode(0o755)).unwrap();
        let executable = of();
        assert_ne!(executable, first);
        fs::write(root.join("src/a.py"), "2").unwrap();
        let changed = of();
        assert_ne!(changed, executable);
        fs::rename(root.join("src/a.py"), root.join("src/b.py")).unwrap();
        assert_ne!(of(), changed);
    }

    #[test]
    fn the_file_beside_the_dockerfile_wins_and_a_link_out_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("code");
        fs::create_dir(&root).unwrap();
        assert_eq!(Ignore::of(&root, &root.join("D")).1, None);
        fs::write(folder.path().join("secret"), "*").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("D.dockerignore")).unwrap();
        fs::write(root.join(".dockerignore"), "a").unwrap();
        assert_eq!(Ignore::of(&root, &root.join("D")), (Ignore::parse("a"), Some(root.join(".dockerignore"))));
        fs::remove_file(root.join("D.dockerignore")).unwrap();
        fs::write(root.join("D.dockerignore"), "b").unwrap();
        assert_eq!(Ignore::of(&root, &root.join("D")).0, Ignore::parse("b"));
    }
}
