//! An echo server under the load generator.

include!("start.rs");
