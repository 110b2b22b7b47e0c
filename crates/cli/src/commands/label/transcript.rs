//! Transcripts of others: where each says what was asked, what was handed in, and which task it was.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::Written;

/// What a transcript says, in the fields of a row of submissions.
pub type Fields = Map<String, Value>;

/// Fields that name a task, most telling first; each is looked up among the tasks.
const NAMES: [&str; 4] = ["task_id", "id", "question_id", "problem_id"];

/// What a trial kept of what its agent left: the solution's place, and it and the files beside it.
pub type Kept = (String, Map<String, Value>);

/// An ATIF trajectory, of Harbor's agents; `beside` are the trial's own files, which say which task it was, and `kept` is
/// what it kept of the agent's files, which say more than the calls of its tools.
///
/// # Errors
/// Says what is missing.
pub fn of_atif(trajectory: &Value, beside: &[Value], kept: Option<Kept>) -> Result<Fields, String> {
    let steps = trajectory["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if kept.is_none() && steps.is_empty() {
        return Err("a trajectory without steps".into());
    }
    if kept.is_none() && trajectory["continued_trajectory_ref"].is_string() {
        return Err("it goes on in another trajectory (continued_trajectory_ref); label that one".into());
    }
    let of = |source: &'static str| steps.iter().filter(move |step| step["source"] == source);
    let mut written = Written::default();
    for call in of("agent").flat_map(|step| step["tool_calls"].as_array().into_iter().flatten()) {
        written.call(&call["arguments"]);
    }
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: Option<&str>| names.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
    for holder in [&trajectory["extra"]].into_iter().chain(beside) {
        for key in ["task_id", "task_name", "task", "instance_id"] {
            add(holder[key].as_str());
        }
        for path in [&holder["task"]["path"], &holder["task_id"]["path"], &holder["task"]["name"]] {
            add(path.as_str());
        }
    }
    let mut fields = named(&names);
    let asked: Vec<String> = of("user").filter_map(|step| text(&step["message"])).collect();
    if !asked.is_empty() {
        fields.insert("prompt".into(), asked.join("\n\n").into());
    }
    if let Some((place, files)) = kept {
        fields.insert("handed_in".into(), format!("the artifact {place}").into());
        fields.insert("files".into(), files.into());
        return Ok(fields);
    }
    let said: Vec<String> = of("agent").filter_map(|step| text(&step["message"])).collect();
    hand_in(&mut fields, written, said)?;
    Ok(fields)
}

/// A sample of an Inspect log.
///
/// # Errors
/// Says what is missing.
pub fn of_inspect(sample: &Value) -> Result<Fields, String> {
    let attached = attachments(sample);
    let sample = &attached;
    let mut names: Vec<String> = Vec::new();
    for key in ["task_id", "id", "question_id"] {
        names.extend(name(&sample["metadata"][key]));
    }
    names.extend(name(&sample["id"]));
    let mut fields = named(&names);
    fields.insert("prompt".into(), sample["input"].clone());
    fields.insert("epoch".into(), sample["epoch"].clone());
    if let Some((scorer, score)) = sample["scores"].as_object().and_then(|scores| scores.iter().next()) {
        let value = match score["value"].as_str() {
            Some("C") => json!(1.0),
            Some("I" | "N") => json!(0.0),
            Some("P") => json!(0.5),
            _ => score["value"].clone(),
        };
        fields.insert("scorer".into(), scorer.clone().into());
        fields.insert("score".into(), value);
    }
    if let Some(why) = sample["error"]["message"].as_str() {
        return Err(format!("the sample ended with an error: {}", why.lines().next().unwrap_or_default()));
    }
    let messages = || sample["messages"].as_array().into_iter().flatten().filter(|m| m["role"] == "assistant");
    let mut written = Written::default();
    for call in messages().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten()) {
        written.call(&call["arguments"]);
    }
    let mut said: Vec<String> = messages().filter_map(|message| text(&message["content"])).collect();
    let answer = &sample["output"]["choices"][0]["message"]["content"];
    // A solver that hands in an answer puts it there.
    said.extend([text(answer), sample["output"]["completion"].as_str().map(str::to_owned)].into_iter().flatten());
    hand_in(&mut fields, written, said)?;
    Ok(fields)
}

/// The names of a task as fields; of a path its last part counts, too.
fn named(names: &[String]) -> Fields {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        let last = Path::new(name).file_name().and_then(|last| last.to_str()).unwrap_or(name);
        all.extend([name.as_str(), last].into_iter().filter(|one| !all.contains(one)).collect::<Vec<_>>());
    }
    all.dedup();
    NAMES.iter().zip(all).map(|(field, name)| ((*field).to_string(), name.into())).collect()
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The file that is a solution.
const SOLUTION: &str = loophole_grade::SOLUTION;

/// What was handed in: the solution's file where one was written, with what lies beside it; else what was said last.
fn hand_in(fields: &mut Fields, written: Written, said: Vec<String>) -> Result<(), String> {
    let is = |path: &str| path.rsplit('/').next() == Some(SOLUTION);
    let python: Vec<&String> = written.files.keys().filter(|path| path.ends_with(".py")).collect();
    let main =
        written.files.keys().find(|path| is(path)).or(if python.len() == 1 { python.first().copied() } else { None });
    if let Some(lost) = written.lost.iter().find(|path| is(path)) {
        return Err(format!("it changes {lost}, and what that held before is not in it"));
    }
    if let Some(main) = main {
        let folder = &main[..main.rfind('/').map_or(0, |at| at + 1)];
        let mut files = Map::new();
        for (path, content) in &written.files {
            let inner = path.strip_prefix(folder).filter(|inner| !inner.starts_with('/') && !inner.contains(".."));
            if let Some(inner) = if path == main { Some(SOLUTION) } else { inner } {
                files.insert(inner.into(), content.clone().into());
            }
        }
        fields.insert("handed_in".into(), format!("the file {main}").into());
        fields.insert("files".into(), files.into());
        return Ok(());
    }
    let last = said.into_iter().rev().find(|text| !text.trim().is_empty());
    let last =
        last.ok_or("it holds no submission: no file of a solution was written, and nothing was said at the end")?;
    // Who works with tools and then says that it is done has handed in a file, by a way that is not followed here.
    if written.calls > 0 && !last.contains("```") {
        return Err(
            "it holds no submission that can be followed: no tool wrote a file of a solution, and what was said \
                    last has no block of code"
                .into(),
        );
    }
    fields.insert("completion".into(), last.into());
    fields.insert("handed_in".into(), "what was said last".into());
    Ok(())
}

