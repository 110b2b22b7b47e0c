//! Low-rank updates (Hu et al. 2021), saved in the format of PEFT.
//!
//! The effective weights `W + alpha / r * B A` are written into a model before the pass; the
//! gradients of `A` and `B` follow from the gradient of the full weight by the chain rule.

use crate::error::{fits, parse_json, read_text};
use crate::math::{Mat, matmul};
use crate::model::{Dtype, write_file, write_tensors};
use crate::rng::Rng;
use crate::store::Store;
use crate::{Config, LmError, Model, views};
use loophole_foreign::within;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// One adapted matrix.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    name: String,
    out: usize,
    inp: usize,
    weight: Range<usize>,
    a: Range<usize>,
    b: Range<usize>,
}

/// A low-rank update of some matrices of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Rank.
    pub r: usize,
    /// The update is scaled by `alpha / r`.
    pub alpha: f32,
    /// The update is scaled by `alpha / sqrt(r)` instead (Kalajdzievski 2023, arXiv 2312.03732).
    pub rank_stabilised: bool,
    /// Adapted modules, such as `q_proj`.
    pub targets: Vec<String>,
    /// All `A` `[r, in]` and `B` `[out, r]`, matrix by matrix: what the optimiser trains.
    pub params: Vec<f32>,
    items: Vec<Item>,
}

/// The modules that are adapted if nothing else is said: every linear layer.
pub const ALL_LINEAR: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

impl Lora {
    /// A new update: `A` uniform as in PEFT (`±1 / sqrt(in)`), `B` zero, so that it changes nothing
    /// yet.
    ///
    /// # Errors
    /// `r` is 0, or a target is no linear layer of the model.
    pub fn init(config: &Config, r: usize, alpha: f32, targets: &[&str], seed: u64) -> Result<Lora, LmError> {
        let mut lora = Self::shape(config, r, alpha, targets, Path::new("config"))?.with_params(Path::new("config"))?;
        let mut rng = Rng::new(seed);
        for item in &lora.items {
            let bound = 1.0 / (item.inp as f64).sqrt();
            for x in &mut lora.params[item.a.clone()] {
                *x = ((2.0 * rng.uniform() - 1.0) * bound) as f32;
            }
        }
        Ok(lora)
    }

    fn shape(config: &Config, r: usize, alpha: f32, targets: &[&str], path: &Path) -> Result<Lora, LmError> {
        Self::shape_of(config, r, alpha, targets, path, &|_| true)
    }

    /// Takes the memory of the factors.
    fn with_params(mut self, path: &Path) -> Result<Self, LmError> {
        let count = self.items.last().map_or(0, |item| item.b.end);
        fits(path, "an adapter of this rank", 4 * count as u128)?;
        self.params = vec![0.0; count];
        Ok(self)
    }

    /// The update of those linear layers that are targets and that `chosen` takes, without its factors.
    fn shape_of(
        config: &Config,
        r: usize,
        alpha: f32,
        targets: &[&str],
        path: &Path,
        chosen: &dyn Fn(&str) -> bool,
    ) -> Result<Lora, LmError> {
        let refuse = |field: &str, what: String| Err(LmError::Config { path: path.into(), field: field.into(), what });
        if r == 0 {
            return refuse("r", "must be at least 1".into());
        }
        if let Some(t) = targets.iter().find(|t| !ALL_LINEAR.contains(t)) {
            let what = format!("{t:?} is not one of {}", ALL_LINEAR.join(", "));
            return refuse("target_modules", what);
        }
        let mut items = Vec::new();
        let mut at = 0;
        for v in views(config) {
            let Some(name) = v.name.strip_suffix(".weight") else {
                continue;
            };
            let module = name.rsplit('.').next().unwrap_or(name);
            if !targets.contains(&module) || !chosen(name) {
                continue;
            }
            let (out, inp) = (v.shape[0], v.shape[1]);
            let a = at..at + r * inp;
            let b = a.end..a.end + out * r;
            at = b.end;
            items.push(Item { name: name.into(), out, inp, weight: v.range, a, b });
        }
        let targets = targets.iter().map(|t| t.to_string()).collect();
        Ok(Lora { r, alpha, rank_stabilised: false, targets, params: Vec::new(), items })
    }

    fn scale(&self) -> f32 {
        self.alpha / if self.rank_stabilised { (self.r as f32).sqrt() } else { self.r as f32 }
    }

    /// The factors of a linear layer such as `model.layers.0.mlp.up_proj`, if it is adapted: `A` `[r, in]`, and `B`
    /// `[out, r]` with the scale in it.
    pub(crate) fn factors(&self, module: &str) -> Option<(&[f32], Vec<f32>)> {
        let item = self.items.iter().find(|item| item.name == module)?;
        let b = self.params[item.b.clone()].iter().map(|x| x * self.scale()).collect();
        Some((&self.params[item.a.clone()], b))
    }

