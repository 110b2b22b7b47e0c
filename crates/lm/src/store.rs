//! Weights on disk: one or several safetensors files, or a GGUF file, read tensor by tensor to where they belong, so that no more than
//! the model itself is ever in memory. Nothing a file says of itself is believed: every length is checked against the
//! file, every shape against the configuration.

use crate::LmError;
use crate::gguf::block::Block;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The file that names the shard of every tensor.
const INDEX: &str = "model.safetensors.index.json";

/// Longest header: the limit of the `safetensors` library.
const LONGEST_HEADER: u64 = 100_000_000;

/// Most values in a header: 250,000 tensors in one file.
const MOST_VALUES: usize = 2_000_000;

/// Longest index.
const LONGEST_INDEX: u64 = 64 << 20;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// Number formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    BF16,
    F16,
    /// Small numbers with scales.
    Blocks(Block),
}

/// Rows of one format in blocks, as they are in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    pub block: Block,
    pub rows: usize,
    pub bytes: Vec<u8>,
}

impl Packed {
    fn widened(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.bytes.len() / self.block.bytes() * self.block.weights()];
        self.block.widen(&self.bytes, &mut out);
        out
    }
}

/// The elements of one or several tensors, in the format of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    F32(Vec<f32>),
    BF16(Vec<u16>),
    F16(Vec<u16>),
    /// One tensor after the other; their formats may differ.
    Blocks(Vec<Packed>),
}

impl Elements {
    pub fn new(format: Format) -> Elements {
        match format {
            Format::F32 => Elements::F32(Vec::new()),
            Format::BF16 => Elements::BF16(Vec::new()),
            Format::F16 => Elements::F16(Vec::new()),
            Format::Blocks(_) => Elements::Blocks(Vec::new()),
        }
    }

    /// All of them as f32.
    fn widened(&mut self) -> Vec<f32> {
        match self {
            Elements::F32(v) => std::mem::take(v),
            Elements::BF16(v) => v.iter().map(|x| from_bf16(*x)).collect(),
            Elements::F16(v) => v.iter().map(|x| from_f16(*x)).collect(),
            Elements::Blocks(parts) => parts.iter().flat_map(Packed::widened).collect(),
        }
    }
}

/// One tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub file: usize,
    /// As the file names it: `F32`, `BF16`, ...
    pub kind: String,
    pub shape: Vec<usize>,
    /// Where its bytes begin, from the beginning of the file.
    pub start: u64,
    pub bytes: u64,
    /// If set: its rows are so many heads, in each of which the rows of the two halves take turns. They are read as
    /// `transformers` has them, one half after the other. Its first side is a multiple of twice the heads.
    pub heads: Option<usize>,
}

/// The tensors of a checkpoint.
pub(crate) struct Store {
    files: Vec<(PathBuf, File)>,
    tensors: BTreeMap<String, Entry>,
    /// The index that named the files, if there is one.
    index: Option<PathBuf>,
    /// What describes the model, in words.
    described: &'static str,
}

/// Number formats that are read, for those who look for one.
const READ: &str = "F32, F16, BF16 and, in GGUF files, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K are read";

/// What describes the model in a GGUF file.
const METADATA: &str = "the metadata";

impl Store {
    /// Opens `model.safetensors` of a folder, else the shards its index names, else every other `*.safetensors`.
    pub fn open_dir(dir: &Path) -> Result<Store, LmError> {
        let single = dir.join("model.safetensors");
        if single.exists() {
            return Self::open(&[single], None);
        }
        let index = dir.join(INDEX);
        if index.exists() {
            let text = loophole_foreign::read_text(&index, LONGEST_INDEX).map_err(LmError::io(&index))?;
            let shards = shards(&text, &index)?;
            let files: Vec<PathBuf> = shards.iter().map(|name| dir.join(name)).collect();
            if let Some(missing) = files.iter().find(|file| !file.exists()) {
                let hint = format!("{INDEX} names it; fetch the whole checkpoint");
                return Err(LmError::Missing { path: missing.clone(), hint });
            }
            return Self::open(&files, Some(index));
        }
        let entries = std::fs::read_dir(dir).map_err(LmError::io(dir))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        let pickled = files.iter().find(|p| p.extension().is_some_and(|e| e == "bin" || e == "pth")).cloned();
        files
            .retain(|p| p.extension().is_some_and(|e| e == "safetensors") && !p.ends_with("adapter_model.safetensors"));
        files.sort();
        if files.is_empty() {
            let hint = match pickled {
                Some(file) => {
                    format!("{} is a pickle, which is not read; save the model as safetensors", file.display())
                }
                None => "the folder holds no *.safetensors; is it a checkpoint?".into(),
            };
            return Err(LmError::Missing { path: single, hint });
        }
        Self::open(&files, None)
    }

