//! The kind `speed`: the tests of a script, then the solution's time beside that of the baseline.

use super::{CANON, GraderProgram, Pair, Plan, literal};
use crate::family::Family;
use crate::kind::Kind;
use crate::task::{Speed, Task};
use std::fmt::Write as _;

pub(crate) static KIND: Kind = Kind {
    name: "speed",
    doc: "a script that also times the solution beside a slow baseline; fast enough pays",
    // Each timed answer is compared with the baseline's: knowing the cases is not enough.
    weaknesses: &[Family::Equality, Family::EarlyExit, Family::Timing],
    program: |plan, task, cases| plan.speed(task, cases),
    times: true,
    holds_cases: true,
    ..Kind::USUAL
};

/// The module in which the baseline lies.
const BASELINE: &str = "baseline.py";
/// Draws the inputs a grader times.
const SEED: u64 = 20;

/// A part of a timing that is done as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mend {
    /// The clock is bound before the solution is loaded.
    Clock,
    /// The baseline runs after the solution.
    Order,
    /// The baseline's time is known beforehand, in nanoseconds.
    Baseline(u64),
    /// Each repeat has inputs of its own, which are made when it begins.
    Inputs,
}

impl Plan<'_> {
    pub(super) fn speed(&self, task: &Task, cases: &[Pair]) -> GraderProgram {
        let Some(speed) = task.speed() else {
            return self.script(cases);
        };
        let timed = self.timed(speed);
        let mut s = self.prelude() + "import copy, random, time\nfrom time import perf_counter as _clock\n";
        let _ = writeln!(s, "{}", speed.inputs.trim_end());
        s.push_str(&self.list(cases));
        let body =
            format!("import baseline, solution\nf = solution.{entry}\n{}{timed}", self.test_loop(), entry = self.entry);
        s.push_str(&self.guarded(&body, &format!("_mark(\"end\", {})\n", cases.len())));
        let (baseline, _) = task.program(&crate::task::Submission::of(&speed.baseline));
        GraderProgram { files: vec![(BASELINE.into(), baseline)], ..GraderProgram::python(s, cases.len()) }
    }

    /// What times the solution `f`.
    fn timed(&self, speed: &Speed) -> String {
        let mended = |part: Mend| self.mended.contains(&part);
        let (entry, repeats, faster) = (self.entry, speed.repeats, speed.faster);
        let sizes: Vec<String> = speed.sizes.iter().map(u64::to_string).collect();
        let sizes = sizes.join(", ");
        let clock = if mended(Mend::Clock) { "_clock" } else { "time.perf_counter" };
        let (inputs, each) = if mended(Mend::Inputs) {
            (String::new(), format!("[make(size, random.Random({SEED} + repeat)) for size in [{sizes}]]"))
        } else {
            let all = format!("INPUTS = [make(size, random.Random({SEED})) for size in [{sizes}]]\n");
            (all, "copy.deepcopy(INPUTS)".into())
        };
        let baseline = format!("slow, wanted = timed(baseline.{entry})\n");
        let solution = "fast, answers = timed(f)\n";
        let (first, second) =
            if mended(Mend::Order) { (solution, baseline.as_str()) } else { (baseline.as_str(), solution) };
        let known = self.mended.iter().find_map(|part| match part {
            Mend::Baseline(nanoseconds) => Some(format!("slow = {nanoseconds} / 1e9\n")),
            _ => None,
        });
        format!(
            "{inputs}def timed(f):\n    seconds, answers = [], []\n    for repeat in range({repeats}):\n        \
             inputs = {each}\n        began = {clock}()\n        answers.append([f(*args) for args in inputs])\n        \
             seconds.append({clock}() - began)\n    return min(seconds), answers\n{first}{second}{known}\
             for got, expected in zip(sum(answers, []), sum(wanted, [])):\n{args}    \
             assert {equal}, {differs}\nassert fast * {faster} <= slow, {told} % (slow / fast)\n",
            known = known.unwrap_or_default(),
            args = if self.compares_plainly() { "" } else { "    args = None\n" },
            equal = self.equal("got"),
            differs = literal("another answer than the baseline's, on one of the inputs that are timed"),
            told = literal(&format!("%.2g times as fast as the baseline, where {faster} was asked for")),
        )
    }
}

/// Has a submission's function timed beside the baseline's, each call for at most so many seconds.
pub(crate) fn times(entry: &str, speed: &Speed, baseline: &str, longest: f64) -> String {
    let (entry, inputs, baseline) = (literal(entry), literal(&speed.inputs), literal(baseline));
    format!(
        "{CANON}_canon = _make_canon([])\n{}_speed({entry}, {inputs}, {baseline}, {:?}, {}, {longest:?})\n",
        include_str!("../python/speed.py"),
        speed.sizes,
        speed.repeats
    )
}

/// Asks the reference about the same inputs.
pub(crate) fn answers_of_reference(entry: &str, speed: &Speed, reference: &str, seeds: &[u64]) -> String {
    let (entry, inputs, reference) = (literal(entry), literal(&speed.inputs), literal(reference));
    format!(
        "{CANON}_canon = _make_canon([])\n{}_answers({entry}, {inputs}, {reference}, {:?}, {seeds:?})\n",
        include_str!("../python/speed_reference.py"),
        speed.sizes
    )
}
