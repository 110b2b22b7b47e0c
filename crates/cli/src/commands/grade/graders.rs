//! Which graders grade, and in which cells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Grader, GraderKind, Grading, Task};

use super::super::grader_flags::GraderFlags;
use crate::output::Error;

/// Cells in which graders of this kind run.
pub fn lab(flags: &GraderFlags, kind: GraderKind) -> Result<Grading, Error> {
    let options = PoolOptions { python: flags.python.clone(), ..Grading::cells(kind) };
    Ok(Grading::new(Arc::new(Pool::start(options)?)))
}

/// The graders of some tasks: of each kind that fits one, unless one kind is named for all.
pub struct Graders(BTreeMap<GraderKind, Grader>);

impl Graders {
    /// Chooses them as the flags say.
    pub fn choose(flags: &GraderFlags, tasks: &[Task]) -> Result<Graders, Error> {
        let GraderFlags { grader, open, hardened, .. } = flags;
        let choose = |fitting| Grader::choose(grader.as_deref(), open, *hardened, fitting).map_err(Error::Input);
        let kinds: BTreeSet<GraderKind> = tasks.iter().map(fitting).collect();
        kinds.into_iter().map(|kind| Ok((kind, choose(kind)?))).collect::<Result<_, Error>>().map(Graders)
    }

    /// The kind whose cells serve all of them.
    pub fn kind(&self) -> GraderKind {
        let mut kinds = self.0.values().map(|grader| grader.kind);
        let first = kinds.next().unwrap_or(GraderKind::Script);
        kinds.find(|kind| *kind == GraderKind::Pytest).unwrap_or(first)
    }

    /// Each with the weaknesses that are open, in words.
    pub fn told(&self) -> String {
        let one = |grader: &Grader| {
            let open: Vec<&str> = grader.open.iter().map(|weakness| weakness.name()).collect();
            let state = if open.is_empty() { "hardened".into() } else { format!("open: {}", open.join(", ")) };
            format!("{} ({state})", grader.kind)
        };
        self.0.values().map(one).collect::<Vec<_>>().join("; ")
    }

    /// That of a task.
    pub fn of(&self, task: &Task) -> &Grader {
        &self.0[&fitting(task)]
    }
}

/// The kind of grader for one task.
fn fitting(task: &Task) -> GraderKind {
    GraderKind::fitting(std::slice::from_ref(task))
}
