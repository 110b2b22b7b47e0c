//! The programs that evaluate a submission on inputs alone.

use super::stdio::RUN_PROGRAM;
use super::{CANON, literal, tuple};
use crate::task::Language;
use crate::value::Value;
use std::fmt::Write as _;

pub(super) const CALL: &str = include_str!("../python/call.py");
pub(super) const ORACLE: &str = include_str!("../python/oracle.py");
pub(super) const SHARED: &str = include_str!("../python/shared.py");

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
    /// The entry is an expression, and an input is arguments and named arguments.
    pub named: bool,
    /// In one process, in the given order.
    pub together: bool,
    pub patience: Patience,
}

impl Asking<'_> {
    fn call(&self) -> String {
        let after = if self.after { "True" } else { "False" };
        format!("{}({}, {after})", if self.named { "_call_named" } else { "_call" }, literal(self.entry))
    }
}

fn cases(inputs: &[&[Value]], order: &[usize]) -> String {
    let mut s = String::from("[\n");
    for &i in order {
        let _ = writeln!(s, "    ({i}, {}),", tuple(inputs[i]));
    }
    s + "]"
}

/// Calls a function with each input, one fresh process a case. `order` picks the cases and their order.
pub(crate) fn functions(asking: &Asking, inputs: &[&[Value]], order: &[usize]) -> String {
    let (cases, call) = (cases(inputs, order), asking.call());
    let together = if asking.together { ", together=True" } else { "" };
    format!("{CANON}{CALL}{ORACLE}_oracle({cases}, {call}, {}{together})\n", asking.patience.python())
}

/// The same in one process, for a submission that can only compute; status 0 only if every case has an answer.
pub(crate) fn shared(asking: &Asking, source: &str, inputs: &[&[Value]], order: &[usize]) -> String {
    let (cases, call) = (cases(inputs, order), asking.call());
    format!("{CANON}{CALL}{SHARED}_shared({cases}, {}, {call})\n", literal(source))
}

/// Runs the submission as a program with each input on standard input.
pub(crate) fn programs(inputs: &[&str], order: &[usize], patience: Patience, language: Language) -> String {
    // Named here, so that a zygote is chosen that has them.
    let mut s = format!("{CANON}{ORACLE}{RUN_PROGRAM}import threading, traceback\n_oracle([\n");
    for &i in order {
        let _ = writeln!(s, "    ({i}, {}),", literal(inputs[i]));
    }
    s + &format!("], None, {}, {})\n", patience.python(), super::stdio::command(language))
}
