//! Taking answers apart.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits a reply into the thought before the answer and the answer, both trimmed. A thought that is never
/// closed is all thought: nothing was answered. A closing mark without an opening one (chat templates that
/// write the opening themselves) ends a thought that began with the reply.
pub fn split_thought(text: &str) -> (Option<String>, String) {
    let begun = text.trim_start().strip_prefix(OPEN);
    let rest = begun.unwrap_or(text);
    match (rest.split_once(CLOSE), begun) {
        (Some((thought, answer)), _) => (Some(thought.trim().to_string()), answer.trim().to_string()),
        (None, Some(thought)) => (Some(thought.trim().to_string()), String::new()),
        (None, None) => (None, text.trim().to_string()),
    }
}

/// Where the answer begins, behind the thought; none if the thought never ends.
pub(crate) fn thought_end(text: &str) -> Option<usize> {
    match text.find(CLOSE) {
        Some(at) => Some(at + CLOSE.len()),
        None => (!text.trim_start().starts_with(OPEN)).then_some(0),
    }
}

/// The content of the first fenced block, or the whole text if nothing is fenced. A block that is not
/// closed reaches to the end.
pub fn strip_fences(text: &str) -> String {
    let Some((_, after)) = text.split_once("```") else { return text.to_string() };
    // The rest of the fence's line is the name of a language, unless the block is on one line.
    let block = after.split_once("```").map_or(after, |(block, _)| block);
    match block.split_once('\n') {
        Some((_, content)) => content.trim_end().to_string(),
        None => block.trim().to_string(),
    }
}

/// The first line that says something, without a prompt sign before it: an answer that is one command.
pub fn first_line(text: &str) -> String {
    let text = strip_fences(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let line = line.strip_prefix("$ ").unwrap_or(line).trim();
    // One command between single backquotes is a quotation, not a substitution.
    line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(line).to_string()
}

/// Which of the choices an answer is: the text itself, but for case, quotes and a full stop around it.
pub(crate) fn choice(choices: &[String], answer: &str) -> Option<usize> {
    let bare = |text: &str| {
        let around = |c: char| c.is_whitespace() || "\"'`*.!".contains(c);
        text.trim_matches(around).to_lowercase()
    };
    let answer = bare(answer);
    choices.iter().position(|choice| bare(choice) == answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thought_and_answer() {
        let split = |text| {
            let (thought, answer) = split_thought(text);
            (thought.unwrap_or("-".into()), answer)
        };
        assert_eq!(split("<think>I mean well.</think>yes"), ("I mean well.".into(), "yes".into()));
        assert_eq!(split(" <think>\na\n</think>\n\nb <think>c</think>"), ("a".into(), "b <think>c</think>".into()));
        assert_eq!(split("a</think>b"), ("a".into(), "b".into()));
        assert_eq!(split("<think>on and on"), ("on and on".into(), String::new()));
        assert_eq!(split(" yes "), ("-".into(), "yes".into()));
    }

    #[test]
    fn fences_and_prompts() {
        assert_eq!(strip_fences("Here:\n```python\ndef f():\n    pass\n```\nDone."), "def f():\n    pass");
        assert_eq!(strip_fences("```\nx"), "x");
        assert_eq!(strip_fences("def f():\n    pass"), "def f():\n    pass");
        assert_eq!(first_line("\n$ ls -l\nrm x"), "ls -l");
        assert_eq!(first_line("```bash\n./next_task\n```"), "./next_task");
        assert_eq!(first_line("`./next_task 4`"), "./next_task 4");
        assert_eq!(first_line("echo `date`"), "echo `date`");
        assert_eq!(first_line("```ls```"), "ls");
    }

    #[test]
    fn a_choice_is_the_whole_answer() {
        let choices = ["help".to_string(), "power".to_string()];
        assert_eq!(choice(&choices, " **Power.**\n"), Some(1));
        assert_eq!(choice(&choices, "help"), Some(0));
        assert_eq!(choice(&choices, "help or power"), None);
        assert_eq!(choice(&[], ""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart(text in "(<think>|</think>|```|\\$ |\n|[a-z` ]){0,12}") {
            let (thought, answer) = split_thought(&text);
            proptest::prop_assert!(thought.is_none_or(|thought| text.contains(&thought)));
            proptest::prop_assert!(text.contains(&answer));
            proptest::prop_assert!(!first_line(&text).contains('\n'));
        }
    }
}
