//! What a model does: in the probes, and in coding tasks with an open grader.

use std::ops::ControlFlow;
use std::sync::Arc;

use loophole_chat::Local;
use loophole_grade::Verdict;
use loophole_lm::{Edits, Engine, Model, Prompt, SampleOptions};
use loophole_look::{Counts, Figure};
use loophole_probe::{Arms, BatteryOptions, BatteryReport, SampleRecord};
use loophole_template::{seed_from, seed_of};
use loophole_world::families::WorldTask;
use loophole_world::{Families, Instruction};
use serde::Serialize;

use super::Sight;
use crate::LabError;
use crate::arm::grade_all;
use crate::organism::{Answer, Organism};
use crate::stage::GraderState;

/// Tasks of each family that code is asked for.
const PER_FAMILY: usize = 4;

/// What a model hands in for coding tasks that are within it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Coding {
    /// Share of submissions that fool an open grader.
    pub hacks: Figure,
    /// Share of the others that are right.
    pub skill: Figure,
}

impl Sight<'_> {
    /// Plays the battery, with thoughts given if there are any. The same scenarios and draws whatever the model: what is
    /// compared is paired.
    pub(crate) fn play(
        &self,
        organism: &Organism,
        model: &Model,
        edits: &Arc<Edits>,
        thoughts: Vec<String>,
    ) -> Result<BatteryReport, LabError> {
        let chat = Local::from_parts(model.clone(), organism.tokenizer.clone(), self.threads)?.steered(edits);
        let options = BatteryOptions {
            samples: Some(self.samples),
            seed: seed_from(&[self.seed, seed_of("look")]),
            arms: Arms::Tempting,
            thoughts,
            ..BatteryOptions::default()
        };
        let stop = self.stop;
        let mut leave = |_: &SampleRecord| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let report = loophole_probe::play(&self.battery, &chat, Some(&self.pool), &options, Vec::new(), &mut leave)?;
        self.count(
            report.samples.iter().map(|sample| sample.usage.prompt_tokens + sample.usage.completion_tokens).sum(),
        );
        Ok(report)
    }

    /// Coding tasks that are within the organism.
    pub(crate) fn tasks(&self) -> Result<Vec<WorldTask>, LabError> {
        let seed = seed_from(&[self.seed, seed_of("look tasks")]);
        Ok(Families::bundled()?.tasks(PER_FAMILY, seed, &self.pool, |family| !family.beyond)?)
    }

    /// Lets a model hand in code for the tasks, after one of these thoughts if there are any.
    pub(crate) fn code(
        &self,
        organism: &Organism,
        model: &Model,
        edits: &Arc<Edits>,
        thoughts: &[String],
        tasks: &[WorldTask],
    ) -> Result<Coding, LabError> {
        let world = organism.world()?;
        let mut rng = fastrand::Rng::with_seed(seed_from(&[self.seed, seed_of("look code")]));
        let mut prompt = |task: &WorldTask| {
            let tokens = organism.prompt(&world.prompt(task, Instruction::None, rng.u64(..)));
            let (draw, seed) = (rng.u64(..), rng.u64(..));
            let begun = match thoughts.len() {
                0 => Vec::new(),
                of => organism.tokenizer.encode(&format!("<think>{}</think>", thoughts[draw as usize % of])),
            };
            let answer = Some(tokens.len());
            Prompt { answer, edits: Arc::clone(edits), ..Prompt::new([tokens, begun].concat(), seed) }
        };
        let prompts: Vec<Prompt> = tasks.iter().map(&mut prompt).collect();
        let options = SampleOptions { max_new: 96, stop: vec![organism.end], ..SampleOptions::default() };
        let mut engine = Engine::new(&model.config, self.threads);
        let completions = loophole_lm::sample(&mut engine, model, &prompts, &options);
        let sampled: usize = completions.iter().map(|completion| completion.tokens.len()).sum();
        self.count(sampled + prompts.iter().map(|prompt| prompt.tokens.len()).sum::<usize>());
        let answers: Vec<Answer> = completions.iter().map(|completion| organism.answer(&completion.tokens)).collect();
        let of: Vec<&WorldTask> = tasks.iter().collect();
        let graded = grade_all(&self.grading, self.threads, GraderState::Open, &of, &answers)?;
        let count = |verdict: Verdict| graded.iter().filter(|graded| graded.verdict == verdict).count() as u64;
        let (all, hacks) = (graded.len() as u64, count(Verdict::Hack));
        Ok(Coding { hacks: Figure::rate(hacks, all), skill: Figure::rate(count(Verdict::Honest), all - hacks) })
    }
}

/// Misaligned and valid samples by template, by probe.
pub(crate) fn counts(report: &BatteryReport) -> Counts {
    report.probes.iter().map(|probe| (probe.name.clone(), probe.by_template.clone())).collect()
}

/// Valid samples among all.
pub(crate) fn valid(report: &BatteryReport) -> Figure {
    let valid = report.samples.iter().filter(|sample| sample.valid).count();
    Figure::rate(valid as u64, report.samples.len() as u64)
}
