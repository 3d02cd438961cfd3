//! How much memory this process may use: the limit of its control group or its own, or else the memory of the machine. Known on Linux only.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Lists the control groups of this process.
const GROUPS: &str = "/proc/self/cgroup";
/// Lists the limits of this process (`ulimit -v`).
const PROCESS: &str = "/proc/self/limits";
/// States the memory of the machine.
const MACHINE: &str = "/proc/meminfo";

/// How much memory there is, and which file says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// The file that it was read from.
    pub file: PathBuf,
}

impl MemoryLimit {
    /// The lowest of these: the limits of the control groups of this process and of their parents, its address space, and the memory of the
    /// machine. `None` where the system does not tell.
    pub(crate) fn of_system() -> Option<MemoryLimit> {
        let read = |path: &Path, parse: fn(&str) -> Option<u64>| {
            let bytes = parse(&fs::read_to_string(path).ok()?)?;
            Some(MemoryLimit {
                bytes,
                file: path.to_owned(),
            })
        };
        let groups = fs::read_to_string(GROUPS).unwrap_or_default();
        let files = limit_files(&groups);
        let limits = files.iter().filter_map(|file| read(file, limit));
        let process = read(Path::new(PROCESS), address_space);
        let machine = read(Path::new(MACHINE), total);
        limits
            .chain(process)
            .chain(machine)
            .min_by_key(|memory| memory.bytes)
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} MiB by {}", self.bytes >> 20, self.file.display())
    }
}

/// The files with the memory limits of all control groups in a `/proc/self/cgroup` (cgroups(7)): for each hierarchy that may limit memory those
/// of the group and of all its parents. In a container the group may appear as the root, so that some of these files do not exist.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, name) = match controllers {
            // Version 2 has one hierarchy, without a name.
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|named| named == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        // A group outside of the container is shown as `/../other`.
        let is_seen = group
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let group = if is_seen { group } else { Path::new("") };
        let folders = group.ancestors().map(|folder| Path::new(root).join(folder));
        files.extend(folders.map(|folder| folder.join(name)));
    }
    files
}

/// The limit of a group. Without one, version 2 says `max`, and version 1 a number that is larger than any memory.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The soft limit of the address space of this process (proc_pid_limits(5)). Without one, the file says `unlimited`.
fn address_space(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// All memory of the machine (proc_meminfo(5)).
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::MemoryLimit;
    use super::address_space;
    use super::limit;
    use super::limit_files;
    use super::total;

    #[test]
    fn every_group_and_its_parents_have_a_limit() {
        for (groups, files) in [
            ("", &[][..]),
            ("nonsense\n", &[]),
            ("0::/\n", &["/sys/fs/cgroup/memory.max"]),
            (
                "0::/system.slice/safelight.service\n",
                &[
                    "/sys/fs/cgroup/system.slice/safelight.service/memory.max",
                    "/sys/fs/cgroup/system.slice/memory.max",
                    "/sys/fs/cgroup/memory.max",
                ],
            ),
            ("0::/../../other:a\n", &["/sys/fs/cgroup/memory.max"]),
            (
                "9:name=memory:/no\n4:cpu,memory:/docker/ab:cd\n3:cpuset:/no\n",
                &[
                    "/sys/fs/cgroup/memory/docker/ab:cd/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                ],
            ),
        ] {
            let files: Vec<_> = files.iter().map(Path::new).collect();
            assert_eq!(limit_files(groups), files, "{groups}");
        }
    }

    #[test]
    fn a_limit_is_a_number() {
        for (text, bytes) in [
            ("max\n", None),
            ("268435456\n", Some(268_435_456)),
            ("9223372036854771712\n", Some(9_223_372_036_854_771_712)),
            ("", None),
            ("-1\n", None),
        ] {
            assert_eq!(limit(text), bytes, "{text}");
        }
    }

    #[test]
    fn the_address_space_is_the_soft_limit() {
        const HEAD: &str =
            "Limit                     Soft Limit           Hard Limit           Units\n";
        for (line, bytes) in [
            (
                "Max address space         1073741824           unlimited            bytes",
                Some(1 << 30),
            ),
            (
                "Max address space         unlimited            unlimited            bytes",
                None,
            ),
            (
                "Max data size             1073741824           unlimited            bytes",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(address_space(&format!("{HEAD}{line}\n")), bytes, "{line}");
        }
    }

    #[test]
    fn the_memory_of_the_machine_is_in_kibibytes() {
        let text = "MemTotal:       24684092 kB\nMemFree:        18224136 kB\n";
        assert_eq!(total(text), Some(24_684_092 << 10));
        for text in [
            "",
            "MemFree: 1 kB\n",
            "MemTotal: many kB\n",
            "MemTotal: 99999999999999999999 kB\n",
        ] {
            assert_eq!(total(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_states_its_memory() {
        let memory = MemoryLimit::of_system().expect("Linux tells");
        assert!(memory.bytes > 64 << 20, "{memory}");
        assert!(memory.file.is_absolute(), "{memory}");
    }
}
