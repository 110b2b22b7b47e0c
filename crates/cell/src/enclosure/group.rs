//! A control group around a cell, where one can be had: it bounds the memory of all processes together, and its
//! counters tell for certain that a limit was hit. Version 1 (a folder in each controller's tree) and version 2.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The group of one zygote and all it forks. Dropping it removes it, once the processes are gone.
#[derive(Debug)]
pub(crate) struct Group {
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    version: u8,
    /// Bytes the zygote itself uses.
    base: u64,
    set: (u64, u64),
    /// The files that count, open for reading again and again.
    counters: [Option<fs::File>; 2],
    known: Hits,
}

/// How often the limits of a group were hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hits {
    pub(crate) memory: u64,
    pub(crate) pids: u64,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Group {
    /// A new group, or none where the machine does not let us make one.
    pub(crate) fn make() -> Option<Group> {
        let name = format!("loophole-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut group = Group {
            memory: None,
            pids: None,
            version: 1,
            base: 0,
            set: (0, 0),
            counters: [None, None],
            known: Hits::default(),
        };
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        for (controller, place) in [("memory", &mut group.memory), ("pids", &mut group.pids)] {
            *place = parent(&own, &mounts, controller).and_then(|p| folder(&p, &name));
        }
        if group.memory.is_none() && group.pids.is_none() {
            let parent = above(parent(&own, &mounts, "")?);
            let offered = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
            let has = |c: &str| offered.split_whitespace().any(|o| o == c);
            if !has("memory") || !has("pids") || !pass_on(&parent, std::process::id(), "+memory +pids") {
                return None;
            }
            let own = folder(&parent, &name)?;
            let active = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
            group.version = 2;
            group.memory = active.contains("memory").then(|| own.clone());
            group.pids = active.contains("pids").then(|| own.clone());
            if group.memory.is_none() && group.pids.is_none() {
                let _ = fs::remove_dir(own);
                return None;
            }
        }
        Some(group)
    }

    /// Puts a process, and with it all it will fork, into the group.
    pub(crate) fn add(&self, pid: i32) -> bool {
        [&self.memory, &self.pids]
            .into_iter()
            .flatten()
            .all(|folder| fs::write(folder.join("cgroup.procs"), pid.to_string()).is_ok())
    }

    /// Takes what is in use now as the zygote's own share.
    pub(crate) fn settle(&mut self) {
        let name = if self.version == 2 { "memory.current" } else { "memory.usage_in_bytes" };
        let events = if self.version == 2 { "memory.events" } else { "memory.oom_control" };
        let open = |folder: &Option<PathBuf>, name| folder.as_ref().and_then(|f| fs::File::open(f.join(name)).ok());
        self.counters = [open(&self.memory, events), open(&self.pids, "pids.events")];
        self.base = self.memory.as_ref().map_or(0, |m| number(&m.join(name)));
    }

    /// Sets the limits for the next program: bytes beside the zygote's own, and processes in all.
    pub(crate) fn limit(&mut self, bytes: u64, processes: u64) {
        let (memory, pids) =
            if self.version == 2 { ("memory.max", "pids.max") } else { ("memory.limit_in_bytes", "pids.max") };
        if self.set == (bytes, processes) {
            return;
        }
        if let Some(folder) = &self.memory {
            let _ = fs::write(folder.join(memory), (self.base + bytes).to_string());
        }
        if let Some(folder) = &self.pids {
            let _ = fs::write(folder.join(pids), processes.to_string());
        }
        self.set = (bytes, processes);
    }

    /// Whether the number of processes is bounded here.
    pub(crate) fn counts_processes(&self) -> bool {
        self.pids.is_some()
    }

    /// How often limits were hit since last asked.
    pub(crate) fn hits(&mut self) -> Hits {
        let count = |file: &Option<fs::File>, name: &str| {
            let mut buf = [0u8; 512];
            let n = file.as_ref().and_then(|f| f.read_at(&mut buf, 0).ok()).unwrap_or(0);
            let text = std::str::from_utf8(&buf[..n]).unwrap_or_default();
            text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
        };
        let [memory, pids] = &self.counters;
        let now = Hits { memory: count(memory, "oom_kill "), pids: count(pids, "max ") };
        let before = std::mem::replace(&mut self.known, now);
        Hits { memory: now.memory.saturating_sub(before.memory), pids: now.pids.saturating_sub(before.pids) }
    }

    /// What it bounds and how, for people.
    pub(crate) fn describe(&self) -> String {
        let bounds = [("memory", &self.memory), ("pids", &self.pids)];
        let names: Vec<&str> = bounds.iter().filter(|b| b.1.is_some()).map(|b| b.0).collect();
        format!("cgroup v{} ({})", self.version, names.join(", "))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in [&self.memory, &self.pids].into_iter().flatten() {
            // The last process may take a moment to be gone from it.
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// What the group of version 2 is called that a supervisor moves into.
const OWN: &str = "-supervisor";

/// The group in which groups are made: above the one that this supervisor, or the one that started it, moved into.
fn above(own: PathBuf) -> PathBuf {
    let name = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let moved = name.starts_with("loophole-") && name.ends_with(OWN);
    own.parent().filter(|_| moved).map(Path::to_path_buf).unwrap_or(own)
}

/// Has a group of version 2 pass controllers on to those below it. But for the root none can that holds processes: where
/// this is the only one, it moves into a group below. (Others are not ours to move.)
fn pass_on(parent: &Path, pid: u32, controllers: &str) -> bool {
    // What is passed on already may be asked for again.
    let ask = || fs::write(parent.join("cgroup.subtree_control"), controllers).is_ok();
    let join = |group: &Path| fs::write(group.join("cgroup.procs"), pid.to_string()).is_ok();
    if ask() {
        return true;
    }
    let there = fs::read_to_string(parent.join("cgroup.procs")).unwrap_or_default();
    if there.split_whitespace().ne([pid.to_string().as_str()]) {
        return false;
    }
    // Removed by the next supervisor, as the groups of cells are whose supervisor was killed.
    let Some(leaf) = folder(parent, &format!("loophole-{pid}{OWN}")) else { return false };
    if join(&leaf) {
        if ask() {
            return true;
        }
        join(parent);
    }
    let _ = fs::remove_dir(leaf);
    false
}

fn number(path: &Path) -> u64 {
    fs::read_to_string(path).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}

/// The folder of our own group under a controller ("" for version 2), as far as it can be seen from here.
fn parent(own: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        names.split(',').any(|n| n == controller).then_some(path)
    })?;
    let mount = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1).unwrap_or(""));
        let fits = if controller.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|o| o == controller)
        };
        fits.then(|| left.split(' ').nth(4))?
    })?;
    let whole = Path::new(mount).join(path.trim_start_matches('/'));
    Some(if whole.is_dir() { whole } else { PathBuf::from(mount) })
}

