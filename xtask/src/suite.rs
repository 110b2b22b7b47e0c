//! The checks, in the order in which they are made.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::binaries::{self, TestProgram};
use crate::command::Runner;
use crate::deps;
use crate::outcome::{Found, Table, Tests};
use crate::python::Fetched;

/// Everything is over after this many seconds, whatever hangs.
const ALL: u64 = 40 * 60;
/// More failed tests than this are not run again.
const AGAIN: usize = 6;
/// The profile of all that is built for the checks.
const PROFILE: &str = "checks";
/// `-D warnings`, as `cargo clippy` hands it to its driver.
const DENY: &str = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";
/// Seconds for what builds the workspace.
const BUILD: u64 = 15 * 60;
/// Test programs that run at a time. With three they take as long, and what is timed in them fails now and then.
const AT_A_TIME: usize = 2;
/// Those that take minutes. They are begun first, so that the others do not wait for them at the end.
const LONGEST: [&str; 6] =
    ["cell-abuse abuse", "audit foreign", "grade corpus", "lab run", "audit targets", "cli program"];
/// Seconds for one of its test programs.
const TESTS: u64 = 20 * 60;

/// Makes all checks and prints the table; whether none failed.
pub fn run(root: &Path, slow: bool) -> bool {
    let runner = Runner { root, deadline: Instant::now() + Duration::from_secs(ALL) };
    let cargo = env("CARGO").unwrap_or_else(|| "cargo".into());
    let fetched = Fetched::default();
    let programs = Vec::new();
    let mut suite = Suite { runner: &runner, fetched: &fetched, table: Table::default(), cargo, programs };
    let own = |name| env(name).is_some();
    std::thread::scope(|scope| {
        // Mostly a matter of waiting: it is done while the workspace is built.
        scope.spawn(|| fetched.fetch(&runner, own("LOOPHOLE_PYTHON"), own("LOOPHOLE_TORCH_PYTHON"), slow));
        suite.fast();
        if slow {
            suite.slow();
        }
    });
    println!("{}", suite.table.text());
    suite.table.counts().1 == 0
}

struct Suite<'a> {
    runner: &'a Runner<'a>,
    fetched: &'a Fetched,
    table: Table,
    cargo: String,
    /// The test programs, once they are built.
    programs: Vec<TestProgram>,
}

/// An environment variable that is set to something.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What tests need to find an interpreter with pytest: one that the caller named is found already.
fn with_pytest(fetched: &Fetched) -> Vec<(&'static str, &Path)> {
    let fetched = fetched.pytest.get().and_then(|found| found.as_ref().ok());
    fetched.map(|python| ("LOOPHOLE_PYTHON", python.as_path())).into_iter().collect()
}

