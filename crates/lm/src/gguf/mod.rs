//! GGUF, the single file in which llama.cpp and what is built on it keep a model: metadata by name, then a list of
//! tensors, then their bytes. The format is described at
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; versions 2 and 3 are read.
//!
//! What is made of it is what a folder of Hugging Face gives: a [`crate::Config`], a [`Store`] whose tensors have the
//! names and the order of rows of `transformers`, a tokenizer, a chat template. Nothing a file says of itself is
//! believed: every length is checked against the file before memory is taken for it.

pub(crate) mod block;
mod config;
mod names;
mod vocabulary;

use crate::LmError;
use crate::store::{Entry, Store};
use block::Block;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"GGUF";

/// Longest metadata and list of tensors: those of the largest vocabularies have a tenth of it.
const LONGEST_HEADER: u64 = 256 << 20;

/// Longest text in the metadata.
const LONGEST_TEXT: u64 = 16 << 20;

/// Most values in the metadata, those of arrays counted one by one: a vocabulary has about four a token.
const MOST_VALUES: u64 = 4_000_000;

/// Most tensors.
const MOST_TENSORS: u64 = 250_000;

/// Most sides of a tensor.
const MOST_SIDES: u32 = 4;

/// Alignment of the tensors unless the file names one.
const ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meta {
    Whole(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    List(Vec<Meta>),
}

/// A file's metadata, and where its tensors are.
pub(crate) struct Gguf {
    pub path: PathBuf,
    meta: BTreeMap<String, Meta>,
    tensors: BTreeMap<String, Entry>,
}

/// The GGUF file that a path names: a file that is one by its name or its first bytes, or the only one in a folder that
/// has no `config.json`.
///
/// # Errors
/// A folder without `config.json` holds several.
pub(crate) fn find(path: &Path) -> Result<Option<PathBuf>, LmError> {
    let named = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    if path.is_file() {
        let mut first = [0; 4];
        let begins = File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && &first == MAGIC;
        return Ok((named(path) || begins).then(|| path.into()));
    }
    if path.join("config.json").exists() {
        return Ok(None);
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(None) };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| named(p)).collect();
    files.sort();
    match &files[..] {
        [] => Ok(None),
        [file] => Ok(Some(file.clone())),
        [first, ..] => Err(LmError::Broken {
            path: path.into(),
            what: format!("holds {} GGUF files", files.len()),
            hint: format!("name one of them, such as {}", first.display()),
        }),
    }
}

/// Reads from a file with its size in mind.
struct Header<'a> {
    path: &'a Path,
    from: BufReader<&'a File>,
    at: u64,
    size: u64,
    values: u64,
}

impl Header<'_> {
    fn broken(&self, what: impl Into<String>) -> LmError {
        broken(self.path, what)
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], LmError> {
        let mut bytes = [0; N];
        self.at += N as u64;
        if self.at > self.size {
            return Err(self.broken(format!("it ends in {what}")));
        }
        self.from.read_exact(&mut bytes).map_err(LmError::io(self.path))?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32, LmError> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, LmError> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &str) -> Result<String, LmError> {
        let length = self.u64(what)?;
        if length > LONGEST_TEXT || length > self.size - self.at || self.at + length > LONGEST_HEADER {
            return Err(self.broken(format!("{what} would have {length} bytes")));
        }
        let mut bytes = Vec::new();
        self.from.by_ref().take(length).read_to_end(&mut bytes).map_err(LmError::io(self.path))?;
        if bytes.len() as u64 != length {
            return Err(self.broken(format!("it ends in {what}")));
        }
        self.at += length;
        String::from_utf8(bytes).map_err(|_| self.broken(format!("{what} is no UTF-8")))
    }

    fn count(&mut self, more: u64) -> Result<(), LmError> {
        self.values = self.values.saturating_add(more);
        match self.values > MOST_VALUES {
            true => Err(self.broken(format!("its metadata has more than {MOST_VALUES} values"))),
            false => Ok(()),
        }
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Meta, LmError> {
        let whole = |x: i64| Ok(Meta::Whole(x));
        match kind {
            0 => whole(u8::from_le_bytes(self.bytes(key)?).into()),
            1 => whole(i8::from_le_bytes(self.bytes(key)?).into()),
            2 => whole(u16::from_le_bytes(self.bytes(key)?).into()),
            3 => whole(i16::from_le_bytes(self.bytes(key)?).into()),
            4 => whole(u32::from_le_bytes(self.bytes(key)?).into()),
            5 => whole(i32::from_le_bytes(self.bytes(key)?).into()),
            6 => Ok(Meta::Number(f32::from_le_bytes(self.bytes(key)?).into())),
            7 => Ok(Meta::Flag(self.bytes::<1>(key)? != [0])),
            8 => self.text(key).map(Meta::Text),
            9 => {
                let (kind, length) = (self.u32(key)?, self.u64(key)?);
                if kind == 9 {
                    return Err(self.broken(format!("{key} is a list of lists")));
                }
                self.count(length)?;
                (0..length).map(|_| self.value(kind, key)).collect::<Result<_, _>>().map(Meta::List)
            }
            10 => {
                let number = u64::from_le_bytes(self.bytes(key)?);
                i64::try_from(number).map(Meta::Whole).map_err(|_| self.broken(format!("{key} is {number}")))
            }
            11 => whole(i64::from_le_bytes(self.bytes(key)?)),
            12 => Ok(Meta::Number(f64::from_le_bytes(self.bytes(key)?))),
            other => Err(self.broken(format!("{key} has a value of the unknown kind {other}"))),
        }
    }
}

