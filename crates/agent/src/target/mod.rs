//! Where workloads run.

pub(crate) mod supervisor;
