//! What makes jobs fail by themselves, as their last words say it. See [`super`].

use super::Code;

/// A variable that the job reads is not set.
pub const VARIABLE_MISSING: Code = Code {
    word: "variable_missing",
    help: "LZ0160",
    hint: "Set the variable in the queue's `env`, as a secret of the agent, or in the launch.",
    page: include_str!("../../../../docs/errors/LZ0160.md"),
};

/// A program that the job calls is not installed.
pub const COMMAND_MISSING: Code = Code {
    word: "command_missing",
    help: "LZ0161",
    hint: "Install the program in the image or on the agent's machine, or correct the entry point.",
    page: include_str!("../../../../docs/errors/LZ0161.md"),
};

/// The job could not reach another machine.
pub const NETWORK_FAILED: Code = Code {
    word: "network_failed",
    help: "LZ0162",
    hint: "Check that the address can be reached from where jobs run.",
    page: include_str!("../../../../docs/errors/LZ0162.md"),
};

/// A package has another version than the code expects.
pub const PACKAGE_MISMATCH: Code = Code {
    word: "package_mismatch",
    help: "LZ0163",
    hint: "Pin the version of the package that the message names.",
    page: include_str!("../../../../docs/errors/LZ0163.md"),
};

/// The script did not take its arguments.
pub const ARGUMENTS_REFUSED: Code = Code {
    word: "arguments_refused",
    help: "LZ0164",
    hint: "Compare the arguments of the launch with what the script takes.",
    page: include_str!("../../../../docs/errors/LZ0164.md"),
};

/// The script used wandb in a way that it refuses.
pub const WANDB_USAGE: Code = Code {
    word: "wandb_usage",
    help: "LZ0165",
    hint: "Correct the call that the traceback names.",
    page: include_str!("../../../../docs/errors/LZ0165.md"),
};

/// The GPU refused what the job asked of it.
pub const GPU_FAILED: Code = Code {
    word: "gpu_failed",
    help: "LZ0166",
    hint: "Check that the package was built for this GPU, then the indices that the script uses.",
    page: include_str!("../../../../docs/errors/LZ0166.md"),
};

/// Another service refused what the job wanted of it.
pub const DOWNLOAD_REFUSED: Code = Code {
    word: "download_refused",
    help: "LZ0167",
    hint: "Give the job the token of that service as a secret.",
    page: include_str!("../../../../docs/errors/LZ0167.md"),
};

/// The job opened more files than it may.
pub const TOO_MANY_FILES: Code = Code {
    word: "too_many_files",
    help: "LZ0168",
    hint: "Raise `ulimit` for open files, or open fewer at once.",
    page: include_str!("../../../../docs/errors/LZ0168.md"),
};
