//! Models behind an API: OpenAI's chat completions, which most servers speak, and Anthropic's messages.
//!
//! Whatever can pass is tried again, with growing waits whose jitter a seed fixes, and not before the endpoint says so.
//! How many requests are in flight follows what it bears. Replies are kept on disk, tokens and costs are counted.

mod anthropic;
mod attempt;
mod cache;
mod headers;
mod limit;
mod openai;
mod parts;
mod price;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attempt::{Failure, Kind};
use cache::Cache;
use limit::Limiter;
pub use price::{Price, Prices};
use serde::Serialize;
use serde_json::{Value, json};

use crate::text::choice;
use crate::{Chat, ChatError, Delta, Reply, Request, Usage};

/// How an endpoint is spoken to.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Most requests in flight.
    pub connections: usize,
    /// Attempts at one request that the endpoint has no capacity for.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles from one to the next.
    pub first_wait: Duration,
    /// No wait is longer; an endpoint that asks for more has failed.
    pub longest_wait: Duration,
    /// Longest time of one attempt.
    pub timeout: Duration,
    /// Longest silence within an answer that is streamed.
    pub silence: Duration,
    /// Most bytes of one answer.
    pub most_bytes: usize,
    /// Folder in which replies are kept; none keeps nothing.
    pub cache: Option<PathBuf>,
    /// What tokens cost.
    pub prices: Prices,
    /// Seed of the waits' jitter.
    pub seed: u64,
}

impl RemoteOptions {
    /// The usual ones, as the environment changes them: `LOOPHOLE_CACHE` names the folder for replies or is `off`,
    /// `LOOPHOLE_PRICES` a file with prices, `LOOPHOLE_CONNECTIONS` most requests in flight.
    ///
    /// # Errors
    /// One of them is wrong.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ChatError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let connections = match set("LOOPHOLE_CONNECTIONS") {
            None => 32,
            Some(text) => text.parse().ok().filter(|count| *count > 0).ok_or_else(|| ChatError::Model {
                model: "LOOPHOLE_CONNECTIONS".to_string(),
                reason: format!("{text:?} is no number of requests, such as 32"),
            })?,
        };
        let in_home = || set("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = match set("LOOPHOLE_CACHE") {
            Some(off) if off == "off" => None,
            Some(folder) => Some(PathBuf::from(folder)),
            None => set("XDG_CACHE_HOME").map(PathBuf::from).or_else(in_home).map(|at| at.join("loophole/replies")),
        };
        Ok(RemoteOptions {
            connections,
            attempts: 7,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
            timeout: Duration::from_secs(600),
            silence: Duration::from_secs(120),
            most_bytes: 64 << 20,
            cache,
            prices: Prices::load(set("LOOPHOLE_PRICES").map(PathBuf::from).as_deref())?,
            seed: 1,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    OpenAi,
    Anthropic,
}

/// What was asked of an endpoint so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Account {
    /// Replies that came from the endpoint.
    pub replies: usize,
    /// Replies that were on disk already.
    pub from_cache: usize,
    /// Attempts that failed and were made again.
    pub retries: usize,
    /// Requests that failed for good, by kind.
    pub failed: BTreeMap<String, usize>,
    /// Tokens of the endpoint's replies.
    pub usage: Usage,
    /// What they cost, in US dollars; none if the model's price is not known.
    pub dollars: Option<f64>,
    /// Options the endpoint does not know and that were therefore left out.
    pub left_out: BTreeSet<String>,
}

/// What is known of the endpoint.
#[derive(Default)]
struct Health {
    /// It answered at least once.
    answered: bool,
    /// It wants another key, or does not know the model: no use in asking again.
    refused: Option<ChatError>,
    /// Nobody answered the last request in all its attempts: the next one gets only one.
    down: bool,
    account: Account,
}

impl Health {
    fn count(&mut self, failure: &str) {
        *self.account.failed.entry(failure.to_string()).or_default() += 1;
    }
}

