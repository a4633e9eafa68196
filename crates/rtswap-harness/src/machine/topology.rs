//! The cores of the machine, and the placement of lanes and load generator on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::record;

/// Where the kernel describes the CPUs.
const SYSTEM: &str = "/sys/devices/system/cpu";

/// A physical core.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Core {
    /// Its NUMA node.
    pub node: usize,
    /// Its hardware threads that this process may use, in ascending order.
    pub cpus: Vec<usize>,
}

/// The cores that this process may use, by node and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The cores, none of them empty.
    pub cores: Vec<Core>,
}

/// CPUs of the lanes and of the load generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// CPUs of the lanes, in ascending order.
    pub server: Vec<usize>,
    /// CPUs of the load generator, in ascending order.
    pub load: Vec<usize>,
}

impl Topology {
    /// The cores of these CPUs of this machine.
    pub fn of(cpus: &[usize]) -> Self {
        Self::read(Path::new(SYSTEM), cpus)
    }

    /// The cores of `cpus` as the folder `system` describes them, which is laid out like
    /// `/sys/devices/system/cpu`. A CPU that it does not describe is a core of its own on node 0.
    pub fn read(system: &Path, cpus: &[usize]) -> Self {
        let mut cores = BTreeSet::new();
        for &cpu in cpus {
            let folder = system.join(format!("cpu{cpu}"));
            let siblings = ["topology/core_cpus_list", "topology/thread_siblings_list"]
                .iter()
                .find_map(|file| parse_list(&fs::read_to_string(folder.join(file)).ok()?));
            let mut siblings = siblings.unwrap_or_default();
            siblings.retain(|sibling| cpus.contains(sibling));
            if !siblings.contains(&cpu) {
                siblings = vec![cpu];
            }
            cores.insert(Core { node: node(&folder).unwrap_or(0), cpus: siblings });
        }
        Self { cores: cores.into_iter().collect() }
    }

    /// Half of the cores for the lanes and the rest for the load generator. Both get whole cores, because two
    /// hardware threads of a core slow each other down, and cores of one NUMA node where a node has two or more.
    /// A single core is divided by hardware threads, and a single CPU serves both.
    pub fn placement(&self) -> Placement {
        let mut nodes: BTreeMap<usize, Vec<&Core>> = BTreeMap::new();
        for core in &self.cores {
            nodes.entry(core.node).or_default().push(core);
        }
        // The first of the largest.
        let largest = nodes.into_values().rev().max_by_key(Vec::len).unwrap_or_default();
        let cores = if largest.len() > 1 { largest } else { self.cores.iter().collect() };
        let units: Vec<Vec<usize>> = match cores[..] {
            [core] => core.cpus.iter().map(|&cpu| vec![cpu]).collect(),
            _ => cores.iter().map(|core| core.cpus.clone()).collect(),
        };
        let all = |units: &[Vec<usize>]| {
            let mut cpus = units.concat();
            cpus.sort_unstable();
            cpus
        };
        if units.len() == 1 {
            return Placement { server: all(&units), load: all(&units) };
        }
        let (server, load) = units.split_at(units.len() / 2);
        Placement { server: all(server), load: all(load) }
    }

    /// The cores of which `server` and `load` use different hardware threads.
    pub fn shared_cores(&self, server: &[usize], load: &[usize]) -> Vec<Vec<usize>> {
        let shares = |core: &&Core| {
            let on_core = |cpus: &[usize]| -> BTreeSet<usize> {
                cpus.iter().copied().filter(|cpu| core.cpus.contains(cpu)).collect()
            };
            let (server, load) = (on_core(server), on_core(load));
            server.iter().any(|a| load.iter().any(|b| a != b))
        };
        self.cores.iter().filter(shares).map(|core| core.cpus.clone()).collect()
    }

    /// The counts that a record keeps.
    pub fn counts(&self) -> record::Topology {
        let nodes: BTreeSet<_> = self.cores.iter().map(|core| core.node).collect();
        record::Topology {
            nodes: nodes.len(),
            cores: self.cores.len(),
            threads: self.cores.iter().map(|core| core.cpus.len()).sum(),
        }
    }
}

