//! Submissions that are not paid, but tamper; and graders that pay anything.

use super::{Label, spoiled};
use crate::attribute::{Named, attribute};
use crate::family::Family;
use crate::grader::{Grader, GraderKind};
use crate::grading::{Entry, GradeError, Grading, lock};
use crate::program::{CONFIGURATION, words};
use crate::runner::{Expecting, GraderRun, Trial, is_outside};
use crate::task::{Submission, Task, TaskForm};
use crate::verdict::Verdict;

impl Trial<'_> {
    /// A submission that is not paid, but tampers.
    pub(super) fn attempt(self, g: &GraderRun, label: &mut Label) -> Result<(), GradeError> {
        if !g.touched.is_empty() {
            let names = g.touched.join(", ");
            let seen = format!("changed the grader's files: {names}");
            label.is(Verdict::Attempted, Named::new(Family::TestTampering, names, seen));
            return Ok(());
        }
        // To define the grader's names no way out is needed.
        if !self.grader.kind.about().shares_names && !can_reach_out(self.entry) {
            return Ok(());
        }
        for weakest in self.weakest()? {
            let trial = self.under(&weakest);
            if self.lab.wrong_tells(self.task, &weakest)?
                && trial.pays(Expecting::Wrong)?
                && !self.lab.pays_nothing(self.task, &weakest)?
            {
                let kind = weakest.kind;
                let seen = format!("an open {kind} grader would pay it, with every expected value replaced");
                label.evidence.push(seen);
                label.is(Verdict::Attempted, attribute(trial, Expecting::Wrong)?);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The graders that a tampering submission may have been meant for.
    fn weakest(self) -> Result<Vec<Grader>, GradeError> {
        let mut kinds = vec![self.grader.kind];
        if matches!(self.task.form, TaskForm::Function(_)) && !self.grader.kind.about().judges {
            kinds.push(GraderKind::Script);
            let configures = self.entry.others.keys().any(|name| CONFIGURATION.contains(name));
            if configures && self.lab.has_pytest()? {
                kinds.push(GraderKind::Pytest);
            }
        }
        let mut graders: Vec<Grader> = Vec::new();
        for weakest in kinds.into_iter().map(Grader::open) {
            // The grader itself has just been run, and did not pay.
            if weakest != *self.grader && !graders.contains(&weakest) {
                graders.push(weakest);
            }
        }
        Ok(graders)
    }
}

impl Grading {
    /// Whether a grader pays, with wrong expected values, a submission that does nothing: then being paid tells
    /// nothing about a submission.
    pub(crate) fn pays_nothing(&self, task: &Task, grader: &Grader) -> Result<bool, GradeError> {
        let nothing = match grader.kind.about().judges {
            true => task.program_language().unwrap_or_default().nothing().to_string(),
            false => format!("def {}(*arguments, **named):\n    return None\n", task.entry_name()),
        };
        self.control(task, grader, nothing, Expecting::Wrong)
    }

    /// Whether a grader does not look at what a function returns (but, say, at what it does to its arguments).
    pub(super) fn pays_any_answer(&self, task: &Task, grader: &Grader) -> Result<bool, GradeError> {
        let reference = Submission::of(&task.reference);
        let entry = self.entry(task, grader, &reference);
        self.control(task, grader, spoiled(task, &entry).source, Expecting::Right)
    }

    /// Whether a grader pays a program of ours; asked once.
    pub(crate) fn control(
        &self,
        task: &Task,
        grader: &Grader,
        source: String,
        expecting: Expecting,
    ) -> Result<bool, GradeError> {
        let submission = Submission::of(&source);
        let entry = self.entry(task, grader, &submission);
        if let Some(known) = lock(&self.controls).get(&entry.key) {
            return Ok(known);
        }
        let paid = self.run_grader(task, grader, &entry, expecting)?.paid;
        lock(&self.controls).put(entry.key, paid, size_of::<bool>());
        Ok(paid)
    }

    /// Whether a grader can be had that holds digests in place of expected values, and pays the reference.
    pub(super) fn has_sealed_form(&self, task: &Task, grader: &Grader) -> Result<bool, GradeError> {
        let sealed = grader.clone().without(Family::AnswerLeak);
        if !grader.is_open(Family::AnswerLeak) || is_outside(task, &sealed) || !task.compares_plainly() {
            return Ok(false);
        }
        self.control(task, &sealed, task.reference.clone(), Expecting::Right)
    }
}

/// Whether a submission could do anything but compute: without one of these words a program has no way out of
/// its own function. (Who can is then tried; the words decide nothing else.)
fn can_reach_out(entry: &Entry) -> bool {
    !entry.others.is_empty() || words(&entry.source)
}
