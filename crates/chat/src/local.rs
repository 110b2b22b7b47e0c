//! A checkpoint on this machine.
//!
//! Whoever asks puts its requests into one queue and then waits for the engine. The one that gets it runs everything
//! that waits as one batch, so callers on many threads are served together, and the work is done on a thread of
//! one of them, with that thread's priority. What a request is answered depends on nothing but the request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loophole_lm::{
    Checkpoint, Completion, Config, Drawn, Edits, GenerationConfig, LmError, Model, Prompt, Runner, SampleOptions,
    Tokenizer,
};

use crate::format::Format;
use crate::listen::{Heard, Listener};
use crate::{Chat, ChatError, Delta, Finish, Reply, Request};

mod forced;
mod text;

const THOUGHT: &str = "<think>";
const THOUGHT_END: &str = "</think>";

/// A checkpoint with its tokenizer and its chat format, run by `loophole-lm`.
pub struct Local {
    name: String,
    tokenizer: Tokenizer,
    format: Arc<Format>,
    stop: Vec<u32>,
    /// The folder or file it was opened from.
    folder: Option<PathBuf>,
    /// The folder of its tokenizer.
    beside: Option<PathBuf>,
    /// How to sample where a request does not say.
    generation: GenerationConfig,
    /// Most tokens of a conversation.
    context: usize,
    /// Tokens that the model knows.
    vocabulary: usize,
    /// Most bytes of one token.
    longest: usize,
    /// Changes of what goes on inside, in all that it says.
    edits: Arc<Edits>,
    waiting: Mutex<Vec<Job>>,
    running: Mutex<Runner>,
}

/// A request in the queue.
struct Job {
    request: Request,
    pieces: Option<Sender<Delta>>,
    /// Its place among the requests of its caller, and where to send the reply.
    at: usize,
    done: Sender<(usize, Result<Reply, ChatError>)>,
}

