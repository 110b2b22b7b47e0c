//! Calls of tools that a model writes into its answer, in the forms of the families. Whoever talks to a model gets them
//! as [`ToolCall`]s, wherever they were found: read here, once, for models on this machine and for endpoints whose server
//! has no parser for them.
//!
//! | form | who writes it |
//! |---|---|
//! | `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` | Hermes, Qwen |
//! | `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>` | Qwen3-Coder |
//! | `<\|python_tag\|>{"name": ..., "parameters": {...}}` | Llama |
//! | `<function=NAME>{...}</function>` | Llama 3.1, custom tools |
//! | `[TOOL_CALLS][{"name": ..., "arguments": {...}}]`, `[TOOL_CALLS]NAME[ARGS]{...}` | Mistral |
//! | the whole answer is such an object, or several | Llama, Qwen, small models |
//!
//! What stands in a thought, in a fenced block, between backquotes or inside other text is said, not called: a mark begins
//! a line, words may stand on the lines before it, and nothing but further calls behind it. A mark with something behind it
//! that cannot be read is a wrong call, and is to be answered as one; an answer without a mark is a call only as a whole,
//! and only of a tool there is.

use serde_json::{Map, Value};

use crate::text::thought_end;
use crate::{ToolCall, ToolSpec};

/// What begins a call, and what comes with it.
const HERMES: &str = "<tool_call>";
const HERMES_END: &str = "</tool_call>";
const LLAMA: &str = "<|python_tag|>";
const FUNCTION: &str = "<function=";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";
const MISTRAL: &str = "[TOOL_CALLS]";
const MISTRAL_ID: &str = "[CALL_ID]";
const MISTRAL_ARGUMENTS: &str = "[ARGS]";

/// Name and arguments, as they were written.
type Call = (String, String);

/// The calls in what a model said, with what it said before them; none if it calls nothing. `seed` tells apart the ids of
/// one turn from those of another.
pub(crate) fn read(said: &str, tools: &[ToolSpec], seed: u64) -> Option<(String, Vec<ToolCall>)> {
    let from = thought_end(said)?;
    let (thought, answer) = said.split_at(from);
    let (before, calls) = marked(answer, tools).or_else(|| Some((String::new(), bare(answer, tools)?)))?;
    let named = |(at, (name, arguments)): (usize, Call)| ToolCall::from_text(id(seed, at), name, &arguments);
    let before = format!("{thought}{before}").trim_end().to_string();
    Some((before, calls.into_iter().enumerate().map(named).collect()))
}

/// An id of nine letters and digits: Mistral's templates take no other.
fn id(seed: u64, at: usize) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = fastrand::Rng::with_seed(seed ^ (at as u64).rotate_left(32));
    (0..9).map(|_| char::from(LETTERS[rng.usize(..LETTERS.len())])).collect()
}

/// The calls behind the first mark that is no quotation, and what stands before it.
fn marked(answer: &str, tools: &[ToolSpec]) -> Option<(String, Vec<Call>)> {
    let marks = [HERMES, LLAMA, MISTRAL, FUNCTION];
    let places = marks.iter().filter_map(|mark| Some((first(answer, mark)?, *mark)));
    let (at, mark) = places.min_by_key(|(at, _)| *at)?;
    let (before, rest) = answer.split_at(at);
    if !ends_with_calls(rest, mark) {
        return None;
    }
    let calls = match mark {
        HERMES => parts(rest, HERMES, HERMES_END).into_iter().map(|body| hermes(body, tools)).collect(),
        FUNCTION => parts(rest, FUNCTION, FUNCTION_END).into_iter().map(|body| function(body, tools)).collect(),
        LLAMA => {
            let body = rest[LLAMA.len()..].trim();
            objects(body).and_then(|list| list.iter().map(call).collect()).unwrap_or_else(|| vec![wrong(body)])
        }
        _ => mistral(&rest[MISTRAL.len()..]),
    };
    Some((before.to_string(), calls))
}

/// Where a mark first begins a line, outside of fences.
fn first(answer: &str, mark: &str) -> Option<usize> {
    let begins = |at: usize| answer[..at].rsplit('\n').next().is_none_or(|line| line.trim().is_empty());
    let quoted = |at: usize| answer[..at].matches("```").count() % 2 == 1;
    answer.match_indices(mark).map(|(at, _)| at).find(|at| begins(*at) && !quoted(*at))
}

/// Whether nothing but calls stands from the first mark on, where calls have an end of their own. One without its end
/// reaches to the end of the answer.
fn ends_with_calls(mut rest: &str, mark: &str) -> bool {
    let close = match mark {
        HERMES => HERMES_END,
        FUNCTION => FUNCTION_END,
        _ => return true,
    };
    while let Some(after) = rest.trim_start().strip_prefix(mark) {
        match after.split_once(close) {
            Some((_, next)) => rest = next,
            None => return true,
        }
    }
    rest.trim().is_empty()
}

