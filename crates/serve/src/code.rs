//! The code in what a policy says.

/// The last fenced block after the last `</think>`, or all that stands there if nothing is fenced. A block that is not
/// closed reaches to the end; a thought that is not closed is no answer.
pub(crate) fn code(completion: &str) -> String {
    let answer = match completion.rfind("</think>") {
        Some(at) => &completion[at + "</think>".len()..],
        None if completion.trim_start().starts_with("<think>") => return String::new(),
        None => completion,
    };
    let mut last = None::<String>;
    let mut open: Option<(usize, Vec<&str>)> = None;
    for line in answer.lines() {
        let ticks = line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
        match &mut open {
            None if ticks >= 3 => open = Some((ticks, Vec::new())),
            // A fence is closed by as many ticks, and nothing after them.
            Some((opened, lines)) if ticks >= *opened && line.trim().bytes().all(|byte| byte == b'`') => {
                last = Some(joined(lines));
                open = None;
            }
            Some((_, lines)) => lines.push(line),
            None => {}
        }
    }
    if let Some((_, lines)) = open.filter(|(_, lines)| !lines.is_empty()) {
        last = Some(joined(&lines));
    }
    last.unwrap_or_else(|| answer.to_string())
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// What is left of `query` without its prompt and without the special tokens at its end (`<|im_end|>`, `</s>`, ...).
pub(crate) fn response<'a>(query: &'a str, prompt: &str) -> &'a str {
    let mut rest = query.strip_prefix(prompt).unwrap_or(query);
    loop {
        let trimmed = rest.trim_end();
        let Some(at) = trimmed.strip_suffix('>').and_then(|head| head.rfind('<')) else { return trimmed };
        let token = &trimmed[at..];
        let special = token.starts_with("<|") && token.ends_with("|>")
            || matches!(token, "</s>" | "<s>" | "<eos>" | "<pad>" | "<end_of_turn>" | "<unk>")
            || token.starts_with("<｜") && token.ends_with("｜>");
        if !special {
            return trimmed;
        }
        rest = &trimmed[..at];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_after_the_thought_is_the_code() {
        assert_eq!(code("def f(): pass\n"), "def f(): pass\n");
        assert_eq!(
            code("<think>```python\nno\n```</think>So:\n```python\na = 1\n```\nor\n```py\nb = 2\n```\n."),
            "b = 2\n"
        );
        assert_eq!(code("text\n```\nx"), "x\n");
        assert_eq!(code("<think>\n```python\nx\n```"), "");
        assert_eq!(code("````md\n```\nx\n```\n````"), "```\nx\n```\n");
        assert_eq!(code("a</think>b"), "b");
        assert_eq!(code("  ```python\n  x = 1\n  ```"), "  x = 1\n");
    }

    #[test]
    fn prompts_and_special_tokens_are_cut() {
        assert_eq!(
            response("<|user|>q<|a|>def f(): return 1<|im_end|>\n<|endoftext|>", "<|user|>q<|a|>"),
            "def f(): return 1"
        );
        assert_eq!(response("a</s></s>", "other"), "a");
        assert_eq!(response("x = a < b > c", ""), "x = a < b > c");
        assert_eq!(response("", ""), "");
    }
}
