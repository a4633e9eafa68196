//! Spawning and joining tasks.

include!("start.rs");
