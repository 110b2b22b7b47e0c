//! What stands in a cell's `/proc` beside the program's own processes.
//!
//! Where a program has a `/proc` it is the kernel's, mounted read-only in the program's own PID namespace, without what
//! it may not trace. All else of it would tell of the machine: each such entry is covered, by one of these files if it
//! has its name, else by nothing. They say the same in every cell and hold none of the machine's counters.

use std::ffi::CStr;
use std::fs::read_to_string;

/// Where they lie in a cell; `inside/proc.rs` covers `/proc/NAME` with `NAME` here. Once the cell is made nobody but the
/// zygote, which can read everywhere, may look into it.
pub(super) const FOLDER: &str = "etc/proc";
/// The same for the supervisor.
pub(crate) const HIDDEN: &CStr = c"etc/proc";

/// Processors told of at most.
const PROCESSORS: usize = 64;

/// Names below [`FOLDER`] and their contents.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    let machine = |path: &str| read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get().min(PROCESSORS));
    let line = |path: &str| format!("{}\n", machine(path).trim());
    let kernel = |name: &str| (format!("sys/kernel/{name}"), line(&format!("/proc/sys/kernel/{name}")));
    let fixed = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let all = vec![
        fixed(".empty", ""),
        fixed("cpuinfo", &cpuinfo(&machine("/proc/cpuinfo"))),
        fixed("stat", &stat(&machine("/proc/stat"), processors)),
        fixed("uptime", &uptime(&machine("/proc/uptime"))),
        fixed("version", &machine("/proc/version")),
        fixed("loadavg", "0.00 0.00 0.00 1/1 2\n"),
        fixed("meminfo", MEMINFO),
        fixed("vmstat", "pswpin 0\npswpout 0\n"),
        fixed("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
        fixed("filesystems", "nodev\tproc\nnodev\ttmpfs\n"),
        kernel("ostype"),
        kernel("osrelease"),
        kernel("version"),
        kernel("cap_last_cap"),
        kernel("ngroups_max"),
        fixed("sys/kernel/hostname", "cell\n"),
        fixed("sys/kernel/pid_max", "32768\n"),
        fixed("sys/kernel/threads-max", "32768\n"),
        fixed("sys/vm/overcommit_memory", "0\n"),
        fixed("sys/vm/max_map_count", "65530\n"),
        fixed("sys/fs/file-max", "65536\n"),
        fixed("sys/fs/nr_open", "65536\n"),
        fixed("sys/fs/pipe-max-size", "1048576\n"),
        fixed("sys/net/core/somaxconn", "4096\n"),
    ];
    all.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// The empty folder that covers folders.
pub(super) const COVER: &str = ".folder";

const MEMINFO: &str = "\
MemTotal:        1048576 kB
MemFree:          786432 kB
MemAvailable:     786432 kB
Buffers:               0 kB
Cached:                0 kB
SwapCached:            0 kB
Active:           262144 kB
Inactive:              0 kB
SwapTotal:             0 kB
SwapFree:              0 kB
Shmem:                 0 kB
Slab:                  0 kB
SReclaimable:          0 kB
";

/// The machine's, without what changes from moment to moment.
fn cpuinfo(machine: &str) -> String {
    let steady = |line: &&str| !line.starts_with("cpu MHz") && !line.starts_with("bogomips");
    let blocks = machine.split("\n\n").filter(|block| !block.trim().is_empty()).take(PROCESSORS);
    blocks.map(|block| block.lines().filter(steady).map(|l| format!("{l}\n")).collect::<String>() + "\n").collect()
}

/// Processors that have done nothing. The time of the machine's start can be had from its clocks as well.
fn stat(machine: &str, processors: usize) -> String {
    let zeros = "0 0 0 0 0 0 0 0 0 0";
    let mut text = format!("cpu  {zeros}\n");
    (0..processors).for_each(|i| text += &format!("cpu{i} {zeros}\n"));
    let start = machine.lines().find_map(|l| l.strip_prefix("btime ")).unwrap_or("0");
    text + &format!("intr 0\nctxt 0\nbtime {start}\nprocesses 2\nprocs_running 1\nprocs_blocked 0\nsoftirq {zeros} 0\n")
}

/// In whole hours: the very second would tell when the supervisor began.
fn uptime(machine: &str) -> String {
    let seconds = machine.split('.').next().and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
    format!("{}.00 0.00\n", seconds / 3600 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_changes_is_told() {
        assert_eq!(cpuinfo("processor: 0\ncpu MHz\t: 2000\nflags: a\n\nprocessor: 1\nbogomips: 5\n\n"), {
            "processor: 0\nflags: a\n\nprocessor: 1\n\n"
        });
        assert_eq!(uptime("7300.25 1.00\n"), "7200.00 0.00\n");
        let text = stat("cpu 5 6\nbtime 99\nprocesses 12345\n", 1);
        assert!(text.starts_with("cpu  0 0 ") && text.contains("\nbtime 99\n") && !text.contains("12345"), "{text}");
        let names: std::collections::BTreeSet<_> = files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), files().len());
    }
}