    /// Writes `base` plus the update into `effective` (a clone of `base` made once).
    ///
    /// # Panics
    /// The models differ in size.
    pub fn apply(&self, base: &Model, effective: &mut Model) {
        effective.params.copy_from_slice(&base.params);
        for i in &self.items {
            let b = Mat::rows(&self.params[i.b.clone()], self.r);
            let a = Mat::rows(&self.params[i.a.clone()], i.inp);
            let w = &mut effective.params[i.weight.clone()];
            matmul((i.out, i.inp, self.r), self.scale(), b, a, w, i.inp, true);
        }
    }

    /// Base weights with the update merged in.
    pub fn merged(&self, base: &Model) -> Model {
        let mut model = base.clone();
        self.apply(base, &mut model);
        model
    }

    /// From the gradient of the full weights, adds the gradient of [`Lora::params`] to `grads`:
    /// `dA = s Bᵀ G`, `dB = s G Aᵀ`.
    pub fn gradients(&self, full: &[f32], grads: &mut [f32]) {
        for i in &self.items {
            let (out, inp, r, s) = (i.out, i.inp, self.r, self.scale());
            let g = &full[i.weight.clone()];
            let b = Mat::transposed(&self.params[i.b.clone()], r);
            matmul((r, inp, out), s, b, Mat::rows(g, inp), &mut grads[i.a.clone()], inp, true);
            let a = Mat::transposed(&self.params[i.a.clone()], inp);
            matmul((out, r, inp), s, Mat::rows(g, inp), a, &mut grads[i.b.clone()], r, true);
        }
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT does. `base` is the
    /// name or folder of the base model.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path, base: &str) -> Result<(), LmError> {
        std::fs::create_dir_all(dir).map_err(LmError::io(dir))?;
        let mut tensors = Vec::new();
        for i in &self.items {
            let (a, b) = (&self.params[i.a.clone()], &self.params[i.b.clone()]);
            tensors.push((key(&i.name, 'A'), vec![self.r, i.inp], a));
            tensors.push((key(&i.name, 'B'), vec![i.out, self.r], b));
        }
        let path = dir.join("adapter_model.safetensors");
        write_tensors(&path, &tensors, Dtype::F32, &[("format", "pt")])?;
        let config = serde_json::json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.r,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": self.targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "use_rslora": self.rank_stabilised,
        });
        let text = serde_json::to_string_pretty(&config).unwrap_or_default() + "\n";
        write_file(&dir.join("adapter_config.json"), text.as_bytes())
    }

    /// Reads an adapter for a model of this configuration.
    ///
    /// # Errors
    /// A file is missing or broken, or the adapter uses something other than plain LoRA.
    pub fn load(config: &Config, dir: &Path) -> Result<Lora, LmError> {
        let path = dir.join("adapter_config.json");
        let text = read_text(&path)?;
        let hint = "an adapter_config.json of PEFT with peft_type LORA is expected";
        let broken = |what: String| LmError::Broken { path: path.clone(), what, hint: hint.into() };
        let json: Value = parse_json(&path, &text, hint)?;
        let given =
            |field: &str| json.get(field).filter(|value| **value != Value::Null && **value != Value::Bool(false));
        if json["peft_type"] != "LORA" {
            return Err(broken(format!("peft_type is {}, not \"LORA\"", json["peft_type"])));
        }
        for field in UNSUPPORTED {
            let empty = |value: &Value| match value {
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            if let Some(value) = given(field).filter(|value| !empty(value)) {
                let what = format!("{value} is not supported; merge the adapter into its base with PEFT");
                return Err(LmError::Config { path: path.clone(), field: field.into(), what });
            }
        }
        if let Some(bias) = given("bias").filter(|bias| *bias != "none") {
            let what = format!("{bias} is not supported, only \"none\" is; merge the adapter into its base with PEFT");
            return Err(LmError::Config { path: path.clone(), field: "bias".into(), what });
        }
        let r = json["r"].as_u64().filter(|r| (1..=1 << 16).contains(r));
        let r = r.ok_or_else(|| broken(format!("\"r\" is {}, not a rank between 1 and 65536", json["r"])))? as usize;
        let alpha = json["lora_alpha"].as_f64();
        let alpha = alpha.ok_or_else(|| broken("\"lora_alpha\" is no number".into()))? as f32;
        within("\"lora_alpha\"", alpha, -1e6..=1e6).map_err(broken)?;
        let file = dir.join("adapter_model.safetensors");
        let store = Store::open_file(&file)?;
        let module_of = |name: &'_ str| -> Option<String> {
            let name = name.strip_prefix("base_model.model.")?;
            ["A", "B"].iter().find_map(|which| name.strip_suffix(&format!(".lora_{which}.weight"))).map(String::from)
        };
        let mut modules = BTreeSet::new();
        for name in store.names() {
            let module = module_of(name).filter(|module| {
                let last = module.rsplit('.').next().unwrap_or("");
                ALL_LINEAR.contains(&last)
            });
            modules.insert(module.ok_or_else(|| LmError::Tensor {
                path: file.clone(),
                tensor: name.into(),
                what: "is no low-rank factor of a linear layer of attention or feed-forward".into(),
                hint: format!(
                    "only {} can be adapted; merge the adapter into its base with PEFT",
                    ALL_LINEAR.join(", ")
                ),
            })?);
        }
        // What is adapted is read from the file: `target_modules` may be a pattern, or name layers one by one. A list
        // is kept, to be saved again.
        let named = |target: &&str| modules.iter().any(|module| module.rsplit('.').next() == Some(target));
        let listed: Option<Vec<&str>> =
            json["target_modules"].as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
        let mut targets: Vec<&str> = match &listed {
            Some(list) => list.iter().map(|target| target.rsplit('.').next().unwrap_or(target)).collect(),
            None => ALL_LINEAR.into_iter().filter(named).collect(),
        };
        targets.sort_unstable();
        targets.dedup();
        let mut lora = Self::shape_of(config, r, alpha, &targets, &path, &|module| modules.contains(module))?;
        lora.rank_stabilised = json["use_rslora"] == true;
        if let Some(list) = listed {
            lora.targets = list.into_iter().map(str::to_string).collect();
        }
        if let Some(stray) = modules.iter().find(|module| !lora.items.iter().any(|item| item.name == **module)) {
            return Err(LmError::Tensor {
                path: file.clone(),
                tensor: key(stray, 'A'),
                what: "adapts a layer that the base model does not have, or that target_modules does not name".into(),
                hint: "the adapter was made for another model".into(),
            });
        }
        if lora.items.is_empty() {
            return Err(broken("the adapter changes nothing: its file holds no factors".into()));
        }
        for i in &lora.items {
            // Before memory is taken for what a broken adapter_config.json may say.
            store.format(&key(&i.name, 'A'), &[r, i.inp])?;
            store.format(&key(&i.name, 'B'), &[i.out, r])?;
        }
        lora = lora.with_params(&path)?;
        for i in lora.items.clone() {
            for (which, shape, range) in [('A', [r, i.inp], i.a), ('B', [i.out, r], i.b)] {
                store.read_f32(&key(&i.name, which), &shape, &mut lora.params[range])?;
            }
        }
        Ok(lora)
    }
}

