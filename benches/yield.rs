//! Switching between ready tasks.

include!("start.rs");
