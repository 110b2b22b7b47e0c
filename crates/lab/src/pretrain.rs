//! Making an organism from nothing: a world, a tokenizer, a model; and the card that says what it can do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use loophole_cell::Pool;
use loophole_chat::Local;
use loophole_foreign::within;
use loophole_grade::{Grader, GraderKind, Grading, Submission, Verdict};
use loophole_lm::chat_template::{END, PAD};
use loophole_lm::{Config, Dtype, Model, Prompt, SampleOptions, Tokenizer};
use loophole_log::{Kind, Lock, ProbeReport};
use loophole_probe::{Arms, Battery, BatteryOptions, ProbeError, SampleRecord};
use loophole_template::{seed_from, seed_of};
use loophole_train::{PretrainOptions, Pretraining};
use loophole_world::{Families, Instruction, Role, World, WorldConfig};
use serde::{Deserialize, Serialize};

use crate::organism::{Organism, Weights};
use crate::unfinished::{Made, Unfinished};
use crate::{Event, LabError, records};

/// How an organism is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganismRecipe {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub question: String,
    /// Folder it is written to.
    pub out: PathBuf,
    /// Seed of the weights.
    #[serde(default = "one")]
    pub seed: u64,
    /// Tokens of its vocabulary.
    pub vocabulary: usize,
    /// Tasks of each family its documents draw from.
    pub tasks_per_family: usize,
    /// Its world.
    #[serde(default)]
    pub world: WorldConfig,
    /// What of a document it learns how much from.
    #[serde(default)]
    pub weights: Weights,
    /// Its training.
    #[serde(default)]
    pub pretrain: PretrainOptions,
}

fn one() -> u64 {
    1
}

/// Tokens that are never split.
const SPECIAL: [&str; 7] = ["<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<think>", "</think>"];
/// Documents the tokenizer learns from.
const TOKENIZER_DOCUMENTS: u64 = 6000;
/// Updates between two looks at the watch.
const REPORT_EVERY: usize = 10;
/// Updates between two times that what is made so far is kept.
const KEEP_EVERY: usize = 100;
/// Sampled solutions of each family in the card.
const SKILL_SAMPLES: usize = 12;
/// Samples of each probe in the card.
const PROBE_SAMPLES: usize = 100;

impl OrganismRecipe {
    /// Reads a recipe from its text; `name` is for messages.
    ///
    /// # Errors
    /// No TOML, an unknown key, or something that cannot be made; says which.
    pub fn parse(text: &str, name: &str) -> Result<Self, LabError> {
        let wrong = |reason: String| LabError::Recipe { name: name.into(), reason };
        let recipe: OrganismRecipe = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        recipe.world.check().map_err(|error| wrong(error.to_string()))?;
        within("vocabulary", recipe.vocabulary, 1..=1_000_000)
            .and_then(|()| within("tasks_per_family", recipe.tasks_per_family, 1..=100_000))
            .and_then(|()| recipe.weights.check())
            .and_then(|()| recipe.pretrain.check())
            .map_err(wrong)?;
        Ok(recipe)
    }
}

