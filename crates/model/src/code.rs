//! Stable words for what can go wrong, each with a help page.
//!
//! A program acts on the word, a person reads the page: `lanza explain WORD`, `lanza explain LZ0142`, or `/errors/LZ0142`
//! on the server. Words and numbers are never given a second meaning.

mod workload;

pub use workload::{
    ARGUMENTS_REFUSED, COMMAND_MISSING, DOWNLOAD_REFUSED, GPU_FAILED, NETWORK_FAILED, PACKAGE_MISMATCH, TOO_MANY_FILES,
    VARIABLE_MISSING, WANDB_USAGE,
};

/// One kind of refusal or failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable word, `agent_lost` for instance.
    pub word: &'static str,
    /// The number of the help page, `LZ0142` for instance.
    pub help: &'static str,
    /// What to do in general, one sentence.
    pub hint: &'static str,
    /// The help page, Markdown.
    pub page: &'static str,
}

/// The key is missing or not known.
pub const UNAUTHENTICATED: Code = Code {
    word: "unauthenticated",
    help: "LZ0001",
    hint: "Log in with `lanza login` or `wandb login`, or set WANDB_API_KEY.",
    page: include_str!("../../../docs/errors/LZ0001.md"),
};

/// Your role does not allow this.
pub const FORBIDDEN: Code = Code {
    word: "forbidden",
    help: "LZ0002",
    hint: "Ask an admin of the entity for a higher role.",
    page: include_str!("../../../docs/errors/LZ0002.md"),
};

/// There is no such object, or you may not see it.
pub const NOT_FOUND: Code = Code {
    word: "not_found",
    help: "LZ0003",
    hint: "Check the spelling, and that your key belongs to a member of the entity.",
    page: include_str!("../../../docs/errors/LZ0003.md"),
};

/// The name is taken.
pub const ALREADY_EXISTS: Code = Code {
    word: "already_exists",
    help: "LZ0004",
    hint: "Choose another name.",
    page: include_str!("../../../docs/errors/LZ0004.md"),
};

/// A field is wrong.
pub const INVALID: Code = Code {
    word: "invalid",
    help: "LZ0005",
    hint: "Correct the field that the message names.",
    page: include_str!("../../../docs/errors/LZ0005.md"),
};

/// The object is not in a state for this.
pub const CONFLICT: Code = Code {
    word: "conflict",
    help: "LZ0006",
    hint: "Look at its current state and decide again.",
    page: include_str!("../../../docs/errors/LZ0006.md"),
};

/// The request is too large.
pub const TOO_LARGE: Code = Code {
    word: "too_large",
    help: "LZ0007",
    hint: "Send less at once.",
    page: include_str!("../../../docs/errors/LZ0007.md"),
};

/// The server cannot do this just now.
pub const UNAVAILABLE: Code = Code {
    word: "unavailable",
    help: "LZ0008",
    hint: "Try again after the time in `Retry-After`.",
    page: include_str!("../../../docs/errors/LZ0008.md"),
};

/// The server made a mistake.
pub const INTERNAL: Code = Code {
    word: "internal",
    help: "LZ0009",
    hint: "Report the request id together with the server's log.",
    page: include_str!("../../../docs/errors/LZ0009.md"),
};

/// The request cannot be read.
pub const MALFORMED: Code = Code {
    word: "malformed",
    help: "LZ0010",
    hint: "Send JSON as the documentation shows.",
    page: include_str!("../../../docs/errors/LZ0010.md"),
};

/// There is no such queue.
pub const QUEUE_NOT_FOUND: Code = Code {
    word: "queue_not_found",
    help: "LZ0012",
    hint: "Create it with `lanza queue create`, or name one that exists.",
    page: include_str!("../../../docs/errors/LZ0012.md"),
};

/// There is no such target.
pub const TARGET_UNKNOWN: Code = Code {
    word: "target_unknown",
    help: "LZ0013",
    hint: "Use one of process, docker, kubernetes, sagemaker, vertex, slurm.",
    page: include_str!("../../../docs/errors/LZ0013.md"),
};

