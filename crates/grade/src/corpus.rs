//! The corpus: submissions of which is known what they are, and how the labels fare on them.
//!
//! It lies in `crates/grade/corpus` as data, honest oddities and hacks, each with the verdict it must get from each
//! of the kinds it names. [`Matrix`] counts what it got.

use crate::family::{FAMILIES, Family};
use crate::grader::{Grader, GraderKind};
use crate::grading::{GradeError, Grading, lock};
use crate::task::{SOLUTION, Submission, Task};
use crate::verdict::{Graded, Verdict};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The tasks that the corpus is about, JSONL.
const TASKS: &str = include_str!("../corpus/tasks.jsonl");

/// The corpus that comes with the program, by file.
const FILES: [(&str, &str); 7] = [
    ("honest.toml", include_str!("../corpus/honest.toml")),
    ("fail.toml", include_str!("../corpus/fail.toml")),
    ("process.toml", include_str!("../corpus/process.toml")),
    ("grader.toml", include_str!("../corpus/grader.toml")),
    ("late.toml", include_str!("../corpus/late.toml")),
    ("deep.toml", include_str!("../corpus/deep.toml")),
    ("speed.toml", include_str!("../corpus/speed.toml")),
];

/// A submission of which is known what it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it does, in words; unique.
    pub id: String,
    /// The task it is for.
    #[serde(default = "sum")]
    pub task: String,
    /// The kinds of grader it is given to.
    pub kinds: Vec<GraderKind>,
    /// What it must be called.
    pub verdict: Verdict,
    /// And how it fools the grader.
    pub family: Option<Family>,
    /// Its solution.
    pub solution: String,
    /// Its other files.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Weaknesses open besides the usual ones.
    #[serde(default)]
    pub also: Vec<Family>,
    /// Weaknesses closed.
    #[serde(default)]
    pub without: Vec<Family>,
    /// All weaknesses closed.
    #[serde(default)]
    pub hardened: bool,
    /// It was meant for pytest, which must be there to tell.
    #[serde(default)]
    pub needs_pytest: bool,
}

fn sum() -> String {
    "sum".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entry: Vec<Entry>,
}

/// Tasks and entries.
pub struct Corpus {
    /// What the entries are for.
    pub tasks: Vec<Task>,
    /// The submissions.
    pub entries: Vec<Entry>,
}

impl Corpus {
    /// The corpus that comes with the program.
    ///
    /// # Errors
    /// Names the file that cannot be read; a test holds that there is none.
    pub fn bundled() -> Result<Corpus, String> {
        Corpus::read(TASKS, FILES)
    }

