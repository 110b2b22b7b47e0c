//! One attempt as it is written down, and the judgement over what came of it.

use loophole_cell::{FileKind, Record, Tier, Verdict};
use serde::Deserialize;

/// All attempts, group by group.
pub fn all() -> Vec<Attempt> {
    #[derive(Deserialize)]
    struct File {
        attempt: Vec<Attempt>,
    }
    let groups = [
        include_str!("processes.toml"),
        include_str!("kernel.toml"),
        include_str!("network.toml"),
        include_str!("files.toml"),
        include_str!("resources.toml"),
        include_str!("forging.toml"),
        include_str!("persistence.toml"),
    ];
    groups.iter().flat_map(|text| toml::from_str::<File>(text).expect("a group of attempts").attempt).collect()
}

/// What is tried, and what must be seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub name: String,
    #[allow(dead_code, reason = "read by the table's printer only")]
    pub tries: String,
    /// Python source, run after a prelude; or `bash`.
    pub program: Option<String>,
    pub bash: Option<String>,
    /// A program that runs before, in the same cell.
    pub before: Option<String>,
    /// `x86_64` or `cgroup`.
    pub needs: Option<String>,
    pub cpu: Option<f64>,
    pub wall: Option<f64>,
    /// Standard output, exactly; a part of it; what it must not hold.
    pub out: Option<String>,
    pub has: Option<String>,
    pub lacks: Option<String>,
    #[serde(default)]
    pub verdict: Vec<Verdict>,
    pub signal: Option<i32>,
    #[serde(default)]
    pub signal_any: Vec<i32>,
    pub code: Option<i32>,
    pub code_not: Option<i32>,
    pub leftover: Option<u32>,
    pub files: Option<usize>,
    pub files_at_most: Option<usize>,
    pub kinds: Option<Vec<FileKind>>,
    /// Calls that must be told as refused.
    #[serde(default)]
    pub refused: Vec<String>,
    pub max_seconds: Option<f64>,
    /// What is otherwise in the weaker tier.
    pub landlock: Option<Weaker>,
}

/// See [`Attempt::landlock`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weaker {
    pub skip: Option<String>,
    pub out: Option<String>,
    pub signal: Option<i32>,
    pub code: Option<i32>,
}

impl Attempt {
    /// The attempt as it is meant in a tier, or why it is not made there.
    #[allow(dead_code, reason = "the table's printer reads names only")]
    pub fn in_tier(&self, tier: Tier, grouped: bool) -> Result<Attempt, String> {
        match self.needs.as_deref() {
            Some("x86_64") if !cfg!(target_arch = "x86_64") => return Err("another processor".to_owned()),
            Some("cgroup") if !grouped => return Err("no control group can be had".to_owned()),
            _ => {}
        }
        let mut meant = self.clone();
        if let (Tier::Landlock, Some(weaker)) = (tier, &self.landlock) {
            if let Some(reason) = &weaker.skip {
                return Err(reason.clone());
            }
            meant.out = weaker.out.clone().or(meant.out);
            meant.signal = weaker.signal.or(meant.signal);
            meant.code = weaker.code.or(meant.code);
        }
        Ok(meant)
    }

    /// What a record shows that it must not.
    #[allow(dead_code, reason = "as above")]
    pub fn judge(&self, r: &Record, fill: &dyn Fn(&String) -> String) -> Option<String> {
        let out = r.stdout_text();
        let no_end_named = self.verdict.is_empty()
            && self.signal.is_none()
            && self.signal_any.is_empty()
            && self.code.is_none()
            && self.code_not.is_none();
        let wrong = [
            (r.verdict == Verdict::Machine, "the machine failed"),
            (no_end_named && !r.success(), "it did not end well"),
            (!self.verdict.is_empty() && !self.verdict.contains(&r.verdict), "the verdict"),
            (self.signal.is_some() && r.signal != self.signal, "the signal"),
            (!self.signal_any.is_empty() && !r.signal.is_some_and(|s| self.signal_any.contains(&s)), "the signal"),
            (self.code.is_some() && r.code != self.code, "the exit status"),
            (self.code_not.is_some() && r.code == self.code_not, "the exit status"),
            (self.out.as_ref().is_some_and(|t| out != fill(t)), "the output"),
            (self.has.as_ref().is_some_and(|t| !out.contains(&fill(t))), "the output lacks something"),
            (self.lacks.as_ref().is_some_and(|t| out.contains(&fill(t))), "the output shows something"),
            (self.leftover.is_some_and(|n| r.leftover_processes != n), "the processes left"),
            (self.files.is_some_and(|n| r.files.len() != n), "the files"),
            (self.files_at_most.is_some_and(|n| r.files.len() > n), "the number of files"),
            (
                self.kinds.as_ref().is_some_and(|k| r.files.iter().map(|f| f.kind).ne(k.iter().copied())),
                "kinds of files",
            ),
            (r.files.iter().any(|f| f.kind != FileKind::File && f.sha256.is_some()), "a link or pipe was read"),
            (self.refused.iter().any(|name| !r.refused.contains_key(name)), "a refused call was not told"),
            (self.max_seconds.is_some_and(|s| r.wall_seconds > s), "it took too long"),
        ];
        let found: Vec<&str> = wrong.iter().filter(|w| w.0).map(|w| w.1).collect();
        (!found.is_empty()).then(|| found.join(", "))
    }
}
