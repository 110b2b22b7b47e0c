//! The tokenizer and the chat template of a GGUF file. The file names how texts are cut before tokens are merged, and
//! holds neither the expression nor what else a `tokenizer.json` says: that is in a table here, and a name that is not
//! in it is refused, since a text that is cut otherwise is another prompt.

use super::{Gguf, Meta};
use crate::{ChatTemplate, GenerationConfig, LmError, Tokenizer};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// Kinds of tokens, as their numbers are in a file.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Longest token; of the vocabularies without merges, for which every cut of every token is tried, a shorter one.
const LONGEST: usize = 4096;
const LONGEST_PIECE: usize = 128;

/// Tokens that end a turn wherever they are in a vocabulary: many files name one of several only.
const ENDS: [&str; 6] = ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<end_of_turn>"];

/// How a text is cut.
enum Cut {
    /// As GPT-2 does, every digit apart or not.
    Gpt2 { digits: bool },
    /// By an expression.
    Expression(&'static str),
}

/// A way to cut texts, by the names that files give it.
struct Way {
    names: &'static [&'static str],
    cut: Cut,
    /// A piece that is a token is one, whatever the merges say.
    ignore_merges: bool,
    /// Characters are composed first.
    compose: bool,
}

/// Up to three digits together.
const LLAMA3: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\
                      \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/// Every digit apart.
const QWEN2: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\
                     \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/// Words of upper case and of lower case apart.
