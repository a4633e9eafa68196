use rtswap_runtime::{Config, Runtime, Threads};
use rustix::thread::{CpuSet, sched_setaffinity};

/// How a runtime is spread over the CPUs it was given.
pub(crate) struct Place {
    /// CPU of each shard, or none if one runtime has them all.
    pub shards: Vec<Option<usize>>,
    /// The configuration of each shard.
    pub config: Config,
}

impl Place {
    /// Runtimes with worker threads get one shard with a worker for each CPU; runtimes of one thread
    /// get a shard for each CPU, pinned to it.
    pub fn of<R: Runtime>(cpus: &[usize]) -> Self {
        match R::ABOUT.threads {
            Threads::Workers | Threads::Process => {
                Self { shards: vec![None], config: Config::new(cpus.len()) }
            }
            Threads::One => {
                Self { shards: cpus.iter().copied().map(Some).collect(), config: Config::default() }
            }
        }
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
