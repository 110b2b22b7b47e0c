//! CPU time of everything a measurement starts: the supervisor, zygotes, inits, programs, peers.

use std::fs;
use std::path::{Path, PathBuf};

/// A clock of CPU time.
pub enum Clock {
    /// A cgroup around this process, and where it is mounted. Nothing started from here is missed.
    Group { mount: PathBuf, ours: String, before: String },
    /// Where no cgroup can be made: this process, its children that were waited for, the zygotes and theirs.
    Processes,
}

/// What cgroup v2 calls the group of a process: its line in `/proc/PID/cgroup`.
fn group_of(pid: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|l| l.strip_prefix("0::")).map(str::to_owned)
}

fn join(mount: &Path, group: &str) -> PathBuf {
    mount.join(group.trim_start_matches('/'))
}

impl Clock {
    /// Moves this process into a cgroup of its own, where that is allowed.
    pub fn new() -> Clock {
        // Version 2 counts CPU time in every group, whichever controllers there are.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut mount = mounts.lines().filter_map(|l| {
            let mut words = l.split(' ');
            let (_, at, kind) = (words.next(), words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        let Some((mount, before)) = mount.next_back().zip(group_of("self")) else { return Clock::Processes };
        let ours = format!("{}/loophole-bench-{}", before.trim_end_matches('/'), std::process::id());
        let folder = join(&mount, &ours);
        let moved = fs::create_dir(&folder).and_then(|()| fs::write(folder.join("cgroup.procs"), "0"));
        if moved.is_err() {
            let _ = fs::remove_dir(&folder);
            return Clock::Processes;
        }
        Clock::Group { mount, ours, before }
    }

    /// What is counted, in words.
    pub fn covers(&self) -> &'static str {
        match self {
            Clock::Group { .. } => "cgroup: supervisor, zygotes, inits, programs and peers, from start to end",
            Clock::Processes => {
                "no cgroup can be made here, so /proc/PID/stat of supervisor and zygotes, with the children they have \
                 waited for (programs and inits are)"
            }
        }
    }

    /// Whether nothing is missed, whoever waits for whom.
    pub fn is_complete(&self) -> bool {
        matches!(self, Clock::Group { .. })
    }

    /// Seconds until now; `zygotes` are alive.
    pub fn seconds(&self, zygotes: &[i32]) -> f64 {
        match self {
            Clock::Group { mount, ours, .. } => {
                let of = |group: &str| -> f64 {
                    let text = fs::read_to_string(join(mount, group).join("cpu.stat")).unwrap_or_default();
                    let value = text.lines().find_map(|l| l.strip_prefix("usage_usec "));
                    value.and_then(|v| v.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1e6
                };
                // A cell may have a group of its own that is not below ours.
                let mut groups: Vec<String> = zygotes.iter().filter_map(|z| group_of(&z.to_string())).collect();
                groups.retain(|g| !g.starts_with(ours.as_str()));
                groups.sort();
                groups.dedup();
                of(ours) + groups.iter().map(|g| of(g)).sum::<f64>()
            }
            Clock::Processes => {
                let own = [std::process::id() as i32];
                own.iter().chain(zygotes).map(|pid| of_process(*pid)).sum()
            }
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Clock::Group { mount, ours, before } = self {
            let _ = fs::write(join(mount, before).join("cgroup.procs"), "0");
            let _ = fs::remove_dir(join(mount, ours));
        }
    }
}

/// User and system time of a process and of the children it has waited for.
fn of_process(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    // Ticks of a hundredth of a second, as on every Linux of today.
    fields.skip(11).take(4).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// MiB that a process and all below it hold, what is shared counted in parts; `None` where that may not be seen.
pub fn proportional_mib(root: i32) -> Option<f64> {
    let of = |pid: i32| -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    };
    let mut sum = of(root)?;
    let mut parents = vec![root];
    let entries: Vec<(i32, i32)> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|e| {
            let pid = e.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(e.path().join("stat")).ok()?;
            Some((pid, stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect();
    while let Some(parent) = parents.pop() {
        for (pid, _) in entries.iter().filter(|(_, p)| *p == parent) {
            // One that has just ended holds nothing.
            sum += of(*pid).unwrap_or(0.0);
            parents.push(*pid);
        }
    }
    Some(sum)
}
