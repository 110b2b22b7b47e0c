//! One command in a session: argv as it is, standard input as bytes, variables and folder of its own.
//!
//! Bash starts it in a subshell, so that nothing of it stays. What may be long goes through a file of `/tmp` that bash has
//! opened, and that is removed, before the command starts: what bash reads over its socket it reads byte by byte.

use super::{Bounds, Session};
use crate::types::{SessionStep, Verdict};
use crate::{CellError, sys};
use std::ffi::CString;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes kept of each output if a request does not say otherwise.
pub const EXEC_OUTPUT: u64 = 10 << 20;

/// Longer texts do not go over bash's socket.
const LONG: usize = 16 << 10;
/// Longer words are refused by the kernel.
const WORD: usize = 128 << 10;

/// One command in a session's cell; see [`Session::exec`].
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The program, looked for on `PATH`, and its arguments: executed as they are, no shell between.
    pub argv: Vec<String>,
    /// What standard input holds; then end of file.
    pub stdin: Vec<u8>,
    /// Variables beside those of the session, for this command alone.
    pub env: Vec<(String, String)>,
    /// The folder it starts in: absolute, or relative to `/box`; none is `/box`.
    pub cwd: Option<String>,
    /// Seconds by the clock on the wall; none is what the session has for each command.
    pub wall_seconds: Option<f64>,
    /// Bytes kept of standard output, and of standard error; none is [`EXEC_OUTPUT`].
    pub output_bytes: Option<u64>,
    /// Once this is true the command is ended within a moment, as at its limit of wall time: nobody waits for it any more.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl ExecRequest {
    /// A command with nothing beside its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        ExecRequest { argv: argv.into_iter().map(Into::into).collect(), ..ExecRequest::default() }
    }
}

/// A word as bash reads it back, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `bash -c SCRIPT ...` with a script longer than the kernel takes as one word.
fn long_script(argv: &[String]) -> Option<&str> {
    let shell = argv.first()?.rsplit('/').next()?;
    let script = argv.get(2)?;
    (matches!(shell, "bash" | "sh" | "dash") && argv[1] == "-c" && script.len() >= WORD).then_some(script)
}

impl Session {
    /// Runs one command and waits for it. At its limit of wall time all processes of the session but its bash are
    /// killed, and the session goes on.
    ///
    /// # Errors
    /// [`CellError::BadProgram`] for what no command can have (no words, NUL bytes, a variable that has no name),
    /// [`CellError::SessionEnded`] once bash is gone, [`CellError::File`] if its input does not fit into `/tmp`.
    pub fn exec(&mut self, request: &ExecRequest) -> Result<SessionStep, CellError> {
        let bad = |what: String| Err(CellError::BadProgram(what));
        if request.argv.is_empty() {
            return bad("an empty command".to_owned());
        }
        let texts = request.argv.iter().chain(request.env.iter().map(|(_, v)| v)).chain(&request.cwd);
        if let Some(text) = texts.into_iter().find(|t| t.contains('\0')) {
            return bad(format!("NUL byte in {:?}", text.chars().take(40).collect::<String>()));
        }
        if let Some((name, _)) = request.env.iter().find(|(name, _)| !is_name(name)) {
            return bad(format!("{name:?} cannot be the name of a variable: letters, digits and `_` can"));
        }
        let wall = request.wall_seconds.unwrap_or(self.step_wall);
        if !(wall.is_finite() && wall > 0.0) {
            return bad(format!("wall_seconds must be positive: {wall}"));
        }
        let bounds =
            Bounds { wall, output: request.output_bytes.unwrap_or(EXEC_OUTPUT), cancel: request.cancel.as_deref() };

        let cwd = self.zygote()?.path_inside(request.cwd.as_deref().unwrap_or(""));
        // What an earlier command made a function of is done away with, for this command.
        let mut text =
            String::from("POSIXLY_CORRECT=1\n\\unset -f cd exec exit export unset\n\\unset POSIXLY_CORRECT\n");
        let _ = writeln!(text, "\\cd -- {} || \\exit 126", quoted(&cwd));
        for (name, value) in &request.env {
            let _ = writeln!(text, "\\export {name}={} || \\exit 126", quoted(value));
        }
        let mut argv = request.argv.clone();
        let script = long_script(&argv).map(str::to_owned);
        let mut left = None;
        if let Some(script) = script {
            let path = self.leave(format!("\\rm -f \"$_f\"; unset _f; {script}").as_bytes())?;
            argv[2] = format!("_f={}; . \"$_f\"", quoted(&path.0));
            left = Some(path.1);
        }
        text.push_str("\\exec --");
        argv.iter().for_each(|word| {
            text.push(' ');
            text.push_str(&quoted(word));
        });
        text.push('\n');

        let result = self.exec_text(&text, &request.stdin, &bounds);
        if let Some(name) = left {
            self.take_away(&name);
        }
        result
    }

