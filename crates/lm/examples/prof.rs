fn main() {
    let w = std::env::args().nth(1).unwrap();
    let c = || {
        std::fs::read_to_string("/proc/self/stat")
            .unwrap()
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .nth(11)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            * 10.0
    };
    let c0 = c();
    let n = match w.as_str() {
        "train" => {
            loophole_lm::bench::train_steps(1, 1);
            2.0
        }
        "shared" => {
            loophole_lm::bench::sample_rates(1, 8, 1);
            25.6
        }
        _ => {
            loophole_lm::bench::sample_rates(1, 1, 1);
            25.6
        }
    };
    println!("{w}: cpu ms {} per unit {}", c() - c0, (c() - c0) / n);
}
