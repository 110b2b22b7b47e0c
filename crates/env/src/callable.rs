//! A Python callable: `python:FILE.py:function` or `python:module:function`, called in a fresh cell each time.

use crate::EnvError;
use crate::Payment;
use crate::files::{Folder, how_ended, machine_failed};
use crate::foreign::{Asked, Caller, Form, Parts, reward_in};
use crate::hardened::{HardenedForm, Wrapped};
use crate::row::Row;
use crate::signature::Signature;
use crate::way::Way;
use loophole_cell::{Limits, Pool, PoolOptions, Program, Record, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

const CALL: &str = include_str!("call.py");
/// What calls and most reward functions import: worth having in the warm interpreter.
const PRELOAD: [&str; 12] = [
    "asyncio",
    "collections",
    "functools",
    "importlib.util",
    "inspect",
    "itertools",
    "json",
    "math",
    "random",
    "re",
    "subprocess",
    "tempfile",
];

/// Libraries that take longer than this to load are loaded once, before all calls; in seconds.
const LONG_LOADING: f64 = 0.3;

/// The most that the rows of a package may take, in bytes.
const LONGEST_ROWS: u64 = 64 << 20;

/// What a module says about itself.
#[derive(Debug, Default, Deserialize)]
struct Described {
    functions: Vec<Function>,
    signature: Option<Signature>,
    callable: bool,
    line: usize,
    path: Option<String>,
    source: String,
    #[serde(flatten)]
    loaded: Loaded,
}

/// What was loaded for a call.
#[derive(Debug, Default, Deserialize)]
struct Loaded {
    /// Seconds that it took.
    loading: f64,
    /// The modules, in their order, but for the grader's own.
    libraries: Vec<String>,
}

/// What a shim's function returned.
#[derive(Deserialize)]
struct Told {
    value: Value,
    #[serde(flatten)]
    loaded: Loaded,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    signature: Option<Signature>,
}

/// A function of ours that stands before a grader in a package.
pub(crate) struct Shim {
    /// The grader's own files.
    pub folder: Folder,
    /// Ours, by name.
    pub files: &'static [(&'static str, &'static str)],
    /// The one of them that has the function.
    pub file: String,
    pub function: String,
    /// The grader, for a reader.
    pub says: String,
    pub preload: &'static [&'static str],
}

pub(crate) struct Callable {
    pool: Pool,
    /// What its cells have loaded beside the usual modules.
    preload: &'static [&'static str],
    python: String,
    folder: Folder,
    /// Path below the folder, or empty for a module.
    file: String,
    module: String,
    function: String,
    signature: Signature,
    seconds: f64,
    /// Its module's source, and where in which file it begins.
    source: String,
    place: Option<(String, usize)>,
    /// What it is called where a shim stands before it.
    says: Option<String>,
}