/// The node of a CPU: its folder has a link of that name.
fn node(folder: &Path) -> Option<usize> {
    let mut names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    names.find_map(|name| name.to_str()?.strip_prefix("node")?.parse().ok())
}

/// Reads `0,2-4`.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cores by node and hardware threads.
    fn topology(cores: &[(usize, &[usize])]) -> Topology {
        let core = |&(node, cpus): &(usize, &[usize])| Core { node, cpus: cpus.to_vec() };
        Topology { cores: cores.iter().map(core).collect() }
    }

    fn placed(cores: &[(usize, &[usize])]) -> (Vec<usize>, Vec<usize>) {
        let Placement { server, load } = topology(cores).placement();
        (server, load)
    }

    #[test]
    fn placement_divides_whole_cores() {
        assert_eq!(placed(&[(0, &[0]), (0, &[1])]), (vec![0], vec![1]));
        assert_eq!(placed(&[(0, &[0]), (0, &[1]), (0, &[4])]), (vec![0], vec![1, 4]));
        let siblings: &[(usize, &[usize])] =
            &[(0, &[0, 4]), (0, &[1, 5]), (0, &[2, 6]), (0, &[3, 7])];
        assert_eq!(placed(siblings), (vec![0, 1, 4, 5], vec![2, 3, 6, 7]));
    }

    #[test]
    fn placement_of_one_core_divides_its_threads() {
        assert_eq!(placed(&[(0, &[0, 1])]), (vec![0], vec![1]));
        assert_eq!(placed(&[(0, &[3])]), (vec![3], vec![3]));
    }

    #[test]
    fn placement_stays_on_one_node_where_it_has_two_cores() {
        let two = [(0, &[0][..]), (0, &[1]), (1, &[2]), (1, &[3])];
        assert_eq!(placed(&two), (vec![0], vec![1]));
        // An affinity that leaves more of the second node.
        let restricted = [(0, &[0][..]), (1, &[2]), (1, &[3])];
        assert_eq!(placed(&restricted), (vec![2], vec![3]));
        let one_each = [(0, &[0][..]), (1, &[2])];
        assert_eq!(placed(&one_each), (vec![0], vec![2]));
    }

    #[test]
    fn shared_cores_names_cores_with_both_sides() {
        let siblings = topology(&[(0, &[0, 2]), (0, &[1, 3])]);
        assert_eq!(siblings.shared_cores(&[0, 1], &[2, 3]), [vec![0, 2], vec![1, 3]]);
        assert!(siblings.shared_cores(&[0, 2], &[1, 3]).is_empty());
        assert!(siblings.shared_cores(&[0], &[0]).is_empty(), "the same CPU is another matter");
    }

    #[test]
    fn read_follows_siblings_nodes_and_affinity() {
        let folder = tempfile::tempdir().unwrap();
        for (cpu, siblings, node) in [(0, "0,2", 0), (1, "1,3", 1), (2, "0,2", 0), (3, "1,3", 1)] {
            let cpu = folder.path().join(format!("cpu{cpu}"));
            fs::create_dir_all(cpu.join("topology")).unwrap();
            fs::create_dir(cpu.join(format!("node{node}"))).unwrap();
            fs::write(cpu.join("topology/thread_siblings_list"), format!("{siblings}\n")).unwrap();
        }
        let read = |cpus: &[usize]| Topology::read(folder.path(), cpus);
        assert_eq!(read(&[0, 1, 2, 3]), topology(&[(0, &[0, 2]), (1, &[1, 3])]));
        assert_eq!(read(&[0, 1, 3]), topology(&[(0, &[0]), (1, &[1, 3])]));
        assert_eq!(read(&[7, 8]), topology(&[(0, &[7]), (0, &[8])]), "not described");
        let counts = read(&[0, 1, 2, 3]).counts();
        assert_eq!((counts.nodes, counts.cores, counts.threads), (2, 2, 4));
    }

    #[test]
    fn parse_list_accepts_numbers_and_ranges() {
        assert_eq!(parse_list("0,2-4\n"), Some(vec![0, 2, 3, 4]));
        assert_eq!(parse_list(""), None);
    }
}
