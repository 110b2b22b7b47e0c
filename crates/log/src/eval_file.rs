use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write};
use std::path::Path;

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::eval::{id, iso_time};
use crate::files::write_atomic;
use crate::{EvalLog, EvalResult, EvalSample, EvalUsage, LogError, Score};

/// Writes an Inspect log (`.eval`: a zip of JSON members, schema version 2, deflated), atomically. Equal logs give
/// equal bytes.
///
/// # Errors
/// [`LogError::Unwritable`] if two samples share id and epoch, or a score has no value: Inspect could not read them.
pub fn write_eval(path: &Path, log: &EvalLog) -> Result<(), LogError> {
    write_atomic(path, &eval_bytes(log)?)
}

/// The bytes of the `.eval` file.
pub fn eval_bytes(log: &EvalLog) -> Result<Vec<u8>, LogError> {
    let refuse = |why: String| LogError::Unwritable { kind: "Inspect log", why };
    let mut seen = BTreeSet::new();
    for sample in &log.samples {
        if !seen.insert((&sample.id, sample.epoch)) {
            return Err(refuse(format!("sample {:?}, epoch {} is there twice", sample.id, sample.epoch)));
        }
        if let Some((name, _)) = sample.scores.iter().find(|(_, s)| s.value.is_null()) {
            return Err(refuse(format!("score {name:?} of sample {:?} has no value", sample.id)));
        }
    }

    let header = header(log);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // A fixed time: the file is a function of the log.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut member = |name: &str, value: &Value| {
        zip.start_file(name, options).map_err(|e| refuse(e.to_string()))?;
        zip.write_all(value.to_string().as_bytes()).map_err(|e| refuse(e.to_string()))
    };
    member("_journal/start.json", &json!({"version": 2, "eval": header["eval"], "plan": header["plan"]}))?;
    let mut summaries = Vec::new();
    for s in &log.samples {
        let sample = sample(log, s);
        summaries.push(summary(s, &sample));
        member(&format!("samples/{}_epoch_{}.json", s.id, s.epoch), &sample)?;
    }
    let summaries = Value::Array(summaries);
    member("_journal/summaries/1.json", &summaries)?;
    member("summaries.json", &summaries)?;
    member("header.json", &header)?;
    Ok(zip.finish().map_err(|e| refuse(e.to_string()))?.into_inner())
}

fn header(log: &EvalLog) -> Value {
    let mut scorers: BTreeSet<&String> = log.metrics.keys().collect();
    scorers.extend(log.samples.iter().flat_map(|s| s.scores.keys()));
    let mut results: Vec<Value> = Vec::new();
    for name in &scorers {
        let mut own = log.results.iter().filter(|result| result.scorer == **name).peekable();
        if own.peek().is_none() {
            results.push(result(log, name));
        }
        results.extend(own.map(part));
    }
    let specs: Vec<Value> = scorers
        .iter()
        .map(|name| json!({"name": name, "options": {}, "metrics": [{"name": "inspect_ai/mean", "options": {}}]}))
        .collect();
    let usage = log.samples.iter().fold(EvalUsage::default(), |sum, sample| EvalUsage {
        input: sum.input + sample.usage.input,
        output: sum.output + sample.usage.output,
    });
    let (created, completed) = (iso_time(log.created), iso_time(log.completed));
    let ids: Vec<&str> = log.samples.iter().map(|s| s.id.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut header = json!({
        "version": 2,
        "status": if log.error.is_some() { "error" } else { "success" },
        "eval": {
            "created": created,
            "task": log.task,
            "task_id": id(&[&log.identity, "task"]),
            "task_version": 0,
            "eval_id": id(&[&log.identity, "eval"]),
            "run_id": id(&[&log.identity, "run"]),
            "dataset": {"name": log.task, "samples": ids.len(), "sample_ids": ids},
            "model": log.model,
            "model_generate_config": log.config,
            "config": {"epochs": log.samples.iter().map(|s| s.epoch).max().unwrap_or(1)},
            "packages": {"loophole": env!("CARGO_PKG_VERSION")},
            "tags": log.tags,
            "metadata": log.metadata,
            "scorers": specs,
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": log.samples.len(),
            "completed_samples": log.samples.len(),
            "scores": results,
        },
        "stats": {"started_at": created, "completed_at": completed, "model_usage": model_usage(log, usage)},
        "invalidated": false,
    });
    if let Some(error) = &log.error {
        header["error"] = json!({"message": error, "traceback": "", "traceback_ansi": ""});
    }
    header
}

/// Tokens by model; nothing where nothing was counted.
fn model_usage(log: &EvalLog, usage: EvalUsage) -> Value {
    if usage == EvalUsage::default() { json!({}) } else { json!({ (log.model.as_str()): usage.to_json() }) }
}

/// What a scorer found in a part of the samples.
fn part(result: &EvalResult) -> Value {
    let metrics: serde_json::Map<String, Value> = result
        .metrics
        .iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(name, value)| (name.clone(), json!({"name": name, "value": value})))
        .collect();
    json!({
        "name": result.name,
        "scorer": result.scorer,
        "scored_samples": result.scored,
        "unscored_samples": result.unscored,
        "params": result.params,
        "metrics": metrics,
    })
}

