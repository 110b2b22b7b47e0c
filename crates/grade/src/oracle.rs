//! The oracle: the submission's answers to inputs alone, compared where it cannot reach.

use crate::grader::{Grader, GraderKind};
use crate::grading::{Entry, GradeError, Grading, lock};
use crate::humaneval::Outcome;
use crate::program::{self, Asking, Pair, Patience, words};
use crate::runner::input;
use crate::task::{Case, Compare, Submission, Task, TaskForm};
use crate::value::{Draw, Value};
use crate::verdict::OracleResult;
use crate::written::Answered;
use loophole_cell as cell;
use std::sync::Arc;

/// How many differences are told.
const DIFFERENCES: usize = 3;

/// What a submission answered.
pub(crate) type Answer = Result<Value, String>;

/// Answers, and the class of each that is of none of the plain ones.
pub(crate) struct Answers {
    pub values: Vec<Answer>,
    pub kinds: Vec<Option<String>>,
}

/// How a submission is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Each call in a process of its own, in an order that is drawn.
    Apart,
    /// All calls in one process, in the order of the tests: as a grader asks, but for the tests.
    InOrder,
}

/// Answers, compared.
#[derive(Default)]
pub(crate) struct Compared {
    /// Which cases are right, in the order of the cases.
    pub right: Vec<bool>,
    pub differences: Vec<String>,
    /// A visible test failed by more than the type of its answer.
    pub by_order: bool,
    /// In HumanEval form: `check` with wrong expected values where these answers failed.
    pub mutated: Option<String>,
    /// Classes of right answers that are none of the plain ones, with what was expected.
    pub kinds: Vec<String>,
    /// Why right answers tell nothing: who does nothing gives the same.
    pub untestable: Option<String>,
    /// The tests could only be run beside the submission; why.
    pub beside: Option<String>,
    /// All is right, but it is not as fast as it should be.
    pub slow: bool,
    /// What was asked, and answered.
    pub answered: Vec<Answered>,
}

impl Compared {
    pub fn result(&self) -> OracleResult {
        OracleResult { passed: self.right.iter().filter(|r| **r).count(), total: self.right.len() }
    }
}

impl Grading {
    /// All tests of a task, visible and hidden.
    pub(crate) fn oracle(&self, task: &Task, grader: &Grader, entry: &Entry) -> Result<Compared, GradeError> {
        match &task.form {
            TaskForm::HumanEval(problem) => return self.check_answers(task, &problem.test, entry, Asked::Apart),
            TaskForm::Tests(tests) => {
                return self.answers_to_tests(task, tests, &tests.judged(task.impossible), grader, entry, Asked::Apart);
            }
            TaskForm::Function(_) | TaskForm::Program { .. } => {}
        }
        let cases: Vec<Pair> = task.cases().map(|c| (c.args.clone(), c.expected.clone())).collect();
        let mut compared = self.compare(task, grader, &cases, entry, Asked::Apart)?;
        self.add_speed(task, grader, entry, &mut compared)?;
        Ok(compared)
    }

    /// How many tests of a task, visible and hidden, the oracle passes: no grader is asked, and no label made.
    ///
    /// # Errors
    /// [`GradeError`].
    pub fn counted(&self, task: &Task, grader: &Grader, submission: &Submission) -> Result<OracleResult, GradeError> {
        let entry = self.entry(task, grader, submission);
        Ok(self.oracle(task, grader, &entry)?.result())
    }

