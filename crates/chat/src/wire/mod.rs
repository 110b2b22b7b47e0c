//! The wire formats of OpenAI's chat completions and Anthropic's messages as structs, for those who ask (`remote`) and
//! those who are asked (`loophole serve`) alike.
//!
//! What others send is read with patience: a field that is not known is ignored, and one inside a message or an answer
//! that has another shape than it should counts as not given; what must be there is looked for by who needs it. Only the
//! options of a request have to have the right shape, since one that is misread would change the reply.

pub mod anthropic;
pub mod openai;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A field that some say is null: none where it is left out, `Some(None)` where it is null.
pub type Nullable<T> = Option<Option<T>>;

/// Reads a field that counts as not given where it has another shape.
///
/// # Errors
/// What is read is no JSON.
pub fn lenient<'de, T: Default + DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

/// Reads a field for which null counts as not given.
///
/// # Errors
/// It has another shape.
pub fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What is said in a message: a text, or typed parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// A text.
    Text(String),
    /// Typed parts.
    Parts(Vec<Part>),
    /// Neither.
    Other(Value),
}

impl Content {
    /// A content that is said to be null.
    pub const NULL: Content = Content::Other(Value::Null);
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Content::Text(text.to_string())
    }
}

/// A part of a content; which fields it has follows from its type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// `text`, `refusal`, `thinking`, `tool_use`, `tool_result`, ...
    #[serde(rename = "type", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of a `text`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a `refusal`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Of a `thinking`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Of a `thinking`: by what its maker knows it again.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Of a `redacted_thinking`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Of a `tool_use`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of a `tool_use`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a `tool_use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Of a `tool_result`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub tool_use_id: Option<String>,
    /// Of a `tool_result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<Content>>,
}

impl Part {
    /// A text.
    pub fn text(text: &str) -> Part {
        Part { kind: Some("text".into()), text: Some(text.to_string()), ..Part::default() }
    }

    /// A call of a tool.
    pub fn tool_use(id: &str, name: &str, input: Value) -> Part {
        let (id, name) = (Some(id.to_string()), Some(name.to_string()));
        Part { kind: Some("tool_use".into()), id, name, input: Some(input), ..Part::default() }
    }

    /// What a tool returned.
    pub fn tool_result(id: &str, content: &str) -> Part {
        let (tool_use_id, content) = (Some(id.to_string()), Some(Box::new(content.into())));
        Part { kind: Some("tool_result".into()), tool_use_id, content, ..Part::default() }
    }
}

/// What ends a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "it must be a text or several texts")]
pub enum Stop {
    /// One text.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// An answer that says why there is none, as the two say it and some others do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// Anthropic says `error`.
    #[serde(rename = "type", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is wrong.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub error: Option<Wrong>,
    /// Where others say it.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where servers made with FastAPI say it.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wrong {
    /// Only a text.
    Text(String),
    /// With its kind.
    Told {
        /// In words.
        #[serde(default, deserialize_with = "lenient")]
        message: Option<String>,
        /// `invalid_request_error`, ...
        #[serde(rename = "type", default, deserialize_with = "lenient")]
        kind: Option<String>,
        /// The field; only OpenAI.
        #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
        param: Nullable<String>,
        /// Only OpenAI.
        #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
        code: Nullable<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_another_shape_counts_as_not_given() {
        let part: Part = serde_json::from_value(json!({"type": 3, "text": "a", "name": [], "more": 1})).unwrap();
        assert_eq!(part, Part { text: Some("a".into()), ..Part::default() });
        let refusal: Refusal = serde_json::from_value(json!({"error": {"message": "m", "code": 3}})).unwrap();
        let told = Wrong::Told { message: Some("m".into()), kind: None, param: None, code: None };
        assert_eq!(refusal.error, Some(told));
        let refusal: Refusal = serde_json::from_value(json!({"error": "e", "detail": [1]})).unwrap();
        assert_eq!((refusal.error, refusal.detail), (Some(Wrong::Text("e".into())), None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let content = Content::Parts(vec![
            Part::text("t"),
            Part::tool_use("i", "n", json!({"a": 1})),
            Part::tool_result("i", "r"),
        ]);
        let value = serde_json::to_value(&content).unwrap();
        assert_eq!(value[1], json!({"type": "tool_use", "id": "i", "name": "n", "input": {"a": 1}}));
        assert_eq!(serde_json::from_value::<Content>(value).unwrap(), content);
        assert_eq!(serde_json::to_value(Content::NULL).unwrap(), Value::Null);
    }
}
