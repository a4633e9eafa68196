//! Lane processes, blocks, counters, record.
pub mod record;
