//! scratch
use loophole_lm::{Config, Decoder, Family};
fn main() {
    let layers = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(24);
    let threads = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(2);
    let config = Config { family: Family::Qwen2, hidden_size: 896, intermediate_size: 4864, num_hidden_layers: layers,
        num_attention_heads: 14, num_key_value_heads: 2, head_dim: Some(64), vocab_size: 151_936,
        max_position_embeddings: 4096, rope_theta: 1e6, ..Config::organism(1) };
    let t = std::time::Instant::now();
    let mut d = Decoder::random_bf16(config, threads, 1).unwrap();
    println!("made {:.2} s, {} MB", t.elapsed().as_secs_f64(), d.weight_bytes() / 1_000_000);
    for n in [64usize, 256, 512] {
        let tokens: Vec<u32> = (0..n as u32).map(|i| i * 7919 % 150_000).collect();
        d.time(&tokens, 1);
        let (p, g) = d.time(&tokens, 20);
        println!("prefill {n}: {:.1} tok/s   decode {:.2} tok/s", n as f64 / p, 20.0 / g);
    }
}
