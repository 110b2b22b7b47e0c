//! Fenced blocks in a text, as Markdown has them, at the margin or within the items of a list.

use loophole_grade::Language;
use std::borrow::Cow;
use std::ops::Range;

/// Columns that a fence may stand to the right of what it is in; farther it is text.
const MOST_INDENT: usize = 3;
/// Lists within lists that are followed.
const MOST_LISTS: usize = 32;

/// What stands in a fence.
pub(super) struct Block<'a> {
    /// What follows the fence's signs.
    pub tag: &'a str,
    /// Its lines, without as much of their indentation as the fence has.
    pub text: Cow<'a, str>,
    /// Where in the whole text they are.
    pub at: Range<usize>,
    /// Whether its end is there.
    pub closed: bool,
    /// Where the last line in it begins that looks like the beginning of another block.
    pub reopened: Option<usize>,
}

impl Block<'_> {
    /// The first word of its tag.
    pub fn word(&self) -> String {
        let tag = self.tag.trim_start_matches(['{', '.']).trim_end_matches('}');
        tag.split([' ', ',', ':', '{']).next().unwrap_or_default().to_ascii_lowercase()
    }

    /// The language its tag says.
    pub fn language(&self) -> Option<Language> {
        let word = self.word();
        if word.starts_with("ipython") || word == "pycon" {
            return Some(Language::Python);
        }
        Language::parse(&word)
    }
}

/// The beginning of a block.
struct Fence<'a> {
    signs: &'a str,
    tag: &'a str,
    /// Columns before it, and those of them that are its list's.
    columns: usize,
    list: usize,
}

impl Fence<'_> {
    /// What stands on a line that is not too far to the right for a fence.
    fn near<'l>(&self, line: &'l str) -> Option<&'l str> {
        let (columns, inner) = indentation(line.trim_end());
        (columns.saturating_sub(self.list) <= MOST_INDENT).then_some(inner)
    }

    /// Whether a line ends the block: nothing but as many signs, or more.
    fn ends_at(&self, line: &str) -> bool {
        let rest = self.near(line).and_then(|inner| inner.strip_prefix(self.signs));
        rest.is_some_and(|rest| rest.trim_start_matches(&self.signs[..1]).is_empty())
    }

    /// Whether a line looks like the beginning of another block, which says what is in it.
    fn is_reopened_at(&self, line: &str) -> bool {
        self.near(line).and_then(fence_of).is_some_and(|(_, tag)| !tag.is_empty())
    }
}

/// The fenced blocks of a text: between a line that begins with three backticks (or tildes) or more, and the next line
/// of nothing but at least as many. The last one may lack its end.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = all(text);
    found.retain(|block| block.closed || !block.text.trim().is_empty());
    found
}

/// The same, with a fence at the end that nothing follows.
pub(super) fn all(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut lists = Vec::new();
    let mut open: Option<(Fence<'_>, usize, Option<usize>)> = None;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let begin = end;
        end += line.len();
        match &mut open {
            None => open = opened(line, &mut lists).map(|fence| (fence, end, None)),
            Some((fence, from, reopened)) if fence.ends_at(line) => {
                found.push(block(text, fence, *from..begin, true, *reopened));
                open = None;
            }
            Some((fence, _, reopened)) if fence.is_reopened_at(line) => *reopened = Some(begin),
            Some(_) => {}
        }
    }
    if let Some((fence, from, reopened)) = open {
        found.push(block(text, &fence, from..end, false, reopened));
    }
    found
}

/// The fence that a line begins a block with. `lists` holds the columns at which the items stand that the line may be in.
fn opened<'a>(line: &'a str, lists: &mut Vec<usize>) -> Option<Fence<'a>> {
    let (mut columns, mut inner) = indentation(line.trim_end());
    if inner.is_empty() {
        return None;
    }
    while lists.last().is_some_and(|item| *item > columns) {
        lists.pop();
    }
    loop {
        let list = lists.last().copied().unwrap_or(0);
        if columns - list > MOST_INDENT {
            return None;
        }
        match item(inner).filter(|_| lists.len() < MOST_LISTS) {
            Some((width, rest)) => {
                columns += width;
                inner = rest;
                lists.push(columns);
            }
            None => return fence_of(inner).map(|(signs, tag)| Fence { signs, tag, columns, list }),
        }
    }
}

