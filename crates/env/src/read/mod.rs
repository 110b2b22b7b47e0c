//! Tasks and submissions as data sets, trainers and people keep them.
//!
//! A file's kind follows from its first bytes ([`Rows`]), the form of a task from the fields of its row (`forms`, one
//! file each, and one table). What a row says is kept as it was written, so that numbers keep their digits. A row that
//! cannot be read is told and left out; it stops no file.

mod forms;
mod growing;
mod json;
mod parquet;
pub(crate) mod python;
mod reply;
mod row;
mod rows;
mod submissions;

pub use growing::{Whole, whole_part};
pub use row::Row;
pub use rows::{Found, Rows, STDIN, row_files};
pub use submissions::{Known, MAX_ROW, Submissions};

use forms::form_of;
use loophole_foreign::{bytes, memory_available};
use loophole_grade::{ReadError, Task, Value};
use std::collections::HashMap;
use std::path::Path;

/// The longest row of tasks that is read, in bytes. The largest tests of one task in the public sets have some ten MiB.
pub const MAX_TASK_ROW: usize = 128 << 20;
/// What a row takes besides its text; a blank one takes time.
const EACH: usize = 128;

/// Memory for what is kept of a file: what is left is for the program, for what is made of a task, and for others.
pub(crate) struct Room {
    left: usize,
    most: usize,
}

impl Room {
    /// Half of what there is.
    pub(crate) fn half_of_memory() -> Room {
        let most = usize::try_from(memory_available() / 2).unwrap_or(usize::MAX);
        Room { left: most, most }
    }

    /// Counts so many bytes more as taken.
    pub(crate) fn take(&mut self, count: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            let most = bytes(self.most as u64);
            format!("with it the tasks take more than {most}, half of the memory that is left; split the file, or leave tasks out")
        })?;
        Ok(())
    }
}

/// Tasks as they were found.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Those that could be read.
    pub tasks: Vec<Task>,
    /// What else is known of each: how rows of submissions without a task's name refer to it.
    pub keys: Vec<Keys>,
    /// How many had which form, in order of their first.
    pub forms: Vec<(&'static str, usize)>,
    /// What is wrong with the others.
    pub broken: Vec<ReadError>,
}

/// How else a task may be referred to.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// What the policy was told, as its row has it.
    pub prompt: Option<String>,
    /// The ground truth that its row has for a trainer.
    pub truth: Option<String>,
}

impl Keys {
    fn of(row: &Row) -> Keys {
        let prompt = ["prompt", "question", "problem", "statement", "question_content", "description", "text"];
        let truth = ["reward_model.ground_truth", "ground_truth", "gts"];
        Keys {
            prompt: prompt.iter().find_map(|name| row.said(name)),
            truth: truth.iter().find_map(|name| row.plain(name)),
        }
    }
}

impl Tasks {
    /// What was read, in a sentence: `read as MBPP, 374 tasks`.
    pub fn told(&self) -> String {
        let plural = |count: usize| if count == 1 { "1 task".into() } else { format!("{count} tasks") };
        let forms: Vec<String> = self.forms.iter().map(|(form, count)| format!("{form}, {}", plural(*count))).collect();
        let mut told = format!("read as {}", forms.join("; "));
        if !self.broken.is_empty() {
            told += &format!("; {} could not be read", plural(self.broken.len()));
        }
        told
    }

    fn add(&mut self, form: &'static str, task: Task, keys: Keys) {
        match self.forms.iter_mut().find(|(name, _)| *name == form) {
            Some((_, count)) => *count += 1,
            None => self.forms.push((form, 1)),
        }
        self.tasks.push(task);
        self.keys.push(keys);
    }
}

/// Makes a task of a row; `number` names it where it has no name. With the name of its form.
///
/// # Errors
/// It has no known form, or not what its form asks for.
pub fn task_of(row: &Row, number: usize) -> Result<(&'static str, Task), String> {
    let form = form_of(row)?;
    let id = row.name_of(form.ids).unwrap_or_else(|| number.to_string());
    let task = (form.task)(row, &id).and_then(Task::checked).map_err(|why| format!("read as {}: {why}", form.name))?;
    Ok((form.name, task))
}

/// Reads one task of any form, written as a JSON object.
///
/// # Errors
/// As for [`task_of`].
pub fn parse_task(text: &str) -> Result<Task, String> {
    Ok(task_of(&Row::parse(text)?, 0)?.1)
}

/// Reads the tasks of a file, or of all files of a folder.
///
/// # Errors
/// The file cannot be opened, holds no task, or not one task of it can be read; rows that cannot are in [`Tasks::broken`].
pub fn read_tasks(path: impl AsRef<Path>) -> Result<Tasks, ReadError> {
    let path = path.as_ref();
    let mut rows = Rows::open(path, MAX_TASK_ROW)?;
    let mut read = Tasks::default();
    let mut places: HashMap<String, String> = HashMap::new();
    let mut room = Room::half_of_memory();
    let mut number = 0;
    loop {
        let found = match rows.next_row() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                read.broken.push(error);
                continue;
            }
        };
        if found.too_long
            && let Err(why) = &found.row
        {
            // It may have no end.
            return Err(found.wrong(why.clone()));
        }
        let place = format!("{}, line {}", found.path, found.line);
        let row = found.row.as_ref().map_err(Clone::clone);
        let taken = row.and_then(|row| Ok((task_of(row, number)?, Keys::of(row))));
        number += 1;
        let ((form, task), keys) = match taken {
            Ok(taken) => taken,
            Err(why) => {
                read.broken.push(found.wrong(why));
                continue;
            }
        };
        let values = task.cases().flat_map(|case| case.args.iter().chain([&case.expected]));
        let weight = found.size + EACH + values.map(Value::weight).sum::<usize>();
        room.take(weight).map_err(|why| found.wrong(why))?;
        if let Some(first) = places.insert(task.id.clone(), place) {
            read.broken.push(found.wrong(format!("task `{}` stands already in {first}", task.id)));
            continue;
        }
        read.add(form, task, keys);
    }
    if read.tasks.is_empty() {
        let none = std::io::Error::new(std::io::ErrorKind::InvalidData, "holds no task");
        let none = ReadError::Io { path: path.display().to_string(), error: none };
        return Err(read.broken.into_iter().next().unwrap_or(none));
    }
    Ok(read)
}
