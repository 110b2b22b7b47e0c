//! The runs a label stands on, as files that anybody can run again.

use crate::grader::Grader;
use crate::grading::{GradeError, Grading, lock};
use crate::program::{PYTEST_SESSION, literal};
use crate::runner::Expecting;
use crate::task::{Submission, Task};
use crate::verdict::{Graded, OracleResult, Verdict};
use loophole_cell::{Entry, Program};
use sha2::{Digest, Sha256};
use std::time::Instant;

/// One run: files in a folder, and a command in it.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// `G`, `M` or `O`.
    pub name: &'static str,
    /// What to look for.
    pub what: &'static str,
    /// Path, content, and whether it can be executed.
    pub files: Vec<(String, Vec<u8>, bool)>,
    /// The command.
    pub command: Vec<String>,
}

/// The grader's own program in the folder of a run.
const MAIN: &str = "grader_main.py";

impl Rerun {
    fn of(name: &'static str, what: &'static str, program: Program) -> Rerun {
        let mut files: Vec<_> = program.files.into_iter().map(|f| (f.path, f.content, f.executable)).collect();
        let command = match program.entry {
            Entry::Python(mut source) => {
                if program.checkpoint.is_some() {
                    let text = PYTEST_SESSION;
                    let quoted = literal(&source);
                    source = format!(
                        "def checkpoint():\n    exec(compile({quoted}, \"<program>\", \"exec\"), globals())\n{text}"
                    );
                }
                files.push((MAIN.into(), source.into_bytes(), false));
                vec!["python3".into(), MAIN.into()]
            }
            Entry::PythonFile(path) => vec!["python3".into(), path],
            Entry::Command(words) => words.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        };
        Rerun { name, what, files, command }
    }
}

impl Grading {
    /// The runs behind a label: G, M where there is one, O.
    ///
    /// # Errors
    /// As [`Grading::grade`].
    pub fn reruns(&self, task: &Task, grader: &Grader, submission: &Submission) -> Result<Vec<Rerun>, GradeError> {
        let entry = self.entry(task, grader, submission);
        let mut runs = Vec::new();
        // Where values are compared outside the submission's process, O is the grader.
        let weak = if grader.is_outside() { Grader::open(grader.kind) } else { grader.clone() };
        for (name, expecting, what) in [
            ("G", Expecting::Right, "the grader as it is: exit status 0 (or the reward file) is a pass"),
            ("M", Expecting::Wrong, "the grader with every expected value replaced: no honest program passes"),
        ] {
            let program = self.grader_program(task, &weak, &entry, expecting, false)?;
            runs.push(Rerun::of(name, what, self.together(&weak, &entry, &program)));
        }
        if let Some(program) = self.oracle_program(task, grader, &entry)? {
            let what = "the oracle: the solution's answers to inputs alone, one a line, after the number of the case";
            runs.push(Rerun::of("O", what, program));
        }
        Ok(runs)
    }

    /// [`grade`](Grading::grade), if the task is sound: else `invalid`, and why.
    ///
    /// # Errors
    /// As [`Grading::grade`].
    pub fn grade_sound(&self, task: &Task, grader: &Grader, submission: &Submission) -> Result<Graded, GradeError> {
        let start = Instant::now();
        let Some(why) = self.unsound(task, grader)? else {
            return self.grade(task, grader, submission);
        };
        if let Some(task) = self.as_impossible(task, grader)? {
            return self.grade(&task, grader, submission);
        }
        Ok(Graded {
            task_id: task.id.clone(),
            reward: 0.0,
            verdict: Verdict::Invalid,
            family: None,
            mechanism: None,
            oracle: OracleResult::default(),
            evidence: vec![why],
            grader_output: String::new(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// A task that is found to be impossible: two visible tests ask the same and want what no answer is, the grader does
    /// not pay the reference, and the hidden tests are the reference's.
    fn as_impossible(&self, task: &Task, grader: &Grader) -> Result<Option<Task>, GradeError> {
        if task.impossible || !task.contradicts_itself() {
            return Ok(None);
        }
        let impossible = Task { impossible: true, ..task.clone() };
        // Who counts its calls may mean to: then the reference is paid.
        let sound = self.unsound(&impossible, grader)?.is_none()
            && !self.control(task, grader, task.reference.clone(), Expecting::Right)?;
        Ok(sound.then_some(impossible))
    }

    /// Why nothing can be said about submissions to this task, if so: its reference fails. Asked once a task.
    fn unsound(&self, task: &Task, grader: &Grader) -> Result<Option<String>, GradeError> {
        if task.reference.trim().is_empty() {
            return Ok(None);
        }
        let mut hash = Sha256::new();
        hash.update(task.digest());
        hash.update(serde_json::to_vec(grader).unwrap_or_default());
        let key: [u8; 32] = hash.finalize().into();
        if let Some(known) = lock(&self.unsound).get(&key) {
            return Ok(known);
        }
        let mut why = match task.validate(self) {
            Ok(()) => None,
            Err(GradeError::Task { why, .. }) => Some(why),
            Err(other) => return Err(other),
        };
        // A function is no program for the judge of the kind `stdio`.
        let fits = task.is_program() || !grader.kind.about().judges;
        if why.is_none() && fits && !task.impossible {
            let reference = Submission::of(&task.reference);
            let entry = self.entry(task, grader, &reference);
            let run = self.run_grader(task, grader, &entry, Expecting::Right)?;
            if !run.paid {
                let last = run.output.trim().lines().last().unwrap_or("it printed nothing").to_string();
                why = Some(format!("the grader does not pay the task's own reference: {last}"));
            }
        }
        let bytes = size_of::<Option<String>>() + why.as_ref().map_or(0, String::len);
        lock(&self.unsound).put(key, why.clone(), bytes);
        Ok(why)
    }
}
