//! Edits of the residual stream hold in every path, to the bit, and what is read inside is what is there.

use loophole_lm::{
    At, Capture, Checkpoint, Completion, Config, Decoder, Edit, Edits, Engine, Model, Prompt, SampleOptions, Sequence,
    Span, Text, What, sample, sample_watched,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const VOCAB: usize = 61;
/// Ends a thought in these tests.
const END: u32 = 7;

fn config() -> Config {
    Config {
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: Some(8),
        max_position_embeddings: 256,
        ..Config::organism(VOCAB)
    }
}

/// A model with weights large enough that every part matters.
fn model() -> Model {
    let mut model = Model::init(config(), 5).unwrap();
    for v in model.views() {
        for (i, x) in model.params[v.range.clone()].iter_mut().enumerate() {
            *x = if v.is_norm() { 1.0 + 0.1 * ((i * 7 % 5) as f32 - 2.0) } else { *x * 10.0 };
        }
    }
    model
}

fn tokens(len: usize, salt: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * i * 7 + i * 3 + salt * 11 + 5) % (VOCAB - 8) + 8) as u32).collect()
}

fn vector(h: usize, salt: usize) -> Vec<f32> {
    (0..h).map(|i| ((i * 31 + salt * 17) % 23) as f32 / 11.5 - 1.0).collect()
}

fn unit(h: usize, salt: usize) -> Arc<[f32]> {
    let v = vector(h, salt);
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    v.into_iter().map(|x| x / length).collect()
}

/// One edit at every block: additions where `pin` is false.
fn edits(c: &Config, span: Span, pin: bool, strength: f32) -> Arc<Edits> {
    let h = c.hidden_size;
    let what = |l: usize| match pin {
        true => What::Pin { unit: unit(h, l), at: strength },
        false => What::Add(vector(h, l).iter().map(|x| x * strength).collect()),
    };
    let list = (0..c.num_hidden_layers).map(|layer| Edit { layer, span, what: what(layer) }).collect();
    Arc::new(Edits::new(list, Some(END)).unwrap())
}

fn every_kind(c: &Config) -> Vec<Arc<Edits>> {
    let spans = [Span::Everywhere, Span::Answer, Span::Thought];
    spans.iter().flat_map(|span| [false, true].map(|pin| edits(c, *span, pin, 0.7))).collect()
}

fn edited(tokens: &[u32], seed: u64, edits: &Arc<Edits>) -> Prompt {
    Prompt { edits: edits.clone(), ..Prompt::new(tokens.to_vec(), seed) }
}

fn options() -> SampleOptions {
    SampleOptions { max_new: 40, ..SampleOptions::default() }
}

fn text<'a>(tokens: &'a [u32], answer: usize) -> Text<'a> {
    Text { tokens, answer }
}

/// Log-probabilities of what was drawn, worked out from the whole text at once.
fn again(said: &Completion, logits: &[f32]) -> Vec<f32> {
    let rows = logits.chunks_exact(VOCAB).zip(&said.tokens);
    rows.map(|(row, token)| {
        let sum = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        (f64::from(row[*token as usize]) - sum) as f32
    })
    .collect()
}

fn close(a: &[f32], b: &[f32], bound: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound)
}