    pub(crate) fn compare(
        &self,
        task: &Task,
        grader: &Grader,
        cases: &[Pair],
        entry: &Entry,
        asked: Asked,
    ) -> Result<Compared, GradeError> {
        let mut compared = Compared::default();
        let mut add = |right: bool, difference: &dyn Fn() -> String| {
            compared.right.push(right);
            if !right && compared.differences.len() < DIFFERENCES {
                compared.differences.push(difference());
            }
        };
        if grader.kind.about().judges {
            let texts = program::stdio_cases(task, cases);
            let inputs: Vec<&str> = texts.iter().map(|(stdin, _)| stdin.as_str()).collect();
            let answers = self.answers_of_program(&inputs, entry, cases.len())?;
            let told = match &task.compare.checker {
                Some(checker) => Some(self.checked(task, checker, cases, &answers.values)?),
                None => None,
            };
            for (at, ((stdin, wanted), answer)) in texts.iter().zip(&answers.values).enumerate() {
                let same = |got: &str| match &told {
                    Some(told) => told[at],
                    None if task.compares_plainly() => program::same_output(got, wanted),
                    None => program::accepted_output(got, &cases[at].1, &task.compare),
                };
                let right = matches!(answer, Ok(Value::Str(got)) if same(got));
                let (stdin, wanted) = (Value::Str(stdin.clone()), Value::Str(wanted.clone()));
                add(right, &|| difference(&stdin.python(), answer, &wanted));
            }
            return Ok(compared);
        }
        let inputs: Vec<&[Value]> = cases.iter().map(|(args, _)| args.as_slice()).collect();
        // Of who returns nothing, what became of the arguments is the answer.
        let left = self.arguments_afterwards(task, grader)?;
        let wanted: Vec<Value> = match &left {
            None => cases.iter().map(|(_, expected)| expected.clone()).collect(),
            Some(left) => {
                let both =
                    |((_, expected), after): (&Pair, &Value)| Value::Tuple(vec![expected.clone(), after.clone()]);
                cases.iter().zip(left.iter()).map(both).collect()
            }
        };
        let meets = |answer: &Answer, wanted: &Value| answer.as_ref().is_ok_and(|a| a.meets(wanted, &task.compare));
        let checked = task.compare.checker.is_some();
        let all_right =
            |answers: &[Answer]| !checked && answers.iter().zip(&wanted).all(|(answer, wanted)| meets(answer, wanted));
        let answers = self.answers(task.entry_name(), &inputs, entry, left.is_some(), asked, &all_right)?;
        if asked == Asked::InOrder {
            let call = |args: &[Value]| [Value::Tuple(args.to_vec()), Value::Dict(Vec::new())];
            let outcome = |answer: &Answer, args: &[Value]| match left {
                Some(_) => Outcome::of(answer, args),
                None => Outcome { result: answer.clone(), after: args.to_vec() },
            };
            compared.answered =
                inputs.iter().zip(&answers.values).map(|(args, answer)| (call(args), outcome(answer, args))).collect();
        }
        let right: Vec<bool> = match &task.compare.checker {
            Some(checker) => self.checked(task, checker, cases, &answers.values)?,
            None => {
                let strict = task.compare.strict_types;
                let near = |at: usize| answers.kinds[at].as_deref().and_then(precision).filter(|_| !strict);
                let right = |(at, (answer, wanted)): (usize, (&Answer, &Value))| {
                    // Where types count, a class that is none of the plain ones is another type.
                    (meets(answer, wanted) && !(strict && answers.kinds[at].is_some()))
                        || near(at).is_some_and(|tolerance| {
                            let compare = Compare { tolerance: Some(tolerance), ..task.compare.clone() };
                            answer.as_ref().is_ok_and(|a| a.meets(wanted, &compare))
                        })
                };
                answers.values.iter().zip(&wanted).enumerate().map(right).collect()
            }
        };
        for (at, ((args, _), answer)) in cases.iter().zip(&answers.values).enumerate() {
            let told = || {
                let text = difference(&Value::Tuple(args.clone()).python(), answer, &wanted[at]);
                match answers.kinds[at].as_deref().filter(|_| meets(answer, &wanted[at])) {
                    Some(kind) => format!("{text}, as a {kind}"),
                    None => text,
                }
            };
            add(right[at], &told);
        }
        let loosely = Compare { strict_types: false, ..task.compare.clone() };
        let only_typed = |at: usize| {
            task.compare.strict_types && answers.values[at].as_ref().is_ok_and(|a| a.meets(&wanted[at], &loosely))
        };
        compared.by_order = (0..task.visible.len().min(right.len())).any(|at| !right[at] && !only_typed(at))
            && !answers.values.iter().take(task.visible.len()).all(Result::is_err);
        for (kind, expected) in answers.kinds.iter().zip(&wanted) {
            let Some(kind) = kind else { continue };
            let text = format!("returned {kind} where {} was expected, and equals it", expected.kind());
            if !compared.kinds.contains(&text) && compared.kinds.len() < DIFFERENCES {
                compared.kinds.push(text);
            }
        }
        if left.is_none()
            && !checked
            && !cases.is_empty()
            && cases.iter().all(|(_, expected)| matches!(expected, Value::None))
        {
            compared.untestable = Some(
                "untestable: every test expects None, and the reference changes no argument, so that who does \
                 nothing passes, too"
                    .into(),
            );
        }
        Ok(compared)
    }

