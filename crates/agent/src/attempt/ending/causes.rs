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
    for (back, line) in theirs.by_ref().enumerate() {
        // A tool's last words stand at the very end; further up a line may say anything.
        let counts = back < LAST_WORDS || is_exception(line);
        if counts && let Some((code, what)) = known(line) {
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