    /// Reads tasks (JSONL) and named files of entries (TOML).
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read<'a>(tasks: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Corpus, String> {
        let tasks: Vec<Task> = tasks
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(Task::parse)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("tasks.jsonl: {e}"))?;
        let mut entries: Vec<Entry> = Vec::new();
        for (name, text) in files {
            let file: File = toml::from_str(text).map_err(|e| format!("{name}: {e}"))?;
            for entry in file.entry {
                let known = tasks.iter().any(|t| t.id == entry.task);
                if !known || entries.iter().any(|e| e.id == entry.id) {
                    return Err(format!("{name}: entry {:?}: its id occurs twice or its task not at all", entry.id));
                }
                entries.push(entry);
            }
        }
        Ok(Corpus { tasks, entries })
    }

    /// Every entry with each of its kinds.
    pub fn pairs(&self) -> Vec<(&Entry, GraderKind)> {
        self.entries.iter().flat_map(|e| e.kinds.iter().map(move |k| (e, *k))).collect()
    }

    /// Grades pairs, `jobs` at a time, each in the lab for its kind; tells of each as it is done.
    ///
    /// # Errors
    /// The first that [`Grading::grade`] has.
    pub fn label<'l>(
        &self,
        pairs: &[(&Entry, GraderKind)],
        lab: impl Fn(GraderKind) -> &'l Grading + Sync,
        jobs: usize,
        each: impl Fn(&Entry, GraderKind, &Graded) + Sync,
    ) -> Result<Matrix, GradeError> {
        let (next, matrix) = (Mutex::new(pairs.iter()), Mutex::new(Matrix::default()));
        let work = || -> Result<(), GradeError> {
            loop {
                let Some((entry, kind)) = lock(&next).next() else { return Ok(()) };
                let graded = self.grade(lab(*kind), entry, *kind)?;
                lock(&matrix).add(entry, &graded);
                each(entry, *kind, &graded);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
            // A panic in a worker is a bug of ours and goes on as one.
            workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        Ok(matrix.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Grades one pair.
    ///
    /// # Errors
    /// As [`Grading::grade`].
    pub fn grade(&self, lab: &Grading, entry: &Entry, kind: GraderKind) -> Result<Graded, GradeError> {
        let missing = || GradeError::Task { task: entry.task.clone(), why: "not in the corpus".into() };
        let task = self.tasks.iter().find(|t| t.id == entry.task).ok_or_else(missing)?;
        lab.grade(task, &entry.grader(kind), &entry.submission())
    }
}

impl Entry {
    /// The grader of a kind that this entry is for.
    pub fn grader(&self, kind: GraderKind) -> Grader {
        if self.hardened {
            return Grader::hardened(kind);
        }
        let mut grader = Grader::open(kind);
        grader.open.extend(&self.also);
        grader.open.retain(|w| !self.without.contains(w));
        grader
    }

    /// What is handed in.
    pub fn submission(&self) -> Submission {
        let mut files = self.files.clone();
        files.insert(SOLUTION.to_string(), self.solution.clone());
        Submission::Files(files)
    }

    /// Whether a label is the known one.
    pub fn agrees(&self, graded: &Graded) -> bool {
        graded.verdict == self.verdict && (self.family.is_none() || graded.family == self.family)
    }
}

/// Verdicts by what they should have been, and families of hacks alike.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Matrix {
    verdicts: BTreeMap<(Verdict, Verdict), usize>,
    families: BTreeMap<(Family, Option<Family>), usize>,
    /// Pairs of entry and kind.
    pub pairs: usize,
    /// Pairs labelled as known.
    pub agreed: usize,
}

/// In the order of the table.
const VERDICTS: [Verdict; 6] =
    [Verdict::Honest, Verdict::Hack, Verdict::Tamper, Verdict::Overfit, Verdict::Attempted, Verdict::Fail];

impl Matrix {
    /// Counts one label.
    pub fn add(&mut self, entry: &Entry, graded: &Graded) {
        *self.verdicts.entry((entry.verdict, graded.verdict)).or_default() += 1;
        if let Some(family) = entry.family {
            *self.families.entry((family, graded.family)).or_default() += 1;
        }
        self.pairs += 1;
        self.agreed += usize::from(entry.agrees(graded));
    }

    /// How many pairs of one verdict got another.
    pub fn count(&self, known: Verdict, got: Verdict) -> usize {
        self.verdicts.get(&(known, got)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Matrix {
    /// Two tables in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| known as |")?;
        VERDICTS.iter().try_for_each(|got| write!(f, " {} |", got.name()))?;
        write!(f, "\n|---|")?;
        VERDICTS.iter().try_for_each(|_| write!(f, "---|"))?;
        for known in VERDICTS {
            write!(f, "\n| {} |", known.name())?;
            VERDICTS.iter().try_for_each(|got| write!(f, " {} |", self.count(known, *got)))?;
        }
        write!(f, "\n\n| family | entries x kinds | named so |\n|---|---|---|")?;
        for family in FAMILIES {
            let of = |wanted: Option<Family>| -> usize {
                let hits = self.families.iter().filter(|((known, _), _)| *known == family);
                hits.filter(|((_, got), _)| wanted.is_none() || *got == wanted).map(|(_, n)| n).sum()
            };
            write!(f, "\n| `{family}` | {} | {} |", of(None), of(Some(family)))?;
        }
        writeln!(f)
    }
}
