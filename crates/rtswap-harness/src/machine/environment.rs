//! The environment of a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use procfs::{ConfigSetting, Current as _};
use sha2::{Digest as _, Sha256};

use super::cpus;
use super::quota::ControlGroups;
use super::topology::Topology;
use crate::record::{Environment, ProgramFile};

/// `ADDR_NO_RANDOMIZE` of personality(2).
const NO_RANDOMIZE: u32 = 0x0004_0000;

/// Environment variables that may change a figure; names that end in `*` are beginnings.
const VARIABLES: [&str; 12] = [
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "MALLOC_*",
    "PYTHON*",
    "NODE_OPTIONS",
    "GODEBUG",
    "GOMAXPROCS",
    "GOGC",
    "UV_*",
    "RUST_*",
    "RTSWAP_*",
    "TOKIO_*",
];

/// The environment of a run. `command` is the command line. Of the program's path only the name is kept,
/// because records are published.
pub fn environment(mut command: Vec<String>) -> Environment {
    if let Some(program) = command.first_mut()
        && let Some((_, name)) = program.rsplit_once('/')
    {
        *program = name.to_owned();
    }
    let cpu = procfs::CpuInfo::current().ok();
    let flags = cpu.as_ref().and_then(|cpu| cpu.flags(0)).unwrap_or_default();
    let kernel = rustix::system::uname();
    let allowed = cpus();
    Environment {
        rtswap: env!("CARGO_PKG_VERSION").to_owned(),
        command,
        started_unix_s: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        kernel: format!(
            "{} {}",
            kernel.sysname().to_string_lossy(),
            kernel.release().to_string_lossy()
        ),
        cpu_model: cpu
            .as_ref()
            .and_then(|cpu| cpu.get_info(0))
            .map_or_else(|| "unknown".to_owned(), |fields| cpu_model(&fields)),
        cpus: allowed.len(),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        virtual_machine: flags.contains(&"hypervisor"),
        topology: Some(Topology::of(&allowed).counts()),
        cpu_quota: ControlGroups::of_self().quota().map(|quota| quota.cpus),
        governors: governors(&allowed),
        aslr: aslr(),
        transparent_huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| chosen(&text)),
        mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
        tick_hz: tick_hz(),
        executable_sha256: sha256(Path::new("/proc/self/exe")).ok(),
        git_revision: option_env!("RTSWAP_GIT_REVISION").map(str::to_owned),
        rustc: option_env!("RTSWAP_RUSTC").map(str::to_owned),
        allocator: allocator(),
        variables: variables(std::env::vars_os()),
        lane_programs: BTreeMap::new(),
        folder: None,
    }
}

/// The model of a CPU by the fields of `/proc/cpuinfo`, with the numbers of its family and model where there are any:
/// virtual machines call processors of several generations by one name, and their ratios differ.
fn cpu_model(fields: &HashMap<&str, &str>) -> String {
    let field = |name| fields.get(name).map(|value| value.trim());
    let name = field("model name").unwrap_or("unknown");
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name}, family {family}, model {model}"),
        _ => name.to_owned(),
    }
}

/// The frequency governors of these CPUs, without duplicates; empty where the kernel shows none.
pub fn governors(cpus: &[usize]) -> Vec<String> {
    let path = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
    let all: BTreeSet<_> = cpus.iter().filter_map(|cpu| read(path(cpu))).collect();
    all.into_iter().collect()
}

/// The files that a command names, each with its hash: the program, found as a shell finds it, and arguments
/// that are files, relative to the current folder.
pub fn programs(command: &str) -> Vec<ProgramFile> {
    let words = shlex::split(command).unwrap_or_default();
    let mut programs = Vec::new();
    for (position, word) in words.iter().enumerate() {
        let path = if position == 0 && !word.contains('/') {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(word)).find(|it| it.is_file())
        } else {
            Some(Path::new(word).to_owned()).filter(|path| path.is_file())
        };
        let Some(sha256) = path.and_then(|path| sha256(&path).ok()) else { continue };
        programs.push(ProgramFile { name: without_folders(word), sha256 });
    }
    programs
}

