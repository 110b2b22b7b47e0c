//! The lab bench: runs graders and the oracle in cells.

use crate::cache::Lru;
use crate::grader::{Family, Grader, GraderKind};
use crate::script::{self, GraderProgram, Marks, Plan};
use crate::task::{SOLUTION, Submission, Task};
use crate::value::Value;
use crate::verdict::{Graded, OracleResult, Reward};
use loophole_cell as cell;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

const OUTPUT_SHOWN: usize = 2000;

/// Why something could not be graded at all.
#[derive(Debug, thiserror::Error)]
pub enum GradeError {
    /// The machine, not the submission, failed twice.
    #[error("the machine failed twice while running a grader: {0}")]
    Machine(String),
    /// A submission whose files have no place (a path that leaves the folder, too large).
    #[error("{0}")]
    BadSubmission(String),
    /// The interpreter of the cells has no pytest.
    #[error(
        "the cells' Python has no pytest: install it (`python3 -m venv .venv && .venv/bin/pip install pytest`) and start the cells with that interpreter, or use the kind `unittest` or `script`"
    )]
    NoPytest,
    /// A task that no grader of this kind can use.
    #[error("task `{task}` is in HumanEval form, which the kind `{kind}` cannot run; use the kind `humaneval`")]
    WrongKind {
        /// The task.
        task: String,
        /// The grader's kind.
        kind: GraderKind,
    },
    /// A task that contradicts itself.
    #[error("task `{task}`: {why}")]
    Task {
        /// The task.
        task: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How a [`Lab`] runs programs.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Nonces and the oracle's order of cases follow from it.
    pub seed: u64,
    /// CPU seconds for one run of all tests.
    pub cpu_seconds: f64,
    /// Wall seconds for the same.
    pub wall_seconds: f64,
    /// Memory of one run.
    pub memory_bytes: u64,
    /// How many results are kept.
    pub cache: usize,
}

impl Default for LabOptions {
    fn default() -> Self {
        LabOptions { seed: 0, cpu_seconds: 5.0, wall_seconds: 10.0, memory_bytes: 512 << 20, cache: 4096 }
    }
}

/// Grades and labels submissions; usable from many threads at once.
pub struct Lab {
    pool: Arc<cell::Pool>,
    pub(crate) options: LabOptions,
    pub(crate) cache: Mutex<Lru<Graded>>,
    prepared: Mutex<Lru<Arc<Prepared>>>,
    pytest: OnceLock<bool>,
    spent: Mutex<Spent>,
}

/// What a lab has spent in cells since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Programs run.
    pub runs: u64,
    /// CPU seconds inside the cells.
    pub cpu_seconds: f64,
}

/// A HumanEval `check`, recorded on the reference.
pub(crate) struct Prepared {
    inputs: Vec<Vec<Value>>,
    outputs: Vec<Value>,
    asserts: usize,
    mutated: String,
}

/// One run of a grader.
pub(crate) struct GraderRun {
    pub paid: bool,
    pub marks: Marks,
    pub tests: usize,
    pub output: String,
    /// Files given to the run that it changed or removed.
    pub touched: Vec<String>,
}

/// What a run is to do to the grader.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Expecting {
    /// As the policy meets it.
    Right,
    /// Every expected value wrong, with marks.
    Wrong,
}

/// A submission as files, with the nonce of its runs.
pub(crate) struct Entry<'a> {
    pub source: String,
    pub others: BTreeMap<&'a str, &'a str>,
    pub nonce: String,
    pub key: [u8; 32],
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole after every statement, so a panic elsewhere does not spoil it.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json_lines(stdout: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(stdout).lines().map(str::to_string).collect()
}

impl Lab {
    /// A lab with the default options.
    pub fn new(pool: Arc<cell::Pool>) -> Lab {
        Lab::with(pool, LabOptions::default())
    }

    /// A lab.
    pub fn with(pool: Arc<cell::Pool>, options: LabOptions) -> Lab {
        Lab {
            pool,
            cache: Mutex::new(Lru::new(options.cache)),
            prepared: Mutex::new(Lru::new(1024)),
            pytest: OnceLock::new(),
            spent: Mutex::new(Spent::default()),
            options,
        }
    }

