//! Drivers: when connections are opened, used and closed. One thread runs one driver at a time.

pub(crate) mod churn;
pub(crate) mod kept;
mod paced;
pub(crate) mod share;
mod source_addresses;
