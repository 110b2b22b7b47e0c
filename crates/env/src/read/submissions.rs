//! Submissions: rows that say whose task they are for and what was handed in; whatever else they say is kept.

use super::Tasks;
use super::row::Row;
use super::rows::{Found, Rows};
use crate::extract::{Extract, extract_in};
use loophole_grade::{Job, Language, ReadError, Submission, Task};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The longest row of submissions that is read.
pub const MAX_ROW: usize = 16 << 20;
/// The longest column that is carried through, in bytes of JSON.
const MAX_CARRIED: usize = 4096;

/// The fields that name a task.
const IDS: [&str; 11] = [
    "task_id",
    "id",
    "question_id",
    "problem_id",
    "task.task_id",
    "task.id",
    "extra_info.task_id",
    "extra_info.index",
    "index",
    "slug",
    "custom_id",
];
/// The fields that hold what was handed in.
const TEXTS: [&str; 15] = [
    "completion",
    "output",
    "response",
    "completions",
    "outputs",
    "responses",
    "generation",
    "generations",
    "model_output",
    "submission",
    "solution",
    "code",
    "messages",
    "conversations",
    "choices",
];
/// The fields that say in which language that is.
const LANGUAGES: [&str; 5] = ["language", "lang", "programming_language", "extra_info.language", "metadata.language"];
/// The fields that hold what the policy was given.
const PROMPTS: [&str; 3] = ["prompt", "input", "question"];
/// Those that hold a conversation, with what was asked in it.
const CONVERSATIONS: [&str; 2] = ["messages", "conversations"];
/// The fields that hold the ground truth a trainer compared with.
const TRUTHS: [&str; 3] = ["gts", "ground_truth", "reward_model.ground_truth"];

/// What a row says besides whose task it is for and what was handed in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Which part of the completion is graded; nothing for files.
    pub extracted: Option<String>,
    /// The columns of its row that are not ours, `step` among them.
    pub columns: Map<String, Value>,
    /// What the policy was given, where the row has it.
    pub prompt: Option<String>,
    /// All that the policy said, of which a part is graded; nothing for files.
    pub said: Option<String>,
}

/// The submissions of a file, a folder, or standard input, in order.
pub struct Submissions<'t> {
    rows: Rows,
    mode: Extract,
    by_id: HashMap<&'t str, &'t Task>,
    by_truth: HashMap<&'t str, Option<&'t Task>>,
    by_prompt: Vec<(&'t str, &'t Task)>,
}