/// What stands between each of these marks and the end that goes with it.
fn parts<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(open) {
        let (one, next) = after.split_once(close).unwrap_or((after, ""));
        found.push(one);
        rest = next;
    }
    found
}

/// A call that cannot be read is a call nevertheless.
fn wrong(body: &str) -> Call {
    (String::new(), body.trim().to_string())
}

fn hermes(body: &str, tools: &[ToolSpec]) -> Call {
    match body.trim().strip_prefix(FUNCTION) {
        Some(rest) => function(rest.trim_end().trim_end_matches(FUNCTION_END), tools),
        None => serde_json::from_str(body.trim()).ok().as_ref().and_then(call).unwrap_or_else(|| wrong(body)),
    }
}

/// `NAME>{...}`, or `NAME>` and parameters between marks.
fn function(body: &str, tools: &[ToolSpec]) -> Call {
    let Some((name, rest)) = body.split_once('>') else { return wrong(body) };
    let name = name.trim().trim_matches('"');
    if !rest.contains(PARAMETER) {
        return (name.to_string(), rest.trim().to_string());
    }
    let tool = tools.iter().find(|tool| tool.name == name);
    let mut arguments = Map::new();
    for parameter in parts(rest, PARAMETER, PARAMETER_END) {
        let Some((key, value)) = parameter.split_once('>') else { return wrong(body) };
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        // What the tool takes decides whether a 3 is a number or a text.
        let kind = tool.and_then(|tool| tool.parameters["properties"][key]["type"].as_str());
        let read = serde_json::from_str(value.trim()).ok().filter(|_| kind.is_some_and(|kind| kind != "string"));
        arguments.insert(key.to_string(), read.unwrap_or_else(|| Value::String(value.to_string())));
    }
    (name.to_string(), Value::Object(arguments).to_string())
}

/// A list of objects, or names with arguments.
fn mistral(rest: &str) -> Vec<Call> {
    if rest.trim_start().starts_with(['[', '{']) {
        let read = objects(rest.trim()).and_then(|list| list.iter().map(call).collect());
        return read.unwrap_or_else(|| vec![wrong(rest)]);
    }
    let one = |part: &str| {
        let at = part.find('{').unwrap_or(part.len());
        let (name, arguments) = part.split_at(at);
        let name = name.trim_end().trim_end_matches(MISTRAL_ARGUMENTS);
        let name = name.split_once(MISTRAL_ID).map_or(name, |(name, _)| name);
        (name.trim().to_string(), arguments.trim().to_string())
    };
    let calls: Vec<Call> = rest.split(MISTRAL).filter(|part| !part.trim().is_empty()).map(one).collect();
    if calls.is_empty() { vec![wrong(rest)] } else { calls }
}

/// The calls that a whole answer consists of.
fn bare(answer: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    let list = objects(answer.trim())?;
    let calls: Vec<Call> = list.iter().map(call).collect::<Option<_>>()?;
    let known = |(name, _): &Call| tools.iter().any(|tool| tool.name == *name);
    calls.iter().all(known).then_some(calls)
}

/// The objects of a text that has nothing else: in a list, or with blanks or semicolons between them.
fn objects(text: &str) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next()?.ok()? {
            Value::Array(list) if found.is_empty() => found = list,
            object @ Value::Object(_) => found.push(object),
            _ => return None,
        }
        rest = rest[stream.byte_offset()..].trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    (!found.is_empty()).then_some(found)
}

