//! Lane processes, blocks, counters, record.
//!
//! [`plan`] decides what will be measured, [`schedule`] decides in which order, [`backend`] does it with
//! real processes, and [`record`] keeps it. The harness never links the lane it measures into its
//! timing path: a lane is a process, reached through the lane protocol.
#![warn(missing_docs)]

pub mod backend;
pub mod counters;
pub mod cpu_lock;
pub mod descendants;
pub mod lane;
pub mod limits;
pub mod listener;
pub mod machine;
pub mod plan;
pub mod record;
pub mod schedule;
mod stderr;
pub mod tracefs;
