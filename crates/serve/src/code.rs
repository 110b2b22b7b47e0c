//! What a policy said, in what a trainer hands on.

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
