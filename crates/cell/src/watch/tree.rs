//! The processes of a cell as the machine's `/proc` shows them: all that descend from a zygote.

use std::collections::HashMap;
use std::path::PathBuf;

/// A process seen from outside.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Our number for it.
    pub(crate) pid: i32,
    /// Seconds of CPU time, those of children it has waited for included.
    pub(crate) cpu_seconds: f64,
    /// Its own alone.
    own_seconds: f64,
    /// When it was started, in ticks of the machine.
    pub(crate) started: u64,
    /// Whether it has ended and nobody has asked for its status yet.
    pub(crate) zombie: bool,
}

/// All processes below `root`, parents before children. What cannot be read is left out: it has just ended.
pub(crate) fn below(root: i32) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut next = children(root);
    while let Some(pid) = next.pop() {
        if let Some(process) = process(pid) {
            found.push(process);
            next.extend(children(pid));
        }
        if found.len() > 100_000 {
            break;
        }
    }
    found
}

/// The CPU time of a program over several looks. What a process used that nobody waited for is in no other's account:
/// it is remembered from the last look at it.
#[derive(Default)]
pub(crate) struct Clock {
    own: HashMap<(i32, u64), f64>,
}

impl Clock {
    /// Seconds that all below `root` have used so far, at least.
    pub(crate) fn look(&mut self, root: i32) -> f64 {
        let alive = below(root);
        self.own.extend(alive.iter().map(|p| ((p.pid, p.started), p.own_seconds)));
        let accounts: f64 = alive.iter().map(|p| p.cpu_seconds).sum();
        accounts.max(self.own.values().sum())
    }
}

/// Children are listed by the thread that made them.
fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let list = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    tasks
        .flatten()
        .flat_map(|task| {
            let numbers: Vec<i32> = list(task.path()).split_whitespace().filter_map(|n| n.parse().ok()).collect();
            numbers
        })
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows the last one is numbers.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let ticks =
        |range: std::ops::Range<usize>| -> u64 { range.filter_map(|i| fields.get(i)?.parse::<u64>().ok()).sum() };
    let seconds = |range| ticks(range) as f64 / 100.0;
    let started = fields.get(19).and_then(|f| f.parse().ok()).unwrap_or(0);
    Some(Process {
        pid,
        started,
        cpu_seconds: seconds(11..15),
        own_seconds: seconds(11..13),
        zombie: fields.first() == Some(&"Z"),
    })
}

/// When a process was started, in ticks of the machine; none if it is no longer there.
pub(crate) fn started(pid: i32) -> Option<u64> {
    process(pid).map(|process| process.started)
}

/// The process that started it.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// Threads that a user has on the whole machine.
pub(crate) fn threads_of(uid: u32) -> u64 {
    let count = |pid: String| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field =
            |name| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        (field("Uid:")? == u64::from(uid)).then(|| field("Threads:"))?
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().into_string().ok());
    pids.filter(|n| n.bytes().all(|b| b.is_ascii_digit())).filter_map(count).sum()
}

/// Whether a process has the socket of this number open.
pub(crate) fn holds(pid: i32, socket: u64) -> bool {
    let name = format!("socket:[{socket}]");
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == name.as_str()))
}

/// Whether a process is stopped, or no longer there.
pub(crate) fn is_stopped(pid: i32) -> bool {
    matches!(state(pid), None | Some(b'T' | b't' | b'Z' | b'X'))
}

/// The letter for what a process does; none if it is no longer there.
pub(crate) fn state(pid: i32) -> Option<u8> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.as_bytes().get(stat.rfind(')')? + 2).copied()
}

/// Number of a process in its own namespace.
pub(crate) fn inside(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// Number of a process in its own namespace, and its command line, for a person to read.
pub(crate) fn who(pid: i32) -> (Option<i32>, Option<String>) {
    let inside = inside(pid);
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned();
    let short = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    // The interpreter's own command line holds the zygote's source.
    let text = if line.is_empty() || line.len() > 200 { short } else { line };
    (inside, (!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_child_and_its_child_are_found() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 30 & wait"]).spawn().unwrap();
        let me = std::process::id().cast_signed();
        let pid = child.id().cast_signed();
        let mut seen = Vec::new();
        for _ in 0..200 {
            seen = super::below(pid);
            if !seen.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(seen.len(), 1);
        assert!(super::below(me).iter().any(|p| p.pid == pid));
        assert_eq!(super::who(pid).1.as_deref(), Some("sh -c sleep 30 & wait"));
        // SAFETY: our own grandchild.
        unsafe { libc::kill(seen[0].pid, libc::SIGKILL) };
        child.wait().unwrap();
    }
}
