//! CPU quotas of the control groups that this process is in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procfs::process::Process;

/// A hierarchy of control groups with the CPU controller, as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The group that is mounted there, as `/proc/self/cgroup` calls it.
    pub root: String,
    /// Version 2.
    pub unified: bool,
}

/// The folders of the control groups of this process: its own and all their parents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlGroups(Vec<Group>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    /// As `/proc/self/cgroup` calls it.
    name: String,
    folder: PathBuf,
    unified: bool,
}

/// A limit of CPU time.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// CPUs' worth of time.
    pub cpus: f64,
    /// The group that has it: `/user.slice`.
    pub group: String,
}

impl ControlGroups {
    /// The groups of this process; none if the kernel does not show them.
    pub fn of_self() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = Process::myself().and_then(|it| it.mountinfo());
        let mounts = mounts.into_iter().flatten().filter_map(|mount| {
            let unified = mount.fs_type == "cgroup2";
            let has_cpu =
                unified || mount.fs_type == "cgroup" && mount.super_options.contains_key("cpu");
            has_cpu.then_some(Mount { point: mount.mount_point, root: mount.root, unified })
        });
        Self::of(&groups, &mounts.collect::<Vec<_>>())
    }

    /// The groups that the text of `/proc/PID/cgroup` names, under these mounts.
    pub fn of(groups: &str, mounts: &[Mount]) -> Self {
        let mut found = Vec::new();
        for line in groups.lines() {
            // Hierarchy, controllers, path.
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let unified = controllers.is_empty();
            if !unified && !controllers.split(',').any(|name| name == "cpu") {
                continue;
            }
            let Some(mount) = mounts.iter().find(|mount| mount.unified == unified) else {
                continue;
            };
            // In a container the path may lie outside of what is mounted; then the mount is all there is.
            let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
            found.extend(below.ancestors().map(|below| Group {
                name: Path::new("/").join(below).display().to_string(),
                folder: mount.point.join(below),
                unified,
            }));
        }
        Self(found)
    }

    /// The smallest quota of these groups; `None` without one.
    pub fn quota(&self) -> Option<Quota> {
        let quotas = self
            .0
            .iter()
            .filter_map(|group| Some(Quota { cpus: group.quota()?, group: group.name.clone() }));
        quotas.min_by(|a, b| a.cpus.total_cmp(&b.cpus))
    }

    /// Time for which the groups with a quota were stopped so far, summed over CPUs and groups. `None` without a
    /// quota.
    pub fn throttled(&self) -> Option<Duration> {
        let with_quota = self.0.iter().filter(|group| group.quota().is_some());
        with_quota.filter_map(Group::throttled).reduce(|sum, time| sum + time)
    }
}

impl Group {
    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// CPUs' worth of time.
    fn quota(&self) -> Option<f64> {
        let us = |text: &str| text.trim().parse::<f64>().ok().filter(|us| *us > 0.0);
        if self.unified {
            // `max 100000` without a quota.
            let text = self.read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            return Some(us(quota)? / us(period)?);
        }
        // -1 without a quota.
        Some(us(&self.read("cpu.cfs_quota_us")?)? / us(&self.read("cpu.cfs_period_us")?)?)
    }

    fn throttled(&self) -> Option<Duration> {
        let stat = self.read("cpu.stat")?;
        let value = |key: &str| -> Option<u64> {
            stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
        };
        if self.unified {
            return value("throttled_usec ").map(Duration::from_micros);
        }
        value("throttled_time ").map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A file system of control groups: each file with its content.
    fn tree(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn mount(folder: &TempDir, root: &str, unified: bool) -> Mount {
        Mount { point: folder.path().to_owned(), root: root.to_owned(), unified }
    }

    #[test]
    fn quota_of_parent_counts_in_version_2() {
        let tree = tree(&[
            ("a/cpu.max", "60000 100000\n"),
            ("a/cpu.stat", "usage_usec 5\nnr_throttled 2\nthrottled_usec 1500\n"),
            ("a/b/cpu.max", "max 100000\n"),
            ("a/b/cpu.stat", "usage_usec 5\nthrottled_usec 0\n"),
        ]);
        let groups = ControlGroups::of("0::/a/b\n", &[mount(&tree, "/", true)]);
        assert_eq!(groups.quota(), Some(Quota { cpus: 0.6, group: "/a".to_owned() }));
        assert_eq!(groups.throttled(), Some(Duration::from_micros(1_500)));
        let sibling = ControlGroups::of("0::/c\n", &[mount(&tree, "/", true)]);
        assert_eq!((sibling.quota(), sibling.throttled()), (None, None));
    }

    #[test]
    fn quota_of_own_group_counts_in_version_1() {
        let tree = tree(&[
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("job/cpu.cfs_quota_us", "150000\n"),
            ("job/cpu.cfs_period_us", "100000\n"),
            ("job/cpu.stat", "nr_periods 3\nnr_throttled 1\nthrottled_time 7001\n"),
        ]);
        let text = "5:memory:/other\n1:cpu,cpuacct:/job\n0::/\n";
        let groups = ControlGroups::of(text, &[mount(&tree, "/", false)]);
        assert_eq!(groups.quota(), Some(Quota { cpus: 1.5, group: "/job".to_owned() }));
        assert_eq!(groups.throttled(), Some(Duration::from_nanos(7_001)));
    }

    #[test]
    fn quota_of_container_is_at_its_mount() {
        let tree = tree(&[("cpu.max", "50000 100000\n")]);
        let quota = |root| {
            let groups = ControlGroups::of("0::/docker/x\n", &[mount(&tree, root, true)]);
            groups.quota().map(|quota| quota.cpus)
        };
        // The group itself is mounted, or only a path that is not visible here is named.
        assert_eq!(quota("/docker/x"), Some(0.5));
        assert_eq!(quota("/elsewhere"), Some(0.5));
    }

    #[test]
    fn quota_is_smallest_of_all_groups() {
        let tree = tree(&[("a/cpu.max", "80000 100000\n"), ("a/b/cpu.max", "20000 10000\n")]);
        let groups = ControlGroups::of("0::/a/b\n", &[mount(&tree, "/", true)]);
        assert_eq!(groups.quota().unwrap().group, "/a");
    }

    #[test]
    fn groups_of_this_process_are_readable() {
        // No hierarchy at all is possible in a sandbox; what is found must exist.
        for Group { folder, .. } in ControlGroups::of_self().0 {
            assert!(folder.is_dir(), "{}", folder.display());
        }
    }
}
