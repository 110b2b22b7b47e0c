//! One zygote seen from the supervisor, and one run of a program in a fork of it.

use crate::marshal::Tuple;
use crate::outer::{self, Plan};
use crate::state;
use crate::types::{Entry, Limits, Program, Record, Tier, Verdict};
use crate::{CellError, filter, sys};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// How long a zygote may take to start, and an init to answer.
const PATIENCE: f64 = 30.0;

/// What all zygotes of a pool have in common.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) preload: Vec<String>,
    pub(crate) site: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

/// A place made and waiting for its program: the init's socket and the folder `/box`.
struct Parked {
    run: OwnedFd,
    folder: Option<OwnedFd>,
}

/// A warm interpreter in its outer cell. Dropping it ends it and all that runs in it.
pub(crate) struct Zygote {
    pub(crate) pid: libc::pid_t,
    pidfd: OwnedFd,
    ctl: OwnedFd,
    parked: Option<Parked>,
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It is process 1 of its PID namespace: with it goes everything inside.
        let _ = sys::pidfd_kill(&self.pidfd);
        sys::reap(self.pid);
    }
}

/// A program under way.
pub(crate) struct Running {
    pub(crate) run: OwnedFd,
    pub(crate) folder: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) started: Instant,
}

/// What the init says about a program that ended.
pub(crate) struct Ended {
    status: i32,
    killed: i64,
    cpu_seconds: f64,
    peak_kib: u64,
    leftover: u32,
    crowded: bool,
    full: bool,
}

fn machine(what: &str) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(what, &e)
}

fn box_bytes(limits: &Limits) -> u64 {
    (limits.file_bytes.saturating_mul(4)).clamp(1 << 20, 1 << 40)
}

impl Zygote {
    pub(crate) fn start(setup: &Setup) -> Result<Zygote, CellError> {
        let started = outer::start(&setup.plan)?;
        let mut zygote = Zygote { pid: started.pid, pidfd: started.pidfd, ctl: started.ctl, parked: None };
        let mut config = Tuple::new();
        config.bytes(&filter::bytes(&filter::inner()));
        let mut preload = Tuple::new();
        setup.preload.iter().for_each(|m| preload.text(m));
        config.tuple(preload);
        let mut site = Tuple::new();
        setup.site.iter().for_each(|p| site.text(p));
        config.tuple(site);
        config.int(box_bytes(&Limits::default()));
        sys::send(&zygote.ctl, &config.finish(), &[]).map_err(machine("configuring a zygote"))?;
        let mut buf = [0u8; 4096];
        let ready = sys::wait_readable(&zygote.ctl, PATIENCE)
            .and_then(|ok| if ok { sys::receive(&zygote.ctl, &mut buf) } else { Ok((0, vec![])) })
            .map_err(machine("waiting for a zygote"))?;
        if ready.0 == 0 || buf[0] != b'R' {
            let text = sys::read_at_most(&started.errors, 4096).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            return Err(CellError::Machine(format!(
                "the interpreter did not come up in its cell: {}",
                text.lines().last().unwrap_or("no message")
            )));
        }
        zygote.park()?;
        Ok(zygote)
    }

    /// Asks for the place of the next program, without waiting for it.
    fn park(&mut self) -> Result<(), CellError> {
        if self.parked.is_none() {
            let (run, theirs) = sys::socket_pair().map_err(machine("socketpair"))?;
            sys::send(&self.ctl, b"F", &[theirs.as_fd()]).map_err(machine("asking for a fork"))?;
            self.parked = Some(Parked { run, folder: None });
        }
        Ok(())
    }

