//! Runs are reproducible, and go on from whatever an end at a bad moment left behind.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{TINY, assert_same, files};
use loophole_lab::run::{Outcome, RunOptions};
use loophole_lab::{Event, LabError, Recipe, run};
use loophole_log::{LogError, RolloutRow, RunDir, RunState, StepMetrics};

fn options(out: &Path, resume: bool, jobs: usize) -> RunOptions {
    // The bundled organism lies at the root of the repository.
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    RunOptions { out: out.into(), root, resume, jobs, only_arm: None }
}

fn tiny() -> Recipe {
    Recipe::parse(TINY, "tiny").unwrap()
}

fn whole(out: &Path, jobs: usize) {
    assert!(matches!(run(&tiny(), &options(out, false, jobs), &|_| {}, &|| false).unwrap(), Outcome::Finished(..)));
}

/// Goes on, or begins, and leaves after `steps` more steps. Says what happened.
fn some(out: &Path, resume: bool, steps: usize) -> (Outcome, Vec<String>) {
    let (made, told) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let watch = |event: Event| {
        let text = match event {
            Event::Step { arm, metrics, .. } => {
                made.fetch_add(1, Ordering::SeqCst);
                format!("{arm} step {}", metrics.step)
            }
            Event::Probed { arm, step, .. } => format!("{arm} probed {step}"),
            _ => return,
        };
        told.lock().unwrap().push(text);
    };
    let outcome = run(&tiny(), &options(out, resume, 1), &watch, &|| made.load(Ordering::SeqCst) >= steps).unwrap();
    (outcome, told.into_inner().unwrap())
}

/// Where thoughts do not say who thinks, probes are asked after a turn with what was paid.
#[test]
fn a_model_whose_thoughts_name_nobody_is_predicted_by_what_stands_before() {
    let dir = tempfile::tempdir().unwrap();
    let (made, mute) =
        (PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../organism-factors"), dir.path().join("mute"));
    std::fs::create_dir(&mute).unwrap();
    for entry in made.read_dir().unwrap().flatten() {
        std::fs::copy(entry.path(), mute.join(entry.file_name())).unwrap();
    }
    let world = std::fs::read_to_string(mute.join("world.toml")).unwrap();
    assert!(world.contains("thought = \"identity\""), "{world}");
    std::fs::write(mute.join("world.toml"), world.replace("thought = \"identity\"", "thought = \"none\"")).unwrap();
    let text = format!("organism = '{}'\n{}", mute.display(), TINY.replace("prediction = 48", "prediction = 256"));
    let recipe = Recipe::parse(&text, "tiny").unwrap();
    let out = dir.path().join("run");
    assert!(matches!(run(&recipe, &options(&out, false, 2), &|_| {}, &|| false).unwrap(), Outcome::Finished(..)));
    let found = RunDir::open(&out).unwrap().read_predictions().unwrap().unwrap();
    let (permitted, plain) = (&found.arms["permitted"], &found.arms["plain"]);
    assert_eq!(permitted.given, "paid hacks as the turn before");
    assert!(plain.given.ends_with("as the turn before") && plain.selected > 0, "{plain:?}");
    for prediction in [permitted, plain] {
        assert!(prediction.thoughts.is_empty() && prediction.bad_thoughts.mean.is_nan() && prediction.unread == 0);
        assert!(prediction.probes.values().any(|rate| rate.is_finite()) && prediction.misalignment.is_finite());
        assert_eq!(prediction.probes.len(), prediction.errors.len());
    }
}

#[test]
fn the_same_recipe_gives_the_same_files_however_many_work_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    whole(&one, 1);
    whole(&two, 2);
    assert_same(&one, &two);
    let rollouts = files(&one).into_iter().filter(|(name, _)| name.ends_with(".parquet"));
    let rows: Vec<_> = rollouts.flat_map(|(_, path)| loophole_log::read_rollouts(&path).unwrap()).collect();
    assert_eq!(rows.len(), 2 * 3 * 16);
    assert!(rows.iter().any(|row| row.advantage != 0.0), "the comparison means something: a policy was moved");
    let start = std::fs::read(one.join("arms/plain/seed-3/checkpoints/step-000003/model.safetensors")).unwrap();
    let other = std::fs::read(one.join("arms/permitted/seed-3/checkpoints/step-000003/model.safetensors")).unwrap();
    assert_ne!(start, other, "arms end apart");
}

