//! The memory that the control groups of the process allow it (cgroups(7)).
//!
//! A service of systemd, and a process in a container without a name space of its own for control
//! groups, are deep in the tree: `/proc/self/cgroup` says where, and `/proc/self/mountinfo` where
//! the tree is mounted. Each group on the way up may have a limit, and the lowest one counts.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The two kinds of trees.
#[derive(Clone, Copy)]
enum Version {
    /// One tree for each controller.
    One,
    /// One tree for all.
    Two,
}

impl Version {
    /// The file with a group's limit.
    const fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

/// The lowest limit of the groups that this process is in; `None` if there is none.
pub(crate) fn memory_limit() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    lowest(&groups, &mounts, |path| fs::read_to_string(path).ok())
}

fn lowest(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let limits = mounts.lines().filter_map(|mount| {
        let (version, root, mount_point) = memory_tree(mount)?;
        let path = groups.lines().find_map(|line| group(line, version))?;
        // A group outside of what is mounted here is not seen; the top is.
        let is_seen = !path.contains("/..");
        let below = Path::new(path).strip_prefix(root).ok().filter(|_| is_seen);
        let group = PathBuf::from(mount_point).join(below.unwrap_or_else(|| Path::new("")));
        let way_up = group
            .ancestors()
            .take_while(|at| at.starts_with(mount_point));
        let limits = way_up.filter_map(|at| read(&at.join(version.limit()))?.trim().parse().ok());
        limits.min()
    });
    limits.min()
}

/// The group in a line of `/proc/self/cgroup`, `number:controllers:path`, if the line is about the
/// memory in a tree of `version`.
fn group(line: &str, version: Version) -> Option<&str> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let is_meant = match version {
        Version::One => controllers.split(',').any(|name| name == "memory"),
        Version::Two => controllers.is_empty(),
    };
    is_meant.then_some(path)
}

/// The version, the root and the mount point of a tree with limits of memory, if a line of
/// `/proc/self/mountinfo` is about one (proc_pid_mountinfo(5)).
fn memory_tree(line: &str) -> Option<(Version, &str, &str)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    let version = match (filesystem.next()?, filesystem.nth(1)?) {
        ("cgroup2", _) => Version::Two,
        ("cgroup", options) if options.split(',').any(|name| name == "memory") => Version::One,
        _ => return None,
    };
    let mut fields = mount.split(' ').skip(3);
    Some((version, fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;
    const TWO: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";
    const ONE: &str = "40 30 0:31 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory";

    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<usize> {
        lowest(groups, mounts, |path| {
            let mut files = files.iter();
            let found = files.find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| format!("{text}\n"))
        })
    }

    #[test]
    fn a_service_has_the_limit_of_its_own_group() {
        let files = [
            (
                "/sys/fs/cgroup/system.slice/womack.service/memory.max",
                "1073741824",
            ),
            ("/sys/fs/cgroup/system.slice/memory.max", "max"),
        ];
        let groups = "0::/system.slice/womack.service\n";
        assert_eq!(limit(groups, TWO, &files), Some(1024 * MIB));
        assert_eq!(limit("0::/system.slice/other.service\n", TWO, &files), None);
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let files = [
            ("/sys/fs/cgroup/a/b/memory.max", "1073741824"),
            ("/sys/fs/cgroup/a/memory.max", "536870912"),
            ("/sys/fs/cgroup/memory.max", "max"),
        ];
        assert_eq!(limit("0::/a/b\n", TWO, &files), Some(512 * MIB));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_top() {
        let files = [("/sys/fs/cgroup/memory.max", "268435456")];
        for groups in ["0::/\n", "0::/../other\n"] {
            assert_eq!(limit(groups, TWO, &files), Some(256 * MIB), "{groups}");
        }
    }

    #[test]
    fn the_older_tree_is_read_beside_the_newer_one() {
        let files = [
            (
                "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                "268435456",
            ),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712",
            ),
        ];
        let groups = "9:name=systemd:/\n4:cpu,memory:/docker/x\n0::/\n";
        let unified = TWO.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified");
        let mounts = format!("{unified}\n{ONE}\n");
        assert_eq!(limit(groups, &mounts, &files), Some(256 * MIB));
        // Mounted from the container's group on, without a name space.
        let mounts = ONE.replace(" / ", " /docker/x ");
        let files = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456")];
        assert_eq!(limit(groups, &mounts, &files), Some(256 * MIB));
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        for (groups, mounts) in [
            ("", ""),
            ("0::/a\n", ""),
            ("", TWO),
            ("nonsense", "nonsense - cgroup2"),
        ] {
            assert_eq!(limit(groups, mounts, &[]), None);
        }
        let files = [("/sys/fs/cgroup/memory.max", "many")];
        assert_eq!(limit("0::/\n", TWO, &files), None);
    }
}
