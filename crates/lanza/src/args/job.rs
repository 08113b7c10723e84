//! Arguments of `lanza job …`.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::ProjectScope;

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs of a project.
    List {
        #[command(flatten)]
        scope: ProjectScope,
    },
    /// Show a job, or with NAME:ALIAS one of its versions.
    Show(OneJob),
    /// Make a job: of a folder or a script, of a commit, of an image, or of a finished run.
    #[command(after_help = "\
Examples:
  lanza job create code . -p digits -n train -E \"python train.py\"
  lanza job create code train.py -p digits
  lanza job create git https://host/repo.git -g v1.2 -E train.py -p digits
  lanza job create image registry.example.com/tool:1.2 -p digits
  lanza job create run ada/digits/x7f2k9qa -n train

stdout is the version that was made or found; equal content makes no new one. A script brings its
folder along. What .gitignore names is left out.")]
    Create(Box<JobCreate>),
    /// Show everything that a launch needs to know of a job: source, command, packages, inputs, runs.
    Describe(JobDescribe),
    /// Show what changed between two versions: source, files, command, Python, packages, inputs.
    #[command(after_help = "\
Examples:
  lanza job diff train v3 v4 -p digits
  lanza job diff ada/digits/train:v3 v4")]
    Diff(JobDiff),
    /// List the versions of a job, newest first.
    Versions(OneJob),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneJob {
    /// NAME, PROJECT/NAME or ENTITY/PROJECT/NAME, with `:ALIAS` or not.
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) scope: ProjectScope,
}

/// What a job is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JobKind {
    /// A folder, or a script with its folder.
    Code,
    /// A commit of a repository.
    Git,
    /// An image that holds everything.
    Image,
    /// What a finished run ran.
    Run,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JobCreate {
    /// What it is made of.
    #[arg(value_enum)]
    pub(crate) kind: JobKind,
    /// Folder or script, address of a repository, name of an image, or a run (ENTITY/PROJECT/RUN).
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) scope: ProjectScope,
    /// Name of the job [default: made from the source].
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// What it is for.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Alias beside `latest`; may be repeated.
    #[arg(short, long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Command that starts it, as a shell would read it; a bare script is run by Python [default: main.py].
    #[arg(short = 'E', long, visible_alias = "entrypoint", value_name = "COMMAND")]
    pub(crate) entry_point: Option<String>,
    /// Branch, tag or commit [default: the remote's own default branch].
    #[arg(short, long, visible_alias = "git-version", value_name = "REF", allow_hyphen_values = true)]
    pub(crate) git_hash: Option<String>,
    /// Python version, 3.N [default: runtime.txt, else .python-version, else that of python3 here].
    #[arg(short, long, value_name = "3.N")]
    pub(crate) runtime: Option<String>,
    /// Folder of the source that is the context of a build; entry point and Dockerfile are relative to it.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) build_context: Option<String>,
    /// Dockerfile to build it with.
    #[arg(short = 'D', long, value_name = "PATH")]
    pub(crate) dockerfile: Option<String>,
    /// Image to lay the code over, without a build.
    #[arg(short = 'B', long, value_name = "IMAGE")]
    pub(crate) base_image: Option<String>,
    /// Service that the job starts, NAME=always or NAME=never.
    #[arg(short, long = "service", value_name = "NAME=POLICY", hide = true)]
    pub(crate) services: Vec<String>,
    /// JSON Schema of the config, JSON or YAML; launches that do not fit are refused.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<String>,
    /// For a run: which of its sources [default: image, else code, else git].
    #[arg(long, value_parser = ["code", "git", "image"])]
    pub(crate) source: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JobDescribe {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// Version or alias [default: that of the name, else the newest].
    #[arg(long, value_name = "vN")]
    pub(crate) version: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JobDiff {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// Version to compare with; where the job is named without one, the older of both.
    pub(crate) first: String,
    /// The newer version.
    pub(crate) second: Option<String>,
}