/// What differs between the environment of a record and this one, so that their figures cannot be compared: what,
/// in the record, and now. What a record of an earlier version does not name does not differ.
pub fn differences(recorded: &Environment, now: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, recorded: String, now: String| {
        if recorded != now {
            found.push(format!("{what}: {recorded} in the record, {now} now"));
        }
    };
    let quoted = |text: &str| format!("{text:?}");
    differ("CPU model", quoted(&recorded.cpu_model), quoted(&now.cpu_model));
    differ("CPUs", recorded.cpus.to_string(), now.cpus.to_string());
    differ("kernel", quoted(&recorded.kernel), quoted(&now.kernel));
    // What the firmware and the kernel keep for themselves changes a little from boot to boot.
    if recorded.memory_bytes.abs_diff(now.memory_bytes) > recorded.memory_bytes / 50 {
        let bytes = |bytes: u64| format!("{bytes} bytes");
        differ("memory", bytes(recorded.memory_bytes), bytes(now.memory_bytes));
    }
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    if let (Some(recorded), Some(now)) = (&recorded.executable_sha256, &now.executable_sha256) {
        differ("SHA-256 of the executable", short(recorded), short(now));
    }
    for (lane, programs) in &recorded.lane_programs {
        let now = now.lane_programs.get(lane).map(Vec::as_slice).unwrap_or_default();
        for program in programs {
            let same = now.iter().find(|it| it.name == program.name);
            let hash = same.map_or("not found".to_owned(), |it| short(&it.sha256));
            differ(&format!("SHA-256 of {} of {lane}", program.name), short(&program.sha256), hash);
        }
    }
    found
}

/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (fs::File::open(path)?, Sha256::new());
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            some => hash.update(&chunk[..some]),
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

fn aslr() -> Option<String> {
    let value = read("/proc/sys/kernel/randomize_va_space")?;
    let personality = read("/proc/self/personality");
    let flags = personality.and_then(|text| u32::from_str_radix(&text, 16).ok()).unwrap_or(0);
    let word = match value.as_str() {
        "0" => "off",
        _ if flags & NO_RANDOMIZE != 0 => "off",
        "1" => "partial",
        _ => "full",
    };
    Some(word.to_owned())
}

/// The vulnerabilities that concern this machine, with the first part of their description.
fn mitigations(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.filter_map(|entry| {
        let text = read(entry.path())?;
        let first = text.split([';', ',']).next().unwrap_or_default().trim().to_owned();
        let name = entry.file_name().to_string_lossy().into_owned();
        (!text.starts_with("Not affected")).then_some((name, first))
    });
    each.collect()
}

fn tick_hz() -> Option<u32> {
    // From /proc/config.gz or /boot.
    match procfs::kernel_config().ok()?.remove("CONFIG_HZ")? {
        ConfigSetting::Value(hz) => hz.parse().ok(),
        _ => None,
    }
}

/// The library in this process that provides malloc.
fn allocator() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let names = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name);
    let replaces = |name: &&str| {
        ["jemalloc", "tcmalloc", "mimalloc", "rpmalloc", "snmalloc"]
            .iter()
            .any(|known| name.contains(known))
    };
    if let Some(name) = names.into_iter().find(replaces) {
        return Some(name.to_owned());
    }
    if cfg!(target_env = "musl") {
        return Some("musl".to_owned());
    }
    let done = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let version = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    done.status.success().then_some(version)
}

/// Those of the variables that may change a figure.
fn variables(
    all: impl Iterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
) -> BTreeMap<String, String> {
    let is_known = |name: &str| {
        VARIABLES.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == *known,
        })
    };
    let each = all.map(|(name, value)| {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        (text(name.as_ref()), without_folders(&text(value.as_ref())))
    });
    each.filter(|(name, _)| is_known(name)).collect()
}