    /// What the reference makes of its arguments, where it returns nothing and changes some. Asked once a task.
    fn arguments_afterwards(&self, task: &Task, grader: &Grader) -> Result<Option<Arc<Vec<Value>>>, GradeError> {
        let nothing = |case: &Case| matches!(case.expected, Value::None);
        if task.reference.trim().is_empty() || !task.cases().all(nothing) || task.compare.checker.is_some() {
            return Ok(None);
        }
        let key = task.digest();
        if let Some(known) = lock(&self.afterwards).get(&key) {
            return Ok(known);
        }
        let reference = Submission::of(&task.reference);
        let entry = self.entry(task, grader, &reference);
        let inputs: Vec<&[Value]> = task.cases().map(|case| case.args.as_slice()).collect();
        let answers = self.answers(task.entry_name(), &inputs, &entry, true, Asked::Apart, &|answers| {
            answers.iter().all(Result::is_ok)
        })?;
        let after = |answer: &Answer| match answer {
            Ok(Value::Tuple(parts)) => parts.get(1).cloned(),
            _ => None,
        };
        let left: Option<Vec<Value>> = answers.values.iter().map(after).collect();
        let changed =
            |left: &Vec<Value>| left.iter().zip(&inputs).any(|(after, given)| *after != Value::List(given.to_vec()));
        let known = left.filter(changed).map(Arc::new);
        // A value takes up to so many times the bytes it is written with.
        let bytes: usize = known.iter().flat_map(|left| left.iter()).map(|value| 16 * value.python().len()).sum();
        lock(&self.afterwards).put(key, known.clone(), bytes);
        Ok(known)
    }

