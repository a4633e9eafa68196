//! Sockets and the epoll that they are watched with.

pub(crate) mod epoll;
pub(crate) mod socket;