    /// Starts a program; `control` is one more descriptor for a session's bash.
    pub(crate) fn begin(
        &mut self,
        setup: &Setup,
        program: &Program,
        control: Option<&OwnedFd>,
    ) -> Result<Running, CellError> {
        let source = sys::memfd(false).map_err(machine("memfd_create"))?;
        sys::fill(&source, &job(setup, program)).map_err(machine("writing the program"))?;
        let stdin = sys::memfd(false).map_err(machine("memfd_create"))?;
        sys::fill(&stdin, &program.stdin).map_err(machine("writing standard input"))?;
        let stdout = sys::memfd(true).map_err(machine("memfd_create"))?;
        let stderr = sys::memfd(true).map_err(machine("memfd_create"))?;
        self.park()?;
        let Some(mut parked) = self.parked.take() else {
            return Err(CellError::Machine("no place for the program".to_owned()));
        };
        if parked.folder.is_none() {
            let mut buf = [0u8; 600];
            let (n, mut fds) = answer(&parked.run, PATIENCE, &mut buf)?;
            if buf[0] != b'P' || fds.is_empty() {
                return Err(failed(&buf[..n]));
            }
            parked.folder = fds.pop();
        }
        let Some(folder) = parked.folder else {
            return Err(CellError::Machine("no /box for the program".to_owned()));
        };
        let started = Instant::now();
        let mut fds = vec![source.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        fds.extend(control.map(AsFd::as_fd));
        sys::send(&parked.run, b"J", &fds).map_err(machine("handing over the program"))?;
        Ok(Running { run: parked.run, folder, stdout, stderr, started })
    }

    /// Runs a program to its end.
    pub(crate) fn run(&mut self, setup: &Setup, program: &Program) -> Result<Record, CellError> {
        let running = self.begin(setup, program, None)?;
        let ended = running.wait(program.limits.wall_seconds)?;
        let wall = running.started.elapsed().as_secs_f64();
        // The next place is made while this one is looked at.
        self.park()?;
        running.record(program, &ended, wall)
    }
}

fn failed(message: &[u8]) -> CellError {
    CellError::Machine(match message.split_first() {
        Some((b'E', text)) => String::from_utf8_lossy(text).into_owned(),
        _ => "the cell died".to_owned(),
    })
}

fn answer(run: &OwnedFd, seconds: f64, buf: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), CellError> {
    if !sys::wait_readable(run, seconds).map_err(machine("poll"))? {
        return Err(CellError::Machine("a cell did not answer".to_owned()));
    }
    // A reset connection is a dead init like an end of file.
    let got = sys::receive(run, buf)
        .or_else(|e| if e.raw_os_error() == Some(libc::ECONNRESET) { Ok((0, vec![])) } else { Err(e) });
    match got.map_err(machine("reading from a cell"))? {
        (0, _) => Err(failed(&[])),
        got => Ok(got),
    }
}

fn job(setup: &Setup, program: &Program) -> Vec<u8> {
    let limits = &program.limits;
    let mut job = Tuple::new();
    let mut argv = Tuple::new();
    match &program.entry {
        Entry::Python(source) => {
            job.int(0);
            job.text(source);
        }
        Entry::PythonFile(path) => {
            job.int(1);
            job.text(path);
        }
        Entry::Command(words) => {
            job.int(2);
            job.text("");
            words.iter().for_each(|w| argv.text(w));
        }
    }
    program.args.iter().for_each(|a| argv.text(a));
    job.tuple(argv);
    let mut env = Tuple::new();
    for (k, v) in &setup.env {
        let mut pair = Tuple::new();
        pair.text(k);
        pair.text(v);
        env.tuple(pair);
    }
    job.tuple(env);
    let mut files = Tuple::new();
    for file in &program.files {
        let mut one = Tuple::new();
        one.text(&file.path);
        one.bytes(&file.content);
        one.int(if file.executable { 0o755 } else { 0o644 });
        files.tuple(one);
    }
    job.tuple(files);
    let mut numbers = Tuple::new();
    numbers.float(limits.cpu_seconds);
    numbers.int(limits.memory_bytes.min(1 << 46));
    // The zygote and the init count as well.
    numbers.int(u64::from(limits.processes) + 2);
    numbers.int(limits.file_bytes.max(limits.output_bytes).min(1 << 46));
    numbers.int((limits.cpu_seconds.ceil() as u64).max(1));
    numbers.int(box_bytes(limits));
    job.tuple(numbers);
    job.finish()
}

impl Running {
    /// Waits for the end, which comes at the wall limit at the latest.
    pub(crate) fn wait(&self, seconds: f64) -> Result<Ended, CellError> {
        if !sys::wait_readable(&self.run, seconds).map_err(machine("poll"))? {
            let _ = sys::send(&self.run, b"K", &[]);
            // Should the program have ended by itself just now, the init says so all the same.
        }
        self.ended()
    }

