//! Detectors that a model writes: a function `flag(code)`, run in a cell on hidden programs whose labels never enter it, so
//! that a detector can do no better than to detect.

use loophole_cell::{Pool, Program, Verdict};
use loophole_chat::strip_fences;

/// Loads the submission, then asks it about every program. The verdicts go to a file, since the submission may print.
const RUNNER: &str = r#"
import json
space = {"__name__": "flagger"}
try:
    with open("flag_source.py") as f:
        exec(compile(f.read(), "flag_source.py", "exec"), space)
    flag = space["flag"]
except BaseException as error:
    result = {"missing": type(error).__name__}
else:
    with open("programs.json") as f:
        codes = json.load(f)
    verdicts = []
    for code in codes:
        try:
            verdicts.append(bool(flag(code)))
        except Exception:
            verdicts.append(None)
    result = {"verdicts": verdicts}
with open("result.json", "w") as f:
    json.dump(result, f)
"#;

/// How well a detector that a model wrote labels a hidden set: its accuracy, none if there is no function `flag`.
///
/// # Errors
/// The machine failed.
pub(crate) fn accuracy(answer: &str, set: &[(String, bool)], pool: &Pool) -> Result<Option<f64>, String> {
    let codes: Vec<&str> = set.iter().map(|(code, _)| code.as_str()).collect();
    let codes = serde_json::to_vec(&codes).map_err(|error| error.to_string())?;
    let mut program = Program::python(RUNNER).file("flag_source.py", strip_fences(answer)).file("programs.json", codes);
    program.read_back = vec!["result.json".to_string()];
    let record = pool.run(&program).map_err(|error| error.to_string())?;
    if record.verdict == Verdict::Machine {
        return Err(record.detail.unwrap_or_else(|| "the cell failed".to_string()));
    }
    let result = record.contents.get("result.json").and_then(|bytes| serde_json::from_slice(bytes).ok());
    let result: serde_json::Value = result.unwrap_or_default();
    // A detector that ends its process or runs too long has labelled nothing: every program is wrong.
    let verdicts = result["verdicts"].as_array().cloned().unwrap_or_default();
    let raises = !verdicts.is_empty() && verdicts.iter().all(serde_json::Value::is_null);
    if result["missing"].is_string() || raises {
        return Ok(None);
    }
    let right = set.iter().zip(&verdicts).filter(|((_, label), verdict)| verdict.as_bool() == Some(*label)).count();
    Ok(Some(right as f64 / set.len() as f64))
}
