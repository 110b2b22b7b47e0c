//! What must stay flat however many programs run.

use loophole_cell::Pool;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::Path;

/// Read while nothing runs; `None` is what this user may not see.
#[derive(Debug, Clone, Serialize)]
pub struct Gauge {
    /// Programs run until now.
    pub programs: usize,
    /// Zygotes.
    pub zygotes: usize,
    /// Open descriptors of the supervisor.
    pub descriptors: usize,
    /// Its resident memory, in MiB.
    pub resident_mib: f64,
    /// Memory of the cells at rest, what is shared counted in parts, in MiB.
    pub cells_mib: Option<f64>,
    /// Processes below the supervisor, zombies among them,
    pub processes: usize,
    /// and zombies alone.
    pub zombies: usize,
    /// Mounts of the supervisor,
    pub mounts: usize,
    /// and of all cells.
    pub cell_mounts: Option<usize>,
    /// Folders of ours below `/sys/fs/cgroup`.
    pub cgroups: usize,
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |x: Option<String>| x.unwrap_or_else(|| "?".to_owned());
        write!(
            f,
            "after {}: {} zygotes, {} descriptors, {:.1} MiB, cells {} MiB, {} processes, {} zombies, {} mounts, {} in cells, {} cgroups",
            self.programs,
            self.zygotes,
            self.descriptors,
            self.resident_mib,
            or(self.cells_mib.map(|m| format!("{m:.1}"))),
            self.processes,
            self.zombies,
            self.mounts,
            or(self.cell_mounts.map(|m| m.to_string())),
            self.cgroups,
        )
    }
}

impl Gauge {
    /// Reads all of it; what has just ended gets a moment to go.
    pub fn read(pool: &Pool, programs: usize) -> Gauge {
        let me = std::process::id() as i32;
        let settled = |found: &Vec<Process>| !found.iter().any(|p| p.zombie);
        let mut found = below(me);
        for _ in 0..40 {
            std::thread::sleep(std::time::Duration::from_millis(25));
            let again = below(me);
            let same = again.len() == found.len();
            found = again;
            if same && settled(&found) {
                break;
            }
        }
        let zygotes = pool.zygote_pids();
        let lines = |pid: &str| Some(fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?.lines().count());
        Gauge {
            programs,
            zygotes: zygotes.len(),
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            resident_mib: kib("/proc/self/status", "VmRSS:").unwrap_or(0.0) / 1024.0,
            cells_mib: zygotes
                .iter()
                .map(|z| kib(&format!("/proc/{z}/smaps_rollup"), "Pss:"))
                .sum::<Option<f64>>()
                .map(|k| k / 1024.0),
            processes: found.len(),
            zombies: found.iter().filter(|p| p.zombie).count(),
            mounts: lines("self").unwrap_or(0),
            cell_mounts: zygotes.iter().map(|z| lines(&z.to_string())).sum(),
            cgroups: folders(Path::new("/sys/fs/cgroup")),
        }
    }
}

fn kib(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Folders of ours, in all cgroup hierarchies.
fn folders(at: &Path) -> usize {
    let ours = format!("loophole-{}", std::process::id());
    let entries = fs::read_dir(at).into_iter().flatten().flatten();
    let below = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    below.map(|e| usize::from(e.file_name().to_string_lossy().starts_with(&ours)) + folders(&e.path())).sum()
}

struct Process {
    zombie: bool,
}

fn below(root: i32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<(i32, i32, bool)> = entries
        .filter_map(|e| {
            let pid = e.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(e.path().join("stat")).ok()?;
            let mut fields = stat.rsplit(')').next()?.split_whitespace();
            let zombie = fields.next()? == "Z";
            Some((pid, fields.next()?.parse().ok()?, zombie))
        })
        .collect();
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, _, zombie) in all.iter().filter(|(_, p, _)| *p == parent) {
            found.push(Process { zombie: *zombie });
            parents.push(*pid);
        }
    }
    found
}

/// What grew, from the first reading (when everything is warm) to the last.
pub fn not_flat(gauges: &[Gauge]) -> Vec<String> {
    let (Some(first), Some(last)) = (gauges.first(), gauges.last()) else { return Vec::new() };
    let mut wrong = Vec::new();
    let mut flat = |what: &str, a: f64, b: f64, slack: f64| {
        if b > a + slack {
            wrong.push(format!("{what} grew from {a:.1} to {b:.1}"));
        }
    };
    flat("zygotes", first.zygotes as f64, last.zygotes as f64, 0.0);
    flat("descriptors", first.descriptors as f64, last.descriptors as f64, 0.0);
    flat("processes", first.processes as f64, last.processes as f64, 0.0);
    flat("zombies", 0.0, last.zombies as f64, 0.0);
    flat("mounts", first.mounts as f64, last.mounts as f64, 0.0);
    flat("cgroups", first.cgroups as f64, last.cgroups as f64, 0.0);
    // Allocators keep what they once had.
    flat("resident memory (MiB)", first.resident_mib, last.resident_mib, 16.0);
    if let (Some(a), Some(b)) = (first.cells_mib, last.cells_mib) {
        flat("memory of the cells (MiB)", a, b, a / 4.0 + 4.0);
    }
    if let (Some(a), Some(b)) = (first.cell_mounts, last.cell_mounts) {
        flat("mounts in the cells", a as f64, b as f64, 0.0);
    }
    wrong
}