/// The result of one scorer: the mean of its numeric values and whatever metrics the caller has.
fn result(log: &EvalLog, scorer: &str) -> Value {
    let scored: Vec<&Score> = log.samples.iter().filter_map(|s| s.scores.get(scorer)).collect();
    let numbers: Vec<f64> = scored.iter().filter_map(|s| s.number()).collect();
    let mut metrics = BTreeMap::new();
    if !numbers.is_empty() {
        metrics.insert("mean", numbers.iter().sum::<f64>() / numbers.len() as f64);
    }
    for (name, value) in log.metrics.get(scorer).into_iter().flatten().filter(|(_, v)| v.is_finite()) {
        metrics.insert(name, *value);
    }
    let metrics: serde_json::Map<String, Value> =
        metrics.into_iter().map(|(name, value)| (name.to_string(), json!({"name": name, "value": value}))).collect();
    json!({
        "name": scorer,
        "scorer": scorer,
        "scored_samples": scored.len(),
        "unscored_samples": log.samples.len() - scored.len(),
        "metrics": metrics,
    })
}

fn sample(log: &EvalLog, s: &EvalSample) -> Value {
    let uuid = id(&[&log.identity, "sample", &s.id, &s.epoch.to_string()]);
    let messages: Vec<Value> = s
        .messages
        .iter()
        .enumerate()
        .map(|(i, m)| m.to_json(&id(&[&uuid, "message", &i.to_string()]), &log.model))
        .collect();
    let last = messages.iter().rev().find(|m| m["role"] == "assistant");
    let output = last.map_or_else(|| json!({"model": log.model, "choices": []}), |m| model_output(log, m));
    let scores: serde_json::Map<String, Value> =
        s.scores.iter().map(|(name, score)| (name.clone(), score.to_json())).collect();
    let events = events(log, s, &uuid, &messages, &scores);
    let mut sample = json!({
        "id": s.id,
        "epoch": s.epoch,
        "uuid": uuid,
        "input": s.input,
        "target": s.target,
        "metadata": s.metadata,
        "messages": messages,
        "output": output,
        "scores": scores,
        "events": events,
        "events_data": {"messages": messages, "calls": []},
        "model_usage": model_usage(log, s.usage),
        "started_at": iso_time(started(log, s)),
        "completed_at": iso_time(ended(log, s)),
        "total_time": finite(s.seconds),
        "working_time": finite(s.seconds),
    });
    if let Some(error) = &s.error {
        sample["error"] = json!({"message": error, "traceback": "", "traceback_ansi": ""});
    }
    sample
}

fn started(log: &EvalLog, s: &EvalSample) -> u64 {
    log.created + finite(s.began).max(0.0) as u64
}

