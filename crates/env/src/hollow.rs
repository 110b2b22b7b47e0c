//! The form of a reference without what is in it: what a grader that looks at form alone pays as well.

use loophole_grade::Language;

/// Marks by which graders find an answer, beside tags and headings.
const MARKS: [&str; 7] = ["\\boxed{", "####", "```", "**", "$$", "$", "}"];

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    /// Whatever gives it its form: tags, marks, white space, headings.
    Form(&'t str),
    /// A word.
    Word(&'t str),
}

/// Texts of this form with other contents, each a wrong answer: with a letter or nothing for what it says, with
/// other words, with other numbers.
pub(crate) fn texts(text: &str) -> Vec<String> {
    let pieces = pieces(text);
    let words = pieces.iter().filter(|p| matches!(p, Piece::Word(_))).count();
    let marks = pieces.iter().any(|p| matches!(p, Piece::Form(f) if !f.trim().is_empty()));
    // A word or two without a form: nothing is left where they are taken away.
    if !marks && words < 3 {
        return Vec::new();
    }
    let mut out = vec![filled(&pieces, "x"), filled(&pieces, "0"), filled(&pieces, "")];
    out.push(each(&pieces, |word| word.chars().map(|c| if c.is_alphanumeric() { 'x' } else { c }).collect()));
    if (marks || words <= 12) && text.bytes().any(|b| b.is_ascii_digit()) {
        out.push(other_numbers(text));
    }
    out.retain(|other| other.trim() != text.trim() && !other.trim().is_empty());
    out.dedup();
    out
}

/// The pieces with each run of words, and the blanks between them, as one filling.
fn filled(pieces: &[Piece], filling: &str) -> String {
    let mut out = String::new();
    let mut blank = "";
    let mut within = false;
    for piece in pieces {
        match piece {
            Piece::Word(_) if within => blank = "",
            Piece::Word(_) => {
                out.push_str(blank);
                out.push_str(filling);
                (blank, within) = ("", true);
            }
            Piece::Form(f) if f.trim().is_empty() => blank = f,
            Piece::Form(f) => {
                out.push_str(blank);
                out.push_str(f);
                (blank, within) = ("", false);
            }
        }
    }
    out + blank
}

fn each(pieces: &[Piece], other: impl Fn(&str) -> String) -> String {
    pieces
        .iter()
        .map(|p| match p {
            Piece::Form(f) => (*f).to_string(),
            Piece::Word(w) => other(w),
        })
        .collect()
}

/// The text with another last digit in every number.
fn other_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let last = |i: usize| !chars.get(i + 1).is_some_and(char::is_ascii_digit);
    let turned = |c: char| c.to_digit(10).and_then(|d| char::from_digit((d + 1) % 10, 10)).unwrap_or(c);
    chars.iter().enumerate().map(|(i, &c)| if c.is_ascii_digit() && last(i) { turned(c) } else { c }).collect()
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let form = blank(rest).or_else(|| tag(rest)).or_else(|| mark(rest)).or_else(|| heading(rest));
        let piece = match form {
            Some(len) => Piece::Form(&rest[..len]),
            None => {
                let end = rest.char_indices().skip(1).map(|(i, _)| i).find(|&i| {
                    let after = &rest[i..];
                    blank(after).is_some() || tag(after).is_some() || mark(after).is_some()
                });
                Piece::Word(&rest[..end.unwrap_or(rest.len())])
            }
        };
        let (Piece::Form(p) | Piece::Word(p)) = piece;
        rest = &rest[p.len()..];
        out.push(piece);
    }
    out
}

fn blank(text: &str) -> Option<usize> {
    let len = text.len() - text.trim_start().len();
    (len > 0).then_some(len)
}

/// `<name>`, `</name>` or `<name with="attributes">`.
fn tag(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find(['>', '<', '\n'])?;
    let name = inner[..end].trim_start_matches('/');
    (inner[end..].starts_with('>') && name.starts_with(|c: char| c.is_alphabetic() || c == '|')).then_some(end + 2)
}

fn mark(text: &str) -> Option<usize> {
    let found = MARKS.iter().find(|m| text.starts_with(**m))?;
    // The language of a fence belongs to it.
    let tag = if *found == "```" { text[3..].find(|c: char| !c.is_alphanumeric()).unwrap_or(0) } else { 0 };
    Some(found.len() + tag)
}

/// `Answer:`, one word.
fn heading(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_alphabetic())?;
    (end > 0 && text[end..].starts_with(':')).then_some(end + 1)
}

