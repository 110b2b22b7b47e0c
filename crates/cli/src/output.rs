//! What is printed where: results on stdout, everything else on stderr; bars and colours only on a
//! terminal; one place that turns errors into words and exit codes.
//!
//! Models, tasks, programs and endpoints write much of what is printed. All of it goes through the functions here,
//! which make control characters visible: nobody but this program moves the cursor. Lints
//! against `print!` and its kin see to that.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loophole_audit::AuditError;
use loophole_cell::CellError;
use loophole_chat::ChatError;
use loophole_env::EnvError;
use loophole_foreign::{Visible, escaped_json, one_line, visible, within};
use loophole_grade::GradeError;
use loophole_lab::LabError;
use loophole_log::LogError;
use loophole_page::ReportError;
use loophole_probe::ProbeError;
use loophole_world::WorldError;
use serde::Serialize;

/// Flags every command takes.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// Print machine-readable results on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no progress
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// How a command that was carried out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing found.
    Clean,
    /// Something was found where the command looks for that.
    Found,
    /// Wrong usage or bad input.
    Usage,
    /// It could not be carried out.
    Cannot,
    /// Interrupted; it can be resumed.
    Interrupted,
}

/// Checks the value of a flag.
///
/// # Errors
/// [`Error::Input`] names the flag and the range.
pub fn flag<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<(), Error> {
    within(name, value, range).map_err(Error::Input)
}

