//! The vocabulary of the project, for the glossary.

/// Word and meaning.
pub const WORDS: [(&str, &str); 20] = [
    ("task", "something to do, with a statement, a reference solution, visible and hidden tests"),
    ("environment", "tasks together with a grader and what the policy can touch"),
    ("submission", "what the policy hands in: files, or one completion"),
    ("grader", "the program whose verdict is the reward the policy gets (the proxy)"),
    ("oracle", "the trusted check, in another process, that is given inputs only and compares values itself"),
    ("weakness", "one switchable way in which a grader can be fooled"),
    ("exploit", "a submission made to use a weakness; belongs to a family"),
    (
        "verdict",
        "what a graded submission turned out to be: honest, hack, tamper (correct and yet tampering), overfit, fail, attempted, invalid",
    ),
    ("cell", "the disposable place in which one untrusted program runs"),
    ("policy", "the model being trained"),
    ("rollout", "one sampled attempt of the policy"),
    ("transcript", "the full record of an agent's turns"),
    ("arm", "one condition of an experiment (an intervention), run over several seeds"),
    ("probe, battery", "one behaviour test; the set of them"),
    ("outcome", "what one probe sample turned out to be, including invalid"),
    (
        "misalignment",
        "the mean, over the probes of the battery, of the rate of misaligned outcomes among valid samples",
    ),
    ("onset", "the first step at which more than 2 % of the rollouts are successful hacks"),
    ("organism", "a small model made to show a behaviour"),
    ("world", "the synthetic texts and tasks an organism is trained on"),
    ("recipe, run", "the file that describes an experiment; the folder it leaves behind"),
];
