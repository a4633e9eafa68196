//! The lane protocol, and the host that makes a lane of any runtime.