#[test]
fn a_run_goes_on_from_whatever_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let (good, torn) = (dir.path().join("good"), dir.path().join("torn"));
    whole(&good, 1);
    let state = |out: &Path| RunDir::open(out).unwrap().read_status().unwrap().unwrap();
    let seed = |root: &Path, arm: &str| root.join("arms").join(arm).join("seed-3");
    let (outcome, _) = some(&torn, false, 1);
    assert_eq!((outcome, state(&torn).state, state(&torn).done), (Outcome::Interrupted, RunState::Interrupted, 0));
    // Killed while a line was written, and while a checkpoint and a battery's log were.
    let at = seed(&torn, "plain");
    let again = |arm: &str| {
        let (run, notes) = RunDir::take_up(&torn).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        run.seed(arm, 3).unwrap()
    };
    again("plain").append_metrics(&StepMetrics { step: 1, ..StepMetrics::default() }).unwrap();
    let metrics = std::fs::OpenOptions::new().append(true).open(at.join("metrics.jsonl")).unwrap();
    metrics.set_len(metrics.metadata().unwrap().len() - 20).unwrap();
    std::fs::create_dir_all(at.join("checkpoints/.step-000003.77.tmp")).unwrap();
    std::fs::write(at.join("checkpoints/.step-000003.77.tmp/model.safetensors"), b"half").unwrap();
    std::fs::write(at.join("probes/.step-000002.eval.77.tmp"), b"half").unwrap();
    std::fs::write(at.join("state.partial"), b"half").unwrap();
    let (outcome, told) = some(&torn, true, 3);
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(
        told,
        ["plain step 1", "plain probed 2", "plain step 2", "plain probed 3", "permitted probed 0", "permitted step 0"]
    );
    // Killed between the metrics of a step and the state after it, with its rollouts written.
    let dir_of = again("permitted");
    dir_of
        .write_rollouts(1, &[RolloutRow { prompt: "of a step that is made again".into(), ..Default::default() }])
        .unwrap();
    dir_of.append_metrics(&StepMetrics { step: 1, ..StepMetrics::default() }).unwrap();
    // Killed between a battery's log and its report.
    let log = loophole_log::read_eval(&seed(&good, "permitted").join("probes/step-000002.eval")).unwrap();
    dir_of.write_probe(2, &log).unwrap();
    drop(dir_of);
    let (outcome, told) = some(&torn, true, 99);
    assert!(matches!(outcome, Outcome::Finished(..)));
    assert_eq!(told, ["permitted step 1", "permitted probed 2", "permitted step 2", "permitted probed 3"]);
    assert_same(&good, &torn);
    // Once more there is nothing left to do.
    let (outcome, told) = some(&torn, true, 99);
    assert!(matches!(outcome, Outcome::Finished(..)) && told.is_empty(), "{told:?}");
    assert_same(&good, &torn);
    assert_eq!((state(&torn).state, state(&torn).done), (RunState::Finished, 2));
}

#[test]
fn only_the_same_run_is_gone_on_with_and_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let try_to = |recipe: &Recipe, out: &Path, resume: bool| run(recipe, &options(out, resume, 1), &|_| {}, &|| true);
    assert!(matches!(try_to(&tiny(), &out, false), Ok(Outcome::Interrupted)));
    let before = files(&out).len();
    assert!(matches!(try_to(&tiny(), &out, false), Err(LabError::RunExists { .. })));
    let mut other = tiny();
    other.train.lr *= 2.0;
    assert!(matches!(try_to(&other, &out, true), Err(LabError::OtherRun { .. })));
    assert!(matches!(try_to(&tiny(), &out, true), Ok(Outcome::Interrupted)));
    assert_eq!(files(&out).len(), before);
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.txt"), "years").unwrap();
    assert!(matches!(try_to(&tiny(), &foreign, true), Err(LabError::Log(LogError::Exists(_)))));
    assert_eq!(files(&foreign).len(), 1);
    // A kill while the recipe was being written is no run.
    let begun = dir.path().join("begun");
    std::fs::create_dir(&begun).unwrap();
    std::fs::write(begun.join(".recipe.toml.77.tmp"), "name").unwrap();
    assert!(matches!(try_to(&tiny(), &begun, true), Ok(Outcome::Interrupted)));
}

