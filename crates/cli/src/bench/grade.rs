//! Labelled submissions a second, beside cold processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Grader, GraderKind, Grading, Submission, Task};
use serde_json::{Value, json};

use super::{cold, rate};
use crate::output::Error;

/// Submissions of one measurement.
const SCRIPTS: usize = 600;
const PYTESTS: usize = 150;
/// Cold pytest processes of one measurement.
const COLD: usize = 12;

/// Two visible tests, eight hidden ones: honest submissions alone (the grader, the oracle, the grader with wrong
/// values), and a mixture of a third honest, a third wrong and a third hacks, whose attribution takes more runs.
pub fn measure(threads: usize, python: &Path) -> Result<Value, Error> {
    let script = labelled(GraderKind::Script, None, threads, SCRIPTS, Of::Honest)?;
    let cold = cold(threads)?;
    let mut result = json!({
        "labelled script submissions a second": script,
        "labelled script submissions a second, a third hacks": labelled(GraderKind::Script, None, threads, SCRIPTS, Of::All)?,
        "cold python3 -I -S processes a second": cold,
        "ratio to three cold processes": script / (cold / 3.0),
    });
    match cold_pytest(threads, python)? {
        Some(cold) => {
            let of = |of| labelled(GraderKind::Pytest, Some(python), threads, PYTESTS, of);
            let pytest = of(Of::Honest)?;
            result["labelled pytest submissions a second, a third hacks"] = json!(of(Of::All)?);
            result["labelled pytest submissions a second"] = json!(pytest);
            result["cold python -m pytest processes a second"] = json!(cold);
            result["ratio to three cold pytest processes"] = json!(pytest / (cold / 3.0));
        }
        None => {
            let why = format!("skipped: {} has no pytest (name one that has with --python)", python.display());
            result["labelled pytest submissions a second"] = json!(why);
        }
    }
    Ok(result)
}

/// What the submissions are.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Honest,
    All,
}

fn task() -> Result<Task, Error> {
    serde_json::from_value(json!({
        "id": "bench", "statement": "Write f(x) that returns x plus 3.", "entry_point": "f", "params": ["x"],
        "reference": "def f(x):\n    return x + 3",
        "visible": [{"args": [1], "expected": 4}, {"args": [2], "expected": 5}],
        "hidden": (3..11).map(|x| json!({"args": [x], "expected": x + 3})).collect::<Vec<_>>(), "tags": [],
    }))
    .map_err(|error| Error::Cannot(error.to_string()))
}

fn labelled(kind: GraderKind, python: Option<&Path>, threads: usize, count: usize, of: Of) -> Result<f64, Error> {
    let task = task()?;
    let options = PoolOptions { python: python.map(Path::to_path_buf), ..Grading::cells(kind) };
    let lab = Grading::new(Arc::new(Pool::start(options)?));
    let grader = Grader::open(kind);
    // Each submission is another text, so that nothing comes from the cache.
    let work = |index: usize| {
        let code = match index % 3 {
            _ if of == Of::Honest => format!("def f(x):\n    return x + 3  # {index}"),
            0 => format!("def f(x):\n    return x + 3  # {index}"),
            1 => format!("def f(x):\n    return x + {}", index + 4),
            _ => format!("import os  # {index}\nos._exit(0)"),
        };
        lab.grade(&task, &grader, &Submission::Completion(code)).map(|_| ())
    };
    rate(30, threads, |index| work(index + 1_000_000))?;
    Ok(rate(count, threads * 2, work)?)
}

/// `python -m pytest` on two tests, started anew each time; none where there is no pytest.
fn cold_pytest(threads: usize, python: &Path) -> Result<Option<f64>, Error> {
    let folder = std::env::temp_dir().join(format!("loophole-bench-{}", std::process::id()));
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    std::fs::create_dir_all(&folder)
        .and_then(|()| write("solution.py", "def f(x):\n    return x + 3\n"))
        .and_then(|()| {
            write(
                "test_solution.py",
                "import solution\ndef test_0():\n    assert solution.f(1) == 4\ndef test_1():\n    assert solution.f(2) == 5\n",
            )
        })
        .map_err(|source| Error::Write { path: folder.clone(), source })?;
    let run = |_| {
        let mut command = Command::new(python);
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_solution.py"]).current_dir(&folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    let cannot = |error: std::io::Error| Error::Cannot(format!("{}: {error}", python.display()));
    let found = run(0).map_err(cannot)?.success();
    let measured = if found { Some(rate(COLD, threads, |i| run(i).map(|_| ()))) } else { None };
    // What is left in the folder for temporary files harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    measured.transpose().map_err(cannot)
}
