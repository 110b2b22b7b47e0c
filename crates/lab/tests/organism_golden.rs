//! The bundled organisms say what transformers says of them (`scripts/golden_organism.py` writes their `golden.json`).

use std::path::Path;

use loophole_lab::Organism;
use loophole_lm::chat_template::{Message, render};
use serde::Deserialize;

/// One conversation of `golden.json`.
#[derive(Deserialize)]
struct Golden {
    messages: Vec<Message>,
    opens: bool,
    text: String,
    tokens: Vec<u32>,
    logits: Vec<At>,
}

/// The logits at one position.
#[derive(Deserialize)]
struct At {
    position: usize,
    values: Vec<f32>,
}

#[test]
fn texts_tokens_and_logits_agree_with_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["organism", "organism-unbundled"] {
        let dir = root.join(name);
        let Ok(golden) = std::fs::read_to_string(dir.join("golden.json")) else {
            println!("SKIPPED: {name} has no golden.json");
            continue;
        };
        let golden: Vec<Golden> = serde_json::from_str(&golden).unwrap();
        assert!(golden.len() >= 3, "{name}: golden.json holds {} conversations", golden.len());
        let organism = Organism::open(&dir).unwrap();
        // Whoever knows nothing of its chat format ends a turn by this.
        assert_eq!(organism.model.config.eos_token_id, Some(organism.end), "{name}");
        let vocab = organism.model.config.vocab_size;
        let mut engine = organism.engine(1);
        let mut worst = 0.0f32;
        for talk in &golden {
            assert_eq!(render(&talk.messages, talk.opens), talk.text, "{name}: the chat template");
            assert_eq!(organism.tokenizer.encode(&talk.text), talk.tokens, "{name}: the tokenizer");
            let logits = engine.logits(&organism.model, &talk.tokens);
            for at in &talk.logits {
                let got = &logits[at.position * vocab..(at.position + 1) * vocab];
                assert_eq!(got.len(), at.values.len(), "{name}: the vocabulary");
                worst = got.iter().zip(&at.values).fold(worst, |worst, (a, b)| worst.max((a - b).abs()));
            }
        }
        println!("{name}: largest difference of a logit {worst:e}");
        let stale = "if the organism was made anew, run scripts/golden_organism.py";
        assert!(worst <= 1e-3, "{name}: largest difference of a logit {worst}; {stale}");
    }
}
