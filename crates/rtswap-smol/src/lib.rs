//! smol under the rtswap contract.