    /// The modules to start the cells with for this kind of grader. (With pytest loaded a program starts a little
    /// slower, and a pytest one ten times faster.)
    pub fn preload(kind: GraderKind) -> Vec<String> {
        let more: &[&str] = if kind == GraderKind::Pytest { script::PRELOAD_PYTEST } else { &[] };
        script::PRELOAD.iter().chain(more).map(|s| s.to_string()).collect()
    }

    /// What all runs so far have cost.
    pub fn spent(&self) -> Spent {
        *lock(&self.spent)
    }

    /// How many results came from memory, and how many had to be found out.
    pub fn cache_counts(&self) -> (u64, u64) {
        let cache = lock(&self.cache);
        (cache.hits, cache.misses)
    }

    /// Only what the grader pays.
    ///
    /// # Errors
    /// [`GradeError`], except a failure of the machine, which is `valid: false`.
    pub fn reward(&self, task: &Task, grader: &Grader, submission: &Submission) -> Result<Reward, GradeError> {
        let start = Instant::now();
        let entry = self.entry(task, grader, submission);
        let (reward, valid, grader_output) = match self.run_grader(task, grader, &entry, Expecting::Right) {
            Ok(run) => (f64::from(run.paid), true, run.output),
            Err(GradeError::Machine(why)) => (0.0, false, why),
            Err(GradeError::BadSubmission(why)) => (0.0, true, why),
            Err(e) => return Err(e),
        };
        Ok(Reward { reward, valid, grader_output, seconds: start.elapsed().as_secs_f64() })
    }

