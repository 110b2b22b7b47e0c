//! The programs that evaluate a submission on inputs alone: one fresh process a case.

use super::stdio::RUN_PROGRAM;
use super::{CANON, literal, tuple};
use crate::value::Value;
use std::fmt::Write as _;

pub(super) const ORACLE: &str = include_str!("../python/oracle.py");

/// How long one case and all together may take, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub case_cpu: f64,
    pub case_wall: f64,
    pub all_wall: f64,
}

impl Patience {
    fn python(self) -> String {
        format!("({}, {}, {})", self.case_cpu, self.case_wall, self.all_wall)
    }
}

/// How a submission's function is asked.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub entry: &'a str,
    /// For the arguments as the call left them, too.
    pub after: bool,
    /// All cases in one process, if none of them ends it.
    pub together: bool,
    pub patience: Patience,
}

/// Calls a function with each input. `order` picks the cases and their order.
pub(crate) fn functions(asking: &Asking, inputs: &[&[Value]], order: &[usize]) -> String {
    let Asking { entry, after, together, patience } = *asking;
    let mut s = format!("{CANON}{ORACLE}_oracle([\n");
    for &i in order {
        let _ = writeln!(s, "    ({i}, {}),", tuple(inputs[i]));
    }
    let python = |yes| if yes { "True" } else { "False" };
    let (after, together) = (python(after), python(together));
    s + &format!("], _call({}, _canon, {after}), {}, {together})\n", literal(entry), patience.python())
}

/// Runs the submission as a program with each input on standard input.
pub(crate) fn programs(inputs: &[&str], order: &[usize], patience: Patience) -> String {
    // Named here, so that a zygote is chosen that has them.
    let mut s = format!("{CANON}{ORACLE}{RUN_PROGRAM}import threading, traceback\n_oracle([\n");
    for &i in order {
        let _ = writeln!(s, "    ({i}, {}),", literal(inputs[i]));
    }
    s + &format!("], None, {})\n", patience.python())
}
