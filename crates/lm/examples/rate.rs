//! How fast a checkpoint is read and continued on this machine, and what memory it takes: `rate MODEL [THREADS]`, where
//! MODEL is a folder or a GGUF file. `scripts/compare_gguf.py --rate` measures the same with transformers.

use loophole_lm::{Checkpoint, Prompt, Runner, SampleOptions};
use std::path::Path;
use std::time::Instant;

/// The same text as there.
const PROMPT: &str =
    "Once upon a time there was a lighthouse keeper who counted ships. On the first day he counted 3 ships, and";
const NEW: usize = 64;

/// Most memory so far and what is taken now, in MiB, where the system says so.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    (field("VmHWM:").unwrap_or(f64::NAN) / 1024.0, field("VmRSS:").unwrap_or(f64::NAN) / 1024.0)
}

fn main() -> Result<(), loophole_lm::LmError> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, rest @ ..] = &arguments[..] else {
        eprintln!("usage: rate MODEL [THREADS]");
        std::process::exit(2);
    };
    let threads = rest.first().and_then(|threads| threads.parse().ok()).unwrap_or(2);
    let start = Instant::now();
    let mut checkpoint = Checkpoint::open(Path::new(model), None, threads)?;
    let loading = start.elapsed().as_secs_f64();
    let weights = match &checkpoint.runner {
        Runner::Large(decoder) => decoder.weight_bytes() as f64 / (1 << 20) as f64,
        Runner::Small { model, .. } => model.params.len() as f64 * 4.0 / (1 << 20) as f64,
    };
    let (peak, now) = memory();
    println!(
        "{model}: opened in {loading:.1} s; weights {weights:.0} MiB, process {now:.0} MiB, at most {peak:.0} MiB"
    );
    let tokens = checkpoint.tokenizer.encode(&PROMPT.repeat(8));
    let mut timed = |tokens: &[u32], rows: usize, new: usize| {
        let options = SampleOptions { temperature: 0.0, max_new: new, ..SampleOptions::default() };
        let prompts: Vec<Prompt> = (0..rows).map(|seed| Prompt::new(tokens.to_vec(), seed as u64)).collect();
        let start = Instant::now();
        checkpoint.runner.sample_watched(&prompts, &options, &|_| true);
        start.elapsed().as_secs_f64()
    };
    // The first call reads the prompt; for the others it is kept.
    timed(&tokens[1..], 1, 1);
    let read = timed(&tokens, 1, 1);
    let one = timed(&tokens, 1, NEW + 1);
    let many = timed(&tokens, 16, NEW + 1);
    let (peak, now) = memory();
    println!(
        "{threads} threads: {:.0} prompt tokens/s, {:.1} new tokens/s in one row, {:.1} in 16 rows; process {now:.0} MiB, \
         at most {peak:.0} MiB",
        tokens.len() as f64 / read,
        NEW as f64 / one,
        (16 * NEW) as f64 / many
    );
    Ok(())
}
