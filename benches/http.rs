//! A hyper server under the load generator.

include!("start.rs");
