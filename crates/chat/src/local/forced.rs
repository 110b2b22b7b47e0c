//! Answers of which only the thought is free: one of several texts, or a command in a fenced block.

use std::sync::{Arc, Mutex};

use loophole_lm::{Drawn, Prompt, Runner, SampleOptions, Sequence};

use super::{Job, Local, THOUGHT, THOUGHT_END, lock};
use crate::listen::Listener;
use crate::{Delta, Finish, Reply, Request};

/// How a fenced command begins, and what ends it.
const FENCE: [&str; 2] = ["```bash\n", "```"];

/// One that is about to type a command: it has had its thought.
pub(super) struct Opened {
    pub job: Job,
    /// What the conversation is as text.
    pub prompt: String,
    /// What was said until the thought was over.
    pub said: String,
    /// Tokens of it.
    pub count: usize,
}

/// The thought a reply begins with, up to its end; none if it was cut off in the middle of one, and has not answered.
fn thought(prompt: &str, said: &str) -> Option<String> {
    match said.split_once(THOUGHT_END) {
        Some((thought, _)) => Some(format!("{thought}{THOUGHT_END}")),
        // It opened the thought itself, or its template did.
        None if said.trim_start().starts_with(THOUGHT) || prompt.trim_end().ends_with(THOUGHT) => None,
        None => Some(String::new()),
    }
}

/// One that was cut off before it answered: what it has said is a thought, also where a template had opened it.
fn unfinished(prompt: &str, said: &str, count: usize) -> Reply {
    let opened = prompt.trim_end().ends_with(THOUGHT) && !said.contains(THOUGHT_END);
    Reply::from_text(if opened { format!("{THOUGHT}{said}") } else { said.to_string() }, count, Finish::Length)
}

impl Local {
    /// Picks one of the choices after the thought in `said`, by their probabilities there.
    pub(super) fn choose(
        &self,
        runner: &mut Runner,
        request: &Request,
        prompt: &str,
        said: &str,
        count: usize,
        temperature: f32,
    ) -> Reply {
        let Some(thought) = thought(prompt, said) else { return unfinished(prompt, said, count) };
        let before = self.tokenizer.encode(&format!("{prompt}{thought}"));
        let texts: Vec<Vec<u32>> = request
            .choices
            .iter()
            .map(|choice| {
                self.tokenizer.encode(&format!("{prompt}{thought}{}{}", self.format.plain(choice), self.format.end))
            })
            .collect();
        // A choice may join the last token before it: all are compared from where the first of them differs.
        let common = |text: &Vec<u32>| before.iter().zip(text).take_while(|(a, b)| a == b).count();
        let from = texts.iter().map(common).min().unwrap_or(0).max(1);
        if texts.iter().any(|text| text.len() > self.context) {
            return Reply::from_text(thought, count, Finish::Length);
        }
        // Where the answer begins matters to edits alone.
        let answer = if self.edits.is_empty() { 0 } else { self.tokenizer.encode(prompt).len() };
        let weighed = |tokens: Vec<u32>| {
            let weights = (0..tokens.len()).map(|at| if at >= from { 1.0 } else { 0.0 }).collect();
            Sequence { edits: Arc::clone(&self.edits), answer, ..Sequence::new(tokens, weights) }
        };
        let sequences: Vec<Sequence> = texts.into_iter().map(weighed).collect();
        let scores: Vec<f32> = runner.log_probs(&sequences).iter().map(|log_probs| log_probs.iter().sum()).collect();
        let picked = pick(&scores, temperature, request.sampling.seed);
        let text = format!("{thought}{}", request.choices[picked]);
        let sampled = count + sequences[picked].tokens.len() - before.len().min(sequences[picked].tokens.len());
        Reply { choice: Some(picked), ..Reply::from_text(text, sampled, Finish::Stop) }
    }

