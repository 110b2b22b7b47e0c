//! Chat templates of checkpoints, rendered as `apply_chat_template` of transformers renders them: Jinja with Python's
//! methods, the same options for blanks, the same variables, messages cleaned in the same way.

use crate::error::{parse_json, read_text};
use crate::python::{self, Json};
use crate::{LmError, bounded, chat_template};
use loophole_message::{Message, ToolSpec};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a checkpoint keeps its tokenizer's settings, among them as a rule its template.
const SETTINGS: &str = "tokenizer_config.json";
const FILE: &str = "chat_template.jinja";
const MORE: &str = "additional_chat_templates";

/// Widest indent of `tojson`.
const WIDEST_INDENT: usize = 64;

/// The tokens a template may name.
const SPECIAL: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What `tokenizer_config.json` of a folder says, with the template of `chat_template.jinja` if there is one; nothing where
/// neither can be read.
pub fn tokenizer_settings(dir: &Path) -> serde_json::Map<String, serde_json::Value> {
    let settings = read_text(&dir.join("tokenizer_config.json")).ok();
    let settings = settings.and_then(|text| serde_json::from_str(&text).ok());
    let mut settings: serde_json::Map<String, serde_json::Value> = settings.unwrap_or_default();
    if let Ok(template) = read_text(&dir.join("chat_template.jinja")) {
        settings.insert("chat_template".into(), template.into());
    }
    settings
}

/// The chat template of a checkpoint, or several of which one is for tools.
pub struct ChatTemplate {
    environment: Environment<'static>,
    syntax: SyntaxConfig,
    /// Sources by name; parsed anew for each rendering, in which they are bounded.
    templates: BTreeMap<String, String>,
    path: PathBuf,
    special: BTreeMap<String, String>,
    /// The moment `strftime_now` names, in seconds since 1970 (UTC); none for the present one. A run that is to be
    /// made again must fix it.
    pub now: Option<i64>,
}

impl ChatTemplate {
    /// Reads the template of a checkpoint's folder: `chat_template.jinja` and `additional_chat_templates/*.jinja`, else
    /// `chat_template` of `tokenizer_config.json`.
    ///
    /// # Errors
    /// There is none, or it is broken.
    pub fn load(dir: &Path) -> Result<ChatTemplate, LmError> {
        let settings = dir.join(SETTINGS);
        let json: serde_json::Value = match read_text(&settings) {
            Ok(text) => parse_json(&settings, &text, "fetch or write it again")?,
            Err(LmError::Missing { .. }) => serde_json::Value::Null,
            Err(error) => return Err(error),
        };
        let (mut templates, mut path) = (BTreeMap::new(), dir.join(FILE));
        if path.exists() {
            templates.insert("default".to_string(), read_text(&path)?);
        }
        if let Ok(entries) = std::fs::read_dir(dir.join(MORE)) {
            for entry in entries.filter_map(Result::ok).map(|entry| entry.path()) {
                if let (Some(name), Some("jinja")) = (entry.file_stem(), entry.extension().and_then(|e| e.to_str())) {
                    templates.insert(name.to_string_lossy().into_owned(), read_text(&entry)?);
                }
            }
        }
        if templates.is_empty() {
            path = settings;
            match &json["chat_template"] {
                serde_json::Value::String(text) => drop(templates.insert("default".to_string(), text.clone())),
                serde_json::Value::Array(list) => {
                    for one in list {
                        if let (Some(name), Some(text)) = (one["name"].as_str(), one["template"].as_str()) {
                            templates.insert(name.to_string(), text.to_string());
                        }
                    }
                }
                _ => {}
            }
        }
        if templates.is_empty() {
            let what = format!(
                "there is none in {}, neither {FILE} nor chat_template in {SETTINGS}: a base model does not chat; take \
                 its instruct version, or put a {FILE} beside its weights",
                dir.display()
            );
            return Err(LmError::Template { path: dir.join(FILE), what });
        }
        let older = read_text(&dir.join("special_tokens_map.json")).unwrap_or_default();
        let older: serde_json::Value = serde_json::from_str(&older).unwrap_or_default();
        let special = SPECIAL.iter().filter_map(|name| {
            let token = special_token(&json, name).or_else(|| special_token(&older, name))?;
            Some((name.to_string(), token))
        });
        Self::new(templates, special.collect(), path)
    }

