//! MBPP in both its forms, and MBPP+: `text` (sanitized: `prompt`), `code`, `test_list`.

use super::{Form, any, stated};
use crate::read::python;
use crate::read::row::Row;
use loophole_grade::{Task, TaskForm, Tests};

pub(super) const FORM: Form = Form {
    name: "MBPP",
    needs: &[&["text", "prompt"], &["code"], &["test_list"]],
    is: any,
    ids: &["task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let visible = row.texts("test_list").ok_or("`test_list` is no list of texts")?;
    let visible = visible.iter().map(|text| python::listed(text).unwrap_or_else(|| vec![text.clone()]).join("\n"));
    let visible = visible.collect::<Vec<_>>().join("\n");
    let mut hidden = row.texts("challenge_test_list").unwrap_or_default().join("\n");
    // MBPP+ has all its tests once more as one text.
    if let Some(more) = row.text("test") {
        hidden = format!("{hidden}\n{more}").trim_start().into();
    }
    let reference = row.text("code").ok_or("`code` is no text")?;
    let mut prelude = row.texts("test_imports").unwrap_or_default().join("\n");
    if let Some(setup) = row.text("test_setup_code").filter(|setup| !setup.is_empty()) {
        prelude = format!("{prelude}\n{setup}").trim_start().into();
    }
    let entry_point = tested(&reference, &visible);
    let form = TaskForm::Tests(Tests { entry_point, prelude, visible, hidden });
    Ok(stated(
        Task { reference, ..Task::new(id, form) },
        row.said("text").or_else(|| row.said("prompt")).unwrap_or_default(),
    ))
}

/// The function of a solution that tests call first; its last one where they call none by name.
pub(super) fn tested(source: &str, tests: &str) -> Option<String> {
    let calls = |name: &&&str| {
        tests.match_indices(&format!("{name}(")).map(|(at, _)| at).find(|at| {
            let before = tests[..*at].chars().next_back();
            before.is_none_or(|c| c != '_' && c != '.' && !c.is_alphanumeric())
        })
    };
    let functions = python::functions(source);
    let first = functions.iter().filter(|name| calls(name).is_some()).min_by_key(|name| calls(name));
    first.or(functions.last()).map(|name| name.to_string()).or_else(|| asserted(tests))
}

/// The function whose call an assertion begins with, where no solution says what there is.
fn asserted(tests: &str) -> Option<String> {
    tests.lines().find_map(|line| {
        let call = line.trim_start().strip_prefix("assert ")?.trim_start();
        let end = call.find(|c: char| c != '_' && !c.is_alphanumeric())?;
        (end > 0 && call[end..].starts_with('(')).then(|| call[..end].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::tested;

    #[test]
    fn the_tested_function_is_the_first_that_tests_call() {
        let source = "def help(x): pass\ndef main_one(x): return help(x)\n";
        assert_eq!(tested(source, "assert set(main_one(help(1))) == 2").unwrap(), "main_one");
        assert_eq!(tested(source, "assert my_help(1)").unwrap(), "main_one");
        assert_eq!(tested("", "import x\nassert x.f(1)\nassert f(1) == 2").unwrap(), "f");
        assert_eq!(tested("x = 1", "assert x"), None);
    }
}
