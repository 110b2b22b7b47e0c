//! A model: its configuration and all weights in one flat buffer with named views.

use crate::store::{Store, from_bf16, from_f16};
use crate::{Config, LmError, rng::Rng};
use safetensors::tensor::{Dtype as StDtype, SafeTensors, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

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
    /// Whether this is a vector: the weight of a norm or a bias (no weight decay).
    pub fn is_norm(&self) -> bool {
        self.shape.len() == 1
    }

    /// Whether this is a bias.
    pub fn is_bias(&self) -> bool {
        self.name.ends_with(".bias")
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
    pub qkv_bias: Option<usize>,
    pub o_bias: Option<usize>,
    pub gate_up_bias: Option<usize>,
    pub down_bias: Option<usize>,
    /// Norm of every query head; that of the key heads lies behind it.
    pub qk_norm: Option<usize>,
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
        let norms = c.layer(l).norms;
        for name in [norms.after_attention, Some(norms.before_mlp), norms.after_mlp].into_iter().flatten() {
            push(format!("{p}{name}.weight"), &[h]);
        }
        if c.qkv_bias() {
            push(format!("{p}self_attn.q_proj.bias"), &[q]);
            push(format!("{p}self_attn.k_proj.bias"), &[kv]);
            push(format!("{p}self_attn.v_proj.bias"), &[kv]);
        }
        if c.o_bias() {
            push(format!("{p}self_attn.o_proj.bias"), &[h]);
        }
        if c.mlp_bias {
            push(format!("{p}mlp.gate_proj.bias"), &[i]);
            push(format!("{p}mlp.up_proj.bias"), &[i]);
            push(format!("{p}mlp.down_proj.bias"), &[h]);
        }
        if c.qk_norm() {
            push(format!("{p}self_attn.q_norm.weight"), &[hd]);
            push(format!("{p}self_attn.k_norm.weight"), &[hd]);
        }
    }
    push("model.norm.weight".into(), &[h]);
    if !c.tie_word_embeddings {
        push("lm_head.weight".into(), &[c.vocab_size, h]);
    }
    out
}