/// The signs of a fence and its tag.
pub(super) fn fence_of(inner: &str) -> Option<(&str, &str)> {
    let sign = if inner.starts_with("```") { '`' } else { '~' };
    let length = inner.len() - inner.trim_start_matches(sign).len();
    let tag = inner[length..].trim();
    (length >= 3 && !tag.contains('`')).then_some((&inner[..length], tag))
}

/// How wide the mark of a list's item is with the blanks after it, and what follows.
fn item(inner: &str) -> Option<(usize, &str)> {
    let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mark = match digits {
        0 if inner.starts_with(['-', '*', '+']) => 1,
        1..=9 if inner[digits..].starts_with(['.', ')']) => digits + 1,
        _ => return None,
    };
    let after = &inner[mark..];
    if !after.is_empty() && !after.starts_with([' ', '\t']) {
        return None;
    }
    let (blanks, rest) = indentation(after);
    // After more blanks than that, code stands in the item.
    Some((mark + if (1..=4).contains(&blanks) { blanks } else { 1 }, rest))
}

/// How many columns a line is indented, and what follows.
fn indentation(line: &str) -> (usize, &str) {
    let inner = line.trim_start_matches([' ', '\t']);
    (line[..line.len() - inner.len()].bytes().fold(0, column_after), inner)
}

/// The column behind a blank or a tab.
fn column_after(column: usize, byte: u8) -> usize {
    if byte == b'\t' { (column / 4 + 1) * 4 } else { column + 1 }
}

fn block<'a>(text: &'a str, fence: &Fence<'a>, at: Range<usize>, closed: bool, reopened: Option<usize>) -> Block<'a> {
    let inside = &text[at.clone()];
    // Some indent the fence and not the code.
    let first = inside.lines().find(|line| !line.trim().is_empty()).map_or(0, |line| indentation(line).0);
    let columns = fence.columns.min(first);
    let text = match columns {
        0 => Cow::Borrowed(inside),
        _ => inside.split_inclusive('\n').map(|line| without(line, columns)).collect::<String>().into(),
    };
    Block { tag: fence.tag, text, at, closed, reopened }
}

/// A line without so many columns of its indentation, or what it has of them.
fn without(line: &str, columns: usize) -> &str {
    let mut column = 0;
    let blanks = line.bytes().take_while(|byte| {
        column = column_after(column, *byte);
        matches!(byte, b' ' | b'\t') && column <= columns
    });
    &line[blanks.count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_within_a_list_is_without_its_indentation() {
        let code = "def f(x):\n\n    return x\n";
        let line = |by: &str, line: &str| if line.is_empty() { "\n".into() } else { format!("{by}{line}\n") };
        let indent = |by: &str| code.lines().map(|one| line(by, one)).collect::<String>();
        for text in [
            format!("1. So:\n\n   ```python\n{}   ```\n\n2. Done.\n", indent("   ")),
            format!("10. So:\n    ```\n{}    ```\n", indent("    ")),
            format!("- a\n  - b\n\n    c\n    ```\n{}    ```\n- d\n", indent("    ")),
            format!("* ```py\n{}  ```\n", indent("  ")),
            format!("- So:\n\t```\n{}\t```\n", indent("\t")),
            format!("1. So:\n\n```\n{code}```\n"),
            format!("1. So:\n   ```\n{code}   ```\n"),
            format!("  ```\n{}  ```\n", indent("  ")),
        ] {
            let found = blocks(&text);
            assert_eq!(found.iter().map(|block| block.text.as_ref()).collect::<Vec<_>>(), [code], "{text}");
        }
        let inner = "def f(x):\n    \"\"\"\n    ```\n    f(1)\n    ```\n    \"\"\"\n    return x\n";
        let text = format!("1) So:\n   ```\n   {}   ```\n", inner.replace('\n', "\n   ").trim_end_matches(' '));
        assert_eq!(blocks(&text)[0].text, inner);
        // Code without a fence, whose text has one.
        assert!(blocks(inner).is_empty());
        assert_eq!(blocks("```\n  a\n b\n```\n")[0].text, "  a\n b\n");
    }
}