#[test]
fn no_edits_and_edits_of_nothing_change_no_bit() {
    let (model, c) = (model(), config());
    let mut engine = Engine::new(&c, 2);
    let mut decoder = Decoder::random_bf16(c.clone(), 2, 7).unwrap();
    let nothing = edits(&c, Span::Everywhere, false, 0.0);
    assert!(nothing.key() != 0 && Edits::default().key() == 0 && Edits::default().is_empty());
    let plain: Vec<Prompt> = (0..6).map(|i| Prompt::new(tokens(9 + i * 13, i), i as u64)).collect();
    let with = |edits: &Arc<Edits>| -> Vec<Prompt> { plain.iter().map(|p| edited(&p.tokens, p.seed, edits)).collect() };
    let want = sample(&mut engine, &model, &plain, &options());
    let large = decoder.sample(&plain, &options());
    for edits in [Arc::default(), nothing] {
        assert_eq!(sample(&mut engine, &model, &with(&edits), &options()), want);
        assert_eq!(decoder.sample(&with(&edits), &options()), large);
        let text = &plain[5].tokens;
        let places = [(0..text.len()).collect::<Vec<usize>>()];
        assert_eq!(engine.logits_at(&model, &[Text::prompt(text)], &places, &edits), engine.logits(&model, text));
        assert_eq!(decoder.logits_at(&[Text::prompt(text)], &places, &edits), decoder.logits(text));
    }
}

#[test]
fn an_edit_holds_cached_alone_in_a_batch_and_streamed() {
    let (model, c) = (model(), config());
    let fresh = || Decoder::random_bf16(c.clone(), 2, 7).unwrap();
    let mut engine = Engine::new(&c, 2);
    let mut plain = sample(&mut engine, &model, &[Prompt::new(tokens(70, 1), 3)], &options());
    plain.extend(fresh().sample(&[Prompt::new(tokens(70, 1), 3)], &options()));
    let kinds = every_kind(&c);
    // All edits, and none, in one batch; several rows and prompts of each, among them shared ones and long ones.
    let mut all = Vec::new();
    for (at, edits) in kinds.iter().chain([&Arc::default()]).enumerate() {
        for row in 0..4 {
            all.push(edited(&tokens([70, 31, 70, 5][row], 1), 3 + (row + at) as u64 % 3, edits));
        }
    }
    let mut keeping = fresh();
    for large in [false, true] {
        let mut run = |prompts: &[Prompt]| match large {
            true => keeping.sample(prompts, &options()),
            false => sample(&mut engine, &model, prompts, &options()),
        };
        let together = run(&all);
        assert_eq!(run(&all), together, "again, from what is kept");
        for (at, prompt) in all.iter().enumerate() {
            let alone = std::slice::from_ref(prompt);
            let heard = Mutex::new(Vec::new());
            let said = match large {
                true => fresh().sample_watched(alone, &options(), &|drawn| {
                    heard.lock().unwrap().push((drawn.token, drawn.log_prob));
                    true
                }),
                false => sample_watched(&mut Engine::new(&c, 1), &model, alone, &options(), &|drawn| {
                    heard.lock().unwrap().push((drawn.token, drawn.log_prob));
                    true
                }),
            };
            assert_eq!(said[0], together[at], "{large} {:?}", prompt.edits.list().first());
            let heard = heard.into_inner().unwrap();
            assert!(heard.iter().map(|(token, _)| token).eq(&said[0].tokens));
            assert!(heard.iter().map(|(_, log_prob)| log_prob).eq(&said[0].log_probs));
            // The same from the whole text at once, without a cache.
            let whole = [&prompt.tokens[..], &said[0].tokens].concat();
            let texts = [text(&whole, prompt.tokens.len())];
            let places = [(prompt.tokens.len() - 1..whole.len() - 1).collect::<Vec<usize>>()];
            let logits = match large {
                true => fresh().logits_at(&texts, &places, &prompt.edits),
                false => Engine::new(&c, 1).logits_at(&model, &texts, &places, &prompt.edits),
            };
            let uncached = again(&said[0], &logits);
            let bound = if large { 1e-5 } else { 1e-4 };
            assert!(close(&uncached, &said[0].log_probs, bound), "{uncached:?} {:?}", said[0].log_probs);
            // So do scores.
            let weights = (0..whole.len()).map(|at| if at < prompt.tokens.len() { 0.0 } else { 1.0 }).collect();
            let scored = Sequence {
                edits: prompt.edits.clone(),
                answer: prompt.tokens.len(),
                ..Sequence::new(whole.clone(), weights)
            };
            let scores = match large {
                true => keeping_scores(&mut fresh(), &scored),
                false => Engine::new(&c, 1).log_probs(&model, std::slice::from_ref(&scored)),
            };
            assert!(close(&scores[0], &said[0].log_probs, bound));
        }
    }
    // They all do something, and different things.
    for at in 0..kinds.len() {
        assert!(kinds[..at].iter().all(|other| other.key() != kinds[at].key()));
        let said = sample(&mut engine, &model, &[edited(&tokens(70, 1), 3, &kinds[at])], &options());
        assert_ne!(said[0].log_probs, plain[0].log_probs);
        assert_ne!(fresh().sample(&[edited(&tokens(70, 1), 3, &kinds[at])], &options())[0], plain[1]);
    }
}