    fn exec_text(&mut self, text: &str, stdin: &[u8], bounds: &Bounds<'_>) -> Result<SessionStep, CellError> {
        let input = if stdin.is_empty() { "" } else { " <&251" };
        let mut open = Vec::new();
        if !stdin.is_empty() {
            open.push((251, stdin));
        }
        let inner = if text.len() > LONG {
            open.push((252, text.as_bytes()));
            "IFS= \\read -r -d '' -u 252 _c\n\\eval \"$_c\" 252<&-"
        } else {
            text
        };
        // Bash's own standard error is away meanwhile: it would tell of a signal that ended the command.
        let command = format!("{{ (\n{inner}\n) 2>&253{input} 251<&- 253>&-\n}} 253>&2 2>/dev/null");
        let aside = Bounds { wall: self.step_wall, output: bounds.output, cancel: None };
        for (number, bytes) in &open {
            let (path, name) = self.leave(bytes)?;
            let opened = self.step(&format!("\\exec {number}<{}", quoted(&path)), &aside);
            self.take_away(&name);
            let opened = opened?;
            if opened.verdict != Verdict::Exit || opened.code != Some(0) {
                return Ok(opened);
            }
        }
        let step = self.step(&command, bounds)?;
        if !open.is_empty() && self.over.is_none() {
            self.step("\\exec 251<&- 252<&-", &aside)?;
        }
        Ok(step)
    }

    /// Puts bytes into a file of `/tmp`: its path as commands see it, and its name there.
    fn leave(&self, bytes: &[u8]) -> Result<(String, CString), CellError> {
        let number = sys::random().map_err(|e| CellError::machine("getrandom", &e))?;
        let name = format!(".{number:016x}");
        let path = self.zygote()?.path_inside(&format!("/tmp/{name}"));
        let file = |e: io::Error| CellError::File { path: path.clone(), source: e };
        let place = self.zygote()?.place(1)?;
        let _owner = place.as_owner();
        let name = CString::new(name).map_err(|e| file(e.into()))?;
        if let Err(e) = sys::make_file(&place.root, &name, bytes, 0o600) {
            self.take_away(&name);
            return Err(file(e));
        }
        Ok((path, name))
    }

    fn take_away(&self, name: &CString) {
        if let Ok(place) = self.zygote().and_then(|z| z.place(1)) {
            let _ = sys::remove_at(&place.root, name, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_whatever_is_in_them() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $x `y` \\"), r"'it'\''s $x `y` \'");
    }

    #[test]
    fn names_of_variables() {
        assert!(is_name("_A1") && is_name("path"));
        assert!(!is_name("") && !is_name("1A") && !is_name("A-B") && !is_name("A=B") && !is_name("Ä"));
    }

    #[test]
    fn a_long_script_is_told_from_a_long_word() {
        let words = |words: [&str; 2], last: usize| -> Vec<String> {
            words.map(str::to_owned).into_iter().chain(["x".repeat(last)]).collect()
        };
        assert!(long_script(&words(["/bin/bash", "-c"], WORD)).is_some());
        assert!(long_script(&words(["bash", "-c"], 10)).is_none());
        assert!(long_script(&words(["python3", "-c"], WORD)).is_none());
    }
}
