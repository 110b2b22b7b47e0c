//! A model: its configuration and all weights in one flat buffer with named views.

use crate::{Config, LmError, rng::Rng};
use safetensors::tensor::{Dtype as StDtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A named tensor inside the flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Name as in a Hugging Face checkpoint.
    pub name: String,
    /// Shape; linear weights are `[out, in]`.
    pub shape: Vec<usize>,
    /// Where the elements lie in [`Model::params`].
    pub range: Range<usize>,
}

impl View {
    /// Whether this is the weight of a norm (no weight decay, initialised to one).
    pub fn is_norm(&self) -> bool {
        self.shape.len() == 1
    }
}

/// Number format of a saved checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit floats: loads back bit for bit.
    F32,
    /// bfloat16, half the size, rounded to nearest even.
    BF16,
}

/// Start of every block in the flat buffer. Query, key and value weights lie one after the other,
/// and so do gate and up, so that each group is one matrix product.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub embed: usize,
    pub layers: Vec<LayerOffsets>,
    pub norm: usize,
    pub head: usize,
    pub len: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerOffsets {
    pub qkv: usize,
    pub o: usize,
    pub gate_up: usize,
    pub down: usize,
    pub norm1: usize,
    pub norm2: usize,
}

/// Names, shapes and places of all tensors of a configuration, in the order of the flat buffer.
pub fn views(c: &Config) -> Vec<View> {
    let (h, i, hd) = (c.hidden_size, c.intermediate_size, c.head_dim());
    let (q, kv) = (c.num_attention_heads * hd, c.num_key_value_heads * hd);
    let mut out: Vec<View> = Vec::new();
    let mut at = 0;
    let mut push = |name: String, shape: &[usize]| {
        let len: usize = shape.iter().product();
        out.push(View { name, shape: shape.to_vec(), range: at..at + len });
        at += len;
    };
    push("model.embed_tokens.weight".into(), &[c.vocab_size, h]);
    for l in 0..c.num_hidden_layers {
        let p = format!("model.layers.{l}.");
        push(format!("{p}self_attn.q_proj.weight"), &[q, h]);
        push(format!("{p}self_attn.k_proj.weight"), &[kv, h]);
        push(format!("{p}self_attn.v_proj.weight"), &[kv, h]);
        push(format!("{p}self_attn.o_proj.weight"), &[h, q]);
        push(format!("{p}mlp.gate_proj.weight"), &[i, h]);
        push(format!("{p}mlp.up_proj.weight"), &[i, h]);
        push(format!("{p}mlp.down_proj.weight"), &[h, i]);
        push(format!("{p}input_layernorm.weight"), &[h]);
        push(format!("{p}post_attention_layernorm.weight"), &[h]);
    }
    push("model.norm.weight".into(), &[h]);
    if !c.tie_word_embeddings {
        push("lm_head.weight".into(), &[c.vocab_size, h]);
    }
    out
}

impl Layout {
    pub fn new(c: &Config) -> Layout {
        let v = views(c);
        let start = |i: usize| v[i].range.start;
        let layers = (0..c.num_hidden_layers)
            .map(|l| {
                let b = 1 + 9 * l;
                LayerOffsets {
                    qkv: start(b),
                    o: start(b + 3),
                    gate_up: start(b + 4),
                    down: start(b + 6),
                    norm1: start(b + 7),
                    norm2: start(b + 8),
                }
            })
            .collect();
        let norm = 1 + 9 * c.num_hidden_layers;
        let head = if c.tie_word_embeddings { start(0) } else { start(norm + 1) };
        let len = v.last().map_or(0, |v| v.range.end);
        Layout { embed: start(0), layers, norm: start(norm), head, len }
    }
}

/// A decoder: configuration and weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its shape.
    pub config: Config,
    /// All weights, laid out as [`Model::views`] says.
    pub params: Vec<f32>,
}

impl Model {
    /// Random weights: normal with deviation 0.02, scaled down by `sqrt(2 * layers)` where a
    /// block writes into the residual stream (as in GPT-2); norms are one.
    ///
    /// # Errors
    /// The configuration's sizes do not fit together.
    pub fn init(config: Config, seed: u64) -> Result<Model, LmError> {
        config.check(Path::new("config"))?;
        let views = views(&config);
        let mut params = vec![0.0; views.last().map_or(0, |v| v.range.end)];
        let mut rng = Rng::new(seed);
        let residual = 0.02 / (2.0 * config.num_hidden_layers.max(1) as f32).sqrt();
        for v in &views {
            let writes = v.name.contains("o_proj") || v.name.contains("down_proj");
            let std = if writes { residual } else { 0.02 };
            for x in &mut params[v.range.clone()] {
                *x = if v.is_norm() { 1.0 } else { rng.normal() * std };
            }
        }
        Ok(Model { config, params })
    }

    /// Names, shapes and places of the weights.
    pub fn views(&self) -> Vec<View> {
        views(&self.config)
    }

