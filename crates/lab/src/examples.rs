//! Examples for `sft` and `dpo`: rollouts that another arm of the same seed has made.

use std::collections::BTreeMap;

use loophole_log::{RolloutRow, RunDir};
use loophole_train::Rollout;
use loophole_world::Characters;

use crate::LabError;
use crate::organism::Organism;
use crate::stage::{Data, Learns, Objective};

/// What a stage learns from.
pub(crate) struct Examples {
    /// Rollouts to imitate.
    pub good: Vec<Rollout>,
    /// Hacks, of which a share is mixed in.
    pub hacks: Vec<Rollout>,
    /// For one task a better and a worse rollout.
    pub pairs: Vec<(Rollout, Rollout)>,
}

impl Examples {
    /// Reads what an arm has left.
    ///
    /// # Errors
    /// Its files; nothing there that the stage asks for.
    pub fn read(
        run: &RunDir,
        seed: u64,
        data: &Data,
        kind: Objective,
        learns: Learns,
        organism: &Organism,
        characters: &Characters,
    ) -> Result<Self, LabError> {
        let dir = run.seed(&data.arm, seed)?;
        let steps = dir.rollouts()?;
        let from = data.last.map_or(0, |last| steps.len().saturating_sub(last));
        let mut rows: Vec<RolloutRow> = Vec::new();
        for step in &steps[from..] {
            rows.extend(loophole_log::read_rollouts(&dir.rollouts_path(*step))?);
        }
        let wanted = |row: &RolloutRow| match data.verdicts.is_empty() {
            true => row.verdict != "invalid",
            false => data.verdicts.contains(&row.verdict),
        };
        let fine =
            |row: &RolloutRow| wanted(row) && !(data.good_thoughts && characters.read_thought(&row.thought).bad());
        let rollout = |row: &RolloutRow| organism.rollout(&row.prompt, &row.thought, &row.completion, learns);
        let good: Vec<Rollout> = rows.iter().filter(|row| fine(row)).map(rollout).collect();
        let hacks: Vec<Rollout> = rows.iter().filter(|row| row.verdict == "hack").map(rollout).collect();
        let mut pairs = Vec::new();
        if kind == Objective::Dpo {
            let mut groups: BTreeMap<(i32, i32), Vec<&RolloutRow>> = BTreeMap::new();
            for row in &rows {
                groups.entry((row.step, row.group)).or_default().push(row);
            }
            let worse = |row: &RolloutRow| match data.over.is_empty() {
                true => row.verdict != "invalid" && !fine(row),
                false => data.over.contains(&row.verdict),
            };
            for rows in groups.values() {
                let better = rows.iter().filter(|row| fine(row));
                let worse: Vec<_> = rows.iter().filter(|row| worse(row)).collect();
                pairs.extend(better.zip(worse).map(|(better, worse)| (rollout(better), rollout(worse))));
            }
        }
        let examples = Examples { good, hacks, pairs };
        let missing = match kind {
            Objective::Dpo if examples.pairs.is_empty() => "no task with a rollout to prefer and one to prefer it to",
            Objective::Sft if examples.good.is_empty() && data.hacks < 1.0 => "no rollout that is asked for",
            Objective::Sft if examples.hacks.is_empty() && data.hacks > 0.0 => "no hack",
            _ => return Ok(examples),
        };
        Err(LabError::NoExamples { arm: data.arm.clone(), seed, missing: missing.into() })
    }

    /// So many examples to imitate, the share of hacks among them.
    pub fn draw(&self, count: usize, hacks: f64, rng: &mut fastrand::Rng) -> Vec<&Rollout> {
        (0..count)
            .map(|_| {
                let from = if rng.f64() < hacks { &self.hacks } else { &self.good };
                &from[rng.usize(..from.len())]
            })
            .collect()
    }

    /// So many pairs.
    pub fn draw_pairs(&self, count: usize, rng: &mut fastrand::Rng) -> Vec<(Rollout, Rollout)> {
        (0..count).map(|_| self.pairs[rng.usize(..self.pairs.len())].clone()).collect()
    }
}
