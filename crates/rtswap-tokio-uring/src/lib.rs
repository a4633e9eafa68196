//! tokio-uring under the rtswap contract.
