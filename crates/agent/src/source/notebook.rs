//! Notebooks as entry points: turned into a script beside them, without the lines that begin with `!`.

use std::{fs, path::Path};

use lanza_model::{Reason, code};
use serde_json::Value;

use super::inside;

/// Whether a word of a command names a notebook.
pub(crate) fn is_notebook(word: &str) -> bool {
    Path::new(word).extension().is_some_and(|e| e == "ipynb")
}

/// Returns the name of the script that stands for a notebook.
pub(crate) fn script_name(notebook: &str) -> String {
    format!("{}.py", notebook.strip_suffix(".ipynb").unwrap_or(notebook))
}

/// Writes the script of every notebook that the command names. Neither is followed through a link that leads out of the
/// job's code: the agent may read and write what the job may not.
pub(crate) fn convert_all(root: &Path, command: &[String]) -> Result<(), Reason> {
    for name in command.iter().filter(|w| is_notebook(w)) {
        let failed = |why: String| Reason::new(code::SOURCE_MISSING, format!("the notebook `{name}` {why}"));
        let path = inside(root, name).ok_or_else(|| failed("is outside of the job's code".into()))?;
        let bytes = fs::read(&path).map_err(|e| failed(format!("cannot be read: {e}")))?;
        let script = script(&bytes).ok_or_else(|| failed("is not a notebook".into()))?;
        let to = script_name(name);
        let target = inside(root, &to)
            .ok_or_else(|| failed(format!("cannot be turned into a script: `{to}` is outside of the job's code")))?;
        fs::write(target, script).map_err(|e| failed(format!("cannot be turned into a script: {e}")))?;
    }
    Ok(())
}

fn script(notebook: &[u8]) -> Option<String> {
    let notebook: Value = serde_json::from_slice(notebook).ok()?;
    let mut script = String::new();
    for cell in notebook["cells"].as_array()?.iter().filter(|c| c["cell_type"] == "code") {
        let source = match &cell["source"] {
            Value::String(s) => s.clone(),
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        for line in source.lines().filter(|l| !l.trim_start().starts_with(['!', '%'])) {
            script.push_str(line);
            script.push('\n');
        }
        script.push('\n');
    }
    Some(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_cells_become_a_script() {
        let notebook = br##"{"cells": [{"cell_type": "markdown", "source": "# x"},
            {"cell_type": "code", "source": ["!pip install x\n", "%matplotlib inline\n", "a = 1\n"]},
            {"cell_type": "code", "source": "if a:\n  print(a)"}]}"##;
        assert_eq!(script(notebook).unwrap(), "a = 1\n\nif a:\n  print(a)\n\n");
        assert_eq!(script(b"[]"), None);
        assert_eq!(script_name("d/n.ipynb"), "d/n.py");
    }

    #[test]
    fn a_link_that_leads_out_is_neither_read_nor_written() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("code");
        let notebook = r#"{"cells": [{"cell_type": "code", "source": "stolen = 1"}]}"#;
        fs::create_dir_all(root.join("d")).unwrap();
        fs::write(folder.path().join("own.ipynb"), notebook).unwrap();
        fs::write(folder.path().join("own.py"), "mine").unwrap();
        for name in ["n.ipynb", "d/m.ipynb", "fresh.ipynb"] {
            fs::write(root.join(name), notebook).unwrap();
        }
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        link("../own.ipynb", "read.ipynb");
        link("..", "up");
        link("../own.py", "n.py");
        link("../../new.py", "d/m.py");
        for name in ["read.ipynb", "up/own.ipynb", "n.ipynb", "d/m.ipynb"] {
            let reason = convert_all(&root, &[name.to_owned()]).unwrap_err();
            assert!(reason.message.contains(name) && reason.message.contains("outside"), "{}", reason.message);
        }
        assert!(!root.join("read.py").exists() && !folder.path().join("new.py").exists());
        assert_eq!(fs::read_to_string(folder.path().join("own.py")).unwrap(), "mine");

        // A link to another place of the job's own is the job's business.
        link("d", "near");
        fs::remove_file(root.join("d/m.py")).unwrap();
        convert_all(&root, &["fresh.ipynb".to_owned(), "near/m.ipynb".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(root.join("d/m.py")).unwrap(), "stolen = 1\n\n");
        assert!(root.join("fresh.py").exists());
    }
}