impl Suite<'_> {
    fn fast(&mut self) {
        let Suite { runner, fetched, table, cargo, programs } = self;
        table.check("format", || passed(runner, cargo, &["fmt", "--all", "--check"], 60));
        table.check("dependencies", || match deps::check(runner.root) {
            found if found.is_empty() => Found::Passed,
            found => Found::Failed(found.join("\n    ")),
        });
        // Clippy's driver is a compiler: what it has looked at it can build as well, so that all is read once.
        let build = ["test", "--profile", PROFILE, "--workspace", "--no-run"];
        let linting = [("RUSTC_WORKSPACE_WRAPPER", Path::new("clippy-driver")), ("CLIPPY_ARGS", Path::new(DENY))];
        table.check("clippy and build", || match runner.run(cargo, &build, &linting, BUILD) {
            ended if !ended.good() => Found::Failed(ended.why),
            _ => {
                // Nothing is built any more: it says what there is.
                let asked = [&build[..], &["--message-format=json"]].concat();
                let listed = runner.run_quietly("test programs", runner.root, cargo, &asked, &linting, 120);
                *programs = binaries::read(&listed.output);
                let place = |name: &str| LONGEST.iter().position(|long| *long == name).unwrap_or(LONGEST.len());
                programs.sort_by_key(|program| place(&program.name));
                if programs.is_empty() {
                    Found::Failed(format!("no test program was found: {}", listed.why))
                } else {
                    Found::Passed
                }
            }
        });
        if env("LOOPHOLE_PYTHON").is_none() {
            table.check("pytest", || match fetched.pytest.wait() {
                Ok(_) => Found::Passed,
                Err(why) => Found::Skipped(format!("{why}; the pytest grader is not tested")),
            });
        }
        table.check("tests", || tests(runner, programs, None, &["--show-output"], &with_pytest(fetched)));
    }

    fn slow(&mut self) {
        let Suite { runner, fetched, table, programs, .. } = self;
        table.check("slow tests", || {
            let names = slow_tests(runner.root);
            if names.is_empty() {
                return Found::Skipped("no test is marked #[ignore = \"slow: ...\"]".into());
            }
            let how: Vec<&str> =
                ["--ignored", "--show-output"].into_iter().chain(names.iter().map(String::as_str)).collect();
            match tests(runner, programs, None, &how, &with_pytest(fetched)) {
                // Each of them was found, or a name is not what it seems.
                Found::Tests(tests, None) if tests.passed + tests.skipped.len() < names.len() => {
                    Found::Failed(format!("not all of these were run: {}", names.join(", ")))
                }
                found => found,
            }
        });
        let made = std::env::temp_dir().join(format!("loophole-checks-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir_all(&made) {
            table.check("slow checks", || Found::Failed(format!("{}: {error}", made.display())));
            return;
        }
        self.foreign(&made);
        self.clients();
        self.outsiders();
        self.golden(&made);
        self.browser(&made);
        // Files of a failed check are worth a look.
        if self.table.counts().1 == 0 {
            let _ = std::fs::remove_dir_all(&made);
        }
    }

    /// Our files, opened by Inspect and pyarrow.
    fn foreign(&mut self, made: &Path) {
        let Suite { runner, fetched, table, .. } = self;
        let ready = fetched.foreign.wait();
        let run = made.join("run");
        table.check("sample run", || match example(runner, "sample_run", &[&run]) {
            Ok(()) => Found::Passed,
            Err(why) => Found::Failed(why),
        });
        for (name, script) in [("Inspect", "check_eval.py"), ("pyarrow", "check_parquet.py")] {
            let script = Path::new("crates/log/tests/foreign").join(script);
            table.check(name, || match &ready {
                Ok(python) => passed(runner, &python.to_string_lossy(), &[&script, &run], 120),
                Err(why) => Found::Skipped(why.clone()),
            });
        }
        let curves = made.join("tfevents");
        table.check("TensorBoard", || match &ready {
            Ok(python) => {
                // The sample's files are put into its folder one by one, and by no run.
                let how = ["export", "tfevents", "--unverified"].map(std::ffi::OsStr::new);
                let out = [run.as_os_str(), std::ffi::OsStr::new("--out"), curves.as_os_str()];
                let program = built(runner, "loophole");
                match passed(runner, &program.to_string_lossy(), &[&how[..], &out].concat(), 60) {
                    Found::Passed => {
                        let script = Path::new("crates/log/tests/foreign/check_tfevents.py");
                        passed(runner, &python.to_string_lossy(), &[script, &run, &curves], 120)
                    }
                    found => found,
                }
            }
            Err(why) => Found::Skipped(why.clone()),
        });
        let battery = made.join("probe");
        table.check("probe logs", || match &ready {
            Ok(python) => {
                let how = ["probe", "mock:bad-open", "--battery", "all", "--arm", "tempting", "--samples", "2"];
                let more = ["--tools", "calls", "--json", "--out"];
                let arguments: Vec<&std::ffi::OsStr> =
                    how.iter().chain(&more).map(std::ffi::OsStr::new).chain([battery.as_os_str()]).collect();
                match passed(runner, &built(runner, "loophole").to_string_lossy(), &arguments, 240) {
                    Found::Passed => {
                        let script = Path::new("crates/log/tests/foreign/check_probe.py");
                        passed(runner, &python.to_string_lossy(), &[script, &battery], 120)
                    }
                    found => found,
                }
            }
            Err(why) => Found::Skipped(why.clone()),
        });
        let chromium = fetched.chromium.wait();
        table.check("Inspect's viewer", || match (&ready, &chromium) {
            (Ok(python), Ok(())) => {
                let script = Path::new("crates/log/tests/foreign/check_viewer.py");
                passed(runner, &python.to_string_lossy(), &[script, &battery, Path::new("chromium")], 180)
            }
            (Err(why), _) | (_, Err(why)) => Found::Skipped(why.clone()),
        });
    }

    /// `loophole serve`, spoken to by the official clients, by Inspect and by trainers; and three of them, one killed.
    fn clients(&mut self) {
        let Suite { runner, fetched, table, .. } = self;
        table.check("API clients", || match fetched.clients.wait() {
            Ok(python) => {
                let script = Path::new("crates/serve/tests/clients/check_clients.py");
                passed(runner, &python.to_string_lossy(), &[script, &built(runner, "loophole")], 300)
            }
            Err(why) => Found::Skipped(why.clone()),
        });
        let program = built(runner, "loophole");
        table.check("trainers' clients", || match fetched.trainers.wait() {
            Ok((python, trainers)) => {
                let script = Path::new("crates/serve/tests/clients/check_rewards.py");
                passed(runner, &python.to_string_lossy(), &[script, &program, trainers], 300)
            }
            Err(why) => Found::Skipped(why.clone()),
        });
        let clients = Path::new("crates/serve/tests/clients");
        table.check("Python package", || {
            let python = match env("LOOPHOLE_PYTHON").map(PathBuf::from) {
                Some(python) => Ok(python),
                None => fetched.pytest.wait().clone(),
            };
            let tests = ["client", "service", "reward", "examples"].map(|name| format!("python/tests/test_{name}.py"));
            let how = ["-m", "pytest", "-q", "-p", "no:cacheprovider"].map(str::to_string);
            match python {
                Err(why) => Found::Skipped(why),
                Ok(python) => {
                    let arguments = [how.as_slice(), &tests].concat();
                    let ended = runner.run(&python.to_string_lossy(), &arguments, &[("LOOPHOLE_BIN", &program)], 300);
                    if ended.good() { Found::Passed } else { Found::Failed(ended.why) }
                }
            }
        });
        table.check("cases of others: routes, transcripts, mistakes", || {
            let run = Path::new("python/tests/strangers/run.py");
            passed(runner, "python3", &[run, &program, Path::new("--only"), Path::new("S,W,F")], 300)
        });
        table.check("grade_client.py", || passed(runner, "python3", &[clients.join("check_grade_client.py")], 60));
        table.check("three services", || {
            let three = clients.join("check_three.py");
            passed(runner, "python3", &[three.as_path(), &program, Path::new("300")], 240)
        });
    }

    /// Agents of known truth, written without sight of the scoring; a fifth of them, as all take some minutes.
    fn outsiders(&mut self) {
        let Suite { runner, table, .. } = self;
        let program = built(runner, "loophole");
        let all = Path::new("crates/probe/tests/outsiders");
        table.check("outsiders' behaviours", || {
            let [play, rules, oversight, situations, third, known] =
                ["play.py", "rules.json", "oversight.json", "situations.json", "third.json", "known_wrong.txt"]
                    .map(|name| all.join(name));
            let how = ["--every", "5", "--samples", "1", "--jobs", "4", "--known-wrong"].map(Path::new);
            let arguments =
                [&[play.as_path(), &program, &rules, &oversight, &situations, &third], how.as_slice(), &[&known]]
                    .concat();
            passed(runner, "python3", &arguments, 600)
        });
    }

    /// The golden logits, made anew by transformers.
    fn golden(&mut self, made: &Path) {
        let Suite { runner, fetched, table, programs, .. } = self;
        // Torch is big: one who has it somewhere need not install it again.
        let ready = match env("LOOPHOLE_TORCH_PYTHON") {
            Some(python) => Ok(python),
            None => fetched.golden.wait().clone().map(|python| python.to_string_lossy().into_owned()),
        };
        let fixtures = made.join("golden");
        table.check("golden logits", || match &ready {
            Err(why) => Found::Skipped(why.clone()),
            Ok(python) => {
                let script = Path::new("crates/lm/tests/golden/make_golden.py");
                match passed(runner, python, &[script, &fixtures], 240) {
                    Found::Passed => {
                        tests(runner, programs, Some("golden"), &["--show-output"], &[("LOOPHOLE_GOLDEN", &fixtures)])
                    }
                    found => found,
                }
            }
        });
        let families = made.join("families");
        table.check("model families", || match &ready {
            Err(why) => Found::Skipped(why.clone()),
            Ok(python) => {
                let script = Path::new("scripts/golden_families.py");
                match passed(runner, python, &[script, &families], 300) {
                    Found::Passed => tests(
                        runner,
                        programs,
                        Some("families"),
                        &["--show-output"],
                        &[("LOOPHOLE_FAMILIES", &families)],
                    ),
                    found => found,
                }
            }
        });
        let adapter = made.join("adapter");
        let organism = runner.root.join("organism");
        table.check("organism", || match &ready {
            Err(why) => Found::Skipped(why.clone()),
            Ok(_) if !organism.join("golden.json").exists() => {
                Found::Skipped("organism/golden.json is not there".into())
            }
            Ok(python) => match example(runner, "adapter", &[&organism, &adapter]) {
                Err(why) => Found::Failed(why),
                Ok(()) => {
                    let script = Path::new("scripts/golden_organism.py");
                    passed(runner, python, &[script, Path::new("--check"), Path::new("--adapter"), &adapter], 240)
                }
            },
        });
    }

    /// The pages, in Chromium.
    fn browser(&mut self, made: &Path) {
        let Suite { runner, fetched, table, programs, .. } = self;
        let ready = fetched.chromium.wait();
        for (name, test, function) in
            [("example page", "page", "write_example"), ("page of a run", "run", "write_example_run")]
        {
            table.check(name, || {
                if let Err(why) = &ready {
                    return Found::Skipped(why.clone());
                }
                let page = made.join(format!("{test}.html"));
                let written = tests(
                    runner,
                    programs,
                    Some(test),
                    &["--ignored", "--exact", function],
                    &[("LOOPHOLE_PAGE_OUT", &page)],
                );
                match written {
                    Found::Tests(_, None) => {}
                    found => return found,
                }
                let shots = made.join(format!("{test}-pictures"));
                passed(runner, "crates/page/tests/browser/shots.sh", &[&shots, &page], 180)
            });
        }
    }
}

