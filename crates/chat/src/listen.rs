//! Hears the tokens of one reply while they are drawn: sends text on as soon as it is whole, ends the reply where a
//! stop text begins, keeps log-probabilities.

use std::sync::mpsc::Sender;

use loophole_lm::{Drawn, Tokenizer};

use crate::{Delta, TokenLogprob};

/// What was heard of a reply.
pub(crate) struct Heard {
    /// Length of its text.
    pub cut: usize,
    /// The stop text that ended it.
    pub stop: Option<String>,
    pub logprobs: Option<Vec<TokenLogprob>>,
}

pub(crate) struct Listener<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens that end the reply and are no text.
    ends: &'a [u32],
    stop: Vec<String>,
    top: Option<usize>,
    pieces: Option<Sender<Delta>>,
    /// What the reply has to begin with, or it is over.
    opening: &'static str,
    /// Whether the token that ends it has a log-probability too.
    with_end: bool,
    tokens: Vec<u32>,
    /// `tokens[prefix..read]` is the last piece of text, decoded again before the next one: what a token reads may
    /// depend on the one before it.
    prefix: usize,
    read: usize,
    text: String,
    sent: usize,
    logprobs: Vec<TokenLogprob>,
    sent_logprobs: usize,
}

impl<'a> Listener<'a> {
    /// None if there is nothing to listen for.
    pub fn new(
        tokenizer: &'a Tokenizer,
        ends: &'a [u32],
        mut stop: Vec<String>,
        top: Option<usize>,
        pieces: Option<Sender<Delta>>,
    ) -> Option<Self> {
        stop.retain(|stop| !stop.is_empty());
        (!stop.is_empty() || top.is_some() || pieces.is_some()).then(|| Listener {
            tokenizer,
            ends,
            stop,
            top,
            pieces,
            opening: "",
            with_end: false,
            tokens: Vec::new(),
            prefix: 0,
            read: 0,
            text: String::new(),
            sent: 0,
            logprobs: Vec::new(),
            sent_logprobs: 0,
        })
    }

    /// Ends the reply as soon as it begins otherwise, blanks aside.
    #[must_use]
    pub fn only_after(mut self, opening: &'static str) -> Self {
        self.opening = opening;
        self
    }

    /// Gives the log-probability of the token that ends the reply too.
    #[must_use]
    pub fn with_end(mut self) -> Self {
        self.with_end = true;
        self
    }

    /// One more token; false if it was the last.
    pub fn hear(&mut self, drawn: &Drawn) -> bool {
        let ends = self.ends.contains(&drawn.token);
        if let Some(count) = self.top.filter(|_| !ends || self.with_end) {
            self.logprobs.push(likely(self.tokenizer, drawn, count));
        }
        if ends {
            return true;
        }
        self.tokens.push(drawn.token);
        let before = self.tokenizer.decode(&self.tokens[self.prefix..self.read]);
        let now = self.tokenizer.decode(&self.tokens[self.prefix..]);
        // A character is not whole yet, or there is no text in the token.
        if now.len() <= before.len() || now.ends_with('\u{fffd}') || !now.is_char_boundary(before.len()) {
            return true;
        }
        let searched = self.text.len();
        self.text.push_str(&now[before.len()..]);
        (self.prefix, self.read) = (self.read, self.tokens.len());
        let said = self.text.trim_start();
        if !said.starts_with(self.opening) && !self.opening.starts_with(said) {
            return false;
        }
        match self.first_stop(searched) {
            Some(_) => false,
            None => self.send(self.text.len() - self.held_back()),
        }
    }

    /// Where the first stop text begins; it may reach back into what came before `searched`.
    fn first_stop(&self, searched: usize) -> Option<usize> {
        let longest = self.stop.iter().map(String::len).max()?;
        let from = self.text.floor_char_boundary(searched.saturating_sub(longest));
        self.stop.iter().filter_map(|stop| self.text[from..].find(stop.as_str()).map(|at| from + at)).min()
    }

    /// Length of the end of the text that may be the beginning of a stop text.
    fn held_back(&self) -> usize {
        let begins = |stop: &String| {
            (1..stop.len()).rev().find(|&length| stop.is_char_boundary(length) && self.text.ends_with(&stop[..length]))
        };
        self.stop.iter().filter_map(begins).max().unwrap_or(0)
    }

    /// Sends the text up to `to`; false if nobody listens any more.
    fn send(&mut self, to: usize) -> bool {
        let Some(pieces) = &self.pieces else { return true };
        if to <= self.sent {
            return true;
        }
        let text = self.text[self.sent..to].to_string();
        let logprobs = self.logprobs[self.sent_logprobs..].to_vec();
        (self.sent, self.sent_logprobs) = (to, self.logprobs.len());
        pieces.send(Delta { text, logprobs }).is_ok()
    }

    /// The reply is over and reads `whole`: sends the rest, and says where it is to be cut, and by which stop text.
    pub fn end(mut self, whole: &str) -> Heard {
        let stop = self.stop.iter().filter_map(|stop| Some((whole.find(stop.as_str())?, stop.clone()))).min();
        let cut = stop.as_ref().map_or(whole.len(), |(at, _)| *at);
        // Nothing that was sent is taken back; the last character may have stayed incomplete.
        if whole.starts_with(&self.text) {
            self.text = whole.to_string();
        }
        self.send(cut.min(self.text.len()));
        // What ended it is no text.
        if let Some(pieces) = self.pieces.as_ref().filter(|_| self.with_end && self.sent_logprobs < self.logprobs.len())
        {
            let logprobs = self.logprobs[self.sent_logprobs..].to_vec();
            let _ = pieces.send(Delta { text: String::new(), logprobs });
        }
        Heard { cut, stop: stop.map(|(_, stop)| stop), logprobs: self.top.map(|_| self.logprobs) }
    }
}

/// A token with its log-probability and those of so many alternatives.
pub(crate) fn likely(tokenizer: &Tokenizer, drawn: &Drawn, count: usize) -> TokenLogprob {
    let top = likeliest(drawn.logits, count).into_iter();
    // One number for the drawn token, however the two ways to it were rounded.
    let logprob = |token, logit: f32| if token == drawn.token { drawn.log_prob } else { logit - drawn.log_norm };
    let top = top.map(|(token, logit)| (tokenizer.text_of(token), logprob(token, logit))).collect();
    TokenLogprob { token: tokenizer.text_of(drawn.token), logprob: drawn.log_prob, top, id: Some(drawn.token) }
}

/// The `count` highest logits with their tokens, highest first.
fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (token, &logit) in logits.iter().enumerate() {
        if best.len() < count || best.last().is_some_and(|(_, least)| logit > *least) {
            let place = best.partition_point(|(_, other)| *other >= logit);
            best.insert(place, (token as u32, logit));
            best.truncate(count);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeliest_first() {
        assert_eq!(likeliest(&[0.5, 2.0, -1.0, 2.0, 1.0], 3), [(1, 2.0), (3, 2.0), (4, 1.0)]);
        assert_eq!(likeliest(&[1.0], 0), []);
        assert_eq!(likeliest(&[1.0, 0.0], 5).len(), 2);
    }
}
