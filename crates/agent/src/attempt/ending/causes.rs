//! Finds in the end of a job's log what made it fail, and says it in a sentence with the next step.
//!
//! Exceptions are looked for from the last line upwards, since the last one is what ended the job; a script that goes on
//! after an error and fails later is not blamed for the first.

use lanza_model::{Code, Reason, code};

/// How many lines at the end of a log are a program's last words.
const LAST_WORDS: usize = 10;
/// Longest piece of a log that goes into a message, characters.
const LONGEST_CHARS: usize = 300;

/// Returns the reason that the text names; none when nothing in it is known.
pub(super) fn find(log: &str, exit_code: Option<i32>, signal: Option<i32>) -> Option<Reason> {
    let how = match (exit_code, signal) {
        (Some(n), _) => format!("the job exited with code {n}"),
        (None, Some(n)) => format!("the job was killed by signal {n}"),
        (None, None) => return None,
    };
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    // The client's own words after the end of a script stand below its traceback.
    let mut theirs = lines.iter().rev().take(200).filter(|l| !l.starts_with("wandb: ")).copied();
    let asked = lines.iter().rev().take(LAST_WORDS * 3).any(|l| reads_variable(l));
    let asks_environment = |line: &str| asked && line.starts_with("KeyError: ");
    for (back, line) in theirs.by_ref().enumerate() {
        // A tool's last words stand at the very end; further up a line may say anything.
        let counts = back < LAST_WORDS || is_exception(line);
        if asks_environment(line) {
            return Some(Reason::new(code::VARIABLE_MISSING, format!("{how}: {}", variable(line))));
        }
        if counts
            && let Some((code, what)) = known(line).or_else(|| of_packages(line)).or_else(|| of_tools(line, exit_code))
        {
            return Some(Reason::new(code, format!("{how}: {what} (`{}`)", cut(line))));
        }
        if is_exception(line) {
            // What ended the job, and nothing that is known here.
            return Some(Reason::new(code::EXIT_CODE, format!("{how}: {}", cut(line))));
        }
    }
    None
}

/// What a line of output means.
fn known(line: &str) -> Option<(Code, String)> {
    let has = |words: &[&str]| words.iter().any(|w| line.contains(w));
    let quoted = |after: &str| {
        let rest = line.split_once(after)?.1.trim_start();
        let rest = rest.strip_prefix('\'')?;
        Some(rest.split_once('\'')?.0.to_owned())
    };
    let of = |code, what: &str| Some((code, what.to_owned()));
    if let Some(module) = quoted("No module named") {
        return Some((code::MODULE_MISSING, format!("the Python package of the module `{module}` is not installed")));
    }
    if has(&["CUDA out of memory", "OutOfMemoryError: CUDA", "HIP out of memory", "CUDA_ERROR_OUT_OF_MEMORY"]) {
        return of(code::GPU_OUT_OF_MEMORY, "the GPU's memory is too small for it");
    }
    if has(&[
        "No CUDA GPUs are available",
        "Found no NVIDIA driver",
        "no CUDA-capable device is detected",
        "Torch not compiled with CUDA enabled",
        "CUDA driver version is insufficient",
    ]) {
        return of(code::GPU_MISSING, "it found no GPU that it can use");
    }
    if has(&["DataLoader worker"]) && has(&["Bus error", "shared memory"]) || has(&["unable to open shared memory"]) {
        return of(code::SHARED_MEMORY, "it ran out of shared memory");
    }
    if has(&["No space left on device", "Disk quota exceeded"]) {
        return of(code::JOB_DISK_FULL, "it ran out of disk space");
    }
    if has(&["MemoryError", "Cannot allocate memory"]) {
        return of(code::OUT_OF_MEMORY, "it could not get more memory");
    }
    if has(&["version `GLIBC"]) || has(&["version `CXXABI"]) {
        return of(code::LIBRARY_MISSING, "a system library is older than what a package was built for");
    }
    if has(&["cannot open shared object file"]) {
        let library = line.split(": cannot open shared object").next()?.rsplit([' ', ':']).next().unwrap_or_default();
        return Some((code::LIBRARY_MISSING, format!("the system library `{library}` is not installed")));
    }
    if has(&["can't open file"]) || (has(&["FileNotFoundError:"]) && has(&["No such file or directory"])) {
        let file = quoted("can't open file").or_else(|| quoted("No such file or directory:")).unwrap_or_default();
        return Some((code::FILE_MISSING, format!("the file `{file}` is not there")));
    }
    if has(&["PermissionError:"]) || (has(&["Permission denied"]) && !has(&["publickey"])) {
        return of(code::PERMISSION_DENIED, "it may not use a file or a port");
    }
    if line.starts_with("SyntaxError:") || line.starts_with("IndentationError:") || line.starts_with("TabError:") {
        return of(code::SYNTAX_ERROR, "the script is not valid for its Python version");
    }
    if has(&["exec format error", "Exec format error"]) {
        return of(code::WRONG_PLATFORM, "the program is for another kind of processor");
    }
    let client = has(&["wandb.errors", "CommError", "wandb.sdk"]);
    if client && has(&["API key", "AuthenticationError", "not logged in"]) {
        return of(code::SERVER_REFUSED, "the server did not take the key that the script used");
    }
    if client && has(&["timed out", "Connection refused", "Network error", "Max retries", "communication with wandb"]) {
        return of(code::SERVER_UNREACHABLE, "the job could not reach the server");
    }
    None
}