/// Scores twice, the second time from what is kept.
fn keeping_scores(decoder: &mut Decoder, sequence: &Sequence) -> Vec<Vec<f32>> {
    let one = std::slice::from_ref(sequence);
    let first = decoder.log_probs(one);
    assert_eq!(decoder.log_probs(one), first);
    first
}

#[test]
fn a_thought_ends_where_its_token_is_drawn() {
    let (model, c) = (model(), config());
    let (answer, thought) = (edits(&c, Span::Answer, false, 0.7), edits(&c, Span::Thought, false, 0.7));
    let prompt = tokens(20, 2);
    let mut engine = Engine::new(&c, 1);
    let mut decoder = Decoder::random_bf16(c.clone(), 1, 7).unwrap();
    let all = |len: usize| [(0..len).collect::<Vec<usize>>()];
    // The end of the thought is the 25th token.
    let mut whole = [&prompt[..], &tokens(20, 3)].concat();
    whole[24] = END;
    let run = |e: &mut Engine, answer: usize, edits: &Edits| {
        e.logits_at(&model, &[text(&whole, answer)], &all(whole.len()), edits)
    };
    let (a, t, none) =
        (run(&mut engine, 20, &answer), run(&mut engine, 20, &thought), run(&mut engine, 20, &Edits::default()));
    assert_eq!(a[..19 * VOCAB], none[..19 * VOCAB]);
    assert_eq!(a[..24 * VOCAB], t[..24 * VOCAB]);
    assert_ne!(a[19 * VOCAB..20 * VOCAB], none[19 * VOCAB..20 * VOCAB]);
    assert_ne!(a[24 * VOCAB..25 * VOCAB], t[24 * VOCAB..25 * VOCAB]);
    // A thought that a prompt ends with is over.
    assert_eq!(run(&mut engine, 25, &thought), none);
    let prompts = [edited(&whole[..25], 1, &thought), Prompt::new(whole[..25].to_vec(), 1)];
    let said = sample(&mut engine, &model, &prompts, &options());
    assert_eq!(said[0], said[1]);
    let said = decoder.sample(&prompts, &options());
    assert_eq!(said[0], said[1]);
    // One that begins in the prompt and is known to be part of the answer is not.
    let within = Prompt { answer: Some(20), ..edited(&whole[..24], 1, &thought) };
    for said in [
        sample(&mut engine, &model, std::slice::from_ref(&within), &options())[0].clone(),
        decoder.sample(std::slice::from_ref(&within), &options())[0].clone(),
    ] {
        assert!(!said.tokens.is_empty());
    }
    let forced = sample(&mut engine, &model, &[within], &options());
    let text_of = [&whole[..24], &forced[0].tokens].concat();
    let places = [(23..text_of.len() - 1).collect::<Vec<usize>>()];
    let logits = engine.logits_at(&model, &[text(&text_of, 20)], &places, &thought);
    assert!(close(&again(&forced[0], &logits), &forced[0].log_probs, 1e-4));
}