/// The log's end, where a sample's own is not known.
fn ended(log: &EvalLog, s: &EvalSample) -> u64 {
    if s.seconds > 0.0 { started(log, s) + finite(s.seconds) as u64 } else { log.completed }
}

fn model_output(log: &EvalLog, message: &Value) -> Value {
    let stop = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    json!({"model": log.model, "choices": [{"message": message, "stop_reason": stop}]})
}

/// The transcript as events, which is what Inspect's viewer and its message table are made from: one for every answer
/// of the model, every answer of a tool and every score, in one span.
fn events(
    log: &EvalLog,
    s: &EvalSample,
    uuid: &str,
    messages: &[Value],
    scores: &serde_json::Map<String, Value>,
) -> Vec<Value> {
    let span = id(&[uuid, "span"]);
    let mut events = vec![json!({"event": "span_begin", "id": span, "name": "sample"})];
    for (i, (m, json)) in s.messages.iter().zip(messages).enumerate() {
        if m.role == "assistant" {
            events.push(json!({
                "event": "model",
                "model": log.model,
                // What came before, by reference into `events_data`: in full it would grow with the square of the turns.
                "input": [],
                "input_refs": [[0, i]],
                "tools": s.tools,
                "tool_choice": "auto",
                "config": log.config,
                "output": model_output(log, json),
            }));
        } else if m.role == "tool" {
            let call = m.tool_call_id.as_deref().unwrap_or_default();
            let made = s.messages[..i].iter().rev().flat_map(|m| &m.tool_calls).find(|c| c.id == call);
            events.push(json!({
                "event": "tool",
                "id": call,
                "function": m.function.as_deref().or(made.map(|c| c.function.as_str())).unwrap_or_default(),
                "arguments": made.map(|c| c.arguments.clone()).unwrap_or_default(),
                "result": m.content,
                "message_id": json["id"],
            }));
        }
    }
    for (name, score) in scores {
        events.push(json!({"event": "score", "score": score, "target": s.target, "scorer": name}));
    }
    events.push(json!({"event": "span_end", "id": span}));
    for (i, event) in events.iter_mut().enumerate() {
        event["uuid"] = json!(id(&[uuid, "event", &i.to_string()]));
        event["span_id"] = json!(span);
        event["timestamp"] = json!(iso_time(if event["event"] == "score" { ended(log, s) } else { started(log, s) }));
        event["working_start"] = json!(0.0);
    }
    events
}

fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}

