//! The load generator: one, the same for all lanes, with no async runtime in it.
