//! Speed of training and sampling at the organism's shape, for comparison with a peer.

use crate::{AdamW, Config, Engine, Model, Prompt, SampleOptions, Sequence, clip_grad_norm, rng::Rng, sample};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The same measurement in PyTorch: a script that prints [`Measured`] as JSON. Run it as
/// `python - TRAIN_STEPS THREADS` with this text as standard input.
pub const PEER_TORCH: &str = include_str!("../bench/peer_torch.py");

/// What was measured; medians over repetitions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Measured {
    /// What ran.
    pub engine: String,
    /// Threads used.
    pub threads: usize,
    /// Milliseconds per training step (forward, backward, clipping, AdamW).
    pub train_ms_per_step: f64,
    /// Processor milliseconds per training step, over all threads: what to compare on a busy machine.
    pub train_cpu_ms_per_step: f64,
    /// Training tokens per second.
    pub train_tokens_per_s: f64,
    /// New tokens per second, 256 rows in groups of 8 that share a prompt.
    pub sample_tokens_per_s: f64,
    /// New tokens per second, 256 rows with a prompt each.
    pub sample_unshared_tokens_per_s: f64,
    /// New tokens per processor second, shared prompts.
    pub sample_tokens_per_cpu_s: f64,
    /// New tokens per processor second, a prompt each.
    pub sample_unshared_tokens_per_cpu_s: f64,
}

/// Processor seconds used by this process so far, in steps of 10 ms (NaN where `/proc` is absent).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: Vec<f64> = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / 100.0 } else { f64::NAN }
}

/// Vocabulary of the measured model.
pub const VOCAB: usize = 1000;
/// Tokens of a prompt in the sampling measurement.
pub const PROMPT: usize = 200;
/// New tokens per row.
pub const NEW: usize = 100;

/// 64 sequences of 300 to 400 tokens, every one of them a target.
pub fn batch(vocab: usize) -> Vec<Sequence> {
    let mut rng = Rng::new(1);
    let mut token = |n: usize| (rng.bits() % n as u64) as usize;
    (0..64)
        .map(|_| {
            let len = 300 + token(101);
            Sequence::all((0..len).map(|_| token(vocab) as u32).collect())
        })
        .collect()
}

