//! Where, when and by what a run was made.
//!
//! Records are published, so no field holds an absolute path of the user.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where, when and by what the run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of rtswap.
    pub rtswap: String,
    /// The command line.
    pub command: Vec<String>,
    /// Seconds since 1970.
    pub started_unix_s: u64,
    /// `uname -sr`.
    pub kernel: String,
    /// The CPU's model name, with the numbers of its family and model on x86.
    pub cpu_model: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Whether the CPU reports a hypervisor.
    pub virtual_machine: bool,
    /// The CPUs that this process may use, by core and node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// CPUs' worth of time that the control groups of this process allow, from `cpu.max` or `cpu.cfs_quota_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<f64>,
    /// The frequency governors of these CPUs, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub governors: Vec<String>,
    /// `full`, `partial` or `off`, from `kernel.randomize_va_space` and the personality of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aslr: Option<String>,
    /// `always`, `madvise` or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transparent_huge_pages: Option<String>,
    /// The CPU vulnerabilities that this machine has, each with its mitigation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mitigations: BTreeMap<String, String>,
    /// The kernel's ticks per second, `CONFIG_HZ`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_hz: Option<u32>,
    /// SHA-256 of the executable of rtswap, which is also every lane that ships, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable_sha256: Option<String>,
    /// The git revision of rtswap in an optimised build; it ends in `-dirty` if files
    /// differed from it when `rtswap-harness` was first built at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_revision: Option<String>,
    /// The compiler, from `rustc --version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
    /// The allocator of the lanes that ship: the C library with its version, or the library that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocator: Option<String>,
    /// Environment variables that may change a figure. Absolute paths are reduced to their last part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The files that the commands of lanes name, by lane.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lane_programs: BTreeMap<String, Vec<ProgramFile>>,
    /// The folder in which the run was started, relative to the folder of the record: `.` or `..`. Commands of
    /// lanes are resolved against it. `None` if neither folder contains the other, because the path would name
    /// folders of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// The CPUs that a process may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// NUMA nodes.
    pub nodes: usize,
    /// Physical cores.
    pub cores: usize,
    /// Hardware threads.
    pub threads: usize,
}

/// A file that the command of a lane names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile {
    /// As the command names it; of an absolute path only the last part.
    pub name: String,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// A run was resumed although the machine or a program has changed, with `--force`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// What was found then.
    pub environment: Environment,
    /// The differences that the user has accepted: what, in the header, and now.
    pub differences: Vec<String>,
}
