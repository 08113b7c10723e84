//! The rules of the product, without IO and without async.
//!
//! Both sides of every wire share this crate: the server decides with it, the agent checks with it again. It hides
//! how names are formed, when an item may move, how two layers of queue configuration become one, and what a job
//! file means; nothing here knows of SQL, HTTP or a process.

pub mod builder;
pub mod clock;
pub mod code;
pub mod config;
pub mod docker;
pub mod git;
pub mod id;
pub mod input;
pub mod item;
pub mod job;
pub mod name;
pub mod phase;
pub mod policy;
pub mod priority;
pub mod resources;
pub mod role;
pub mod run;
pub mod schedule;
pub mod shell;
pub mod spec;
pub mod target;
pub mod template;

pub use code::Code;
pub use item::Reason;
pub use phase::Phase;
pub use priority::Priority;
pub use role::Role;
pub use target::Target;
