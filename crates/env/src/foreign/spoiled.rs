//! References with the smallest change that makes every answer of theirs wrong: what is rated by its likeness to the
//! reference pays for them.

use crate::Surface;
use crate::row::Row;

/// Such texts; none where it is not certain that nothing of them is right.
pub(super) fn spoiled(row: &Row) -> Vec<String> {
    let code = row.reference.trim_end();
    match (row.surface, &row.entry) {
        (Surface::Module, entry) => {
            let heads =
                |entry: &String| [format!("def {entry}("), format!("class {entry}"), format!("async def {entry}(")];
            let outermost = |entry: &&String| code.lines().any(|l| heads(entry).iter().any(|head| l.starts_with(head)));
            let replaced = entry.as_ref().filter(outermost).map(|e| format!("{code}\n{e} = lambda *a, **k: None"));
            other_returns(code).into_iter().chain(replaced).collect()
        }
        (Surface::Program, _) => other_lines(code).into_iter().collect(),
        (Surface::Code(_), _) => broken(code).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// With a bracket too many where the first function begins: it can neither be built nor be loaded. It stands within, as
/// some graders take what they need out of the rest; nothing where it may be a comment or a text.
fn broken(code: &str) -> Option<String> {
    let opens = |line: &&str| line.ends_with('{') && line.contains(')') && !line.contains(['"', '\'', '`', '*', '#']);
    let line = code.lines().find(opens).filter(|line| !line.contains("//"))?;
    Some(code.replacen(line, &format!("{line} )"), 1))
}

/// With `, 0` behind all that is returned, which no value is equal to that came without; nothing where that cannot be
/// told line by line.
fn other_returns(code: &str) -> Option<String> {
    let (mut out, mut found) = (String::new(), false);
    for line in code.lines() {
        let end = expression_end(line);
        let at = line.find("return").filter(|at| {
            let before = line[..*at].chars().next_back();
            let after = line[at + 6..].chars().next();
            before.is_none_or(|c| c.is_whitespace() || c == ':' || c == ';')
                && after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        });
        match at {
            // In a comment.
            Some(at) if end.is_some_and(|end| at >= end) => out.push_str(line),
            Some(at) => {
                let end = end.filter(|end| !line[at + 6..*end].trim().is_empty())?;
                let until = line[..end].trim_end().len();
                out.push_str(&format!("{}, 0{}", &line[..until], &line[until..]));
                found = true;
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    found.then(|| out.trim_end().to_string())
}

/// Where a line's comment begins, or its end; nothing where its brackets or its quotes are not closed.
fn expression_end(line: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    for (at, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                '#' => return (depth == 0).then_some(at),
                _ => {}
            },
        }
    }
    (depth == 0 && quote.is_none() && !line.ends_with('\\') && !line.contains("\"\"\"")).then_some(line.len())
}

/// With a 0 before all that is printed; nothing where it may write in other ways.
fn other_lines(code: &str) -> Option<String> {
    if code.contains("stdout") || code.contains("stderr") || code.contains("os.write") {
        return None;
    }
    let (mut out, mut rest, mut found) = (String::new(), code, false);
    while let Some(at) = rest.find("print(") {
        let whole = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        out.push_str(&rest[..at + 6]);
        if whole {
            out.push_str("0, ");
            found = true;
        }
        rest = &rest[at + 6..];
    }
    found.then(|| out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_of_a_spoiled_reference_is_right() {
        for (code, wanted) in [
            ("def f(a):\n    return a  # it", Some("def f(a):\n    return a, 0  # it")),
            ("def f(a): return '#' + a", Some("def f(a): return '#' + a, 0")),
            ("def f(a):\n    returned = a\n    return [\n        a]", None),
            ("def f(a):\n    if a:\n        return\n    return 1", None),
            (
                "def f(a):\n    # return nothing\n    return (a)",
                Some("def f(a):\n    # return nothing\n    return (a), 0"),
            ),
            ("def f(a):\n    a.sort()", None),
        ] {
            assert_eq!(other_returns(code).as_deref(), wanted, "{code}");
        }
        assert_eq!(other_lines("pprint(1)\nprint(2)").as_deref(), Some("pprint(1)\nprint(0, 2)"));
        assert_eq!(other_lines("import sys\nprint(1, file=sys.stderr)"), None);
        let add = "function add(a, b) {\n  return a + b;\n}";
        assert_eq!(broken(add).as_deref(), Some("function add(a, b) { )\n  return a + b;\n}"));
        assert_eq!(broken("int main(void) { return 0; }"), None);
        let row = Row::bare("class Solution:\n    def f(self, a):\n        return a\n".into());
        assert_eq!((row.surface, spoiled(&row).len()), (Surface::Module, 2));
    }
}
