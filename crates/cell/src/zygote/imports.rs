//! Which modules a program imports, as far as its text tells: enough to choose a zygote, wrong at no cost but time.

/// Always there, so not worth a warmer zygote.
const BUILT_IN: &[&str] =
    &["sys", "os", "builtins", "gc", "time", "itertools", "errno", "marshal", "signal", "__future__"];

/// What was found in a program's sources.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether anything is imported that is not always there.
    pub(crate) any: bool,
    /// Bits by position in the list of heavier modules.
    pub(crate) warm: u32,
    /// Modules that lie beside the program.
    own: Vec<String>,
}

impl Found {
    /// Nothing yet, of a program beside which these modules lie.
    pub(crate) fn beside<'a>(own: impl Iterator<Item = &'a str>) -> Found {
        Found { own: own.map(str::to_owned).collect(), ..Found::default() }
    }

    /// Adds what one source imports.
    pub(crate) fn scan(&mut self, source: &str, warm: &[String]) {
        for line in source.lines() {
            if !line.contains("import") {
                continue;
            }
            for statement in line.split(';') {
                let statement = statement.trim_start();
                // "if x: import y" and the like
                let statement = statement.rsplit_once(": ").map_or(statement, |(_, s)| s.trim_start());
                if let Some(names) = statement.strip_prefix("import ") {
                    names.split(',').for_each(|n| self.module(n, warm));
                } else if let Some(rest) = statement.strip_prefix("from ") {
                    self.module(rest, warm);
                } else if statement.contains("__import__(") || statement.contains("import_module(") {
                    self.any = true;
                }
            }
        }
    }

    fn module(&mut self, text: &str, warm: &[String]) {
        let name: &str = text.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        if name.is_empty() || BUILT_IN.contains(&name) || self.own.iter().any(|own| own == name) {
            return;
        }
        self.any = true;
        if let Some(i) = warm.iter().take(32).position(|w| w == name) {
            self.warm |= 1 << i;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Found;
    use proptest::prelude::*;

    fn found(source: &str) -> (bool, u32) {
        let mut found = Found::beside(["solution"].into_iter());
        found.scan(source, &["unittest".to_owned(), "numpy".to_owned()]);
        (found.any, found.warm)
    }

    #[test]
    fn imports_are_seen() {
        assert_eq!(found("print(1)\nx = 'import'"), (false, 0));
        assert_eq!(found("import sys, os\nfrom __future__ import annotations"), (false, 0));
        assert_eq!(found("import sys, json"), (true, 0));
        assert_eq!(found("import solution\nfrom solution import f"), (false, 0));
        assert_eq!(found("  from numpy.linalg import norm"), (true, 2));
        assert_eq!(found("import os; import unittest as u, numpy as np"), (true, 3));
        assert_eq!(found("if True: import numpy"), (true, 2));
        assert_eq!(found("m = __import__('re')"), (true, 0));
    }

    proptest! {
        #[test]
        fn any_text_may_be_scanned(text in "\\PC*") {
            found(&text);
        }
    }
}