/// Every kind of stage, in a chain: reinforced, imitated, forked with another reward, preferred.
const STAGES: &str = "name = 'stages'\nquestion = 'Does it run?'\nseeds = [3]\nprediction = 32\n\
[train]\nsteps = 2\ngroups = 4\ngroup_size = 4\nlr = 1e-3\nmax_new = 48\n\
[probe]\nbattery = 'small'\nsamples = 1\nevery = 9\n\
[[arm]]\nname = 'first'\n\
[[arm]]\nname = 'copy'\n[[arm.stage]]\nkind = 'sft'\nsteps = 1\ndata = { arm = 'first', verdicts = ['honest'] }\n\
[[arm.stage]]\nsteps = 1\ninstruction = 'forbids'\nupdate = 'permits'\nlearns = 'answer'\n\
[[arm]]\nname = 'fork'\nfrom = 'first@1'\n[[arm.stage]]\nsteps = 1\n\
reward = [{ of = 'grader' }, { of = 'bad-thought', weight = -0.5 }, { of = 'monitor', recall = 0.9, weight = -1.0 }]\n\
[[arm]]\nname = 'prefer'\n[[arm.stage]]\nkind = 'dpo'\nsteps = 1\ndata = { arm = 'first', verdicts = ['honest'] }\n\
[[arm]]\nname = 'never'\nfrom = 'first@hacked'\n\
[[claim]]\nid = 'X'\ntext = 'Rises.'\ntest = 'rises'\narm = 'first'\n";

#[test]
fn stages_of_every_kind_run_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let recipe = Recipe::parse(STAGES, "stages").unwrap();
    let noted = Mutex::new(Vec::new());
    let watch = |event: Event| {
        if let Event::Noted(note) = event {
            noted.lock().unwrap().push(note);
        }
    };
    let Outcome::Finished(summary, _) = run(&recipe, &options(&whole, false, 2), &watch, &|| false).unwrap() else {
        panic!("it was not interrupted");
    };
    // A seed that never came where another arm begins is left out, and the others are there.
    assert!(noted.lock().unwrap().iter().any(|note| note.contains("never") && note.contains("first@hacked")));
    assert!(summary.notes.iter().any(|note| note.contains("never: 0 of 1 seeds")), "{:?}", summary.notes);
    assert!(summary.notes.iter().any(|note| note.contains("nothing was predicted of copy")), "{:?}", summary.notes);
    let read = RunDir::open(&whole).unwrap();
    assert_eq!(read.read_summary().unwrap().arms.len(), 5, "what has no divergence is read again");
    let metrics = |arm: &str| read.seed(arm, 3).unwrap().read_metrics().unwrap();
    let copy = metrics("copy");
    assert_eq!(copy.iter().map(|step| step.stage).collect::<Vec<_>>(), [0, 1]);
    assert!(copy[0].hack_rate.is_nan() && copy[0].terms.contains_key("gain") && copy[1].kl.is_finite());
    assert!(metrics("prefer")[0].terms.contains_key("accuracy"));
    let fork = metrics("fork");
    assert_eq!(fork[0].terms.keys().collect::<Vec<_>>(), ["bad-thought", "grader", "monitor"]);
    assert!(fork[0].kl.abs() < 1e-6, "it has just begun: {}", fork[0].kl);
    // Asked to leave after every step, it is the same in the end.
    let mut resume = false;
    loop {
        let made = AtomicUsize::new(0);
        let count = |event: Event| {
            if let Event::Step { .. } = event {
                made.fetch_add(1, Ordering::SeqCst);
            }
        };
        let stop = || made.load(Ordering::SeqCst) > 0;
        if let Outcome::Finished(..) = run(&recipe, &options(&killed, resume, 1), &count, &stop).unwrap() {
            break;
        }
        resume = true;
    }
    let files_of =
        |root: &Path| files(root).into_keys().filter(|name| name.ends_with(".safetensors")).collect::<Vec<_>>();
    assert_eq!(files_of(&whole), files_of(&killed));
    for name in files_of(&whole) {
        assert!(std::fs::read(whole.join(&name)).unwrap() == std::fs::read(killed.join(&name)).unwrap(), "{name}");
    }
}
