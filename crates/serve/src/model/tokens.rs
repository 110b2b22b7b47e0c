//! `POST /tokenize`, `/detokenize` and `GET /tokenizer_info`, as vLLM answers them.

use std::sync::Arc;

use loophole_chat::wire::openai::{Message as Sent, Tool, ToolFunction};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Model;
use super::answer::Answer;
use super::openai::message;
use super::sampling::{tool, without};
use crate::http::body::few;
use crate::problem::{Form, Problem};

/// Most tokens of a text that is asked for.
const MOST_TOKENS: usize = 1 << 20;

/// `POST /tokenize`: a text, or a conversation.
#[derive(Deserialize)]
pub(crate) struct Text {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<Sent>>,
    #[serde(default)]
    tools: Vec<Tool>,
    /// Whether tokens that the tokenizer's makers put around a text are there; of a conversation its template says it.
    add_special_tokens: Option<bool>,
    #[serde(default)]
    return_token_strs: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `POST /detokenize`.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    model: Option<String>,
    #[serde(deserialize_with = "few::<MOST_TOKENS, _, _>")]
    tokens: Vec<u32>,
}

/// The model that is named; where none is, the one that is served.
fn of(model: &Arc<Model>, name: Option<&str>) -> Result<Arc<Model>, Problem> {
    name.map_or_else(|| Ok(model.clone()), |name| model.named(name))
}

pub(crate) fn tokenize(model: &Arc<Model>, body: Text, answer: Answer) {
    match tokenized(model, body) {
        Ok(value) => answer.json(&value),
        Err(problem) => answer.send(Form::OpenAi.refuse(&problem)),
    }
}

fn tokenized(model: &Arc<Model>, body: Text) -> Result<Value, Problem> {
    without(
        &body.rest,
        &[
            ("add_generation_prompt", json!(true)),
            ("continue_final_message", json!(false)),
            ("chat_template", Value::Null),
            ("chat_template_kwargs", json!({})),
        ],
    )?;
    let model = of(model, body.model.as_deref())?;
    let local = model.local()?;
    let tokens = match (body.prompt, body.messages) {
        (Some(text), None) => local.encode(&text, body.add_special_tokens.unwrap_or(true)),
        (None, Some(messages)) => {
            let messages = messages.into_iter().enumerate().map(|(at, said)| message(at, said));
            let messages = messages.collect::<Result<Vec<_>, _>>()?;
            let tools = body.tools.into_iter().enumerate().map(|(at, given)| {
                let ToolFunction { name, description, parameters } = given.function;
                tool(at, name, description, parameters, "parameters")
            });
            let tools = tools.collect::<Result<Vec<_>, _>>()?;
            local.conversation(&messages, &tools).map_err(|error| Problem::of(&error))?
        }
        _ => return Err(Problem::field("prompt", "needs either prompt, a text, or messages")),
    };
    let texts = body.return_token_strs.then(|| tokens.iter().map(|token| local.token(*token)).collect::<Vec<_>>());
    Ok(json!({
        "count": tokens.len(), "max_model_len": local.context(), "tokens": tokens, "token_strs": texts,
    }))
}

pub(crate) fn detokenize(model: &Arc<Model>, body: Tokens, answer: Answer) {
    let text = || {
        let model = of(model, body.model.as_deref())?;
        let local = model.local()?;
        if !body.tokens.is_empty() {
            local.known(&body.tokens).map_err(|why| Problem::field("tokens", why))?;
        }
        Ok(local.decode(&body.tokens))
    };
    match text() {
        Ok(text) => answer.json(&json!({ "prompt": text })),
        Err(problem) => answer.send(Form::OpenAi.refuse(&problem)),
    }
}

/// What is known of the tokenizer.
pub(crate) fn info(model: &Model) -> Result<Value, Problem> {
    Ok(Value::Object(model.local()?.tokenizer_info()))
}