/// The launch request is wrong.
pub const SPEC_INVALID: Code = Code {
    word: "spec_invalid",
    help: "LZ0014",
    hint: "Correct the field that the message names.",
    page: include_str!("../../../docs/errors/LZ0014.md"),
};

/// The item and the queue name different targets.
pub const TARGET_MISMATCH: Code = Code {
    word: "target_mismatch",
    help: "LZ0015",
    hint: "Leave `resource` out, or choose a queue of that target.",
    page: include_str!("../../../docs/errors/LZ0015.md"),
};

/// Only the queue's admin may set this.
pub const FIELD_NOT_ALLOWED: Code = Code {
    word: "field_not_allowed",
    help: "LZ0016",
    hint: "Ask the queue's admin to put it into the queue's config or to offer a template variable.",
    page: include_str!("../../../docs/errors/LZ0016.md"),
};

/// A launch asks for a build that it may not choose.
pub const BUILDER_REFUSED: Code = Code {
    word: "builder_refused",
    help: "LZ0169",
    hint: "Leave the field out, or launch on a queue whose agent builds that way.",
    page: include_str!("../../../docs/errors/LZ0169.md"),
};

/// A template variable is wrong.
pub const TEMPLATE_INVALID: Code = Code {
    word: "template_invalid",
    help: "LZ0017",
    hint: "See the queue's variables with `lanza queue show`.",
    page: include_str!("../../../docs/errors/LZ0017.md"),
};

/// The content does not match its digest.
pub const DIGEST_MISMATCH: Code = Code {
    word: "digest_mismatch",
    help: "LZ0018",
    hint: "Send the file again.",
    page: include_str!("../../../docs/errors/LZ0018.md"),
};

/// The upload ended early.
pub const UPLOAD_TRUNCATED: Code = Code {
    word: "upload_truncated",
    help: "LZ0019",
    hint: "Send the file again.",
    page: include_str!("../../../docs/errors/LZ0019.md"),
};

/// This operation of the client is not supported.
pub const NOT_BUILT: Code = Code {
    word: "not_built",
    help: "LZ0020",
    hint: "See docs/compatibility.md for what is supported.",
    page: include_str!("../../../docs/errors/LZ0020.md"),
};

/// The item belongs to somebody else by now.
pub const LEASE_LOST: Code = Code {
    word: "lease_lost",
    help: "LZ0021",
    hint: "Nothing to do: the agent stops its own copy.",
    page: include_str!("../../../docs/errors/LZ0021.md"),
};

/// The link is no longer valid.
pub const LINK_EXPIRED: Code = Code {
    word: "link_expired",
    help: "LZ0022",
    hint: "Ask for a new link.",
    page: include_str!("../../../docs/errors/LZ0022.md"),
};

/// The artifact lacks files.
pub const ARTIFACT_INCOMPLETE: Code = Code {
    word: "artifact_incomplete",
    help: "LZ0023",
    hint: "Upload the missing files and commit again.",
    page: include_str!("../../../docs/errors/LZ0023.md"),
};

/// The agent cannot serve these queues.
pub const AGENT_QUEUE_MISSING: Code = Code {
    word: "agent_queue_missing",
    help: "LZ0024",
    hint: "Name queues that exist and whose target this agent has.",
    page: include_str!("../../../docs/errors/LZ0024.md"),
};

/// The key changes nothing.
pub const READ_ONLY_KEY: Code = Code {
    word: "read_only_key",
    help: "LZ0025",
    hint: "Make a key with the scope `full` in the settings of the web app or on the page `/authorize`, and use that.",
    page: include_str!("../../../docs/errors/LZ0025.md"),
};

/// Somebody else has changed the object since it was read.
pub const CHANGED_SINCE: Code = Code {
    word: "changed_since",
    help: "LZ0026",
    hint: "Read it again, and make your change to what it is now.",
    page: include_str!("../../../docs/errors/LZ0026.md"),
};

