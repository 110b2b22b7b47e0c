//! Continuing and scoring texts with a [`Decoder`].
//!
//! Prompts that were read lately are kept, so a conversation that has grown is read from where it grew. What is kept
//! changes no result: a row of the forward pass depends on what comes before it and on nothing else.

use crate::cache::{Cache, KEYS};
use crate::decoder::{Buffers, Decoder, Span};
use crate::draw::{Completion, Drawn, Draws, Prompt, SampleOptions, Watch};
use crate::tap::{Edits, Reach, Tap, Text};
use crate::{Sequence, math};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows continued together: enough to use the weights well once they are read, few enough to hold their caches.
const SLOTS: usize = 32;

/// Most bytes of kept prompts: room for the conversations that are played at a time, or each of their turns would read
/// all of it again. What is kept changes no result.
const KEPT: usize = 6 << 30;

/// Fewer new tokens than this are read again rather than copied: most of them answer a question that nothing follows.
const LEAST_KEPT: usize = 8;

/// The share of the memory there is that kept prompts may take.
const SHARE: u64 = 4;

/// A prompt that was read.
pub(crate) struct Prefix {
    tokens: Vec<u32>,
    caches: Vec<Cache>,
    /// What comes next; nothing if it was never asked.
    logits: Vec<f32>,
    edited: Edited,
}

/// How a prompt was edited, as far as its caches depend on it.
#[derive(Clone, Copy, PartialEq)]
struct Edited {
    /// Key of the edits that change all rows.
    everywhere: u64,
    /// So many rows are changed by those only: what an answer begins with may come after them, and is then its own.
    common: usize,
    /// Key of all edits where some change the rows after these, else 0.
    answer: u64,
}

impl Edited {
    /// Of the first `len` tokens of a text.
    fn new(edits: &Edits, reach: Reach, len: usize) -> Edited {
        let common = if edits.in_answer() { reach.from.min(len) } else { len };
        Edited { everywhere: edits.prompt_key(), common, answer: if common < len { edits.key() } else { 0 } }
    }
}

impl Prefix {
    fn bytes(&self) -> usize {
        self.caches.iter().map(Cache::bytes).sum::<usize>() + 4 * (self.logits.len() + self.tokens.len())
    }

    /// Rows that it shares with another prompt; all of them only where both are edited alike.
    fn common(&self, tokens: &[u32], edited: Edited) -> usize {
        if self.edited.everywhere != edited.everywhere {
            return 0;
        }
        let common = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        match common == tokens.len() && common == self.tokens.len() && self.edited == edited {
            true => common,
            false => common.min(self.edited.common).min(edited.common),
        }
    }
}

/// A prompt that is continued. Its own caches begin with what is left of the prompt after whole blocks of it: so sums are
/// formed over the same blocks as where all of it is read at once, to the same bits.
struct Row {
    draws: Draws,
    prefix: Arc<Prefix>,
    /// Tokens of the prompt that are read from its prefix.
    shared: usize,
    own: Vec<Cache>,
    /// Tokens in `own`.
    cached: usize,
    edits: Arc<Edits>,
    /// Where they apply.
    reach: Reach,
}

/// What one pool has done.
struct Part {
    done: Vec<(usize, Completion)>,
    kept: Vec<Arc<Prefix>>,
}

/// Lets the oldest prompts go until the others are few enough.
fn fit(kept: &mut Vec<Arc<Prefix>>, room: usize) {
    let mut bytes: usize = kept.iter().map(|prefix| prefix.bytes()).sum();
    while bytes > room && kept.len() > 1 {
        bytes -= kept.remove(0).bytes();
    }
}

/// Bytes that kept prompts may take.
pub(crate) fn room() -> usize {
    KEPT.min(usize::try_from(loophole_foreign::memory_available() / SHARE).unwrap_or(KEPT))
}

impl Decoder {
    /// Samples a completion for every prompt, in the order of the prompts.
    ///
    /// # Panics
    /// A prompt is empty or has a token outside the vocabulary.
    pub fn sample(&mut self, prompts: &[Prompt], options: &SampleOptions) -> Vec<Completion> {
        self.sample_watched(prompts, options, &|_| true)
    }

