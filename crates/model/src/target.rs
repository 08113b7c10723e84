//! Where attempts run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of compute that a queue stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A local process of the agent's machine.
    Process,
    /// A container of the agent's Docker engine.
    Docker,
    /// A Kubernetes cluster.
    Kubernetes,
    /// AWS SageMaker training jobs.
    Sagemaker,
    /// Google Vertex AI custom jobs.
    Vertex,
    /// A Slurm cluster.
    Slurm,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 6] =
        [Self::Process, Self::Docker, Self::Kubernetes, Self::Sagemaker, Self::Vertex, Self::Slurm];

    /// Returns our name, used in REST, on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "vertex",
            Self::Slurm => "slurm",
        }
    }

    /// Returns the resource name of the wandb wire, which is also the key inside `resource_args`.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Process => "local-process",
            Self::Docker => "local-container",
            Self::Kubernetes => "kubernetes",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "gcp-vertex",
            Self::Slurm => "slurm",
        }
    }

    /// Parses either side's name; `local` means docker.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "local" {
            return Some(Self::Docker);
        }
        Self::ALL.into_iter().find(|t| t.as_str() == name || t.wire_name() == name)
    }

    /// Returns our names, comma separated, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_takes_the_other_sides_names() {
        for t in Target::ALL {
            assert_eq!(Target::parse(t.as_str()), Some(t));
            assert_eq!(Target::parse(t.wire_name()), Some(t));
        }
        assert_eq!(Target::parse("local"), Some(Target::Docker));
        assert_eq!(Target::parse("cuda-farm"), None);
    }
}
