//! What can falsify a figure on this machine, seen in the environment of a run. Pure.

use rtswap_harness::record::Environment;
use rtswap_report::format;

/// What was found, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caution {
    pub found: String,
    pub remedy: String,
}

impl Caution {
    fn new(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { found: found.into(), remedy: remedy.into() }
    }
}

/// Environment variables that change the memory allocator or the code of lanes; names that end in `*` are beginnings.
const VARIABLES: [&str; 3] = ["GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_*"];

/// The cautions about a run in this environment whose lanes and load generator share these cores.
pub(super) fn cautions(environment: &Environment, shared_cores: &[Vec<usize>]) -> Vec<Caution> {
    let mut found: Vec<_> = variables(environment).into_iter().collect();
    if let Some(cpus) = environment.cpu_quota.filter(|cpus| *cpus < environment.cpus as f64) {
        found.push(Caution::new(
            format!(
                "a control group allows the CPU time of {} of {}, and stops all processes for a while when that is \
                 used up",
                format::number(cpus),
                format::counted(environment.cpus, "CPU")
            ),
            "lift the quota (`docker update --cpus 0 CONTAINER`, `systemctl set-property UNIT CPUQuota=`), or measure \
             on fewer CPUs: `taskset --cpu-list 0 rtswap run`",
        ));
    }
    if environment.aslr.as_deref() == Some("off") {
        found.push(Caution::new(
            "address layouts are fixed, so a difference may come from the layout",
            "`sudo sysctl -w kernel.randomize_va_space=2`, and start rtswap without `setarch --addr-no-randomize`",
        ));
    }
    if !shared_cores.is_empty() {
        let cores: Vec<_> = shared_cores.iter().map(|core| numbers(core)).collect();
        found.push(Caution::new(
            format!("lanes and load generator share the core of CPUs {}", format::list(&cores)),
            "give each whole cores, with --server-cpus and --load-cpus; `rtswap doctor` names them",
        ));
    }
    if environment.governors.iter().any(|governor| governor == "powersave") {
        found.push(Caution::new(
            "the frequency governor is powersave, so the CPU frequency follows the load",
            "`sudo cpupower frequency-set --governor performance`",
        ));
    }
    found
}

/// The caution about environment variables.
pub(super) fn variables(environment: &Environment) -> Option<Caution> {
    let is_known = |name: &str| {
        VARIABLES.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == *known,
        })
    };
    let known =
        environment.variables.iter().filter(|(name, value)| is_known(name) && !value.is_empty());
    let (names, shown): (Vec<_>, Vec<_>) =
        known.map(|(name, value)| (name.as_str(), format!("{name}={value}"))).unzip();
    if names.is_empty() {
        return None;
    }
    let found = format!(
        "{} changes the code or the allocator of lanes",
        format::one_line(&shown.join(" "))
    );
    Some(Caution::new(found, format!("`unset {}`", names.join(" "))))
}

fn numbers(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cautions_names_each_fault_with_its_remedy() {
        type Fault = fn(&mut Environment);
        let sound = Environment { cpus: 2, cpu_quota: Some(2.0), ..Environment::default() };
        assert_eq!(cautions(&sound, &[]), []);
        let cases: [(Fault, &str, &str); 5] = [
            (
                |it| it.variables.extend([("MALLOC_ARENA_MAX".to_owned(), "1".to_owned())]),
                "MALLOC_ARENA_MAX=1 changes",
                "unset MALLOC_ARENA_MAX",
            ),
            (
                |it| it.variables.extend([("LD_PRELOAD".to_owned(), "…/x.so".to_owned())]),
                "LD_PRELOAD=…/x.so",
                "unset LD_PRELOAD",
            ),
            (|it| it.cpu_quota = Some(0.6), "CPU time of 0.600 of 2 CPUs", "taskset"),
            (|it| it.aslr = Some("off".to_owned()), "layouts are fixed", "randomize_va_space=2"),
            (|it| it.governors.push("powersave".to_owned()), "powersave", "cpupower"),
        ];
        for (fault, found, remedy) in cases {
            let mut environment = sound.clone();
            fault(&mut environment);
            let cautions = cautions(&environment, &[]);
            assert_eq!(cautions.len(), 1, "{cautions:?}");
            assert!(cautions[0].found.contains(found), "{cautions:?}");
            assert!(cautions[0].remedy.contains(remedy), "{cautions:?}");
        }
        let shared = cautions(&sound, &[vec![0, 1]]);
        assert!(shared[0].found.ends_with("share the core of CPUs 0,1"), "{shared:?}");
        let harmless =
            [("RUST_LOG".to_owned(), "x".to_owned()), ("LD_PRELOAD".to_owned(), String::new())];
        let environment = Environment { variables: harmless.into(), ..sound };
        assert_eq!(cautions(&environment, &[]), []);
    }
}
