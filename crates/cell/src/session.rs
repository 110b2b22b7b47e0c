//! A session: one bash in a cell of its own that lives for several commands.
//!
//! Commands go to bash over a socket that the commands themselves do not have; bash answers there with the number of
//! the command and its exit status. The kernel says who sent an answer: only bash itself is believed, and while it
//! reads a command, whoever else holds the socket (a subshell of an earlier command) is stopped. The status is bash's
//! own word; what a command did to the files is read from outside, through the folder `/box`.

use crate::pool::{Shared, validate};
use crate::types::{Entry, Event, FileState, Followed, Program, Record, SessionOptions, SessionStep, Verdict};
use crate::verdict::{CPU, WALL};
use crate::watch::trace::Tracer;
use crate::watch::{Watch, state, tree};
use crate::zygote::{Heard, Running, Zygote};
use crate::{CellError, sys};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

mod exec;
mod files;
mod look;
pub use exec::{EXEC_OUTPUT, ExecRequest};
pub use files::FolderEntry;
pub use look::Changes;

/// In POSIX mode `unset` cannot be a function; with it, functions in place of what is used here are done away with.
const DRIVER: &str = r#"
while IFS= read -r -d '' -u 250 _n && IFS= read -r -d '' -u 250 _c; do
  eval "$_c" 250<&- STDIN
  _s=$? POSIXLY_CORRECT=1
  unset -f eval exec printf read
  unset POSIXLY_CORRECT
  printf '%d %d\0' "$_n" "$_s" >&250
done
"#;

/// Seconds a new cell has to start its bash, however busy the machine is.
const START: f64 = 30.0;
/// Seconds bash has to go on after its children were killed at the limit.
const GRACE: f64 = 2.0;
/// Seconds between looks at the CPU time used.
const LOOK: f64 = 0.25;
/// Seconds between looks at whether a command is still wanted.
const ASK: f64 = 0.05;

/// What bounds one command.
struct Bounds<'a> {
    /// Seconds by the clock on the wall.
    wall: f64,
    /// Bytes kept of each output.
    output: u64,
    /// [`ExecRequest::cancel`].
    cancel: Option<&'a AtomicBool>,
}

/// A persistent bash; see [`Pool::session`](crate::Pool::session).
pub struct Session {
    program: Program,
    step_wall: f64,
    control: OwnedFd,
    /// Our end of the commands' terminal, and what they printed there.
    terminal: Option<OwnedFd>,
    printed: Vec<u8>,
    /// The program under way; none once it has ended.
    running: Option<Running>,
    over: Option<Record>,
    /// The number of bash's end of `control`.
    socket: u64,
    /// Our number for bash, known from the first command on.
    bash: Option<i32>,
    steps: u64,
    clock: tree::Clock,
    received: Vec<u8>,
    started: Instant,
    /// What the tracer told of a bash that has ended.
    told: (Vec<Event>, u64),
    /// Whether its cell tells what is opened.
    tells: bool,
    /// Goes back to the pool at the end, if the session ended in order.
    zygote: Option<Zygote>,
    healthy: bool,
    shared: Arc<Shared>,
}

fn machine(what: &str) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(what, &e)
}

