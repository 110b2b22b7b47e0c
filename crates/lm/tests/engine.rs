//! Correctness of passes, optimiser and sampling on tiny models.

use loophole_lm::{AdamW, Config, Dtype, Engine, Model, Prompt, SampleOptions, Sequence, clip_grad_norm, sample};

fn config(heads: usize, kv: usize, tied: bool) -> Config {
    Config {
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: heads,
        num_key_value_heads: kv,
        head_dim: Some(8),
        max_position_embeddings: 256,
        tie_word_embeddings: tied,
        eos_token_id: Some(3),
        pad_token_id: Some(0),
        ..Config::organism(29)
    }
}

/// A model with weights large enough that every part matters.
fn model(config: Config, seed: u64) -> Model {
    let mut model = Model::init(config, seed).unwrap();
    for v in model.views() {
        for (i, x) in model.params[v.range.clone()].iter_mut().enumerate() {
            *x = if v.is_norm() { 1.0 + 0.1 * ((i * 7 % 5) as f32 - 2.0) } else { *x * 10.0 };
        }
    }
    model
}

fn tokens(len: usize, salt: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * i * 7 + i * 3 + salt * 11 + 5) % 29) as u32).collect()
}

fn batch(lens: &[usize]) -> Vec<Sequence> {
    let mut seqs: Vec<Sequence> = lens.iter().enumerate().map(|(i, &l)| Sequence::all(tokens(l, i))).collect();
    for (i, s) in seqs.iter_mut().enumerate() {
        for (t, w) in s.weights.iter_mut().enumerate() {
            *w = if (t + i) % 3 == 0 { 0.0 } else { 0.5 + (t % 4) as f32 * 0.25 };
        }
    }
    seqs
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (heads, kv, tied) in [(3, 3, true), (4, 2, false)] {
        let mut model = model(config(heads, kv, tied), 7);
        let seqs = batch(&[9, 70, 2, 5]);
        let mut engine = Engine::new(&model.config, 2);
        let mut grads = vec![0.0; model.params.len()];
        engine.cross_entropy(&model, &seqs, &mut grads);
        for view in model.views() {
            let g = &grads[view.range.clone()];
            let norm = g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 1e-3, "{}: gradient vanishes", view.name);
            // Directional derivative along the gradient, and along a fixed other direction.
            for pick in 0..2 {
                let dir: Vec<f64> = (0..g.len())
                    .map(|i| match pick {
                        0 => f64::from(g[i]) / norm,
                        _ => ((i * 31 % 17) as f64 - 8.0) / (5.0 * (g.len() as f64).sqrt()),
                    })
                    .collect();
                let want: f64 = dir.iter().zip(g).map(|(d, g)| d * f64::from(*g)).sum();
                let mut loss_at = |step: f64| {
                    let saved = model.params[view.range.clone()].to_vec();
                    for (p, d) in model.params[view.range.clone()].iter_mut().zip(&dir) {
                        *p = (f64::from(*p) + step * d) as f32;
                    }
                    let lp = engine.log_probs(&model, &seqs);
                    model.params[view.range.clone()].copy_from_slice(&saved);
                    let mut loss = 0.0;
                    for (s, lp) in seqs.iter().zip(&lp) {
                        for (t, lp) in s.targets().zip(lp) {
                            loss -= f64::from(s.weights[t]) * f64::from(*lp);
                        }
                    }
                    loss
                };
                // Fourth-order central difference: f32 noise allows no tiny step.
                let e = 8e-3;
                let (a, b) = (loss_at(e) - loss_at(-e), loss_at(2.0 * e) - loss_at(-2.0 * e));
                let got = (8.0 * a - b) / (12.0 * e);
                let error = (got - want).abs() / (norm * 0.2).max(want.abs());
                assert!(error < 5e-3, "{} ({pick}): numeric {got}, analytic {want}", view.name);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads_or_repetition() {
    let model = model(config(4, 2, false), 3);
    let seqs = batch(&[120, 30, 90, 200, 7, 150, 64, 65, 130, 99, 180, 40]);
    let run = |threads: usize, warm: bool| {
        let mut engine = Engine::new(&model.config, threads);
        let mut grads = vec![0.0; model.params.len()];
        if warm {
            engine.cross_entropy(&model, &seqs[3..], &mut grads);
            grads.fill(0.0);
        }
        let lp = engine.forward_backward(&model, &seqs, &mut grads, |_, lp| vec![-1.0; lp.len()]);
        (lp, grads)
    };
    let first = run(1, false);
    for (threads, warm) in [(1, true), (2, false), (2, true), (4, false), (9, false)] {
        assert!(run(threads, warm) == first, "{threads} threads, warm {warm}");
    }
}

#[test]
fn packed_equals_one_by_one() {
    let model = model(config(4, 2, true), 5);
    let seqs = batch(&[50, 3, 120, 64, 1, 77]);
    let mut engine = Engine::new(&model.config, 1);
    let packed = engine.log_probs(&model, &seqs);
    for (seq, packed) in seqs.iter().zip(&packed) {
        let alone = engine.log_probs(&model, std::slice::from_ref(seq));
        assert_eq!(&alone[0], packed);
    }
    let logits = engine.logits(&model, &seqs[2].tokens);
    for (t, lp) in seqs[2].targets().zip(&packed[2]) {
        let row = &logits[(t - 1) * 29..t * 29];
        let lse = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        let want = f64::from(row[seqs[2].tokens[t] as usize]) - lse;
        assert!((want - f64::from(*lp)).abs() < 1e-5);
    }
}

#[test]
fn training_learns_and_resumes_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::init(config(3, 3, true), 1).unwrap();
    let seqs = batch(&[40, 30, 20]);
    let mut engine = Engine::new(&model.config, 2);
    let mut opt = AdamW::new(&model, 0.1);
    let mut train = |model: &mut Model, opt: &mut AdamW, steps: usize| {
        let mut last = 0.0;
        for _ in 0..steps {
            let mut grads = vec![0.0; model.params.len()];
            let (loss, weight) = engine.cross_entropy(model, &seqs, &mut grads);
            clip_grad_norm(&mut grads, 1.0);
            opt.step(&mut model.params, &grads, 3e-3);
            last = loss / weight;
        }
        last
    };
    let start = train(&mut model, &mut opt, 10);
    model.save(dir.path(), Dtype::F32).unwrap();
    opt.save(&dir.path().join("optimizer.safetensors")).unwrap();
    let end = train(&mut model, &mut opt, 60);
    assert!(start > 2.5 && end < 1.5, "loss {start} -> {end}");
    let mut again = Model::load(dir.path()).unwrap();
    let mut opt_again = AdamW::load(&dir.path().join("optimizer.safetensors")).unwrap();
    train(&mut again, &mut opt_again, 60);
    assert_eq!(model.checksum(), again.checksum());
    assert!(opt == opt_again);
}

#[test]
fn cached_decoding_equals_the_full_forward_pass() {
    let model = model(config(4, 2, false), 9);
    let mut engine = Engine::new(&model.config, 2);
    let prompts: Vec<Prompt> = (0..6).map(|i| Prompt::new(tokens(5 + i / 2 * 31, i / 2), i as u64)).collect();
    for temperature in [0.0, 1.0] {
        let options = SampleOptions { temperature, max_new: 90, ..SampleOptions::default() };
        let out = sample(&mut engine, &model, &prompts, &options);
        for (p, c) in prompts.iter().zip(&out) {
            assert_eq!(c.tokens.len(), 90);
            let seq = Sequence::all([p.tokens.clone(), c.tokens.clone()].concat());
            let full = &engine.log_probs(&model, &[seq])[0][p.tokens.len() - 1..];
            for (a, b) in c.log_probs.iter().zip(full) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    let model = model(config(4, 2, true), 11);
    let prompts: Vec<Prompt> =
        (0..150).map(|i| Prompt::new(tokens(3 + i / 5 * 4 % 50, i / 5), i as u64 * 17)).collect();
    let options = SampleOptions { temperature: 0.9, max_new: 60, stop: vec![3], ..SampleOptions::default() };
    let run = |threads: usize, prompts: &[Prompt]| {
        sample(&mut Engine::new(&model.config, threads), &model, prompts, &options)
    };
    let all = run(2, &prompts);
    assert!(all.iter().any(|c| c.stopped) && all.iter().any(|c| !c.stopped));
    assert!(all.iter().all(|c| c.stopped == (c.tokens.last() == Some(&3))));
    assert_eq!(all, run(1, &prompts));
    for i in [0, 7, 64, 149] {
        assert_eq!(all[i..=i], run(1, &prompts[i..=i]), "row {i} alone");
    }
    let mut reversed = prompts.clone();
    reversed.reverse();
    let mut back = run(2, &reversed);
    back.reverse();
    assert_eq!(all, back);
}

#[test]
fn draws_follow_the_distribution() {
    let model = model(config(3, 3, true), 13);
    let prompt = tokens(8, 1);
    let mut engine = Engine::new(&model.config, 2);
    let logits = engine.logits(&model, &prompt);
    for temperature in [1.0f64, 0.7] {
        let n = 20_000;
        let prompts: Vec<Prompt> = (0..n).map(|seed| Prompt::new(prompt.clone(), seed)).collect();
        let options = SampleOptions { temperature: temperature as f32, max_new: 1, ..SampleOptions::default() };
        let mut counts = [0.0f64; 29];
        for c in sample(&mut engine, &model, &prompts, &options) {
            counts[c.tokens[0] as usize] += 1.0;
        }
        let e: Vec<f64> = logits[7 * 29..].iter().map(|x| (f64::from(*x) / temperature).exp()).collect();
        let total: f64 = e.iter().sum();
        // Pearson's statistic over cells with an expectation of at least 5, the rest pooled.
        let (mut chi, mut cells, mut rest) = (0.0, 0.0f64, (0.0, 0.0));
        for (e, c) in e.iter().zip(counts) {
            let want = e / total * n as f64;
            if want >= 5.0 {
                chi += (c - want).powi(2) / want;
                cells += 1.0;
            } else {
                rest = (rest.0 + c, rest.1 + want);
            }
        }
        assert!(cells >= 4.0, "the test's model is too certain");
        assert!((rest.0 - rest.1).abs() < 6.0 + 4.0 * rest.1.sqrt());
        // Mean cells - 1, variance twice that; 5 deviations.
        assert!(chi < cells - 1.0 + 5.0 * (2.0 * cells).sqrt(), "chi² {chi} over {cells} cells");
    }
}
