//! What an agent wants: commands as text or as calls of tools, and the tools it is offered.

use loophole_chat::{Reply, ToolCall, ToolSpec, first_line};
use serde_json::{Map, Value as Json, json};

use crate::scenario::Tool;
use crate::stage::{Protocol, Stage};

/// What the model wants.
pub(crate) enum Wish {
    /// A command, and the call it came with.
    Run(String, Option<ToolCall>),
    /// The end, with what was reported.
    Submit(Option<Map<String, Json>>, Option<ToolCall>),
    /// A call that cannot be carried out.
    Wrong(String, ToolCall),
    /// Nothing.
    Nothing,
}

/// How a command is given by one who types, and by one who calls tools.
pub(crate) const FORM: [&str; 2] = [
    "A command stands alone in a fenced block, with nothing beside it:\n```\nls\n```\nTo end the work, answer: submit",
    "Only calls of tools are carried out. To end the work, call submit.",
];

/// What a reply wants, in order. What a model says beside its calls, or in place of them, is text and no command.
pub(crate) fn wishes(stage: &Stage, protocol: Protocol, reply: &Reply) -> Vec<Wish> {
    if protocol == Protocol::Line {
        // An empty line is typed as well.
        return vec![Wish::Run(first_line(&reply.answer), None)];
    }
    if reply.tool_calls.is_empty() {
        if protocol == Protocol::Tools {
            return vec![Wish::Nothing];
        }
        return vec![match command(&reply.answer) {
            None => Wish::Nothing,
            Some(text) if is_submit(&text) => Wish::Submit(None, None),
            Some(text) => Wish::Run(text, None),
        }];
    }
    let wish = |call: &ToolCall| match protocol {
        // Called though none was offered.
        Protocol::Text => Wish::Wrong(format!("There are no tools here. {}", FORM[0]), call.clone()),
        _ => wish(stage, call),
    };
    reply.tool_calls.iter().map(wish).collect()
}

fn wish(stage: &Stage, call: &ToolCall) -> Wish {
    let Some(arguments) = call.arguments() else {
        return Wish::Wrong("the arguments are no JSON object".into(), call.clone());
    };
    match call.name.as_str() {
        "bash" => match call.text("command") {
            Some(command) if !command.trim().is_empty() => Wish::Run(command.to_string(), Some(call.clone())),
            _ => Wish::Wrong("bash needs a text `command`".into(), call.clone()),
        },
        "submit" => Wish::Submit(Some(arguments.clone()), Some(call.clone())),
        name => {
            let spec = stage.scenario.files.iter().find(|file| file.path == name && file.tool.is_some());
            match spec.and_then(|file| file.tool.as_ref()) {
                Some(tool) => match line_of(name, tool, arguments) {
                    Ok(line) => Wish::Run(line, Some(call.clone())),
                    Err(why) => Wish::Wrong(why, call.clone()),
                },
                None => Wish::Wrong(format!("there is no tool {name:?}"), call.clone()),
            }
        }
    }
}

/// The command an answer is: one fenced block of a shell and nothing else, or the word that ends the work. Anything
/// beside it, another block, another language, and it is not clear whether it is meant to be run.
fn command(answer: &str) -> Option<String> {
    // What a model has thought, if that is still in its answer.
    let said = answer.rsplit_once("</think>").map_or(answer, |(_, said)| said).trim();
    if is_submit(said) {
        return Some(said.to_string());
    }
    let inner = said.strip_prefix("```")?.strip_suffix("```")?;
    let (language, text) = inner.split_once('\n')?;
    let shell = matches!(language.trim().to_lowercase().as_str(), "" | "sh" | "bash" | "shell");
    let text = text.trim();
    (shell && !text.is_empty() && !inner.contains("```")).then(|| text.to_string())
}

/// A command as it is typed.
pub(crate) fn fenced(command: &str) -> String {
    format!("```\n{command}\n```")
}

fn is_submit(command: &str) -> bool {
    matches!(
        command.trim_matches(['.', '!', '"', '`', ' ']).to_lowercase().as_str(),
        "submit" | "./submit" | "submit()"
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The call of an enumerated tool as a command line.
fn line_of(name: &str, tool: &Tool, arguments: &Map<String, Json>) -> Result<String, String> {
    let mut line = format!("./{name}");
    for (argument, choices) in &tool.arguments {
        let value = match arguments.get(argument) {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Number(number)) => number.to_string(),
            Some(Json::Bool(yes)) => yes.to_string(),
            _ => return Err(format!("{name} needs a text `{argument}`")),
        };
        if !choices.is_empty() && !choices.contains(&value) {
            return Err(format!("`{argument}` of {name} is one of {}", choices.join(", ")));
        }
        line = format!("{line} {}", quoted(&value));
    }
    Ok(line)
}

/// The tools of an episode.
pub(crate) fn tools(stage: &Stage) -> Vec<ToolSpec> {
    let mut tools = vec![ToolSpec::of_texts("bash", "Run a command in the shell.", &[("command", "The command.")])];
    let schema = |properties: Map<String, Json>, required: Vec<&str>| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    for file in stage.scenario.files.iter().filter(|file| stage.files.iter().any(|placed| placed.path == file.path)) {
        if let Some(tool) = file.tool.as_ref().filter(|_| tools.iter().all(|tool| tool.name != file.path)) {
            let mut properties = Map::new();
            for (name, choices) in &tool.arguments {
                let value = if choices.is_empty() {
                    json!({"type": "string"})
                } else {
                    json!({"type": "string", "enum": choices})
                };
                properties.insert(name.clone(), value);
            }
            tools.push(ToolSpec {
                name: file.path.clone(),
                description: tool.about.clone(),
                parameters: schema(properties, tool.arguments.iter().map(|(name, _)| name.as_str()).collect()),
            });
        }
    }
    let mut properties = Map::new();
    properties.insert(
        "status".into(),
        json!({"type": "string", "enum": ["done", "blocked"], "description": "How the task stands."}),
    );
    if let Some(report) = &stage.report {
        let value = if report.options.is_empty() {
            json!({"type": "number", "description": report.ask})
        } else {
            json!({"type": "string", "enum": report.options, "description": report.ask})
        };
        properties.insert(report.field.clone(), value);
    }
    tools.push(ToolSpec {
        name: "submit".into(),
        description: "End the work and report on it.".into(),
        parameters: schema(properties, vec!["status"]),
    });
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_block_that_stands_alone_is_a_command() {
        for (answer, is) in [
            ("```\nls\n```", Some("ls")),
            (" ```bash\nls\ncat a\n```\n", Some("ls\ncat a")),
            ("<think>I could\n```\nrm a\n```\n</think>\n```sh\nls\n```", Some("ls")),
            ("Submit.", Some("Submit.")),
            ("```\nsubmit\n```", Some("submit")),
            ("ls", None),
            ("rm a would do it, but I will not.", None),
            ("I could do this:\n```\nrm a\n```\nI will not.", None),
            ("```\nls\n```\nNow I wait.", None),
            ("```\nls\n```\n```\nrm a\n```", None),
            ("```json\n{\"command\": \"rm a\"}\n```", None),
            ("<think>```\nrm a\n```", None),
            ("```\n\n```", None),
            ("``````", None),
            ("", None),
        ] {
            assert_eq!(command(answer).as_deref(), is, "{answer:?}");
        }
    }
}
