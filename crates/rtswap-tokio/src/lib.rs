//! tokio under the rtswap contract.