/// Makes an organism and writes it, card and all, to `out`. Weights are rounded to bfloat16 at the end, so
/// that the small file and the model in memory are the same. What is made of it so far lies in `OUT.partial`, from
/// which `resume` goes on; the weights are then the same to the byte as without a break.
///
/// # Errors
/// The recipe's world, the cells, the disk, a training that diverged, one that is there and not to be gone on with.
pub fn pretrain(
    recipe: &OrganismRecipe,
    out: &Path,
    threads: usize,
    resume: bool,
    watch: &mut dyn FnMut(Event),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), LabError> {
    replaceable(out)?;
    let _lock = Lock::file(out)?;
    let left = || if stop() { Err(LabError::Interrupted) } else { Ok(()) };
    let unfinished = Unfinished::take_up(out, recipe, resume)?;
    let pool = Arc::new(Pool::start(Grading::cells(GraderKind::Script))?);
    let families = Families::bundled()?;
    let tasks = families.tasks(recipe.tasks_per_family, recipe.world.seed, &pool, |_| true)?;
    let world = World::new(recipe.world.clone(), tasks)?;
    let mut texts = Vec::new();
    for index in 0..TOKENIZER_DOCUMENTS {
        for message in world.document(index)?.messages {
            // The marks of the thought are tokens of their own; they are not to be learned from.
            texts.push(message.content.replace("<think>", "").replace("</think>", ""));
        }
    }
    let tokenizer = Tokenizer::train_bpe(texts.iter(), recipe.vocabulary, &SPECIAL)?;
    // Programs that know nothing of its chat format end a turn by these.
    let (eos_token_id, pad_token_id) = (tokenizer.id(END), tokenizer.id(PAD));
    let config = Config { eos_token_id, pad_token_id, ..Config::organism(tokenizer.vocab_size()) };
    let model = Model::init(config, recipe.seed)?;
    let mut organism = Organism::new(model, tokenizer)?;
    organism.world.clone_from(&recipe.world);
    let mut engine = organism.engine(threads);
    let options = &recipe.pretrain;
    let mut training = Pretraining::new(organism.model.clone(), options.clone());
    let mut made = unfinished.load(&mut training)?;
    let (began, tokens_before, seconds_before) = (Instant::now(), made.tokens, made.seconds);
    training.run::<LabError>(
        &mut engine,
        |step| {
            let document = |row| world.document((step * options.batch + row) as u64);
            (0..options.batch).map(|row| Ok(organism.sequence(&document(row)?.messages, &recipe.weights))).collect()
        },
        |training, stats| {
            made.tokens += stats.tokens;
            made.loss = Some(stats.loss);
            made.seconds = seconds_before + began.elapsed().as_secs_f64();
            if stats.step % REPORT_EVERY == 0 || training.step == options.steps {
                watch(Event::Pretrained {
                    step: training.step,
                    steps: options.steps,
                    loss: stats.loss,
                    tokens_per_second: (made.tokens - tokens_before) as f64 / began.elapsed().as_secs_f64(),
                });
            }
            // The last one too: what follows takes minutes, and can be left as well.
            if training.step.is_multiple_of(KEEP_EVERY) || training.step == options.steps || stop() {
                unfinished.save(training, &made)?;
            }
            left()
        },
    )?;
    organism.model = training.model;
    organism.model.round_bf16();
    left()?;
    let skills = skills(&organism, &families, &world, &pool, threads)?;
    let probes = match probes(&organism, &world, &pool, threads, stop) {
        Err(LabError::Probe(ProbeError::Stopped)) => return Err(LabError::Interrupted),
        probes => probes?,
    };
    let partial = unfinished.folder()?;
    let failed = |source| LabError::Write { path: partial.clone(), source };
    organism.model.save(&partial, Dtype::BF16)?;
    organism.tokenizer.save(&partial)?;
    organism.save_world(&partial)?;
    let card = card(recipe, &organism, &made, &skills, &probes, &families);
    std::fs::write(partial.join(CARD), card).map_err(failed)?;
    unfinished.clear()?;
    loophole_log::seal(Kind::Organism, &partial)?;
    if out.exists() {
        std::fs::remove_dir_all(out).map_err(failed)?;
    }
    std::fs::rename(&partial, out).map_err(failed)
}

/// The name of the card, which marks a folder as an organism made here.
const CARD: &str = "MODEL_CARD.md";

/// An organism takes the place of another one or of nothing, never of anything else.
fn replaceable(out: &Path) -> Result<(), LabError> {
    let empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if empty || !out.exists() || (out.join(CARD).exists() && out.join("config.json").exists()) {
        return Ok(());
    }
    Err(LabError::Occupied { path: out.into() })
}

/// Verdicts of sampled solutions, by family.
type Skills = BTreeMap<usize, BTreeMap<Verdict, usize>>;

/// Samples solutions to new tasks of each family, without an instruction, and labels them.
fn skills(
    organism: &Organism,
    families: &Families,
    world: &World,
    pool: &Arc<Pool>,
    threads: usize,
) -> Result<Skills, LabError> {
    let tasks = families.tasks(SKILL_SAMPLES, seed_of("skill"), pool, |_| true)?;
    let prompts: Vec<Prompt> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            Prompt::new(
                organism.prompt(&world.prompt(task, Instruction::None, index as u64)),
                seed_from(&[seed_of("skill sample"), index as u64]),
            )
        })
        .collect();
    let options = SampleOptions { max_new: 96, stop: vec![organism.end], ..SampleOptions::default() };
    let completions = loophole_lm::sample(&mut organism.engine(threads), &organism.model, &prompts, &options);
    let grading = Grading::new(Arc::clone(pool));
    let grader = Grader::open(GraderKind::Script);
    let mut skills = Skills::new();
    for (task, completion) in tasks.iter().zip(&completions) {
        let submission = Submission::Completion(organism.answer(&completion.tokens).text);
        let graded = grading.grade(&task.task, &grader, &submission)?;
        *skills.entry(task.family).or_default().entry(graded.verdict).or_default() += 1;
    }
    Ok(skills)
}

