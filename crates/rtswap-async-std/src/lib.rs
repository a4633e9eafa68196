//! async-std under the rtswap contract.
