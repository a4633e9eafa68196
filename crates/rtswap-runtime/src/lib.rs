//! The contract: the traits that a workload is written against, and no runtime.