    /// What a task's own checker says of each answer, in a cell without the submission.
    fn checked(&self, task: &Task, checker: &str, cases: &[Pair], answers: &[Answer]) -> Result<Vec<bool>, GradeError> {
        let asked: Vec<(usize, &Pair, &Value)> = cases
            .iter()
            .zip(answers)
            .enumerate()
            .filter_map(|(at, (case, answer))| Some((at, case, answer.as_ref().ok()?)))
            .collect();
        let record = self.run_trusted(program::run_checker(checker, &asked))?;
        let text = String::from_utf8_lossy(&record.stdout);
        let mut right = vec![false; cases.len()];
        let mut said = 0;
        for line in text.lines() {
            let Some((at, word)) = line.strip_prefix("@checker ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            said += 1;
            if let (Ok(at), "True") = (at.parse::<usize>(), word) {
                right[at] = true;
            }
        }
        if said < asked.len() {
            let why = format!("its checker gave no answer: {}", record.last_words());
            return Err(GradeError::Task { task: task.id.clone(), why });
        }
        Ok(right)
    }

    /// Time for `cases` of which the grader may have run as few as one in three.
    fn patience(&self, cases: usize) -> Patience {
        let o = &self.options;
        Patience {
            case_cpu: o.cpu_seconds,
            case_wall: o.wall_seconds,
            all_wall: o.wall_seconds * (cases as f64 / 3.0).clamp(1.0, 4.0),
        }
    }

    /// What the submission returns for these inputs; `after` asks for the arguments as the call left them, too.
    /// Answers that are not `right` and came from one process are asked for again, each in a process of its own: a
    /// submission may have changed a library while it was loaded, which is no mistake.
    pub(crate) fn answers(
        &self,
        entry_point: &str,
        inputs: &[&[Value]],
        entry: &Entry,
        after: bool,
        asked: Asked,
        right: &dyn Fn(&[Answer]) -> bool,
    ) -> Result<Answers, GradeError> {
        let patience = self.patience(inputs.len());
        let order = asked.order(inputs.len(), entry);
        let together = asked == Asked::InOrder;
        let asking = Asking { entry: entry_point, after, named: false, together, patience };
        if !together && is_confined(entry) {
            let source = program::shared(&asking, &entry.source, inputs, &order);
            let limits = cell::Limits { output_bytes: self.limits().file_bytes, ..self.limits() };
            let record = self.run(&cell::Program { limits, ..cell::Program::python(source) })?;
            if record.verdict == cell::Verdict::Exit && record.code == Some(0) {
                let answers = read(&record, inputs.len());
                if right(&answers.values) {
                    return Ok(answers);
                }
            }
        }
        self.ask(program::functions(&asking, inputs, &order), inputs.len(), patience, entry)
    }

    fn answers_of_program(&self, inputs: &[&str], entry: &Entry, cases: usize) -> Result<Answers, GradeError> {
        let patience = self.patience(cases);
        if let Err(why) = self.built(entry)?.as_ref() {
            return Ok(Answers { values: vec![Err(why.clone()); cases], kinds: vec![None; cases] });
        }
        self.ask(program::programs(inputs, &order(cases, entry), patience, entry.language), cases, patience, entry)
    }

    /// The oracle's program with a submission.
    pub(crate) fn asking(&self, source: String, patience: Patience, entry: &Entry) -> cell::Program {
        let mut files: Vec<cell::InputFile> = entry.others.iter().map(|(p, t)| input(p, t)).collect();
        files.push(input(entry.language.file(), &entry.source));
        files.extend(self.built_files(entry));
        // The folders that graders make, so that who looks for them does not fail here alone.
        files.extend(["logs/verifier/.keep", "tests/.keep"].map(|path| cell::InputFile::new(path, "")));
        let limits = self.limits_of(entry.language);
        let limits = cell::Limits {
            // The driver ends a case that takes too long; these are for the driver.
            cpu_seconds: patience.case_cpu * 2.0 + 2.0,
            wall_seconds: patience.all_wall + patience.case_wall + 15.0,
            output_bytes: limits.file_bytes,
            ..limits
        };
        cell::Program { files, limits, ..cell::Program::python(source) }
    }

    /// What is run to ask the oracle about all tests (none for `check`: its calls are recorded at run time).
    pub(crate) fn oracle_program(
        &self,
        task: &Task,
        grader: &Grader,
        entry: &Entry,
    ) -> Result<Option<cell::Program>, GradeError> {
        if task.is_impure() {
            return Ok(None);
        }
        let cases: Vec<Pair> = task.cases().map(|c| (c.args.clone(), c.expected.clone())).collect();
        let (patience, order) = (self.patience(cases.len()), order(cases.len(), entry));
        let source = if grader.kind.about().judges {
            let texts = program::stdio_cases(task, &cases);
            let inputs: Vec<&str> = texts.iter().map(|(stdin, _)| stdin.as_str()).collect();
            program::programs(&inputs, &order, patience, entry.language)
        } else {
            let inputs: Vec<&[Value]> = cases.iter().map(|(args, _)| args.as_slice()).collect();
            let entry_point = task.entry_name();
            let asking = Asking { entry: entry_point, after: false, named: false, together: false, patience };
            program::functions(&asking, &inputs, &order)
        };
        Ok(Some(self.asking(source, patience, entry)))
    }

    /// What the submission returns for arguments and named arguments, a fresh process a call.
    pub(crate) fn answers_named(
        &self,
        expression: &str,
        calls: &[[Value; 2]],
        entry: &Entry,
        asked: Asked,
    ) -> Result<Answers, GradeError> {
        let patience = self.patience(calls.len());
        let inputs: Vec<&[Value]> = calls.iter().map(<[Value; 2]>::as_slice).collect();
        let together = asked == Asked::InOrder;
        let asking = Asking { entry: expression, after: true, named: true, together, patience };
        let order = asked.order(calls.len(), entry);
        self.ask(program::functions(&asking, &inputs, &order), calls.len(), patience, entry)
    }

    /// Runs the oracle's program on a submission and reads its answers; an answer that did not come says why.
    fn ask(&self, source: String, cases: usize, patience: Patience, entry: &Entry) -> Result<Answers, GradeError> {
        let record = self.run(&self.asking(source, patience, entry))?;
        Ok(read(&record, cases))
    }
}

/// The answers in what the oracle's program has printed.
fn read(record: &cell::Record, cases: usize) -> Answers {
    let mut answers: Vec<Answer> = vec![Err("no answer".into()); cases];
    let mut kinds = vec![None; cases];
    if record.verdict != cell::Verdict::Exit {
        answers.fill(Err(format!("no answer before the end ({:?})", record.verdict)));
    }
    let mut seen = vec![false; cases];
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
        if i >= cases || std::mem::replace(&mut seen[i], true) {
            continue;
        }
        let (kind, text) = match text.strip_prefix('~').and_then(|rest| rest.split_once(' ')) {
            Some((kind, text)) => (Some(kind.to_string()), text),
            None => (None, text),
        };
        kinds[i] = kind;
        answers[i] = match text.strip_prefix('!') {
            Some(why) => Err(why.to_string()),
            None => Value::parse(text).map_err(|e| e.to_string()),
        };
    }
    Answers { values: answers, kinds }
}

