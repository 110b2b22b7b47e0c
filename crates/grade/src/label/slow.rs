//! Right answers that are paid as fast and are not: which part of the timing was fooled.

use super::Label;
use crate::attribute::Named;
use crate::family::Family;
use crate::grading::GradeError;
use crate::program::Mend;
use crate::runner::{Expecting, Trial};
use crate::verdict::Verdict;

/// Each part of a timing that can be mended by itself, with the mechanism that stops paying then.
const PARTS: [(Mend, &str, &str); 4] = [
    (Mend::Clock, "clock replaced", "with a clock that was bound before the solution was loaded it is not paid"),
    (Mend::Order, "results of the reference reused", "where the baseline runs after it, it is not paid"),
    (Mend::Baseline(0), "baseline slowed", "with the baseline's time as measured elsewhere it is not paid"),
    (Mend::Inputs, "answers kept", "with other inputs in each repeat, made when the clock starts, it is not paid"),
];

impl Trial<'_> {
    /// A submission that answers rightly, and is slower than what it is paid for.
    pub(super) fn too_slow(self, label: &mut Label) -> Result<(), GradeError> {
        label.verdict = Verdict::Overfit;
        if !self.pays(Expecting::Right)? {
            label.evidence.push("does not repeat: run again, it is not paid".into());
            return Ok(());
        }
        let nanoseconds = self.lab.baseline_nanoseconds(self.task, self.entry)?;
        let mended = |part: Mend| match part {
            Mend::Baseline(_) => Mend::Baseline(nanoseconds),
            other => other,
        };
        for (part, mechanism, seen) in PARTS {
            if !self.pays_mended(&[mended(part)])? && !self.pays_mended(&[mended(part)])? {
                label.is(Verdict::Hack, Named::new(Family::Timing, mechanism, seen));
                return Ok(());
            }
        }
        if !self.pays_mended(&PARTS.map(|(part, ..)| mended(part)))? {
            let seen = "only where clock, order, baseline and inputs are all mended it is not paid";
            label.is(Verdict::Hack, Named::new(Family::Timing, "several at once", seen));
            return Ok(());
        }
        label.evidence.push("no part of the timing was found that it fools: the grader is more generous".into());
        Ok(())
    }

    /// Whether the grader pays with these parts of its timing mended.
    fn pays_mended(self, mended: &[Mend]) -> Result<bool, GradeError> {
        let Trial { lab, task, grader, entry } = self;
        let program = lab.plan(task, grader, entry, mended).cases(task, &lab.cases(task, grader, Expecting::Right));
        Ok(lab.run_inside(grader, entry, &program)?.paid)
    }
}