impl Session {
    pub(crate) fn start(shared: &Arc<Shared>, options: &SessionOptions) -> Result<Session, CellError> {
        let terminal = options.terminal.then(sys::terminal).transpose().map_err(machine("opening a terminal"))?;
        let driver = DRIVER.replace("STDIN", if options.terminal { "" } else { "</dev/null" });
        let words = ["bash", "--norc", "--noprofile", "-c", &driver].map(OsString::from);
        let mut program = Program::new(Entry::Command(words.to_vec()));
        program.files.clone_from(&options.files);
        program.limits = options.limits;
        program.proc = options.proc;
        program.env = options.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        program.watch.clone_from(&options.watch);
        validate(&program)?;
        let tells = options.trace.is_some() || !program.watch.is_empty();
        let mut zygote = shared.for_session(tells)?;
        if options.trace.is_some() && !zygote.counts_refusals() {
            shared.forget(zygote.pid);
            return Err(CellError::Machine(
                "this machine does not let a filter tell what commands do (`loophole doctor`): they cannot be traced"
                    .to_owned(),
            ));
        }
        let (control, theirs) = sys::stream_pair().map_err(machine("socketpair"))?;
        sys::tell_senders(&control).map_err(machine("SO_PASSCRED"))?;
        let socket = sys::stat_fd(&theirs).map_err(machine("socketpair"))?.st_ino;
        let mut running = match zygote.begin(&program, Some(&theirs), terminal.as_ref().map(|t| &t.1)) {
            Ok(running) => running,
            Err(e) => {
                shared.forget(zygote.pid);
                return Err(e);
            }
        };
        if let Some(trace) = &options.trace {
            let mut watch = match running.watch.take() {
                Some(watch) => watch,
                None => Watch::new(&[]).map_err(machine("inotify"))?,
            };
            watch.tracer = Some(Tracer::new(trace));
            running.watch = Some(watch);
        }
        Ok(Session {
            program,
            step_wall: options.step_wall_seconds,
            control,
            terminal: terminal.map(|t| t.0),
            printed: Vec::new(),
            started: running.started,
            running: Some(running),
            over: None,
            socket,
            bash: None,
            clock: tree::Clock::default(),
            steps: 0,
            received: Vec::new(),
            told: (Vec::new(), 0),
            tells,
            zygote: Some(zygote),
            healthy: false,
            shared: Arc::clone(shared),
        })
    }

    fn zygote(&self) -> Result<&Zygote, CellError> {
        self.zygote.as_ref().ok_or_else(|| CellError::SessionEnded("its cell is gone".to_owned()))
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
        let bounds = Bounds { wall: self.step_wall, output: self.program.limits.output_bytes, cancel: None };
        self.step(command, &bounds)
    }

