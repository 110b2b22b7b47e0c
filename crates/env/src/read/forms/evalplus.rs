//! EvalPlus, as its own files hold HumanEval+ and MBPP+: inputs without answers, which its reference gives.

use super::{Form, any, humaneval};
use crate::read::row::Row;
use loophole_grade::{Task, Value};

pub(super) const FORM: Form = Form {
    name: "EvalPlus",
    needs: &[&["prompt"], &["entry_point"], &["canonical_solution"], &["base_input", "plus_input"]],
    is: any,
    ids: &["task_id", "id"],
    task,
};

/// What compares: floats by six digits where the task has an `atol`. An assertion of another form than a comparison with
/// a value could not be made wrong such that only the wrong value meets it.
const CHECK: &str = r#"
import copy as _copy
_space = {}
exec(compile(_REFERENCE, "reference.py", "exec"), _space)


def _near(value):
    if _ATOL and isinstance(value, float):
        return float("%.6g" % value)
    if isinstance(value, (list, tuple)):
        return type(value)([_near(part) for part in value])
    return value


def check(candidate):
    for _args in _INPUTS:
        assert _near(candidate(*_copy.deepcopy(_args))) == _near(_space[_ENTRY](*_copy.deepcopy(_args)))
"#;

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let text = |name: &str| row.text(name).ok_or_else(|| format!("`{name}` is no text"));
    let (prompt, entry_point, solution) = (text("prompt")?, text("entry_point")?, text("canonical_solution")?);
    let mut inputs = String::new();
    for name in ["base_input", "plus_input"] {
        for args in row.list(name).unwrap_or_default() {
            let args = Value::parse(args.get()).map_err(|error| format!("{name}: {error}"))?;
            inputs += &format!("{}, ", args.python());
        }
    }
    if inputs.is_empty() {
        return Err("neither `base_input` nor `plus_input` is a list with anything in it".into());
    }
    let literal = |text: &str| Value::Str(text.into()).python();
    let atol = row.json("atol").and_then(|atol| atol.parse::<f64>().ok()).unwrap_or(0.0);
    let reference = literal(&format!("{prompt}{solution}"));
    let entry = literal(&entry_point);
    let test = format!("_REFERENCE = {reference}\n_ENTRY = {entry}\n_ATOL = {atol:?}\n_INPUTS = [{inputs}]\n{CHECK}");
    humaneval::of(id, prompt, entry_point, &solution, test)
}
