//! Many sleeps at once.

include!("start.rs");