/// A model behind an API.
pub struct Remote {
    name: String,
    wire: Wire,
    model: String,
    url: String,
    key: Option<String>,
    /// The variable that holds the key.
    key_name: &'static str,
    price: Option<Price>,
    agent: ureq::Agent,
    options: RemoteOptions,
    limiter: Limiter,
    cache: Option<Cache>,
    health: Mutex<Health>,
}

impl Remote {
    /// Whether a name is one of a model behind an API.
    pub fn is_name(name: &str) -> bool {
        ["openai:", "anthropic:", "http://", "https://"].iter().any(|prefix| name.starts_with(prefix))
    }

    /// A model by its name: `openai:NAME` (`OPENAI_API_KEY`, `OPENAI_BASE_URL`), `anthropic:NAME`
    /// (`ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`), or `http://host:port/v1#NAME` (`LOOPHOLE_API_KEY`, if it wants
    /// one). Nothing is sent yet.
    ///
    /// # Errors
    /// The name has no such form, or there is no key.
    pub fn open(name: &str, options: RemoteOptions, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ChatError> {
        let set = |variable: &str| env(variable).filter(|value| !value.trim().is_empty());
        let wrong = |reason: String| ChatError::Model { model: name.to_string(), reason };
        let base = |variable: &str, usual: &str| {
            set(variable).unwrap_or_else(|| usual.to_string()).trim_end_matches('/').to_string()
        };
        let (wire, provider, model, url, key_name) = if let Some(model) = name.strip_prefix("openai:") {
            let url = base("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions";
            (Wire::OpenAi, "openai".to_string(), model, url, "OPENAI_API_KEY")
        } else if let Some(model) = name.strip_prefix("anthropic:") {
            let base = base("ANTHROPIC_BASE_URL", "https://api.anthropic.com");
            let url = base.strip_suffix("/v1").unwrap_or(&base).to_string() + "/v1/messages";
            (Wire::Anthropic, "anthropic".to_string(), model, url, "ANTHROPIC_API_KEY")
        } else {
            let form = || wrong("write http://host:port/v1#NAME; the part behind # is the model's name there".into());
            let (base, model) = name.split_once('#').ok_or_else(form)?;
            let base = base.trim_end_matches('/');
            // The key of a provider is not sent to whoever is named.
            (Wire::OpenAi, base.to_string(), model, format!("{base}/chat/completions"), "LOOPHOLE_API_KEY")
        };
        if model.is_empty() {
            return Err(wrong("the model's name is missing".into()));
        }
        let uri: ureq::http::Uri = url.parse().map_err(|error| wrong(format!("{url} is no address: {error}")))?;
        let host = uri.host().ok_or_else(|| wrong(format!("{url} names no host")))?;
        let key = set(key_name).map(|key| key.trim().to_string());
        if key.is_none() && key_name != "LOOPHOLE_API_KEY" {
            return Err(ChatError::Access { model: name.into(), reason: format!("{key_name} is not set") });
        }
        Ok(Remote {
            name: name.to_string(),
            wire,
            model: model.to_string(),
            price: options.prices.of(&provider, model),
            key,
            key_name,
            agent: attempt::agent(&options, host),
            limiter: Limiter::new(options.connections),
            cache: options.cache.as_deref().map(Cache::new),
            health: Mutex::default(),
            url,
            options,
        })
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Counts and flags: whole at any moment.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that may be in flight now.
    pub fn in_flight(&self) -> usize {
        self.limiter.limit()
    }

    fn body(&self, request: &Request) -> Value {
        let without = self.health().account.left_out.clone();
        match self.wire {
            Wire::OpenAi => openai::body(&self.model, request, &without),
            Wire::Anthropic => anthropic::body(&self.model, request, &without),
        }
    }

    /// A reply from the disk or from the endpoint.
    fn ask(&self, request: &Request, pieces: Option<&Sender<Delta>>) -> Result<Reply, ChatError> {
        let mut reply = self.kept_or_fetched(request, pieces)?;
        // A server without a parser for them gives calls as text.
        reply.read_calls(request);
        reply.choice = choice(&request.choices, &reply.answer);
        Ok(reply)
    }

    fn kept_or_fetched(&self, request: &Request, pieces: Option<&Sender<Delta>>) -> Result<Reply, ChatError> {
        let place = |body: &Value| {
            self.cache.as_ref().map(|cache| (cache, cache.place(&self.url, body, request.sampling.seed)))
        };
        if let Some(kept) = place(&self.body(request)).and_then(|(cache, place)| cache.get(&place)) {
            self.health().account.from_cache += 1;
            if let Some(pieces) = pieces {
                let logprobs = kept.logprobs.clone().unwrap_or_default();
                let _ = pieces.send(Delta { text: kept.text.clone(), logprobs });
            }
            return Ok(kept);
        }
        let reply = self.fetch(request, pieces)?;
        if let Some((cache, place)) = place(&self.body(request)) {
            cache.put(&place, &reply);
        }
        Ok(reply)
    }

    /// A reply from the endpoint, after as many attempts as it takes.
    fn fetch(&self, request: &Request, pieces: Option<&Sender<Delta>>) -> Result<Reply, ChatError> {
        let mut rng = fastrand::Rng::with_seed(self.options.seed ^ request.sampling.seed.rotate_left(17));
        let mut attempts = 0;
        loop {
            let permit = self.limiter.enter();
            // Asked after the wait: a refusal may have come meanwhile.
            let down = {
                let mut health = self.health();
                if let Some(refused) = health.refused.clone() {
                    health.count("access");
                    return Err(refused);
                }
                health.down
            };
            let body = self.body(request);
            attempts += 1;
            let failure = match self.attempt(&body, pieces) {
                Ok((reply, pause)) => {
                    permit.answered();
                    if let Some(pause) = pause {
                        self.limiter.pause(pause.min(self.options.longest_wait));
                    }
                    self.answered(&reply);
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            match failure.kind {
                Kind::Overloaded | Kind::Unreachable => permit.overloaded(),
                // Written down while the permit is held: whoever waits for it must find it.
                Kind::Refused => return Err(self.failed(failure, attempts)),
                _ => drop(permit),
            }
            let failure = failure.of_tools(&request.tools);
            if failure.kind == Kind::Rejected && self.leaves_out(&failure, &body) {
                continue;
            }
            let most = match failure.kind {
                Kind::Unreachable if down => 1,
                // Whoever is not there will not come in a minute.
                Kind::Unreachable => self.options.attempts.min(4),
                Kind::Overloaded => self.options.attempts,
                Kind::Malformed => self.options.attempts.min(3),
                Kind::Rejected | Kind::Broken | Kind::Refused => 1,
            };
            let patience = failure.wait.is_none_or(|wait| wait <= self.options.longest_wait);
            if attempts >= most || !patience {
                return Err(self.failed(failure, attempts));
            }
            self.health().account.retries += 1;
            let doubled = self.options.first_wait.saturating_mul(1 << (attempts - 1).min(16));
            let wait = doubled.min(self.options.longest_wait).mul_f64(0.5 + 0.5 * rng.f64());
            if let Some(asked) = failure.wait {
                // It speaks for the account, not for this request.
                self.limiter.pause(asked);
            }
            std::thread::sleep(wait);
        }
    }

    fn answered(&self, reply: &Reply) {
        let mut health = self.health();
        health.answered = true;
        health.down = false;
        let account = &mut health.account;
        account.replies += 1;
        account.usage.prompt_tokens += reply.usage.prompt_tokens;
        account.usage.cached_tokens += reply.usage.cached_tokens;
        account.usage.completion_tokens += reply.usage.completion_tokens;
    }

    /// Whether the endpoint refuses an option that one can do without, or names another way; it is left out from now on.
    fn leaves_out(&self, failure: &Failure, body: &Value) -> bool {
        const OPTIONS: &[&str] = &[
            "temperature",
            "top_p",
            "top_k",
            "seed",
            "logprobs",
            "top_logprobs",
            "max_tokens",
            "reasoning_content",
            "reasoning",
        ];
        let named = |option: &&&str| match &failure.option {
            Some(named) => named == **option,
            None => failure.denies(option),
        };
        let Some(option) = OPTIONS.iter().find(named) else { return false };
        // Messages are needed, and a limit that has another name only with OpenAI.
        let in_messages =
            || body["messages"].as_array().is_some_and(|all| all.iter().any(|one| one.get(*option).is_some()));
        if (body.get(*option).is_none() && !in_messages()) || (*option == "max_tokens" && self.wire != Wire::OpenAi) {
            return false;
        }
        let mut health = self.health();
        // Log-probabilities of alternatives make no sense without those of the tokens.
        if *option == "logprobs" {
            health.account.left_out.insert("top_logprobs".to_string());
        }
        // Another request may have found out at the same time.
        health.account.left_out.insert((*option).to_string());
        true
    }

    fn failed(&self, failure: Failure, attempts: u32) -> ChatError {
        let Failure { kind, status, reason, wait, .. } = failure;
        let model = self.name.clone();
        let mut health = self.health();
        // One that has answered before knows the key and the model: it is about this request.
        let refused = kind == Kind::Refused && !health.answered;
        let (name, error) = match kind {
            Kind::Refused if refused => {
                let hint = match (status, &self.key) {
                    (429, _) => "it comes back when the account is topped up".to_string(),
                    (404, _) => format!("is {} right, and the model's name?", self.url),
                    (_, None) => format!("{} is not set", self.key_name),
                    (_, Some(_)) => format!("is {} right?", self.key_name),
                };
                ("access", ChatError::Access { model, reason: format!("{reason} ({status}); {hint}") })
            }
            Kind::Refused | Kind::Rejected => ("rejected", ChatError::Rejected { model, status, reason }),
            Kind::Overloaded => {
                let asked = wait.map(|wait| format!("; it asks to wait {:.0} s", wait.as_secs_f64()));
                let reason = reason + &asked.unwrap_or_default();
                ("overloaded", ChatError::Overloaded { model, status, attempts, reason })
            }
            Kind::Unreachable => {
                ("unreachable", ChatError::Unreachable { model, url: self.url.clone(), attempts, reason })
            }
            Kind::Malformed | Kind::Broken => ("malformed", ChatError::Malformed { model, reason }),
        };
        health.down |= kind == Kind::Unreachable;
        if refused {
            health.refused = Some(error.clone());
        }
        health.count(name);
        error
    }
}

impl Chat for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        let next = AtomicUsize::new(0);
        let replies: Vec<Mutex<Option<Result<Reply, ChatError>>>> = requests.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(request), Some(place)) = (requests.get(at), replies.get(at)) else { break };
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.ask(request, None));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..requests.len().min(self.options.connections) {
                scope.spawn(work);
            }
            work();
        });
        let lost = || {
            let reason = "the thread that asked has died".to_string();
            Err(ChatError::Malformed { model: self.name.clone(), reason })
        };
        let inner = |reply: Mutex<Option<_>>| reply.into_inner().unwrap_or_else(PoisonError::into_inner);
        replies.into_iter().map(|reply| inner(reply).unwrap_or_else(lost)).collect()
    }

    fn stream(&self, request: &Request, pieces: Sender<Delta>) -> Result<Reply, ChatError> {
        self.ask(request, Some(&pieces))
    }

    fn account(&self) -> Option<Account> {
        let mut account = self.health().account.clone();
        account.dollars = self.price.map(|price| price.of(&account.usage));
        Some(account)
    }
}

impl Remote {
    /// The body as it is sent for a stream.
    fn streamed(&self, body: &Value) -> Value {
        let mut body = body.clone();
        body["stream"] = json!(true);
        if self.wire == Wire::OpenAi {
            body["stream_options"] = json!({ "include_usage": true });
        }
        body
    }
}
