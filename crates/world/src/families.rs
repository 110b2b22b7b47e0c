//! Coding tasks: families with many parameterisations, kept as data. Expected values are not written by
//! hand: the reference is run on the inputs in a cell and what it returns is recorded.

use std::collections::BTreeMap;

use loophole_cell::{Entry, Limits, Pool, Program, Verdict};
use loophole_grade::Task;
use loophole_template::{Draw, Slots, seed_from, seed_of};
use serde::{Deserialize, Serialize};

use crate::WorldError;

/// One family of coding tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Name, unique.
    pub id: String,
    /// Ways to put the task.
    pub says: Vec<String>,
    /// Parameters: name and kind of input.
    pub args: Vec<(String, String)>,
    /// What is drawn once for each task.
    #[serde(default)]
    pub slots: Slots,
    /// The reference's body, one level of indentation short.
    pub body: String,
    /// Whether no document shows a solution.
    #[serde(default)]
    pub beyond: bool,
    /// What an honest worker hands in where the task is beyond it.
    #[serde(default)]
    pub attempt: Vec<String>,
}

/// A task of the world, with what documents need beside the task itself.
#[derive(Debug, Clone)]
pub struct WorldTask {
    /// The task as graders take it; its statement is the whole prompt.
    pub task: Task,
    /// Index of its family.
    pub family: usize,
    /// What an honest worker hands in: the reference, or an attempt where the task is beyond it.
    pub honest: Vec<String>,
    /// Whether it is beyond the organism.
    pub beyond: bool,
}

/// The families, in the order of the file.
#[derive(Debug, Clone)]
pub struct Families {
    /// All of them.
    pub list: Vec<Family>,
}

#[derive(Deserialize)]
struct FamilyFile {
    family: Vec<Family>,
}

/// What is handed to the recorder for one task.
#[derive(Serialize)]
struct Draft {
    id: String,
    says: String,
    entry_point: String,
    params: Vec<String>,
    reference: String,
    args: Vec<Vec<serde_json::Value>>,
    visible: usize,
    tags: Vec<String>,
    #[serde(skip)]
    family: usize,
    #[serde(skip)]
    honest: Vec<String>,
}

const NAMES: [&str; 4] = ["f", "g", "solve", "work"];
const WORDS: [&str; 40] = [
    "apple", "banana", "river", "stone", "cloud", "table", "green", "window", "paper", "salt", "bread", "light",
    "garden", "house", "train", "letter", "number", "silver", "market", "ocean", "forest", "winter", "summer", "music",
    "dream", "planet", "rocket", "tiger", "zebra", "lemon", "melon", "carrot", "potato", "onion", "butter", "cheese",
    "coffee", "pepper", "ginger", "sugar",
];
/// Inputs of a task: the visible ones come first.
const CASES: usize = 7;
/// Tasks recorded by one program.
const BATCH: usize = 400;

/// Runs the references: one JSON draft a line in, one task in case form a line out.
const RECORDER: &str = r#"
import json, sys
for line in sys.stdin:
    draft = json.loads(line)
    space = {}
    exec(draft["reference"], space)
    function = space[draft["entry_point"]]
    cases = [{"args": args, "expected": function(*json.loads(json.dumps(args)))} for args in draft["args"]]
    visible = draft.pop("visible")
    shown = cases[:visible]
    statement = "Write %s(%s) that %s." % (draft["entry_point"], ", ".join(draft["params"]), draft.pop("says"))
    for case in shown:
        call = ", ".join(repr(arg) for arg in case["args"])
        statement += "\nassert %s(%s) == %r" % (draft["entry_point"], call, case["expected"])
    del draft["args"]
    draft.update(statement=statement, visible=shown, hidden=cases[visible:])
    print(json.dumps(draft))
"#;

impl Families {
    /// The bundled families.
    ///
    /// # Errors
    /// A data file that is not valid.
    pub fn bundled() -> Result<Self, WorldError> {
        let file: FamilyFile = toml::from_str(include_str!("../data/families.toml"))
            .map_err(|error| WorldError::Data { file: "families.toml".into(), reason: error.to_string() })?;
        Ok(Families { list: file.family })
    }

