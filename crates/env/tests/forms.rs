//! Every form in which tasks are read, each with rows of our own in its published shape.

use loophole_env::{Extract, Submissions, Tasks, read_tasks};
use loophole_grade::{Submission, TaskForm, Value};
use std::path::{Path, PathBuf};

fn rows(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rows/{name}.jsonl"))
}

fn read(name: &str) -> Tasks {
    let tasks = read_tasks(rows(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(tasks.broken.is_empty(), "{name}: {:?}", tasks.broken);
    tasks
}

/// Of a task: name, form, entry point, visible and hidden cases.
type Wanted = (&'static str, &'static str, Option<&'static str>, usize, usize);

/// File, what it is read as, and its tasks.
const FORMS: &[(&str, &str, &[Wanted])] = &[
    ("humaneval", "HumanEval", &[("Own/0", "HumanEval", Some("clip"), 0, 0)]),
    ("evalplus", "EvalPlus", &[("Own/1", "HumanEval", Some("mean"), 0, 0)]),
    ("mbpp", "MBPP", &[("901", "tests as text", Some("turn"), 0, 0)]),
    ("mbpp_sanitized", "MBPP", &[("902", "tests as text", Some("area"), 0, 0)]),
    ("apps", "APPS", &[("7", "stdin and stdout", None, 2, 1)]),
    ("apps_function", "APPS", &[("8", "function", Some("order"), 2, 2)]),
    ("taco", "TACO", &[("0", "stdin and stdout", None, 1, 1)]),
    ("codecontests", "CodeContests", &[("1_A. Double", "stdin and stdout", None, 1, 3)]),
    (
        "deepcoder",
        "DeepCoder",
        &[
            ("0", "function", Some("total"), 2, 1),
            ("1", "stdin and stdout", None, 2, 1),
            ("2", "function", Some("back"), 1, 1),
        ],
    ),
    (
        "livecodebench",
        "LiveCodeBench",
        &[("9001", "function", Some("scaledSum"), 1, 2), ("own_b", "stdin and stdout", None, 1, 1)],
    ),
    ("kodcode", "KodCode", &[("Own_1_I", "tests as text", Some("vowels"), 0, 0)]),
    ("bigcodebench", "BigCodeBench", &[("OwnBench/0", "tests as text", Some("task_func"), 0, 0)]),
    ("leetcode", "LeetCodeDataset", &[("largest-gap", "tests as text", Some("largestGap"), 0, 0)]),
    ("verl", "verl", &[("5", "stdin and stdout", None, 2, 1), ("6", "tests as text", Some("third"), 0, 0)]),
    ("trl", "TRL", &[("0", "tests as text", Some("shout"), 0, 0), ("1", "tests as text", Some("pairs"), 0, 0)]),
    ("open_r1", "Open-R1", &[("own_1", "stdin and stdout", None, 2, 1)]),
    ("case", "case form", &[("0", "function", Some("inc"), 1, 1), ("12", "stdin and stdout", None, 2, 0)]),
];

#[test]
fn rows_are_read_as_what_they_are() {
    for (name, form, wanted) in FORMS {
        let read = read(name);
        assert_eq!(read.forms, [(*form, wanted.len())], "{name}");
        let found: Vec<_> = read
            .tasks
            .iter()
            .map(|t| (t.id.as_str(), t.form.name(), t.entry_point(), t.visible.len(), t.hidden.len()))
            .collect();
        assert_eq!(found, *wanted, "{name}");
    }
}

#[test]
fn what_rows_say_arrives() {
    let apps = &read("apps").tasks[0];
    assert_eq!(apps.visible[0].args, [Value::Str("1 2\n".into())]);
    assert_eq!(apps.reference, "a, b = map(int, input().split())\nprint(a + b)\n");
    let function = &read("apps_function").tasks[0];
    assert!(function.reference.contains("def order(*args, **kwargs):"), "{}", function.reference);
    assert!(function.statement.contains("class Solution"));
    let taco = &read("taco").tasks[0];
    assert_eq!(taco.visible[0].args, [Value::Str("abc\nx\n".into())]);
    let contest = &read("codecontests").tasks[0];
    assert_eq!(contest.reference, "print(2 * int(input()))\n");
    let deep = read("deepcoder");
    assert_eq!(deep.tasks[0].visible[0].args, [Value::List(vec![Value::Int(1), Value::Int(2)])]);
    assert_eq!(deep.tasks[2].reference, "def back(name):\n    return name[::-1]\n");
    assert!(deep.tasks[2].compare.any_of, "a value alone in a list");
    let live = &read("livecodebench").tasks[0];
    assert_eq!(live.hidden[0].args, [Value::List(vec![Value::Int(4)]), Value::Int(2)]);
    assert_eq!(live.hidden[0].expected, Value::Int(8));
    let TaskForm::Tests(mbpp) = &read("mbpp").tasks[0].form.clone() else { panic!() };
    assert!(mbpp.visible.contains("assert turn('one')") && mbpp.hidden == "assert turn('x y z') == 'z y x'");
    let TaskForm::Tests(sanitized) = &read("mbpp_sanitized").tasks[0].form.clone() else { panic!() };
    assert_eq!(sanitized.prelude, "import math");
    let trl = read("trl");
    assert_eq!(trl.tasks[0].reference, "def shout(text):\n    return text.upper() + '!'\n");
    let TaskForm::Tests(pairs) = &trl.tasks[1].form else { panic!() };
    assert_eq!(pairs.visible, "assert pairs(1) == [(0, 1)]\nassert pairs(2) == [(0, 1), (1, 2)]");
    assert_eq!(read("verl").keys[0].prompt.as_deref(), Some("Read x, print x plus one."));
}

#[test]
fn one_bad_row_stops_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.jsonl");
    let good = std::fs::read_to_string(rows("trl")).unwrap();
    let first = good.lines().next().unwrap();
    let rows = [
        first,
        "{\"prompt\": ",
        r#"{"prompt": "p", "solution": "s"}"#,
        r#"{"colour": "green"}"#,
        r#"{"reward_model": {"ground_truth": "72"}, "data_source": "gsm8k", "prompt": "p"}"#,
        r#"{"id": 0, "entry_point": "f", "reference": "", "visible": [{"args": [], "expected": 1}]}"#,
        r#"{"id": "x", "entry_point": "a b", "reference": "", "visible": [{"args": [], "expected": 1}]}"#,
        r#"{"task_id": 1, "text": "t\ud800", "code": "def f(): return 1", "test_list": ["assert f() == 1"]}"#,
    ];
    std::fs::write(&path, rows.join("\r\n")).unwrap();
    let read = read_tasks(&path).unwrap();
    assert_eq!(read.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(read.told(), "read as TRL, 1 task; MBPP, 1 task; 6 tasks could not be read");
    let broken: Vec<String> = read.broken.iter().map(ToString::to_string).collect();
    for (error, says) in broken.iter().zip([
        "line 2: EOF",
        "line 3: no form of tasks that is known; nearest is DeepCoder, which has also `tests` (forms",
        "line 4: no form of tasks that is known, by its fields; forms are HumanEval, EvalPlus",
        "line 5: read as verl: its ground truth is an answer (gsm8k)",
        "line 6: task `0` stands already in",
        "line 7: read as case form: entry_point `a b`",
    ]) {
        assert!(error.contains(says), "{error}");
    }
    std::fs::write(&path, "{\"colour\": 1}\n").unwrap();
    assert!(read_tasks(&path).unwrap_err().to_string().contains("line 1: no form"));
}

#[test]
fn parquet_holds_what_json_lines_hold() {
    let packed = read_tasks(rows("verl").with_extension("parquet")).unwrap();
    assert_eq!(packed.told(), "read as verl, 2 tasks");
    assert_eq!(packed.tasks, read("verl").tasks);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let whole = std::fs::read(rows("verl").with_extension("parquet")).unwrap();
    for cut in [whole.len() / 2, whole.len() - 5, 20] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(read_tasks(&path).unwrap_err().to_string().contains("no readable Parquet"), "{cut}");
    }
    // Bytes that were changed are an error or other rows, never an end of the program.
    for at in (4..whole.len()).step_by(37) {
        let mut bent = whole.clone();
        bent[at] ^= 0xff;
        std::fs::write(&path, &bent).unwrap();
        let _ = read_tasks(&path);
    }
}

#[test]
fn rollouts_of_trainers_find_their_tasks() {
    let tasks = read("trl");
    let path = rows("completions").with_extension("parquet");
    let jobs: Vec<_> = Submissions::open(&path, &tasks, Extract::Auto).unwrap().map(Result::unwrap).collect();
    assert_eq!(jobs.iter().map(|job| job.task.id.as_str()).collect::<Vec<_>>(), ["0", "0"]);
    assert_eq!(jobs[1].submission, Submission::Completion("import os\nos._exit(0)\n".into()));
    let columns = &jobs[1].with.columns;
    assert_eq!((&columns["step"], &columns["tests_reward"]), (&2.into(), &1.0.into()));
    assert_eq!(jobs[0].with.extracted.as_deref(), Some("the fenced block"));

    let tasks = read("verl");
    let dir = tempfile::tempdir().unwrap();
    let truth = serde_json::json!(
        "{\"inputs\": [\"1\\n\", \"41\\n\", \"-1\\n\"], \"outputs\": [\"2\\n\", \"42\\n\", \"0\\n\"]}"
    );
    let row = serde_json::json!({"input": "<|user|>", "output": "print(2)", "gts": truth, "score": 0.0});
    std::fs::write(dir.path().join("7.jsonl"), format!("{row}\n")).unwrap();
    let wrong = serde_json::json!({"input": "other", "output": "print(2)"});
    let ids = serde_json::json!({"extra_info": {"index": 6}, "completion": "x"});
    std::fs::write(dir.path().join("10.jsonl"), format!("{wrong}\n{ids}\n{{\"task_id\": 6}}\n")).unwrap();
    let mut jobs = Submissions::open(dir.path(), &tasks, Extract::Auto).unwrap();
    let first = jobs.next().unwrap().unwrap();
    assert_eq!(
        (first.task.id.as_str(), &first.with.columns["step"], &first.with.columns["score"]),
        ("5", &7.into(), &0.0.into())
    );
    let second = jobs.next().unwrap().unwrap_err().to_string();
    assert!(second.contains("10.jsonl, line 1") && second.contains("give `task_id`"), "{second}");
    assert_eq!(jobs.next().unwrap().unwrap().task.id, "6");
    assert!(jobs.next().unwrap().unwrap_err().to_string().contains("`completion`"));
    assert!(jobs.next().is_none());
}