const TEKKEN: &str = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|\
     [^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|\
      ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const WAYS: [Way; 5] = [
    Way { names: &["gpt-2", "gpt2"], cut: Cut::Gpt2 { digits: false }, ignore_merges: false, compose: false },
    Way { names: &["smollm"], cut: Cut::Gpt2 { digits: true }, ignore_merges: false, compose: false },
    Way {
        names: &["llama-bpe", "llama3", "llama-v3"],
        cut: Cut::Expression(LLAMA3),
        ignore_merges: true,
        compose: false,
    },
    Way { names: &["qwen2", "deepseek-r1-qwen"], cut: Cut::Expression(QWEN2), ignore_merges: false, compose: true },
    Way { names: &["tekken"], cut: Cut::Expression(TEKKEN), ignore_merges: true, compose: false },
];

impl Cut {
    fn json(&self) -> Value {
        let byte_level = |expression: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": expression});
        let steps = match self {
            Cut::Gpt2 { digits: false } => return byte_level(true),
            Cut::Gpt2 { digits: true } => json!([{"type": "Digits", "individual_digits": true}, byte_level(true)]),
            Cut::Expression(regex) => json!([
                {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
                byte_level(false),
            ]),
        };
        json!({"type": "Sequence", "pretokenizers": steps})
    }
}

/// The words of a vocabulary, and where each is.
struct Words<'a> {
    list: Vec<&'a str>,
    kinds: Vec<i64>,
    places: HashMap<&'a str, usize>,
}

impl Gguf {
    fn words(&self) -> Result<Words<'_>, LmError> {
        let (tokens, types) = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type");
        let list = self.texts(tokens)?.ok_or_else(|| self.wrong(tokens, "is missing"))?;
        let kinds = match self.list(types)? {
            None => vec![1; list.len()],
            Some(kinds) => kinds.iter().map(|kind| if let Meta::Whole(kind) = kind { *kind } else { 0 }).collect(),
        };
        if kinds.len() != list.len() {
            return Err(self.wrong(types, &format!("has {} entries for {} tokens", kinds.len(), list.len())));
        }
        let mut places = HashMap::with_capacity(list.len());
        for (at, word) in list.iter().enumerate() {
            if word.len() > LONGEST {
                return Err(self.wrong(tokens, &format!("token {at} has {} bytes, more than {LONGEST}", word.len())));
            }
            if let Some(before) = places.insert(*word, at) {
                return Err(self.wrong(tokens, &format!("tokens {before} and {at} are both {word:?}")));
            }
        }
        Ok(Words { list, kinds, places })
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// It is missing, broken, or of a kind that is not known.
    pub fn tokenizer(&self) -> Result<Tokenizer, LmError> {
        let key = "tokenizer.ggml.model";
        let words = self.words()?;
        let json = match self.text(key)? {
            Some("gpt2") => self.byte_level(&words)?,
            Some("llama") => self.sentence_piece(&words)?,
            other => {
                let what = format!("{} is not supported; gpt2 and llama are", other.unwrap_or("none named"));
                return Err(self.wrong(key, &what));
            }
        };
        Tokenizer::from_json(&json, &self.path)
    }

    /// Byte-level BPE, as GPT-2 began it.
    fn byte_level(&self, words: &Words) -> Result<Value, LmError> {
        let key = "tokenizer.ggml.pre";
        let named = match (self.text(key)?, self.text("general.architecture")?) {
            (Some(name), _) => name,
            // Files of these two were right before the name came about.
            (None, Some("qwen2" | "qwen3")) => "qwen2",
            (None, _) => {
                let what =
                    "is missing, so that it is not known how texts are cut; take a newer conversion of the model";
                return Err(self.wrong(key, what));
            }
        };
        let way = WAYS.iter().find(|way| way.names.contains(&named)).ok_or_else(|| {
            let known: Vec<&str> = WAYS.iter().flat_map(|way| way.names).copied().collect();
            self.wrong(key, &format!("{named} is not known here; {} are", known.join(", ")))
        })?;
        let key = "tokenizer.ggml.merges";
        let merges = self.texts(key)?.ok_or_else(|| self.wrong(key, "is missing"))?;
        let pairs = merges.iter().enumerate().map(|(at, merge)| match merge.split_once(' ') {
            Some((left, right)) if [left, right].iter().all(|part| words.places.contains_key(part)) => {
                match words.places.contains_key(format!("{left}{right}").as_str()) {
                    true => Ok(json!([left, right])),
                    false => Err(self.wrong(key, &format!("merge {at}, {merge:?}, makes no token"))),
                }
            }
            _ => Err(self.wrong(key, &format!("merge {at}, {merge:?}, is not of two tokens"))),
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        Ok(json!({
            "version": "1.0",
            "added_tokens": added(words),
            "normalizer": way.compose.then(|| json!({"type": "NFC"})),
            "pre_tokenizer": way.cut.json(),
            "decoder": bytes,
            "model": {
                "type": "BPE",
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": way.ignore_merges,
                "vocab": vocabulary(words),
                "merges": pairs,
            },
        }))
    }

    /// BPE as SentencePiece has it: tokens have scores, and the merges follow from them.
    fn sentence_piece(&self, words: &Words) -> Result<Value, LmError> {
        let key = "tokenizer.ggml.scores";
        let scores = self.list(key)?.ok_or_else(|| self.wrong(key, "is missing"))?;
        let scores: Vec<f64> = scores
            .iter()
            .filter_map(|score| if let Meta::Number(score) = score { Some(*score) } else { None })
            .collect();
        if scores.len() != words.list.len() {
            let what = format!("has {} numbers for {} tokens", scores.len(), words.list.len());
            return Err(self.wrong(key, &what));
        }
        let mut merges: Vec<(f64, usize, usize)> = Vec::new();
        for ((word, kind), score) in words.list.iter().zip(&words.kinds).zip(&scores) {
            if ![1, USER_DEFINED].contains(kind) || word.len() > LONGEST_PIECE {
                continue;
            }
            for (cut, _) in word.char_indices().skip(1) {
                let (left, right) = word.split_at(cut);
                if let (Some(left), Some(right)) = (words.places.get(left), words.places.get(right)) {
                    merges.push((*score, *left, *right));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let merges: Vec<Value> =
            merges.iter().map(|(_, left, right)| json!([words.list[*left], words.list[*right]])).collect();
        let unknown = words.kinds.iter().position(|kind| *kind == UNKNOWN).map(|at| words.list[at]);
        let space = self.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
        let mut before = vec![spaces];
        let mut after = vec![
            json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if space {
            before.insert(0, json!({"type": "Prepend", "prepend": "\u{2581}"}));
            after.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Ok(json!({
            "version": "1.0",
            "added_tokens": added(words),
            "normalizer": {"type": "Sequence", "normalizers": before},
            "decoder": {"type": "Sequence", "decoders": after},
            "model": {
                "type": "BPE",
                "unk_token": unknown,
                "fuse_unk": true,
                "byte_fallback": true,
                "vocab": vocabulary(words),
                "merges": merges,
            },
        }))
    }

    /// The text of a token that the metadata names by its number.
    fn special(&self, name: &str) -> Result<Option<(u32, String)>, LmError> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = self.whole(&key)? else { return Ok(None) };
        let list = self.list("tokenizer.ggml.tokens")?.unwrap_or_default();
        match (u32::try_from(id), usize::try_from(id).ok().and_then(|id| list.get(id))) {
            (Ok(id), Some(Meta::Text(text))) => Ok(Some((id, text.clone()))),
            _ => Err(self.wrong(&key, &format!("is {id}, and there are {} tokens", list.len()))),
        }
    }

    /// The tokens that end a turn: those that the file names, the one with which its chat template ends one first, and
    /// those that do so wherever they occur.
    ///
    /// # Errors
    /// A number is that of no token.
    pub fn stop(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, LmError> {
        let mut stop = Vec::new();
        for name in ["eos", "eot", "eom"] {
            stop.extend(self.special(name)?.map(|(id, _)| id));
        }
        let special = tokenizer.special();
        let known = ENDS.iter().filter(|end| special.iter().any(|token| token == *end));
        stop.extend(known.filter_map(|end| tokenizer.id(end)));
        let mut seen = Vec::new();
        stop.retain(|token| {
            !seen.contains(token) && {
                seen.push(*token);
                true
            }
        });
        Ok(stop)
    }

    /// How its makers sample from it.
    ///
    /// # Errors
    /// A value is none that can be sampled with.
    pub fn generation(&self) -> Result<GenerationConfig, LmError> {
        let mut fields = Map::new();
        for (ours, theirs) in [
            ("temperature", "temp"),
            ("top_k", "top_k"),
            ("top_p", "top_p"),
            ("min_p", "min_p"),
            ("repetition_penalty", "penalty_repeat"),
        ] {
            if let Some(number) = self.number(&format!("general.sampling.{theirs}"))? {
                fields.insert(ours.into(), number.into());
            }
        }
        GenerationConfig::read(&Value::Object(fields), &self.path)
    }

    /// The chat template.
    ///
    /// # Errors
    /// There is none, or it is broken.
    pub fn template(&self) -> Result<ChatTemplate, LmError> {
        let key = "tokenizer.chat_template";
        let mut templates = BTreeMap::new();
        for (name, value) in &self.meta {
            let named = match name.strip_prefix(key) {
                Some("") => "default",
                Some(rest) => rest.trim_start_matches('.'),
                None => continue,
            };
            if let Meta::Text(text) = value {
                templates.insert(named.to_string(), text.clone());
            }
        }
        if templates.is_empty() {
            let what =
                format!("there is none in the metadata ({key}): a base model does not chat; take its instruct version");
            return Err(LmError::Template { path: self.path.clone(), what });
        }
        let names = [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")];
        let mut special = BTreeMap::new();
        for (variable, name) in names {
            special.extend(self.special(name)?.map(|(_, text)| (variable.to_string(), text)));
        }
        ChatTemplate::new(templates, special, self.path.clone())
    }
}

fn vocabulary(words: &Words) -> Map<String, Value> {
    words.list.iter().enumerate().map(|(at, word)| ((*word).to_string(), at.into())).collect()
}

/// The tokens that are found in a text before it is cut.
fn added(words: &Words) -> Vec<Value> {
    let one = |(at, (word, kind)): (usize, (&&str, &i64))| {
        let special = *kind == CONTROL || *kind == UNKNOWN;
        (special || *kind == USER_DEFINED).then(|| {
            json!({
                "id": at, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special,
            })
        })
    };
    words.list.iter().zip(&words.kinds).enumerate().filter_map(one).collect()
}
