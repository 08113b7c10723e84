//! Stories of artifacts.
