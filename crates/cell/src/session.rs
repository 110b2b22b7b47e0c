//! A session: one bash in a cell of its own that lives for several commands.
//!
//! Commands go to bash over a descriptor that the commands themselves do not have; bash answers
//! there with the exit status and the word that came with the command. That status is bash's
//! own; what a command did to the files is read from outside, through the folder `/box`.

use crate::pool::validate;
use crate::state;
use crate::types::{Entry, FileState, Program, Record, SessionOptions, SessionStep, Verdict};
use crate::zygote::{Running, Setup, Zygote};
use crate::{CellError, sys};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const DRIVER: &str = r#"
while IFS= read -r -d '' -u 250 _w && IFS= read -r -d '' -u 250 _c; do
  eval "$_c" 250<&- </dev/null
  printf '%s %d\0' "$_w" "$?" >&250
done
"#;

/// Seconds bash has to go on after its children were killed at the limit.
const GRACE: f64 = 2.0;

/// A persistent bash; see [`Pool::session`](crate::Pool::session).
pub struct Session {
    program: Program,
    step_wall: f64,
    control: OwnedFd,
    running: Running,
    over: Option<Record>,
    secret: String,
    steps: u64,
    received: Vec<u8>,
    // Dropped last: with the zygote goes everything in the cell.
    _zygote: Zygote,
}

fn machine(what: &str) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(what, &e)
}

