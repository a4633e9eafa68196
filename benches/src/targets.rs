use std::time::Duration;

/// A target that criterion measures.
pub(crate) struct Target {
    /// As cargo knows it.
    pub name: &'static str,
    /// Full names, one a group.
    pub workloads: &'static [&'static str],
    pub samples: Samples,
}

/// How many samples of one lane, and of what length.
#[derive(Clone, Copy)]
pub(crate) struct Samples {
    /// At least 10, as criterion wants.
    pub number: usize,
    pub length: Duration,
}

/// 2 s a lane. 50 ms is the slice of `rtswap run`: hundreds of batches, and yet so short that a hiccup
/// of the machine spoils few samples. More samples would narrow the interval and not the truth: what
/// moves a lane here is drift over seconds (README.md).
const SLICES: Samples = Samples { number: 40, length: Duration::from_millis(50) };

/// A batch of sleeps takes at least the 14 ms of its longest, whatever the runtime: a sample holds
/// seven, and as nearly all of that is waiting, they hardly differ and few are enough.
const SLEEPS: Samples = Samples { number: 15, length: Duration::from_millis(100) };

/// All but `paired`.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "spawn",
        // What the scheduler's queue takes; and one round trip through it.
        workloads: &["spawn/tasks=1000", "spawn/tasks=1"],
        samples: SLICES,
    },
    Target { name: "yield", workloads: &["yield/tasks=100", "yield/tasks=2"], samples: SLICES },
    Target {
        name: "channel",
        // Where there is always something ready; and where each of two tasks wakes the other.
        workloads: &["channel/pairs=100", "channel/pairs=1"],
        samples: SLICES,
    },
    Target { name: "sleep", workloads: &["sleep/tasks=1000/ms=10"], samples: SLEEPS },
    Target {
        name: "tcp_echo",
        // Many ready at each wake-up; a wake-up for each message; messages larger than a read.
        workloads: &[
            "tcp-echo/size=1024/conns=32",
            "tcp-echo/size=1024/conns=1",
            "tcp-echo/size=102400/conns=32",
        ],
        samples: SLICES,
    },
    Target {
        name: "http",
        // A request at a time, as browsers ask; and in batches, which leave the lane its own work.
        workloads: &[
            "http/body=plaintext/conns=32/pipeline=1",
            "http/body=json/conns=32/pipeline=1",
            "http/body=plaintext/conns=32/pipeline=16",
        ],
        samples: SLICES,
    },
];

#[cfg(test)]
mod tests {
    use rtswap_schema::workload::{Spec, families};

    use super::*;

    #[test]
    fn groups_bear_the_full_names_of_workloads_of_their_target() {
        for target in TARGETS {
            for name in target.workloads {
                let spec = Spec::parse(name, families::CATALOGUE).unwrap();
                assert_eq!(&spec.to_string(), name);
                assert_eq!(spec.family().name, target.name.replace('_', "-"));
            }
        }
    }

    #[test]
    fn every_target_is_one_of_cargos_too() {
        let manifest = include_str!("../Cargo.toml");
        for name in TARGETS.iter().map(|target| target.name).chain(["paired"]) {
            assert!(manifest.contains(&format!("[[bench]]\nname = \"{name}\"")), "{name}");
        }
    }
}