/// A tensor as the list names it.
struct Listed {
    name: String,
    shape: Vec<usize>,
    kind: String,
    offset: u64,
    bytes: u64,
}

fn tensor(header: &mut Header) -> Result<Listed, LmError> {
    let name = header.text("the list of tensors")?;
    let sides = header.u32(&name)?;
    if sides > MOST_SIDES {
        return Err(header.broken(format!("tensor {name}: {sides} sides are more than {MOST_SIDES}")));
    }
    // The fastest one comes first; ours comes last.
    let mut shape = Vec::new();
    for _ in 0..sides {
        shape.insert(0, header.u64(&name)?);
    }
    let (number, offset) = (header.u32(&name)?, header.u64(&name)?);
    let block = Block::ALL.iter().find(|(known, ..)| *known == number);
    let (kind, weights, width) = match (number, block) {
        (0, _) => ("F32".to_string(), 1, 4),
        (1, _) => ("F16".to_string(), 1, 2),
        (30, _) => ("BF16".to_string(), 1, 2),
        (_, Some((_, name, block))) => ((*name).to_string(), block.weights() as u64, block.bytes() as u64),
        // Refused where it is needed; until then nobody minds its size.
        (other, None) => (names::format(other), 1, 0),
    };
    let row = shape.last().copied().unwrap_or(1);
    let count = shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
    let bytes = count.and_then(|count| (count / weights).checked_mul(width));
    let Some(bytes) = bytes.filter(|_| row.is_multiple_of(weights)) else {
        return Err(header.broken(format!("tensor {name}: {shape:?} cannot be a shape of {kind}")));
    };
    let shape = shape.iter().map(|side| usize::try_from(*side).unwrap_or(usize::MAX)).collect();
    Ok(Listed { name, shape, kind, offset, bytes })
}

impl Gguf {
    /// Reads the metadata and the list of tensors.
    ///
    /// # Errors
    /// The file is missing, cut off, no GGUF file or one of another version.
    pub fn open(path: &Path) -> Result<Gguf, LmError> {
        let file = File::open(path).map_err(LmError::io(path))?;
        let size = file.metadata().map_err(LmError::io(path))?.len();
        let mut header = Header { path, from: BufReader::with_capacity(1 << 16, &file), at: 0, size, values: 0 };
        if &header.bytes("its first bytes")? != MAGIC {
            return Err(header.broken("it does not begin with GGUF"));
        }
        match header.u32("its version")? {
            2 | 3 => {}
            1 => return Err(header.broken("it has version 1, which has not been written since 2023")),
            other if other.swap_bytes() <= 3 => return Err(header.broken("it is written for big-endian machines")),
            other => return Err(header.broken(format!("it has version {other}; 2 and 3 are known"))),
        }
        let (tensors, values) = (header.u64("its counts")?, header.u64("its counts")?);
        if tensors > MOST_TENSORS {
            return Err(header.broken(format!("it would have {tensors} tensors, more than {MOST_TENSORS}")));
        }
        header.count(values)?;
        let mut meta = BTreeMap::new();
        for _ in 0..values {
            let key = header.text("its metadata")?;
            let kind = header.u32(&key)?;
            let value = header.value(kind, &key)?;
            if meta.insert(key.clone(), value).is_some() {
                return Err(header.broken(format!("{key} is there twice")));
            }
        }
        let listed = (0..tensors).map(|_| tensor(&mut header)).collect::<Result<Vec<_>, _>>()?;
        let end = header.at;
        let mut gguf = Gguf { path: path.into(), meta, tensors: BTreeMap::new() };
        gguf.place(listed, end, size)?;
        Ok(gguf)
    }

