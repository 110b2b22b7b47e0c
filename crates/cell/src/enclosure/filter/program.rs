//! Rules as a program of the kernel's filter machine. The number of the call is looked up in a balanced tree, as every
//! call whose fate depends on its arguments walks it. (What is allowed whatever the arguments costs nothing: the kernel
//! keeps a map of those.)

use super::rule::{Fate, Rule, Test};
use libc::sock_filter;
use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use std::collections::BTreeMap;

pub(super) const NR: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARG0: u32 = 16;

#[cfg(target_arch = "x86_64")]
pub(super) const THIS_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const THIS_ARCH: u32 = 0xC000_00B7;

pub(super) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
pub(super) const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
pub(super) const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
pub(super) const fn error(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

fn op(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | code | BPF_K) as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn ret(value: u32) -> sock_filter {
    op(BPF_RET | BPF_K, value)
}

/// From the number of a call to its rules. `unknown` is the fate of all others.
pub(super) struct Table {
    pub(super) rules: BTreeMap<u32, Vec<Rule>>,
    pub(super) unknown: Fate,
    /// Whether the supervisor can be told.
    pub(super) notify: bool,
}

impl Table {
    /// The whole program.
    pub(super) fn assemble(&self) -> Vec<sock_filter> {
        let mut out = vec![load(ARCH), jump(BPF_JEQ, THIS_ARCH, 1, 0), ret(KILL), load(NR)];
        if cfg!(target_arch = "x86_64") {
            // The x32 numbers would slip past a list of x86-64 numbers.
            out.extend([jump(BPF_JGE, 0x4000_0000, 0, 1), ret(error(libc::ENOSYS))]);
        }
        // Runs of numbers with one fate, each from its first number on.
        let mut runs: Vec<(u32, Vec<sock_filter>)> = vec![(0, self.rules(None, 0))];
        let mut next = 0;
        for (&nr, rules) in &self.rules {
            if nr > next {
                runs.push((next, self.rules(None, nr)));
            }
            runs.push((nr, self.rules(Some(rules), nr)));
            next = nr + 1;
        }
        runs.push((next, self.rules(None, next)));
        runs.dedup_by(|b, a| {
            let same = a.0 == b.0;
            if same {
                a.1.clone_from(&b.1);
            }
            same || super::bytes(&a.1) == super::bytes(&b.1)
        });
        out.extend(tree(&runs));
        out
    }

    fn value(&self, fate: Fate, nr: u32) -> u32 {
        match fate {
            Fate::Allow => ALLOW,
            Fate::Refuse if self.notify => NOTIFY,
            Fate::Refuse => error(super::refusal(nr.into())),
            Fate::Tell if self.notify => NOTIFY,
            Fate::Tell => ALLOW,
            Fate::Answer(number) => error(number),
        }
    }

    fn rules(&self, rules: Option<&Vec<Rule>>, nr: u32) -> Vec<sock_filter> {
        let mut out = Vec::new();
        for rule in rules.into_iter().flatten() {
            // From the last test backwards: where one fails, the rest of the rule is skipped.
            let mut body = vec![ret(self.value(rule.fate, nr))];
            for (argument, test) in rule.tests.iter().rev() {
                let skip = body.len() as u8;
                let mut look = look(ARG0 + 8 * u32::from(*argument), *test, skip);
                look.append(&mut body);
                body = look;
            }
            out.append(&mut body);
            if rule.tests.is_empty() {
                return out;
            }
        }
        out.push(ret(self.value(if rules.is_some() { Fate::Allow } else { self.unknown }, nr)));
        out
    }
}

/// Goes on if the test is passed, else skips as many instructions behind it.
fn look(offset: u32, test: Test, skip: u8) -> Vec<sock_filter> {
    let any_of = |values: &[u32], found: u8, other: u8| -> Vec<sock_filter> {
        let count = values.len() as u8;
        let last = |i: usize| i + 1 == values.len();
        let jumps = values.iter().enumerate();
        jumps.map(|(i, v)| jump(BPF_JEQ, *v, count - 1 - i as u8 + found, if last(i) { other } else { 0 })).collect()
    };
    let mut out = vec![load(offset)];
    match test {
        Test::Is(value) => out.push(jump(BPF_JEQ, value, 0, skip)),
        Test::IsNot(value) => out.push(jump(BPF_JEQ, value, skip, 0)),
        Test::OneOf(values) => out.extend(any_of(values, 0, skip)),
        Test::NoneOf(mask, values) => {
            out.push(op(BPF_ALU | BPF_AND | BPF_K, mask));
            out.extend(any_of(values, skip, 0));
        }
        Test::Bits(bits) => out.push(jump(BPF_JSET, bits, 0, skip)),
        Test::Whole(value) => out.extend([
            jump(BPF_JEQ, value as u32, 0, skip + 2),
            load(offset + 4),
            jump(BPF_JEQ, (value >> 32) as u32, 0, skip),
        ]),
    }
    out
}

/// Comparisons down to one run each.
fn tree(runs: &[(u32, Vec<sock_filter>)]) -> Vec<sock_filter> {
    let [.., (_, only)] = runs else { return Vec::new() };
    if runs.len() == 1 {
        return only.clone();
    }
    let (low, high) = runs.split_at(runs.len() / 2);
    let (mut below, above) = (tree(low), tree(high));
    let mut out = match u8::try_from(below.len()) {
        Ok(length) => vec![jump(BPF_JGE, high[0].0, length, 0)],
        Err(_) => vec![jump(BPF_JGE, high[0].0, 0, 1), op(BPF_JMP | BPF_JA, below.len() as u32)],
    };
    out.append(&mut below);
    out.extend(above);
    out
}
