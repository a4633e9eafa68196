//! The project's own harness: what decides (README.md).

include!("start.rs");