impl Session {
    pub(crate) fn start(setup: &Setup, options: &SessionOptions) -> Result<Session, CellError> {
        let words = ["bash", "--norc", "--noprofile", "-c", DRIVER].map(str::to_owned);
        let mut program = Program::new(Entry::Command(words.to_vec()));
        program.files.clone_from(&options.files);
        program.limits = options.limits;
        validate(&program)?;
        let mut zygote = Zygote::start(setup)?;
        let (control, theirs) = sys::stream_pair().map_err(machine("socketpair"))?;
        let running = zygote.begin(setup, &program, Some(&theirs))?;
        let mut secret = [0u8; 16];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut f| io::Read::read_exact(&mut f, &mut secret))
            .map_err(machine("/dev/urandom"))?;
        Ok(Session {
            program,
            step_wall: options.step_wall_seconds,
            control,
            running,
            over: None,
            secret: secret.iter().map(|b| format!("{b:02x}")).collect(),
            steps: 0,
            received: Vec::new(),
            _zygote: zygote,
        })
    }

    /// Runs one command in the bash and waits for it, at most the step's wall seconds; then its
    /// processes are killed, and the bash too if that does not help.
    ///
    /// # Errors
    /// [`CellError::SessionEnded`] once bash is gone, [`CellError::BadProgram`] for a NUL byte.
    pub fn run(&mut self, command: &str) -> Result<SessionStep, CellError> {
        if command.contains('\0') {
            return Err(CellError::BadProgram("NUL byte in a command".to_owned()));
        }
        if let Some(record) = &self.over {
            return Err(CellError::SessionEnded(format!("verdict {:?}", record.verdict)));
        }
        self.steps += 1;
        let word = format!("{}-{}", self.secret, self.steps);
        let started = Instant::now();
        let message = [word.as_bytes(), b"\0", command.as_bytes(), b"\0"].concat();
        send_all(&self.control, &message, started + secs(self.step_wall))?;
        let mut verdict = Verdict::Exit;
        let mut end = started + secs(self.step_wall);
        let mut last = None;
        let code = loop {
            if let Some(code) = self.take_answer(&word) {
                break Some(code);
            }
            let now = Instant::now();
            let mut wait = end.saturating_duration_since(now).as_secs_f64();
            if wait <= 0.0 {
                let first = *last.get_or_insert(now);
                verdict = Verdict::Wall;
                if now - first > secs(GRACE) {
                    let _ = sys::send(&self.running.run, b"K", &[]);
                    self.end(started)?;
                    break None;
                }
                let _ = sys::send(&self.running.run, b"I", &[]);
                end = now + Duration::from_millis(100);
                wait = 0.1;
            }
            match sys::wait_either(&self.control, &self.running.run, wait).map_err(machine("poll"))? {
                Some(0) => {
                    let mut buf = [0u8; 4096];
                    let (n, _) = sys::receive(&self.control, &mut buf).map_err(machine("reading from a session"))?;
                    if n == 0 || self.received.len() > 1 << 16 {
                        self.end(started)?;
                        break None;
                    }
                    self.received.extend_from_slice(&buf[..n]);
                }
                Some(_) => {
                    self.end(started)?;
                    break None;
                }
                None => {}
            }
        };
        let limit = self.program.limits.output_bytes;
        let mut take = |fd: &OwnedFd| -> io::Result<Vec<u8>> {
            let bytes = sys::read_at_most(fd, limit as usize)?;
            if sys::stat_fd(fd)?.st_size as u64 > limit && verdict == Verdict::Exit {
                verdict = Verdict::Output;
            }
            sys::truncate(fd)?;
            Ok(bytes)
        };
        let stdout = take(&self.running.stdout).map_err(machine("reading output"))?;
        let stderr = take(&self.running.stderr).map_err(machine("reading output"))?;
        let mut code = code;
        if let Some(record) = &self.over {
            code = record.code;
            if verdict == Verdict::Exit {
                verdict = record.verdict;
            }
        }
        let wall_seconds = started.elapsed().as_secs_f64();
        Ok(SessionStep { stdout, stderr, code, verdict, wall_seconds })
    }

    /// The exit status from the answer with this word, if it has come.
    fn take_answer(&mut self, word: &str) -> Option<i32> {
        while let Some(end) = self.received.iter().position(|b| *b == 0) {
            let frame: Vec<u8> = self.received.drain(..=end).collect();
            let text = String::from_utf8_lossy(&frame[..end]).into_owned();
            if let Some((w, code)) = text.split_once(' ')
                && w == word
            {
                return code.parse().ok();
            }
        }
        None
    }

    /// Bash is ending: waits for the record.
    fn end(&mut self, started: Instant) -> Result<(), CellError> {
        let ended = self.running.wait(GRACE)?;
        let wall = started.elapsed().as_secs_f64();
        self.over = Some(self.running.record(&self.program, &ended, wall)?);
        Ok(())
    }

    /// Content of a regular file of `/box` (relative, or beginning with `/box/`) right now;
    /// `None` if there is none. Links are not followed.
    ///
    /// # Errors
    /// [`CellError::Machine`] if it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, CellError> {
        state::read(&self.running.folder, path)
    }

    /// What is at a path of `/box` right now; a link is told as a link.
    ///
    /// # Errors
    /// [`CellError::Machine`] if it cannot be looked at.
    pub fn stat(&self, path: &str) -> Result<Option<FileState>, CellError> {
        state::stat(&self.running.folder, path)
    }

    /// Ends bash and all it left behind, and tells what changed in `/box`. Processes still there
    /// count as leftover.
    ///
    /// # Errors
    /// [`CellError::Machine`] if the cell died.
    pub fn finish(mut self) -> Result<Record, CellError> {
        // Bash reads end of file and leaves its loop.
        sys::shutdown(&self.control);
        if self.over.is_none() {
            self.end(self.running.started)?;
        }
        let mut record = self.over.take().ok_or_else(|| CellError::Machine("a session without an end".to_owned()))?;
        record.wall_seconds = self.running.started.elapsed().as_secs_f64();
        Ok(record)
    }
}

fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s.clamp(0.0, 1e6))
}

/// Sends a command however long it is; bash reads it as it comes.
fn send_all(control: &OwnedFd, mut bytes: &[u8], end: Instant) -> Result<(), CellError> {
    while !bytes.is_empty() {
        if Instant::now() > end {
            return Err(CellError::SessionEnded("bash does not read its commands".to_owned()));
        }
        match sys::send_some(control, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(CellError::SessionEnded(e.to_string())),
        }
    }
    Ok(())
}
