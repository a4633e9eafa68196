//! Records as files. The types are those of [`rtswap_schema::record`].

mod file;

pub use file::{RecordError, RecordFile, Writer};
pub use rtswap_schema::record::*;
pub use rtswap_schema::workload::{ParamValue, Traffic, Uses};