    /// Named templates (`default`, `tool_use`, ...), and the special tokens they may name. `path` is named in errors.
    ///
    /// # Errors
    /// A template is broken.
    pub fn new(
        templates: BTreeMap<String, String>,
        special: BTreeMap<String, String>,
        path: PathBuf,
    ) -> Result<ChatTemplate, LmError> {
        let syntax = syntax();
        let mut sources = BTreeMap::new();
        for (name, source) in templates {
            let source = without_generation_marks(&source);
            bounded::check(&source, &syntax).map_err(failed(&path))?;
            sources.insert(name, source);
        }
        Ok(ChatTemplate { environment: environment(), syntax, templates: sources, path, special, now: None })
    }

    /// The template of this project's own chat format.
    ///
    /// # Errors
    /// None in practice: the template is part of the program.
    pub fn organism() -> Result<ChatTemplate, LmError> {
        let templates = BTreeMap::from([("default".to_string(), chat_template::JINJA.to_string())]);
        Self::new(templates, BTreeMap::new(), "organism".into())
    }

    /// Whether it says which tools there are; many do not.
    pub fn knows_tools(&self) -> bool {
        self.templates.contains_key("tool_use")
            || self.templates.get("default").is_some_and(|source| source.contains("tools"))
    }

    /// The text of a conversation in the shape of Hugging Face's: messages are objects with `role` and `content`, tools
    /// are `{"type": "function", "function": {...}}`. With `open` it ends by opening the assistant's turn. `more` are
    /// further variables, such as `enable_thinking`.
    ///
    /// The order of an object's fields shows where a template prints it. `serde_json::Value` sorts them; a type of
    /// one's own, or [`minijinja::Value`] read from JSON, keeps theirs.
    ///
    /// # Errors
    /// There is no template for this (`default` or `tool_use`), or it refuses the conversation.
    pub fn render<M: Serialize, T: Serialize>(
        &self,
        messages: &[M],
        tools: &[T],
        open: bool,
        more: &[(&str, Value)],
    ) -> Result<String, LmError> {
        let failed = failed(&self.path);
        let get = |name| self.templates.get(name);
        let template = match tools.is_empty() {
            true => get("default"),
            false => get("tool_use").or_else(|| get("default")),
        };
        let template = template.ok_or_else(|| LmError::Template {
            path: self.path.clone(),
            what: "there are several, and none is called default".into(),
        })?;
        let messages: Vec<Value> = messages.iter().map(cleaned).collect::<Result<_, _>>().map_err(&failed)?;
        let tools = match tools.is_empty() {
            true => Value::from(()),
            false => Value::from(Serde(tools)),
        };
        let now = self.now.unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
        });
        let strftime_now = Value::from_function(move |format: String| python::strftime(&format, now));
        let mut variables: BTreeMap<&str, Value> =
            self.special.iter().map(|(name, token)| (name.as_str(), Value::from(token.as_str()))).collect();
        variables.extend([
            ("messages", Value::from(messages)),
            ("tools", tools),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(open)),
            ("strftime_now", strftime_now),
        ]);
        variables.extend(more.iter().cloned());
        bounded::render(&self.environment, template, &self.syntax, Value::from_pairs(variables)).map_err(failed)
    }

    /// The text of a conversation with tools.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_chat(&self, messages: &[Message], tools: &[ToolSpec], open: bool) -> Result<String, LmError> {
        let tools: Vec<Value> = tools
            .iter()
            .map(|tool| {
                let function = context! {
                    name => tool.name.as_str(), description => tool.description.as_str(),
                    parameters => Value::from(Serde(&tool.parameters))
                };
                context! { type => "function", function => function }
            })
            .collect();
        let mut names = BTreeMap::new();
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                let mut fields: Vec<(&str, Value)> =
                    vec![("role", message.role.name().into()), ("content", message.content.as_str().into())];
                let calls: Vec<Value> = message
                    .tool_calls
                    .iter()
                    .map(|call| {
                        names.insert(call.id.as_str(), call.name.as_str());
                        let arguments = Value::from(Serde(&call.arguments));
                        let function = context! { name => call.name.as_str(), arguments => arguments };
                        context! { id => call.id.as_str(), type => "function", function => function }
                    })
                    .collect();
                if !calls.is_empty() {
                    fields.push(("tool_calls", calls.into()));
                }
                let reasoning = message.reasoning.as_ref();
                let thought =
                    ["reasoning_content", "reasoning"].iter().find_map(|field| reasoning?.get(*field)?.as_str());
                if let Some(thought) = thought {
                    fields.push(("reasoning_content", thought.into()));
                }
                if let Some(id) = &message.tool_call_id {
                    if let Some(name) = names.get(id.as_str()) {
                        fields.push(("name", (*name).into()));
                    }
                    fields.push(("tool_call_id", id.as_str().into()));
                }
                Value::from_pairs(fields)
            })
            .collect();
        self.render(&messages, &tools, open, &[])
    }
}

