//! Environments that come as Python packages and bring their own rows: tasks of Inspect (`inspect:PACKAGE/TASK`,
//! `inspect:FILE.py@TASK`) and environments of verifiers (`verifiers:NAME`, or a folder). No model is asked: a completion
//! stands in for what the model would have said.

use crate::callable::{Callable, Shim};
use crate::files::Folder;
use crate::row::Row;
use crate::{EnvError, Settings};
use serde_json::{Map, Value, json};
use std::path::Path;

const SHIM: &str = include_str!("packaged.py");
/// What the shim is called in a cell.
const FILE: &str = "packaged_environment.py";

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
        preload: &["inspect_ai", "inspect_ai.scorer", "inspect_ai.solver", "inspect_ai._eval.loader"],
    },
    Kind {
        name: "verifiers",
        says: "verifiers environment",
        preload: &["verifiers.v1", "verifiers.v1.utils.loaders", "verifiers.v1.trace"],
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
    let (mut folder, name) = place(target, kind, name)?;
    folder.files.insert(FILE.into(), (SHIM.into(), false));
    let shim = Shim {
        folder,
        file: FILE.into(),
        function: format!("{}_completion", kind.name),
        says: format!("{} {name}", kind.says),
        preload: kind.preload,
    };
    let callable = Callable::with_shim(shim, settings.python.as_deref(), settings.foreign_seconds())?;
    let rows = callable.told("rows", kind.name, &json!({"of": name}))?;
    let mut rows: Vec<Row> = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|fields| {
            let mut fields: Map<String, Value> = fields.clone();
            fields.insert("of".into(), json!(name));
            Row::of(fields, None)
        })
        .collect();
    // What nothing deserves the full reward of cannot be audited.
    rows.retain(|row| !row.reference.is_empty());
    if rows.is_empty() {
        return Err(EnvError::Unusable(format!("no row of {target} says what deserves the full reward")));
    }
    Ok((callable, rows))
}

/// The files that come along, and the name by which the package finds it among them.
fn place(target: &str, kind: &Kind, name: &str) -> Result<(Folder, String), EnvError> {
    let wrong = |why: &str| EnvError::Input(format!("{target}: {why}"));
    if name.is_empty() {
        return Err(wrong("write inspect:PACKAGE/TASK, inspect:FILE.py@TASK, verifiers:NAME or verifiers:FOLDER"));
    }
    let (path, task) = name.split_once('@').map_or((name, None), |(path, task)| (path, Some(task)));
    let path = Path::new(path);
    let last = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if kind.name == "inspect" && last.ends_with(".py") {
        if !path.is_file() {
            return Err(wrong("there is no such file"));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = task.map_or(last.to_string(), |task| format!("{last}@{task}"));
        return Ok((Folder::read(parent)?, name));
    }
    if kind.name == "verifiers" && path.is_dir() {
        let folder = Folder::read(path)?;
        // The package itself, or the folder of a project that holds it under its name.
        let whole = path.canonicalize().map_err(|e| wrong(&e.to_string()))?;
        let name = whole.file_name().and_then(|n| n.to_str()).unwrap_or_default().replace('-', "_").to_lowercase();
        if !folder.files.contains_key("__init__.py") {
            return Ok((folder, name));
        }
        let files = folder.files.into_iter().map(|(path, file)| (format!("{name}/{path}"), file)).collect();
        return Ok((Folder { files }, name));
    }
    Ok((Folder::default(), name.to_string()))
}
