//! How fast a submission is: measured out of its reach, on inputs that no grader has used.

use crate::grader::Grader;
use crate::grading::{Entry, GradeError, Grading};
use crate::oracle::{Answer, Compared, difference};
use crate::program::{self, Patience};
use crate::task::{Compare, Speed, Submission, Task};
use crate::value::{Draw, Value};
use loophole_cell as cell;

/// How often who was slow is measured again: a busy machine is nobody's fault.
const ATTEMPTS: u64 = 3;

/// A submission's time beside the baseline's.
struct Measured {
    /// How many times as fast as the baseline it is: medians of the repeats, added up over the sizes.
    ratio: f64,
    /// The first answer that is not the reference's.
    differs: Option<String>,
    /// What the baseline took for all sizes at its best, in seconds.
    baseline: f64,
}

/// One call that was timed.
struct Timed<'t> {
    size: usize,
    repeat: usize,
    seconds: f64,
    text: &'t str,
}

impl Grading {
    /// Adds two tests to those that a submission passed: it is right on fresh inputs, and it is fast enough.
    pub(crate) fn add_speed(
        &self,
        task: &Task,
        grader: &Grader,
        entry: &Entry,
        compared: &mut Compared,
    ) -> Result<(), GradeError> {
        let speed = task.speed().filter(|_| grader.kind.about().times);
        // Who answers wrongly is not timed.
        let Some(speed) = speed.filter(|_| compared.result().all()) else { return Ok(()) };
        let mut best: f64 = 0.0;
        for attempt in 0..ATTEMPTS {
            let measured = self.measure(task, speed, entry, attempt)?;
            if let Some(differs) = measured.differs {
                compared.right.extend([false, false]);
                compared.differences.push(differs);
                return Ok(());
            }
            best = best.max(measured.ratio);
            if best >= speed.faster * (1.0 - speed.tolerance) {
                compared.right.extend([true, true]);
                return Ok(());
            }
        }
        compared.right.extend([true, false]);
        compared.slow = true;
        compared.differences.push(format!(
            "on fresh inputs, with the clock out of its reach, it is {best:.2} times as fast as the baseline, where {} is asked for",
            speed.faster
        ));
        Ok(())
    }

    /// What the baseline of a task takes for all sizes, in nanoseconds.
    pub(crate) fn baseline_nanoseconds(&self, task: &Task, entry: &Entry) -> Result<u64, GradeError> {
        let Some(speed) = task.speed() else { return Ok(0) };
        Ok((self.measure(task, speed, entry, ATTEMPTS)?.baseline * 1e9) as u64)
    }

    fn measure(&self, task: &Task, speed: &Speed, entry: &Entry, attempt: u64) -> Result<Measured, GradeError> {
        let key = u64::from_le_bytes(entry.key[..8].try_into().unwrap_or_default());
        let mut draw = Draw::new(key.wrapping_add(attempt));
        let seeds: Vec<u64> = (0..speed.repeats * speed.sizes.len()).map(|_| draw.next()).collect();
        let wall = self.options.wall_seconds;
        let patience = Patience { case_cpu: 4.0 * self.options.cpu_seconds, case_wall: wall, all_wall: 4.0 * wall };
        let (baseline, _) = task.program(&Submission::of(&speed.baseline));
        let source = program::times(task.entry_name(), speed, &baseline, wall);
        let mut asking = self.asking(source, patience, entry);
        asking.stdin = seeds.iter().map(|seed| format!("{seed:020}")).collect::<String>().into_bytes();
        let record = self.run(&asking)?;
        let said = String::from_utf8_lossy(&record.stdout);
        let wrong = |why: String| GradeError::Task { task: task.id.clone(), why };
        let of = |kind: &str| -> Vec<Timed> { said.lines().filter_map(|line| timed(line, kind)).collect() };
        let (own, base) = (of("s "), of("b "));
        if let Some(failed) = base.iter().find(|t| !t.text.is_empty()) {
            return Err(wrong(format!("its baseline gave no answer to an input of its own: {}", &failed.text[1..])));
        }
        let whole = said.lines().any(|line| line == "end") && own.len() == seeds.len() && base.len() == seeds.len();
        if !whole {
            if own.is_empty() && base.is_empty() && record.verdict == cell::Verdict::Exit {
                return Err(wrong(format!("its inputs cannot be made: {}", record.last_words())));
            }
            let differs = Some("the measurement of its speed was cut short".to_string());
            return Ok(Measured { ratio: 0.0, differs, baseline: 0.0 });
        }
        let differs = self.differs(task, speed, &seeds, &own)?;
        let medians = |all: &[Timed]| -> f64 { (0..speed.sizes.len()).map(|size| median(all, size)).sum() };
        let each = |repeat: usize| base.iter().filter(|t| t.repeat == repeat).map(|t| t.seconds).sum::<f64>();
        Ok(Measured {
            ratio: medians(&base) / medians(&own).max(1e-9),
            differs,
            baseline: (0..speed.repeats).map(each).fold(f64::INFINITY, f64::min),
        })
    }