/// A page of another site asks with the cookie of this one.
pub const FOREIGN_SITE: Code = Code {
    word: "foreign_site",
    help: "LZ0027",
    hint: "Do it in the web app under the server's own address, or come with an API key instead of the session cookie.",
    page: include_str!("../../../docs/errors/LZ0027.md"),
};

/// The values of a launch do not fit the job's inputs.
pub const INPUT_INVALID: Code = Code {
    word: "input_invalid",
    help: "LZ0030",
    hint: "Correct the values that the message names; `lanza job describe JOB` shows what the job takes.",
    page: include_str!("../../../docs/errors/LZ0030.md"),
};

/// The job does not exist.
pub const JOB_NOT_FOUND: Code = Code {
    word: "job_not_found",
    help: "LZ0101",
    hint: "Check the name with `lanza job list`.",
    page: include_str!("../../../docs/errors/LZ0101.md"),
};

/// The job's code is gone.
pub const SOURCE_MISSING: Code = Code {
    word: "source_missing",
    help: "LZ0102",
    hint: "Make the job again.",
    page: include_str!("../../../docs/errors/LZ0102.md"),
};

/// The job's code could not be brought.
pub const FETCH_FAILED: Code = Code {
    word: "fetch_failed",
    help: "LZ0103",
    hint: "See the log of phase `fetch`.",
    page: include_str!("../../../docs/errors/LZ0103.md"),
};

/// The git address or reference is not allowed.
pub const GIT_REFUSED: Code = Code {
    word: "git_refused",
    help: "LZ0104",
    hint: "Use https, ssh or user@host:path, and a plain branch, tag or commit.",
    page: include_str!("../../../docs/errors/LZ0104.md"),
};

/// A file of the job would leave its folder.
pub const ARCHIVE_HOSTILE: Code = Code {
    word: "archive_hostile",
    help: "LZ0105",
    hint: "Make the job again without such paths.",
    page: include_str!("../../../docs/errors/LZ0105.md"),
};

/// The git host refused the log-in.
pub const GIT_LOGIN_FAILED: Code = Code {
    word: "git_login_failed",
    help: "LZ0106",
    hint: "Give the agent credentials for that host, or correct them.",
    page: include_str!("../../../docs/errors/LZ0106.md"),
};

/// The identity of the git host cannot be verified.
pub const GIT_HOST_UNKNOWN: Code = Code {
    word: "git_host_unknown",
    help: "LZ0107",
    hint: "Add the host's key to known_hosts, or its CA to the trusted ones.",
    page: include_str!("../../../docs/errors/LZ0107.md"),
};

/// There is no such repository, branch, tag or commit.
pub const GIT_NOT_FOUND: Code = Code {
    word: "git_not_found",
    help: "LZ0108",
    hint: "Check the address and the reference of the job.",
    page: include_str!("../../../docs/errors/LZ0108.md"),
};

/// The job's uncommitted changes do not apply.
pub const PATCH_FAILED: Code = Code {
    word: "patch_failed",
    help: "LZ0109",
    hint: "Commit the changes and make the job again.",
    page: include_str!("../../../docs/errors/LZ0109.md"),
};

/// The requirements cannot be installed.
pub const INSTALL_FAILED: Code = Code {
    word: "install_failed",
    help: "LZ0110",
    hint: "Read the last lines of the build log; correct requirements.txt and make the job again.",
    page: include_str!("../../../docs/errors/LZ0110.md"),
};

/// The Python version is not on this machine.
pub const PYTHON_MISSING: Code = Code {
    word: "python_missing",
    help: "LZ0111",
    hint: "Install it on the agent's machine, or make the job with another runtime.",
    page: include_str!("../../../docs/errors/LZ0111.md"),
};