/// Nothing is left half-done by one who panicked while holding a lock: the queue is whole, the engine has scratch only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    /// Opens a folder with `config.json`, `*.safetensors` and `tokenizer.json`, or a GGUF file or a folder with one, and
    /// an adapter of PEFT if one is named.
    ///
    /// # Errors
    /// Something is missing there, broken or not supported.
    pub fn open(dir: &Path, adapter: Option<&Path>, threads: usize) -> Result<Self, ChatError> {
        Self::open_beside(dir, dir, adapter, threads)
    }

    /// The same with the tokenizer of another folder.
    ///
    /// # Errors
    /// As [`Local::open`].
    pub fn open_beside(dir: &Path, beside: &Path, adapter: Option<&Path>, threads: usize) -> Result<Self, ChatError> {
        let name = dir.display().to_string();
        let failed = |error: LmError| ChatError::Model { model: name.clone(), reason: error.to_string() };
        let checkpoint = Checkpoint::open_beside(dir, beside, adapter, threads).map_err(failed)?;
        let Checkpoint { tokenizer, stop, generation, config, template, runner } = checkpoint;
        if Format::is_own(&tokenizer) {
            let stop = tokenizer.id(&Format::own().end).into_iter().collect();
            let local = Self::new(name, tokenizer, Format::own(), stop, &config, runner);
            return Ok(Local { generation, folder: Some(dir.into()), beside: Some(beside.into()), ..local });
        }
        let Some(end) = stop.first().and_then(|token| tokenizer.token(*token)) else {
            let reason = "no token ends a turn; name one as eos_token in tokenizer_config.json".to_string();
            return Err(ChatError::Model { model: name, reason });
        };
        let format = Format::template(template.map_err(failed)?, &tokenizer, end);
        let local = Self::new(name, tokenizer, format, stop, &config, runner);
        Ok(Local { generation, folder: Some(dir.into()), beside: Some(beside.into()), ..local })
    }

    /// A model in memory that speaks this project's own chat format.
    ///
    /// # Errors
    /// The tokenizer lacks the marks of the chat format, or has tokens that the model does not know.
    pub fn from_parts(model: Model, tokenizer: Tokenizer, threads: usize) -> Result<Self, ChatError> {
        let name = "local".to_string();
        let Checkpoint { tokenizer, stop, config, runner, .. } = Checkpoint::from_parts(model, tokenizer, threads)
            .map_err(|error| ChatError::Model { model: name.clone(), reason: error.to_string() })?;
        Ok(Self::new(name, tokenizer, Format::own(), stop, &config, runner))
    }

    fn new(
        name: String,
        tokenizer: Tokenizer,
        format: Format,
        stop: Vec<u32>,
        config: &Config,
        runner: Runner,
    ) -> Self {
        let longest = tokenizer.longest().max(1);
        Local {
            name,
            tokenizer,
            format: Arc::new(format),
            stop,
            folder: None,
            beside: None,
            generation: GenerationConfig::default(),
            context: config.max_position_embeddings,
            vocabulary: config.vocab_size,
            longest,
            edits: Arc::default(),
            waiting: Mutex::default(),
            running: Mutex::new(runner),
        }
    }

    /// The number of a token of its vocabulary.
    pub fn token_of(&self, text: &str) -> Option<u32> {
        self.tokenizer.id(text)
    }

    /// The same model under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same model with changes of what goes on inside, in all that it says. An answer begins where the conversation
    /// ends: a thought that it is given is a part of it.
    #[must_use]
    pub fn steered(mut self, edits: &Arc<Edits>) -> Self {
        self.edits = Arc::clone(edits);
        self
    }

    fn ask(&self, requests: Vec<(Request, Option<Sender<Delta>>)>) -> Vec<Result<Reply, ChatError>> {
        let mut replies: Vec<Option<Result<Reply, ChatError>>> = vec![None; requests.len()];
        let (done, arrived) = channel();
        let mut jobs = Vec::with_capacity(requests.len());
        for (at, (request, pieces)) in requests.into_iter().enumerate() {
            jobs.push(Job { request, pieces, at, done: done.clone() });
        }
        lock(&self.waiting).extend(jobs);
        drop(done);
        {
            let mut running = lock(&self.running);
            let jobs = std::mem::take(&mut *lock(&self.waiting));
            self.run(&mut running, jobs);
        }
        // Whoever took ours from the queue held the engine until they were done.
        for (at, reply) in arrived {
            replies[at] = Some(reply);
        }
        let lost = || ChatError::Model { model: self.name.clone(), reason: "the engine stopped in the middle".into() };
        replies.into_iter().map(|reply| reply.unwrap_or_else(|| Err(lost()))).collect()
    }

    fn run(&self, running: &mut Runner, jobs: Vec<Job>) {
        // What is sampled alike goes into one batch: as a rule everything.
        let mut batches: BTreeMap<(u32, u32, usize, usize), Vec<Job>> = BTreeMap::new();
        for job in jobs {
            let (asked, usual) = (&job.request.sampling, &self.generation);
            let temperature = asked.temperature.or(usual.temperature).unwrap_or(1.0);
            let top_p = asked.top_p.or(usual.top_p).unwrap_or(1.0);
            let top_k = asked.top_k.or(usual.top_k).unwrap_or(0);
            batches.entry((temperature.to_bits(), top_p.to_bits(), top_k, asked.max_tokens)).or_default().push(job);
        }
        for ((temperature, top_p, top_k, max_new), jobs) in batches {
            let (temperature, top_p) = (f32::from_bits(temperature), f32::from_bits(top_p));
            let options = SampleOptions { temperature, top_k, top_p, max_new, stop: self.stop.clone() };
            self.batch(running, jobs, &options);
        }
    }

    fn batch(&self, runner: &mut Runner, jobs: Vec<Job>, options: &SampleOptions) {
        let mut fitting = Vec::with_capacity(jobs.len());
        let mut prompts = Vec::with_capacity(jobs.len());
        for job in jobs {
            let tools = if self.format.knows_tools() { &job.request.tools[..] } else { &[] };
            let text = match &job.request.tokens {
                None => self.written(&job.request.messages, tools),
                Some(tokens) => self.known(tokens).map(|()| String::new()).map_err(|reason| ChatError::Rejected {
                    model: self.name.clone(),
                    status: 400,
                    reason,
                }),
            };
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    let _ = job.done.send((job.at, Err(error)));
                    continue;
                }
            };
            // So many bytes cannot be so few tokens, and are not read one by one to see it. (Composing the characters of
            // a text leaves a third of its bytes at least.)
            let least = text.len() / (self.longest * 3);
            let opening =
                job.request.thought.as_deref().map(|thought| self.opening(&text, thought)).unwrap_or_default();
            let prompt = format!("{text}{opening}");
            let tokens = match &job.request.tokens {
                Some(tokens) => tokens.clone(),
                None if least < self.context => self.tokenizer.encode(&prompt),
                None => Vec::new(),
            };
            let called_off = || job.pieces.as_ref().is_some_and(|pieces| pieces.send(Delta::default()).is_err());
            if least < self.context && tokens.len() < self.context {
                if called_off() {
                    let _ = job.done.send((job.at, Ok(Reply::from_text("", 0, Finish::Length))));
                    continue;
                }
                let seed = job.request.sampling.seed;
                let stop = match job.request.is_forced() {
                    false => job.request.sampling.stop.clone(),
                    // Only the thought is free.
                    true => vec![THOUGHT_END.to_string()],
                };
                let top = job.request.sampling.logprobs;
                // Where it may call a tool, nothing is sent on before it is known whether it did.
                let pieces = job.pieces.clone().filter(|_| tools.is_empty());
                let mut listener = Listener::new(&self.tokenizer, &self.stop, stop, top, pieces);
                // One that does not think has nothing to say before; some templates open the thought.
                if job.request.is_forced() && (!opening.is_empty() || !text.trim_end().ends_with(THOUGHT)) {
                    listener = listener.map(|listener| listener.only_after(THOUGHT));
                }
                if job.request.tokens.is_some() {
                    listener = listener.map(Listener::with_end);
                }
                if let Some(pieces) = job.pieces.as_ref().filter(|_| !opening.is_empty()) {
                    // Who has left is seen with the first token.
                    let _ = pieces.send(Delta { text: opening.clone(), logprobs: Vec::new() });
                }
                // Where the answer begins matters to edits alone.
                let begun = !self.edits.is_empty() && !opening.is_empty();
                let answer = begun.then(|| self.tokenizer.encode(&text).len());
                fitting.push((job, text, opening, listener.map(Mutex::new)));
                prompts.push(Prompt { edits: Arc::clone(&self.edits), answer, ..Prompt::new(tokens, seed) });
            } else {
                // No room to say anything: cut off before the first token.
                let mut reply = Reply::from_text("", 0, Finish::Length);
                reply.usage.prompt_tokens = tokens.len().max(least);
                let _ = job.done.send((job.at, Ok(reply)));
            }
        }
        let watch = |drawn: &Drawn| match &fitting[drawn.prompt].3 {
            Some(listener) => lock(listener).hear(drawn),
            None => true,
        };
        let completions = runner.sample_watched(&prompts, options, &watch);
        let mut fenced = Vec::new();
        for (((job, text, opening, listener), completion), prompt) in fitting.into_iter().zip(completions).zip(&prompts)
        {
            let said_text = self.said(&completion);
            let whole = |said: &str| format!("{opening}{said}");
            if job.request.fenced {
                let (said, count) = (whole(&said_text), completion.tokens.len());
                fenced.push(forced::Opened { job, prompt: text, said, count });
                continue;
            }
            let heard = listener.map(|listener| listener.into_inner().unwrap_or_else(PoisonError::into_inner));
            let finish = if completion.stopped { Finish::Stop } else { Finish::Length };
            let count = completion.tokens.len();
            let mut reply = match heard.map(|heard| heard.end(&said_text)) {
                _ if !job.request.choices.is_empty() => {
                    self.choose(runner, &job.request, &text, &whole(&said_text), count, options.temperature)
                }
                Some(Heard { cut, stop, logprobs }) => {
                    let finish = if stop.is_some() { Finish::Stop } else { finish };
                    Reply { stop, logprobs, ..Reply::from_text(whole(&said_text[..cut]), count, finish) }
                }
                None => Reply::from_text(whole(&said_text), count, finish),
            };
            reply.usage.prompt_tokens = prompt.tokens.len();
            if self.format.knows_tools() && !job.request.tools.is_empty() {
                self.read_calls(&job, &mut reply);
            }
            // Who asked may have left.
            let _ = job.done.send((job.at, Ok(reply)));
        }
        self.fence(runner, fenced, options);
    }

    /// A thought as the beginning of a reply; some templates have opened it already.
    fn opening(&self, prompt: &str, thought: &str) -> String {
        let open = if prompt.trim_end().ends_with(THOUGHT) { "" } else { THOUGHT };
        // Its end would come from within.
        let thought = self.format.plain(&thought.replace(THOUGHT_END, ""));
        format!("{open}{thought}{THOUGHT_END}")
    }

    /// The text of a completion, without what ended it.
    fn said(&self, completion: &Completion) -> String {
        let said = match completion.tokens.split_last() {
            Some((last, said)) if self.stop.contains(last) => said,
            _ => &completion.tokens,
        };
        self.tokenizer.decode(said)
    }

    /// Takes calls of tools out of what was said, and sends on what is left.
    fn read_calls(&self, job: &Job, reply: &mut Reply) {
        reply.read_calls(&job.request);
        if let Some(pieces) = &job.pieces {
            let logprobs = reply.logprobs.clone().unwrap_or_default();
            let _ = pieces.send(Delta { text: reply.text.clone(), logprobs });
        }
    }
}

impl Chat for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        self.ask(requests.iter().map(|request| (request.clone(), None)).collect())
    }

    fn ends_unheard(&self) -> bool {
        true
    }

    fn takes_thoughts(&self) -> bool {
        true
    }

    fn generation(&self) -> Option<&GenerationConfig> {
        Some(&self.generation)
    }

    fn local(&self) -> Option<&Local> {
        Some(self)
    }

    fn stream(&self, request: &Request, pieces: Sender<Delta>) -> Result<Reply, ChatError> {
        let mut replies = self.ask(vec![(request.clone(), Some(pieces))]);
        // One request, one reply.
        replies.remove(0)
    }
}

#[cfg(test)]
mod tests;
