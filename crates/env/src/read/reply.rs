//! What was handed in, out of what it stands in: a conversation, a list of one, a reply as servers of models give it.

use super::row::Row;
use serde_json::value::RawValue;

/// Who speaks in a conversation and does not answer; each trainer has its own names.
const OTHERS: [&str; 9] =
    ["user", "human", "system", "developer", "tool", "function", "ipython", "observation", "environment"];
/// Where the text of a message stands.
const CONTENTS: [&str; 2] = ["content", "value"];
/// Where the text of an answer stands that is no message.
const TEXTS: [&str; 3] = ["text", "generated_text", "output_text"];

impl Row {
    /// What was handed in under a name: a text, what a conversation's assistant says last, the one answer of a list, or
    /// that of a reply.
    pub(super) fn answer(&self, name: &str) -> Option<String> {
        let Some(text) = self.text(name) else { return within(&self.inner(name)?) };
        // A conversation that was written as a text; code is none, however it begins.
        let said = || text.trim_start().starts_with("[{").then(|| within(&self.inner(name)?)).flatten();
        Some(said().unwrap_or(text))
    }
}

fn within(json: &str) -> Option<String> {
    let Some(list) = list(json) else { return of_reply(&Row::parse(json).ok()?) };
    match (&list[..], list.last()?.get()) {
        // A batch of one.
        ([one], last) => match self::list(last) {
            Some(within) => of_list(&within),
            None => of_list(std::slice::from_ref(one)),
        },
        _ => of_list(&list),
    }
}

fn list(json: &str) -> Option<Vec<Box<RawValue>>> {
    serde_json::from_str(json).ok()
}

/// What is said last in a conversation by who answers, or the one text of a list. Of several answers none is the answer.
fn of_list(list: &[Box<RawValue>]) -> Option<String> {
    let last = list.last()?.get();
    match (Row::parse(last), list.len()) {
        (Ok(one), 1) => of_reply(&one),
        (Ok(_), _) => list.iter().rev().find_map(|turn| of_message(&Row::parse(turn.get()).ok()?)),
        (Err(_), 1) => serde_json::from_str(last).ok(),
        (Err(_), _) => None,
    }
}

/// The text of a reply: one with `choices` of which there is one, one with a message, a message, or a text by name.
fn of_reply(reply: &Row) -> Option<String> {
    let choices = ["choices", "body.choices"].iter().find_map(|name| reply.list(name));
    let chosen = match &choices {
        Some(choices) => Some(Row::parse(choices.first().filter(|_| choices.len() == 1)?.get()).ok()?),
        None => None,
    };
    let one = chosen.as_ref().unwrap_or(reply);
    match one.object("message") {
        Some(message) => of_message(&message),
        None => of_message(one).or_else(|| TEXTS.iter().find_map(|name| one.content(name))),
    }
}

/// What a message says to the user; nothing where it is somebody else's.
fn of_message(message: &Row) -> Option<String> {
    let role = message.text_of(&["role", "from"]).unwrap_or_default().to_ascii_lowercase();
    if OTHERS.contains(&role.as_str()) {
        return None;
    }
    let text = CONTENTS.iter().find_map(|name| message.content(name))?;
    // Beside calls of tools nothing need be said.
    (!text.trim().is_empty() || !message.has("tool_calls")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_of_who_answers_is_the_answer() {
        let user = r#"{"role": "user", "content": "q"}"#;
        let says = r#"{"role": "assistant", "content": "x"}"#;
        let calls = r#"{"role": "assistant", "content": null, "tool_calls": [{}]}"#;
        let tool = r#"{"role": "tool", "content": "ok"}"#;
        for (json, answer) in [
            (r#""x""#.to_string(), Some("x")),
            (r#"["x"]"#.into(), Some("x")),
            (r#"["x", "y"]"#.into(), None),
            (format!("[{user}, {says}]"), Some("x")),
            (format!("[{user}, {says}, {user}]"), Some("x")),
            (format!("[{user}, {calls}, {tool}, {says}]"), Some("x")),
            (format!("[{user}, {says}, {calls}, {tool}]"), Some("x")),
            (format!("[{user}]"), None),
            (format!("[{says}, {user}, {}]", says.replace('x', "")), Some("")),
            (format!("[[{user}, {says}]]"), Some("x")),
            (serde_json::json!(format!("[{user}, {says}]")).to_string(), Some("x")),
            (r#"[{"from": "human", "value": "q"}, {"from": "gpt", "value": "x"}]"#.into(), Some("x")),
            (r#"[{"type": "reasoning", "summary": []}, {"role": "assistant", "content": [{"type": "output_text", "text": "x"}]}]"#.into(), Some("x")),
            (r#"{"role": "assistant", "content": [{"type": "thinking", "text": "t"}, {"type": "text", "text": "x"}]}"#.into(), Some("x")),
            (format!(r#"{{"choices": [{{"index": 0, "message": {says}}}], "usage": {{}}}}"#), Some("x")),
            (format!(r#"{{"status_code": 200, "body": {{"choices": [{{"message": {says}}}]}}}}"#), Some("x")),
            (r#"{"choices": [{"text": "x"}]}"#.into(), Some("x")),
            (format!(r#"{{"choices": [{{"message": {says}}}, {{"message": {says}}}]}}"#), None),
            (format!(r#"[{{"index": 0, "message": {says}}}]"#), Some("x")),
            (r#"[{"generated_text": "x"}]"#.into(), Some("x")),
            (r#"[{"text": "x"}, {"text": "y"}]"#.into(), None),
        ] {
            let row = Row::parse(&format!("{{\"it\": {json}}}")).unwrap();
            assert_eq!(row.answer("it").as_deref(), answer, "{json}");
        }
    }
}
