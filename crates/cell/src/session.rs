//! A session: one bash in a cell of its own that lives for several commands.
//!
//! Commands go to bash over a socket that the commands themselves do not have; bash answers there with the number of
//! the command and its exit status. The kernel says who sent an answer: only bash itself is believed, and while it
//! reads a command, whoever else holds the socket (a subshell of an earlier command) is stopped. The status is bash's
//! own word; what a command did to the files is read from outside, through the folder `/box`.

use crate::pool::{Shared, validate};
use crate::types::{Entry, Event, FileState, Followed, Program, Record, SessionOptions};
use crate::verdict::WALL;
use crate::watch::trace::Tracer;
use crate::watch::{Watch, state, tree};
use crate::zygote::{Heard, Running, Zygote};
use crate::{CellError, sys};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod exec;
mod files;
mod look;
mod step;
pub use exec::{EXEC_OUTPUT, ExecRequest};
pub use files::FolderEntry;
pub use look::Changes;
use step::Bounds;

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

/// Seconds bash has to go on after its children were killed at the limit.
const GRACE: f64 = 2.0;

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

    /// All living processes of the cell beside bash and the cell's own.
    fn processes(&self) -> Result<Vec<i32>, CellError> {
        let zygote = self.zygote()?;
        let alive = tree::below(zygote.pid).into_iter().filter(|p| !p.zombie).map(|p| p.pid);
        Ok(alive.filter(|pid| Some(*pid) != self.bash && !zygote.is_its_own(*pid)).collect())
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

fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s.clamp(0.0, 1e6))
}