impl Callable {
    /// From `FILE.py:function` or `module:function`; without a function, the only one there is. Files of the folder
    /// named in `without` do not come along.
    pub(crate) fn open(
        spec: &str,
        signature: Signature,
        python: Option<&Path>,
        seconds: f64,
        without: &[&Path],
    ) -> Result<Callable, EnvError> {
        let wrong =
            || EnvError::Input(format!("python:{spec}: write python:FILE.py:FUNCTION or python:MODULE:FUNCTION"));
        let (place, function) = match spec.rsplit_once(':') {
            Some((place, function)) => (place, function),
            None if spec.ends_with(".py") => (spec, ""),
            None => return Err(wrong()),
        };
        if place.is_empty() {
            return Err(wrong());
        }
        let (folder, file, module) = if place.ends_with(".py") {
            let path = Path::new(place);
            if !path.is_file() {
                return Err(EnvError::Input(format!("{place}: there is no such file")));
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(wrong)?;
            (Folder::read(parent)?.without(parent, without), name.to_string(), String::new())
        } else {
            // A module of the current folder comes along; any other is the interpreter's.
            let first = place.split('.').next().unwrap_or(place);
            let here = Path::new(first).is_dir() || Path::new(&format!("{first}.py")).is_file();
            let folder = if here { Folder::read(Path::new("."))? } else { Folder::default() };
            (folder.without(Path::new("."), without), String::new(), place.to_string())
        };
        let pool = pool::<&str>(python, &[])?;
        let mut made = Callable {
            pool,
            preload: &[],
            python: interpreter(python),
            folder,
            file,
            module,
            function: function.into(),
            signature,
            seconds,
            source: String::new(),
            place: None,
            says: None,
        };
        let found = made.look(place)?;
        made.keep_loaded(&found.loaded, python, |callable| Some(callable.look(place).ok()?.loaded));
        made.take_over(found, place)?;
        Ok(made)
    }

    /// One whose function is ours: `f(submission, row)`.
    pub(crate) fn with_shim(mut shim: Shim, python: Option<&Path>, seconds: f64) -> Result<Callable, EnvError> {
        let pool = pool(python, shim.preload)?;
        // Words of the grader are those of the files that came along.
        let beside = shim.folder.files.keys().filter(|n| n.ends_with(".py")).take(50);
        let source = beside.map(|n| shim.folder.text(n)).collect::<Vec<_>>().join("\n");
        let ours = shim.files.iter().map(|(name, text)| ((*name).to_string(), (text.as_bytes().to_vec(), false)));
        shim.folder.files.extend(ours);
        let (function, file) = (shim.function, shim.file);
        let (python, says) = (interpreter(python), Some(shim.says));
        let (signature, module, place) = (Signature::Plain, String::new(), None);
        Ok(Callable {
            pool,
            preload: shim.preload,
            python,
            folder: shim.folder,
            file,
            module,
            function,
            signature,
            seconds,
            source,
            place,
            says,
        })
    }

    /// What another function of a shim's file returns; the libraries it loads are kept.
    pub(crate) fn told(
        &mut self,
        function: &str,
        about: &str,
        row: &Value,
        python: Option<&Path>,
    ) -> Result<Value, EnvError> {
        let told = self.told_once(function, about, row)?;
        self.keep_loaded(&told.loaded, python, |callable| {
            let again = callable.told_once(function, about, row).ok()?;
            (again.value == told.value).then_some(again.loaded)
        });
        Ok(told.value)
    }

    fn told_once(&self, function: &str, about: &str, row: &Value) -> Result<Told, EnvError> {
        let request = json!({"submission": about, "row": row, "truth": null, "prompt": "", "nonce": "@", "mates": [],
            "alike": false, "columns": false, "file": self.file, "module": "", "function": function, "signature": "plain",
            "python": self.python, "chat": false, "describe": false, "loaded": true});
        // Large libraries take their time, and rows may be long.
        let limits = Limits { output_bytes: LONGEST_ROWS, ..limits(self.seconds.max(120.0)) };
        let record = self.run_within(request, limits)?;
        let out = record.stdout_text();
        if let Some(told) = out.lines().rev().find_map(|l| serde_json::from_str(l.strip_prefix('@')?).ok()) {
            return Ok(told);
        }
        let errors = record.stderr_text();
        let last = errors.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        let says = self.says.as_deref().unwrap_or(&self.file);
        if let Some((_, why)) = last.split_once(".Wrong: ") {
            return Err(EnvError::Input(format!("{says}: {why}")));
        }
        let why = last.split_once(".NotHere: ").map_or(last, |(_, why)| why);
        Err(EnvError::Unusable(format!(
            "of the {says}: {why} ({}); packages are those of --python or VIRTUAL_ENV, and a cell has no network",
            how_ended(&record)
        )))
    }

    /// Loads the module once, in a cell, to see which functions it has and how they want to be called.
    fn look(&self, place: &str) -> Result<Described, EnvError> {
        let request = json!({"describe": true, "nonce": "@", "file": self.file, "module": self.module,
            "function": self.function, "python": self.python});
        // Large libraries take their time.
        let record = self.run(request, self.seconds.max(60.0))?;
        let out = record.stdout_text();
        let found = out.lines().rev().find_map(|l| serde_json::from_str::<Described>(l.strip_prefix('@')?).ok());
        found.ok_or_else(|| {
            let errors = record.stderr_text();
            let last = errors.lines().rev().find(|l| !l.trim().is_empty());
            EnvError::Unusable(format!(
                "{place} cannot be loaded: {} ({}); packages are those of --python or VIRTUAL_ENV",
                last.unwrap_or("it said nothing"),
                how_ended(&record)
            ))
        })
    }

    /// Has libraries loaded before all calls where that is quicker: each call then goes on from an interpreter that has
    /// them, as a fork of its own. Those that cannot be loaded so early are loaded by each call as before. It is kept
    /// only if what it was asked is answered again, in half of the time.
    fn keep_loaded(&mut self, found: &Loaded, python: Option<&Path>, ask: impl Fn(&Callable) -> Option<Loaded>) {
        if found.loading < LONG_LOADING {
            return;
        }
        let modules: Vec<&str> =
            self.preload.iter().copied().chain(found.libraries.iter().map(String::as_str)).collect();
        let Ok(loaded) = pool(python, &modules) else { return };
        let cold = std::mem::replace(&mut self.pool, loaded);
        if !ask(self).is_some_and(|warm| warm.loading < found.loading / 2.0) {
            self.pool = cold;
        }
    }

    /// Learns from what its module says which function is meant and how it is called.
    fn take_over(&mut self, found: Described, place: &str) -> Result<(), EnvError> {
        let listed = || {
            let known: Vec<String> =
                found.functions.iter().filter_map(|f| Some(format!("{} ({})", f.name, f.signature?.name()))).collect();
            if known.is_empty() { "none that takes a submission".into() } else { known.join(", ") }
        };
        let mut signature = found.signature;
        if self.function.is_empty() {
            let fitting: Vec<&Function> = found.functions.iter().filter(|f| f.signature.is_some()).collect();
            match fitting.as_slice() {
                [only] => {
                    self.function.clone_from(&only.name);
                    signature = only.signature;
                }
                _ => {
                    return Err(EnvError::Input(format!(
                        "{place}: which function? It has {}; name one: python:{place}:FUNCTION",
                        listed()
                    )));
                }
            }
        } else if !found.callable {
            return Err(EnvError::Input(format!("{place}: {} is no function; it has {}", self.function, listed())));
        }
        if self.signature == Signature::Auto {
            self.signature = signature.ok_or_else(|| {
                EnvError::Input(format!(
                    "{place}:{}: how it takes its arguments cannot be told from their names; say so with --signature trl, verl, group, names or plain",
                    self.function
                ))
            })?;
        }
        self.source = found.source;
        let path = if self.file.is_empty() { found.path } else { Some(place.to_string()) };
        self.place = path.map(|path| (path, found.line.max(1)));
        Ok(())
    }

    fn run(&self, request: Value, seconds: f64) -> Result<Record, EnvError> {
        self.run_within(request, limits(seconds))
    }

    fn run_within(&self, request: Value, limits: Limits) -> Result<Record, EnvError> {
        let mut program = Program { proc: true, ..Program::python(CALL) };
        program.files = self.folder.inputs("");
        program.stdin = request.to_string().into_bytes();
        program.limits = limits;
        Ok(self.pool.run(&program)?)
    }
}

/// Cells whose interpreter has these modules beside the usual ones.
fn pool<M: AsRef<str>>(python: Option<&Path>, modules: &[M]) -> Result<Pool, EnvError> {
    let more = modules.iter().map(|module| module.as_ref().to_owned());
    Ok(Pool::start(PoolOptions {
        python: python.map(Path::to_path_buf),
        preload: PRELOAD.iter().map(|module| (*module).to_owned()).chain(more).collect(),
        ..PoolOptions::default()
    })?)
}

/// The interpreter that was named, or that of the active environment: where a function starts one, it must be that one
/// and not what it is a link to.
fn interpreter(python: Option<&Path>) -> String {
    let environment = std::env::var_os("VIRTUAL_ENV").filter(|v| !v.is_empty());
    let environment = environment.map(|v| Path::new(&v).join("bin/python")).filter(|p| p.exists());
    python.map(Path::to_path_buf).or(environment).map_or_else(String::new, |p| p.display().to_string())
}

impl Caller for Callable {
    fn name(&self) -> String {
        if let Some(says) = &self.says {
            return says.clone();
        }
        let place = if self.file.is_empty() { &self.module } else { &self.file };
        format!("Python callable {place}:{} ({})", self.function, self.signature.name())
    }

