//! The files of a folder that become a job's code.
//!
//! Left out: what `.gitignore` names (also those of the folders above, and git's own exclude file), `.git`, the folder
//! `wandb` of the client, and `__pycache__`. A link counts as the file that it leads to, if that is inside of the folder.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ignore::WalkBuilder;
use lanza_api::job::CodeFile;
use md5::{Digest as _, Md5};

use crate::exit::Failure;

/// The files of a folder, and what was left out against expectation.
#[derive(Debug, Default)]
pub(super) struct Pack {
    /// What the server is told, by path.
    pub(super) files: Vec<CodeFile>,
    /// Sentences for the person at the terminal.
    pub(super) warnings: Vec<String>,
}

impl Pack {
    pub(super) fn size_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size_bytes).sum()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|f| f.path == path)
    }
}

/// Looks at every file below `root`.
pub(super) fn pack(root: &Path) -> Result<Pack, Failure> {
    let shown = root.display();
    let real = root.canonicalize().map_err(|e| Failure::refused(format!("cannot read the folder `{shown}`: {e}")))?;
    let mut pack = Pack::default();
    let mut walk = WalkBuilder::new(&real);
    walk.hidden(false).ignore(false).git_global(false).require_git(false).follow_links(false);
    walk.filter_entry(|entry| {
        let folder = entry.file_type().is_some_and(|t| t.is_dir());
        match entry.file_name().to_str() {
            Some(".git") => false,
            Some("__pycache__") => !folder,
            Some("wandb") => !(folder && entry.depth() == 1 && is_clients(entry.path())),
            _ => true,
        }
    });
    for entry in walk.build() {
        let entry = entry.map_err(|e| Failure::failed(format!("cannot read the folder `{shown}`: {e}")))?;
        let kind = entry.file_type();
        if kind.is_none_or(|t| t.is_dir()) {
            continue;
        }
        let relative = entry.path().strip_prefix(&real).unwrap_or(entry.path());
        let path = relative.to_str().ok_or_else(|| {
            Failure::refused(format!("the file name `{}` is not UTF-8, so it cannot be uploaded", relative.display()))
        })?;
        if kind.is_some_and(|t| t.is_symlink()) {
            let target = entry.path().canonicalize().ok().filter(|t| t.starts_with(&real) && t.is_file());
            if target.is_none() {
                pack.warnings.push(format!("`{path}` is a link to something else than a file of the folder; left out"));
                continue;
            }
        } else if kind.is_some_and(|t| !t.is_file()) {
            pack.warnings.push(format!("`{path}` is no file; left out"));
            continue;
        }
        let failed = |e: std::io::Error| Failure::failed(format!("cannot read `{path}`: {e}"));
        let (md5, size_bytes) = digest(entry.path()).map_err(failed)?;
        pack.files.push(CodeFile { path: path.to_owned(), md5, size_bytes });
    }
    pack.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pack)
}

/// Whether a folder `wandb` is the one where the client keeps its runs, rather than a package of that name.
fn is_clients(folder: &Path) -> bool {
    let runs = |name: &str| ["run-", "offline-run-", "latest-run", "debug"].iter().any(|p| name.starts_with(p));
    let Ok(mut entries) = folder.read_dir() else { return true };
    entries.all(|e| {
        e.is_ok_and(|e| e.file_name().to_str().is_some_and(|n| runs(n) || n == "settings" || n.starts_with('.')))
    })
}

fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((STANDARD.encode(digest.finalize()), size)),
            n => {
                digest.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}

/// Returns where a file of the pack lies.
pub(super) fn place(root: &Path, path: &str) -> PathBuf {
    root.join(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn paths(pack: &Pack) -> Vec<&str> {
        pack.files.iter().map(|f| f.path.as_str()).collect()
    }

    #[test]
    fn what_gitignore_names_is_left_out() {
        let above = tempfile::tempdir().expect("a folder");
        let root = above.path().join("src");
        for folder in ["data", "wandb/run-1", ".git", "pkg/__pycache__", "pkg/wandb", "keep"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::write(above.path().join(".gitignore"), "*.log\n").expect("written");
        fs::write(root.join(".gitignore"), "data/\n*.bin\n!keep.bin\n").expect("written");
        fs::write(root.join("keep/.gitignore"), "*\n").expect("written");
        for file in [
            "train.py",
            ".python-version",
            "data/x.csv",
            "a.bin",
            "keep.bin",
            "b.log",
            "wandb/run-1/x",
            ".git/HEAD",
            "pkg/__pycache__/a.pyc",
            "pkg/wandb/x.py",
            "keep/x",
        ] {
            fs::write(root.join(file), "x").expect("written");
        }
        let pack = pack(&root).expect("packed");
        assert_eq!(paths(&pack), [".gitignore", ".python-version", "keep.bin", "pkg/wandb/x.py", "train.py"]);
        assert_eq!((pack.size_bytes() > 4, pack.warnings.len()), (true, 0));
        assert_eq!((pack.files[4].md5.as_str(), pack.files[4].size_bytes), ("ndTkYSaMgDT1yFZOFVxnpg==", 1));
    }

    #[test]
    fn a_package_named_like_the_clients_folder_is_kept() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("wandb")).expect("made");
        fs::write(root.path().join("wandb/__init__.py"), "").expect("written");
        assert_eq!(paths(&pack(root.path()).expect("packed")), ["wandb/__init__.py"]);
    }

    #[test]
    fn links_lead_to_files_of_the_folder_or_are_left_out() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("a.py"), "print(1)").expect("written");
        symlink("a.py", root.path().join("b.py")).expect("linked");
        symlink("/etc/passwd", root.path().join("c.py")).expect("linked");
        symlink("nowhere", root.path().join("d.py")).expect("linked");
        let pack = pack(root.path()).expect("packed");
        assert_eq!(paths(&pack), ["a.py", "b.py"]);
        assert_eq!(pack.files[0].md5, pack.files[1].md5);
        assert_eq!(pack.warnings.len(), 2, "{:?}", pack.warnings);
        assert_eq!(super::pack(Path::new("/nonexistent/x")).expect_err("none").exit, crate::exit::REFUSED);
    }
}