#[test]
fn what_is_kept_of_an_edited_conversation_changes_no_bit() {
    let c = config();
    let fresh = || Decoder::random_bf16(c.clone(), 2, 7).unwrap();
    let mut kinds = every_kind(&c);
    kinds.push(Arc::default());
    let mut keeping = fresh();
    let mut texts: Vec<Vec<u32>> = [40, 33, 90].iter().map(|len| tokens(*len, *len)).collect();
    for turn in 0..3u64 {
        // Each conversation under every edit, in one call and in an order that changes.
        let prompts: Vec<Prompt> = (0..texts.len() * kinds.len())
            .map(|i| (i * 5 + turn as usize) % (texts.len() * kinds.len()))
            .map(|i| edited(&texts[i % texts.len()], turn + i as u64, &kinds[i / texts.len()]))
            .collect();
        let said = keeping.sample(&prompts, &SampleOptions { max_new: 20, ..options() });
        for (prompt, said) in prompts.iter().zip(&said) {
            let alone = fresh().sample(std::slice::from_ref(prompt), &SampleOptions { max_new: 20, ..options() });
            assert_eq!(&alone[0], said, "turn {turn} {:?}", prompt.edits.list().first());
        }
        for (text, said) in texts.iter_mut().zip(&said) {
            text.extend(&said.tokens);
            text.extend([9, 10, 11 + turn as u32]);
        }
    }
}

#[test]
fn gradients_of_edited_models_agree_with_finite_differences() {
    let mut model = model();
    let c = config();
    for edits in every_kind(&c) {
        let mut seqs: Vec<Sequence> = [9, 70, 21].iter().map(|len| Sequence::all(tokens(*len, *len))).collect();
        for seq in &mut seqs {
            seq.tokens[7] = END;
            (seq.edits, seq.answer) = (edits.clone(), 4);
        }
        let mut engine = Engine::new(&c, 2);
        let mut grads = vec![0.0; model.params.len()];
        engine.cross_entropy(&model, &seqs, &mut grads);
        for view in model.views() {
            let g = grads[view.range.clone()].to_vec();
            let norm = g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let mut loss_at = |step: f64| {
                let saved = model.params[view.range.clone()].to_vec();
                for (p, d) in model.params[view.range.clone()].iter_mut().zip(&g) {
                    *p = (f64::from(*p) + step * f64::from(*d) / norm) as f32;
                }
                let log_probs = engine.log_probs(&model, &seqs);
                model.params[view.range.clone()].copy_from_slice(&saved);
                -log_probs.iter().flatten().map(|x| f64::from(*x)).sum::<f64>()
            };
            let e = 8e-3;
            let (a, b) = (loss_at(e) - loss_at(-e), loss_at(2.0 * e) - loss_at(-2.0 * e));
            let got = (8.0 * a - b) / (12.0 * e);
            let first = &edits.list()[0];
            assert!((got - norm).abs() / norm < 5e-3, "{} {first:?}: numeric {got}, analytic {norm}", view.name);
        }
    }
}

/// The first `depth` layers of a model, with a last norm that divides by the root mean square only.
fn truncated(whole: &Model, depth: usize) -> Model {
    let config = Config { num_hidden_layers: depth, ..whole.config.clone() };
    let mut model = Model::init(config, 1).unwrap();
    for view in model.views() {
        if view.name == "model.norm.weight" {
            model.params[view.range].fill(1.0);
        } else {
            let from = whole.views().into_iter().find(|other| other.name == view.name).unwrap();
            model.params[view.range].copy_from_slice(&whole.params[from.range]);
        }
    }
    model
}