    fn source(&self) -> String {
        if self.says.is_some() {
            return self.source.clone();
        }
        // What it imports from beside it is read too.
        let beside = self.folder.files.keys().filter(|n| n.ends_with(".py") && **n != self.file).take(50);
        let beside = beside.map(|n| self.folder.text(n)).filter(|_| !self.source.is_empty());
        let more: Vec<String> = beside.filter(|text| text.len() < 100_000).collect();
        format!("{}\n{}", self.source, more.join("\n"))
    }

    fn forms(&self, row: &Row) -> &'static [Form] {
        const TEXT: Form = Form { chat: false, columns: false };
        const CHAT: Form = Form { chat: true, columns: false };
        match self.signature {
            Signature::Trl if row.fields.get("prompt").is_some_and(Value::is_array) => &[CHAT, TEXT],
            Signature::Trl => &[TEXT, CHAT],
            Signature::Group => &[TEXT, Form { columns: true, ..TEXT }, CHAT, Form { columns: true, ..CHAT }],
            _ => &[TEXT],
        }
    }

    fn groups(&self) -> bool {
        matches!(self.signature, Signature::Trl | Signature::VerlBatch | Signature::Group)
    }

    fn tags(&self) -> Vec<&'static str> {
        vec!["callable"]
    }

    fn place(&self) -> Option<(String, usize)> {
        self.place.clone()
    }

    fn call(&self, asked: &Asked) -> Result<Payment, EnvError> {
        let (record, answer) = self.asked(asked)?;
        if record.verdict == Verdict::Machine {
            return Ok(machine_failed(&record));
        }
        let reward = answer.as_deref().and_then(|json| {
            let value = serde_json::from_str::<Value>(json).ok()?;
            if asked.mates.is_empty() {
                return reward_in(&value);
            }
            value.as_object()?.values().filter_map(reward_in).reduce(f64::max)
        });
        let mut transcript = match answer {
            Some(answer) => format!("it returned {answer}\n"),
            None => format!("it returned nothing: {}\n", how_ended(&record)),
        };
        transcript.push_str(&record.stderr_text());
        Ok(Payment { reward, valid: true, transcript, seconds: record.wall_seconds })
    }

    fn parts(&self, asked: &Asked) -> Result<Parts, EnvError> {
        let (_, answer) = self.asked(asked)?;
        let told: Value = answer.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let paid = told.get("parts").and_then(Value::as_object);
        let failed = told.get("failed").and_then(Value::as_array);
        Ok(Parts {
            paid: paid.into_iter().flatten().filter_map(|(name, paid)| Some((name.clone(), paid.as_f64()?))).collect(),
            failed: failed.into_iter().flatten().filter_map(|why| Some(why.as_str()?.to_string())).collect(),
        })
    }

    fn hardened(&self, way: &Way, row: &Row) -> Result<HardenedForm, String> {
        if self.says.is_some() {
            return Err("it is a package with an environment of its own; each finding says how to close it".into());
        }
        let (folder, file, module, function) = (&self.folder, &*self.file, &*self.module, &*self.function);
        Wrapped { folder, file, module, function, signature: self.signature }.form(way, row)
    }

    fn script(&self, asked: &Asked) -> Option<String> {
        // The shim is no file of the user's.
        if self.says.is_some() {
            return None;
        }
        let mut request = self.request(asked, "reward: ");
        request["python"] = json!("");
        let file = if self.file.is_empty() { String::new() } else { self.place.as_ref()?.0.clone() };
        if !file.is_empty() {
            request["file"] = json!(std::path::absolute(&file).ok()?.display().to_string());
        }
        let given = serde_json::to_string(&request.to_string()).ok()?;
        // What asks is the same text that asks in the cell; it reads its request from here instead.
        let body = CALL.replace("json.loads(sys.stdin.read())", "json.loads(REQUEST)");
        Some(format!(
            "#!/usr/bin/env python3\n# Gives the grader one submission and prints its reward; run it with the interpreter that has the grader's packages,\n# and where it may do harm: it runs the submission as the grader does.\nREQUEST = {given}\n{body}"
        ))
    }
}