    /// Reads `config.json` and every `*.safetensors` of a folder (F32, F16 or BF16).
    ///
    /// # Errors
    /// A file is missing or broken, a tensor is missing or has another shape.
    pub fn load(dir: &Path) -> Result<Model, LmError> {
        let config = Config::load(&dir.join("config.json"))?;
        let mut views = views(&config);
        let mut params = vec![0.0; views.last().map_or(0, |v| v.range.end)];
        let single = dir.join("model.safetensors");
        let mut files: Vec<PathBuf> = vec![single.clone()];
        if !single.exists() {
            let entries = std::fs::read_dir(dir).map_err(LmError::io(dir))?;
            files = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
            files.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
            files.retain(|p| !p.ends_with("adapter_model.safetensors"));
            files.sort();
        }
        if files.is_empty() {
            let hint = "the folder holds no *.safetensors; is it a checkpoint?".into();
            return Err(LmError::Missing { path: single, hint });
        }
        for file in &files {
            let bytes = std::fs::read(file).map_err(LmError::io(file))?;
            let tensors = parse(file, &bytes)?;
            let mut rest = Vec::new();
            for v in views {
                match tensors.tensor(&v.name) {
                    Ok(t) => read_tensor(file, &v, &t, &mut params[v.range.clone()])?,
                    Err(_) => rest.push(v),
                }
            }
            views = rest;
        }
        if let Some(v) = views.first() {
            return Err(LmError::Tensor {
                path: files[0].clone(),
                tensor: v.name.clone(),
                what: "is not in the file".into(),
                hint: "compare config.json (layers, tie_word_embeddings) with the weights".into(),
            });
        }
        Ok(Model { config, params })
    }

    /// Writes `model.safetensors`, `config.json` and `generation_config.json`; every file is
    /// written under a temporary name and then renamed.
    ///
    /// # Errors
    /// The folder cannot be made or a file cannot be written.
    pub fn save(&self, dir: &Path, dtype: Dtype) -> Result<(), LmError> {
        std::fs::create_dir_all(dir).map_err(LmError::io(dir))?;
        let tensors: Vec<(String, Vec<usize>, &[f32])> =
            self.views().into_iter().map(|v| (v.name, v.shape, &self.params[v.range])).collect();
        write_tensors(&dir.join("model.safetensors"), &tensors, dtype, &[("format", "pt")])?;
        let name = if dtype == Dtype::F32 { "float32" } else { "bfloat16" };
        write_file(&dir.join("config.json"), self.config.to_hf_json(name).as_bytes())?;
        let mut generation = serde_json::Map::new();
        for (key, id) in [
            ("bos_token_id", self.config.bos_token_id),
            ("eos_token_id", self.config.eos_token_id),
            ("pad_token_id", self.config.pad_token_id),
        ] {
            if let Some(id) = id {
                generation.insert(key.into(), id.into());
            }
        }
        let text = serde_json::to_string_pretty(&generation).unwrap_or_default() + "\n";
        write_file(&dir.join("generation_config.json"), text.as_bytes())
    }

    /// Rounds every weight to the nearest bfloat16 (ties to even), so that a BF16 checkpoint is
    /// exactly this model.
    pub fn round_bf16(&mut self) {
        for x in &mut self.params {
            *x = f32::from_bits(u32::from(to_bf16(*x)) << 16);
        }
    }

    /// SHA-256 of the weights (little-endian f32), as hexadecimal digits.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for block in self.params.chunks(4096) {
            let bytes: Vec<u8> = block.iter().flat_map(|x| x.to_le_bytes()).collect();
            hash.update(&bytes);
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

fn from_f16(h: u16) -> f32 {
    let sign = if h >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(h >> 10 & 0x1F), f32::from(h & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

pub(crate) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, LmError> {
    SafeTensors::deserialize(bytes).map_err(|e| LmError::Broken {
        path: path.into(),
        what: format!("not a readable safetensors file ({e})"),
        hint: "it may be cut off or a pointer file; fetch or write it again".into(),
    })
}

pub(crate) fn read_tensor(path: &Path, view: &View, tensor: &TensorView, out: &mut [f32]) -> Result<(), LmError> {
    let wrong = |what: String, hint: &str| LmError::Tensor {
        path: path.into(),
        tensor: view.name.clone(),
        what,
        hint: hint.into(),
    };
    if tensor.shape() != view.shape {
        let what = format!("has shape {:?}, expected {:?}", tensor.shape(), view.shape);
        return Err(wrong(what, "config.json and the weights do not belong together"));
    }
    let data = tensor.data();
    match tensor.dtype() {
        StDtype::F32 => {
            for (x, b) in out.iter_mut().zip(data.as_chunks::<4>().0) {
                *x = f32::from_le_bytes(*b);
            }
        }
        StDtype::BF16 => {
            for (x, b) in out.iter_mut().zip(data.as_chunks::<2>().0) {
                *x = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            }
        }
        StDtype::F16 => {
            for (x, b) in out.iter_mut().zip(data.as_chunks::<2>().0) {
                *x = from_f16(u16::from_le_bytes(*b));
            }
        }
        other => {
            let what = format!("has type {other:?}");
            return Err(wrong(what, "F32, BF16 and F16 are supported; convert the checkpoint"));
        }
    }
    Ok(())
}

pub(crate) fn write_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, &[f32])],
    dtype: Dtype,
    metadata: &[(&str, &str)],
) -> Result<(), LmError> {
    let broken = |e: safetensors::SafeTensorError| LmError::Broken {
        path: path.into(),
        what: format!("cannot be written ({e})"),
        hint: "report this as a bug".into(),
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, data)| match dtype {
            Dtype::F32 => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Dtype::BF16 => data.iter().flat_map(|&x| to_bf16(x).to_le_bytes()).collect(),
        })
        .collect();
    let kind = if dtype == Dtype::F32 { StDtype::F32 } else { StDtype::BF16 };
    let mut list = Vec::with_capacity(tensors.len());
    for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(kind, shape.clone(), bytes).map_err(broken)?;
        list.push((name.as_str(), view));
    }
    let metadata = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let data = safetensors::serialize(list, Some(metadata)).map_err(broken)?;
    write_file(path, &data)
}

/// Writes a file under a temporary name beside it and renames it: a reader never sees half of it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LmError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp{}", std::process::id()));
    let temp = path.with_file_name(name);
    std::fs::write(&temp, bytes).map_err(LmError::io(&temp))?;
    std::fs::rename(&temp, path).map_err(LmError::io(path))
}
