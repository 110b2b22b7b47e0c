//! Writes a random adapter for a model, and what the model with it says, for `scripts/golden_organism.py`.
//!
//! `cargo run --release -p loophole-lm --example adapter -- MODEL OUT`

use std::path::Path;

use loophole_lm::rng::Rng;
use loophole_lm::{ALL_LINEAR, Engine, Lora, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: adapter MODEL OUT".into());
    };
    let base = Model::load(Path::new(&model))?;
    let mut lora = Lora::init(&base.config, 4, 8.0, &ALL_LINEAR, 1)?;
    // A fresh adapter changes nothing; this one does.
    let mut rng = Rng::new(2);
    for value in &mut lora.params {
        *value += (0.1 * (2.0 * rng.uniform() - 1.0)) as f32;
    }
    let out = Path::new(&out);
    lora.save(out, &model)?;
    let tokens: Vec<u32> = (5..45).collect();
    let logits = Engine::new(&base.config, 1).logits(&lora.merged(&base), &tokens);
    let said = serde_json::json!({ "tokens": tokens, "logits": logits });
    std::fs::write(out.join("expected.json"), said.to_string())?;
    Ok(())
}
