//! Application workloads: what needs hyper, rustls or a database client.

mod fetch;
mod http;
mod mysql;
mod postgres;
mod redis;
mod tables;

pub use fetch::Fetch;
pub use http::Http;
pub use mysql::Mysql;
pub use postgres::Postgres;
pub use redis::Redis;