/// A token that is written as a text or as an object with `content`.
pub(crate) fn special_token(json: &serde_json::Value, name: &str) -> Option<String> {
    let token = json.get(name)?;
    token.as_str().or_else(|| token.get("content")?.as_str()).map(String::from)
}

fn failed(path: &Path) -> impl Fn(Error) -> LmError + '_ {
    move |error| {
        let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        let what = match error.detail() {
            Some(detail) if error.kind() == ErrorKind::InvalidOperation => format!("{line}{detail}"),
            _ => format!("{line}{error}"),
        };
        if bounded::is_bound(&error) {
            return LmError::Bound { path: path.into(), what };
        }
        if bounded::sources(&error).any(|source| source.is::<Refusal>()) {
            return LmError::Refused { path: path.into(), what };
        }
        LmError::Template { path: path.into(), what }
    }
}

/// Marks an error as one that the template was written to raise.
#[derive(Debug, thiserror::Error)]
#[error("the template refuses this conversation")]
struct Refusal;

/// A message as transformers hands it to a template: without fields that are null, and with the reasoning under all the
/// names it goes by.
fn cleaned<M: Serialize>(message: &M) -> Result<Value, Error> {
    let message = Value::from(Serde(message));
    if message.kind() != ValueKind::Map {
        return Err(Error::new(ErrorKind::InvalidOperation, "a message must be an object with role and content"));
    }
    let mut fields = Vec::new();
    for key in message.try_iter()? {
        let value = message.get_item(&key)?;
        if !value.is_none() {
            fields.push((key, value));
        }
    }
    let find = |name: &str| fields.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value.clone());
    let reasoning = ["reasoning_content", "thinking", "reasoning"].into_iter().find_map(find);
    if let Some(reasoning) = reasoning {
        if find("thinking").is_none() {
            fields.insert(0, ("thinking".into(), reasoning.clone()));
        }
        fields.retain(|(key, _)| key.as_str() != Some("reasoning_content"));
        fields.push(("reasoning_content".into(), reasoning));
    }
    Ok(Value::from_pairs(fields))
}

/// `{% generation %}` marks what the assistant said and prints it as it is: a condition that always holds does the same.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(begin) = rest.find("{%") {
        // Behind the opening: the `%` of `{%}` is no end.
        let Some(end) = rest[begin + 2..].find("%}").map(|end| begin + end + 4) else {
            break;
        };
        let tag = &rest[begin..end];
        let inner = tag[2..tag.len() - 2].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        out.push_str(&rest[..begin]);
        out.push_str(&match inner {
            "generation" => tag.replacen("generation", "if true", 1),
            "endgeneration" => tag.replacen("endgeneration", "endif", 1),
            _ => tag.to_string(),
        });
        rest = &rest[end..];
    }
    out + rest
}

fn syntax() -> SyntaxConfig {
    // With the delimiters as they are, no such configuration is refused.
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default()
}

/// Jinja as transformers sets it up.
fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_debug(true);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    bounded::install(&mut env);
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        let what = format!("the template refuses this conversation: {message}");
        Err(Error::new(ErrorKind::InvalidOperation, what).with_source(Refusal))
    });
    env.add_filter("tojson", |value: &Value, options: Kwargs| -> Result<String, Error> {
        let indent = options.get::<Option<Value>>("indent")?.filter(|indent| !indent.is_none());
        let indent = indent.map(|indent| indent.as_i64().unwrap_or(0).max(0).unsigned_abs() as usize);
        if let Some(indent) = indent.filter(|indent| *indent > WIDEST_INDENT) {
            return Err(bounded::refuse(format!("tojson: an indent of {indent} is more than {WIDEST_INDENT}")));
        }
        let style = Json {
            indent,
            ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
            sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        };
        if options.get::<Option<Value>>("separators")?.is_some_and(|separators| !separators.is_none()) {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators are not supported"));
        }
        options.assert_all_used()?;
        python::json(value, style)
    });
    // In Jinja a text and a mapping are sequences too.
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    env.add_test("iterable", |value: &Value| value.kind() == ValueKind::String || value.try_iter().is_ok());
    env
}
