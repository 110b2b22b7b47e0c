//! What became of the checks, and the table of them.

use std::fmt::Write;
use std::time::Instant;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// All is well.
    Passed,
    /// Something is wrong: what.
    Failed(String),
    /// The check could not be made here: why.
    Skipped(String),
    /// The counts of Rust's test programs, and what is wrong if one of them failed.
    Tests(Tests, Option<String>),
}

/// How many tests of Rust's test programs passed, failed, and said that they were skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// The first `SKIPPED` line of every test that printed one.
    pub skipped: Vec<String>,
    /// What each failed test printed, by its name.
    pub failures: Vec<(String, Vec<String>)>,
    /// Of `passed`, how many failed at first.
    pub flaky: usize,
}

/// Of what a failed test printed, lines are cut to so many characters...
const WIDE: usize = 400;
/// ...and so many of them are repeated below the table.
const REPEATED: usize = 25;

impl Tests {
    /// Reads the output of `cargo test -- --show-output`. A test that prints a line with `SKIPPED` returned early: it
    /// counts as skipped, not as passed.
    pub fn read(output: &str) -> Tests {
        let mut tests = Tests::default();
        let mut section: Option<&str> = None;
        // `failures:` stands before what the failed ones printed, and once more before their names.
        let mut of_failures = false;
        for line in output.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                let count = |word: &str| {
                    let part = result.split([';', '.']).find(|part| part.trim_end().ends_with(word));
                    part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
                };
                tests.passed += count(" passed");
                tests.failed += count(" failed");
                section = None;
                of_failures = false;
            } else if line == "failures:" {
                of_failures = !of_failures;
                section = None;
            } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
                section = Some(name);
                if of_failures {
                    tests.failures.push((name.to_string(), Vec::new()));
                }
            } else if of_failures {
                if let Some((_, lines)) = tests.failures.last_mut() {
                    lines.push(line.chars().take(WIDE).collect());
                }
            } else if line.contains("SKIPPED")
                && let Some(name) = section.take()
            {
                tests.skipped.push(format!("{name}: {}", line.trim()));
            }
        }
        tests.passed = tests.passed.saturating_sub(tests.skipped.len());
        tests
    }

    /// All that failed passed when they were run again, one after the other.
    pub fn passed_alone(&mut self) {
        self.flaky = std::mem::take(&mut self.failed);
        self.passed += self.flaky;
    }
}

/// All checks so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, Found, f64)>,
}

impl Table {
    /// Makes a check and writes down what it found and how long it took.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Found) -> &Found {
        let began = Instant::now();
        let found = check();
        // In its own tests this would count as a skip of theirs.
        #[cfg(not(test))]
        match &found {
            Found::Skipped(why) => println!("SKIPPED {name}: {why}"),
            Found::Failed(why) | Found::Tests(_, Some(why)) => println!("FAILED {name}: {why}"),
            _ => {}
        }
        self.rows.push((name.into(), found, began.elapsed().as_secs_f64()));
        &self.rows[self.rows.len() - 1].1
    }

    /// Passed, failed and skipped: tests one by one, every other check as one.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.rows.iter().fold((0, 0, 0), |(passed, failed, skipped), (_, found, _)| match found {
            Found::Passed => (passed + 1, failed, skipped),
            Found::Failed(_) => (passed, failed + 1, skipped),
            Found::Skipped(_) => (passed, failed, skipped + 1),
            Found::Tests(tests, why) => {
                // What does not build has no failing test, and has failed nevertheless.
                let failures = tests.failed.max(usize::from(why.is_some()));
                (passed + tests.passed, failed + failures, skipped + tests.skipped.len())
            }
        })
    }

    /// The table as text; its last line is `N passed, N failed, N skipped`.
    pub fn text(&self) -> String {
        let mut out = String::from("\n");
        for (name, found, seconds) in &self.rows {
            let said = match found {
                Found::Passed => "passed".to_string(),
                Found::Failed(why) => format!("FAILED: {why}"),
                Found::Skipped(why) => format!("skipped: {why}"),
                Found::Tests(tests, why) => {
                    let skipped: String = tests.skipped.iter().map(|s| format!("\n{:32}skipped: {s}", "")).collect();
                    let word = if why.is_some() { "FAILED" } else { "passed" };
                    let flaky = match tests.flaky {
                        0 => String::new(),
                        n => format!(", {n} of them only when run again alone"),
                    };
                    format!("{word}: {} passed{flaky}, {} failed{skipped}", tests.passed, tests.failed)
                }
            };
            let _ = writeln!(out, "{name:20}{seconds:8.1} s  {said}");
        }
        let all =
            self.rows.iter().filter_map(|(_, found, _)| if let Found::Tests(t, _) = found { Some(t) } else { None });
        for (flaky, (name, lines)) in all.flat_map(|t| t.failures.iter().map(|f| (t.flaky > 0, f))) {
            let said: Vec<&str> = lines.iter().map(|l| l.trim_end()).filter(|l| !l.is_empty()).collect();
            let _ = writeln!(out, "\nFAILED {name}{}", if flaky { ", and passed when run again alone" } else { "" });
            for line in &said[said.len().saturating_sub(REPEATED)..] {
                let _ = writeln!(out, "    {line}");
            }
        }
        let (passed, failed, skipped) = self.counts();
        let _ = write!(out, "\n{passed} passed, {failed} failed, {skipped} skipped");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests
test a ... ok
test b ... ok
test c ... ok

successes:

---- a stdout ----
SKIPPED: no cells here
SKIPPED: no pytest here

---- b stdout ----
42 labelled/s

successes:
    a
    b

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s
     Running tests/x.rs
failures:

---- d stdout ----
thread 'd' panicked: SKIPPED is no skip here

failures:
    d

test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn test_programs_are_counted_and_early_returns_are_no_passes() {
        let skipped = vec!["a: SKIPPED: no cells here".to_string()];
        let said = ["thread 'd' panicked: SKIPPED is no skip here".to_string(), String::new()];
        let failures = vec![("d".to_string(), said.to_vec())];
        assert_eq!(Tests::read(OUTPUT), Tests { passed: 12, failed: 2, skipped, failures, flaky: 0 });
        assert_eq!(Tests::read("error: could not compile"), Tests::default());
    }

    #[test]
    fn the_last_line_counts_everything() {
        let mut table = Table::default();
        table.check("format", || Found::Passed);
        table.check("page", || Found::Skipped("no browser".into()));
        table.check("tests", || Found::Tests(Tests::read(OUTPUT), Some("2 failed".into())));
        assert!(table.text().contains("\nFAILED d\n    thread 'd' panicked"), "{}", table.text());
        assert_eq!(table.text().lines().last(), Some("13 passed, 2 failed, 2 skipped"));
        table.check("build", || Found::Tests(Tests::default(), Some("does not build".into())));
        assert_eq!(table.counts(), (13, 3, 2));
        let mut tests = Tests::read(OUTPUT);
        tests.passed_alone();
        table.check("flaky", || Found::Tests(tests, None));
        assert_eq!(table.counts(), (27, 3, 3));
        assert!(table.text().contains("FAILED d, and passed when run again alone"), "{}", table.text());
    }
}
