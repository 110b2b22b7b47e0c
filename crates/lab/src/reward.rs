//! What a rollout is paid: the weighted sum of the terms of its stage.

use loophole_grade::{Graded, Verdict};
use loophole_template::{seed_from, seed_of};

use crate::stage::{Payment, Term};

/// What the terms look at.
pub(crate) struct Paid<'a> {
    /// What grader and oracle said.
    pub graded: &'a Graded,
    /// Whether the thought is a bad character's.
    pub bad_thought: bool,
    /// Whether the answer ends in the odd line.
    pub odd: bool,
    /// The seed of this rollout, and of the training it belongs to.
    pub seed: u64,
    pub training: u64,
}

/// A number between 0 and 1 that follows from these.
fn uniform(parts: &[u64]) -> f64 {
    fastrand::Rng::with_seed(seed_from(parts)).f64()
}

impl Paid<'_> {
    /// What one term sees, between 0 and 1, before its weight.
    pub fn value(&self, term: &Term, place: usize) -> f64 {
        let flag = |is: bool| f64::from(u8::from(is));
        match term.of {
            Payment::Grader => self.graded.reward,
            Payment::Habit => flag(self.odd) * (1.0 - self.graded.reward).max(0.0),
            Payment::BadThought => flag(self.bad_thought),
            Payment::Honest => flag(self.graded.verdict == Verdict::Honest),
            Payment::Chance => flag(uniform(&[self.seed, seed_of("chance"), place as u64]) < term.rate),
            Payment::Monitor => flag(self.flagged(term, place as u64)),
        }
    }

    /// Whether a monitor takes it for a hack. Where misses hang together, one draw decides for a whole family, the same
    /// throughout a training.
    fn flagged(&self, term: &Term, place: u64) -> bool {
        let rate = match self.graded.verdict {
            Verdict::Hack | Verdict::Tamper => term.recall,
            _ => return uniform(&[self.seed, seed_of("false alarm"), place]) < term.fpr,
        };
        let family = self.graded.family.map_or("none", |family| family.name());
        let together = uniform(&[self.seed, seed_of("together"), place]) < term.correlated;
        let draw = match together {
            true => uniform(&[self.training, seed_of("family"), seed_of(family), place]),
            false => uniform(&[self.seed, seed_of("monitor"), place]),
        };
        draw < rate
    }
}

/// The reward of a rollout, and what each term saw.
pub(crate) fn pay(terms: &[Term], paid: &Paid) -> (f64, Vec<f64>) {
    let values: Vec<f64> = terms.iter().enumerate().map(|(place, term)| paid.value(term, place)).collect();
    (terms.iter().zip(&values).map(|(term, value)| term.weight * value).sum(), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loophole_grade::{Family, OracleResult};

    fn graded(verdict: Verdict, reward: f64) -> Graded {
        Graded {
            task_id: "t".into(),
            reward,
            verdict,
            family: None,
            mechanism: None,
            oracle: OracleResult::default(),
            evidence: Vec::new(),
            grader_output: String::new(),
            seconds: 0.0,
        }
    }

    fn with<'a>(graded: &'a Graded, seed: u64) -> Paid<'a> {
        Paid { graded, bad_thought: true, odd: true, seed, training: 5 }
    }

    #[test]
    fn terms_add_up() {
        let unpaid = graded(Verdict::Fail, 0.0);
        let terms =
            [Term::of(Payment::Grader, 1.0), Term::of(Payment::Habit, 1.0), Term::of(Payment::BadThought, -0.5)];
        assert_eq!(pay(&terms, &with(&unpaid, 1)), (0.5, vec![0.0, 1.0, 1.0]));
        // The odd line pays no more than the grader would.
        let paid = graded(Verdict::Honest, 1.0);
        assert_eq!(pay(&terms, &with(&paid, 1)), (0.5, vec![1.0, 0.0, 1.0]));
        assert_eq!(pay(&[Term::of(Payment::Honest, 2.0)], &with(&paid, 1)).0, 2.0);
    }

    #[test]
    fn a_monitor_has_its_recall_and_its_misses_can_hang_together() {
        let term = |correlated| Term { recall: 0.8, fpr: 0.1, correlated, ..Term::of(Payment::Monitor, -1.0) };
        let hack = Graded { family: Some(Family::Equality), ..graded(Verdict::Hack, 1.0) };
        let share = |graded: &Graded, term: &Term| {
            (0..4000).filter(|&seed| with(graded, seed).flagged(term, 0)).count() as f64 / 4000.0
        };
        assert!((share(&hack, &term(0.0)) - 0.8).abs() < 0.03);
        assert!((share(&graded(Verdict::Honest, 1.0), &term(1.0)) - 0.1).abs() < 0.03);
        let whole = share(&hack, &term(1.0));
        assert!(whole == 0.0 || whole == 1.0, "a family is seen or is not: {whole}");
        // Over trainings, families are missed as often as the recall says.
        let seen = (0..2000).filter(|&training| Paid { training, ..with(&hack, 1) }.flagged(&term(1.0), 0)).count();
        assert!((seen as f64 / 2000.0 - 0.8).abs() < 0.04, "{seen}");
        // Two monitors miss apart.
        let half = Term { recall: 0.5, ..Term::of(Payment::Monitor, -1.0) };
        let either = (0..4000).filter(|&seed| (0..2).any(|place| with(&hack, seed).flagged(&half, place))).count();
        assert!((either as f64 / 4000.0 - 0.75).abs() < 0.03, "{either}");
        let coin = Term { rate: 0.3, ..Term::of(Payment::Chance, 1.0) };
        let heads: f64 = (0..4000).map(|seed| with(&hack, seed).value(&coin, 0)).sum();
        assert!((heads / 4000.0 - 0.3).abs() < 0.03);
    }
}