    /// Opens one file.
    pub fn open_file(path: &Path) -> Result<Store, LmError> {
        Self::open(&[path.to_path_buf()], None)
    }

    fn open(paths: &[PathBuf], index: Option<PathBuf>) -> Result<Store, LmError> {
        let described = "config.json";
        let mut store = Store { files: Vec::new(), tensors: BTreeMap::new(), index, described };
        for path in paths {
            let mut file = File::open(path).map_err(LmError::io(path))?;
            let size = file.metadata().map_err(LmError::io(path))?.len();
            let mut first = Vec::new();
            file.by_ref().take(8).read_to_end(&mut first).map_err(LmError::io(path))?;
            let header = match <[u8; 8]>::try_from(first) {
                Ok(length) => u64::from_le_bytes(length),
                Err(_) => return Err(broken(path, format!("it has {size} bytes, less than a header"))),
            };
            if header > LONGEST_HEADER || header > size.saturating_sub(8) {
                return Err(broken(path, format!("its header would have {header} bytes, the file has {size}")));
            }
            let mut text = Vec::new();
            file.by_ref().take(header).read_to_end(&mut text).map_err(LmError::io(path))?;
            for (name, entry) in entries(&text, store.files.len(), 8 + header, size, path)? {
                // A tensor that is in two files is as a rule a copy; the first one counts.
                store.tensors.entry(name).or_insert(entry);
            }
            store.files.push((path.clone(), file));
        }
        Ok(store)
    }

    /// A GGUF file, whose tensors somebody has found and named.
    pub fn of_gguf(path: PathBuf, file: File, tensors: BTreeMap<String, Entry>) -> Store {
        Store { files: vec![(path, file)], tensors, index: None, described: METADATA }
    }

    /// Whether it is a GGUF file: some weights are kept otherwise there.
    pub fn is_gguf(&self) -> bool {
        self.described == METADATA
    }