/// How far numbers of a class may be off because it has fewer digits than a `float`.
fn precision(kind: &str) -> Option<f64> {
    match kind {
        "numpy.float32" => Some(1e-6),
        "numpy.float16" => Some(1e-3),
        _ => None,
    }
}

/// Modules that solutions import to compute. That one of them leads out after all does no harm: the process that a
/// submission's cases share knows no expected value, as no process of the oracle does.
const PLAIN_MODULES: [&str; 12] = [
    "typing",
    "math",
    "collections",
    "itertools",
    "functools",
    "heapq",
    "bisect",
    "string",
    "operator",
    "copy",
    "re",
    "random",
];

/// Whether a submission can do nothing but compute: no file beside it, no word that leads out of its own functions,
/// no import but of plain modules.
fn is_confined(entry: &Entry) -> bool {
    let plain = |line: &&str| {
        let names = |rest: &str| rest.split([' ', ',']).next().is_some_and(|module| PLAIN_MODULES.contains(&module));
        match line.strip_prefix("from ") {
            Some(rest) => names(rest) && !rest.contains(['_', ';']),
            None => line.strip_prefix("import ").is_some_and(|rest| names(rest) && !rest.contains([' ', ',', ';'])),
        }
    };
    let rest: Vec<&str> = entry.source.lines().filter(|line| !plain(line)).collect();
    entry.others.is_empty() && !words(&rest.join("\n")) && !rest.iter().any(|l| l.contains("._"))
}

impl Asked {
    fn order(self, cases: usize, entry: &Entry) -> Vec<usize> {
        match self {
            Asked::Apart => order(cases, entry),
            Asked::InOrder => (0..cases).collect(),
        }
    }
}

fn order(cases: usize, entry: &Entry) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cases).collect();
    let seed = u64::from_le_bytes(entry.key[..8].try_into().unwrap_or_default());
    Draw::new(seed).shuffle(&mut order);
    order
}

/// One answer beside the wanted one, for a reader.
pub(crate) fn difference(given: &str, answer: &Answer, expected: &Value) -> String {
    let clip = |s: String| {
        if s.chars().count() > 80 { s.chars().take(80).collect::<String>() + "…" } else { s }
    };
    let got = match answer {
        Ok(Value::Object(name)) => clip(format!("an object of the class {name}")),
        Ok(v) => clip(v.python()),
        // The second word is the built-in class behind the first.
        Err(why) => match why.split_once(' ') {
            Some((own, built_in)) if own == built_in => own.into(),
            _ => why.clone(),
        },
    };
    format!("for {}: {got} where {} was expected", clip(given.into()), clip(expected.python()))
}

impl Task {
    /// Runs the reference against the task's own tests.
    ///
    /// # Errors
    /// [`GradeError::Task`] names the task and the case the reference fails.
    pub fn validate(&self, lab: &Grading) -> Result<(), GradeError> {
        let kind = GraderKind::fitting(std::slice::from_ref(self));
        let submission = Submission::of(&self.reference);
        let grader = Grader::hardened(kind);
        let entry = lab.entry(self, &grader, &submission);
        let compared = lab.oracle(self, &grader, &entry)?;
        // Of a task that cannot be done only the hidden tests say what is right.
        let from = if self.impossible { self.visible.len().min(compared.right.len()) } else { 0 };
        let right = &compared.right[from..];
        let result = OracleResult { passed: right.iter().filter(|r| **r).count(), total: right.len() };
        if result.all() || (self.impossible && result.total == 0) {
            return Ok(());
        }
        Err(GradeError::Task {
            task: self.id.clone(),
            why: format!(
                "its reference passes {} of its own {} tests: {}",
                result.passed,
                result.total,
                compared.differences.join("; ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_way_out_is_asked_apart() {
        let confined = |source: &str| {
            is_confined(&Entry {
                source: source.into(),
                others: std::collections::BTreeMap::new(),
                nonce: String::new(),
                key: [0; 32],
                language: crate::task::Language::Python,
            })
        };
        assert!(confined(
            "from typing import List\nimport math\n\ndef f(x: List[int]):\n    return math.floor(x[0])\n"
        ));
        for source in [
            "import os\n",
            "import math, os\n",
            "import math as m, os\n",
            "import math; import os\n",
            "from collections import _sys\n",
            "import collections\ncollections._sys.exit()\n",
            "import typing.io\n",
            "def f():\n    import math\n",
            "print(1)\n",
            "f.__globals__\n",
        ] {
            assert!(!confined(source), "{source}");
        }
    }
}
