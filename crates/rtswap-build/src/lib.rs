//! Builds programs to be measured.
//!
//! - [`cargo`]: runs cargo, with progress, until it ends or is interrupted;
//! - [`cache`]: the user's folder of what was built;
//! - [`image`]: whether two executables load the same code;
//! - [`lane`]: the lanes of an adapter, built against a [`Version`] of its runtime;
//! - [`revision`]: programs of a git repository, built at a commit;
//! - [`published`]: the published versions of a crate;
//! - [`lockfile`]: which packages two lockfiles do not share.
//!
//! The crate depends on no runtime. What it builds is never run here.
#![warn(missing_docs)]

pub mod cache;
pub mod cargo;
mod digest;
mod error;
pub mod image;
pub mod lane;
pub mod lockfile;
mod package;
pub mod published;
pub mod revision;
mod source;
mod version;

pub use cache::Cache;
pub use error::BuildError;
pub use lane::{BuiltLane, Request};
pub use source::{Source, source};
pub use version::{InvalidVersion, Version};