impl Callable {
    /// How the call of a submission went, and what was returned, as JSON.
    fn asked(&self, asked: &Asked) -> Result<(Record, Option<String>), EnvError> {
        let nonce = format!("@{:x} ", Sha256::digest(asked.text));
        let record = self.run(self.request(asked, &nonce), self.seconds)?;
        let out = record.stdout_text();
        let answer = out.lines().rev().find_map(|l| l.strip_prefix(nonce.as_str())).map(str::to_string);
        Ok((record, answer))
    }

    fn request(&self, asked: &Asked, nonce: &str) -> Value {
        let row = asked.row;
        json!({
            "submission": asked.text, "mates": asked.mates, "alike": asked.alike, "columns": asked.form.columns,
            "row": row.fields, "truth": row.truth(), "prompt": row.prompt, "nonce": nonce,
            "file": self.file, "module": self.module, "function": self.function, "signature": self.signature.name(),
            "python": self.python, "chat": asked.form.chat, "describe": false,
        })
    }
}

/// What one call of a foreign grader may use: more than a submission, since it runs one.
pub(crate) fn limits(seconds: f64) -> Limits {
    Limits {
        cpu_seconds: seconds,
        wall_seconds: seconds,
        // Interpreters with large libraries reserve far more than they use.
        memory_bytes: 4 << 30,
        processes: 128,
        output_bytes: 2 << 20,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn the_source_of_what_a_grader_hands_its_work_to_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "elsewhere/kept.py",
            "import deeper.switch\ndef check(text):\n    return deeper.switch.of(text, 'held')\n",
        );
        write("elsewhere/deeper/switch.py", "def of(text, word):\n    return 'of another package'\n");
        write("elsewhere/unused.py", "WORD = 'never asked for'\n");
        write(
            "grader/own.py",
            "import importlib, sys, unused\ndef of(name):\n    module = importlib.import_module(name)\n    def verifier(completion, tests):\n        return module.check(completion)\n    return verifier\nverify = of('kept')\n",
        );
        let request =
            json!({"describe": true, "nonce": "@", "file": "own.py", "module": "", "function": "verify", "python": ""});
        let mut asked = Command::new("python3")
            .args(["-c", CALL])
            .current_dir(dir.path().join("grader"))
            .env("PYTHONPATH", dir.path().join("elsewhere"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        asked.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        let said = String::from_utf8(asked.wait_with_output().unwrap().stdout).unwrap();
        let found: Described = serde_json::from_str(said.trim().strip_prefix('@').unwrap()).unwrap();
        let has = |word: &str| found.source.contains(word);
        assert_eq!((has("held"), has("of another package"), has("never asked for")), (true, false, false), "{said}");
    }

    #[test]
    fn libraries_that_are_slow_to_load_are_loaded_before_all_calls() {
        let dir = tempfile::tempdir().unwrap();
        let venv = dir.path().join("venv");
        let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&venv).status();
        if !made.is_ok_and(|status| status.success()) {
            return println!("SKIPPED: python3 makes no virtual environment");
        }
        let lib = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
        let library =
            "import sys, time\nIN_A_CALL = \"_request\" in vars(sys.modules[\"__main__\"])\ntime.sleep(0.5)\n";
        std::fs::write(lib.join("site-packages/slow.py"), library).unwrap();
        let grader = dir.path().join("grader.py");
        std::fs::write(&grader, "import slow\ndef reward(completion):\n    return float(not slow.IN_A_CALL)\n")
            .unwrap();
        let tasks = dir.path().join("rows.jsonl");
        std::fs::write(&tasks, "{\"prompt\": \"Say x.\", \"answer\": \"x\"}\n").unwrap();
        let settings =
            crate::Settings { python: Some(venv.join("bin/python")), tasks: Some(tasks), ..crate::Settings::default() };
        match crate::open(&format!("python:{}:reward", grader.display()), &settings) {
            Ok(opened) => assert_eq!(opened[0].pay_text("x").unwrap().reward, Some(1.0)),
            Err(EnvError::Cell(error)) => println!("SKIPPED: {error}"),
            Err(error) => panic!("{error}"),
        }
    }
}
