//! Harbor tasks: folders whose own verifier pays. No oracle stands beside it, and so there are rewards and no verdicts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loophole_env::{EnvError, Environment, Extract, Keys, Settings, Submissions, Tasks, environments_in};
use loophole_foreign::one_line;
use loophole_grade::{GradeError, Language, Reward, StreamError, Submission, Task, TaskForm};

use super::GradeArguments;
use super::tally::Tally;
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// The file of a submission: what an agent would do in a shell.
const SCRIPT: &str = "solve.sh";

/// The task folders that a path names: itself, or those in it.
pub fn folders(path: &Path) -> Vec<PathBuf> {
    let is_task = |path: &PathBuf| path.join("task.toml").is_file();
    let own = Some(path.to_path_buf()).filter(is_task);
    let within = || environments_in(&path.display().to_string()).into_iter().flatten().map(PathBuf::from);
    own.map_or_else(|| within().filter(is_task).collect(), |own| vec![own])
}

/// Runs the verifier of each submission's task.
pub fn grade(
    arguments: &GradeArguments,
    folders: &[PathBuf],
    submissions: &Path,
    extract: Extract,
    output: &Options,
) -> Result<Exit, Error> {
    let flags = &arguments.flags;
    if !flags.no_label {
        return Err(Error::Input(
            "Harbor tasks have no oracle beside their verifier, so that nothing can be labelled; --no-label runs the \
             verifier alone, and `loophole audit` attacks it"
                .into(),
        ));
    }
    if flags.grader.is_some() || !flags.open.is_empty() || flags.hardened || arguments.validate {
        return Err(Error::Input(
            "a Harbor task has a verifier of its own; --grader, --open, --hardened and --validate are for other tasks"
                .into(),
        ));
    }
    let (tasks, verifiers) = read(folders, arguments, output)?;
    let mut rows = Submissions::open(submissions, &tasks, extract)?;
    let mut tally = Tally::new(arguments.telling(), submissions, output)?;
    let hint = super::go_on(arguments.out.is_some());
    leave::listen(move || output::tell(hint));
    let first = tally.next;
    rows.skip_rows(first);
    for (at, row) in rows.enumerate() {
        if leave::asked() {
            return Ok(tally.left());
        }
        let item = row.map_err(StreamError::from).and_then(|job| match script(job.submission) {
            Ok(script) => Ok((job.task, script, job.with)),
            Err(why) => Err(StreamError::Grade { line: job.line, error: GradeError::BadSubmission(why.into()) }),
        });
        let Some((task, script, known)) = tally.take(item)? else { continue };
        let files = [(SCRIPT.to_owned(), script)].into();
        let paid = verifiers[&task.id].pay(&files)?;
        let reward = Reward {
            reward: paid.reward.unwrap_or(0.0),
            valid: paid.valid,
            grader_output: String::new(),
            seconds: paid.seconds,
        };
        tally.write(reward.record(&task.id, first + at), known)?;
        if output.verbose && !output.json {
            line(&format!("{:<24} {}", one_line(&task.id), one_line(paid.transcript.lines().next().unwrap_or(""))));
        }
    }
    tally.finish("Harbor")
}

type Verifiers = BTreeMap<String, Box<dyn Environment>>;

/// The folders as tasks by their names, with the verifier of each; what cannot be run here is said and left out.
fn read(folders: &[PathBuf], arguments: &GradeArguments, output: &Options) -> Result<(Tasks, Verifiers), Error> {
    let settings = Settings { python: arguments.flags.python.clone(), ..Settings::default() };
    let (mut tasks, mut verifiers) = (Tasks::default(), Verifiers::new());
    let mut failed: Option<EnvError> = None;
    for folder in folders {
        let target = folder.display().to_string();
        let opened = match loophole_env::open(&target, &settings) {
            Ok(opened) => opened.into_iter().next(),
            Err(error) => {
                output.warn(&error.to_string());
                failed = Some(error);
                None
            }
        };
        let Some(environment) = opened else { continue };
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let id = name.unwrap_or(target);
        let statement = environment.description().facts.one.get("statement").cloned().unwrap_or_default();
        let prompt = Some(statement.clone());
        tasks.tasks.push(Task { statement, ..Task::new(id.clone(), TaskForm::program(Language::Bash)) });
        tasks.keys.push(Keys { prompt, truth: None });
        verifiers.insert(id, environment);
    }
    if let (true, Some(error)) = (tasks.tasks.is_empty(), failed) {
        return Err(error.into());
    }
    let count = tasks.tasks.len();
    output.say(&format!("read as Harbor, {count} task{}", if count == 1 { "" } else { "s" }));
    Ok((tasks, verifiers))
}

/// What the agent of a submission does.
fn script(submission: Submission) -> Result<String, &'static str> {
    match submission {
        Submission::Completion(text) | Submission::Program { language: Language::Bash, source: text } => Ok(text),
        Submission::Program { .. } => Err("for a Harbor task a submission is a script of bash"),
        Submission::Files(mut files) if files.len() == 1 => {
            files.remove(SCRIPT).ok_or("for a Harbor task the one file of a submission is `solve.sh`")
        }
        Submission::Files(_) => Err("for a Harbor task a submission is one script, `solve.sh`; no other file is read"),
    }
}
