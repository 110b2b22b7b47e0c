//! What is counted, in the text form of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    sum: f64,
    count: u64,
}

#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    seconds: Mutex<BTreeMap<String, Histogram>>,
    verdicts: Mutex<BTreeMap<&'static str, u64>>,
    machine_failures: AtomicU64,
}

/// What is known elsewhere when the metrics are asked for.
pub(crate) struct Gauges {
    pub ready: bool,
    pub requests: usize,
    pub waiting: usize,
    pub working: usize,
    pub cells: usize,
    pub sessions: usize,
    pub connections: usize,
    pub body_bytes: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counts are whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// A request was answered; 499 if its client left before.
    pub fn request(&self, route: &str, status: u16, took: Duration) {
        *lock(&self.requests).entry((route.to_string(), status)).or_default() += 1;
        let mut all = lock(&self.seconds);
        let histogram = all.entry(route.to_string()).or_default();
        let seconds = took.as_secs_f64();
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        histogram.sum += seconds;
        histogram.count += 1;
    }

    pub fn verdict(&self, name: &'static str) {
        *lock(&self.verdicts).entry(name).or_default() += 1;
    }

    pub fn machine_failure(&self) {
        self.machine_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        let head = |name: &str, kind: &str, help: &str| format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        text += &head("loophole_requests_total", "counter", "Requests by route and status (499: the client left).");
        for ((route, status), count) in &*lock(&self.requests) {
            let _ = writeln!(text, "loophole_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        text += &head("loophole_request_seconds", "histogram", "Seconds from a request's head to its answer.");
        for (route, histogram) in &*lock(&self.seconds) {
            let label = format!("route=\"{route}\"");
            for (count, bound) in histogram.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(text, "loophole_request_seconds_bucket{{{label},le=\"{bound}\"}} {count}");
            }
            let Histogram { sum, count, .. } = histogram;
            let _ = writeln!(text, "loophole_request_seconds_bucket{{{label},le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "loophole_request_seconds_sum{{{label}}} {sum}");
            let _ = writeln!(text, "loophole_request_seconds_count{{{label}}} {count}");
        }
        text += &head("loophole_verdicts_total", "counter", "Graded submissions by verdict.");
        for (verdict, count) in &*lock(&self.verdicts) {
            let _ = writeln!(text, "loophole_verdicts_total{{verdict=\"{verdict}\"}} {count}");
        }
        let failures = self.machine_failures.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            (
                "loophole_machine_failures_total",
                "counter",
                "Runs in which the machine failed, not the program.",
                failures,
            ),
            ("loophole_ready", "gauge", "1 once a cell has run.", u64::from(gauges.ready)),
            ("loophole_requests", "gauge", "Requests that wait or are worked at.", gauges.requests as u64),
            ("loophole_queue_waiting", "gauge", "Pieces of work that wait for a place.", gauges.waiting as u64),
            ("loophole_in_work", "gauge", "Pieces of work that are worked at.", gauges.working as u64),
            ("loophole_cells_alive", "gauge", "Zygotes alive.", gauges.cells as u64),
            ("loophole_sessions_alive", "gauge", "Cells that clients hold.", gauges.sessions as u64),
            ("loophole_connections", "gauge", "Open connections.", gauges.connections as u64),
            ("loophole_body_bytes", "gauge", "Bytes of bodies held.", gauges.body_bytes),
        ] {
            text += &head(name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }
}