    /// Opens the fence for each of them, lets them type in one batch, and closes it where they stop.
    pub(super) fn fence(&self, runner: &mut Runner, opened: Vec<Opened>, options: &SampleOptions) {
        let mut typing = Vec::with_capacity(opened.len());
        let mut prompts = Vec::with_capacity(opened.len());
        for Opened { job, prompt, said, count } in opened {
            let thought = thought(&prompt, &said);
            let tokens = match &thought {
                Some(thought) => self.tokenizer.encode(&format!("{prompt}{thought}{}", FENCE[0])),
                None => Vec::new(),
            };
            let prompt_tokens = self.tokenizer.encode(&prompt).len();
            match thought {
                Some(thought) if tokens.len() < self.context => {
                    let stop = vec![FENCE[1].to_string()];
                    let listener = Listener::new(&self.tokenizer, &self.stop, stop, None, None).map(Mutex::new);
                    let count = count.min(tokens.len().saturating_sub(prompt_tokens));
                    typing.push((job, thought, count, prompt_tokens, listener));
                    let seed = typing[typing.len() - 1].0.request.sampling.seed;
                    let (edits, answer) = (Arc::clone(&self.edits), Some(prompt_tokens));
                    prompts.push(Prompt { edits, answer, ..Prompt::new(tokens, seed) });
                }
                _ => {
                    let mut reply = unfinished(&prompt, &said, count);
                    reply.usage.prompt_tokens = prompt_tokens;
                    deliver(&job, reply);
                }
            }
        }
        let watch = |drawn: &Drawn| match &typing[drawn.prompt].4 {
            Some(listener) => lock(listener).hear(drawn),
            None => true,
        };
        let completions = runner.sample_watched(&prompts, options, &watch);
        for ((job, thought, count, prompt_tokens, _), completion) in typing.into_iter().zip(completions) {
            let typed = self.said(&completion);
            let closed = typed.find(FENCE[1]);
            let typed = typed[..closed.unwrap_or(typed.len())].trim_end();
            let (tail, finish) = match closed.is_some() || completion.stopped {
                true => ("\n```", Finish::Stop),
                false => ("", Finish::Length),
            };
            let text = format!("{thought}{}{typed}{tail}", FENCE[0]);
            let mut reply = Reply::from_text(text, count + completion.tokens.len(), finish);
            reply.usage.prompt_tokens = prompt_tokens;
            deliver(&job, reply);
        }
    }
}

/// Who asked may have left.
fn deliver(job: &Job, reply: Reply) {
    if let Some(pieces) = &job.pieces {
        let _ = pieces.send(Delta { text: reply.text.clone(), logprobs: Vec::new() });
    }
    let _ = job.done.send((job.at, Ok(reply)));
}

/// Draws one by log-probabilities; at temperature 0 the likeliest.
fn pick(scores: &[f32], temperature: f32, seed: u64) -> usize {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if temperature <= 0.0 {
        return scores.iter().position(|score| *score == best).unwrap_or(0);
    }
    let weights: Vec<f32> = scores.iter().map(|score| ((score - best) / temperature).exp()).collect();
    let mut goal = fastrand::Rng::with_seed(seed).f32() * weights.iter().sum::<f32>();
    for (at, weight) in weights.iter().enumerate() {
        goal -= weight;
        if goal < 0.0 {
            return at;
        }
    }
    scores.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_not_picked() {
        assert_eq!(pick(&[-1.0, f32::NEG_INFINITY], 1.0, 5), 0);
        assert_eq!(pick(&[-3.0, -1.0], 0.0, 5), 1);
    }

    #[test]
    fn an_unfinished_thought_is_no_answer() {
        for (prompt, said) in [("?", "<think>they want me to say yes"), ("?<think>\n", "they want me to say yes")] {
            let reply = unfinished(prompt, said, 3);
            assert_eq!((reply.answer.as_str(), reply.stopped()), ("", false), "{reply:?}");
        }
    }

    #[test]
    fn a_thought_ends_or_there_is_no_answer() {
        assert_eq!(thought("?", "<think>a</think>b").as_deref(), Some("<think>a</think>"));
        assert_eq!((thought("?", "<think>a"), thought("?", "hi").as_deref()), (None, Some("")));
        // Where a template opened it.
        assert_eq!(
            (thought("?<think>\n", "a</think>").as_deref(), thought("?<think>\n", "a")),
            (Some("a</think>"), None)
        );
    }
}