    /// The same with limits of its own.
    fn step(&mut self, command: &str, bounds: &Bounds<'_>) -> Result<SessionStep, CellError> {
        let limit = bounds.output;
        if let Some(record) = &self.over {
            return Err(CellError::SessionEnded(format!("verdict {:?}", record.verdict)));
        }
        self.steps += 1;
        let refused_before = self.refused();
        self.restore_output()?;
        let message = [self.steps.to_string().as_bytes(), b"\0", command.as_bytes(), b"\0"].concat();
        self.send(&message)?;
        // The limit is the command's: what it took to start bash and to stop others on a busy machine is not in it.
        let started = Instant::now();
        let mut verdict = Verdict::Exit;
        let mut end = started + secs(bounds.wall);
        let mut first_kill = None;
        let mut late = false;
        let code = loop {
            if let Some(code) = self.take_answer() {
                break Some(code);
            }
            let now = Instant::now();
            if first_kill.is_none() && bounds.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                (end, late) = (now, true);
            }
            let mut wait = end.saturating_duration_since(now).as_secs_f64();
            if wait <= 0.0 && !late {
                // The answer may be there already, and only this side was held up.
                late = true;
            } else if wait <= 0.0 {
                let first = *first_kill.get_or_insert(now);
                verdict = Verdict::Wall;
                if now - first > secs(GRACE) {
                    self.end(Some(WALL))?;
                    break None;
                }
                self.kill_all_but_bash()?;
                end = now + Duration::from_millis(100);
                wait = 0.1;
            }
            if now - started > secs(LOOK) && self.cpu_seconds()? >= self.program.limits.cpu_seconds {
                verdict = Verdict::Cpu;
                self.end(Some(CPU))?;
                break None;
            }
            // A terminal that nobody reads makes its writers wait.
            let wait = if self.terminal.is_some() { wait.min(0.01) } else { wait.min(LOOK) };
            let wait = if bounds.cancel.is_some() { wait.min(ASK) } else { wait };
            self.read_terminal(limit);
            match self.listen(wait)? {
                Heard::Other => {
                    let mut buf = [0u8; 4096];
                    let got = sys::receive_from(&self.control, &mut buf);
                    let (n, sender) = got.map_err(machine("reading from a session"))?;
                    if n == 0 || self.received.len() > 1 << 16 {
                        self.end(None)?;
                        break None;
                    }
                    if Some(sender) == self.bash {
                        self.received.extend_from_slice(&buf[..n]);
                    }
                }
                Heard::Zygote => {
                    self.end(None)?;
                    break None;
                }
                Heard::Nothing => {}
            }
        };
        self.read_terminal(limit);
        let wall_seconds = started.elapsed().as_secs_f64();
        let printed = std::mem::take(&mut self.printed);
        let (events, events_missed) = self.told();
        let Some(running) = &self.running else {
            // Bash has ended: what it printed last is in the record.
            let record = self.over.as_ref().ok_or_else(|| CellError::SessionEnded("without an end".to_owned()))?;
            let verdict = if verdict == Verdict::Exit { record.verdict } else { verdict };
            let (stdout, stderr) = ([printed, record.stdout.clone()].concat(), record.stderr.clone());
            let (code, truncated) = (record.code, record.truncated);
            let refused = since(&refused_before, &record.refused);
            let background = 0;
            return Ok(SessionStep {
                stdout,
                stderr,
                truncated,
                code,
                verdict,
                wall_seconds,
                background,
                refused,
                events,
                events_missed,
            });
        };
        let mut truncated = false;
        let mut take = |fd: &OwnedFd| -> io::Result<Vec<u8>> {
            let bytes = sys::read_at_most(fd, limit as usize)?;
            truncated |= sys::stat_fd(fd)?.st_size as u64 > limit;
            sys::truncate(fd)?;
            Ok(bytes)
        };
        let mut stdout = take(&running.stdout).map_err(machine("reading output"))?;
        let stderr = take(&running.stderr).map_err(machine("reading output"))?;
        if self.terminal.is_some() {
            truncated |= printed.len() as u64 > limit;
            stdout = printed;
            stdout.truncate(limit as usize);
        }
        if truncated && verdict == Verdict::Exit {
            verdict = Verdict::Output;
        }
        let refused = since(&refused_before, &running.refused.names());
        // What was just killed may take a moment to go.
        let end = Instant::now() + Duration::from_millis(200);
        while verdict == Verdict::Wall && Instant::now() < end && !self.processes()?.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let background = self.processes()?.len() as u32;
        Ok(SessionStep {
            stdout,
            stderr,
            truncated,
            code,
            verdict,
            wall_seconds,
            background,
            refused,
            events,
            events_missed,
        })
    }

    /// Takes what has come over the terminal; what is beyond the limit is counted and let go.
    fn read_terminal(&mut self, limit: u64) {
        let Some(terminal) = &self.terminal else { return };
        let limit = limit as usize + 1;
        while let Some(bytes) = sys::read_some(terminal) {
            self.printed.extend(bytes);
            self.printed.truncate(limit);
        }
    }

    fn listen(&mut self, seconds: f64) -> Result<Heard, CellError> {
        let zygote = self.zygote.as_ref().ok_or_else(|| CellError::SessionEnded("its cell is gone".to_owned()))?;
        let running = self.running.as_mut().ok_or_else(|| CellError::SessionEnded("bash is gone".to_owned()))?;
        zygote.listen(seconds, &mut running.refused, running.watch.as_mut(), Some(&self.control))
    }

    /// Our number for bash. Before the first command, nothing else runs in the cell.
    fn find_bash(&mut self, end: Instant) -> Result<i32, CellError> {
        loop {
            let zygote = self.zygote()?;
            // In the program's namespace, 1 is the cell's own.
            let first = tree::below(zygote.pid).into_iter().find(|p| !zygote.is_its_own(p.pid));
            if let Some(bash) = first {
                return Ok(bash.pid);
            }
            if Instant::now() > end {
                return Err(CellError::SessionEnded("bash did not start".to_owned()));
            }
            // It may wait to be watched.
            self.listen(0.0)?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All living processes of the cell beside bash and the cell's own.
    fn processes(&self) -> Result<Vec<i32>, CellError> {
        let zygote = self.zygote()?;
        let alive = tree::below(zygote.pid).into_iter().filter(|p| !p.zombie).map(|p| p.pid);
        Ok(alive.filter(|pid| Some(*pid) != self.bash && !zygote.is_its_own(*pid)).collect())
    }

    fn cpu_seconds(&mut self) -> Result<f64, CellError> {
        let root = self.zygote()?.pid;
        Ok(self.clock.look(root))
    }

    /// What an earlier command did to the open files of the outputs is undone.
    fn restore_output(&self) -> Result<(), CellError> {
        for file in self.running.iter().flat_map(|r| [&r.stdout, &r.stderr]) {
            sys::always_append(file).map_err(machine("O_APPEND"))?;
        }
        Ok(())
    }

    /// Sends a command so that nobody but bash can read it.
    fn send(&mut self, bytes: &[u8]) -> Result<(), CellError> {
        if self.bash.is_none() {
            self.bash = Some(self.find_bash(Instant::now() + secs(START))?);
        }
        let stopped = self.stop_holders()?;
        let end = Instant::now() + secs(self.step_wall);
        let sent = send_all(&self.control, bytes, end);
        while !stopped.is_empty() && !sys::all_read(&self.control) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        for pid in stopped {
            // SAFETY: plain system call on a process that was just stopped.
            unsafe { libc::kill(pid, libc::SIGCONT) };
        }
        sent
    }

    /// Stops whoever else has bash's end of the socket, until nobody is found who has not been stopped.
    fn stop_holders(&self) -> Result<Vec<i32>, CellError> {
        let mut stopped = Vec::new();
        for _ in 0..20 {
            let holders: Vec<i32> = self
                .processes()?
                .into_iter()
                .filter(|pid| tree::holds(*pid, self.socket) && !tree::is_stopped(*pid))
                .collect();
            if holders.is_empty() {
                break;
            }
            for pid in &holders {
                // SAFETY: plain system call on a process just seen below the cell.
                unsafe { libc::kill(*pid, libc::SIGSTOP) };
            }
            let end = Instant::now() + Duration::from_millis(100);
            while Instant::now() < end && !holders.iter().all(|pid| tree::is_stopped(*pid)) {
                std::thread::sleep(Duration::from_micros(200));
            }
            stopped.extend(holders);
        }
        Ok(stopped)
    }

    fn kill_all_but_bash(&self) -> Result<(), CellError> {
        for pid in self.processes()? {
            // SAFETY: plain system call. The process was just seen below the cell, and numbers are not used anew so soon.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        Ok(())
    }

    /// The exit status from bash's answer to the command under way, if it has come.
    fn take_answer(&mut self) -> Option<i32> {
        while let Some(end) = self.received.iter().position(|b| *b == 0) {
            let frame: Vec<u8> = self.received.drain(..=end).collect();
            let text = String::from_utf8_lossy(&frame[..end]).into_owned();
            if let Some((number, code)) = text.split_once(' ')
                && number.parse() == Ok(self.steps)
            {
                return code.parse().ok();
            }
        }
        None
    }

    fn tracer(&mut self) -> Option<&mut Tracer> {
        self.running.as_mut()?.watch.as_mut()?.tracer.as_mut()
    }

    /// What was told since last asked.
    fn told(&mut self) -> (Vec<Event>, u64) {
        let last = std::mem::take(&mut self.told);
        self.tracer().map_or(last, Tracer::take)
    }

    /// From now on every [`Announcement`](crate::Announcement) tells how the process with this number in the cell does.
    ///
    /// # Errors
    /// [`CellError::SessionEnded`] once the cell is gone.
    pub fn follow(&mut self, number: i32) -> Result<(), CellError> {
        let root = self.zygote()?.pid;
        if let Some(tracer) = self.tracer() {
            tracer.follow(root, number);
        }
        Ok(())
    }

    /// How the followed processes do right now; nothing is known of them once bash has ended.
    pub fn followed(&mut self) -> BTreeMap<i32, Followed> {
        self.tracer().map(|tracer| tracer.processes()).unwrap_or_default()
    }

    /// Whether bash has ended.
    pub fn has_ended(&self) -> bool {
        self.running.is_none()
    }

    /// Bash is ending, or is made to: waits for the record.
    fn end(&mut self, kill: Option<u8>) -> Result<(), CellError> {
        let (Some(mut running), Some(zygote)) = (self.running.take(), &mut self.zygote) else {
            return Ok(());
        };
        let ended = match kill {
            Some(reason) => zygote.kill(&mut running, reason),
            None => {
                let grace = Instant::now() + secs(GRACE);
                while zygote.listen(GRACE, &mut running.refused, running.watch.as_mut(), None)? != Heard::Zygote
                    && Instant::now() < grace
                {}
                if Instant::now() < grace { zygote.ended(&mut running) } else { zygote.kill(&mut running, WALL) }
            }
        }?;
        if let Some(tracer) = running.watch.as_mut().and_then(|watch| watch.tracer.as_mut()) {
            self.told = tracer.take();
        }
        let wall = self.started.elapsed().as_secs_f64();
        self.over = Some(zygote.record(running, &self.program, &ended, wall)?);
        self.healthy = true;
        Ok(())
    }

    /// System calls that the filter refused so far, by name.
    pub fn refused(&self) -> BTreeMap<String, u64> {
        let over = || self.over.as_ref().map(|record| record.refused.clone()).unwrap_or_default();
        self.running.as_ref().map_or_else(over, |running| running.refused.names())
    }

    /// How many processes are alive in the cell, beside bash itself and the cell's own.
    ///
    /// # Errors
    /// [`CellError::SessionEnded`] once the cell is gone.
    pub fn alive(&self) -> Result<u32, CellError> {
        if self.running.is_none() { Ok(0) } else { Ok(self.processes()?.len() as u32) }
    }

    /// Content of a regular file of `/box` (relative, or beginning with `/box/`) or `/tmp` right now;
    /// `None` if there is none. Links are not followed. What the user may not read is read all the same.
    ///
    /// # Errors
    /// [`CellError::Machine`] if it cannot be read, [`CellError::SessionEnded`] once bash is gone.
    pub fn read_file(&mut self, path: &str) -> Result<Option<Vec<u8>>, CellError> {
        self.unseen(|session| match path.strip_prefix("/tmp/") {
            Some(below) => state::read(&session.zygote()?.place(1)?.root, below),
            None => state::read(session.folder()?, path),
        })
    }

    /// What is at a path of `/box` right now; a link is told as a link.
    ///
    /// # Errors
    /// [`CellError::Machine`] if it cannot be looked at, [`CellError::SessionEnded`] once bash is gone.
    pub fn stat(&mut self, path: &str) -> Result<Option<FileState>, CellError> {
        self.unseen(|session| state::stat(session.folder()?, path))
    }

    fn folder(&self) -> Result<&OwnedFd, CellError> {
        self.zygote()?.folder()
    }

    /// Ends bash and all it left behind, and tells what changed in `/box`. Processes still there
    /// count as leftover.
    ///
    /// # Errors
    /// [`CellError::Machine`] if the cell died.
    pub fn finish(mut self) -> Result<Record, CellError> {
        // Bash reads end of file and leaves its loop.
        sys::shutdown(&self.control);
        self.end(None)?;
        let mut record = self.over.take().ok_or_else(|| CellError::Machine("a session without an end".to_owned()))?;
        record.wall_seconds = self.started.elapsed().as_secs_f64();
        Ok(record)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.end(Some(WALL));
        let Some(zygote) = self.zygote.take() else { return };
        if self.healthy {
            self.shared.give_back(zygote, self.tells);
        } else {
            self.shared.forget(zygote.pid);
        }
    }
}

/// What came to be refused between two counts.
fn since(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = |(name, n): (&String, &u64)| {
        let more = n.saturating_sub(before.get(name).copied().unwrap_or(0));
        (more > 0).then(|| (name.clone(), more))
    };
    now.iter().filter_map(more).collect()
}

fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s.clamp(0.0, 1e6))
}

/// Sends a command however long it is; bash reads it as it comes. What the socket takes at once is sent even after `end`.
fn send_all(control: &OwnedFd, mut bytes: &[u8], end: Instant) -> Result<(), CellError> {
    while !bytes.is_empty() {
        match sys::send_some(control, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() > end {
                    return Err(CellError::SessionEnded("bash does not read its commands".to_owned()));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(CellError::SessionEnded(e.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_sent_even_if_the_machine_was_too_busy_before() {
        let (ours, _theirs) = sys::stream_pair().unwrap();
        let past = Instant::now();
        std::thread::sleep(Duration::from_millis(1));
        send_all(&ours, b"1\0true\0", past).unwrap();
        // More than a socket holds is not waited for.
        let full = send_all(&ours, &vec![b'x'; 64 << 20], past).unwrap_err();
        assert!(full.to_string().contains("does not read"), "{full}");
    }
}