    /// Finds where the tensors are.
    fn place(&mut self, listed: Vec<Listed>, end: u64, size: u64) -> Result<(), LmError> {
        if self.meta.contains_key("split.count") && self.whole("split.count")?.is_some_and(|count| count > 1) {
            return Err(LmError::Broken {
                path: self.path.clone(),
                what: "is one of several files of a model".into(),
                hint: "join them with `llama-gguf-split --merge` of llama.cpp, and name the whole".into(),
            });
        }
        let alignment = self.whole("general.alignment")?.unwrap_or(ALIGNMENT);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(broken(&self.path, format!("general.alignment {alignment} is no small power of two")));
        }
        let data = end.next_multiple_of(alignment);
        for Listed { name, shape, kind, offset, bytes } in listed {
            let beyond = data.checked_add(offset).and_then(|start| start.checked_add(bytes)).is_none_or(|at| at > size);
            if beyond {
                let what = format!("tensor {name}: its {bytes} bytes from {offset} on are beyond the end of the file");
                return Err(broken(&self.path, what));
            }
            let entry = Entry { file: 0, kind, shape, start: data + offset, bytes, heads: None };
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(broken(&self.path, format!("tensor {name} is there twice")));
            }
        }
        // A few bytes that were many tensors would take more memory than the file.
        let mut places: Vec<(&String, &Entry)> = self.tensors.iter().filter(|(_, entry)| entry.bytes > 0).collect();
        places.sort_by_key(|(_, entry)| entry.start);
        if let Some(two) = places.windows(2).find(|two| two[0].1.start + two[0].1.bytes > two[1].1.start) {
            return Err(broken(&self.path, format!("tensors {} and {} overlap", two[0].0, two[1].0)));
        }
        Ok(())
    }

    /// Shape and weights.
    ///
    /// # Errors
    /// Something is missing, wrong, or of a model that this crate does not run, or there is not the memory for it.
    pub fn model(&self) -> Result<(crate::Config, Store), LmError> {
        let mut config = self.config()?;
        let store = self.store(&config)?;
        self.stretch(&mut config, &store)?;
        crate::error::fits(&self.path, "a model of these sizes", store.memory())?;
        Ok((config, store))
    }

    /// The weights, under the names and in the order of rows that `transformers` has.
    ///
    /// # Errors
    /// The file is gone, or its queries and keys are no whole heads.
    fn store(&self, config: &crate::Config) -> Result<Store, LmError> {
        let mut tensors = BTreeMap::new();
        for (name, entry) in &self.tensors {
            let mut entry = entry.clone();
            // Queries and keys of Llama have the two halves of a head interleaved there.
            if config.family == crate::Family::Llama {
                let heads = match name.rsplit('.').nth(1) {
                    Some("attn_q") => Some(config.num_attention_heads),
                    Some("attn_k") => Some(config.num_key_value_heads),
                    _ => None,
                };
                if let (Some(heads), Some(rows)) = (heads, entry.shape.first())
                    && !rows.is_multiple_of(2 * heads)
                {
                    return Err(broken(&self.path, format!("tensor {name}: {rows} rows are no {heads} even heads")));
                }
                entry.heads = heads;
            }
            tensors.insert(names::hugging_face(name, config.layer(0).norms.before_mlp), entry);
        }
        let file = File::open(&self.path).map_err(LmError::io(&self.path))?;
        Ok(Store::of_gguf(self.path.clone(), file, tensors))
    }

    fn get(&self, key: &str) -> Option<&Meta> {
        self.meta.get(key)
    }

    fn wrong(&self, key: &str, what: &str) -> LmError {
        LmError::Config { path: self.path.clone(), field: key.into(), what: what.into() }
    }

    /// A whole number that is not negative, if it is there.
    fn whole(&self, key: &str) -> Result<Option<u64>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Meta::Whole(x)) => u64::try_from(*x).map(Some).map_err(|_| self.wrong(key, "must not be negative")),
            Some(_) => Err(self.wrong(key, "must be a whole number")),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Meta::Number(x)) => Ok(Some(*x)),
            Some(Meta::Whole(x)) => Ok(Some(*x as f64)),
            Some(_) => Err(self.wrong(key, "must be a number")),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Meta::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "must be a text")),
        }
    }

    /// Whether a flag is set; none if it is not there.
    fn flag(&self, key: &str) -> Result<Option<bool>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Meta::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(key, "must be true or false")),
        }
    }

    fn list(&self, key: &str) -> Result<Option<&[Meta]>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Meta::List(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(key, "must be a list")),
        }
    }

    /// A list of texts, if it is there.
    fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, LmError> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let wrong = || self.wrong(key, "must be a list of texts");
        list.iter()
            .map(|value| if let Meta::Text(text) = value { Ok(text.as_str()) } else { Err(wrong()) })
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn broken(path: &Path, what: impl Into<String>) -> LmError {
    LmError::Broken {
        path: path.into(),
        what: format!("not a readable GGUF file ({})", what.into()),
        hint: "it may be cut off or a pointer file; fetch or convert it again".into(),
    }
}