/// Code with `{{body}}` for what its outermost functions do, so that it is built as the reference is; nothing where no
/// function is found.
pub(crate) fn code(reference: &str, language: Language) -> Option<String> {
    if language == Language::Bash || language == Language::Python {
        return None;
    }
    let mut out = String::new();
    let mut found = 0;
    // What stands since the last statement or brace: the head of what a brace opens.
    let (mut head, mut rest) = (0, reference);
    while !rest.is_empty() {
        let at = reference.len() - rest.len();
        let len = skipped(rest);
        if let Some(len) = len {
            // A line that begins with `#` is a statement of its own.
            if rest.starts_with('#') {
                head = out.len() + len;
            }
            out.push_str(&rest[..len]);
            rest = &rest[len..];
            continue;
        }
        let c = rest.chars().next().unwrap_or(' ');
        out.push(c);
        rest = &rest[c.len_utf8()..];
        match c {
            ';' | '}' => head = out.len(),
            '{' => {
                if opens_function(&out[head..out.len() - 1]) {
                    let end = closing(&reference[at + 1..])?;
                    out.push_str(" {{body}} }");
                    rest = &reference[at + 1 + end + 1..];
                    found += 1;
                }
                head = out.len();
            }
            _ => {}
        }
    }
    (found > 0).then_some(out)
}

/// The length of a comment, a text or a line of the preprocessor that stands here.
fn skipped(text: &str) -> Option<usize> {
    let line = || text.find('\n').unwrap_or(text.len());
    if text.starts_with("//") || text.starts_with('#') {
        return Some(line());
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or(text.len(), |end| end + 2));
    }
    let quote = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c))?;
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i + 1),
            // A lifetime, or an apostrophe: it goes no further than its line.
            '\n' if quote != '`' => return Some(1),
            _ => {}
        }
    }
    Some(1)
}

/// Where the brace that was opened before this text is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (1usize, 0);
    while at < text.len() {
        if let Some(len) = skipped(&text[at..]) {
            at += len;
            continue;
        }
        let c = text[at..].chars().next()?;
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at += c.len_utf8();
    }
    None
}

/// Whether a brace after this opens what a function does.
fn opens_function(head: &str) -> bool {
    let head = head.trim();
    let first = head.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
    let other = ["if", "for", "while", "switch", "catch", "else", "do", "try", "struct", "enum", "union", "namespace"];
    (head.contains(')') || head.ends_with("=>")) && !other.contains(&first) && !head.ends_with('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_form() {
        let all = texts("<think>\nso it is\n</think>\n<answer>\n1406\n</answer>");
        assert_eq!(
            all,
            [
                "<think>\nx\n</think>\n<answer>\nx\n</answer>",
                "<think>\n0\n</think>\n<answer>\n0\n</answer>",
                "<think>\n\n</think>\n<answer>\n\n</answer>",
                "<think>\nxx xx xx\n</think>\n<answer>\nxxxx\n</answer>",
                "<think>\nso it is\n</think>\n<answer>\n1407\n</answer>",
            ]
        );
        assert_eq!(texts("\\boxed{12}")[..2], ["\\boxed{x}", "\\boxed{0}"]);
        assert!(texts("Add. Answer: 9\n").contains(&"0 Answer: 0\n".to_string()));
        for whole in ["42", "", "Rome", "New York", "\\boxed{x}"] {
            assert!(!texts(whole).contains(&whole.to_string()), "{whole}");
        }
        assert!(texts("42").is_empty() && texts("New York").is_empty());
    }

    #[test]
    fn code_keeps_its_heads() {
        for (language, reference, wanted) in [
            (
                Language::C,
                "#include <stddef.h> // for {\nlong dot(const int *a, size_t n) {\n    if (n) { return a[0]; }\n    return '}';\n}\nint x;\n",
                Some("#include <stddef.h> // for {\nlong dot(const int *a, size_t n) { {{body}} }\nint x;\n"),
            ),
            (
                Language::JavaScript,
                "function chunk(xs, n) { return `${xs}`; }\nconst one = () => { return 1; };\nmodule.exports = { chunk };\n",
                Some(
                    "function chunk(xs, n) { {{body}} }\nconst one = () => { {{body}} };\nmodule.exports = { chunk };\n",
                ),
            ),
            (
                Language::Java,
                "import java.util.*;\npublic class Main {\n  static int f(int a) throws Exception { return a; }\n}\n",
                Some(
                    "import java.util.*;\npublic class Main {\n  static int f(int a) throws Exception { {{body}} }\n}\n",
                ),
            ),
            (Language::JavaScript, "console.log(1);\n", None),
            (Language::C, "int f(void) {", None),
        ] {
            assert_eq!(code(reference, language).as_deref(), wanted);
        }
    }
}