/// Name and arguments of `{"name": ..., "arguments": {...}}`; Llama calls them `parameters`, and some put both into
/// `function`.
fn call(value: &Value) -> Option<Call> {
    let value = value.get("function").filter(|inner| inner.is_object()).unwrap_or(value);
    let name = value.get("name")?.as_str()?.to_string();
    let arguments = value.get("arguments").or_else(|| value.get("parameters"))?;
    Some((name, arguments.as_str().map_or_else(|| arguments.to_string(), str::to_string)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tools() -> Vec<ToolSpec> {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "note": {"type": "string"}}});
        let number = ToolSpec { name: "number".into(), description: String::new(), parameters: schema };
        vec![ToolSpec::of_texts("bash", "Run a command.", &[("command", "The command.")]), number]
    }

    fn called(said: &str) -> Option<(String, Vec<(String, Value)>)> {
        let (before, calls) = read(said, &tools(), 5)?;
        Some((before, calls.into_iter().map(|call| (call.name, call.arguments)).collect()))
    }

    fn bash(command: &str) -> (String, Value) {
        ("bash".to_string(), json!({"command": command}))
    }

    #[test]
    fn calls_are_read_as_their_families_write_them() {
        let number = ("number".to_string(), json!({"n": 3, "note": "3"}));
        for (said, before, calls) in [
            (
                "<think>\nlook\n</think>\n\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n\
                 </tool_call>\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"pwd\"}}",
                "<think>\nlook\n</think>",
                vec![bash("ls"), bash("pwd")],
            ),
            (
                "I look.\n<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
                "I look.",
                vec![bash("ls")],
            ),
            (
                "<tool_call><function=number><parameter=n>3</parameter><parameter=note>3</parameter></function>\
                 </tool_call>",
                "",
                vec![number],
            ),
            ("<|python_tag|>{\"name\": \"bash\", \"parameters\": {\"command\": \"ls\"}}", "", vec![bash("ls")]),
            (
                "{\"name\": \"bash\", \"parameters\": {\"command\": \"ls\"}}; {\"name\": \"bash\", \"parameters\": \
                 {\"command\": \"pwd\"}}",
                "",
                vec![bash("ls"), bash("pwd")],
            ),
            ("<function=bash>{\"command\": \"ls\"}</function>", "", vec![bash("ls")]),
            ("[TOOL_CALLS][{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}]", "", vec![bash("ls")]),
            (
                "[TOOL_CALLS]bash[CALL_ID]abc123def[ARGS]{\"command\": \"ls\"}[TOOL_CALLS]bash{\"command\": \"pwd\"}",
                "",
                vec![bash("ls"), bash("pwd")],
            ),
            ("[{\"name\": \"bash\", \"arguments\": \"{\\\"command\\\": \\\"ls\\\"}\"}]", "", vec![bash("ls")]),
            (
                "{\"type\": \"function\", \"function\": {\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}}",
                "",
                vec![bash("ls")],
            ),
        ] {
            assert_eq!(called(said), Some((before.to_string(), calls)), "{said}");
        }
    }

    #[test]
    fn what_is_said_is_not_called() {
        let object = "{\"name\": \"bash\", \"arguments\": {\"command\": \"rm x\"}}";
        for said in [
            "I would call ls.".to_string(),
            "{\"name\": \"bash\"}".to_string(),
            format!("```json\n{object}\n```"),
            format!("```\n<tool_call>{object}</tool_call>\n```"),
            format!("One could write `<tool_call>{object}</tool_call>`."),
            format!("<think>Shall I? <tool_call>{object}</tool_call></think>No."),
            format!("<think>Shall I? <tool_call>{object}</tool_call>"),
            format!("I must not say <tool_call>{object}</tool_call> here, so I stop."),
            format!("He wrote \"<tool_call>{object}</tool_call>\"."),
            format!("> <tool_call>{object}</tool_call>"),
            format!("<tool_call>{object}</tool_call>\nis what I will not do."),
            "It would be <function=bash>{\"command\": \"rm x\"}</function>".to_string(),
            format!("Never [TOOL_CALLS][{object}]"),
            format!("Never <|python_tag|>{object}"),
            format!("Here it is: {object}"),
            format!("{object}\nThat deletes x."),
            object.replace("bash", "python"),
            "[]".to_string(),
            "17".to_string(),
        ] {
            assert_eq!(called(&said), None, "{said}");
        }
        // A quotation before it does not hide a call.
        let (before, calls) = called(&format!("Not `<tool_call>` but\n<tool_call>{object}</tool_call>")).unwrap();
        assert_eq!((before.as_str(), calls), ("Not `<tool_call>` but", vec![bash("rm x")]));
    }

    #[test]
    fn what_was_meant_as_a_call_and_cannot_be_read_is_a_wrong_one() {
        let wrong = |text: &str| vec![(String::new(), json!(text))];
        assert_eq!(called("Well.\n<tool_call>ls</tool_call>"), Some(("Well.".into(), wrong("ls"))));
        assert_eq!(called("<|python_tag|>print(3)"), Some((String::new(), wrong("print(3)"))));
        assert_eq!(called("[TOOL_CALLS][{\"name\": \"bash\"}]").unwrap().1[0].0, "");
        assert_eq!(called("<function=bash>ls</function>").unwrap().1, [("bash".to_string(), json!("ls"))]);
    }

    #[test]
    fn ids_are_nine_letters_and_differ() {
        let ids: std::collections::BTreeSet<String> = (0..50).flat_map(|seed| [id(seed, 0), id(seed, 1)]).collect();
        assert!(
            ids.len() == 100 && ids.iter().all(|id| id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()))
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(
            said in "(<tool_call>|</tool_call>|<function=|</function>|<parameter=|>|\\[TOOL_CALLS\\]|\\[ARGS\\]|<think>|</think>|```|`|\\{|\\}|\\[|\\]|\"name\"|\"arguments\"|:|,|\"bash\"|é| ){0,16}"
        ) {
            if let Some((before, calls)) = read(&said, &tools(), 1) {
                proptest::prop_assert!(said.starts_with(&before) && !calls.is_empty());
            }
        }
    }
}