    /// As [`Decoder::sample`], and `watch` sees every token when it is drawn and may end its row.
    ///
    /// # Panics
    /// As [`Decoder::sample`].
    pub fn sample_watched(&mut self, prompts: &[Prompt], options: &SampleOptions, watch: &Watch) -> Vec<Completion> {
        let limit = self.config.max_position_embeddings;
        let longest = prompts.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
        for (i, p) in prompts.iter().enumerate() {
            assert!(!p.tokens.is_empty(), "prompt {i} is empty");
            self.check(&p.tokens, &p.edits);
        }
        self.rope.ensure(longest.saturating_add(options.max_new).min(limit).max(longest), &self.config);
        let kept = std::mem::take(&mut self.kept);
        let (decoder, next) = (&*self, AtomicUsize::new(0));
        let work = |pool: &rayon::ThreadPool| {
            pool.install(|| decoder.continue_some(prompts, &next, kept.clone(), options, watch))
        };
        let parts: Vec<Part> = std::thread::scope(|scope| {
            let work = &work;
            let others = decoder.pools[1..].iter().take(prompts.len().saturating_sub(1));
            let others: Vec<_> = others.map(|pool| scope.spawn(move || work(pool))).collect();
            let first = work(&decoder.pools[0]);
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            std::iter::once(first).chain(others).collect()
        });
        let mut done: Vec<Option<Completion>> = vec![None; prompts.len()];
        let mut kept: Vec<Arc<Prefix>> = Vec::new();
        for part in parts {
            kept.extend(
                part.kept.into_iter().filter(|prefix| !kept.iter().any(|k| Arc::ptr_eq(k, prefix))).collect::<Vec<_>>(),
            );
            for (index, completion) in part.done {
                done[index] = Some(completion);
            }
        }
        fit(&mut kept, self.room);
        self.kept = kept;
        // Every prompt was a row that ended.
        done.into_iter().flatten().collect()
    }