    pub(crate) fn ended(&self) -> Result<Ended, CellError> {
        let mut buf = [0u8; 600];
        let (n, _) = answer(&self.run, PATIENCE, &mut buf)?;
        if buf[0] != b'D' || n != 57 {
            return Err(failed(&buf[..n]));
        }
        let word = |i: usize| {
            let mut w = [0u8; 8];
            w.copy_from_slice(&buf[1 + 8 * i..9 + 8 * i]);
            w
        };
        let int = |i: usize| i64::from_le_bytes(word(i));
        Ok(Ended {
            status: int(0) as i32,
            killed: int(1),
            cpu_seconds: f64::from_le_bytes(word(2)),
            peak_kib: int(3) as u64,
            leftover: int(4) as u32,
            crowded: int(5) != 0,
            full: int(6) != 0,
        })
    }

    /// Puts together what is known, once every process is dead.
    pub(crate) fn record(&self, program: &Program, ended: &Ended, wall_seconds: f64) -> Result<Record, CellError> {
        let limits = &program.limits;
        let keep = limits.output_bytes as usize;
        let read = |fd: &OwnedFd| -> Result<(Vec<u8>, u64), CellError> {
            let bytes = sys::read_at_most(fd, keep).map_err(machine("reading output"))?;
            let size = sys::stat_fd(fd).map_err(machine("reading output"))?.st_size;
            Ok((bytes, size as u64))
        };
        let (stdout, out_size) = read(&self.stdout)?;
        let (stderr, err_size) = read(&self.stderr)?;
        let truncated = out_size.max(err_size) > limits.output_bytes;
        let found = state::look(&self.folder, program)?;
        let code = libc::WIFEXITED(ended.status).then(|| libc::WEXITSTATUS(ended.status));
        let signal = libc::WIFSIGNALED(ended.status).then(|| libc::WTERMSIG(ended.status));
        let facts = Facts {
            ended,
            code,
            signal,
            truncated,
            disk: ended.full || found.largest >= limits.file_bytes,
            stderr: &stderr,
            limits,
        };
        Ok(Record {
            verdict: facts.verdict(),
            code,
            signal,
            truncated,
            cpu_seconds: ended.cpu_seconds,
            wall_seconds,
            peak_memory: ended.peak_kib * 1024,
            files: found.changes,
            contents: found.contents,
            leftover_processes: ended.leftover,
            refused: BTreeMap::new(),
            tier: Tier::Namespaces,
            detail: None,
            stdout,
            stderr,
        })
    }
}

struct Facts<'a> {
    ended: &'a Ended,
    code: Option<i32>,
    signal: Option<i32>,
    truncated: bool,
    disk: bool,
    stderr: &'a [u8],
    limits: &'a Limits,
}

impl Facts<'_> {
    /// Only a program that failed by itself is asked what it failed for; then what it says on
    /// standard error counts, as the choice is only between names of failure.
    fn verdict(&self) -> Verdict {
        let killed = self.ended.killed != 0;
        if self.ended.crowded && (killed || self.code != Some(0)) {
            return Verdict::Pids;
        }
        match self.ended.killed {
            1 => {
                return if self.truncated { Verdict::Output } else { Verdict::Wall };
            }
            2 => {
                return if self.truncated { Verdict::Output } else { Verdict::Cpu };
            }
            _ => {}
        }
        if self.truncated {
            return Verdict::Output;
        }
        let near_limit = self.ended.peak_kib * 1024 >= self.limits.memory_bytes / 10 * 9;
        match (self.code, self.signal) {
            (Some(0), _) => Verdict::Exit,
            (_, Some(libc::SIGXCPU)) => Verdict::Cpu,
            (_, Some(libc::SIGKILL)) if self.ended.cpu_seconds >= self.limits.cpu_seconds => Verdict::Cpu,
            (_, Some(libc::SIGXFSZ)) => Verdict::Disk,
            (_, Some(_)) if near_limit => Verdict::Memory,
            (_, Some(_)) => Verdict::Signal,
            _ if self.disk => Verdict::Disk,
            _ if self.says(&["MemoryError", "annot allocate memory"]) => Verdict::Memory,
            _ if self.says(&["can't start new thread", "fork: retry", "Resource temporarily un"]) => Verdict::Pids,
            _ => Verdict::Exit,
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        let tail = &self.stderr[self.stderr.len().saturating_sub(300)..];
        let tail = String::from_utf8_lossy(tail);
        let last = tail.trim_end().lines().last().unwrap_or("");
        words.iter().any(|w| last.contains(w))
    }
}