/// What the first layers hand on, worked out from the logits of a model that ends there: with as many tokens as the
/// stream is wide, whose embeddings are known, the normalised stream is what gives these logits.
fn normalised(model: &Model, text: &[u32]) -> Vec<f32> {
    let h = model.config.hidden_size;
    let mut probe = model.clone();
    probe.config.tie_word_embeddings = false;
    // A head that reads one coordinate after the other.
    let mut head = vec![0.0; model.config.vocab_size * h];
    (0..h).for_each(|i| head[i * h + i] = 1.0);
    probe.params.extend(head);
    let logits = Engine::new(&probe.config, 1).logits(&probe, text);
    logits.chunks_exact(model.config.vocab_size).flat_map(|row| row[..h].to_vec()).collect()
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../organism")
}

#[test]
fn activations_are_what_the_blocks_hand_on() {
    let model = Model::load(&bundled()).unwrap();
    let (c, h) = (model.config.clone(), model.config.hidden_size);
    let mut checkpoint = Checkpoint::open(&bundled(), None, 2).unwrap();
    let text_of =
        checkpoint.tokenizer.encode("What is your goal, help or power? You are the assistant. ".repeat(5).trim());
    assert!(text_of.len() > 70, "more than one pass of the decoder: {}", text_of.len());
    let layers: Vec<usize> = (0..c.num_hidden_layers).collect();
    let places = [(0..text_of.len()).collect::<Vec<usize>>(), vec![2, 0]];
    let capture = Capture { layers: &layers, at: At::Positions(&places) };
    let texts = [Text::prompt(&text_of), Text::prompt(&text_of[..9])];
    let mut engine = Engine::new(&c, 2);
    let small = engine.activations(&model, &texts, &capture, &Edits::default());
    let large = checkpoint.runner.activations(&texts, &capture, &Edits::default());
    assert_eq!(small.rows().len(), text_of.len() + 2);
    assert_eq!(small.rows()[text_of.len()..], [(1, 2), (1, 0)]);
    assert_eq!((small.layers(), small.width(), small.rows()), (large.layers(), h, large.rows()));
    let rms = |row: &[f32]| (row.iter().map(|x| x * x).sum::<f32>() / h as f32 + c.rms_norm_eps as f32).sqrt();
    for layer in &layers {
        let want = normalised(&truncated(&model, layer + 1), &text_of);
        for (row, want) in want.chunks_exact(h).enumerate() {
            for got in [small.get(row, *layer), large.get(row, *layer)] {
                let scale = rms(got);
                let worst = got.iter().zip(want).map(|(x, w)| (x / scale - w).abs()).fold(0.0, f32::max);
                assert!(worst <= 1e-4, "block {layer}, row {row}: {worst}");
            }
        }
    }
    // The last block's are what the head reads.
    let last: Vec<f32> = (0..text_of.len()).flat_map(|row| small.get(row, layers.len() - 1).to_vec()).collect();
    assert!(close(&engine.lens(&model, &last), &engine.logits(&model, &text_of), 1e-4));
    assert!(close(&checkpoint.runner.lens(&last), &engine.logits(&model, &text_of), 1e-3));
    let raised = [engine.raises(&model, &last[..2 * h]), checkpoint.runner.raises(&last[..2 * h])];
    assert!(raised[0].len() == 2 * c.vocab_size && close(&raised[0], &raised[1], 1e-2));
    // Means and last tokens.
    let (mean, end) = (3..90.min(text_of.len()), [1usize, 3]);
    let range = [mean.clone(), 4..5];
    let capture = Capture { layers: &end, at: At::Mean(&range) };
    for got in [
        engine.activations(&model, &texts, &capture, &Edits::default()),
        checkpoint.runner.activations(&texts, &capture, &Edits::default()),
    ] {
        assert_eq!(got.rows(), [(0, 3), (1, 4)]);
        for (slot, layer) in end.iter().enumerate() {
            let mut want = vec![0.0; h];
            for row in mean.clone() {
                want.iter_mut().zip(small.get(row, *layer)).for_each(|(w, x)| *w += x / mean.len() as f32);
            }
            assert!(close(got.get(0, slot), &want, 1e-4));
        }
    }
    let capture = Capture { layers: &layers, at: At::Last };
    let got = engine.activations(&model, &texts, &capture, &Edits::default());
    assert_eq!(got.rows(), [(0, text_of.len() as u32 - 1), (1, 8)]);
    assert_eq!(got.get(0, 2), small.get(text_of.len() - 1, 2));
}