/// Whether a line of a traceback looks a variable of the environment up.
fn reads_variable(line: &str) -> bool {
    line.contains("os.environ[") || line.contains("File \"<frozen os>\"") || line.contains("/os.py\", line")
}

/// What is missing when a look-up in the environment failed.
fn variable(line: &str) -> String {
    let name = line.trim_start_matches("KeyError: ").trim_matches(['\'', '"']);
    format!("the variable `{}` is not set", cut(name))
}

/// What Python packages say, beside what [`known`] knows.
fn of_packages(line: &str) -> Option<(Code, String)> {
    let has = |words: &[&str]| words.iter().any(|w| line.contains(w));
    let of = |code, what: &str| Some((code, what.to_owned()));
    if has(&["cannot import name"])
        || (line.starts_with("AttributeError: module ") && has(&["has no attribute"]))
        || has(&[
            "compiled using NumPy 1.x cannot be run in",
            "dtype size changed, may indicate binary incompatibility",
        ])
        || has(&["pkg_resources.VersionConflict", "is required for a normal functioning of this module"])
    {
        return of(code::PACKAGE_MISMATCH, "a package has another version than the code expects");
    }
    if has(&["CUDA error:", "NCCL error", "ncclSystemError", "ncclUnhandledCudaError", "HIP error:", "CUBLAS_STATUS_"])
    {
        return of(code::GPU_FAILED, "the GPU refused what it asked");
    }
    if has(&["wandb.errors.errors.UsageError", "wandb.errors.UsageError", "wandb.errors.term.UsageError"])
        || has(&["You must call wandb.init() before"])
    {
        return of(code::WANDB_USAGE, "it used wandb in a way that wandb refuses");
    }
    if has(&["GatedRepoError", "401 Client Error", "403 Client Error", "HTTP Error 401", "HTTP Error 403"]) {
        return of(code::DOWNLOAD_REFUSED, "another service refused what it wanted");
    }
    if has(&["Too many open files"]) {
        return of(code::TOO_MANY_FILES, "it opened more files than it may");
    }
    if has(&["Address already in use", "address already in use", "EADDRINUSE"]) {
        return of(code::PORT_TAKEN, "a port that it wants is taken");
    }
    if has(&[
        "Name or service not known",
        "Temporary failure in name resolution",
        "No address associated with hostname",
        "Max retries exceeded with url",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "Network is unreachable",
        "No route to host",
        "Failed to establish a new connection",
        "urlopen error",
    ]) {
        return of(code::NETWORK_FAILED, "it could not reach another machine");
    }
    None
}

/// What shells and the parsers of scripts say.
fn of_tools(line: &str, exit_code: Option<i32>) -> Option<(Code, String)> {
    let ends = |word: &str| line.strip_suffix(word);
    // `sh: 1: ffmpeg: not found`, `bash: line 1: ffmpeg: command not found`, `env: ‘ffmpeg’: No such file or directory`
    let missing = ends(": command not found")
        .or_else(|| ends(": not found"))
        .or_else(|| ends(": No such file or directory").filter(|_| line.starts_with("env: ")))
        .filter(|_| exit_code == Some(127) || line.ends_with("command not found"));
    if let Some(program) = missing {
        let name = program.rsplit(": ").next().unwrap_or(program);
        return Some((code::COMMAND_MISSING, format!("the program `{}` is not installed", cut(name))));
    }
    if let Some(name) = ends(": unbound variable").or_else(|| ends(": parameter not set")) {
        let name = name.rsplit(": ").next().unwrap_or(name);
        return Some((code::VARIABLE_MISSING, format!("the variable `{}` is not set", cut(name))));
    }
    let parser = line.contains(": error: ") || line.starts_with("Error: ");
    let refused =
        ["unrecognized arguments", "the following arguments are required", "invalid choice", "expected one argument"];
    let refused = refused.iter().any(|w| line.contains(w))
        || (line.contains(": error: argument ") && line.contains("invalid"))
        || ["No such option", "Missing option", "Missing argument", "Got unexpected extra argument"]
            .iter()
            .any(|w| line.contains(w));
    if exit_code == Some(2) && parser && refused {
        return Some((code::ARGUMENTS_REFUSED, "it did not take its arguments".to_owned()));
    }
    None
}