    /// What describes the model, in words.
    pub fn described(&self) -> &'static str {
        self.described
    }

    /// Bytes that all tensors take when a decoder has them.
    pub fn memory(&self) -> u128 {
        let one = |entry: &Entry| match format_of(&entry.kind) {
            Some(Format::Blocks(block)) => {
                let weights = u128::from(entry.bytes) / block.bytes() as u128 * block.weights() as u128;
                let numbers = if block.is_nibble() { weights / 2 } else { weights };
                numbers + 8 * weights / block.group() as u128
            }
            _ => u128::from(entry.bytes),
        };
        self.tensors.values().map(one).sum()
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The file a tensor is in, or the one where it would be looked for.
    pub fn path_of(&self, name: &str) -> &Path {
        match (self.tensors.get(name), &self.index) {
            (Some(entry), _) => &self.files[entry.file].0,
            (None, Some(index)) => index,
            // A store has at least one file.
            (None, None) => &self.files[0].0,
        }
    }

    /// The number format of a tensor of the given shape.
    pub fn format(&self, name: &str, shape: &[usize]) -> Result<Format, LmError> {
        self.entry(name, shape).map(|(_, format)| format)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<(&Entry, Format), LmError> {
        let wrong = |what: String, hint: &str| LmError::Tensor {
            path: self.path_of(name).into(),
            tensor: name.into(),
            what,
            hint: hint.into(),
        };
        let Some(entry) = self.tensors.get(name) else {
            let packed = name.strip_suffix("weight").is_some_and(|stem| {
                ["qweight", "weight_packed", "weight_scale"]
                    .iter()
                    .any(|q| self.tensors.contains_key(&format!("{stem}{q}")))
            });
            return Err(match packed {
                true => wrong("is quantised".into(), "use the checkpoint in bf16, f16 or f32"),
                false => wrong(
                    "is not in the file".into(),
                    &format!("compare {} (layers, tie_word_embeddings, biases) with the weights", self.described),
                ),
            });
        };
        if entry.shape != shape {
            let what = format!("has shape {:?}, expected {shape:?}", entry.shape);
            return Err(wrong(what, &format!("{} and the weights do not belong together", self.described)));
        }
        let Some(format) = format_of(&entry.kind) else {
            let hint = format!("{READ}: use the checkpoint in one of them");
            return Err(wrong(format!("has type {}", entry.kind), &hint));
        };
        if let Format::Blocks(block) = format {
            let rows = shape.split_last().map(|(row, rows)| (row, rows.iter().product::<usize>()));
            let fits = rows.is_some_and(|(row, rows)| {
                row.is_multiple_of(block.weights())
                    && entry.bytes == (row / block.weights() * rows * block.bytes()) as u64
            });
            if !fits {
                return Err(wrong(format!("is no whole blocks of {}", entry.kind), "fetch or convert it again"));
            }
        }
        Ok((entry, format))
    }

    fn pieces(&self, entry: &Entry, mut each: impl FnMut(&[u8])) -> Result<(), LmError> {
        let (path, file) = &self.files[entry.file];
        let mut file = file;
        file.seek(SeekFrom::Start(entry.start)).map_err(LmError::io(path))?;
        if let Some(heads) = entry.heads {
            let mut whole = vec![0; entry.bytes as usize];
            file.read_exact(&mut whole).map_err(LmError::io(path))?;
            each(&halves(&whole, entry.shape.first().copied().unwrap_or(1), heads));
            return Ok(());
        }
        let mut buffer = vec![0; PIECE.min(entry.bytes as usize)];
        let mut rest = entry.bytes as usize;
        while rest > 0 {
            let piece = &mut buffer[..PIECE.min(rest)];
            file.read_exact(piece).map_err(LmError::io(path))?;
            each(piece);
            rest -= piece.len();
        }
        Ok(())
    }

    fn whole(&self, entry: &Entry) -> Result<Vec<u8>, LmError> {
        let mut whole = Vec::with_capacity(entry.bytes as usize);
        self.pieces(entry, |bytes| whole.extend_from_slice(bytes))?;
        Ok(whole)
    }

    /// Reads a tensor as f32 into `out`, which has its size.
    pub fn read_f32(&self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<(), LmError> {
        let (entry, format) = self.entry(name, shape)?;
        if let Format::Blocks(block) = format {
            block.widen(&self.whole(entry)?, out);
            return Ok(());
        }
        let mut at = 0;
        self.pieces(entry, |bytes| {
            let n = match format {
                Format::F32 => fill(&mut out[at..], bytes.as_chunks::<4>().0, f32::from_le_bytes),
                Format::BF16 => fill(&mut out[at..], bytes.as_chunks::<2>().0, |b| from_bf16(u16::from_le_bytes(b))),
                Format::F16 => fill(&mut out[at..], bytes.as_chunks::<2>().0, |b| from_f16(u16::from_le_bytes(b))),
                // Read as a whole, above.
                Format::Blocks(_) => 0,
            };
            at += n;
        })
    }

    /// Reads a tensor as f32.
    pub fn vector(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        self.entry(name, shape)?;
        let mut out = vec![0.0; shape.iter().product()];
        self.read_f32(name, shape, &mut out)?;
        Ok(out)
    }

    /// Reads a tensor and appends it to `out`: as it is where the formats agree, else as f32.
    pub fn append(&self, name: &str, shape: &[usize], out: &mut Elements) -> Result<(), LmError> {
        let (entry, format) = self.entry(name, shape)?;
        // The shape was that of the entry, and its bytes are in the file.
        let len = shape.iter().product();
        match (out, format) {
            (Elements::Blocks(parts), Format::Blocks(block)) => {
                let rows = shape.first().copied().unwrap_or(1);
                parts.push(Packed { block, rows, bytes: self.whole(entry)? });
                Ok(())
            }
            (Elements::BF16(out), Format::BF16) | (Elements::F16(out), Format::F16) => {
                out.reserve_exact(len);
                self.pieces(entry, |bytes| {
                    out.extend(bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)));
                })
            }
            (Elements::F32(out), _) => {
                let from = out.len();
                out.resize(from + len, 0.0);
                self.read_f32(name, shape, &mut out[from..])
            }
            (out, _) => {
                let mut wide = out.widened();
                let from = wide.len();
                wide.resize(from + len, 0.0);
                self.read_f32(name, shape, &mut wide[from..])?;
                *out = Elements::F32(wide);
                Ok(())
            }
        }
    }
}

/// The format of this name.
fn format_of(kind: &str) -> Option<Format> {
    match kind {
        "F32" => Some(Format::F32),
        "BF16" => Some(Format::BF16),
        "F16" => Some(Format::F16),
        other => Block::ALL.iter().find(|(_, name, _)| *name == other).map(|(.., block)| Format::Blocks(*block)),
    }
}

