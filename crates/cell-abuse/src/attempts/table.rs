//! What came of the attempts, for a terminal and for `docs/cells.md`.

use super::attempt::Attempt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// How an attempt ended.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
pub enum Outcome {
    /// Everything was seen that must be.
    Held,
    /// What was not.
    Failed(String),
    /// Why it gets through, where that is known and accepted.
    Possible(String),
    /// Why it was not carried out.
    Skipped(String),
}

/// One attempt in one tier as one user.
#[derive(Serialize, Deserialize, Clone)]
pub struct Row {
    /// Title of its file.
    pub group: String,
    /// Of the attempt.
    pub name: String,
    /// The kind of isolation.
    pub tier: String,
    /// `root` or `user`.
    pub user: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, all around it included.
    pub seconds: f64,
    /// What was not seen at first, while others ran beside it.
    #[serde(default)]
    pub at_first: Option<String>,
    /// How much of what was stored or counted got through.
    #[serde(default)]
    pub measured: Option<String>,
}

impl Row {
    fn column(&self) -> (String, String) {
        (self.tier.clone(), self.user.clone())
    }

    pub(super) fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Held => "held",
            Outcome::Failed(_) => "FAILED",
            Outcome::Possible(_) => "possible",
            Outcome::Skipped(_) => "skipped",
        }
    }
}

fn columns(rows: &[Row]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for row in rows {
        if !out.contains(&row.column()) {
            out.push(row.column());
        }
    }
    out
}

/// One line a tier and user: how many attempts held, failed, are known to get through, and were skipped.
pub fn totals(rows: &[Row]) -> String {
    let mut out = String::from(
        "| tier | as | attempts | held | failed | possible | skipped |\n|---|---|---:|---:|---:|---:|---:|\n",
    );
    for column in columns(rows) {
        let of: Vec<&Row> = rows.iter().filter(|r| r.column() == column).collect();
        let count = |word: &str| of.iter().filter(|r| r.word() == word).count();
        let (tier, user) = &column;
        let user = if user == "user" { "an ordinary user" } else { user };
        let numbers = ["held", "FAILED", "possible", "skipped"].map(|word| count(word).to_string()).join(" | ");
        let _ = writeln!(out, "| {tier} | {user} | {} | {numbers} |", of.len());
    }
    out
}

/// Everything that did not hold, one line each.
pub fn failures(rows: &[Row]) -> Vec<String> {
    lines(rows, |o| if let Outcome::Failed(why) = o { Some(why.as_str()) } else { None })
}

/// Everything that held only once nothing else ran beside it, one line each.
pub fn at_first(rows: &[Row]) -> Vec<String> {
    let of = |r: &&Row| r.outcome == Outcome::Held && r.at_first.is_some();
    let line = |r: &Row| format!("{} ({}, {}): {}", r.name, r.tier, r.user, r.at_first.as_deref().unwrap_or_default());
    rows.iter().filter(of).map(line).collect()
}

/// Everything that was not carried out, one line each.
pub fn skipped(rows: &[Row]) -> Vec<String> {
    lines(rows, |o| if let Outcome::Skipped(why) = o { Some(why.as_str()) } else { None })
}

/// How much got through of what was stored or counted, one line each.
pub fn measured(rows: &[Row]) -> Vec<String> {
    let line = |r: &Row| Some(format!("{} ({}, {}): {}", r.name, r.tier, r.user, r.measured.as_ref()?));
    rows.iter().filter_map(line).collect()
}

fn lines(rows: &[Row], why: impl Fn(&Outcome) -> Option<&str>) -> Vec<String> {
    let of = |r: &Row| Some(format!("{} ({}, {}): {}", r.name, r.tier, r.user, why(&r.outcome)?));
    rows.iter().filter_map(of).collect()
}

const BEGIN: &str = "<!-- attempts: cargo run -p loophole-cell-abuse --bin abuse -- --write -->\n";
const END: &str = "<!-- end of attempts -->\n";

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cells.md"))
}

/// Writes the table into `docs/cells.md`, between its marks.
pub fn write(attempts: &[Attempt], rows: &[Row]) -> Result<(), String> {
    let text = std::fs::read_to_string(page()).map_err(|e| e.to_string())?;
    let (before, after) = split(&text)?;
    let text = format!("{before}{BEGIN}{}{END}{after}", markdown(attempts, rows));
    std::fs::write(page(), text).map_err(|e| e.to_string())
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let (before, rest) = text.split_once(BEGIN).ok_or("docs/cells.md has lost the mark before the attempts")?;
    let (_, after) = rest.split_once(END).ok_or("docs/cells.md has lost the mark after the attempts")?;
    Ok((before, after))
}

/// Names of the attempts that `docs/cells.md` lists, in order.
pub fn listed() -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(page()).map_err(|e| e.to_string())?;
    let (before, after) = split(&text)?;
    let table = &text[before.len()..text.len() - after.len()];
    let rows = table.lines().filter_map(|l| l.strip_prefix("| ")?.split_once(" | ").map(|(name, _)| name));
    Ok(rows.filter(|name| !["attempt", "tier", "namespaces", "landlock", "none"].contains(name)).map(plain).collect())
}

fn plain(name: &str) -> String {
    name.replace("\\|", "|")
}

fn markdown(attempts: &[Attempt], rows: &[Row]) -> String {
    let columns = columns(rows);
    let mut out = format!("{}\n{}", machine(), totals(rows));
    let mut notes: Vec<String> = Vec::new();
    let mut group = "";
    let found: BTreeMap<(&str, (String, String)), &Row> =
        rows.iter().map(|r| ((r.name.as_str(), r.column()), r)).collect();
    for attempt in attempts {
        if attempt.group != group {
            group = &attempt.group;
            let heads: String = columns.iter().map(|(t, u)| format!(" {t}, {u} |")).collect();
            let rule = "---|".repeat(columns.len());
            let _ = write!(out, "\n### {group}\n\n| attempt | what is tried |{heads}\n|---|---|{rule}\n");
        }
        let safe = |text: &str| text.replace('|', "\\|");
        let _ = write!(out, "| {} | {} |", safe(&attempt.name), safe(&attempt.tries));
        for column in &columns {
            let cell = match found.get(&(attempt.name.as_str(), column.clone())) {
                None => "-".to_owned(),
                Some(row) => match &row.outcome {
                    Outcome::Skipped(why) | Outcome::Possible(why) => {
                        let at = notes.iter().position(|n| n == why).unwrap_or_else(|| {
                            notes.push(why.clone());
                            notes.len() - 1
                        });
                        format!("{} ({})", row.word(), at + 1)
                    }
                    _ => row.word().to_owned(),
                },
            };
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    if !notes.is_empty() {
        out.push_str("\nWhy:\n\n");
        for (i, why) in notes.iter().enumerate() {
            let _ = writeln!(out, "{}. {why}", i + 1);
        }
    }
    out
}

/// Where the table comes from.
fn machine() -> String {
    let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default().trim().to_owned();
    let python = std::process::Command::new("/usr/bin/python3").arg("--version").output();
    let python = python.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    format!("Linux {}, {python}.\n", read("/proc/sys/kernel/osrelease").split('-').next().unwrap_or(""))
}
