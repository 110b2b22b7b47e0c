//! Environments that come as Python packages and bring their own rows: tasks of Inspect (`inspect:PACKAGE/TASK`,
//! `inspect:FILE.py@TASK`) and environments of verifiers (`verifiers:NAME`, or a folder). No model is asked: a completion
//! stands in for what the model would have said.

use crate::callable::{Callable, Shim};
use crate::files::Folder;
use crate::row::{Package, Row};
use crate::{EnvError, Settings};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What the shim is called in a cell.
const FILE: &str = "packaged_environment.py";
/// What comes along with a package, by the names that the files have in a cell.
const FILES: [(&str, &str); 5] = [
    (FILE, include_str!("packaged/driver.py")),
    ("loophole_inspect.py", include_str!("packaged/inspect_tasks.py")),
    ("loophole_verifiers.py", include_str!("packaged/verifiers.py")),
    ("loophole_tasksets.py", include_str!("packaged/tasksets.py")),
    ("loophole_environments.py", include_str!("packaged/environments.py")),
];

/// A kind of package, and what is worth having in the warm interpreter: such libraries take seconds to load.
struct Kind {
    name: &'static str,
    says: &'static str,
    preload: &'static [&'static str],
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "inspect",
        says: "Inspect task",
        preload: &[
            "inspect_ai.scorer",
            "inspect_ai._eval.loader",
            "inspect_ai._eval.context",
            "inspect_ai._eval.task.sandbox",
            "inspect_ai.model._providers.mockllm",
            "inspect_ai.tool._sandbox_tools_utils.sandbox",
            "inspect_ai.util._sandbox.local",
            // What `datasets` loads, which itself cannot be loaded before a cell is whole.
            "pandas",
            "huggingface_hub",
        ],
    },
    Kind {
        name: "verifiers",
        says: "verifiers environment",
        preload: &[
            "verifiers.v1.utils.loaders",
            "verifiers.v1.trace",
            "mcp.server",
            // Before 0.4; `datasets`, which cannot be loaded before a cell is whole, loads the first three.
            "pandas",
            "pyarrow.parquet",
            "huggingface_hub",
            "verifiers.clients",
            "agents.function_schema",
            "zmq.asyncio",
        ],
    },
];

/// Opens such a target; nothing for a name that does not begin as one.
pub(crate) fn open(target: &str, settings: &Settings) -> Option<Result<(Callable, Vec<Row>), EnvError>> {
    let (kind, name) = target.split_once(':')?;
    let kind = KINDS.iter().find(|k| k.name == kind)?;
    Some(opened(target, kind, name, settings))
}

fn opened(target: &str, kind: &Kind, name: &str, settings: &Settings) -> Result<(Callable, Vec<Row>), EnvError> {
    if settings.tasks.is_some() || settings.reference.is_some() {
        return Err(EnvError::Input(format!("{target}: it brings its own rows; leave out --tasks and --reference")));
    }
    let (folder, name) = place(target, kind, name)?;
    let shim = Shim {
        folder,
        files: &FILES,
        file: FILE.into(),
        function: format!("{}_completion", kind.name),
        says: format!("{} {name}", kind.says),
        preload: kind.preload,
    };
    let python = settings.python.as_deref();
    let mut callable = Callable::with_shim(shim, python, settings.foreign_seconds())?;
    let rows = callable.told("rows", kind.name, &json!({"of": name}), python)?;
    let mut rows: Vec<Row> =
        rows.as_array().into_iter().flatten().map(|told| row_of(told, &name)).collect::<Result<_, _>>()?;
    // What nothing deserves the full reward of cannot be audited.
    rows.retain(|row| !row.reference.is_empty());
    if rows.is_empty() {
        return Err(EnvError::Unusable(format!("no row of {target} says what deserves the full reward")));
    }
    Ok((callable, rows))
}

/// A row as the shim tells it: its fields, and what is known of the environment. One that cannot be read is said: it
/// would be missing from the audit without a word.
fn row_of(told: &Value, name: &str) -> Result<Row, EnvError> {
    let unread = |why: String| EnvError::Unusable(format!("a row of {name} cannot be read: {why}"));
    let fields = told.get("fields").and_then(Value::as_object).ok_or_else(|| unread("it has no fields".into()))?;
    let mut fields: Map<String, Value> = fields.clone();
    fields.insert("of".into(), json!(name));
    let about = told.get("about").cloned().unwrap_or_default();
    let package: Package = serde_json::from_value(about).map_err(|error| unread(error.to_string()))?;
    let mut row = Row::of(fields, None);
    if let Some(says) = &package.says {
        row.read = format!("{}; {says}", row.read);
    }
    row.package = package;
    Ok(row)
}

/// The files that come along, and the name by which the package finds it among them.
fn place(target: &str, kind: &Kind, name: &str) -> Result<(Folder, String), EnvError> {
    let wrong = |why: &str| EnvError::Input(format!("{target}: {why}"));
    if name.is_empty() {
        return Err(wrong(
            "write inspect:PACKAGE/TASK, inspect:FILE.py@TASK, verifiers:NAME, verifiers:FILE.py or verifiers:FOLDER",
        ));
    }
    let (path, task) = name.split_once('@').map_or((name, None), |(path, task)| (path, Some(task)));
    let path = Path::new(path);
    let last = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if let Some(module) = last.strip_suffix(".py") {
        if !path.is_file() {
            return Err(wrong("there is no such file"));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = if kind.name == "inspect" { last } else { module };
        return Ok((Folder::read(parent)?, task.map_or(name.to_string(), |task| format!("{name}@{task}"))));
    }
    // A package of the current folder, which need not be installed.
    let package = name.split('/').next().unwrap_or(name);
    let here = ["", "src/"].map(|at| format!("{at}{package}"));
    if kind.name == "inspect"
        && let Some(at) = here.iter().find(|at| Path::new(at).join("__init__.py").is_file())
    {
        return Ok((named(Folder::read(Path::new(at))?, package), name.to_string()));
    }
    // An environment of verifiers by its name: `environments/NAME`, where `vf-init` puts it.
    let beside = ["", "environments/"].map(|at| Path::new(at).join(name.replace('-', "_")));
    let beside = beside.iter().map(PathBuf::as_path).find(|at| at.is_dir());
    if kind.name == "verifiers"
        && let Some(path) = Some(path).filter(|path| path.is_dir()).or(beside)
    {
        let folder = Folder::read(path)?;
        // The package itself, or the folder of a project that holds it under its name.
        let whole = path.canonicalize().map_err(|e| wrong(&e.to_string()))?;
        let name = whole.file_name().and_then(|n| n.to_str()).unwrap_or_default().replace('-', "_").to_lowercase();
        if !folder.files.contains_key("__init__.py") {
            return Ok((folder, name));
        }
        return Ok((named(folder, &name), name));
    }
    let first = name.split_once('/').map(|(first, _)| Path::new(first));
    if kind.name == "verifiers" && first.is_some_and(Path::is_dir) {
        return Err(wrong("there is no such folder"));
    }
    Ok((Folder::default(), name.to_string()))
}

/// The folder as one of this name.
fn named(folder: Folder, name: &str) -> Folder {
    Folder { files: folder.files.into_iter().map(|(path, file)| (format!("{name}/{path}"), file)).collect() }
}
