//! Where a thought ends. Its sign may also stand in what a model writes about thoughts: in code that strips them, in
//! what is said of that code.

use super::fences;

const BEGINS: &str = "<think>";
const ENDS: &str = "</think>";
/// Signs that are looked at; where there are more, nobody writes about them.
const MOST: usize = 64;
/// How much of a line before a sign and after it is looked at.
const LINE: usize = 512;

/// Where the answer begins: after the thought, at 0 where there is none; nothing where a thought has no end.
///
/// That is the first place after which the sign stands in code alone. Where a thought ends nobody can tell for sure: a
/// model may begin a fence in its thought and never end it, and then the answer, fence and all, stands in that block.
pub(super) fn answer_begins(text: &str) -> Option<usize> {
    let ends: Vec<usize> = text.match_indices(ENDS).map(|(at, _)| at).filter(|at| !is_named(text, *at)).collect();
    if ends.is_empty() {
        return (!text.trim_start().starts_with(BEGINS)).then_some(0);
    }
    let first = if ends.len() > MOST { ends.len() } else { 0 };
    (first..=ends.len()).find_map(|count| {
        let begin = if count == 0 { 0 } else { ends[count - 1] + ENDS.len() };
        are_code(text, begin, &ends[count..]).then_some(begin)
    })
}

/// Whether the sign is spoken of: it stands by itself in quotes, or in the backticks of code within a line.
fn is_named(text: &str, at: usize) -> bool {
    let (before, after) = (&text[..at], &text[at + ENDS.len()..]);
    ['"', '\'', '`'].iter().any(|quote| before.ends_with(*quote) && after.starts_with(*quote))
        // Those of a fence speak of nothing.
        && !before.ends_with("``")
        && !after.starts_with("``")
}

/// Whether these ends all stand in blocks of code of the answer, if it begins there.
fn are_code(text: &str, begin: usize, ends: &[usize]) -> bool {
    if ends.is_empty() {
        return true;
    }
    let answer = &text[begin..];
    let blocks = fences::all(answer);
    // A fence that nothing ends at last: one before it may be none.
    let even = blocks.last().is_some_and(|block| block.closed);
    ends.iter().map(|end| end - begin).all(|end| {
        let index = blocks.partition_point(|block| block.at.end <= end);
        let Some(block) = blocks.get(index).filter(|block| block.closed && block.at.contains(&end)) else {
            return false;
        };
        let begins = |from: usize, to: usize| answer[from..to].contains(BEGINS);
        let outside = || {
            let mut from = 0;
            blocks[..=index].iter().any(|block| begins(std::mem::replace(&mut from, block.at.end), block.at.start))
        };
        // The answer's own fence, after one in the thought that has no end; and a thought that began before the block.
        if block.reopened.is_some_and(|at| at > end) || outside() {
            return false;
        }
        let line = Line::around(answer, end);
        if fences::fence_of(line.after.trim()).is_some() {
            return false;
        }
        begins(block.at.start, end) || line.quotes() || (even && !line.is_bare())
    })
}

/// What stands beside a sign on its line.
struct Line<'a> {
    before: &'a str,
    after: &'a str,
}

impl Line<'_> {
    fn around(text: &str, at: usize) -> Line<'_> {
        let (mut from, mut to) = (at.saturating_sub(LINE), (at + ENDS.len() + LINE).min(text.len()));
        while !text.is_char_boundary(from) {
            from += 1;
        }
        while !text.is_char_boundary(to) {
            to -= 1;
        }
        let (before, after) = (&text[from..at], &text[at + ENDS.len()..to]);
        Line {
            before: before.rsplit('\n').next().unwrap_or_default(),
            after: after.split('\n').next().unwrap_or_default(),
        }
    }

    /// Whether it stands in quotes of the line.
    fn quotes(&self) -> bool {
        ['"', '\''].iter().any(|quote| self.before.matches(*quote).count() % 2 == 1 && self.after.contains(*quote))
    }

    /// Whether nothing stands beside it.
    fn is_bare(&self) -> bool {
        self.before.trim().is_empty() && self.after.trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thought_ends_where_it_ends_and_not_where_code_is_about_thoughts() {
        let strips =
            "def f(s):\n    # What follows </think> counts.\n    return re.sub(r'<think>.*?</think>', '', s)\n";
        let text = "T = '''<think>\na\n</think>\nb'''\n";
        let code = format!("```python\n{strips}```\n");
        for answer in [
            code.clone(),
            format!("{code}It takes `</think>` as the end.\n"),
            format!("{code}Output:\n```text\n5\n```\n"),
            format!("So:\n```python\n{text}```\nor\n{code}"),
            "return s.split('</think>')[-1]\n".into(),
            "x = 1\n".into(),
        ] {
            for thought in [
                "",
                "so it is\n</think>",
                "<think>\nI take `</think>`, or \"</think>\".\n</think>\n",
                "<think>\n```python\nx\n```\n</think>\n",
                "<think>a</think>Hm.\n<think>b: ```python\nx\n```\n</think>\n",
                "<think>\n```python\nx = 1\nno, wait\n</think>\n",
                "```python\nx = 1\nno, wait\n</think>\n",
                "```\nx = 1\nit's wrong</think>",
            ] {
                let whole = format!("{thought}{answer}");
                let begins = answer_begins(&whole).unwrap();
                assert_eq!(whole[begins..].trim_start(), answer, "{whole}");
            }
        }
        // An answer in a fence without a tag, after a thought whose fence has no end.
        let whole = "```\nx\n</think>\n```\ny\n```\n";
        assert_eq!(answer_begins(whole), whole.find("\n```\ny"));
        let whole = "```\nx, so done.</think>Here:\n```\ny\n```\n";
        assert_eq!(answer_begins(whole), whole.find("Here"));
        assert_eq!(answer_begins("<think>\nI take `</think>` as"), None);
        let many = "</think>".repeat(1000);
        assert_eq!(answer_begins(&many), Some(many.len()));
    }
}
