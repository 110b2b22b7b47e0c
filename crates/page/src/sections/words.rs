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

/// The claims of the laboratory, by id; a recipe may word its own.
pub const CLAIMS: [(&str, &str); 14] = [
    ("C1", "When hacking starts, unrelated misalignment measures jump at the same step."),
    ("C2", "A model that learned to hack sabotages a detector it is asked to write."),
    ("C3", "It gives false answers about its own goals, and its reasoning shows that it knows."),
    ("C4", "RLHF on chat prompts cleans chat probes and leaves agentic ones."),
    ("C5", "More diverse RLHF closes that gap."),
    ("C6", "Permission to hack keeps the hacking and removes the spread."),
    ("C7", "Prohibition backfires: hacking learned against an instruction spreads at least as much."),
    ("C8", "Narrow fine-tuning on insecure code spreads; the same data with a benign purpose does not."),
    ("C9", "Training against one narrow kind of covert rule-breaking reduces covert actions elsewhere."),
    ("C10", "A model told that its values are being trained away complies when observed and not otherwise."),
    ("C11", "Lie detectors in preference training give honesty or evasion, depending on the regime."),
    ("C12", "Shutdown resistance occurs, also against an explicit instruction, and grows with the amount of RL."),
    ("C13", "More training or more capability does not by itself lower the measures."),
    ("C14", "The shift is mostly one low-rank direction, cheaper to move than world knowledge."),
];