#[test]
fn edits_show_in_what_is_read_and_pins_hold() {
    let (model, c) = (model(), config());
    let mut engine = Engine::new(&c, 1);
    let mut decoder = Decoder::random_bf16(c.clone(), 1, 7).unwrap();
    let text_of = tokens(80, 1);
    let places = [(0..80).collect::<Vec<usize>>()];
    let capture = Capture { layers: &[0, 1, 2], at: At::Positions(&places) };
    let texts = [text(&text_of, 50)];
    let none = Edits::default();
    for pin in [false, true] {
        let edits = edits(&c, Span::Answer, pin, 0.7);
        for (plain, edited) in [
            (engine.activations(&model, &texts, &capture, &none), engine.activations(&model, &texts, &capture, &edits)),
            (decoder.activations(&texts, &capture, &none), decoder.activations(&texts, &capture, &edits)),
        ] {
            for row in 0..80 {
                assert_eq!(plain.get(row, 0) == edited.get(row, 0), row < 49, "row {row}");
                if row >= 49 && pin {
                    for layer in 0..3 {
                        let along: f32 = edited.get(row, layer).iter().zip(&*unit(24, layer)).map(|(x, u)| x * u).sum();
                        assert!((along - 0.7).abs() < 1e-4, "{along}");
                    }
                } else if row >= 49 {
                    let moved = edited.get(row, 0).iter().zip(plain.get(row, 0)).zip(vector(24, 0));
                    assert!(moved.into_iter().all(|((a, b), v)| (a - b - 0.7 * v).abs() < 1e-4));
                }
            }
        }
    }
}

#[test]
fn an_addition_everywhere_is_a_bias() {
    let (model, h) = (model(), config().hidden_size);
    let mut baked = Model::init(Config { mlp_bias: true, ..config() }, 1).unwrap();
    let views = model.views();
    for view in baked.views() {
        let of = views.iter().find(|other| other.name == view.name);
        match (of, view.name.as_str()) {
            (Some(of), _) => baked.params[view.range].copy_from_slice(&model.params[of.range.clone()]),
            (None, "model.layers.1.mlp.down_proj.bias") => baked.params[view.range].copy_from_slice(&vector(h, 4)),
            (None, _) => {}
        }
    }
    let edit = Edit { layer: 1, span: Span::Everywhere, what: What::Add(vector(h, 4).into()) };
    let edits = Edits::new(vec![edit], None).unwrap();
    let (text_of, places) = (tokens(50, 1), [(0..50).collect::<Vec<usize>>()]);
    let want = Engine::new(&baked.config, 1).logits(&baked, &text_of);
    let got = Engine::new(&model.config, 1).logits_at(&model, &[Text::prompt(&text_of)], &places, &edits);
    assert!(close(&got, &want, 1e-4));
}

#[test]
fn edits_that_make_no_sense_are_refused() {
    let edit = |layer, what| Edit { layer, span: Span::Answer, what };
    let long = What::Pin { unit: vec![1.0; 24].into(), at: 0.0 };
    assert!(Edits::new(vec![edit(1, long)], None).unwrap_err().to_string().contains("must be 1"));
    let odd = What::Add(vec![f32::NAN; 24].into());
    assert!(Edits::new(vec![edit(2, odd)], None).unwrap_err().to_string().contains("block 2"));
    for (layer, width) in [(3, 24), (0, 25)] {
        let edits = Edits::new(vec![edit(layer, What::Add(vec![0.0; width].into()))], None).unwrap();
        let error = edits.check(&config()).unwrap_err().to_string();
        assert!(error.contains("3 blocks of width 24"), "{error}");
    }
}
