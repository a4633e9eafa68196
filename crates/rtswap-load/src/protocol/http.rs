//! HTTP requests, and how the responses are checked.

mod headers;
pub(crate) mod http1;
pub(crate) mod http2;