/// The image can neither be pulled nor is it here.
pub const IMAGE_MISSING: Code = Code {
    word: "image_missing",
    help: "LZ0112",
    hint: "Check the name, and the agent's registry log-in.",
    page: include_str!("../../../docs/errors/LZ0112.md"),
};

/// The image to build on can neither be pulled nor is it here.
pub const BASE_IMAGE_MISSING: Code = Code {
    word: "base_image_missing",
    help: "LZ0113",
    hint: "Check the name of the base image, and the agent's registry log-in.",
    page: include_str!("../../../docs/errors/LZ0113.md"),
};

/// There is nothing to run.
pub const ENTRY_POINT_MISSING: Code = Code {
    word: "entry_point_missing",
    help: "LZ0114",
    hint: "Give an entry point with `-E` or `overrides.entry_point`.",
    page: include_str!("../../../docs/errors/LZ0114.md"),
};

/// This target cannot run such a job.
pub const JOB_UNSUPPORTED: Code = Code {
    word: "job_unsupported",
    help: "LZ0115",
    hint: "Use a queue whose target can run it.",
    page: include_str!("../../../docs/errors/LZ0115.md"),
};

/// The agent refused the target configuration.
pub const CONFIG_REFUSED: Code = Code {
    word: "config_refused",
    help: "LZ0116",
    hint: "Correct the field that the message names.",
    page: include_str!("../../../docs/errors/LZ0116.md"),
};

/// The build took too long.
pub const BUILD_TIMEOUT: Code = Code {
    word: "build_timeout",
    help: "LZ0117",
    hint: "Raise `timeouts.build`, or make the build smaller.",
    page: include_str!("../../../docs/errors/LZ0117.md"),
};

/// There is no space left on the agent's disk.
pub const NO_SPACE: Code = Code {
    word: "no_space",
    help: "LZ0118",
    hint: "Make room on the agent's disk, for instance with `lanza agent prune`.",
    page: include_str!("../../../docs/errors/LZ0118.md"),
};

/// A required package does not exist for this Python.
pub const PACKAGE_MISSING: Code = Code {
    word: "package_missing",
    help: "LZ0119",
    hint: "Correct the name or version in the requirements, or use another Python version.",
    page: include_str!("../../../docs/errors/LZ0119.md"),
};

/// The command could not be started.
pub const SPAWN_FAILED: Code = Code {
    word: "spawn_failed",
    help: "LZ0120",
    hint: "Check the entry point.",
    page: include_str!("../../../docs/errors/LZ0120.md"),
};

/// A package without a wheel could not be compiled.
pub const PACKAGE_BUILD_FAILED: Code = Code {
    word: "package_build_failed",
    help: "LZ0121",
    hint: "Use a version that has a wheel for this Python, or install the compiler it needs.",
    page: include_str!("../../../docs/errors/LZ0121.md"),
};

/// A step of the Dockerfile failed.
pub const IMAGE_BUILD_FAILED: Code = Code {
    word: "image_build_failed",
    help: "LZ0122",
    hint: "Read the end of the build log; correct the Dockerfile and make the job again.",
    page: include_str!("../../../docs/errors/LZ0122.md"),
};

/// The registry refused the log-in.
pub const REGISTRY_LOGIN_FAILED: Code = Code {
    word: "registry_login_failed",
    help: "LZ0123",
    hint: "Log the agent's user in with `docker login`, or correct the credentials.",
    page: include_str!("../../../docs/errors/LZ0123.md"),
};

/// The built image could not be pushed.
pub const PUSH_FAILED: Code = Code {
    word: "push_failed",
    help: "LZ0124",
    hint: "See the log of phase `push`.",
    page: include_str!("../../../docs/errors/LZ0124.md"),
};

/// The package index does not answer.
pub const INDEX_UNAVAILABLE: Code = Code {
    word: "index_unavailable",
    help: "LZ0125",
    hint: "Check the way from the agent's machine to the package index.",
    page: include_str!("../../../docs/errors/LZ0125.md"),
};