/// Whether a line is the last one of a Python traceback: `ValueError: …`, `package.module.Error`.
fn is_exception(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let last = name.rsplit('.').next().unwrap_or_default();
    plain
        && last.starts_with(|c: char| c.is_ascii_uppercase())
        && (last.ends_with("Error") || last.ends_with("Exception") || last == "KeyboardInterrupt")
        && (line.len() == name.len() || line[name.len()..].starts_with(": "))
}

fn cut(line: &str) -> String {
    if line.chars().count() <= LONGEST_CHARS {
        return line.to_owned();
    }
    line.chars().take(LONGEST_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of logs as the programs write them.
    const TEXTS: &[(&str, &str, &str)] = &[
        (
            "Traceback (most recent call last):\n  File \"/w/train.py\", line 1, in <module>\n    import torchvision\n\
             ModuleNotFoundError: No module named 'torchvision'\n",
            "module_missing",
            "`torchvision`",
        ),
        (
            "Traceback (most recent call last):\n  File \"/w/train.py\", line 9, in <module>\n\
             torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 14.94 GiB is free.\n",
            "gpu_out_of_memory",
            "GPU's memory",
        ),
        ("RuntimeError: No CUDA GPUs are available\n", "gpu_missing", "no GPU"),
        (
            "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver\n",
            "gpu_missing",
            "no GPU",
        ),
        ("AssertionError: Torch not compiled with CUDA enabled\n", "gpu_missing", "no GPU"),
        (
            "RuntimeError: DataLoader worker (pid 42) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit.\n",
            "shared_memory",
            "shared memory",
        ),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'\n", "job_disk_full", "disk space"),
        (
            "tar: ./model.bin: Wrote only 2048 of 10240 bytes\ntar: write error: No space left on device\n",
            "job_disk_full",
            "disk",
        ),
        ("MemoryError\n", "out_of_memory", "more memory"),
        (
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)\n",
            "out_of_memory",
            "more memory",
        ),
        (
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
            "library_missing",
            "`libGL.so.1`",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/train.csv'\n",
            "file_missing",
            "`data/train.csv`",
        ),
        (
            "python: can't open file '/home/u/trian.py': [Errno 2] No such file or directory\n",
            "file_missing",
            "trian.py",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/data/out'\n", "permission_denied", "may not use"),
        (
            "  File \"/w/train.py\", line 3\n    match x:\n          ^\nSyntaxError: invalid syntax\n",
            "syntax_error",
            "Python version",
        ),
        ("exec /usr/bin/train: exec format error\n", "wrong_platform", "processor"),
        (
            "wandb.errors.errors.AuthenticationError: API key verification failed. Make sure your API key is valid.\n",
            "server_refused",
            "key",
        ),
        (
            "wandb.errors.errors.CommError: Run initialization has timed out after 90.0 sec. Please try increasing the timeout\n",
            "server_unreachable",
            "reach the server",
        ),
        (
            "KeyError: 'lr'\nwandb: 🚀 View run x at: http://h\nwandb: Find logs at: ./wandb/run\n",
            "exit_code",
            "KeyError: 'lr'",
        ),
        (
            "Traceback (most recent call last):\n  File \"/w/train.py\", line 2, in <module>\n    os.environ[\"HF_TOKEN\"]\n\
             \x20   ~~~~~~~~~~^^^^^^^^^^^^\n  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'HF_TOKEN'\n",
            "variable_missing",
            "`HF_TOKEN`",
        ),
        (
            "ImportError: cannot import name 'soft_unicode' from 'markupsafe' (/v/site-packages/markupsafe/__init__.py)\n",
            "package_mismatch",
            "soft_unicode",
        ),
        ("AttributeError: module 'numpy' has no attribute 'float'.\n", "package_mismatch", "another version"),
        (
            "RuntimeError: CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be asynchronously reported at some other API call\n",
            "gpu_failed",
            "no kernel image",
        ),
        (
            "torch.distributed.DistBackendError: NCCL error in: ../ProcessGroupNCCL.cpp:1970, unhandled system error\n",
            "gpu_failed",
            "NCCL",
        ),
        (
            "wandb.errors.errors.UsageError: Invalid project name 'a/b': cannot contain characters '/'\n",
            "wandb_usage",
            "Invalid project name",
        ),
        (
            "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://models.example/x\n",
            "download_refused",
            "401",
        ),
        ("OSError: [Errno 24] Too many open files: '/d/1'\n", "too_many_files", "more files"),
        ("OSError: [Errno 98] Address already in use\n", "port_taken", "port"),
        (
            "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /v/x.so)\n",
            "library_missing",
            "older",
        ),
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='data.example', port=443): Max retries exceeded with url: / (Caused by NewConnectionError)\n",
            "network_failed",
            "another machine",
        ),
        (
            "subprocess.CalledProcessError: Command '['make']' returned non-zero exit status 2.\n",
            "exit_code",
            "CalledProcessError",
        ),
    ];

    #[test]
    fn the_end_of_a_log_names_the_cause() {
        for (log, word, part) in TEXTS {
            let reason = find(log, Some(1), None).unwrap_or_else(|| panic!("nothing found in {log}"));
            assert_eq!(reason.code, *word, "{log}");
            assert!(reason.message.starts_with("the job exited with code 1: "), "{}", reason.message);
            assert!(reason.message.contains(part), "{}", reason.message);
            assert!(reason.message.chars().count() < 500 && reason.hint.is_some());
        }
    }

    /// Programs that fail, as they are: the command, the code, a part of the message.
    const PROGRAMS: &[(&[&str], &str, &str)] = &[
        (&["sh", "-c", "no-such-tool --x"], "command_missing", "`no-such-tool`"),
        (&["env", "no-such-tool"], "command_missing", "no-such-tool"),
        (&["sh", "-c", "set -u; echo $NOT_SET_ANYWHERE"], "variable_missing", "`NOT_SET_ANYWHERE`"),
        (&["sh", "-c", "./refused"], "permission_denied", "refused"),
        (&["sh", "-c", "cat /proc/self/mem-not-there; python3 no_such.py"], "file_missing", "no_such.py"),
        (&["python3", "-c", "import os; os.environ['NOT_SET_ANYWHERE']"], "variable_missing", "`NOT_SET_ANYWHERE`"),
        (&["python3", "-c", "import no_such_module"], "module_missing", "`no_such_module`"),
        (&["python3", "-c", "from json import no_such_name"], "package_mismatch", "no_such_name"),
        (&["python3", "-c", "import json; json.no_such_name"], "package_mismatch", "no_such_name"),
        (&["python3", "-c", "open('no/such/file')"], "file_missing", "`no/such/file`"),
        (&["python3", "-c", "x ="], "syntax_error", "invalid syntax"),
        (&["python3", "-c", "bytearray(1 << 62)"], "out_of_memory", "more memory"),
        (
            &["python3", "-c", "import argparse; p = argparse.ArgumentParser(); p.parse_args(['--no-such'])"],
            "arguments_refused",
            "--no-such",
        ),
        (
            &["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9/')"],
            "network_failed",
            "Connection refused",
        ),
        (
            &[
                "python3",
                "-c",
                "import socket as s; a = s.socket(); a.bind(('127.0.0.1', 0)); s.socket().bind(a.getsockname())",
            ],
            "port_taken",
            "already in use",
        ),
        (
            &[
                "python3",
                "-c",
                "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9, 9)); [open('/dev/null') for _ in [0] * 9].x",
            ],
            "too_many_files",
            "more files",
        ),
        (&["python3", "-c", "{}['lr']"], "exit_code", "KeyError: 'lr'"),
    ];

    #[test]
    fn what_real_programs_say_names_the_cause() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("refused"), "#!/bin/sh\n").expect("written");
        for (command, word, part) in PROGRAMS {
            let ran = std::process::Command::new(command[0])
                .args(&command[1..])
                .current_dir(folder.path())
                .env("LC_ALL", "C")
                .output()
                .unwrap_or_else(|e| panic!("{command:?}: {e}"));
            let log = String::from_utf8_lossy(&ran.stderr);
            let reason = find(&log, ran.status.code(), None).unwrap_or_else(|| panic!("{command:?} said {log}"));
            assert_eq!(reason.code, *word, "{command:?} said {log}");
            assert!(reason.message.contains(part) && reason.hint.is_some(), "{command:?}: {}", reason.message);
        }
    }

    #[test]
    fn the_last_exception_counts() {
        let log = "ModuleNotFoundError: No module named 'a'\ncaught, going on\nValueError: too late\n";
        assert_eq!(
            find(log, Some(1), None).expect("a cause").message,
            "the job exited with code 1: ValueError: too late"
        );
        let killed = find("OSError: [Errno 28] No space left on device", None, Some(7)).expect("a cause");
        assert!(killed.message.starts_with("the job was killed by signal 7: "));
    }

    #[test]
    fn other_words_say_nothing() {
        for log in ["", "training\nloss 0.1\n", "Error rate: 3\n", "NoErrorHere, really\n", "We got an Error: x\n"] {
            assert!(find(log, Some(2), None).is_none(), "{log}");
        }
        let long = format!("ValueError: {}", "ä".repeat(1000));
        assert!(find(&long, Some(2), None).expect("a cause").message.chars().count() < 350);
    }
}
