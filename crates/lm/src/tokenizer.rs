//! Byte-level BPE tokenizer, a thin layer over the `tokenizers` crate.

use crate::LmError;
use crate::chat_template::{END, JINJA, PAD, SPECIAL};
use crate::error::{parse_json, read_text};
use crate::model::write_file;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// Longest `tokenizer.json` that is read: those of the largest vocabularies have a third of it.
const LONGEST: u64 = 128 << 20;

/// How many times as long a tokenizer may make a text before it cuts it up. Some write three bytes for a space.
const MOST_GROWTH: f64 = 256.0;

/// The parts of a `tokenizer.json` that change a text.
#[derive(Deserialize)]
struct Steps {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// How many times as long all the replacements in such a part can make a text, one after the other.
fn growth(step: &Value) -> f64 {
    match step {
        Value::Array(steps) => steps.iter().map(growth).product(),
        Value::Object(fields) => {
            let own = match (fields.get("type").and_then(Value::as_str), fields.get("content").and_then(Value::as_str))
            {
                (Some("Replace"), Some(content)) => {
                    let pattern = fields.get("pattern").and_then(|pattern| pattern.get("String")?.as_str());
                    // A regular expression may match what is empty, before every letter.
                    pattern.filter(|pattern| !pattern.is_empty()).map_or(content.len() as f64 + 1.0, |pattern| {
                        (content.len() as f64 / pattern.len() as f64).max(1.0)
                    })
                }
                _ => 1.0,
            };
            own * fields.values().map(growth).product::<f64>()
        }
        _ => 1.0,
    }
}

/// Turns text into token ids and back without loss.
#[derive(Clone)]
pub struct Tokenizer(Inner);

fn failed(path: &Path) -> impl Fn(tokenizers::Error) -> LmError + '_ {
    move |e| LmError::Tokenizer { path: path.into(), what: e.to_string() }
}

