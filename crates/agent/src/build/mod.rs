//! Phase `build`: environments, made once and shared by their key.

pub(crate) mod image;
pub(crate) mod python;
pub(crate) mod requirements;