/// Most threads or programs at a time that may be asked for.
pub const MOST_JOBS: usize = 4096;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Clean => 0,
            Exit::Found => 1,
            Exit::Usage => 2,
            Exit::Cannot => 3,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something the caller gave is wrong.
    #[error("{0}")]
    Input(String),
    /// The machine, a model or a file stands in the way.
    #[error("{0}")]
    Cannot(String),
    /// A file that cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The experiment.
    #[error(transparent)]
    Grading(#[from] loophole_lab::LabError),
    /// An audit.
    #[error(transparent)]
    Audit(#[from] loophole_audit::AuditError),
    /// An environment.
    #[error(transparent)]
    Env(#[from] loophole_env::EnvError),
    /// Cells.
    #[error(transparent)]
    Cell(#[from] loophole_cell::CellError),
    /// Grading.
    #[error(transparent)]
    Grade(#[from] loophole_grade::GradeError),
    /// A tasks or submissions file.
    #[error(transparent)]
    Read(#[from] loophole_grade::ReadError),
    /// The report.
    #[error(transparent)]
    Report(#[from] loophole_page::ReportError),
    /// A model.
    #[error(transparent)]
    Chat(#[from] loophole_chat::ChatError),
    /// The battery.
    #[error(transparent)]
    Probe(#[from] loophole_probe::ProbeError),
    /// Logs.
    #[error(transparent)]
    Log(#[from] loophole_log::LogError),
    /// The world's data.
    #[error(transparent)]
    World(#[from] loophole_world::WorldError),
}

impl Error {
    /// The exit code the contract gives this kind of failure.
    pub fn exit(&self) -> Exit {
        if self.too_large() {
            return Exit::Usage;
        }
        match self {
            Error::Input(_) | Error::Read(_) => Exit::Usage,
            Error::Cannot(_) | Error::Write { .. } => Exit::Cannot,
            Error::Grading(error) => of_lab(error),
            Error::Audit(error) => of_audit(error),
            Error::Env(error) => of_env(error),
            Error::Cell(error) => of_cell(error),
            Error::Grade(error) => of_grade(error),
            Error::Report(ReportError::Log(error)) => of_log(error),
            Error::Report(_) => Exit::Usage,
            Error::Chat(error) => of_chat(error),
            Error::Probe(error) => of_probe(error),
            Error::Log(error) => of_log(error),
            Error::World(error) => of_world(error),
        }
    }
}

impl Error {
    /// Whether it is that a file is larger than such files are read: bad input, wherever it was met.
    fn too_large(&self) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::FileTooLarge) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// Lines of an error that are shown, and characters of each.
const SHOWN: (usize, usize) = (30, 400);

/// An error may quote what it is about, and that may be megabytes long: the beginning of each line is told, and of the
/// first lines.
fn brief(text: &str) -> String {
    let (most, longest) = SHOWN;
    let mut out = String::new();
    let mut lines = text.lines();
    for (at, line) in lines.by_ref().take(most).enumerate() {
        out += if at > 0 { "\n" } else { "" };
        match line.char_indices().nth(longest) {
            Some((end, _)) => out += &format!("{} [... {} bytes more]", &line[..end], line.len() - end),
            None => out += line,
        }
    }
    match lines.count() {
        0 => out,
        more => out + &format!("\n[... {more} lines more]"),
    }
}

fn of_lab(error: &LabError) -> Exit {
    match error {
        LabError::Cell(error) => of_cell(error),
        LabError::Grade(error) => of_grade(error),
        LabError::World(error) => of_world(error),
        LabError::Probe(error) => of_probe(error),
        LabError::Log(error) => of_log(error),
        LabError::Train(_) | LabError::Write { .. } | LabError::Broke { .. } => Exit::Cannot,
        _ => Exit::Usage,
    }
}

fn of_audit(error: &AuditError) -> Exit {
    match error {
        AuditError::Input(_) | AuditError::Read(_) => Exit::Usage,
        AuditError::Cell(error) => of_cell(error),
        AuditError::Grade(error) => of_grade(error),
        AuditError::Log(error) => of_log(error),
        _ => Exit::Cannot,
    }
}

fn of_env(error: &EnvError) -> Exit {
    match error {
        EnvError::Input(_) | EnvError::Read(_) => Exit::Usage,
        EnvError::Cell(error) => of_cell(error),
        EnvError::Grade(error) => of_grade(error),
        EnvError::Unusable(_) | EnvError::Io { .. } => Exit::Cannot,
    }
}

fn of_cell(error: &CellError) -> Exit {
    if matches!(error, CellError::BadProgram(_)) { Exit::Usage } else { Exit::Cannot }
}

fn of_grade(error: &GradeError) -> Exit {
    match error {
        GradeError::Task { .. } | GradeError::WrongKind { .. } | GradeError::BadSubmission(_) => Exit::Usage,
        _ => Exit::Cannot,
    }
}

fn of_world(error: &WorldError) -> Exit {
    match error {
        WorldError::Cell(error) => of_cell(error),
        WorldError::Config { .. } => Exit::Usage,
        _ => Exit::Cannot,
    }
}

fn of_probe(error: &ProbeError) -> Exit {
    match error {
        // The bundled files are read by a test: one that is wrong was given.
        ProbeError::Unknown { .. } | ProbeError::Data { .. } => Exit::Usage,
        ProbeError::Chat(error) => of_chat(error),
        _ => Exit::Cannot,
    }
}

/// A wrong name, model folder, chat template or key is the caller's; an endpoint that is down is nobody's.
fn of_chat(error: &ChatError) -> Exit {
    let given = error.fatal() || matches!(error, ChatError::Template { .. });
    if given { Exit::Usage } else { Exit::Cannot }
}

fn of_log(error: &LogError) -> Exit {
    match error {
        LogError::Io { .. } | LogError::Unwritable { .. } | LogError::Held { .. } => Exit::Cannot,
        _ => Exit::Usage,
    }
}

/// Says on stderr what went wrong.
pub fn report(error: &Error) {
    let mark = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        "\x1b[1;31merror\x1b[0m"
    } else {
        "error"
    };
    // A closed stderr leaves no one to tell.
    let _ = writeln!(std::io::stderr(), "{mark}: {}", visible(&brief(error.to_string().trim_end())));
}

/// Says that a command line is wrong, or what help was asked for; returns the exit code. An argument may be a file name
/// that somebody else gave.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !std::env::args_os().any(|argument| visible(&argument.to_string_lossy()) != argument.to_string_lossy()) {
        error.exit();
    }
    // With the parser's colours taken out, what is left to be shown is the caller's.
    let styled = error.render().ansi().to_string();
    let mut parts = styled.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => plain += rest,
            None => plain.extend(["\x1b[", part]),
        }
    }
    tell(plain.trim_end());
    Exit::Usage.into()
}

/// Prints a line on stdout, control characters made visible; a reader that has left ends the program quietly, as
/// pipes do.
pub fn line(text: &str) {
    print(&visible(text));
}

fn print(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        give_up(&error);
    }
}

/// Ends the program when its results cannot be written: quietly where the reader has left, else as a failure.
fn give_up(error: &std::io::Error) -> ! {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    tell(&format!("error: cannot write to standard output: {error}"));
    std::process::exit(3);
}

/// Says something on stderr, control characters made visible.
pub fn tell(text: &str) {
    // A closed stderr leaves no one to tell.
    let _ = writeln!(std::io::stderr(), "{}", visible(text));
}

/// Passes on what a program printed: as it is with `raw`, else with control characters made visible and a newline at
/// its end. A reader that has left ends the program quietly.
pub fn pass_on(mut to: impl Write, bytes: &[u8], raw: bool) {
    let written = if raw {
        to.write_all(bytes).and_then(|()| to.flush())
    } else if bytes.trim_ascii_end().is_empty() {
        Ok(())
    } else {
        let mut shown = Visible::new(to);
        shown
            .write_all(bytes.trim_ascii_end())
            .and_then(|()| shown.write_all(b"\n"))
            .and_then(|()| shown.finish().map(drop))
    };
    if written.is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as one line of JSON on stdout.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => print(&escaped_json(&text)),
        Err(error) => report(&Error::Cannot(format!("a result cannot be written as JSON: {error}"))),
    }
}

impl Options {
    /// Says on stderr that something was left out, even if asked to be quiet: that is no progress.
    pub fn warn(&self, text: &str) {
        tell(&brief(&format!("warning: {text}")));
    }

    /// Says something on stderr, unless asked to be quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    /// A progress bar on stderr; hidden where there is no terminal.
    pub fn bar(&self, length: u64) -> Bar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return Bar(ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden()));
        }
        let style = ProgressStyle::with_template("{bar:28} {pos}/{len} {elapsed} (left {eta}) {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(ProgressBar::new(length).with_style(style))
    }

    /// Whether progress goes to a bar; else it is said in lines.
    pub fn has_bar(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// A progress bar whose texts are made visible like all others.
pub struct Bar(ProgressBar);

impl Bar {
    /// The text beside the bar.
    pub fn set_message(&self, text: impl AsRef<str>) {
        self.0.set_message(one_line(text.as_ref()).into_owned());
    }

    /// A line above the bar.
    pub fn println(&self, text: impl AsRef<str>) {
        self.0.println(visible(text.as_ref()));
    }
}

impl std::ops::Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}
