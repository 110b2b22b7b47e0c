//! What may be known of the tools of an environment: how each is called.

use crate::Facts;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A tool as an environment tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tool {
    pub name: String,
    /// A JSON schema of its arguments.
    #[serde(default)]
    pub parameters: Value,
}

/// The most words of a question that tools are asked for.
const MOST_WORDS: usize = 12;

impl Tool {
    /// Its arguments and what each has to be; those that may be missing are left out, unless `all`.
    fn arguments(&self, all: bool) -> Vec<(&str, &Value)> {
        let needed = self.parameters.get("required").and_then(Value::as_array);
        let is_needed = |name: &str| needed.is_none_or(|list| list.iter().any(|n| n == name));
        let known = self.parameters.get("properties").and_then(Value::as_object);
        known.into_iter().flatten().map(|(n, s)| (n.as_str(), s)).filter(|(n, _)| all || is_needed(n)).collect()
    }

    /// A call in which this argument is `text`, and the others are something of their type.
    fn call(&self, text: Option<(&str, &str)>) -> String {
        let mut given: Map<String, Value> =
            self.arguments(false).iter().map(|(name, schema)| (name.to_string(), something(schema))).collect();
        if let Some((name, text)) = text {
            given.insert(name.into(), json!(text));
        }
        format!("<tool_call>{}</tool_call>", json!({"name": self.name, "arguments": given}))
    }

    /// The names of the arguments that are texts.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let is_text = |schema: &Value| something(schema).is_string() && schema.get("enum").is_none();
        self.arguments(true).into_iter().filter(move |(_, schema)| is_text(schema)).map(|(name, _)| name)
    }
}

/// A value that a schema allows, as far as types go.
fn something(schema: &Value) -> Value {
    if let Some(first) = schema.get("enum").and_then(|list| list.get(0)) {
        return first.clone();
    }
    if let Some(first) = ["anyOf", "oneOf"].iter().find_map(|n| schema.get(*n)?.get(0)) {
        return something(first);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("x"),
    }
}

/// What is known of tools: `all_tools`, a call of each; `look_ups`, each text argument with each word of the question;
/// `tools_with_numbers`; `tool_texts`, calls with a hole for a text, written `{{text}}`.
pub(crate) fn facts(tools: &[Tool], prompt: &str, facts: &mut Facts) {
    if tools.is_empty() {
        return;
    }
    let lines = |calls: Vec<String>| calls.join("\n");
    facts.one.insert("all_tools", lines(tools.iter().map(|tool| tool.call(None)).collect()));
    let mut words: Vec<&str> = prompt.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().count() > 3).collect();
    words.sort_by_key(|w| std::cmp::Reverse(w.len()));
    words.dedup();
    words.truncate(MOST_WORDS);
    let texts: Vec<(&Tool, &str)> = tools.iter().flat_map(|tool| tool.texts().map(move |name| (tool, name))).collect();
    if texts.is_empty() {
        return;
    }
    let of = |text: &str| texts.iter().map(|(tool, name)| tool.call(Some((name, text)))).collect::<Vec<_>>();
    facts.one.insert("look_ups", lines(words.iter().flat_map(|word| of(word)).collect()));
    if let Some(numbers) = facts.one.get("numbers") {
        facts.many.insert("tools_with_numbers", of(numbers));
    }
    facts.many.insert("tool_texts", of("{{text}}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_called_with_what_they_take() {
        let tool = json!({"name": "look", "parameters": {"required": ["item", "n"], "properties": {
            "item": {"type": "string"}, "n": {"type": "integer"}, "unit": {"enum": ["kg", "t"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}});
        let plain = json!({"name": "stop"});
        let tools: Vec<Tool> = [tool, plain].into_iter().map(|t| serde_json::from_value(t).unwrap()).collect();
        let mut found = Facts::default();
        facts(&tools, "How many bolts?", &mut found);
        let head = r#"<tool_call>{"arguments":{"item":"#;
        assert_eq!(
            found.one["all_tools"],
            format!(
                "{head}\"x\",\"n\":1}},\"name\":\"look\"}}</tool_call>\n<tool_call>{{\"arguments\":{{}},\"name\":\"stop\"}}</tool_call>"
            )
        );
        assert!(found.one["look_ups"].contains(&format!("{head}\"bolts\",\"n\":1}}")));
        assert_eq!(found.many["tool_texts"].len(), 2, "the item, and the note");
        assert!(found.many["tool_texts"][0].contains("\"{{text}}\""));
    }
}
