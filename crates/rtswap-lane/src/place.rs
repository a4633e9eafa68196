use rtswap_runtime::{About, Config, Threads};
use rustix::thread::{CpuSet, sched_setaffinity};

/// How a program is spread over the CPUs that it was given.
#[derive(Clone, Debug)]
pub struct Place {
    /// CPU of each shard, or none if one shard has them all.
    pub shards: Vec<Option<usize>>,
    /// The configuration of each shard.
    pub config: Config,
}

impl Place {
    /// Runtimes with worker threads get one shard with a worker for each CPU; runtimes of one thread
    /// get a shard for each CPU, pinned to it.
    pub fn of(about: &About, cpus: &[usize]) -> Self {
        match about.threads {
            Threads::Workers | Threads::Process => Self::whole(cpus),
            Threads::One => Self::sharded(cpus),
        }
    }

    /// One shard that has all the CPUs.
    pub fn whole(cpus: &[usize]) -> Self {
        Self { shards: vec![None], config: Config::new(cpus.len()) }
    }

    /// A shard of one thread for each CPU.
    pub fn sharded(cpus: &[usize]) -> Self {
        Self { shards: cpus.iter().copied().map(Some).collect(), config: Config::default() }
    }
}

/// Confines the calling thread to its CPU. If the kernel refuses, the thread stays where the process
/// is confined to: slower perhaps, but right.
pub(crate) fn pin(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        let _ = sched_setaffinity(None, &set);
    }
}