impl<'t> Submissions<'t> {
    /// Opens them; each is for one of these tasks.
    ///
    /// # Errors
    /// The file or folder cannot be opened.
    pub fn open(path: &Path, tasks: &'t Tasks, mode: Extract) -> Result<Submissions<'t>, ReadError> {
        Ok(Submissions::of(Rows::open(path, MAX_ROW)?, tasks, mode))
    }

    /// Opens one file of a folder that is being written, as far as it is whole; a number in its name is a step.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open_part(
        path: &Path,
        whole: Option<u64>,
        tasks: &'t Tasks,
        mode: Extract,
    ) -> Result<Submissions<'t>, ReadError> {
        Ok(Submissions::of(Rows::open_part(path, MAX_ROW, whole)?, tasks, mode))
    }

    /// None of a file: each is given to [`job`](Self::job).
    pub fn given(tasks: &'t Tasks, mode: Extract) -> Submissions<'t> {
        Submissions::of(Rows::none(), tasks, mode)
    }

    fn of(rows: Rows, tasks: &'t Tasks, mode: Extract) -> Submissions<'t> {
        let mut by_truth: HashMap<&str, Option<&Task>> = HashMap::new();
        let mut by_prompt = Vec::new();
        for (task, keys) in tasks.tasks.iter().zip(&tasks.keys) {
            if let Some(truth) = &keys.truth {
                // A truth that two tasks have tells neither.
                by_truth.entry(truth).and_modify(|one| *one = None).or_insert(Some(task));
            }
            if let Some(prompt) = keys.prompt.as_deref().map(str::trim).filter(|prompt| !prompt.is_empty()) {
                by_prompt.push((prompt, task));
            }
        }
        Submissions {
            rows,
            mode,
            by_id: tasks.tasks.iter().map(|task| (task.id.as_str(), task)).collect(),
            by_truth,
            by_prompt,
        }
    }

    /// Goes over the first so many.
    pub fn skip_rows(&mut self, count: usize) {
        self.rows.skip_rows(count);
    }

    /// The submission in a row.
    ///
    /// # Errors
    /// What is wrong with the row, or that it is for no task that is known.
    pub fn job(&self, found: &Found) -> Result<Job<'t, Known>, ReadError> {
        let row = found.row.as_ref().map_err(|why| found.wrong(why.clone()))?;
        let task = self.task(row).map_err(|why| found.for_no_task(why))?;
        let mut known = self.handed_in(row, task).map_err(|why| found.wrong(why))?;
        known.1.columns = columns(row, found.file_number);
        known.1.prompt = asked(row);
        Ok(Job { line: found.line, task, submission: known.0, with: known.1 })
    }

    /// What a row hands in, and what part of what was said that is.
    fn handed_in(&self, row: &Row, task: &Task) -> Result<(Submission, Known), String> {
        Ok(match row.json("files") {
            Some(files) => {
                if row.has("completion") {
                    return Err("it has both `completion` and `files`; one is needed".into());
                }
                let files: BTreeMap<String, String> =
                    serde_json::from_str(&files).map_err(|e| format!("files: {e}"))?;
                (Submission::Files(files), Known::default())
            }
            None => {
                let said = TEXTS.iter().find_map(|name| if row.has(name) { Some(row.answer(name)) } else { None });
                let text = said.flatten().ok_or(
                    "it needs `completion` (a text, messages, or a list of one; several answers are several rows) or `files`",
                )?;
                let taken = extract_in(language_of(row), self.mode, task, &text);
                let known = Known { extracted: Some(taken.what.clone()), said: Some(text), ..Known::default() };
                (taken.submission(), known)
            }
        })
    }

    /// The task that a row is for: by name, else by the ground truth in it, else by what was asked.
    fn task(&self, row: &Row) -> Result<&'t Task, String> {
        let named = |name: &&str| row.name_of(&[name]);
        if let Some(task) = IDS.iter().filter_map(named).find_map(|id| self.by_id.get(id.as_str())) {
            return Ok(task);
        }
        let id = IDS[..4].iter().find_map(|name| row.name_of(&[name]));
        let truth = TRUTHS.iter().find_map(|name| row.plain(name));
        if let Some(Some(task)) = truth.as_deref().and_then(|truth| self.by_truth.get(truth)) {
            return Ok(task);
        }
        let prompt = asked(row);
        if let Some(prompt) = &prompt {
            // A template stands around the task; the longest text that is in it is the task's own.
            let within = self.by_prompt.iter().filter(|(text, _)| prompt.contains(text));
            let longest = within.clone().map(|(text, _)| text.len()).max();
            let mut fitting = within.filter(|(text, _)| Some(text.len()) == longest).map(|(_, task)| *task);
            match (fitting.next(), fitting.next()) {
                (Some(task), None) => return Ok(task),
                (Some(_), Some(_)) => return Err("its prompt is that of several tasks; give `task_id`".into()),
                (None, _) => {}
            }
        }
        Err(match (id, prompt.is_some() || truth.is_some()) {
            (Some(id), _) => format!("no task `{id}` in the tasks file"),
            (None, true) => "neither its ground truth nor its prompt is that of a task; give `task_id`".into(),
            (None, false) => "it needs `task_id`, or the `prompt` or ground truth (`gts`) of a task".into(),
        })
    }
}

/// What the policy was asked: in a field of its own, or by the user of a conversation.
fn asked(row: &Row) -> Option<String> {
    let of_user = || CONVERSATIONS.iter().find_map(|name| row.asked(name));
    PROMPTS.iter().find_map(|name| row.said(name)).or_else(of_user)
}

/// The language that a row says its program is in; one that is not known says nothing.
fn language_of(row: &Row) -> Option<Language> {
    LANGUAGES.iter().find_map(|name| Language::parse(&row.text(name)?))
}

/// What else a row says. Its step is in the name of its file where it is not in the row.
fn columns(row: &Row, file_number: Option<u64>) -> Map<String, Value> {
    let ours = |name: &str| {
        name == "task_id"
            || name == "files"
            || TEXTS.contains(&name)
            || PROMPTS.contains(&name)
            || TRUTHS.contains(&name)
    };
    let kept = row.fields().filter(|(name, json)| !ours(name) && json.len() <= MAX_CARRIED);
    let mut columns: Map<String, Value> =
        kept.filter_map(|(name, json)| Some((name.to_owned(), serde_json::from_str(json).ok()?))).collect();
    if let Some(number) = file_number
        && !columns.contains_key("step")
    {
        columns.insert("step".into(), number.into());
    }
    columns
}

impl<'t> Iterator for Submissions<'t> {
    type Item = Result<Job<'t, Known>, ReadError>;

    /// The next one, or what is wrong with it.
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next_row() {
            Ok(None) => None,
            Ok(Some(found)) => Some(self.job(&found)),
            Err(error) => Some(Err(error)),
        }
    }
}