/// Milliseconds of each of `steps` training steps on [`batch`], after one to warm up.
pub fn train_steps(threads: usize, steps: usize) -> (Vec<f64>, usize) {
    let config = Config::organism(VOCAB);
    let mut engine = Engine::new(&config, threads);
    // A configuration of this crate: its sizes fit together.
    let Ok(mut model) = Model::init(config, 1) else {
        return (Vec::new(), 0);
    };
    let seqs = batch(VOCAB);
    let tokens = seqs.iter().map(|s| s.tokens.len()).sum();
    let mut opt = AdamW::new(&model, 0.01);
    let mut grads = vec![0.0; model.params.len()];
    let mut times = Vec::new();
    for i in 0..=steps {
        let start = Instant::now();
        grads.fill(0.0);
        engine.cross_entropy(&model, &seqs, &mut grads);
        clip_grad_norm(&mut grads, 1.0);
        opt.step(&mut model.params, &grads, 1e-3);
        if i > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    (times, tokens)
}

/// New tokens per second of `reps` runs over 256 rows, `group` rows to a prompt.
pub fn sample_rates(threads: usize, group: usize, reps: usize) -> Vec<f64> {
    let config = Config::organism(VOCAB);
    let mut engine = Engine::new(&config, threads);
    let Ok(model) = Model::init(config, 1) else {
        return Vec::new();
    };
    let mut rng = Rng::new(2);
    let mut prompts = Vec::new();
    for g in 0..256 / group {
        let tokens: Vec<u32> = (0..PROMPT).map(|_| (rng.bits() % VOCAB as u64) as u32).collect();
        for i in 0..group {
            prompts.push(Prompt::new(tokens.clone(), (g * group + i) as u64));
        }
    }
    let options = SampleOptions { max_new: NEW, ..SampleOptions::default() };
    let mut rates = Vec::new();
    for _ in 0..reps {
        let start = Instant::now();
        let out = sample(&mut engine, &model, &prompts, &options);
        let n: usize = out.iter().map(|c| c.tokens.len()).sum();
        rates.push(n as f64 / start.elapsed().as_secs_f64());
    }
    rates
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x.get(x.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs all measurements (about ten seconds on two cores).
pub fn run(threads: usize) -> Measured {
    let cpu = cpu_seconds();
    let (times, tokens) = train_steps(threads, 4);
    // The warm-up step counts too.
    let train_cpu = (cpu_seconds() - cpu) / (times.len() + 1) as f64 * 1e3;
    let ms = median(times);
    let rates = |group: usize| {
        let cpu = cpu_seconds();
        let rates = sample_rates(threads, group, 3);
        let per_cpu = (rates.len() * 256 * NEW) as f64 / (cpu_seconds() - cpu);
        (median(rates), per_cpu)
    };
    let (shared, unshared) = (rates(8), rates(1));
    Measured {
        engine: "loophole".into(),
        threads,
        train_ms_per_step: ms,
        train_cpu_ms_per_step: train_cpu,
        train_tokens_per_s: tokens as f64 / ms * 1e3,
        sample_tokens_per_s: shared.0,
        sample_unshared_tokens_per_s: unshared.0,
        sample_tokens_per_cpu_s: shared.1,
        sample_unshared_tokens_per_cpu_s: unshared.1,
    }
}

/// The measurement of [`checkpoint`] in PyTorch, in the same form; run as `python - THREADS`.
pub const PEER_TORCH_CHECKPOINT: &str = include_str!("../bench/peer_torch_checkpoint.py");

/// What running a checkpoint costs; medians over repetitions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CheckpointMeasured {
    /// What ran, and in which number format.
    pub engine: String,
    /// Threads used.
    pub threads: usize,
    /// Prompt tokens read per second.
    pub prefill_tokens_per_s: f64,
    /// Prompt tokens read per processor second.
    pub prefill_tokens_per_cpu_s: f64,
    /// New tokens per second, one row.
    pub decode_tokens_per_s: f64,
    /// New tokens per processor second, one row.
    pub decode_tokens_per_cpu_s: f64,
    /// New tokens per second, [`BATCH`] rows of one prompt together.
    pub batch_tokens_per_s: f64,
    /// New tokens per processor second, those rows.
    pub batch_tokens_per_cpu_s: f64,
}

/// Prompt tokens in the measurement of a checkpoint.
pub const LONG_PROMPT: usize = 256;
/// New tokens of a row there.
pub const FEW_NEW: usize = 16;
/// Rows sampled together there.
pub const BATCH: usize = 16;

/// The shape of a Qwen2 model of half a billion parameters.
pub fn half_billion() -> Config {
    Config {
        family: crate::Family::Qwen2,
        hidden_size: 896,
        intermediate_size: 4864,
        num_hidden_layers: 24,
        num_attention_heads: 14,
        num_key_value_heads: 2,
        head_dim: Some(64),
        vocab_size: 151_936,
        max_position_embeddings: 4096,
        rope_theta: 1e6,
        rms_norm_eps: 1e-6,
        ..Config::organism(1)
    }
}

/// Reads prompts and continues them with a random model of half a billion parameters in bf16 (about a minute on two
/// cores).
///
/// # Errors
/// The threads cannot be started.
pub fn checkpoint(threads: usize, repetitions: usize) -> Result<CheckpointMeasured, crate::LmError> {
    let mut decoder = crate::Decoder::random_bf16(half_billion(), threads, 1)?;
    let mut rng = Rng::new(3);
    let mut timed = |rows: usize, tokens: &[u32], new: usize| {
        let options = SampleOptions { max_new: new, ..SampleOptions::default() };
        let prompts: Vec<Prompt> = (0..rows).map(|seed| Prompt::new(tokens.to_vec(), seed as u64)).collect();
        let (start, cpu) = (Instant::now(), cpu_seconds());
        decoder.sample(&prompts, &options);
        (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
    };
    let mut rates: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    for _ in 0..repetitions.max(1) {
        let tokens: Vec<u32> = (0..LONG_PROMPT).map(|_| (rng.bits() % 150_000) as u32).collect();
        // The first call reads the prompt and draws one token; for the others the prompt is kept. The first token
        // of a row comes with the prompt.
        let runs = [(LONG_PROMPT, timed(1, &tokens, 1)), (FEW_NEW, timed(1, &tokens, FEW_NEW + 1))];
        let batch = (BATCH * FEW_NEW, timed(BATCH, &tokens, FEW_NEW + 1));
        for (rates, (count, (wall, cpu))) in rates.iter_mut().zip(runs.into_iter().chain([batch])) {
            rates.0.push(count as f64 / wall);
            rates.1.push(count as f64 / cpu);
        }
    }
    let [prefill, decode, batch] = rates.map(|(wall, cpu)| (median(wall), median(cpu)));
    Ok(CheckpointMeasured {
        engine: "loophole, bf16 weights".into(),
        threads,
        prefill_tokens_per_s: prefill.0,
        prefill_tokens_per_cpu_s: prefill.1,
        decode_tokens_per_s: decode.0,
        decode_tokens_per_cpu_s: decode.1,
        batch_tokens_per_s: batch.0,
        batch_tokens_per_cpu_s: batch.1,
    })
}
