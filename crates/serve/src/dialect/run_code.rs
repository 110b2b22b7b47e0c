//! SandboxFusion's `POST /run_code`: one program, told how it ended.
//!
//! The status is 200 whatever the program did. A machine that failed, a full queue and a passed deadline are 504: verl
//! asks again after no other status, and takes every other one for a program that failed.

use std::collections::BTreeMap;
use std::path::Component;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loophole_cell::{Entry, InputFile, Program, Record, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::language::{Language, MADE};
use crate::Service;
use crate::grading::Grading;
use crate::http::body::SHAPED;
use crate::problem::{Form, Problem, json_response};
use crate::queue::Deadline;
use crate::route::{MOST_BYTES, answer, asked};

/// `POST /run_code`.
#[derive(Deserialize)]
struct Asked {
    code: String,
    language: String,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    compile_timeout: Option<f64>,
    #[serde(default)]
    run_timeout: Option<f64>,
    /// -1 for no limit of the client's.
    #[serde(default, rename = "memory_limit_MB")]
    memory_limit_mb: Option<f64>,
    /// In base64, by path.
    #[serde(default)]
    files: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    fetch_files: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Told {
    status: Status,
    message: String,
    compile_result: Option<Ran>,
    run_result: Option<Ran>,
    executor_pod_name: Option<String>,
    /// In base64, by path.
    files: BTreeMap<String, String>,
    /// What was observed of it; clients ignore it.
    #[serde(skip_serializing_if = "Value::is_null")]
    loophole: Value,
}

#[derive(Serialize)]
enum Status {
    Success,
    Failed,
    SandboxError,
}

#[derive(Serialize)]
struct Ran {
    status: Ended,
    execution_time: f64,
    return_code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[derive(Serialize)]
enum Ended {
    Finished,
    TimeLimitExceeded,
}

/// Seconds of a program for which nothing is said.
const SECONDS: f64 = 10.0;
/// Seconds beside those of compiling and running after which the answer is that there is none.
const PATIENCE: f64 = 8.0;
/// Runs the tests that a file holds.
const PYTEST: &str =
    "import sys\nimport pytest\nraise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider', NAME]))\n";

pub(super) async fn run_code(State(service): State<Arc<Service>>, request: Request) -> Response {
    let again = |problem: Problem| match problem.status {
        503 => Problem { status: 504, ..problem },
        _ => problem,
    };
    answer(Form::Detail, ran(service, request).await.map_err(again))
}

async fn ran(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let (asked, held) = asked::<Asked>(&service, request, MOST_BYTES, SHAPED).await?;
    let Job { compile, mut program } = match job(&asked) {
        Ok(job) => job,
        Err(why) => return Ok(json_response(200, &Told::error(why))),
    };
    let deadline = match asked.compile_timeout {
        // Clients that name it (verl) leave ten seconds after both times, and ask no more.
        Some(seconds) if seconds >= 0.0 => held.deadline.within(seconds + program.limits.wall_seconds + PATIENCE),
        _ => held.deadline,
    };
    let mut compiled = None;
    if let Some(compiler) = compile {
        let mut record = match run(&service, deadline, compiler).await? {
            Ok(record) => record,
            Err(why) => return Ok(json_response(200, &Told::error(why))),
        };
        let made = record.contents.remove(MADE);
        match made.filter(|_| record.success()) {
            None => return Ok(json_response(200, &Told { compile_result: Some(Ran::of(&record)), ..Told::failed() })),
            Some(made) => {
                program.files.retain(|file| file.path != MADE);
                program.files.push(InputFile { path: MADE.into(), content: made, executable: true });
            }
        }
        compiled = Some(Ran::of(&record));
    }
    let record = match run(&service, deadline, program).await? {
        Ok(record) => record,
        Err(why) => return Ok(json_response(200, &Told::error(why))),
    };
    if asked.language == "pytest" && record.stderr.ends_with(b"ModuleNotFoundError: No module named 'pytest'\n") {
        let why = "language not offered: the cells' Python has no pytest; start the server with --python";
        return Ok(json_response(200, &Told::error(why.to_string())));
    }
    Ok(json_response(200, &Told { compile_result: compiled, ..Told::of(&record) }))
}

/// Runs a program; or says, for its client, why it has no place in a cell.
async fn run(service: &Arc<Service>, deadline: Deadline, program: Program) -> Result<Result<Record, String>, Problem> {
    match service.run(deadline, program).await {
        Ok(record) => Ok(Ok(record)),
        Err(problem) if problem.status == 422 => Ok(Err(problem.message)),
        Err(problem) => Err(problem),
    }
}

/// What is run for a request.
struct Job {
    /// Makes [`MADE`], which the program is given.
    compile: Option<Program>,
    program: Program,
}

/// What a request asks for, or why that cannot be had.
fn job(asked: &Asked) -> Result<Job, String> {
    for (name, seconds) in [("compile_timeout", asked.compile_timeout), ("run_timeout", asked.run_timeout)] {
        if seconds.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
            return Err(format!("{name} must be a number of seconds, not below 0"));
        }
    }
    let given = asked.files.as_ref();
    let mut files = Vec::new();
    for (path, content) in given.into_iter().flatten() {
        let Some(content) = content else { continue };
        let content =
            STANDARD.decode(content.trim()).map_err(|error| format!("file {path:?} is no base64: {error}"))?;
        files.push(InputFile::new(path.trim_start_matches("./"), content));
    }
    // The name of a file that is not given.
    let free = |(stem, end): (&str, &str)| {
        let name = |at: usize| if at == 0 { format!("{stem}{end}") } else { format!("{stem}_{at}{end}") };
        let taken = |name: &String| files.iter().any(|file| file.path == *name);
        (0..).map(name).find(|name| !taken(name)).unwrap_or_default()
    };
    let command = |words: &[&str], last: Option<&str>| {
        Entry::Command(words.iter().copied().chain(last).map(Into::into).collect())
    };
    let (name, compile, entry) = match asked.language.as_str() {
        "python" => {
            let name = free(("main", ".py"));
            (name.clone(), None, Entry::PythonFile(name))
        }
        "pytest" => {
            let name = free(("test_main", ".py"));
            let tests = PYTEST.replace("NAME", &format!("{name:?}"));
            (name, None, Entry::Python(tests))
        }
        other => {
            let language = Language::find(other)?;
            let name = free(language.file);
            let compile = language.compile.map(|words| command(words, Some(&name)));
            let run = command(language.run, language.compile.is_none().then_some(&name));
            (name, compile, run)
        }
    };
    files.push(InputFile::new(name, asked.code.as_bytes()));
    let memory = asked.memory_limit_mb.filter(|limit| *limit > 0.0).map(|limit| (limit * 1048576.0) as u64);
    let seconds = |asked: Option<f64>| asked.filter(|seconds| *seconds > 0.0).unwrap_or(SECONDS);
    let compile = compile.map(|entry| {
        let mut compile = Program::new(entry);
        compile.files = files.clone();
        // A compiler is not what the limit is about.
        compile.limits = Grading::limits(seconds(asked.compile_timeout), None);
        compile.limits.file_bytes = 64 << 20;
        compile.read_back = vec![MADE.to_string()];
        compile
    });
    let mut program = Program::new(entry);
    program.files = files;
    // What reads /dev/stdin elsewhere reads it here; a millisecond is little beside the request.
    program.proc = true;
    program.stdin = asked.stdin.clone().unwrap_or_default().into_bytes();
    program.limits = Grading::limits(seconds(asked.run_timeout), memory);
    if compile.is_some() {
        program.limits.file_bytes = 64 << 20;
    }
    // What cannot be a file of the program's is left out, as one that it did not make.
    let inside = |path: &&str| std::path::Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let wanted = asked.fetch_files.iter().flatten().map(|path| path.trim_start_matches("./").trim_end_matches('/'));
    program.read_back =
        wanted.filter(|path| !path.is_empty() && !path.contains("//")).filter(inside).map(str::to_string).collect();
    Ok(Job { compile, program })
}

impl Told {
    fn error(message: String) -> Told {
        Told {
            status: Status::SandboxError,
            message,
            compile_result: None,
            run_result: None,
            executor_pod_name: None,
            files: BTreeMap::new(),
            loophole: Value::Null,
        }
    }

    fn failed() -> Told {
        Told { status: Status::Failed, ..Told::error(String::new()) }
    }

    fn of(record: &Record) -> Told {
        let message = match record.verdict {
            Verdict::Exit | Verdict::Signal | Verdict::Wall | Verdict::Cpu => "",
            Verdict::Memory => "the program failed for want of memory",
            Verdict::Pids => "the program failed at the limit of processes",
            Verdict::Output => "the program wrote more output than allowed",
            Verdict::Disk => "the program failed because a file or its folder was full",
            Verdict::Machine => "the machine failed",
        };
        let loophole = json!({
            "verdict": record.verdict, "truncated": record.truncated, "refused": record.refused,
            "leftover_processes": record.leftover_processes, "cpu_seconds": record.cpu_seconds,
        });
        Told {
            status: if record.success() { Status::Success } else { Status::Failed },
            message: message.to_string(),
            compile_result: None,
            executor_pod_name: None,
            files: record.contents.iter().map(|(path, content)| (path.clone(), STANDARD.encode(content))).collect(),
            run_result: Some(Ran::of(record)),
            loophole,
        }
    }
}

impl Ran {
    fn of(record: &Record) -> Ran {
        let late = matches!(record.verdict, Verdict::Wall | Verdict::Cpu);
        // Who was ended by a limit has not ended with status 0, whatever its last status says.
        let ended = record.code.or_else(|| record.signal.map(|signal| -signal));
        let return_code = match record.verdict {
            Verdict::Exit | Verdict::Signal => ended,
            Verdict::Wall | Verdict::Cpu => None,
            _ => Some(ended.filter(|code| *code != 0).unwrap_or(-9)),
        };
        Ran {
            status: if late { Ended::TimeLimitExceeded } else { Ended::Finished },
            execution_time: record.wall_seconds,
            return_code,
            stdout: record.stdout_text(),
            stderr: record.stderr_text(),
        }
    }
}
