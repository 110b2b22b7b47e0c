//! The steps by which an enclosure is set up, and how a failure of one is told.

use crate::enclosure::plan::Plan;
use libc::c_long;

/// The steps of the set-up, by which a failure is told.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Open = 1,
    ChangeUser,
    MakePrivate,
    MountRoot,
    MakeFolder,
    MakeFile,
    Place,
    Pivot,
    MakeReadOnly,
    DropPrivileges,
    InstallFilter,
    StartInterpreter,
    ArrangeDescriptors,
    RestrictFiles,
}

impl Step {
    const ALL: [(Step, &str); 14] = [
        (Step::Open, "opening"),
        (Step::ChangeUser, "changing the user"),
        (Step::MakePrivate, "making mounts private"),
        (Step::MountRoot, "mounting the root"),
        (Step::MakeFolder, "making a folder"),
        (Step::MakeFile, "making a file"),
        (Step::Place, "placing"),
        (Step::Pivot, "pivot_root"),
        (Step::MakeReadOnly, "making the root read-only"),
        (Step::DropPrivileges, "dropping privileges"),
        (Step::InstallFilter, "installing the seccomp filter"),
        (Step::StartInterpreter, "starting the interpreter"),
        (Step::ArrangeDescriptors, "arranging descriptors"),
        (Step::RestrictFiles, "restricting access to files"),
    ];

    /// Whether the socket to the supervisor has its final number by then.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Step::DropPrivileges | Step::InstallFilter | Step::StartInterpreter | Step::RestrictFiles)
    }
}

/// A step that failed; the reason is in `errno`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    pub(crate) step: Step,
    /// Which of [`Plan::binds`] it was about.
    pub(crate) bind: Option<u16>,
}

impl Failed {
    /// As one number above zero, for the way to the supervisor.
    pub(crate) fn number(self) -> i32 {
        self.step as i32 | self.bind.map_or(0, |bind| (i32::from(bind) + 1) << 8)
    }
}

/// What a number from the child says in words, and which step it was.
pub(crate) fn step_name(number: i32, plan: &Plan) -> (Option<Step>, String) {
    let found = Step::ALL.into_iter().find(|(step, _)| *step as i32 == number & 0xff);
    let name = found.map_or("set-up", |(_, name)| name);
    let of = usize::try_from((number >> 8) - 1).ok().and_then(|bind| plan.binds.get(bind));
    let text = of.map_or_else(|| name.to_owned(), |bind| format!("{name} {}", bind.source.to_string_lossy()));
    (found.map(|f| f.0), text)
}

/// A step of the set-up, from what its system call returned.
pub(crate) fn step(step: Step, ret: c_long) -> Result<c_long, Failed> {
    if ret < 0 { Err(Failed { step, bind: None }) } else { Ok(ret) }
}