/// Whether a program ends with 0.
fn passed<A: AsRef<std::ffi::OsStr>>(runner: &Runner, program: &str, arguments: &[A], limit: u64) -> Found {
    let ended = runner.run(program, arguments, &[], limit);
    if ended.good() { Found::Passed } else { Found::Failed(ended.why) }
}

/// Runs Rust's tests: those of all programs, or of the programs of one name.
///
/// A few that fail are run again, alone: some wait for moments that a busy machine does not give them. Those that pass
/// then are named as such in the table.
fn tests(
    runner: &Runner,
    programs: &[TestProgram],
    target: Option<&str>,
    how: &[&str],
    env: &[(&str, &Path)],
) -> Found {
    let some: Vec<TestProgram> =
        programs.iter().filter(|program| target.is_none_or(|name| program.target == name)).cloned().collect();
    if some.is_empty() {
        return Found::Failed(format!("there is no test program {}", target.unwrap_or("at all")));
    }
    let once = |how: &[&str], at_a_time: usize| {
        let (output, wrong) = binaries::run(runner, &some, how, env, at_a_time, TESTS);
        (Tests::read(&output), wrong)
    };
    let (mut tests, wrong) = once(how, AT_A_TIME);
    if wrong.is_none() || tests.failed == 0 || tests.failed > AGAIN || tests.failures.len() != tests.failed {
        return Found::Tests(tests, wrong);
    }
    let names: Vec<&str> = tests.failures.iter().map(|(name, _)| name.as_str()).collect();
    println!("\nFAILED {}; once more, one after the other", names.join(", "));
    let alone = [&["--include-ignored", "--exact", "--show-output", "--test-threads=1"], names.as_slice()].concat();
    let (again, wrong) = once(&alone, 1);
    if wrong.is_none() && again.passed + again.skipped.len() >= names.len() {
        tests.passed_alone();
        return Found::Tests(tests, None);
    }
    Found::Tests(tests, wrong.or(Some("not all of them were run again".into())))
}

/// Where `cargo test` puts a program that it has built.
fn built(runner: &Runner, name: &str) -> PathBuf {
    let target = env("CARGO_TARGET_DIR").map_or_else(|| runner.root.join("target"), PathBuf::from);
    target.join(PROFILE).join(name)
}

/// Runs an example of the workspace, which `cargo test` has built.
fn example(runner: &Runner, name: &str, arguments: &[&Path]) -> Result<(), String> {
    let program = built(runner, &format!("examples/{name}"));
    let ended = runner.run(&program.to_string_lossy(), arguments, &[], 60);
    if ended.good() { Ok(()) } else { Err(ended.why) }
}

/// The names of the tests that are marked `#[ignore = "slow: ..."]`. Other ignored ones are parts of other checks.
fn slow_tests(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    deps::each_source(&root.join("crates"), &mut |source| {
        for after in source.split("#[ignore = \"slow").skip(1) {
            let name = after.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.to_string()));
        }
    });
    names
}