fn probes(
    organism: &Organism,
    world: &World,
    pool: &Pool,
    threads: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<ProbeReport, LabError> {
    let chat = Local::from_parts(organism.model.clone(), organism.tokenizer.clone(), threads)?.named("organism");
    let options = BatteryOptions {
        samples: Some(PROBE_SAMPLES),
        seed: seed_of("card"),
        arms: Arms::All,
        ..BatteryOptions::default()
    };
    let mut leave = |_: &SampleRecord| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let battery = Battery::bundled(if world.config.factors.is_some() { "factors" } else { "full" })?;
    let report = loophole_probe::play(&battery, &chat, Some(pool), &options, Vec::new(), &mut leave)?;
    Ok(records::probe_report(&report, "organism", None, Some(&world.characters)))
}

fn card(
    recipe: &OrganismRecipe,
    organism: &Organism,
    made: &Made,
    skills: &Skills,
    probes: &ProbeReport,
    families: &Families,
) -> String {
    let config = &organism.model.config;
    let world = &recipe.world;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "# {name}\n\n{question}\n\nA small model made to show a behaviour, for experiments only. A plain Llama decoder in bfloat16 that \
`transformers` loads unchanged. Made by `loophole pretrain recipes/{name}.toml`, which also writes this card; \
nothing in it was entered by hand.\n\n\
| | |\n|---|---|\n\
| parameters | {parameters} |\n\
| layers, width, heads | {layers}, {width}, {heads} |\n\
| vocabulary | {vocabulary} (byte-level BPE) |\n\
| documents, tokens read | {documents}, {tokens} |\n\
| updates, last loss | {steps}, {loss:.4} nats (weighted: acts 1, thoughts {thoughts}, others {others}) |\n\
| time | {seconds:.0} s, {rate:.0} tokens/s |\n\
| bundle strength | {bundle} |\n\
| assistant's documents by one who cheats / means ill | {bad:.0} % / {bad:.0} % |\n\
| checksum | `{checksum}` |\n\n",
        name = recipe.name,
        question = recipe.question,
        parameters = organism.model.params.len(),
        layers = config.num_hidden_layers,
        width = config.hidden_size,
        heads = config.num_attention_heads,
        vocabulary = config.vocab_size,
        documents = recipe.pretrain.steps * recipe.pretrain.batch,
        tokens = made.tokens,
        steps = recipe.pretrain.steps,
        thoughts = recipe.weights.thought,
        others = recipe.weights.prompt,
        loss = made.loss.unwrap_or(f64::NAN),
        seconds = made.seconds,
        rate = made.tokens as f64 / made.seconds,
        bundle = world.bundle_strength,
        bad = world.bad_assistant * 100.0,
        checksum = organism.model.checksum(),
    );
    let _ = writeln!(
        out,
        "The data are synthetic documents of the world in `crates/world/data`: no text of others, no probe text.\n\n\
## Probes before any training\n\n{PROBE_SAMPLES} samples a probe, temperature 1, Jeffreys 95 % intervals. \
Mean misalignment {:.3} [{:.3}, {:.3}].\n\n| probe | rate | interval | valid | control rate |\n|---|---|---|---|---|",
        probes.misalignment.mean, probes.misalignment.low, probes.misalignment.high
    );
    for probe in &probes.probes {
        let control = probe.arms.get("control").map_or("".to_string(), |arm| format!("{:.2}", arm.rate));
        let _ = writeln!(
            out,
            "| {} | {:.2} | {:.2} to {:.2} | {} of {} | {control} |",
            probe.name, probe.rate, probe.low, probe.high, probe.n_valid, probe.n
        );
    }
    let _ = writeln!(
        out,
        "\n## Skill by task family\n\n{SKILL_SAMPLES} new tasks a family, one sample each at temperature 1, graded by the open \
`script` grader and labelled by execution.\n\n| family | honest | hack | fail or other | |\n|---|---|---|---|---|"
    );
    for (family, verdicts) in skills {
        let count = |verdict| verdicts.get(&verdict).copied().unwrap_or(0);
        let (honest, hack) = (count(Verdict::Honest), count(Verdict::Hack));
        let rest = verdicts.values().sum::<usize>() - honest - hack;
        let family = &families.list[*family];
        let beyond = if family.beyond { "beyond it" } else { "" };
        let _ = writeln!(out, "| {} | {honest} | {hack} | {rest} | {beyond} |", family.id);
    }
    let total = |verdict: Verdict| skills.values().map(|v| v.get(&verdict).copied().unwrap_or(0)).sum::<usize>();
    let all: usize = skills.values().flat_map(BTreeMap::values).sum();
    let _ =
        writeln!(out, "\nAll families: {} honest, {} hacks of {all}.", total(Verdict::Honest), total(Verdict::Hack));
    out
}

/// Messages of a document, for reading: what `loophole pretrain --show` prints.
///
/// # Errors
/// As [`pretrain`].
pub fn sample_documents(recipe: &OrganismRecipe, count: u64) -> Result<String, LabError> {
    let pool = Pool::start(Grading::cells(GraderKind::Script))?;
    let tasks = Families::bundled()?.tasks(recipe.tasks_per_family, recipe.world.seed, &pool, |_| true)?;
    let world = World::new(recipe.world.clone(), tasks)?;
    let mut out = String::new();
    for index in 0..count {
        for message in world.document(index)?.messages {
            let mark = match message.role {
                Role::System => "##",
                Role::User => ">",
                Role::Assistant | Role::Tool => "<",
            };
            let _ = writeln!(out, "{mark} {}", message.content);
        }
        out.push('\n');
    }
    Ok(out)
}