/// Makes a folder, and removes those of supervisors that are gone.
fn folder(parent: &Path, name: &str) -> Option<PathBuf> {
    for old in fs::read_dir(parent).into_iter().flatten().flatten() {
        let file = old.file_name();
        let pid = file.to_str().and_then(|n| n.strip_prefix("loophole-")?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(old.path());
        }
    }
    let own = parent.join(name);
    fs::create_dir(&own).ok()?;
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tried with whatever controller this machine offers in version 2 that its tree of groups does not use yet.
    #[test]
    fn one_alone_in_a_group_moves_down_and_one_among_others_does_not() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let Some(root) = parent("0::/", &mounts, "") else {
            return eprintln!("SKIPPED: no control groups of version 2");
        };
        let offered = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let Some(controller) = offered.split_whitespace().next() else {
            return eprintln!("SKIPPED: version 2 has no controllers here");
        };
        let group = root.join(format!("loophole-test-{}", std::process::id()));
        if fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).is_err()
            || fs::create_dir(&group).is_err()
        {
            return eprintln!("SKIPPED: groups of version 2 are not ours to make");
        }
        let mut both: Vec<std::process::Child> =
            (0..2).map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap()).collect();
        let [one, other] = [both[0].id(), both[1].id()];
        let members = |group: &Path| fs::read_to_string(group.join("cgroup.procs")).unwrap();
        for pid in [one, other] {
            fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap();
        }
        let wanted = format!("+{controller}");
        assert!(!pass_on(&group, one, &wanted), "others are there");
        assert_eq!(members(&group).lines().count(), 2);
        both[1].kill().unwrap();
        both[1].wait().unwrap();
        assert!(pass_on(&group, one, &wanted));
        let leaf = group.join(format!("loophole-{one}{OWN}"));
        assert_eq!((members(&group).as_str(), members(&leaf).trim()), ("", one.to_string().as_str()));
        assert_eq!(above(leaf.clone()), group);
        // A group for a cell now has the controller.
        let cell = folder(&group, &format!("loophole-{}-0", std::process::id())).unwrap();
        assert!(fs::read_to_string(cell.join("cgroup.controllers")).unwrap().contains(controller));
        assert!(pass_on(&group, one, &wanted), "a second time");
        both[0].kill().unwrap();
        both[0].wait().unwrap();
        for folder in [cell, leaf, group] {
            // The kernel lets go of a dead process a moment later.
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while let Err(error) = fs::remove_dir(&folder) {
                assert!(std::time::Instant::now() < end, "{}: {error}", folder.display());
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn the_own_group_is_found() {
        let own = "4:memory:/a/b\n3:cpu,pids:/\n0::/x\n";
        let mounts = "30 23 0:26 / /nowhere/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /nowhere/pids rw - cgroup cgroup rw,cpu,pids\n\
                      32 23 0:28 / /nowhere/two rw - cgroup2 cgroup2 rw\n";
        let at = |c| parent(own, mounts, c).map(|p| p.display().to_string());
        assert_eq!(at("memory").as_deref(), Some("/nowhere/memory"));
        assert_eq!(at("pids").as_deref(), Some("/nowhere/pids"));
        assert_eq!(at("").as_deref(), Some("/nowhere/two"));
        assert_eq!(at("rdma"), None);
    }
}
