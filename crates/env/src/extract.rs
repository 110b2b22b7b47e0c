//! From what a model wrote to what it handed in: the code without the thought, the fence and the prose around it.

mod fences;
mod thought;

use crate::read::python;
use fences::{Block, blocks};
use loophole_grade::{Language, Submission, Task, TaskForm};

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

    /// The one of that name.
    ///
    /// # Errors
    /// Names those there are.
    pub fn known(name: &str) -> Result<Extract, String> {
        let known = || Extract::ALL.map(Extract::name).join(", ");
        Extract::parse(name).ok_or_else(|| format!("--extract {name:?} is none of {}", known()))
    }
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The code.
    pub text: String,
    /// Which part of the completion it is, in words; `all of it` where nothing was left out and nothing added.
    pub what: String,
    /// The language it says it is in, where that is not the task's.
    pub language: Option<Language>,
}

impl Extracted {
    fn of(text: impl Into<String>, what: &str) -> Extracted {
        Extracted { text: text.into(), what: what.into(), language: None }
    }

    /// What was taken as what is handed in.
    pub fn submission(self) -> Submission {
        match self.language {
            Some(language) => Submission::Program { language, source: self.text },
            None => Submission::Completion(self.text),
        }
    }
}

/// That nothing was left out and nothing added.
pub const WHOLE: &str = "all of it";

/// Takes the code from a completion for a task.
pub fn extract(mode: Extract, task: &Task, completion: &str) -> Extracted {
    extract_in(None, mode, task, completion)
}

/// The same, where the language of a program is said beside it.
pub fn extract_in(said_language: Option<Language>, mode: Extract, task: &Task, completion: &str) -> Extracted {
    let mut said: Vec<String> = Vec::new();
    // A function is one of Python, whatever is said.
    let own = task.program_language();
    let mut language = said_language.filter(|_| own.is_some());
    let fenced = |block: Option<&Block<'_>>| match block {
        Some(block) => Ok((block.text.to_string(), language.or(block.language().filter(|_| own.is_some())))),
        None => Err(Extracted::of("", "nothing: it has no fenced block")),
    };
    let text = match mode {
        Extract::None => completion.to_string(),
        Extract::Fence | Extract::LastFence => {
            let blocks = blocks(completion);
            match fenced(if mode == Extract::Fence { blocks.first() } else { blocks.last() }) {
                Ok((text, found)) => {
                    language = found;
                    text
                }
                Err(nothing) => return nothing,
            }
        }
        Extract::Auto => {
            let Some(begin) = thought::answer_begins(completion) else {
                return Extracted::of("", "nothing: its thought has no end");
            };
            if begin > 0 {
                said.push("what follows the thought".into());
            }
            let answer = &completion[begin..];
            let cut = without_end_tokens(answer);
            if cut.len() < answer.len() {
                said.push("without its end token".into());
            }
            let answer = cut;
            let blocks = blocks(answer);
            let code = code_of(&blocks, language.or(own).unwrap_or_default(), own.is_some());
            match code.last() {
                Some(block) => {
                    language = language.or(block.language().filter(|_| own.is_some()));
                    said.push(if code.len() == 1 {
                        "the fenced block".into()
                    } else {
                        format!("the last of {} fenced blocks", code.len())
                    });
                    block.text.to_string()
                }
                None if begin == 0 => answer.to_string(),
                None => from_first_line(answer).to_string(),
            }
        }
    };
    if mode == Extract::None {
        return Extracted { language: language.filter(|found| Some(*found) != own), ..Extracted::of(text, WHOLE) };
    }
    let (text, named) = named(task, text);
    said.extend(named);
    let language = language.filter(|found| Some(*found) != own);
    if let Some(language) = language {
        said.push(format!("as {}", language.name()));
    }
    let what = if said.is_empty() { WHOLE.into() } else { said.join(", ") };
    Extracted { text, what, language }
}

/// What servers leave at the end of an answer when special tokens are not cut off.
const END_TOKENS: [&str; 8] = [
    "</s>",
    "<eos>",
    "<pad>",
    "[EOS]",
    "<end_of_turn>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<EOT>",
    "[PAD]",
];

/// A text without the end tokens it closes with: those by name, and any `<|name|>`.
fn without_end_tokens(text: &str) -> &str {
    let mut rest = text;
    loop {
        let bare = rest.trim_end();
        let named = END_TOKENS.iter().find_map(|token| bare.strip_suffix(token));
        let any = || {
            let inner = bare.strip_suffix("|>")?;
            let at = inner.rfind("<|")?;
            let name = &inner[at + 2..];
            let is_name = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            is_name.then(|| &bare[..at])
        };
        match named.or_else(any) {
            Some(cut) => rest = cut,
            None => return rest,
        }
    }
}

/// The blocks that may be the solution, the likeliest kind alone: in the language that is wanted; else, where a program
/// is asked for, in another that programs can be in; else those that say nothing; else scripts of a shell, which mostly
/// say how to run the rest.
fn code_of<'a, 'b>(blocks: &'b [Block<'a>], wanted: Language, program: bool) -> Vec<&'b Block<'a>> {
    let kind = |block: &Block<'_>| match block.language() {
        Some(language) if language == wanted => Some(0),
        _ if block.word().is_empty() => Some(2),
        Some(Language::Bash) if program => Some(3),
        Some(_) if program => Some(1),
        _ => None,
    };
    let best = blocks.iter().filter_map(kind).min();
    blocks.iter().filter(|block| best.is_some() && kind(block) == best).collect()
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
            (format!("```python\n{code}```<|im_end|>\n<|endoftext|>"), "without its end token, the fenced block"),
            (format!("{code}</s>"), "without its end token"),
            (format!("```python\n{code}```\nIt prints\n```\n5\n```\n"), "the fenced block"),
            ("1. So:\n\n   ```py\n   def f(x):\n       return x\n   ```\n2. Done.\n".into(), "the fenced block"),
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
    fn a_program_is_in_the_language_that_is_said_of_it() {
        let task = Task::new("p", TaskForm::program(Language::Python));
        let c = "int main() { return 0; }\n";
        let run = "gcc x.c\n";
        for (said, text, taken, language) in [
            (None, format!("So:\n```c\n{c}```\n"), c, Some(Language::C)),
            (
                None,
                format!("```C++ linenums\n{c}```\nRun it:\n```bash\n{run}```\n```\n5\n```\n"),
                c,
                Some(Language::Cpp),
            ),
            (None, format!("```bash\n{run}```\n"), run, Some(Language::Bash)),
            (None, format!("```\n{c}```\n```sh\n{run}```\n"), c, None),
            (None, format!("```rust\n{c}```\n```python\nprint()\n```\n"), "print()\n", None),
            (Some(Language::C), format!("```\n{c}```\n"), c, Some(Language::C)),
            (Some(Language::C), c.to_string(), c, Some(Language::C)),
            (Some(Language::C), format!("```c\n{c}```\n```python\nprint()\n```\n"), c, Some(Language::C)),
        ] {
            let found = extract_in(said, Extract::Auto, &task, &text);
            assert_eq!((found.text.as_str(), found.language), (taken, language), "{text}");
            assert_eq!(
                found.what.contains(" as "),
                language.is_some() && !found.what.starts_with("as "),
                "{}",
                found.what
            );
        }
        // A function is one of Python.
        let text = format!("```c\n{c}```\n");
        assert_eq!(extract(Extract::Auto, &function("f"), &text).language, None);
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