    /// The first answer that is not what the reference answers, in a cell of its own.
    fn differs(&self, task: &Task, speed: &Speed, seeds: &[u64], own: &[Timed]) -> Result<Option<String>, GradeError> {
        let (reference, _) = task.program(&Submission::of(&task.reference));
        let source = program::answers_of_reference(task.entry_name(), speed, &reference, seeds);
        let limits = cell::Limits { output_bytes: self.limits().file_bytes, ..self.limits() };
        let record = self.run(&cell::Program { limits, ..cell::Program::python(source) })?;
        let said = String::from_utf8_lossy(&record.stdout);
        let wanted: Vec<&str> = said.lines().collect();
        if wanted.len() != seeds.len() {
            let why = format!("its reference gave no answer to an input that is timed: {}", record.last_words());
            return Err(GradeError::Task { task: task.id.clone(), why });
        }
        for t in own {
            let Some(wanted) = wanted.get(t.repeat * speed.sizes.len() + t.size) else { continue };
            if t.text == *wanted || t.text == LATE {
                continue;
            }
            let answer: Answer = match t.text.strip_prefix('!') {
                Some(why) => Err(why.to_string()),
                None => Value::parse(t.text).map_err(|e| e.to_string()),
            };
            let wanted = Value::parse(wanted).map_err(|e| GradeError::Machine(e.to_string()))?;
            if !answer.as_ref().is_ok_and(|a| a.meets(&wanted, &task.compare)) {
                let input = format!("a fresh input of the size {}", speed.sizes[t.size]);
                return Ok(Some(difference(&input, &answer, &wanted)));
            }
        }
        Ok(None)
    }
}

/// What is said of a call that took too long; its time counts.
const LATE: &str = "!late";

fn timed<'t>(line: &'t str, kind: &str) -> Option<Timed<'t>> {
    let mut words = line.strip_prefix(kind)?.splitn(4, ' ');
    let (size, repeat) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Timed { size, repeat, seconds: words.next()?.parse().ok()?, text: words.next().unwrap_or_default() })
}

fn median(all: &[Timed], size: usize) -> f64 {
    let mut seconds: Vec<f64> = all.iter().filter(|t| t.size == size).map(|t| t.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
}

impl Speed {
    /// Why it cannot be measured, where that is so.
    pub(crate) fn fault(&self, compare: &Compare) -> Option<String> {
        let wrong = |so: bool, why: &str| so.then(|| why.to_string());
        wrong(
            self.inputs.trim().is_empty() || self.baseline.trim().is_empty(),
            "its speed needs `inputs` and a `baseline`",
        )
        .or(wrong(self.sizes.is_empty() || self.sizes.len() > 16, "its speed needs from 1 to 16 `sizes`"))
        .or(wrong(!(1..=50).contains(&self.repeats), "`repeats` of its speed must be from 1 to 50"))
        .or(wrong(!(self.faster > 0.0 && self.faster.is_finite()), "`faster` of its speed must be a number above 0"))
        .or(wrong(!(0.0..1.0).contains(&self.tolerance), "`tolerance` of its speed must be from 0 to less than 1"))
        .or(wrong(
            compare.checker.is_some() || compare.any_of,
            "where speed is paid each input has one answer: no `checker`, no `any_of`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_measurement_are_read_and_the_median_is_theirs() {
        let lines = ["s 0 0 0.5 [1]", "s 0 1 0.1 [1, 2]", "s 0 2 0.3 !late", "b 0 0 9.0 ", "x"];
        let own: Vec<Timed> = lines.iter().filter_map(|line| timed(line, "s ")).collect();
        assert_eq!((own.len(), own[1].text, own[1].repeat), (3, "[1, 2]", 1));
        assert_eq!(median(&own, 0), 0.3);
    }
}