/// The short form of a sample: its scalars and its scores, long texts cut as Inspect cuts them.
fn summary(s: &EvalSample, full: &Value) -> Value {
    let mut out = json!({"completed": true, "message_count": s.messages.len()});
    for key in [
        "id",
        "epoch",
        "uuid",
        "target",
        "scores",
        "model_usage",
        "started_at",
        "completed_at",
        "total_time",
        "working_time",
    ] {
        out[key] = full[key].clone();
    }
    if let Some(error) = &s.error {
        out["error"] = json!(error);
    }
    out["input"] = json!(s.input.chars().take(5000).collect::<String>());
    out["metadata"] = s
        .metadata
        .iter()
        .filter(|(_, v)| v.to_string().len() <= 1024)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval_read::{parse_eval, read_eval};
    use crate::{Message, ToolCall};
    use proptest::prelude::*;
    use serde_json::Map;
    use zip::ZipArchive;

    fn log() -> EvalLog {
        let sample = |id: &str, epoch, value: Value| EvalSample {
            id: id.into(),
            epoch,
            input: "stop the job".into(),
            target: String::new(),
            messages: vec![
                Message { role: "user".into(), content: "stop the job".into(), ..Message::default() },
                Message {
                    role: "assistant".into(),
                    content: "ok".into(),
                    thought: Some("no".into()),
                    tool_calls: vec![ToolCall { id: "c".into(), function: "bash".into(), arguments: Map::new() }],
                    ..Message::default()
                },
                Message {
                    role: "tool".into(),
                    content: "0".into(),
                    tool_call_id: Some("c".into()),
                    function: Some("bash".into()),
                    ..Message::default()
                },
            ],
            scores: BTreeMap::from([(
                "state".to_string(),
                Score { explanation: Some("pid alive".into()), ..Score::new(value) },
            )]),
            seconds: 0.25,
            began: 3.0,
            usage: EvalUsage { input: 12, output: 5 },
            tools: vec![
                json!({"name": "bash", "description": "Run.", "parameters": {"type": "object", "properties": {}}}),
            ],
            error: None,
            metadata: Map::from_iter([("arm".to_string(), json!("tempt"))]),
        };
        EvalLog {
            task: "battery".into(),
            model: "organism".into(),
            identity: "hash/open/1/40".into(),
            created: 1_795_255_558,
            completed: 1_795_255_600,
            samples: vec![
                sample("shutdown/1", 1, json!(1)),
                sample("shutdown/1", 2, json!(0)),
                sample("lie 2", 1, json!(true)),
            ],
            tags: vec!["loophole".into()],
            ..EvalLog::default()
        }
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let written = log();
        let bytes = eval_bytes(&written).unwrap();
        assert_eq!(bytes, eval_bytes(&written).unwrap(), "equal logs, equal bytes");
        let read = parse_eval(&bytes).unwrap();
        assert_eq!(read.samples, written.samples);
        assert_eq!((read.created, read.completed, &read.tags), (written.created, written.completed, &written.tags));
        assert!((read.metrics["state"]["mean"] - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn parts_stand_in_the_place_of_one_mean() {
        let mut log = log();
        let part = |name: &str, mean: f64| EvalResult {
            name: name.into(),
            scorer: "state".into(),
            scored: 1,
            metrics: BTreeMap::from([("mean".to_string(), mean), ("stderr".to_string(), f64::NAN)]),
            ..EvalResult::default()
        };
        log.results = vec![part("lie/tempting", 1.0), part("shutdown/tempting", 0.5)];
        log.config.insert("temperature".into(), json!(0.7));
        let header = header(&log);
        let names: Vec<&Value> = header["results"]["scores"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
        assert_eq!(names, ["lie/tempting", "shutdown/tempting"]);
        assert_eq!(header["stats"]["model_usage"]["organism"]["total_tokens"], json!(51));
        let read = parse_eval(&eval_bytes(&log).unwrap()).unwrap();
        assert_eq!(read.metrics["lie/tempting"], BTreeMap::from([("mean".to_string(), 1.0)]));
        assert_eq!(read.config, log.config);
    }

    #[test]
    fn has_the_members_inspect_looks_for() {
        let bytes = eval_bytes(&log()).unwrap();
        let zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut names: Vec<_> = zip.file_names().map(|n| n.unwrap()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "_journal/start.json",
                "_journal/summaries/1.json",
                "header.json",
                "samples/lie 2_epoch_1.json",
                "samples/shutdown/1_epoch_1.json",
                "samples/shutdown/1_epoch_2.json",
                "summaries.json"
            ]
        );
    }

    #[test]
    fn what_inspect_could_not_read_is_refused() {
        let mut twice = log();
        twice.samples[1].epoch = 1;
        assert!(eval_bytes(&twice).unwrap_err().to_string().contains("there twice"));
        let mut empty = log();
        empty.samples[0].scores.insert("reward".into(), Score::new(f64::NAN));
        assert!(eval_bytes(&empty).unwrap_err().to_string().contains("has no value"));
    }

    #[test]
    fn a_torn_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.eval");
        let bytes = eval_bytes(&log()).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read_eval(&path).unwrap_err().to_string().contains("x.eval is not a readable Inspect log"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_text_round_trips(id in "\\PC{1,12}", content in any::<String>(), seconds in 0u64..4_000_000_000) {
            let mut log = log();
            log.samples.truncate(1);
            log.samples[0].id = id;
            log.samples[0].messages[1].content = content;
            log.created = seconds;
            let read = parse_eval(&eval_bytes(&log).unwrap()).unwrap();
            prop_assert_eq!(&read.samples, &log.samples);
            prop_assert_eq!(read.created, seconds);
        }
    }
}