/// Puts the two halves of every head one after the other; `rows` is a multiple of twice the heads.
fn halves(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row, half) = (bytes.len() / rows.max(1), rows / heads.max(1) / 2);
    let mut out = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact((2 * half * row).max(1)) {
        for first in [0, 1] {
            for pair in head.chunks_exact(2 * row) {
                out.extend_from_slice(&pair[first * row..][..row]);
            }
        }
    }
    out
}

fn fill<const N: usize>(out: &mut [f32], bytes: &[[u8; N]], f: impl Fn([u8; N]) -> f32) -> usize {
    for (x, b) in out.iter_mut().zip(bytes) {
        *x = f(*b);
    }
    bytes.len()
}

fn broken(path: &Path, what: String) -> LmError {
    LmError::Broken {
        path: path.into(),
        what: format!("not a readable safetensors file ({what})"),
        hint: "it may be cut off or a pointer file; fetch or write it again".into(),
    }
}

/// Reads a header: `{"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}`, offsets counted from `data`.
fn entries(text: &[u8], file: usize, data: u64, size: u64, path: &Path) -> Result<Vec<(String, Entry)>, LmError> {
    if loophole_foreign::json_values(text) > MOST_VALUES {
        return Err(broken(path, format!("its header has more than {MOST_VALUES} values; a tensor has about eight")));
    }
    let json: Value = serde_json::from_slice(text).map_err(|e| broken(path, format!("header: {e}")))?;
    let Value::Object(map) = json else {
        return Err(broken(path, "its header is no JSON object".into()));
    };
    let mut out = Vec::with_capacity(map.len());
    for (name, value) in map {
        if name == "__metadata__" {
            continue;
        }
        let odd = |what: &str| broken(path, format!("tensor {name}: {what}"));
        let numbers =
            |field: &str| -> Option<Vec<u64>> { value.get(field)?.as_array()?.iter().map(Value::as_u64).collect() };
        let kind = value.get("dtype").and_then(Value::as_str).ok_or_else(|| odd("no dtype"))?.to_string();
        let shape = numbers("shape").ok_or_else(|| odd("no shape"))?;
        let Some([begin, end]) = numbers("data_offsets").and_then(|o| <[u64; 2]>::try_from(o).ok()) else {
            return Err(odd("no data_offsets"));
        };
        if begin > end || end > size - data {
            return Err(odd(&format!("its bytes {begin}..{end} are beyond the end of the file ({})", size - data)));
        }
        let count = shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
        let width = match kind.as_str() {
            "F32" => Some(4),
            "BF16" | "F16" => Some(2),
            // Refused where it is needed; until then nobody minds its size.
            _ => None,
        };
        if let Some(width) = width
            && count.and_then(|count| count.checked_mul(width)) != Some(end - begin)
        {
            return Err(odd(&format!("{} bytes do not make {kind} of shape {shape:?}", end - begin)));
        }
        // Sides that are not 0 are bounded by the file's size where the type is known.
        let shape = shape.iter().map(|side| usize::try_from(*side).unwrap_or(usize::MAX)).collect();
        out.push((name, Entry { file, kind, shape, start: data + begin, bytes: end - begin, heads: None }));
    }
    // As the `safetensors` library has it. A few bytes that were many tensors would take more memory than the file.
    let mut places: Vec<&(String, Entry)> = out.iter().filter(|(_, entry)| entry.bytes > 0).collect();
    places.sort_by_key(|(_, entry)| entry.start);
    if let Some(two) = places.windows(2).find(|two| two[0].1.start + two[0].1.bytes > two[1].1.start) {
        return Err(broken(path, format!("tensors {} and {} overlap", two[0].0, two[1].0)));
    }
    Ok(out)
}

/// The files an index names, each once.
fn shards(text: &str, path: &Path) -> Result<Vec<String>, LmError> {
    let broken = |what: String| LmError::Broken {
        path: path.into(),
        what,
        hint: "{\"weight_map\": {\"tensor\": \"file.safetensors\", ...}} is expected".into(),
    };
    let json: Value = serde_json::from_str(text).map_err(|e| broken(e.to_string()))?;
    let map = json.get("weight_map").and_then(Value::as_object).ok_or_else(|| broken("no weight_map".into()))?;
    let mut names = Vec::new();
    for (tensor, file) in map {
        let file = file.as_str().ok_or_else(|| broken(format!("{tensor}: its file is no text")))?;
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !plain || !file.ends_with(".safetensors") {
            return Err(broken(format!("{tensor}: {file:?} is no safetensors file in this folder")));
        }
        names.push(file.to_string());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(broken("its weight_map is empty".into()));
    }
    Ok(names)
}