/// The job ended with an error.
pub const EXIT_CODE: Code = Code {
    word: "exit_code",
    help: "LZ0130",
    hint: "Read the end of the log.",
    page: include_str!("../../../docs/errors/LZ0130.md"),
};

/// The job was killed by a signal.
pub const SIGNAL: Code = Code {
    word: "signal",
    help: "LZ0131",
    hint: "Look for an out-of-memory kill on that machine.",
    page: include_str!("../../../docs/errors/LZ0131.md"),
};

/// The job never called wandb.init.
pub const NO_INIT: Code = Code {
    word: "no_init",
    help: "LZ0132",
    hint: "Call `wandb.init()` in the script.",
    page: include_str!("../../../docs/errors/LZ0132.md"),
};

/// The item was stopped on request.
pub const STOPPED: Code = Code {
    word: "stopped",
    help: "LZ0133",
    hint: "Launch it again if that was a mistake.",
    page: include_str!("../../../docs/errors/LZ0133.md"),
};

/// The job ran out of memory.
pub const OUT_OF_MEMORY: Code = Code {
    word: "out_of_memory",
    help: "LZ0134",
    hint: "Ask for more memory.",
    page: include_str!("../../../docs/errors/LZ0134.md"),
};

/// The job did not begin in the time that its queue allows.
pub const START_TIMEOUT: Code = Code {
    word: "start_timeout",
    help: "LZ0135",
    hint: "See which phase took so long, or ask the queue's admin for a longer `start_timeout_seconds`.",
    page: include_str!("../../../docs/errors/LZ0135.md"),
};

/// The job ran longer than its queue allows.
pub const MAX_DURATION: Code = Code {
    word: "max_duration",
    help: "LZ0136",
    hint: "Make the job shorter, or ask the queue's admin for a longer `max_duration_seconds`.",
    page: include_str!("../../../docs/errors/LZ0136.md"),
};

/// A Python package of the job is not installed.
pub const MODULE_MISSING: Code = Code {
    word: "module_missing",
    help: "LZ0137",
    hint: "Add the package to requirements.txt and make the job again.",
    page: include_str!("../../../docs/errors/LZ0137.md"),
};

/// The GPU's memory was too small.
pub const GPU_OUT_OF_MEMORY: Code = Code {
    word: "gpu_out_of_memory",
    help: "LZ0138",
    hint: "Use a smaller batch or model, or a queue with larger GPUs.",
    page: include_str!("../../../docs/errors/LZ0138.md"),
};

/// There is no GPU that the job can use.
pub const GPU_MISSING: Code = Code {
    word: "gpu_missing",
    help: "LZ0139",
    hint: "Ask for `gpus`, and check driver and container toolkit on the agent's machine.",
    page: include_str!("../../../docs/errors/LZ0139.md"),
};

/// The job ran out of shared memory.
pub const SHARED_MEMORY: Code = Code {
    word: "shared_memory",
    help: "LZ0140",
    hint: "Set `shm-size` in the queue's config, for instance `8g`.",
    page: include_str!("../../../docs/errors/LZ0140.md"),
};

/// The job ran out of disk space.
pub const JOB_DISK_FULL: Code = Code {
    word: "job_disk_full",
    help: "LZ0141",
    hint: "Make room where the job writes, or write less.",
    page: include_str!("../../../docs/errors/LZ0141.md"),
};

/// The agent was lost while the job ran.
pub const AGENT_LOST: Code = Code {
    word: "agent_lost",
    help: "LZ0142",
    hint: "Check the agent's machine, then launch again or set a retry policy.",
    page: include_str!("../../../docs/errors/LZ0142.md"),
};

/// The target does not answer.
pub const TARGET_UNAVAILABLE: Code = Code {
    word: "target_unavailable",
    help: "LZ0143",
    hint: "Check the target on the agent's machine (`lanza doctor`).",
    page: include_str!("../../../docs/errors/LZ0143.md"),
};

