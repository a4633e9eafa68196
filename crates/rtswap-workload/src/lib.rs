//! The shared workloads, written once against the contract.
