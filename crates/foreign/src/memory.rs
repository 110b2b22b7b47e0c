//! How much memory there is.

use std::fs;

/// Bytes of memory that this process can still take: the least of what the machine has free, what its control group
/// leaves it, and what its limit on address space leaves it. `u64::MAX` where nothing of that can be read.
pub fn memory_available() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let free = kilobytes(&read("/proc/meminfo"), "MemAvailable:");
    let taken = kilobytes(&read("/proc/self/status"), "VmSize:").unwrap_or(0);
    let space = address_space(&read("/proc/self/limits")).map(|most| most.saturating_sub(taken));
    [free, space, group(&read)].into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// A line such as `MemAvailable:   1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit on address space, if there is one.
fn address_space(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// What the control group (version 2) and those above it leave.
fn group(read: &dyn Fn(&str) -> String) -> Option<u64> {
    let groups = read("/proc/self/cgroup");
    let mut path = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/').to_string();
    let mut least = None;
    loop {
        let number = |name: &str| read(&format!("/sys/fs/cgroup{path}/{name}")).trim().parse::<u64>().ok();
        if let (Some(most), Some(now)) = (number("memory.max"), number("memory.current")) {
            let left = most.saturating_sub(now);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        match path.rfind('/') {
            Some(at) => path.truncate(at),
            None => return least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_left_counts() {
        assert!(memory_available() > 1 << 20);
        assert_eq!(kilobytes("MemTotal: 5 kB\nMemAvailable:   12 kB\n", "MemAvailable:"), Some(12 << 10));
        let limits =
            |soft: &str| format!("Max cpu time unlimited\nMax address space         {soft}     unlimited   bytes\n");
        assert_eq!(address_space(&limits("4096")), Some(4096));
        assert_eq!(address_space(&limits("unlimited")), None);
        let files = |path: &str| {
            String::from(match path {
                "/proc/self/cgroup" => "0::/a/b\n",
                "/sys/fs/cgroup/a/b/memory.max" => "max\n",
                "/sys/fs/cgroup/a/memory.max" => "100\n",
                "/sys/fs/cgroup/a/memory.current" => "30\n",
                _ => "",
            })
        };
        assert_eq!(group(&files), Some(70));
    }
}