impl Layout {
    pub fn new(c: &Config) -> Layout {
        let views = views(c);
        let starts: HashMap<&str, usize> = views.iter().map(|v| (v.name.as_str(), v.range.start)).collect();
        // Where a configuration has no such tensor, nobody asks for its place.
        let start = |name: &str| starts.get(name).copied();
        let layer = |l: usize| {
            let part = |name: &str| start(&format!("model.layers.{l}.{name}"));
            let always = |name: &str| part(name).unwrap_or(0);
            LayerOffsets {
                qkv: always("self_attn.q_proj.weight"),
                o: always("self_attn.o_proj.weight"),
                gate_up: always("mlp.gate_proj.weight"),
                down: always("mlp.down_proj.weight"),
                norm1: always("input_layernorm.weight"),
                norm2: always("post_attention_layernorm.weight"),
                qkv_bias: part("self_attn.q_proj.bias"),
                o_bias: part("self_attn.o_proj.bias"),
                gate_up_bias: part("mlp.gate_proj.bias"),
                down_bias: part("mlp.down_proj.bias"),
                qk_norm: part("self_attn.q_norm.weight"),
            }
        };
        let embed = start("model.embed_tokens.weight").unwrap_or(0);
        Layout {
            embed,
            layers: (0..c.num_hidden_layers).map(layer).collect(),
            norm: start("model.norm.weight").unwrap_or(0),
            head: start("lm_head.weight").unwrap_or(embed),
            len: views.last().map_or(0, |v| v.range.end),
        }
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
    /// block writes into the residual stream (as in GPT-2); norms are one, biases zero.
    ///
    /// # Errors
    /// The configuration's sizes do not fit together.
    pub fn init(config: Config, seed: u64) -> Result<Model, LmError> {
        config.check(Path::new("config"))?;
        config.fits(Path::new("config"), 4)?;
        Self::trainable(&config, Path::new("config"))?;
        let views = views(&config);
        let mut params = vec![0.0; views.last().map_or(0, |v| v.range.end)];
        let mut rng = Rng::new(seed);
        let residual = 0.02 / (2.0 * config.num_hidden_layers.max(1) as f32).sqrt();
        for v in &views {
            let writes = v.name.contains("o_proj") || v.name.contains("down_proj");
            let std = if writes { residual } else { 0.02 };
            for x in &mut params[v.range.clone()] {
                *x = match (v.is_bias(), v.is_norm()) {
                    (true, _) => 0.0,
                    (_, true) => 1.0,
                    _ => rng.normal() * std,
                };
            }
        }
        Ok(Model { config, params })
    }

    /// Refuses what only [`crate::Decoder`] runs.
    fn trainable(config: &Config, path: &Path) -> Result<(), LmError> {
        let refused = config.refused_in_training().map(|(field, what)| (field.to_string(), what.to_string()));
        refused.map_or(Ok(()), |(field, what)| Err(LmError::Config { path: path.into(), field, what }))
    }

    /// Names, shapes and places of the weights.
    pub fn views(&self) -> Vec<View> {
        views(&self.config)
    }

    /// Reads `config.json` and the weights of a folder (F32, F16 or BF16; one file, or shards with an index).
    ///
    /// # Errors
    /// A file is missing or broken, a tensor is missing or has another shape, or layers see a window only.
    pub fn load(dir: &Path) -> Result<Model, LmError> {
        let path = dir.join("config.json");
        let config = Config::load(&path)?;
        Self::trainable(&config, &path)?;
        let store = Store::open_dir(dir)?;
        config.fits(&path, 4)?;
        let views = views(&config);
        check_names(&store, &config, &views)?;
        for v in &views {
            // Before memory is taken for what a broken config.json may say.
            store.format(&v.name, &v.shape)?;
        }
        let mut params = vec![0.0; views.last().map_or(0, |v| v.range.end)];
        for v in &views {
            store.read_f32(&v.name, &v.shape, &mut params[v.range.clone()])?;
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
            *x = from_bf16(to_bf16(*x));
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

/// Refuses a checkpoint whose layers hold tensors that this crate would leave out, such as biases that `config.json`
/// does not name: it would run and say something else.
pub(crate) fn check_names(store: &Store, config: &Config, views: &[View]) -> Result<(), LmError> {
    let known: HashSet<&str> = views.iter().map(|v| v.name.as_str()).collect();
    for name in store.names() {
        let Some((layer, part)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        let ours = layer.parse().is_ok_and(|layer: usize| layer < config.num_hidden_layers);
        if ours && !known.contains(name) && !part.contains("rotary_emb") {
            return Err(LmError::Tensor {
                path: store.path_of(name).into(),
                tensor: name.into(),
                what: format!("does not belong to the model that {} describes", store.described()),
                hint: "modules other than those of Llama, Qwen2, Qwen3 and Gemma 3 are not supported".into(),
            });
        }
    }
    Ok(())
}

pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
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
                *x = from_bf16(u16::from_le_bytes(*b));
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
    write_file(path, &serialize(list, metadata).map_err(broken)?)
}

/// The bytes of a safetensors file, the same for the same tensors and metadata. The library keeps metadata in a hash
/// map, whose order is another one in every process; here they stand as they are given.
///
/// # Errors
/// Tensors that cannot stand in one file.
pub fn serialize(
    tensors: Vec<(&str, TensorView)>,
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let data = safetensors::serialize(tensors, None)?;
    let Some((length, rest)) = data.split_first_chunk::<8>().filter(|_| !metadata.is_empty()) else {
        return Ok(data);
    };
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let entries: Vec<String> =
        metadata.iter().map(|(key, value)| format!("{}:{}", Value::from(*key), Value::from(*value))).collect();
    let mut text = format!("{{\"__metadata__\":{{{}}}", entries.join(",")).into_bytes();
    // Without tensors nothing stands between the braces.
    if header.get(1).is_some_and(|&byte| byte == b'"') {
        text.push(b',');
    }
    text.extend_from_slice(header[1..].trim_ascii_end());
    // The tensors begin at a multiple of eight bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = Vec::with_capacity(8 + text.len() + tensors.len());
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(&text);
    out.extend_from_slice(tensors);
    Ok(out)
}

/// Writes a file under a temporary name beside it and renames it: a reader never sees half of it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LmError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp{}", std::process::id()));
    let temp = path.with_file_name(name);
    std::fs::write(&temp, bytes).map_err(LmError::io(&temp))?;
    std::fs::rename(&temp, path).map_err(LmError::io(path))
}