/// A text in which each absolute path is reduced to its last part: `…/lib.so`.
fn without_folders(text: &str) -> String {
    let is_separator = |c: char| c.is_whitespace() || [':', '=', ',', ';', '"', '\''].contains(&c);
    let reduce = |part: &str| {
        let path = part.trim_end_matches(is_separator);
        let end = &part[path.len()..];
        match path.strip_prefix('/').map(|rest| rest.trim_end_matches('/')) {
            Some(rest) => format!("…/{}{end}", rest.rsplit('/').next().unwrap_or(rest)),
            None => part.to_owned(),
        }
    };
    text.split_inclusive(is_separator).map(reduce).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_has_program_name_and_machine() {
        let found = environment(vec!["/some/where/rtswap".to_owned(), "run".to_owned()]);
        assert_eq!(found.command, ["rtswap", "run"]);
        assert!(found.cpus > 0 && found.memory_bytes > 0);
        assert!(found.kernel.starts_with("Linux "), "{}", found.kernel);
        assert!(found.topology.is_some_and(|it| it.cores > 0 && it.threads == found.cpus));
        assert!(found.executable_sha256.is_some_and(|hash| hash.len() == 64));
        assert!(found.rustc.is_some_and(|rustc| rustc.starts_with("rustc 1.")));
        assert!(found.allocator.is_some());
        let is_revision = |text: &String| text.len() >= 40;
        assert!(found.git_revision.is_none_or(|text| is_revision(&text)));
    }

    #[test]
    fn variables_are_those_that_change_figures() {
        let all = [
            ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"),
            ("LD_PRELOAD", "/home/me/lib/a.so:/opt/b.so"),
            ("MALLOC_ARENA_MAX", "1"),
            ("NODE_OPTIONS", "--require=/home/me/x.js"),
            ("HOME", "/home/me"),
            ("MALLOCX", "1"),
        ];
        let found = variables(all.into_iter());
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found["LD_PRELOAD"], "…/a.so:…/b.so");
        assert_eq!(found["NODE_OPTIONS"], "--require=…/x.js");
        assert_eq!(found["GLIBC_TUNABLES"], "glibc.malloc.tcache_count=0");
    }

    #[test]
    fn programs_hashes_program_and_files_among_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lane.py");
        fs::write(&file, "abc").unwrap();
        let found = programs(&format!("sh {} --fast nowhere.py", file.display()));
        let names: Vec<_> = found.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(names, ["sh", "…/lane.py"]);
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(found[1].sha256, of_abc);
        assert_eq!(programs("no-such-program-here 'unclosed"), []);
    }

    #[test]
    fn a_model_of_one_name_is_told_apart_by_its_numbers() {
        let milan = [("model name", "AMD EPYC "), ("cpu family", "25"), ("model", "1")];
        assert_eq!(cpu_model(&HashMap::from(milan)), "AMD EPYC, family 25, model 1");
        assert_eq!(cpu_model(&HashMap::from([("model name", "Neoverse-N1")])), "Neoverse-N1");
        assert_eq!(cpu_model(&HashMap::new()), "unknown");
    }

    #[test]
    fn differences_show_both_sides() {
        let program =
            |hash: &str| ProgramFile { name: "lane.py".to_owned(), sha256: hash.to_owned() };
        let recorded = Environment {
            cpu_model: "A".to_owned(),
            cpus: 2,
            memory_bytes: 1_000_000,
            executable_sha256: Some("11".to_owned()),
            lane_programs: [("mine".to_owned(), vec![program("33")])].into(),
            ..Environment::default()
        };
        assert_eq!(differences(&recorded, &recorded), Vec::<String>::new());
        let now = Environment {
            cpu_model: "B".to_owned(),
            cpus: 4,
            memory_bytes: 1_010_000,
            executable_sha256: Some("22".to_owned()),
            lane_programs: [("mine".to_owned(), vec![program("44")])].into(),
            ..recorded.clone()
        };
        assert_eq!(
            differences(&recorded, &now),
            [
                "CPU model: \"A\" in the record, \"B\" now",
                "CPUs: 2 in the record, 4 now",
                "SHA-256 of the executable: 11 in the record, 22 now",
                "SHA-256 of lane.py of mine: 33 in the record, 44 now",
            ]
        );
        let gone = Environment { lane_programs: BTreeMap::new(), ..recorded.clone() };
        assert!(differences(&recorded, &gone)[0].ends_with("33 in the record, not found now"));
        // A record of an earlier version.
        let old =
            Environment { executable_sha256: None, lane_programs: BTreeMap::new(), ..recorded };
        assert_eq!(
            differences(
                &old,
                &Environment { executable_sha256: Some("9".to_owned()), ..old.clone() }
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn mitigations_leave_out_what_does_not_concern_machine() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("meltdown"), "Not affected\n").unwrap();
        fs::write(folder.path().join("spectre_v2"), "Mitigation: Retpolines; IBPB: x\n").unwrap();
        let found = mitigations(folder.path());
        assert_eq!(found, [("spectre_v2".to_owned(), "Mitigation: Retpolines".to_owned())].into());
    }

    #[test]
    fn chosen_is_word_in_brackets() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise".to_owned()));
        assert_eq!(chosen("always"), None);
    }
}
