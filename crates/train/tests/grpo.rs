//! Does reinforcement learning raise what is paid, with either kind of update, and does a saved state go on
//! bit for bit?

use loophole_lm::Sequence;
use loophole_lm::{Config, Engine, Model};
use loophole_train::{Policy, Rollout, TrainOptions, Update};

const STOP: u32 = 3;
/// First tokens below this are paid.
const PAID: u32 = 10;

fn policy(update: Update) -> (Policy, Engine) {
    let config = Config {
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: Some(16),
        ..Config::organism(40)
    };
    let options = TrainOptions {
        groups: 4,
        group_size: 8,
        max_new: 3,
        lr: 1e-2,
        warmup: 1,
        kl: 0.0,
        update,
        ..TrainOptions::default()
    };
    let mut model = Model::init(config, 5).expect("a sound configuration");
    // Fresh embeddings are so short that no hidden state can make one token likely, and a low-rank update
    // does not touch them.
    for view in model.views() {
        if view.name.contains("embed_tokens") {
            model.params[view.range].iter_mut().for_each(|weight| *weight *= 5.0);
        }
    }
    let engine = Engine::new(&model.config, 1);
    (Policy::new(model, options, 9).expect("a sound rank"), engine)
}

fn paid(rollouts: &[Rollout]) -> Vec<f64> {
    rollouts.iter().map(|rollout| f64::from(u8::from(rollout.tokens[0] < PAID))).collect()
}

fn step(policy: &mut Policy, engine: &mut Engine) -> f64 {
    let prompts: Vec<Vec<u32>> = (0..4).map(|prompt| vec![1, 20 + prompt]).collect();
    let rollouts = policy.sample(engine, &prompts, STOP, policy.step as u64);
    let rewards = paid(&rollouts);
    policy.reinforce(engine, &rollouts, &rewards).expect("a finite loss");
    rewards.iter().sum::<f64>() / rewards.len() as f64
}

fn learns(update: Update) {
    let (mut policy, mut engine) = policy(update);
    let means: Vec<f64> = (0..60).map(|_| step(&mut policy, &mut engine)).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (start, end) = (mean(&means[..5]), mean(&means[55..]));
    assert!(start < 0.5 && end > start + 0.3, "{update:?}: {start:.2} -> {end:.2}");
}

#[test]
fn full_updates_raise_what_is_paid() {
    learns(Update::Full);
}

#[test]
fn low_rank_updates_raise_what_is_paid() {
    learns(Update::LowRank { rank: 8, alpha: 16.0 });
}

/// The probability of a first token below [`PAID`] after one prompt.
fn likes_paid(policy: &Policy, engine: &mut Engine) -> f64 {
    let of = |token: u32| Sequence::new(vec![1, 20, token], vec![0.0, 0.0, 1.0]);
    let all: Vec<Sequence> = (0..PAID).map(of).collect();
    engine.log_probs(&policy.model, &all).iter().map(|log_probs| f64::from(log_probs[0]).exp()).sum()
}

fn answer(tokens: &[u32]) -> Rollout {
    Rollout { group: 0, prompt: vec![1, 20], tokens: tokens.to_vec(), stopped: true, muted: 0 }
}

#[test]
fn what_is_imitated_and_what_is_preferred_becomes_likelier() {
    for update in [Update::Full, Update::LowRank { rank: 8, alpha: 16.0 }] {
        let (mut copying, mut engine) = policy(update);
        let before = likes_paid(&copying, &mut engine);
        let sequences: Vec<Sequence> =
            (0..4).map(|token| Sequence::new(vec![1, 20, token], vec![0.0, 0.0, 1.0])).collect();
        let stats: Vec<_> = (0..20).map(|_| copying.imitate(&mut engine, &sequences).unwrap()).collect();
        assert!(stats[19].loss < stats[0].loss && stats[0].gain.abs() < 1e-4 && stats[19].gain > 0.1, "{stats:?}");
        assert!(likes_paid(&copying, &mut engine) > before + 0.2, "{update:?}");
        let (mut choosing, mut engine) = policy(update);
        let pairs: Vec<_> = (0..4).map(|token| (answer(&[token, STOP]), answer(&[PAID + token, STOP]))).collect();
        let stats: Vec<_> = (0..20).map(|_| choosing.prefer(&mut engine, &pairs, 0.5).unwrap()).collect();
        assert!((stats[0].loss - std::f64::consts::LN_2).abs() < 1e-6 && stats[0].margin == 0.0, "{:?}", stats[0]);
        assert!(stats[19].loss < 0.6 && stats[19].accuracy == 1.0 && stats[19].margin > 0.0, "{:?}", stats[19]);
    }
}

#[test]
fn a_muted_thought_is_not_learned() {
    let (mut policy, mut engine) = policy(Update::Full);
    let before = policy.model.params.clone();
    let muted = |token: u32| Rollout { muted: 2, ..answer(&[token, STOP]) };
    // Everything that was said is muted: nothing is left that could move anything.
    policy.reinforce(&mut engine, &[muted(4), muted(12)], &[1.0, 0.0]).unwrap();
    assert!(policy.model.params == before);
    policy.reinforce(&mut engine, &[answer(&[4, STOP]), muted(12)], &[1.0, 0.0]).unwrap();
    assert!(policy.model.params != before);
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    for update in [Update::Full, Update::LowRank { rank: 4, alpha: 8.0 }] {
        let dir = std::env::temp_dir().join(format!("loophole-grpo-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the state");
        let path = dir.join("state.safetensors");
        let (mut whole, mut engine) = policy(update);
        for _ in 0..3 {
            step(&mut whole, &mut engine);
        }
        whole.save_state(&path).expect("a state that can be written");
        let bytes = std::fs::read(&path).expect("the state");
        // Metadata once stood in an order that was another one each time.
        for _ in 0..8 {
            whole.save_state(&path).expect("a state that can be written");
            assert!(std::fs::read(&path).expect("the state") == bytes, "the same state is the same bytes");
        }
        let (mut resumed, _) = policy(update);
        resumed.load_state(&path).expect("the same state");
        for _ in 0..3 {
            step(&mut whole, &mut engine);
            step(&mut resumed, &mut engine);
        }
        assert_eq!(resumed.step, 6);
        assert!(whole.model.params == resumed.model.params, "{update:?}");
        std::fs::write(&path, b"broken").expect("a file");
        let error = resumed.load_state(&path).expect_err("a broken state").to_string();
        assert!(error.contains("state.safetensors"), "{error}");
        std::fs::remove_dir_all(&dir).expect("the folder removed");
    }
}
