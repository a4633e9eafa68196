//! What `cargo bench` runs.
