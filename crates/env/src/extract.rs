//! From what a model wrote to what it handed in: the code without the thought, the fence and the prose around it.

use crate::read::python;
use loophole_grade::{Language, Task, TaskForm};

/// How code is taken from a completion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extract {
    /// What follows the thought; the last fenced block of code in it, else all of it; and where a class `Solution` or
    /// another spelling of the name has the function that is asked for, that function.
    #[default]
    Auto,
    /// The completion as it is.
    None,
    /// The first fenced block; nothing where there is none.
    Fence,
    /// The last fenced block; nothing where there is none.
    LastFence,
}

impl Extract {
    /// All of them.
    pub const ALL: [Extract; 4] = [Extract::Auto, Extract::None, Extract::Fence, Extract::LastFence];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Extract::Auto => "auto",
            Extract::None => "none",
            Extract::Fence => "fence",
            Extract::LastFence => "last-fence",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Extract> {
        Extract::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The code.
    pub text: String,
    /// Which part of the completion it is, in words; `all of it` where nothing was left out and nothing added.
    pub what: String,
}

/// That nothing was left out and nothing added.
pub const WHOLE: &str = "all of it";
const THOUGHT_BEGINS: &str = "<think>";
const THOUGHT_ENDS: &str = "</think>";

/// Takes the code from a completion for a task.
pub fn extract(mode: Extract, task: &Task, completion: &str) -> Extracted {
    let mut said: Vec<String> = Vec::new();
    let text = match mode {
        Extract::None => return Extracted { text: completion.into(), what: WHOLE.into() },
        Extract::Fence => match blocks(completion).first() {
            Some(block) => block.text.to_string(),
            None => return Extracted { text: String::new(), what: "nothing: it has no fenced block".into() },
        },
        Extract::LastFence => match blocks(completion).last() {
            Some(block) => block.text.to_string(),
            None => return Extracted { text: String::new(), what: "nothing: it has no fenced block".into() },
        },
        Extract::Auto => {
            let answer = match completion.rfind(THOUGHT_ENDS) {
                Some(at) => {
                    said.push("what follows the thought".into());
                    &completion[at + THOUGHT_ENDS.len()..]
                }
                None if completion.trim_start().starts_with(THOUGHT_BEGINS) => {
                    return Extracted { text: String::new(), what: "nothing: its thought has no end".into() };
                }
                None => completion,
            };
            let blocks = blocks(answer);
            let code = blocks.iter().filter(|block| is_code(block.tag, task)).collect::<Vec<_>>();
            match code.last() {
                Some(block) => {
                    said.push(if code.len() == 1 {
                        "the fenced block".into()
                    } else {
                        format!("the last of {} fenced blocks", code.len())
                    });
                    block.text.to_string()
                }
                None if said.is_empty() => answer.to_string(),
                None => from_first_line(answer).to_string(),
            }
        }
    };
    let (text, named) = named(task, text);
    said.extend(named);
    let what = if said.is_empty() { WHOLE.into() } else { said.join(", ") };
    Extracted { text, what }
}

/// A text without the blank lines at its beginning; its first line keeps how far it is indented.
fn from_first_line(text: &str) -> &str {
    let blank = text.len() - text.trim_start().len();
    let begin = text[..blank].rfind('\n').map_or(blank, |at| at + 1);
    &text[begin..]
}

/// The text with the function that is asked for, where it has it under another name; and what was done.
fn named(task: &Task, text: String) -> (String, Option<String>) {
    if let TaskForm::HumanEval(_) | TaskForm::Program { .. } = task.form {
        return (text, None);
    }
    let Some(name) = task.entry_point() else { return (text, None) };
    if python::defines(&text, name) {
        return (text, None);
    }
    if let Some((with, said)) = python::as_function(&text, name) {
        return (with, Some(said));
    }
    let like: Vec<&str> = python::functions(&text).into_iter().filter(|other| python::alike(other, name)).collect();
    if let [other] = like[..] {
        let said = format!("its `{other}` as `{name}`");
        return (format!("{}\n\n{name} = {other}\n", text.trim_end_matches('\n')), Some(said));
    }
    // The rest of a function whose beginning is the statement's.
    if continues(&text) && python::defines(&task.statement, name) {
        return (
            format!("{}\n{text}", task.statement.trim_end_matches('\n')),
            Some("after the statement it continues".into()),
        );
    }
    (text, None)
}

/// Whether a text is the inside of a function: its first line of code is indented.
fn continues(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with([' ', '\t']))
}

struct Block<'a> {
    tag: &'a str,
    text: &'a str,
}

