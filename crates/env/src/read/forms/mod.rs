//! The forms in which data sets and trainers hold tasks: one file each, and one table.

mod apps;
mod bigcodebench;
mod cases;
mod codecontests;
mod deepcoder;
mod evalplus;
mod humaneval;
mod kodcode;
mod leetcode;
mod livecodebench;
mod mbpp;
mod open_r1;
mod tests;
mod trl;
mod verl;

use super::row::Row;
use loophole_grade::Task;

/// A form of tasks.
pub(crate) struct Form {
    /// What people call it.
    pub name: &'static str,
    /// The fields that a row of it has: of each of these lists, one.
    pub needs: &'static [&'static [&'static str]],
    /// What else tells it from others.
    pub is: fn(&Row) -> bool,
    /// Fields that name a row, in order.
    pub ids: &'static [&'static str],
    /// Makes a task of a row; the name is given.
    pub task: fn(&Row, &str) -> Result<Task, String>,
}

/// All forms; the first that a row fits is its own. Those that ask for more stand first.
pub(crate) const FORMS: [&Form; 16] = [
    &humaneval::FORM,
    &evalplus::FORM,
    &bigcodebench::FORM,
    &leetcode::FORM,
    &livecodebench::FORM,
    &codecontests::FORM,
    &mbpp::FORM,
    &kodcode::FORM,
    &open_r1::FORM,
    &verl::FORM,
    &apps::TACO,
    &apps::FORM,
    &deepcoder::FORM,
    &cases::FORM,
    &trl::FORM,
    &cases::WITHOUT_ID,
];

/// Any row at all.
fn any(_: &Row) -> bool {
    true
}

impl Form {
    /// Whether a row has this form.
    fn fits(&self, row: &Row) -> bool {
        self.missing(row).next().is_none() && (self.is)(row)
    }

    /// The needed fields that a row lacks, each as the names it may have.
    fn missing(&self, row: &Row) -> impl Iterator<Item = String> {
        self.needs.iter().filter(|names| !names.iter().any(|name| row.has(name))).map(|names| quoted(names))
    }

    /// How much of it a row has.
    fn share(&self, row: &Row) -> usize {
        let missing = self.missing(row).count();
        100 * (self.needs.len() - missing) / self.needs.len()
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// The form of a row; or what it would have to have.
///
/// # Errors
/// It has none; the error says which form comes nearest and what that one misses.
pub(crate) fn form_of(row: &Row) -> Result<&'static Form, String> {
    if let Some(form) = FORMS.iter().find(|form| form.fits(row)) {
        return Ok(form);
    }
    let nearest =
        FORMS.iter().rev().max_by_key(|form| (form.share(row), form.needs.len())).filter(|form| form.share(row) > 0);
    let known: Vec<&str> = FORMS.iter().take(FORMS.len() - 1).map(|form| form.name).collect();
    let known = known.join(", ");
    match nearest {
        Some(form) => {
            let missing: Vec<String> = form.missing(row).collect();
            let why = if missing.is_empty() { "other values in its fields".into() } else { missing.join(" and ") };
            Err(format!(
                "no form of tasks that is known; nearest is {}, which has also {why} (forms: {known})",
                form.name
            ))
        }
        None => Err(format!("no form of tasks that is known, by its fields; forms are {known}, and Harbor folders")),
    }
}

/// A task of this name with a statement.
fn stated(task: Task, statement: String) -> Task {
    Task { statement, ..task }
}
