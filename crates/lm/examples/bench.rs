//! Prints the engine's speed as JSON: `cargo run --release -p loophole-lm --example bench -- [THREADS]`.
fn main() {
    let threads = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2);
    let measured = loophole_lm::bench::run(threads);
    println!("{}", serde_json::to_string_pretty(&measured).unwrap_or_default());
}
