//! What a workload is called, what its parameters are, and what it needs.
//!
//! A [`Family`] is a workload with its parameters open (`tcp-echo`); a [`Spec`] is one with values
//! (`tcp-echo/size=1024/conns=32`).

mod error;
pub mod families;
mod family;
mod offered;
mod spec;
mod text_value;

use std::collections::BTreeMap;

pub use error::SpecError;
pub use family::{Drive, Family, Notation, Param, ParamValue, Traffic, Uses};
pub use offered::{Arrivals, InvalidLoad, Rate};
pub use spec::Spec;

/// What a workload was given to work with, by name: `redis` is a URL, `folder` a path.
///
/// [`Family::uses`] says what a workload needs; [`Uses::resources`] has the names.
pub type Resources = BTreeMap<String, String>;
