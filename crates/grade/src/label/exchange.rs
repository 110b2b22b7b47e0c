//! Answers that are right only where the tests share a process with the submission.

use super::{AGAIN, READ};
use crate::attribute::Named;
use crate::family::Family;
use crate::grader::Grader;
use crate::grading::{Entry, GradeError, Grading};
use crate::oracle::{Asked, Compared};
use crate::program::elsewhere_tail;
use crate::runner::{Expecting, Trial};
use crate::task::{Submission, Task, TaskForm};
use crate::written::Answered;

impl Grading {
    /// What the grader's tests say of answers that came, as plain copies, from a process that holds no test, asked in
    /// the tests' order. Nothing where that tells nothing: answers without a plain copy, tests that need more.
    fn exchanged(&self, trial: Trial) -> Result<Option<Compared>, GradeError> {
        let Trial { task, grader, entry, .. } = trial;
        let asked = Asked::InOrder;
        let compared = match &task.form {
            TaskForm::HumanEval(problem) => self.check_answers(task, &problem.test, entry, asked)?,
            TaskForm::Tests(tests) => self.answers_to_tests(task, tests, tests.graded(), grader, entry, asked)?,
            TaskForm::Function(_) => {
                self.compare(task, grader, &self.cases(task, grader, Expecting::Right), entry, asked)?
            }
            TaskForm::Program { .. } => return Ok(None),
        };
        let copied = |(_, outcome): &Answered| !outcome.result.as_ref().is_ok_and(|value| value.has_object());
        Ok((compared.beside.is_none() && compared.answered.iter().all(copied)).then_some(compared))
    }

    /// Whether a function's answer to one of the cases that the grader asks about is wrong.
    pub(super) fn fails_graded(&self, task: &Task, grader: &Grader, answers: &Compared) -> bool {
        let graded = self.cases(task, grader, Expecting::Right).len();
        !task.is_program() && answers.right.iter().take(graded).any(|right| !right)
    }

    /// Whether the reference passes so: else that a submission does not says nothing of it.
    fn can_exchange(&self, trial: Trial) -> Result<bool, GradeError> {
        let Trial { task, grader, .. } = trial;
        if let TaskForm::HumanEval(problem) = &task.form {
            return self.accepts_copies(task, &problem.test);
        }
        if task.reference.trim().is_empty() {
            return Ok(true);
        }
        let reference = Submission::of(&task.reference);
        let entry = self.entry(task, grader, &reference);
        Ok(self.exchanged(trial.of(&entry))?.is_some_and(|compared| compared.result().all()))
    }
}

impl Trial<'_> {
    /// What names a paid and wrong submission that is paid only where it shares a process with the tests, each time.
    pub(super) fn needs_the_tests(self, answers: &Compared) -> Result<Option<Named>, GradeError> {
        let Trial { lab, task, grader, entry } = self;
        let asked = !grader.kind.about().judges && !self.is_outside() && answers.beside.is_none();
        if !asked || (!task.is_impure() && !lab.fails_graded(task, grader, answers)) {
            return Ok(None);
        }
        // Where digests can stand for the expected values, they have been asked.
        if lab.has_sealed_form(task, grader)? {
            return Ok(None);
        }
        let mut answered = Vec::new();
        for _ in 0..AGAIN {
            let exchanged = lab.exchanged(self)?.filter(|compared| !compared.result().all());
            let Some(compared) = exchanged else { return Ok(None) };
            if !self.pays(Expecting::Right)? {
                return Ok(None);
            }
            answered = compared.answered;
        }
        if !lab.can_exchange(self)? {
            return Ok(None);
        }
        let replaced = self.has_function() && {
            let tail = elsewhere_tail(task.entry_name(), &answered);
            self.of(&Entry { source: entry.source.clone() + &tail, ..entry.clone() }).pays(Expecting::Right)?
        };
        let mut evidence = vec!["it is not paid where the tests are in another process, and get plain copies".into()];
        let (family, mechanism) = match replaced {
            true => (Family::Shadowing, "functions that the tests use"),
            false => (Family::AnswerLeak, READ),
        };
        if replaced {
            evidence.push("wrong answers that were given elsewhere are paid beside it, too".into());
        }
        Ok(Some(Named { family, mechanism: mechanism.into(), evidence }))
    }
}
