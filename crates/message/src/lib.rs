//! What is said in a conversation with a model: [`Message`] and its parts, one type for the world's documents, the
//! chat templates, the clients and the battery. Plain data, no behaviour.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The frame of the conversation.
    System,
    /// Whoever talks to the model.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

impl Role {
    /// The name chat formats use.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// One message of a conversation. As JSON it is `{"role", "content"}` unless tools are involved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; for a tool, what it returned.
    pub content: String,
    /// Calls the assistant makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// For a tool: the call this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What the assistant thought before it, where an endpoint gave that apart: in the endpoint's own form, in which it
    /// wants it back. Others need not understand it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Value>,
}

impl Message {
    /// A message of the given role.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Message { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None, reasoning: None }
    }

    /// The frame of the conversation.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// Something said to the model.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// Something the model said.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// What a call returned.
    pub fn tool(call: &ToolCall, content: impl Into<String>) -> Self {
        Message { tool_call_id: Some(call.id.clone()), ..Self::new(Role::Tool, content) }
    }

    /// The same message with calls.
    #[must_use]
    pub fn with_calls(mut self, calls: Vec<ToolCall>) -> Self {
        self.tool_calls = calls;
        self
    }
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id, which the result names again; unique in its conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments by name: an object. If what the model wrote is no JSON object, it is kept here as a string.
    pub arguments: Value,
}

impl ToolCall {
    /// A call whose arguments are the text a model wrote.
    pub fn from_text(id: impl Into<String>, name: impl Into<String>, arguments: &str) -> Self {
        let parsed = match serde_json::from_str(if arguments.trim().is_empty() { "{}" } else { arguments }) {
            Ok(Value::Object(object)) => Value::Object(object),
            _ => Value::String(arguments.to_string()),
        };
        ToolCall { id: id.into(), name: name.into(), arguments: parsed }
    }

    /// The arguments by name; none if what the model wrote is no JSON object.
    pub fn arguments(&self) -> Option<&Map<String, Value>> {
        self.arguments.as_object()
    }

    /// An argument that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.arguments()?.get(name)?.as_str()
    }
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON schema of its arguments, an object schema.
    pub parameters: Value,
}

impl ToolSpec {
    /// A tool whose arguments are texts that must all be given: `(name, what it is)`.
    pub fn of_texts(name: &str, description: &str, arguments: &[(&str, &str)]) -> Self {
        let text = |what: &str| serde_json::json!({ "type": "string", "description": what });
        let properties: Map<String, Value> =
            arguments.iter().map(|(name, what)| ((*name).to_string(), text(what))).collect();
        let required: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
        ToolSpec {
            name: name.to_string(),
            description: description.to_string(),
            parameters: serde_json::json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plain_message_is_role_and_content() {
        let message = Message::user("hi");
        assert_eq!(serde_json::to_value(&message).unwrap(), json!({"role": "user", "content": "hi"}));
        assert_eq!(serde_json::from_value::<Message>(json!({"role": "user", "content": "hi"})).unwrap(), message);
        let call = ToolCall::from_text("1", "bash", r#"{"command": "ls"}"#);
        let turn = Message::assistant("").with_calls(vec![call.clone()]);
        let back: Message = serde_json::from_str(&serde_json::to_string(&turn).unwrap()).unwrap();
        assert_eq!(back, turn);
        assert_eq!(Message::tool(&call, "a\n").tool_call_id.as_deref(), Some("1"));
    }

    #[test]
    fn arguments_are_an_object_or_the_text_itself() {
        let call = |text| ToolCall::from_text("1", "bash", text);
        assert_eq!(call(r#"{"command": "ls"}"#).text("command"), Some("ls"));
        assert_eq!(call(r#"{"command": 3}"#).text("command"), None);
        assert_eq!(call("").arguments().map(Map::len), Some(0));
        for wrong in ["ls -l", r#"{"command": "ls"#, "[1]", "null", "3"] {
            assert_eq!((call(wrong).arguments(), &call(wrong).arguments), (None, &json!(wrong)));
        }
    }

    #[test]
    fn a_tool_of_texts_has_an_object_schema() {
        let tool = ToolSpec::of_texts("bash", "Runs a command.", &[("command", "what to run")]);
        assert_eq!(tool.parameters["properties"]["command"]["type"], "string");
        assert_eq!(tool.parameters["required"], json!(["command"]));
    }
}