impl Tokenizer {
    /// Learns a byte-level BPE of `vocab_size` tokens from `texts`. `special_tokens` get the first
    /// ids in their order, and are recognised as one token wherever they occur in a text. A number is
    /// merged like a word, so that a small model copies it in one piece.
    ///
    /// # Errors
    /// The trainer fails, or `vocab_size` is smaller than the special tokens and the 256 bytes.
    pub fn train_bpe<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocab_size: usize,
        special_tokens: &[&str],
    ) -> Result<Tokenizer, LmError> {
        let path = Path::new("tokenizer");
        if vocab_size < 256 + special_tokens.len() {
            let need = 256 + special_tokens.len();
            let what = format!("vocab_size must be at least {need}, not {vocab_size}");
            return Err(LmError::Tokenizer { path: path.into(), what });
        }
        let mut inner = Inner::new(BPE::default());
        let bytes = ByteLevel::new(false, true, true);
        inner.with_pre_tokenizer(Some(bytes));
        inner.with_decoder(Some(bytes));
        let special = special_tokens.iter().map(|t| AddedToken::from(*t, true)).collect();
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens(special)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build()
            .into();
        inner.train(&mut trainer, texts).map_err(failed(path))?;
        Ok(Tokenizer(inner))
    }

    /// Like [`Tokenizer::train_bpe`] with the special tokens of [`crate::chat_template`].
    ///
    /// # Errors
    /// As [`Tokenizer::train_bpe`].
    pub fn train_chat<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocab_size: usize,
    ) -> Result<Tokenizer, LmError> {
        Self::train_bpe(texts, vocab_size, &SPECIAL)
    }

    /// Reads a `tokenizer.json`, or the one in a folder. Tokens that only `tokenizer_config.json` beside it names are
    /// added, as transformers does.
    ///
    /// # Errors
    /// A file is missing or broken.
    pub fn load(path: &Path) -> Result<Tokenizer, LmError> {
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.into() };
        let bytes = match loophole_foreign::read(&path, LONGEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let others = ["tokenizer.model", "vocab.json", "spiece.model"];
                let other = others.iter().find(|other| path.with_file_name(other).exists());
                let hint = other.map_or("check the path".to_string(), |other| {
                    format!(
                        "there is only {other}: make tokenizer.json from it with AutoTokenizer.from_pretrained(FOLDER)\
                         .save_pretrained(FOLDER) of transformers"
                    )
                });
                return Err(LmError::Missing { path, hint });
            }
            read => read.map_err(LmError::io(&path))?,
        };
        let steps: Steps = serde_json::from_slice(&bytes)
            .map_err(|e| LmError::Tokenizer { path: path.clone(), what: e.to_string() })?;
        let grows =
            [&steps.normalizer, &steps.pre_tokenizer, &steps.decoder].map(growth).into_iter().fold(1.0, f64::max);
        if grows > MOST_GROWTH {
            let what = format!("its replacements make a text up to {grows:.0} times as long, more than {MOST_GROWTH}");
            return Err(LmError::Tokenizer { path, what });
        }
        let mut inner = Inner::from_bytes(bytes).map_err(failed(&path))?;
        // A prompt is as long as it is, whatever else the file was saved with.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed(&path))?;
        let settings = path.with_file_name("tokenizer_config.json");
        if settings.exists() {
            let json: serde_json::Value = parse_json(&settings, &read_text(&settings)?, "fetch or write it again")?;
            add_tokens(&mut inner, &json["added_tokens_decoder"], &settings)?;
        }
        Ok(Tokenizer(inner))
    }

    /// From what would be in a `tokenizer.json`; `path` is named in errors.
    ///
    /// # Errors
    /// It describes no tokenizer.
    pub(crate) fn from_json(json: &Value, path: &Path) -> Result<Tokenizer, LmError> {
        Inner::from_bytes(json.to_string()).map(Tokenizer).map_err(failed(path))
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` (with the chat template) and
    /// `special_tokens_map.json` into a folder, so that `AutoTokenizer` loads it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), LmError> {
        std::fs::create_dir_all(dir).map_err(LmError::io(dir))?;
        let path = dir.join("tokenizer.json");
        let text = self.0.to_string(true).map_err(failed(&path))?;
        write_file(&path, text.as_bytes())?;
        let mut config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 1_000_000_000,
            "clean_up_tokenization_spaces": false,
            "add_prefix_space": false,
        });
        let mut map = serde_json::json!({});
        for (key, token) in [("eos_token", END), ("pad_token", PAD)] {
            if self.id(token).is_some() {
                config[key] = token.into();
                map[key] = token.into();
            }
        }
        if self.id(END).is_some() {
            config["chat_template"] = JINJA.into();
        }
        for (name, json) in [("tokenizer_config.json", config), ("special_tokens_map.json", map)] {
            let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
            write_file(&dir.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// Token ids of a text; special tokens in it are recognised.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        // Byte-level BPE has a token for every byte: encoding cannot fail.
        self.0.encode_fast(text, false).map(|e| e.get_ids().to_vec()).unwrap_or_default()
    }

    /// The same with the tokens that the tokenizer's makers put around a text, as a beginning, where there are any.
    pub fn encode_whole(&self, text: &str) -> Vec<u32> {
        self.0.encode_fast(text, true).map(|e| e.get_ids().to_vec()).unwrap_or_default()
    }

    /// The text of one token; the bytes of one that is a part of a character as `bytes:\xe2\x82`, which is how OpenAI
    /// writes them.
    pub fn text_of(&self, id: u32) -> String {
        let text = self.decode(&[id]);
        let bytes = || {
            let token = self.token(id)?;
            if let Some(hex) = token.strip_prefix("<0x").and_then(|hex| hex.strip_suffix('>')) {
                return u8::from_str_radix(hex, 16).ok().map(|byte| vec![byte]);
            }
            token.chars().map(byte_of).collect::<Option<Vec<u8>>>()
        };
        match text.contains('\u{fffd}').then(bytes).flatten().filter(|bytes| std::str::from_utf8(bytes).is_err()) {
            Some(bytes) => bytes.iter().fold("bytes:".to_string(), |all, byte| all + &format!("\\x{byte:02x}")),
            None => text,
        }
    }

    /// How many characters of the text stand before each of the tokens; for one within a character, before that.
    pub fn offsets(&self, ids: &[u32]) -> Vec<usize> {
        let (mut prefix, mut read, mut length) = (0, 0, 0);
        let mut offsets = Vec::with_capacity(ids.len());
        for at in 0..ids.len() {
            offsets.push(length);
            // What a token reads may depend on the one before it.
            let (before, now) = (self.decode(&ids[prefix..read]), self.decode(&ids[prefix..=at]));
            if now.len() > before.len() && !now.ends_with('\u{fffd}') && now.is_char_boundary(before.len()) {
                length += now[before.len()..].chars().count();
                (prefix, read) = (read, at + 1);
            }
        }
        offsets
    }

    /// The text of token ids, special tokens included; invalid UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.0.decode(ids, false).unwrap_or_default()
    }

    /// The id of a token, if there is such a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// The token with this id, if there is one.
    pub fn token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    /// The special tokens: marks of the format, which are no part of what is said.
    pub fn special(&self) -> Vec<String> {
        let added = self.0.get_added_tokens_decoder();
        let mut special: Vec<String> =
            added.into_values().filter(|token| token.special).map(|token| token.content).collect();
        special.sort();
        special
    }

    /// The largest id of a token, if there is one: ids may have gaps.
    pub fn largest_id(&self) -> Option<u32> {
        self.0.get_vocab(true).values().max().copied()
    }

    /// Most bytes of text that one token can stand for, special ones included.
    pub fn longest(&self) -> usize {
        // A byte is written as a character of one or two bytes in the vocabulary.
        self.0.get_vocab(true).keys().map(String::len).max().unwrap_or(1)
    }

    /// Number of tokens, special ones included.
    pub fn vocab_size(&self) -> usize {
        self.0.get_vocab_size(true)
    }
}

/// The byte that a character stands for in the vocabulary of a byte-level tokenizer.
fn byte_of(c: char) -> Option<u8> {
    match c as u32 {
        n @ (33..=126 | 161..=172 | 174..=255) => u8::try_from(n).ok(),
        // The others have the next characters, in their order.
        n @ 256..=288 => u8::try_from(n - 256).ok(),
        n @ 289..=322 => u8::try_from(n - 289 + 127).ok(),
        323 => Some(173),
        _ => None,
    }
}

/// Adds the tokens of `{"id": {"content", "special", ...}}` that are not there yet.
fn add_tokens(inner: &mut Inner, listed: &serde_json::Value, path: &Path) -> Result<(), LmError> {
    let Some(listed) = listed.as_object() else {
        return Ok(());
    };
    let mut missing: Vec<(u32, AddedToken)> = Vec::new();
    for (id, token) in listed {
        let (Ok(id), Some(content)) = (id.parse(), token["content"].as_str()) else { continue };
        if inner.token_to_id(content).is_none() {
            let flag = |name: &str| token[name] == true;
            let token = AddedToken::from(content, flag("special"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .single_word(flag("single_word"))
                .normalized(flag("normalized"));
            missing.push((id, token));
        }
    }
    missing.sort_by_key(|(id, _)| *id);
    for (id, token) in missing {
        let content = token.content.clone();
        let added = inner.add_tokens([token]);
        if added.is_err() || inner.token_to_id(&content) != Some(id) {
            let what =
                format!("added_tokens_decoder: {content:?} should be token {id}; tokenizer.json does not go with it");
            return Err(LmError::Tokenizer { path: path.into(), what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat_template::{Message, render};

    fn trained() -> Tokenizer {
        let texts = (0..200).map(|i| format!("def add(a, b):\n    return a + b  # case {i}\n"));
        Tokenizer::train_chat(texts, 300).unwrap()
    }

    #[test]
    fn round_trips_any_text_and_keeps_special_tokens_whole() {
        let t = trained();
        assert!(t.vocab_size() > 270 && t.vocab_size() <= 300);
        for text in ["", "return a + b\n", "  ü € 漢 🦀\t\0x", "12 + 345", "<|enduser|>"] {
            assert_eq!(t.decode(&t.encode(text)), text);
        }
        assert!(t.encode("    return a").len() < 8, "merges were learned");
        assert!(t.encode("1999").len() <= 4, "bytes at worst");
        let chat = [Message::user("hi <b>"), Message::assistant("yes")];
        let text = render(&chat, true);
        assert_eq!(text, "<|user|>hi <b><|end|><|assistant|>yes<|end|><|assistant|>");
        let ids = t.encode(&text);
        assert_eq!(t.decode(&ids), text);
        assert_eq!((ids[0], ids[ids.len() - 1], ids[ids.len() - 2]), (2, 3, 4));
        assert_eq!(SPECIAL.map(|s| t.id(s)), [0, 1, 2, 3, 4].map(Some));
    }

    #[test]
    fn tokens_within_characters_have_bytes_and_places() {
        let t = trained();
        let ids = t.encode("a €b 🦀\n");
        let texts: Vec<String> = ids.iter().map(|id| t.text_of(*id)).collect();
        let bytes = |text: &str| -> String { text.bytes().map(|byte| format!("bytes:\\x{byte:02x}|")).collect() };
        let all: String = texts.iter().map(|text| format!("{text}|")).collect();
        assert!(all.contains(&bytes("€")) && all.contains(&bytes("🦀")), "{all}");
        assert_eq!(t.decode(&ids), "a €b 🦀\n");
        let offsets = t.offsets(&ids);
        let at = |text: &str| offsets[texts.iter().rposition(|t| t == text).unwrap()];
        assert_eq!((offsets[0], at("b"), at("bytes:\\xf0"), at("bytes:\\x80"), at("\n")), (0, 3, 5, 5, 6), "{all}");
        assert!((0..=255u8).all(|byte| (0..400).filter_map(char::from_u32).any(|c| byte_of(c) == Some(byte))));
    }

    #[test]
    fn training_is_deterministic_and_files_load_back() {
        let (a, b) = (trained(), trained());
        let dir = tempfile::tempdir().unwrap();
        a.save(dir.path()).unwrap();
        assert_eq!(a.0.to_string(false).unwrap(), b.0.to_string(false).unwrap());
        let c = Tokenizer::load(dir.path()).unwrap();
        let text = "def f(x):\n    return x<|end|>";
        assert_eq!(a.encode(text), c.encode(text));
        let missing = Tokenizer::load(&dir.path().join("no.json")).err().unwrap().to_string();
        assert!(missing.contains("no.json"), "{missing}");
    }
}
