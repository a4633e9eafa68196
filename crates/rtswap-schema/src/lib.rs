//! The record, the lane protocol, and the names and parameters of workloads.
//!
//! Types that several crates exchange, with their spelling in JSON and in text. The crate does no I/O,
//! and it depends on no runtime, HTTP library or database client. A program that reads records or
//! speaks the lane protocol needs nothing else.
//!
//! - [`record`]: the lines of a record, and [`Record`](record::Record), which collects them;
//! - [`protocol`]: orders to a lane and its answers;
//! - [`workload`]: what a workload is called, and what its parameters are;
//! - [`schedule`]: when the operations of an offered load are due;
//! - [`histogram`]: latencies as text, as records and answers carry them;
//! - [`history`]: what the commits of a branch measured, one line a cell.
#![warn(missing_docs)]

pub mod histogram;
pub mod history;
pub mod protocol;
pub mod record;
pub mod schedule;
mod text;
pub mod workload;

pub use text::one_line;
