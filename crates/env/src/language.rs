//! The language of a row's code: as its fields say, as its fence says, or as it looks.

use loophole_grade::Language;

/// A language that code is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// One of which submissions can be written.
    Known(Language),
    /// Another one, by its name.
    Other(String),
}

/// Programming languages in which nothing is written here. What is neither among them nor known is no programming
/// language (a row's `language` may be English).
const OTHERS: [&str; 27] = [
    "ada",
    "c#",
    "clojure",
    "cs",
    "csharp",
    "dart",
    "elixir",
    "erlang",
    "fortran",
    "haskell",
    "isabelle",
    "julia",
    "kotlin",
    "lean",
    "lean4",
    "lua",
    "ocaml",
    "perl",
    "php",
    "r",
    "ruby",
    "scala",
    "sql",
    "swift",
    "typescript",
    "verilog",
    "zig",
];

impl Spoken {
    /// The one of a name as people write it; nothing where it names no programming language.
    pub(crate) fn named(name: &str) -> Option<Spoken> {
        let lower = name.trim().to_ascii_lowercase();
        let other = || OTHERS.contains(&lower.as_str()).then(|| Spoken::Other(lower.clone()));
        Language::parse(name).map(Spoken::Known).or_else(other)
    }

    /// As code looks. Python is told by others, who know more of its row.
    pub(crate) fn of_code(code: &str) -> Option<Spoken> {
        use Language::{Bash, C, Cpp, Go, Java, JavaScript, Rust};
        let first = code.trim_start().lines().next().unwrap_or("");
        if let Some(interpreter) = first.strip_prefix("#!") {
            let shell = ["/bash", "/sh", " bash", " sh"].iter().any(|s| interpreter.trim_end().ends_with(s));
            let node = interpreter.contains("node");
            return shell.then_some(Bash).or(node.then_some(JavaScript)).map(Spoken::Known);
        }
        let starts = |heads: &[&str]| code.lines().any(|l| heads.iter().any(|h| l.starts_with(h)));
        let holds = |parts: &[&str]| parts.iter().any(|p| code.contains(p));
        let includes = starts(&["#include"]);
        let found = if includes && (holds(&["std::", "using namespace ", "template<", "template <", "class "])) {
            Cpp
        } else if includes || starts(&["int main("]) {
            C
        } else if starts(&["public class ", "import java", "class Main ", "final class "]) && code.contains('{') {
            Java
        } else if starts(&["package main"]) {
            Go
        } else if starts(&["fn ", "pub fn ", "use std::"]) && code.contains('{') {
            Rust
        } else if starts(&["const ", "let ", "var ", "function ", "async function ", "module.exports", "exports."])
            && holds(&["{", "=>", "console.", "require("])
        {
            JavaScript
        } else {
            let query = first.trim_start().to_ascii_uppercase();
            let select = ["SELECT ", "WITH "].iter().any(|w| query.starts_with(w));
            let from = code.to_ascii_uppercase().contains("FROM ");
            return (select && from).then(|| Spoken::Other("sql".into()));
        };
        Some(Spoken::Known(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_known_by_its_looks() {
        for (code, wanted) in [
            ("#include <stdio.h>\nint main(void) { return 0; }\n", Some(Language::C)),
            ("#include <iostream>\nusing namespace std;\nint main() {}\n", Some(Language::Cpp)),
            ("public class Main { }", Some(Language::Java)),
            ("function f(a) { return a; }\nmodule.exports = { f };\n", Some(Language::JavaScript)),
            ("const f = (a) => a;\n", Some(Language::JavaScript)),
            ("#!/usr/bin/env bash\necho 1\n", Some(Language::Bash)),
            ("fn main() {}\n", Some(Language::Rust)),
            ("package main\nfunc main() {}\n", Some(Language::Go)),
            ("def f(a):\n    return {}\n", None),
            ("let us say that the answer is 4", None),
            ("print(1)\n", None),
            ("42", None),
        ] {
            assert_eq!(Spoken::of_code(code), wanted.map(Spoken::Known), "{code}");
        }
        let sql = Some(Spoken::Other("sql".into()));
        assert_eq!((Spoken::of_code("select a\nfrom t;"), Spoken::named("SQL")), (sql.clone(), sql));
        assert_eq!((Spoken::named("English"), Spoken::named("en")), (None, None));
        assert_eq!(Spoken::named("C++"), Some(Spoken::Known(Language::Cpp)));
    }
}