    /// Continues prompts as long as there are some that nobody has taken.
    fn continue_some(
        &self,
        prompts: &[Prompt],
        next: &AtomicUsize,
        mut kept: Vec<Arc<Prefix>>,
        options: &SampleOptions,
        watch: &Watch,
    ) -> Part {
        let limit = self.config.max_position_embeddings;
        let mut done = Vec::new();
        let mut buffers = Buffers::default();
        let mut rows: Vec<Row> = Vec::new();
        loop {
            while rows.len() < SLOTS {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(prompt) = prompts.get(index) else { break };
                let mut draws = Draws::new(index, prompt.seed, prompt.tokens.len(), options, limit);
                if draws.ended {
                    done.push((index, draws.out));
                    continue;
                }
                let tap = Tap::new(&prompt.edits, &prompt.tokens, prompt.answer());
                let prefix = self.prefix((&prompt.tokens, tap), &mut kept, &mut buffers);
                draws.draw(&prefix.logits, options, limit, watch);
                rows.push(self.row(draws, prefix, &prompt.edits, tap.reach));
            }
            let (ended, going): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.draws.ended);
            rows = going;
            for row in ended {
                self.keep(&row, &mut kept);
                done.push((row.draws.index, row.draws.out));
            }
            if !rows.is_empty() {
                self.advance(&mut rows, &mut buffers, options, watch);
            } else if next.load(Ordering::Relaxed) >= prompts.len() {
                return Part { done, kept };
            }
        }
    }

    /// One more token for every row.
    fn advance(&self, rows: &mut [Row], buffers: &mut Buffers, options: &SampleOptions, watch: &Watch) {
        let last: Vec<u32> = rows.iter().map(|row| row.draws.last()).collect();
        for (row, token) in rows.iter_mut().zip(&last) {
            row.reach.goes_on(&row.edits, *token, row.shared + row.cached);
        }
        let mut spans: Vec<Span> = rows
            .iter_mut()
            .zip(&last)
            .map(|(row, token)| Span {
                shared: (&row.prefix.caches, row.shared),
                own: &mut row.own,
                cached: row.cached,
                tokens: std::slice::from_ref(token),
                tap: Tap { edits: &row.edits, reach: row.reach },
            })
            .collect();
        self.forward(&mut spans, buffers);
        drop(spans);
        let all: Vec<usize> = (0..rows.len()).collect();
        let logits = self.logits_of(&all, buffers);
        let limit = self.config.max_position_embeddings;
        rows.par_iter_mut().zip(logits.par_chunks_exact(self.config.vocab_size)).for_each(|(row, logits)| {
            row.cached += 1;
            row.draws.draw(logits, options, limit, watch);
        });
    }

    /// Reads texts under edits and shows every token but the first of each, in their order, with what was expected in its
    /// place; a text ends where `watch` answers false.
    ///
    /// # Panics
    /// A token is outside the vocabulary, or an edit is for another model.
    pub fn read_watched(&mut self, texts: &[Text], edits: &Edits, watch: &Watch) {
        texts.iter().for_each(|text| self.check(text.tokens, edits));
        self.rope.ensure(texts.iter().map(|text| text.tokens.len()).max().unwrap_or(0), &self.config);
        let (decoder, next) = (&*self, AtomicUsize::new(0));
        let work = |pool: &rayon::ThreadPool| {
            let mut buffers = Buffers::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(at) else { return };
                let tap = Tap::new(edits, text.tokens, text.answer);
                pool.install(|| decoder.show(at, (text.tokens, tap), &mut buffers, watch));
            }
        };
        std::thread::scope(|scope| {
            let work = &work;
            for pool in decoder.pools[1..].iter().take(texts.len().saturating_sub(1)) {
                scope.spawn(move || work(pool));
            }
            work(&decoder.pools[0]);
        });
    }

    fn show(&self, at: usize, (text, tap): (&[u32], Tap), buffers: &mut Buffers, watch: &Watch) {
        let Some((_, read)) = text.split_last().filter(|(_, read)| !read.is_empty()) else { return };
        let mut wanted = true;
        self.read((read, tap), &mut self.caches(), 0, buffers, |from, rows, buffers| {
            if wanted {
                let logits = self.logits_of(&(0..rows).collect::<Vec<_>>(), buffers);
                let mut rows = logits.chunks_exact(self.config.vocab_size).zip(&text[from + 1..]);
                wanted = rows.all(|(logits, token)| watch(&Drawn::read(at, *token, logits)));
            }
        });
    }

    /// Log-probability of every target, per sequence in order.
    ///
    /// # Panics
    /// A token is outside the vocabulary, or `weights` and `tokens` differ in length.
    pub fn log_probs(&mut self, sequences: &[Sequence]) -> Vec<Vec<f32>> {
        for sequence in sequences {
            assert_eq!(sequence.tokens.len(), sequence.weights.len(), "one weight per token");
            self.check(&sequence.tokens, &sequence.edits);
        }
        self.rope.ensure(sequences.iter().map(|s| s.tokens.len()).max().unwrap_or(0), &self.config);
        let mut kept = std::mem::take(&mut self.kept);
        let decoder = &*self;
        let out = decoder.pools[0].install(|| {
            let mut buffers = Buffers::default();
            sequences.iter().map(|sequence| decoder.score(sequence, &mut kept, &mut buffers)).collect()
        });
        self.kept = kept;
        out
    }

    fn score(&self, sequence: &Sequence, kept: &mut Vec<Arc<Prefix>>, buffers: &mut Buffers) -> Vec<f32> {
        let targets: Vec<usize> = sequence.targets().collect();
        let (Some(&first), Some(&last)) = (targets.first(), targets.last()) else {
            return Vec::new();
        };
        let tap = Tap::new(&sequence.edits, &sequence.tokens, sequence.answer);
        // What comes before the first target may be shared with others, and is kept for them.
        let (mut caches, cached) = match first {
            0..2 => (self.caches(), 0),
            _ => {
                let prefix = self.prefix((&sequence.tokens[..first - 1], tap), kept, buffers);
                (prefix.caches.clone(), first - 1)
            }
        };
        let mut out = Vec::with_capacity(targets.len());
        let mut targets = targets.into_iter().peekable();
        self.read((&sequence.tokens[..last], tap), &mut caches, cached, buffers, |from, rows, buffers| {
            let mut here = Vec::new();
            while let Some(target) = targets.next_if(|target| *target <= from + rows) {
                here.push(target);
            }
            let picked: Vec<usize> = here.iter().map(|target| target - 1 - from).collect();
            let logits = self.logits_of(&picked, buffers);
            for (target, logits) in here.iter().zip(logits.chunks_exact(self.config.vocab_size)) {
                let max = math::max(logits);
                let norm = math::sum_exp_shifted(logits, max).ln();
                out.push(logits[sequence.tokens[*target] as usize] - max - norm);
            }
        });
        out
    }

    /// Reads a prompt, from where it departs from those that are kept; and keeps it.
    fn prefix(&self, (tokens, tap): (&[u32], Tap), kept: &mut Vec<Arc<Prefix>>, buffers: &mut Buffers) -> Arc<Prefix> {
        let edited = Edited::new(tap.edits, tap.reach, tokens.len());
        let nearest = (0..kept.len()).max_by_key(|at| kept[*at].common(tokens, edited));
        let nearest = nearest.map(|at| (kept[at].common(tokens, edited), at));
        if let Some((common, at)) = nearest
            && common == tokens.len()
            && kept[at].tokens.len() == common
            && !kept[at].logits.is_empty()
        {
            let prefix = kept.remove(at);
            kept.push(prefix.clone());
            return prefix;
        }
        // The last token is read again, for what comes after it.
        let common = nearest.map_or(0, |nearest| nearest.0).min(tokens.len() - 1);
        let (kv, hd) = (self.config.num_key_value_heads, self.config.head_dim());
        let mut caches = match nearest {
            Some((_, at)) => kept[at].caches.iter().map(|cache| cache.first(common, kv, hd)).collect(),
            None => self.caches(),
        };
        let mut logits = Vec::new();
        self.read((tokens, tap), &mut caches, common, buffers, |from, rows, buffers| {
            if from + rows == tokens.len() {
                logits = self.logits_of(&[rows - 1], buffers).to_vec();
            }
        });
        self.put(Prefix { tokens: tokens.to_vec(), caches, logits, edited }, kept)
    }

    fn row(&self, draws: Draws, prefix: Arc<Prefix>, edits: &Arc<Edits>, reach: Reach) -> Row {
        let (kv, hd) = (self.config.num_key_value_heads, self.config.head_dim());
        let shared = prefix.tokens.len() / KEYS * KEYS;
        let own = prefix.caches.iter().map(|cache| cache.rest(shared, kv, hd)).collect();
        Row { draws, cached: prefix.tokens.len() - shared, prefix, shared, own, edits: edits.clone(), reach }
    }

    /// Keeps a prompt with what was said to it: the next turn of the conversation begins so.
    fn keep(&self, row: &Row, kept: &mut Vec<Arc<Prefix>>) {
        let said = row.shared + row.cached - row.prefix.tokens.len();
        // What an edited answer was is no longer one when the conversation goes on.
        if said < LEAST_KEPT || row.edits.in_answer() {
            return;
        }
        let (kv, hd) = (self.config.num_key_value_heads, self.config.head_dim());
        let parts = row.prefix.caches.iter().zip(&row.own);
        let caches = parts.map(|(cache, own)| cache.joined(row.shared, own, kv, hd)).collect();
        let tokens = [&row.prefix.tokens[..], &row.draws.out.tokens[..said]].concat();
        let edited = Edited::new(&row.edits, row.reach, tokens.len());
        self.put(Prefix { tokens, caches, logits: Vec::new(), edited }, kept);
    }

    fn put(&self, prefix: Prefix, kept: &mut Vec<Arc<Prefix>>) -> Arc<Prefix> {
        // A prompt that has grown is read from the longer one from now on.
        let edited = prefix.edited;
        let covers = |shorter: &Prefix| {
            edited.everywhere == shorter.edited.everywhere
                && edited.common >= shorter.edited.common
                && prefix.tokens.starts_with(&shorter.tokens)
        };
        kept.retain(|shorter| !covers(shorter));
        let prefix = Arc::new(prefix);
        kept.push(prefix.clone());
        fit(kept, self.room / self.pools.len());
        prefix
    }

    pub(crate) fn check(&self, tokens: &[u32], edits: &Edits) {
        let bad = tokens.iter().find(|token| **token as usize >= self.config.vocab_size);
        assert!(bad.is_none(), "token {bad:?} is not in the vocabulary");
        if let Err(error) = edits.check(&self.config) {
            panic!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn what_is_read_is_shown_as_it_is_scored() {
        let config = Config::organism(100);
        let mut decoder = Decoder::random_bf16(config.clone(), 2, 7).unwrap();
        let texts: Vec<Vec<u32>> =
            [1, 2, 70, 150].iter().map(|len| (0..*len).map(|i| (i * 7 + len) % 90 + 3).collect()).collect();
        let shown = |read: &mut dyn FnMut(&Watch)| {
            let all = std::sync::Mutex::new(vec![Vec::new(); texts.len()]);
            read(&|seen| {
                let mut all = all.lock().unwrap();
                let shown = &mut all[seen.prompt];
                shown.push((seen.token, seen.log_prob));
                shown.len() < 100
            });
            all.into_inner().unwrap()
        };
        let (whole, none): (Vec<Text>, _) = (texts.iter().map(|text| Text::prompt(text)).collect(), Edits::default());
        let sequences: Vec<Sequence> = texts.iter().cloned().map(Sequence::all).collect();
        let scored = decoder.log_probs(&sequences);
        let model = crate::Model::init(config.clone(), 3).unwrap();
        let mut engine = crate::Engine::new(&config, 2);
        let by_engine = engine.log_probs(&model, &sequences);
        for (shown, scored) in [
            (shown(&mut |watch| decoder.read_watched(&whole, &none, watch)), scored),
            (shown(&mut |watch| engine.read_watched(&model, &whole, &none, watch)), by_engine),
        ] {
            for ((text, shown), scored) in texts.iter().zip(shown).zip(scored) {
                assert_eq!(shown.len(), scored.len().min(100));
                for (at, (token, log_prob)) in shown.into_iter().enumerate() {
                    assert_eq!(token, text[at + 1]);
                    assert!((log_prob - scored[at]).abs() < 1e-5, "{log_prob} {}", scored[at]);
                }
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_conversation_changes_no_bit() {
        let config = Config::organism(100);
        let fresh = || Decoder::random_bf16(config.clone(), 2, 7).unwrap();
        let options = SampleOptions { max_new: 45, ..SampleOptions::default() };
        let prompts = |texts: &[Vec<u32>], seed: u64| -> Vec<Prompt> {
            texts.iter().enumerate().map(|(at, t)| Prompt::new(t.clone(), seed + at as u64)).collect()
        };
        let begins: Vec<Vec<u32>> =
            [5, 32, 33, 90].iter().map(|len| (0..*len).map(|i| (i * 7 + len) % 90 + 3).collect()).collect();
        let mut keeping = fresh();
        let mut texts = begins;
        for turn in 0..3 {
            let said = keeping.sample(&prompts(&texts, turn), &options);
            assert!(turn == 0 || keeping.kept.iter().any(|prefix| prefix.tokens.len() > 40));
            assert_eq!(said, fresh().sample(&prompts(&texts, turn), &options), "turn {turn}");
            for (text, said) in texts.iter_mut().zip(said) {
                text.extend(said.tokens);
                text.extend([1, 2, 60 + turn as u32]);
            }
        }
    }
}