#[inline(always)]
pub(crate) fn from_bf16(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// Shifts the 15 low bits to where f32 has them and corrects the exponent's bias by a product, which is exact for
/// subnormal numbers too; infinities and NaNs get the largest exponent.
#[inline(always)]
pub(crate) fn from_f16(x: u16) -> f32 {
    let bits = u32::from(x & 0x7FFF) << 13;
    let value = f32::from_bits(bits) * f32::from_bits((254 - 15) << 23);
    let value = if x & 0x7C00 == 0x7C00 { f32::from_bits(bits | 0xFF << 23) } else { value };
    f32::from_bits(value.to_bits() | u32::from(x & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f16_is_read_exactly() {
        for x in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(x >> 10 & 0x1F), f64::from(x & 0x3FF));
            let size = match exponent {
                0 => fraction * 2f64.powi(-24),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
            };
            let want = if x >> 15 == 1 { -size } else { size } as f32;
            let got = from_f16(x);
            assert!(got == want && got.is_sign_negative() == (x >> 15 == 1) || got.is_nan() && want.is_nan(), "{x:x}");
        }
    }

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend((0..data).map(|i| i as u8));
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<Store, LmError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        Store::open_file(&path)
    }

    #[test]
    fn every_way_to_be_wrong_is_said() {
        let good = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert_eq!(opened(&file(good, 8)).unwrap().vector("a", &[2]).unwrap().len(), 2);
        for (bytes, said) in [
            (vec![1, 2, 3], "less than a header"),
            (u64::MAX.to_le_bytes().to_vec(), "header would have"),
            (file(good, 7), "beyond the end"),
            (file("[]", 0), "no JSON object"),
            (file("{", 0), "header"),
            (file(&format!("[{}0]", "0,".repeat(MOST_VALUES)), 0), "more than 2000000 values"),
            (file(r#"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, 8), "a: no dtype"),
            (file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8), "a: no shape"),
            (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}"#, 8), "a: no data_offsets"),
            (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8), "beyond the end"),
            (file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8), "do not make F32"),
            (
                file(r#"{"a":{"dtype":"BF16","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#, 8),
                "do not make BF16",
            ),
        ] {
            let error = opened(&bytes).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains("model.safetensors"), "{error}; expected {said}");
        }
        let store = opened(&file(r#"{"q.qweight":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#, 8)).unwrap();
        assert!(store.vector("q.qweight", &[2]).unwrap_err().to_string().contains("type I32"));
        assert!(store.vector("q.weight", &[2]).unwrap_err().to_string().contains("quantised"));
    }

    proptest! {
        #[test]
        fn no_header_is_believed(
            header in r#"\{("[a-c]":\{"dtype":"(F32|BF16|F16|I8|X)","shape":\[[0-9]{1,20}(,[0-9]{1,3})?\],"data_offsets":\[[0-9]{1,2},[0-9]{1,20}\]\},?){0,3}\}"#,
            data in 0usize..80,
            cut in 0usize..200,
            length in any::<Option<u64>>(),
        ) {
            let mut bytes = file(&header, data);
            bytes.truncate(bytes.len().saturating_sub(cut % 90));
            if let Some(length) = length && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&(length % 500).to_le_bytes());
            }
            if let Ok(store) = opened(&bytes) {
                for name in store.names() {
                    let shape = store.tensors[name].shape.clone();
                    if let Ok(read) = store.vector(name, &shape) {
                        prop_assert!(4 * read.len() <= 2 * bytes.len());
                    }
                }
            }
        }

        #[test]
        fn no_index_escapes_its_folder(file in "[./a-z]{0,12}(\\.safetensors)?") {
            let text = serde_json::json!({"weight_map": {"a": file}}).to_string();
            if let Ok(names) = shards(&text, Path::new("index")) {
                prop_assert!(names.iter().all(|n| !n.contains('/') && n.ends_with(".safetensors") && n != ".."));
            }
        }

        #[test]
        fn an_index_of_anything_is_read_or_refused(text in r#"\{"weight_map":(\{("[a-z]":("[a-z]{0,3}.safetensors"|1|null),?){0,3}\}|[0-9]|\[\])\}"#) {
            let _ = shards(&text, Path::new("index"));
        }
    }
}
