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
            let parent = parent(&own, &mounts, "")?;
            let offered = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
            let has = |c: &str| offered.split_whitespace().any(|o| o == c);
            if !has("memory") || !has("pids") {
                return None;
            }
            // Refused where the parent holds processes itself, unless it passes them on already.
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +pids");
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