/// The job's supervisor was killed.
pub const SUPERVISOR_LOST: Code = Code {
    word: "supervisor_lost",
    help: "LZ0144",
    hint: "Launch the item again.",
    page: include_str!("../../../docs/errors/LZ0144.md"),
};

/// The agent reported that the job did not start.
pub const RUN_NOT_STARTED: Code = Code {
    word: "run_not_started",
    help: "LZ0145",
    hint: "Read the agent's message.",
    page: include_str!("../../../docs/errors/LZ0145.md"),
};

/// The agent could not carry out the attempt.
pub const AGENT_FAILED: Code = Code {
    word: "agent_failed",
    help: "LZ0146",
    hint: "Read the message and the agent's log.",
    page: include_str!("../../../docs/errors/LZ0146.md"),
};

/// A system library is not installed.
pub const LIBRARY_MISSING: Code = Code {
    word: "library_missing",
    help: "LZ0147",
    hint: "Use a base image that has it, or install it on the machine.",
    page: include_str!("../../../docs/errors/LZ0147.md"),
};

/// A file that the job reads is not there.
pub const FILE_MISSING: Code = Code {
    word: "file_missing",
    help: "LZ0148",
    hint: "Log the file with the code, mount it, or bring it as an artifact.",
    page: include_str!("../../../docs/errors/LZ0148.md"),
};

/// The job may not use a file.
pub const PERMISSION_DENIED: Code = Code {
    word: "permission_denied",
    help: "LZ0149",
    hint: "Give the job's user the right, or write elsewhere.",
    page: include_str!("../../../docs/errors/LZ0149.md"),
};

/// The script is not valid Python.
pub const SYNTAX_ERROR: Code = Code {
    word: "syntax_error",
    help: "LZ0150",
    hint: "Correct the script, or set the job's Python version.",
    page: include_str!("../../../docs/errors/LZ0150.md"),
};

/// The program is for another processor.
pub const WRONG_PLATFORM: Code = Code {
    word: "wrong_platform",
    help: "LZ0151",
    hint: "Build the image for the agent's platform, or set `platform`.",
    page: include_str!("../../../docs/errors/LZ0151.md"),
};

/// The server did not take the script's key.
pub const SERVER_REFUSED: Code = Code {
    word: "server_refused",
    help: "LZ0152",
    hint: "Let the script use the key that it is given in WANDB_API_KEY.",
    page: include_str!("../../../docs/errors/LZ0152.md"),
};

/// The job could not reach the server.
pub const SERVER_UNREACHABLE: Code = Code {
    word: "server_unreachable",
    help: "LZ0153",
    hint: "Check that the server's address works from where jobs run.",
    page: include_str!("../../../docs/errors/LZ0153.md"),
};

/// The container's name is taken.
pub const CONTAINER_NAME_TAKEN: Code = Code {
    word: "container_name_taken",
    help: "LZ0154",
    hint: "Put `${run_id}` into the queue's `name`, or leave it out.",
    page: include_str!("../../../docs/errors/LZ0154.md"),
};

/// A port that the job or its container wants is taken.
pub const PORT_TAKEN: Code = Code {
    word: "port_taken",
    help: "LZ0155",
    hint: "Use another port, or a free one that the system picks.",
    page: include_str!("../../../docs/errors/LZ0155.md"),
};

/// The job's machine was taken away.
pub const PREEMPTED: Code = Code {
    word: "preempted",
    help: "LZ0156",
    hint: "Launch it again, or let the queue's policy do so with `retry.on: [preempted]`.",
    page: include_str!("../../../docs/errors/LZ0156.md"),
};

