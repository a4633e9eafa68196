//! Lane processes, blocks, counters, record.