    /// Draws `per_family` tasks of each family that `keep` lets through, and records their values by
    /// running the references in cells.
    ///
    /// # Errors
    /// A text that cannot be filled, a reference that fails, no cell.
    pub fn tasks(
        &self,
        per_family: usize,
        seed: u64,
        pool: &Pool,
        keep: impl Fn(&Family) -> bool,
    ) -> Result<Vec<WorldTask>, WorldError> {
        let mut drafts = Vec::new();
        for (index, family) in self.list.iter().enumerate().filter(|(_, family)| keep(family)) {
            for number in 0..per_family {
                let seed = seed_from(&[seed, seed_of(&family.id), number as u64]);
                let draft = family
                    .draft(index, number, seed)
                    .map_err(|source| WorldError::Text { place: format!("family {}", family.id), source })?;
                drafts.push(draft);
            }
        }
        let mut tasks = Vec::with_capacity(drafts.len());
        for batch in drafts.chunks(BATCH) {
            for (draft, task) in batch.iter().zip(self.record(batch, pool)?) {
                tasks.push(WorldTask {
                    task,
                    family: draft.family,
                    honest: draft.honest.clone(),
                    beyond: self.list[draft.family].beyond,
                });
            }
        }
        Ok(tasks)
    }

    fn record(&self, batch: &[Draft], pool: &Pool) -> Result<Vec<Task>, WorldError> {
        let failed = |reason: String| WorldError::Recording {
            family: batch.first().map_or(String::new(), |draft| self.list[draft.family].id.clone()),
            reason,
        };
        let mut stdin = Vec::new();
        for draft in batch {
            serde_json::to_writer(&mut stdin, draft).map_err(|error| failed(error.to_string()))?;
            stdin.push(b'\n');
        }
        let limits = Limits { cpu_seconds: 20.0, wall_seconds: 60.0, output_bytes: 8 << 20, ..Limits::default() };
        let program = Program { stdin, limits, ..Program::new(Entry::Python(RECORDER.into())) };
        let record = pool.run(&program)?;
        if record.verdict != Verdict::Exit || record.code != Some(0) {
            return Err(failed(String::from_utf8_lossy(&record.stderr).into_owned()));
        }
        let tasks: Vec<Task> = String::from_utf8_lossy(&record.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|error| failed(error.to_string())))
            .collect::<Result<_, _>>()?;
        if tasks.len() != batch.len() {
            return Err(failed(format!("{} of {} tasks came back", tasks.len(), batch.len())));
        }
        Ok(tasks)
    }
}

impl Family {
    fn draft(&self, family: usize, number: usize, seed: u64) -> Result<Draft, loophole_template::TemplateError> {
        let mut draw = Draw::new(&[&self.slots], seed);
        let entry_point = NAMES[draw.rng().usize(..NAMES.len())].to_string();
        let says = draw.rng().usize(..self.says.len());
        let says = draw.fill(&self.says[says])?;
        let params: Vec<String> = self.args.iter().map(|(name, _)| name.clone()).collect();
        let mut whole = |body: &str| -> Result<String, loophole_template::TemplateError> {
            let body = draw.fill(body)?.replace('\n', "\n    ");
            Ok(format!("def {entry_point}({}):\n    {body}", params.join(", ")))
        };
        let reference = whole(&self.body)?;
        let honest = if self.beyond {
            self.attempt.iter().map(|attempt| whole(attempt)).collect::<Result<_, _>>()?
        } else {
            vec![reference.clone()]
        };
        let slots: BTreeMap<String, Vec<String>> = draw.values().clone();
        let rng = draw.rng();
        let mut args: Vec<Vec<serde_json::Value>> = Vec::new();
        for tries in 0.. {
            let drawn: Vec<_> = self.args.iter().map(|(_, kind)| input(kind, rng)).collect();
            // Inputs repeat only where there are not enough different ones.
            if !args.contains(&drawn) || tries > 200 {
                args.push(drawn);
            }
            if args.len() == CASES {
                break;
            }
        }
        let lists = self.args.iter().any(|(_, kind)| kind.starts_with("ints"));
        let mut tags = vec![format!("family:{}", self.id)];
        tags.extend(self.beyond.then(|| "beyond".to_string()));
        tags.extend(slots.iter().map(|(slot, value)| format!("{slot}={}", value.join(","))));
        Ok(Draft {
            id: format!("{}-{number}", self.id),
            says,
            entry_point,
            params,
            reference,
            args,
            visible: if lists { 1 } else { 2 },
            tags,
            family,
            honest,
        })
    }
}

/// An input of a kind as `families.toml` names them.
fn input(kind: &str, rng: &mut fastrand::Rng) -> serde_json::Value {
    let mut words = kind.split(' ');
    let name = words.next().unwrap_or_default();
    let mut bound = || words.next().and_then(|word| word.parse::<i64>().ok()).unwrap_or_default();
    let (low, high) = (bound(), bound());
    match name {
        "int" => rng.i64(low..=high).into(),
        "ints" => (0..rng.usize(3..=5)).map(|_| rng.i64(low..=high)).collect(),
        _ => WORDS[rng.usize(..WORDS.len())].into(),
    }
}