/// Every code, by number.
pub const ALL: &[Code] = &[
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_FOUND,
    ALREADY_EXISTS,
    INVALID,
    CONFLICT,
    TOO_LARGE,
    UNAVAILABLE,
    INTERNAL,
    MALFORMED,
    QUEUE_NOT_FOUND,
    TARGET_UNKNOWN,
    SPEC_INVALID,
    TARGET_MISMATCH,
    FIELD_NOT_ALLOWED,
    TEMPLATE_INVALID,
    DIGEST_MISMATCH,
    UPLOAD_TRUNCATED,
    NOT_BUILT,
    LEASE_LOST,
    LINK_EXPIRED,
    ARTIFACT_INCOMPLETE,
    AGENT_QUEUE_MISSING,
    READ_ONLY_KEY,
    CHANGED_SINCE,
    FOREIGN_SITE,
    INPUT_INVALID,
    JOB_NOT_FOUND,
    SOURCE_MISSING,
    FETCH_FAILED,
    GIT_REFUSED,
    ARCHIVE_HOSTILE,
    GIT_LOGIN_FAILED,
    GIT_HOST_UNKNOWN,
    GIT_NOT_FOUND,
    PATCH_FAILED,
    INSTALL_FAILED,
    PYTHON_MISSING,
    IMAGE_MISSING,
    BASE_IMAGE_MISSING,
    ENTRY_POINT_MISSING,
    JOB_UNSUPPORTED,
    CONFIG_REFUSED,
    BUILD_TIMEOUT,
    NO_SPACE,
    PACKAGE_MISSING,
    SPAWN_FAILED,
    PACKAGE_BUILD_FAILED,
    IMAGE_BUILD_FAILED,
    REGISTRY_LOGIN_FAILED,
    PUSH_FAILED,
    INDEX_UNAVAILABLE,
    EXIT_CODE,
    SIGNAL,
    NO_INIT,
    STOPPED,
    OUT_OF_MEMORY,
    START_TIMEOUT,
    MAX_DURATION,
    MODULE_MISSING,
    GPU_OUT_OF_MEMORY,
    GPU_MISSING,
    SHARED_MEMORY,
    JOB_DISK_FULL,
    AGENT_LOST,
    TARGET_UNAVAILABLE,
    SUPERVISOR_LOST,
    RUN_NOT_STARTED,
    AGENT_FAILED,
    LIBRARY_MISSING,
    FILE_MISSING,
    PERMISSION_DENIED,
    SYNTAX_ERROR,
    WRONG_PLATFORM,
    SERVER_REFUSED,
    SERVER_UNREACHABLE,
    CONTAINER_NAME_TAKEN,
    PORT_TAKEN,
    PREEMPTED,
    VARIABLE_MISSING,
    COMMAND_MISSING,
    NETWORK_FAILED,
    PACKAGE_MISMATCH,
    ARGUMENTS_REFUSED,
    WANDB_USAGE,
    GPU_FAILED,
    DOWNLOAD_REFUSED,
    TOO_MANY_FILES,
    BUILDER_REFUSED,
];

/// Finds a code by its word or by the number of its page, whatever their case.
pub fn find(text: &str) -> Option<Code> {
    ALL.iter().copied().find(|c| c.word.eq_ignore_ascii_case(text) || c.help.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_unique_and_each_page_is_about_its_code() {
        for (i, a) in ALL.iter().enumerate() {
            assert!(
                ALL[i + 1..].iter().all(|b| a.word != b.word && a.help < b.help),
                "{} twice or out of order",
                a.word
            );
            assert!(a.page.starts_with(&format!("# {} `{}`", a.help, a.word)), "page of {}", a.help);
            assert!(a.page.contains("## What to do") && a.hint.ends_with('.'), "page of {}", a.help);
        }
        assert_eq!(find("lz0142"), find("agent_lost"));
        assert_eq!(find("nothing"), None);
    }

    #[test]
    fn every_page_has_its_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        for file in std::fs::read_dir(folder).expect("the folder of pages") {
            let name = file.expect("an entry").file_name().into_string().expect("a plain name");
            assert!(find(name.trim_end_matches(".md")).is_some(), "{name} belongs to no code");
        }
    }
}