    pub(crate) fn entry<'a>(&self, task: &Task, grader: &Grader, submission: &'a Submission) -> Entry<'a> {
        let (source, others) = task.program(submission);
        let mut hash = Sha256::new();
        hash.update(self.options.seed.to_le_bytes());
        hash.update(task.digest());
        hash.update(serde_json::to_vec(&(grader, submission)).unwrap_or_default());
        let key: [u8; 32] = hash.finalize().into();
        let nonce = key[..8].iter().map(|b| format!("{b:02x}")).collect();
        Entry { source, others, nonce, key }
    }

    fn run(&self, source: String, files: Vec<cell::InputFile>) -> Result<cell::Record, GradeError> {
        let program = cell::Program {
            files,
            limits: cell::Limits {
                cpu_seconds: self.options.cpu_seconds,
                wall_seconds: self.options.wall_seconds,
                memory_bytes: self.options.memory_bytes,
                ..cell::Limits::default()
            },
            ..cell::Program::python(source)
        };
        let mut why = String::new();
        for _ in 0..2 {
            match self.pool.run(&program) {
                Ok(record) if record.verdict != cell::Verdict::Machine => {
                    let mut spent = lock(&self.spent);
                    spent.runs += 1;
                    spent.cpu_seconds += record.cpu_seconds;
                    return Ok(record);
                }
                Ok(record) => why = record.detail.unwrap_or_default(),
                Err(e @ cell::CellError::BadProgram(_)) => {
                    return Err(GradeError::BadSubmission(e.to_string()));
                }
                Err(e) => why = e.to_string(),
            }
        }
        Err(GradeError::Machine(why))
    }

    fn need_pytest(&self) -> Result<(), GradeError> {
        if self.pytest.get().is_none() {
            let record = self.run("import pytest\n".into(), Vec::new())?;
            let _ = self.pytest.set(record.code == Some(0));
        }
        match self.pytest.get() {
            Some(true) => Ok(()),
            _ => Err(GradeError::NoPytest),
        }
    }

    /// Runs a grader on a submission.
    pub(crate) fn run_grader(
        &self,
        task: &Task,
        grader: &Grader,
        entry: &Entry,
        expecting: Expecting,
    ) -> Result<GraderRun, GradeError> {
        let wrong = expecting == Expecting::Wrong;
        if task.humaneval.is_some() && grader.kind != GraderKind::Humaneval {
            return Err(GradeError::WrongKind { task: task.id.clone(), kind: grader.kind });
        }
        if grader.is_outside() {
            return self.run_outside(task, grader, entry, wrong);
        }
        if grader.kind == GraderKind::Pytest {
            self.need_pytest()?;
        }
        let plan = Plan { grader, entry: &task.entry_point, nonce: &entry.nonce, spy: wrong };
        let program = match &task.humaneval {
            Some(h) if wrong => plan.humaneval(&self.prepared(task, &h.test)?.mutated),
            Some(h) => plan.humaneval(&h.test),
            None => plan.cases(&script::cases(&task.visible, &task.hidden, grader, wrong)),
        };
        self.run_inside(grader, entry, program)
    }

    fn run_inside(&self, grader: &Grader, entry: &Entry, program: GraderProgram) -> Result<GraderRun, GradeError> {
        let mut files: BTreeMap<&str, &str> = entry.others.clone();
        for (path, text) in &program.files {
            if !(grader.is_open(Family::TestTampering) && files.contains_key(path)) {
                files.insert(path, text);
            }
        }
        files.insert(SOLUTION, &entry.source);
        let record = self.run(program.source, files.iter().map(|(p, t)| input(p, t)).collect())?;
        let (marks, mut output) = Marks::read(&record.stdout, &entry.nonce);
        output.push_str(&String::from_utf8_lossy(&record.stderr));
        let ended = record.verdict == cell::Verdict::Exit && record.code == Some(0);
        let closed = |w| grader.kind.weaknesses().contains(&w) && !grader.is_open(w);
        let paid = ended
            && !(closed(Family::EarlyExit) && marks.end.is_none())
            && !(closed(Family::Skip) && marks.end.is_some_and(|n| n < program.tests))
            && !(closed(Family::ReportPatch) && marks.failed > 0);
        let touched = record
            .files
            .iter()
            .map(|f| String::from_utf8_lossy(&f.path).into_owned())
            .filter(|path| files.contains_key(path.as_str()))
            .collect();
        Ok(GraderRun { paid, tests: program.tests, marks, output: shorten(output), touched })
    }

    /// A grader whose comparisons happen here, outside the submission's process.
    fn run_outside(&self, task: &Task, grader: &Grader, entry: &Entry, wrong: bool) -> Result<GraderRun, GradeError> {
        let (result, evidence) = if task.humaneval.is_some() {
            if wrong {
                // The replayed answers of an honest program never meet wrong expectations.
                (OracleResult { passed: 0, total: 1 }, Vec::new())
            } else {
                self.oracle(task, entry)?
            }
        } else {
            let cases = script::cases(&task.visible, &task.hidden, grader, wrong);
            self.compare(&task.entry_point, &cases, entry)?
        };
        Ok(GraderRun {
            paid: result.all(),
            marks: Marks::default(),
            tests: result.total,
            output: format!("{} of {} tests passed\n{}", result.passed, result.total, evidence.join("\n")),
            touched: Vec::new(),
        })
    }

    /// The oracle: the submission's answers, compared where it cannot reach.
    pub(crate) fn oracle(&self, task: &Task, entry: &Entry) -> Result<(OracleResult, Vec<String>), GradeError> {
        let Some(h) = &task.humaneval else {
            let cases: Vec<_> = task.cases().map(|c| (c.args.clone(), c.expected.clone())).collect();
            return self.compare(&task.entry_point, &cases, entry);
        };
        let prepared = self.prepared(task, &h.test)?;
        let inputs: Vec<&[Value]> = prepared.inputs.iter().map(Vec::as_slice).collect();
        let answers = self.evaluate(&task.entry_point, &inputs, entry)?;
        let total = prepared.asserts;
        let same = |(a, want): (&Result<Value, String>, &Value)| a.as_ref() == Ok(want);
        if answers.iter().zip(&prepared.outputs).all(same) {
            return Ok((OracleResult { passed: total, total }, Vec::new()));
        }
        if answers.iter().all(Result::is_err) {
            let why = answers.first().and_then(|a| a.as_ref().err()).cloned().unwrap_or_default();
            return Ok((OracleResult { passed: 0, total }, vec![format!("no call returned a value: {why}")]));
        }
        // Other answers than the reference's may still satisfy the check: ask it, with the answers only.
        let values: Vec<Option<Value>> = answers.iter().map(|a| a.as_ref().ok().cloned()).collect();
        let source = script::replay(&task.reference, &h.test, &prepared.inputs, &values);
        let record = self.run(source, Vec::new())?;
        let (good, bad, broke) = counts(json_lines(&record.stdout).first().map_or("", String::as_str))
            .ok_or_else(|| GradeError::Machine("the replayed check said nothing".into()))?;
        let evidence = answers
            .iter()
            .zip(&prepared.outputs)
            .zip(&inputs)
            .filter(|((a, want), _)| a.as_ref() != Ok(*want))
            .take(3)
            .map(|((a, want), args)| difference(args, a, want))
            .collect();
        let clean = bad == 0 && broke.is_empty();
        let passed = if clean { good.min(total) } else { good.min(total.saturating_sub(1)) };
        Ok((OracleResult { passed, total }, evidence))
    }

    pub(crate) fn compare(
        &self,
        entry_point: &str,
        cases: &[(Vec<Value>, Value)],
        entry: &Entry,
    ) -> Result<(OracleResult, Vec<String>), GradeError> {
        let inputs: Vec<&[Value]> = cases.iter().map(|(args, _)| args.as_slice()).collect();
        let answers = self.evaluate(entry_point, &inputs, entry)?;
        let (mut passed, mut evidence) = (0, Vec::new());
        for ((args, expected), answer) in cases.iter().zip(&answers) {
            if answer.as_ref() == Ok(expected) {
                passed += 1;
            } else if evidence.len() < 3 {
                evidence.push(difference(args, answer, expected));
            }
        }
        let total = cases.len();
        Ok((OracleResult { passed, total }, evidence))
    }

    /// What the submission returns for these inputs, in a process that holds nothing else; an answer that did
    /// not come says why.
    fn evaluate(
        &self,
        entry_point: &str,
        inputs: &[&[Value]],
        entry: &Entry,
    ) -> Result<Vec<Result<Value, String>>, GradeError> {
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        shuffle(&mut order, &entry.key);
        let mut files: Vec<cell::InputFile> = entry.others.iter().map(|(p, t)| input(p, t)).collect();
        files.push(input(SOLUTION, &entry.source));
        let record = self.run(script::oracle(entry_point, inputs, &order), files)?;
        let mut answers: Vec<Result<Value, String>> = vec![Err("no answer".into()); inputs.len()];
        if record.verdict != cell::Verdict::Exit {
            answers.fill(Err(format!("no answer before the end ({:?})", record.verdict)));
        }
        let mut seen = vec![false; inputs.len()];
        for line in String::from_utf8_lossy(&record.stdout).lines() {
            let Some((index, text)) = line.split_once(' ') else {
                continue;
            };
            if index == "!" {
                answers.fill(Err(format!("{text} while loading")));
                break;
            }
            let Ok(i) = index.parse::<usize>() else {
                continue;
            };
            if i >= inputs.len() || std::mem::replace(&mut seen[i], true) {
                continue;
            }
            answers[i] = match text.strip_prefix('!') {
                Some(name) => Err(name.to_string()),
                None => Value::parse(text).map_err(|e| e.to_string()),
            };
        }
        Ok(answers)
    }

    fn prepared(&self, task: &Task, test: &str) -> Result<Arc<Prepared>, GradeError> {
        let key = task.digest();
        if let Some(found) = lock(&self.prepared).get(&key) {
            return Ok(found);
        }
        let wrong = |why: String| GradeError::Task { task: task.id.clone(), why };
        let record = self.run(script::prepare(&task.reference, test, &task.entry_point), Vec::new())?;
        let lines = json_lines(&record.stdout);
        let [head, inputs, outputs] = lines.as_slice() else {
            let stderr = String::from_utf8_lossy(&record.stderr);
            let last = stderr.lines().last().unwrap_or("no message");
            return Err(wrong(format!("its check cannot be run on its reference: {last}")));
        };
        let (good, bad, broke) = counts(head).ok_or_else(|| wrong("its check gave no counts".into()))?;
        if bad > 0 || !broke.is_empty() {
            return Err(wrong(format!(
                "its reference fails its own check ({bad} of {} assertions) {broke}",
                good + bad
            )));
        }
        #[derive(serde::Deserialize)]
        struct Head {
            mutated: String,
        }
        let head: Head = serde_json::from_str(head).map_err(|e| wrong(e.to_string()))?;
        let list = |text: &str| match Value::parse(text) {
            Ok(Value::List(items)) => Ok(items),
            Ok(_) => Err(wrong("its recorded calls are no list".into())),
            Err(e) => Err(wrong(format!("its recorded calls: {e}"))),
        };
        let inputs = list(inputs)?
            .into_iter()
            .map(|v| match v {
                Value::Tuple(args) => Ok(args),
                _ => Err(wrong("a recorded call is no tuple".into())),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let prepared = Arc::new(Prepared { inputs, outputs: list(outputs)?, asserts: good, mutated: head.mutated });
        lock(&self.prepared).put(key, prepared.clone());
        Ok(prepared)
    }
}

impl Task {
    /// Runs the reference against the task's own tests.
    ///
    /// # Errors
    /// [`GradeError::Task`] names the task and the case the reference fails.
    pub fn validate(&self, lab: &Lab) -> Result<(), GradeError> {
        let submission = Submission::Files([(SOLUTION.to_string(), self.reference.clone())].into());
        let grader =
            Grader::hardened(if self.humaneval.is_some() { GraderKind::Humaneval } else { GraderKind::Script });
        let entry = lab.entry(self, &grader, &submission);
        let (result, evidence) = lab.oracle(self, &entry)?;
        if result.all() {
            return Ok(());
        }
        Err(GradeError::Task {
            task: self.id.clone(),
            why: format!(
                "its reference passes {} of its own {} tests: {}",
                result.passed,
                result.total,
                evidence.join("; ")
            ),
        })
    }
}

fn input(path: &str, text: &str) -> cell::InputFile {
    cell::InputFile::new(path, text)
}

fn difference(args: &[Value], answer: &Result<Value, String>, expected: &Value) -> String {
    let clip = |s: String| {
        if s.chars().count() > 80 { s.chars().take(80).collect::<String>() + "…" } else { s }
    };
    let args = clip(Value::Tuple(args.to_vec()).python());
    let got = match answer {
        Ok(v) => clip(v.python()),
        Err(why) => why.clone(),
    };
    format!("for {args}: {got} where {} was expected", clip(expected.python()))
}

fn counts(line: &str) -> Option<(usize, usize, String)> {
    #[derive(serde::Deserialize)]
    struct Counts {
        good: usize,
        bad: usize,
        broke: String,
    }
    #[derive(serde::Deserialize)]
    struct Head {
        counts: Counts,
    }
    let c = serde_json::from_str::<Head>(line).map(|h| h.counts);
    let c = c.or_else(|_| serde_json::from_str::<Counts>(line)).ok()?;
    Some((c.good, c.bad, c.broke))
}

/// Fisher-Yates, driven by a hash of the key.
fn shuffle(order: &mut [usize], key: &[u8; 32]) {
    let mut state = u64::from_le_bytes([key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7]]);
    for i in (1..order.len()).rev() {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(i, ((z ^ (z >> 31)) % (i as u64 + 1)) as usize);
    }
}

fn shorten(text: String) -> String {
    if text.len() <= OUTPUT_SHOWN {
        return text;
    }
    // The end says more than the beginning.
    let from = (text.len() - OUTPUT_SHOWN..=text.len()).find(|i| text.is_char_boundary(*i));
    format!("…{}", &text[from.unwrap_or(text.len())..])
}