/// Whether a block with this tag may hold a solution.
fn is_code(tag: &str, task: &Task) -> bool {
    let tag = tag.trim_start_matches(['{', '.']).trim_end_matches('}');
    let tag = tag.split([' ', ',', ':', '{']).next().unwrap_or_default().to_ascii_lowercase();
    let wanted = task.program_language().unwrap_or(Language::Python);
    tag.is_empty()
        || Language::parse(&tag).is_some_and(|language| language == wanted)
        || tag.starts_with("ipython")
        || tag == "pycon"
}

/// The fenced blocks of a text: between a line that begins with three backticks (or tildes) or more, and the next line
/// of nothing but at least as many. The last one may lack its end.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, &str, &str)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (begin, end) = (at, at + line.len());
        at = end;
        let bare = line.trim_end();
        let inner = bare.trim_start_matches(' ');
        let indented = bare.len() - inner.len() > 3;
        match open {
            None if !indented => {
                let sign = if inner.starts_with("```") { '`' } else { '~' };
                let fence = inner.len() - inner.trim_start_matches(sign).len();
                let tag = inner[fence..].trim();
                if fence >= 3 && !tag.contains('`') {
                    open = Some((end, &inner[..fence], tag));
                }
            }
            Some((from, fence, tag))
                if !indented && inner.starts_with(fence) && inner.trim_start_matches(&fence[..1]).is_empty() =>
            {
                found.push(Block { tag, text: &text[from..begin] });
                open = None;
            }
            _ => {}
        }
    }
    if let Some((from, _, tag)) = open.filter(|(from, ..)| !text[*from..].trim().is_empty()) {
        found.push(Block { tag, text: &text[from..] });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Task {
        Task::new("t", TaskForm::function(name, Vec::new()))
    }

    #[test]
    fn the_last_fenced_block_of_code_after_the_thought_is_taken() {
        let code = "def f(x):\n    return x\n";
        for (text, what) in [
            (code.to_string(), WHOLE),
            (format!("```python\n{code}```"), "the fenced block"),
            (format!("Here:\n\n```\n{code}```\nOutput:\n```text\n5\n```\n"), "the fenced block"),
            (format!("```py\nx\n```\nBetter:\n~~~~python3 \r\n{code}~~~~\nDone."), "the last of 2 fenced blocks"),
            (
                format!("<think>\n```python\nno\n```\n</think>\n```python\n{code}```"),
                "what follows the thought, the fenced block",
            ),
            (format!("so</think>\n\n{code}"), "what follows the thought"),
            (format!("Cut off:\n```python\n{code}"), "the fenced block"),
        ] {
            let taken = extract(Extract::Auto, &function("f"), &text);
            assert_eq!((taken.text.as_str(), taken.what.as_str()), (code, what), "{text}");
        }
        let endless = extract(Extract::Auto, &function("f"), &format!("<think>\n```\n{code}```\n"));
        assert!(endless.text.is_empty() && endless.what.contains("no end"));
        let inline = "it is ```f```\n";
        assert_eq!(extract(Extract::Auto, &function("f"), inline).text, inline);
    }

    #[test]
    fn the_modes_do_as_they_are_called() {
        let text = "```a\n1\n```\n```b\n2\n```\n";
        let task = function("f");
        assert_eq!(extract(Extract::Fence, &task, text).text, "1\n");
        assert_eq!(extract(Extract::LastFence, &task, text).text, "2\n");
        assert_eq!(extract(Extract::None, &task, text).text, text);
        let none = extract(Extract::Fence, &task, "x = 1");
        assert!(none.text.is_empty() && none.what.starts_with("nothing"));
        assert!(Extract::ALL.into_iter().all(|mode| Extract::parse(mode.name()) == Some(mode)));
    }

    #[test]
    fn the_function_that_is_asked_for_is_found_under_other_names() {
        let class = "class Solution:\n    def twoSum(self, a):\n        return a\n";
        let taken = extract(Extract::Auto, &function("two_sum"), class);
        assert!(taken.text.contains("def two_sum(*args, **kwargs):\n    return Solution().twoSum("), "{}", taken.text);
        assert_eq!(taken.what, "method `twoSum` of its class Solution");
        let taken = extract(Extract::Auto, &function("two_sum"), "def TwoSum(a): return a\n");
        assert!(taken.text.ends_with("\n\ntwo_sum = TwoSum\n") && taken.what.contains("as `two_sum`"));
        let other = "def three_sum(a): return a\n";
        assert_eq!(extract(Extract::Auto, &function("two_sum"), other).text, other);
        let stated = Task { statement: "def f(x):\n    '''doc'''".into(), ..function("f") };
        assert_eq!(extract(Extract::Auto, &stated, "    return x\n").text, "def f(x):\n    '''doc'''\n    return x\n");
    }
}