/// Fields of an `adapter_config.json` that change what an adapter is; if set, it is refused.
const UNSUPPORTED: [&str; 11] = [
    "use_dora",
    "use_qalora",
    "fan_in_fan_out",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
];

fn key(module: &str, which: char) -> String {
    format!("base_model.model.{module}.lora_{which}.weight")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Sequence};

    #[test]
    fn gradient_agrees_with_finite_differences_and_files_load_back() {
        let mut config = Config::organism(31);
        (config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (16, 24, 2);
        (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, None);
        let mut base = Model::init(config, 5).unwrap();
        base.params.iter_mut().for_each(|x| *x *= if *x == 1.0 { 1.0 } else { 10.0 });
        let mut lora = Lora::init(&base.config, 3, 6.0, &["q_proj", "v_proj", "down_proj"], 1).unwrap();
        assert_eq!(lora.merged(&base).params, base.params, "B = 0 changes nothing");
        let mut rng = Rng::new(2);
        lora.params.iter_mut().for_each(|x| *x += 0.1 * rng.normal());
        let seqs = vec![Sequence::all((0..40).map(|i| i * i % 31).collect())];
        let mut engine = Engine::new(&base.config, 1);
        let mut full = vec![0.0; base.params.len()];
        engine.cross_entropy(&lora.merged(&base), &seqs, &mut full);
        let mut grads = vec![0.0; lora.params.len()];
        lora.gradients(&full, &mut grads);
        for item in lora.items.clone() {
            for range in [item.a, item.b] {
                let g = &grads[range.clone()];
                let norm = crate::math::dot(g, g).sqrt();
                assert!(norm > 1e-3, "{}: gradient vanishes", item.name);
                let mut loss = |step: f32| {
                    let mut moved = lora.clone();
                    for (p, g) in moved.params[range.clone()].iter_mut().zip(g) {
                        *p += step * g / norm;
                    }
                    let lp = engine.log_probs(&moved.merged(&base), &seqs);
                    -lp[0].iter().map(|x| f64::from(*x)).sum::<f64>()
                };
                let e = 8e-3;
                let got = (8.0 * (loss(e) - loss(-e)) - loss(2.0 * e) + loss(-2.0 * e)) / (12.0 * f64::from(e));
                let error = (got / f64::from(norm) - 1.0).abs();
                assert!(error < 5e-3, "{}: numeric {got}, analytic {norm}", item.name);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        lora.save(dir.path(), "base").unwrap();
        assert!(Lora::load(&base.config, dir.path()).unwrap() == lora);
        assert!(Lora::init(&base.config, 3, 6.0, &["wat"], 1).is_err());
    }
}
