//! What can be told of a Python source by its lines alone: which names it defines at its top.

/// The name after `def ` or `class ` that a line defines.
fn defined(line: &str) -> Option<&str> {
    let rest = ["def ", "async def ", "class "].iter().find_map(|word| line.strip_prefix(word))?.trim_start();
    let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// The texts of a list of texts as Python shows it, which is how tables of text keep lists; nothing if it is none.
pub(crate) fn listed(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut found = Vec::new();
    while let Some(quote) = rest.chars().next() {
        if quote != '\'' && quote != '"' {
            return None;
        }
        let (mut one, mut end, mut chars) = (String::new(), None, rest.char_indices().skip(1));
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next()?.1 {
                    'n' => one.push('\n'),
                    't' => one.push('\t'),
                    'r' => one.push('\r'),
                    other @ ('\\' | '\'' | '"') => one.push(other),
                    // What else there is is rare, and not to be guessed.
                    _ => return None,
                },
                c if c == quote => {
                    end = Some(at + 1);
                    break;
                }
                c => one.push(c),
            }
        }
        found.push(one);
        // numpy shows no commas.
        rest = rest[end?..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(found)
}

/// Names of the functions at the top of a source, in order.
pub(crate) fn functions(source: &str) -> Vec<&str> {
    source.lines().filter(|line| !line.starts_with("class ")).filter_map(defined).collect()
}

/// Whether a source defines a name at its top: a function, a class, or a value.
pub(crate) fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        defined(line) == Some(name)
            || line
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('=') && !rest.trim_start().starts_with("=="))
    })
}

/// Names of the methods of a class at the top of a source, in order; none if there is no such class.
pub(crate) fn methods<'a>(source: &'a str, class: &str) -> Option<Vec<&'a str>> {
    let mut lines = source.lines().skip_while(|line| !(line.starts_with("class ") && defined(line) == Some(class)));
    lines.next()?;
    let body = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#', ')']));
    let mut depth = None;
    let mut found = Vec::new();
    for line in body {
        let inner = line.trim_start();
        if inner.is_empty() || inner.starts_with(['#', ')']) {
            continue;
        }
        // What stands first tells how deep the class's own are: a class within it may come before them.
        let indent = line.len() - inner.len();
        if *depth.get_or_insert(indent) == indent && !inner.starts_with("class ") {
            found.extend(defined(inner));
        }
    }
    Some(found)
}

/// A function of that name that calls a method of a class.
pub(crate) fn of_method(class: &str, method: &str, name: &str) -> String {
    format!("\n\ndef {name}(*args, **kwargs):\n    return {class}().{method}(*args, **kwargs)\n")
}

/// Whether two names are the same but for case and underscores, as `twoSum` and `two_sum` are.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect::<String>();
    letters(a) == letters(b)
}

/// The source with that function at its top, where it has it as a method of a class `Solution`; and in words, what it was.
pub(crate) fn as_function(source: &str, name: &str) -> Option<(String, String)> {
    if defines(source, name) {
        return None;
    }
    let methods = methods(source, "Solution")?;
    let public: Vec<&str> = methods.into_iter().filter(|method| !method.starts_with('_')).collect();
    let method = match public.iter().find(|method| **method == name) {
        Some(same) => same,
        None => {
            let mut like = public.iter().filter(|method| alike(method, name));
            like.next().or(if public.len() == 1 { public.first() } else { None })?
        }
    };
    let said = format!("method `{method}` of its class Solution");
    Some((format!("{}{}", source.trim_end_matches('\n'), of_method("Solution", method, name)), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "import os\nclass Solution:\n    '''doc'''\n    def two_sum(self, a):\n        def inner(): pass\n        return a\n\n    def more(self): ...\nlimit = 3\nasync def go(): pass\ndef stop(): pass\n";

    #[test]
    fn lists_are_read_as_python_shows_them() {
        assert_eq!(listed(r#"['assert f("a\\n") == 1', "it's"]"#).unwrap(), ["assert f(\"a\\n\") == 1", "it's"]);
        assert_eq!(listed("['a'\n 'b']").unwrap(), ["a", "b"]);
        assert!(
            listed("[f(1)]").is_none() && listed("assert f([1]) == [1]").is_none() && listed(r"['\x41']").is_none()
        );
    }

    #[test]
    fn names_are_found_by_line() {
        assert_eq!(functions(SOURCE), ["go", "stop"]);
        assert_eq!(methods(SOURCE, "Solution").unwrap(), ["two_sum", "more"]);
        assert!(methods(SOURCE, "Other").is_none());
        let nested = "class Solution:\n        # of its own\n    class M:\n        def go(self): ...\n\n    def one(self): ...\n";
        assert_eq!(methods(nested, "Solution").unwrap(), ["one"]);
        for (name, is) in [("Solution", true), ("limit", true), ("stop", true), ("inner", false), ("os", false)] {
            assert_eq!(defines(SOURCE, name), is, "{name}");
        }
        assert!(!defines("x == 3\n", "x"));
        assert!(alike("twoSum", "two_sum") && !alike("twoSum", "sum"));
    }
}