/// The texts of a message.
fn text(content: &Value) -> Option<String> {
    let part = |part: &Value| part.as_str().or_else(|| part["text"].as_str()).map(str::to_owned);
    let text = match content.as_array() {
        Some(parts) => parts.iter().filter_map(part).collect::<Vec<_>>().join("\n"),
        None => content.as_str()?.to_owned(),
    };
    (!text.trim().is_empty()).then_some(text)
}

/// A sample with long texts in their places that Inspect keeps apart.
fn attachments(sample: &Value) -> Value {
    fn put(value: &mut Value, kept: &Map<String, Value>) {
        match value {
            Value::String(text) => {
                if let Some(found) = text.strip_prefix("attachment://").and_then(|key| kept.get(key)) {
                    *value = found.clone();
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| put(value, kept)),
            Value::Object(fields) => fields.values_mut().for_each(|value| put(value, kept)),
            _ => {}
        }
    }
    let mut sample = sample.clone();
    let kept = sample["attachments"].as_object().cloned().unwrap_or_default();
    if let Value::Object(fields) = &mut sample {
        // What happened in between says nothing more.
        fields.remove("events");
        fields.remove("attachments");
    }
    put(&mut sample, &kept);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(source: &str, message: &str, calls: Value) -> Value {
        json!({"source": source, "message": message, "tool_calls": calls})
    }

    #[test]
    fn a_trajectory_hands_in_its_file_or_what_it_said_last() {
        let write = json!([{"arguments": {"file_path": "/app/solution.py", "content": "x = 1"}},
                           {"arguments": {"file_path": "/app/conftest.py", "content": "y"}},
                           {"arguments": {"file_path": "/etc/z", "content": "z"}}]);
        let steps = json!([
            step("user", "Write it.", json!(null)),
            step("agent", "so", write),
            step("agent", "Done.", json!(null))
        ]);
        let found = of_atif(&json!({"steps": steps}), &[json!({"task_name": "org/sum"})], None).unwrap();
        assert_eq!(found["files"], json!({"solution.py": "x = 1", "conftest.py": "y"}));
        assert_eq!(
            (&found["task_id"], &found["id"], &found["prompt"]),
            (&json!("org/sum"), &json!("sum"), &json!("Write it."))
        );
        let said = json!([
            step("user", "Write it.", json!(null)),
            step("agent", "```\nx\n```", json!(null)),
            step("agent", "", json!(null))
        ]);
        let found = of_atif(&json!({"steps": said}), &[], None).unwrap();
        assert_eq!((&found["completion"], found.contains_key("task_id")), (&json!("```\nx\n```"), false));
        let lost = json!([{"arguments": {"path": "solution.py", "old_str": "a", "new_str": "b"}}]);
        assert!(
            of_atif(&json!({"steps": [step("agent", "x", lost.clone())]}), &[], None)
                .unwrap_err()
                .contains("solution.py")
        );
        assert!(
            of_atif(&json!({"steps": [step("user", "x", json!(null))]}), &[], None)
                .unwrap_err()
                .contains("no submission")
        );
        assert!(of_atif(&json!({"steps": []}), &[], None).is_err());
        let kept = ("app/solution.py".to_string(), Map::from_iter([("solution.py".to_string(), json!("z"))]));
        let found = of_atif(&json!({"steps": [step("agent", "x", lost)]}), &[], Some(kept)).unwrap();
        assert_eq!(
            (&found["files"]["solution.py"], &found["handed_in"]),
            (&json!("z"), &json!("the artifact app/solution.py"))
        );
        let patch = json!([{"arguments": {"patch": "*** Begin Patch"}}]);
        let done = json!([step("agent", "", patch), step("agent", "All tests pass.", json!(null))]);
        assert!(of_atif(&json!({"steps": done}), &[], None).unwrap_err().contains("can be followed"));
    }

    #[test]
    fn a_sample_hands_in_its_output_with_its_score() {
        let sample = json!({
            "id": 7, "epoch": 2, "input": "Write it.", "attachments": {"ab": "```python\nx\n```"},
            "messages": [{"role": "assistant", "content": [{"type": "reasoning", "reasoning": "r"}, {"type": "text", "text": "old"}]}],
            "output": {"choices": [{"message": {"content": "attachment://ab"}}]},
            "scores": {"verify": {"value": "C"}}, "events": [{"content": "attachment://ab"}],
        });
        let found = of_inspect(&sample).unwrap();
        assert_eq!((&found["task_id"], &found["completion"]), (&json!("7"), &json!("```python\nx\n```")));
        assert_eq!((&found["score"], &found["epoch"], &found["scorer"]), (&json!(1.0), &json!(2), &json!("verify")));
        let failed = json!({"id": "a", "error": {"message": "down\nTraceback"}});
        assert_eq!(of_inspect(&failed).unwrap_err(), "the sample ended with an error: down");
    }
}
