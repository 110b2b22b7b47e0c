//! One zygote seen from the supervisor, and one run of a program in a fork of it.

use crate::ground::{self, Ground};
use crate::group::{Group, Hits};
use crate::marshal::Tuple;
use crate::notify::Refused;
use crate::outer::{self, Mapping};
use crate::plan::{LIBRARY, Plan};
use crate::scratch::Place;
use crate::types::{Limits, Program, Record, Tier};
use crate::verdict::{CPU, DISK, Facts, MEMORY, WALL};
use crate::watch::Watch;
use crate::wire::{self, Ended, Head, Reply};
use crate::{CellError, filter, state, sys, tree};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a zygote may take to start, and to answer.
const PATIENCE: f64 = 30.0;

/// Seconds between looks at how much was written, where nothing bounds it.
const LOOK: f64 = 0.05;

/// Bits of what is to be made anew.
const BOX: u8 = 1;
const TMP: u8 = 2;

/// What all zygotes of a kind have in common.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) preload: Vec<String>,
    pub(crate) site: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Whether files opened are told.
    pub(crate) watch: bool,
    pub(crate) tier: Tier,
}

/// A warm interpreter in its cell. Dropping it ends it and all that runs in it.
pub(crate) struct Zygote {
    pub(crate) pid: libc::pid_t,
    pidfd: OwnedFd,
    pub(crate) ctl: OwnedFd,
    listener: Option<OwnedFd>,
    secret: u64,
    flags: u64,
    folders: Vec<Place>,
    /// Bytes each folder holds, and which of them are being made.
    size: u64,
    making: u8,
    group: Option<Group>,
    env: Vec<(String, String)>,
    pub(crate) tier: Tier,
    /// The weaker tiers' place of work; removed last.
    ground: Option<Ground>,
    /// The user whose processes count beside ours.
    shares_user: Option<u32>,
    /// It is gone, for a reason that is the program's.
    pub(crate) dead: bool,
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Without a namespace, what it started would outlive it.
        for _ in 0..200 {
            if self.ground.is_none() || !self.kill_all() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Else it is process 1 of its PID namespace: with it goes everything inside.
        let _ = sys::pidfd_kill(&self.pidfd);
        sys::reap(self.pid);
    }
}

/// A program under way.
pub(crate) struct Running {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) started: Instant,
    clock: f64,
    pub(crate) refused: Refused,
    watch: Option<Watch>,
}

fn cores() -> f64 {
    // Asking reads several files.
    static CORES: OnceLock<f64> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64))
}

fn machine(what: &str) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(what, &e)
}

impl Zygote {
    pub(crate) fn start(setup: &Setup) -> Result<Zygote, CellError> {
        let mut group = Group::make();
        let namespaces = setup.tier == Tier::Namespaces;
        let map = Mapping::new();
        let shares_user = (!namespaces && !map.privileged).then_some(map.uid);
        let ground = if namespaces { None } else { Some(Ground::make((map.uid, map.gid))?) };
        let mut env = setup.env.clone();
        if let Some(ground) = &ground {
            env.retain(|(name, _)| name != "HOME");
            env.extend([("HOME", "box"), ("TMPDIR", "tmp")].map(|(k, v)| (k.to_owned(), ground.path(v))));
        }
        let (tier, watch) = (setup.tier, setup.watch);
        let (ground_, group_) = (ground.as_ref(), group.as_ref());
        let start = outer::Start { plan: &setup.plan, env: &env, tier, map, ground: ground_, watch, group: group_ };
        let started = outer::start(&start)?;
        let inner = filter::bytes(&filter::inner());
        let mut config = Tuple::new();
        config.text(&ground.as_ref().map_or_else(|| LIBRARY.to_owned(), Ground::library));
        config.int(started.secret);
        config.bytes(&inner);
        let mut preload = Tuple::new();
        setup.preload.iter().for_each(|m| preload.text(m));
        config.tuple(preload);
        let mut site = Tuple::new();
        setup.site.iter().for_each(|p| site.text(p));
        config.tuple(site);
        config.text(&ground.as_ref().map_or_else(|| "/box".to_owned(), |g| g.path("box")));
        sys::send(&started.ctl, &config.finish(), &[]).map_err(machine("configuring a zygote"))?;
        let mut zygote = Zygote {
            pid: started.pid,
            pidfd: started.pidfd,
            ctl: started.ctl,
            listener: started.listener,
            secret: started.secret,
            flags: match (namespaces, started.no_user_namespaces) {
                (false, _) if tier == Tier::Landlock && ground::scopes_signals() => wire::BARE | wire::SCOPED,
                (false, _) => wire::BARE,
                (true, true) => 0,
                (true, false) => wire::INNER_FILTER,
            },
            folders: Vec::new(),
            size: 0,
            making: 0,
            group: None,
            env,
            tier,
            ground,
            shares_user,
            dead: false,
        };
        let mut buf = [0u8; 4096];
        let ready = zygote.receive(&mut buf, PATIENCE, &mut Refused::default()).map(|(n, _)| n);
        if ready.is_err() || buf[0] != b'R' {
            let text = sys::read_at_most(&started.errors, 4096).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            return Err(CellError::Machine(format!(
                "the interpreter did not come up in its cell: {}",
                text.lines().last().unwrap_or("no message")
            )));
        }
        if let Some(group) = &mut group {
            group.settle();
        }
        zygote.group = group;
        zygote.wipe(BOX | TMP, wire::scratch_bytes(&Limits::default()))?;
        Ok(zygote)
    }

    /// Has folders made anew, without waiting for it.
    fn wipe(&mut self, which: u8, bytes: u64) -> Result<(), CellError> {
        if let Some(ground) = &mut self.ground {
            self.folders = ground.renew()?;
            self.size = bytes;
            return Ok(());
        }
        sys::send(&self.ctl, &wire::wipe(which, bytes), &[]).map_err(machine("asking for a new folder"))?;
        (self.making, self.size) = (which, bytes);
        Ok(())
    }

    /// Waits until the folders asked for are there.
    fn made(&mut self) -> Result<(), CellError> {
        if self.making == 0 {
            return Ok(());
        }
        let mut buf = [0u8; 600];
        let (n, fds) = self.receive(&mut buf, PATIENCE, &mut Refused::default())?;
        let (Reply::Made, count) = (wire::parse(&buf[..n])?, fds.len()) else {
            return Err(CellError::Machine("a cell answered out of turn".to_owned()));
        };
        let mut fds = fds.into_iter().map(Place::new);
        let mut folders: Vec<Option<Place>> = std::mem::take(&mut self.folders).into_iter().map(Some).collect();
        folders.resize_with(2, || None);
        for (bit, folder) in [BOX, TMP].into_iter().zip(&mut folders) {
            if self.making & bit != 0 {
                *folder = fds.next().transpose()?;
            }
        }
        self.folders = folders.into_iter().flatten().collect();
        if self.folders.len() != 2 {
            return Err(CellError::Machine(format!("a cell made {count} folders instead of two")));
        }
        self.making = 0;
        Ok(())
    }

    /// The folder `/box` of the program that runs or ran last.
    pub(crate) fn folder(&self) -> Result<&OwnedFd, CellError> {
        let gone = || CellError::Machine("the cell has no /box".to_owned());
        self.folders.first().map(|p| &p.root).ok_or_else(gone)
    }

    /// One message of the zygote; meanwhile, refused calls are answered.
    fn receive(&self, buf: &mut [u8], seconds: f64, refused: &mut Refused) -> Result<(usize, Vec<OwnedFd>), CellError> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_secs_f64();
            if self.listen(left, refused, None, None)? == Heard::Zygote {
                break;
            }
            if left <= 0.0 {
                return Err(CellError::Machine("a cell did not answer".to_owned()));
            }
        }
        // A reset connection is a dead zygote like an end of file.
        let got = sys::receive(&self.ctl, buf)
            .or_else(|e| if e.raw_os_error() == Some(libc::ECONNRESET) { Ok((0, vec![])) } else { Err(e) });
        match got.map_err(machine("reading from a cell"))? {
            (0, _) => wire::parse(&[]).map(|_| (0, Vec::new())),
            got => Ok(got),
        }
    }

    /// Waits until something happens; refused calls and files opened are dealt with here.
    pub(crate) fn listen(
        &self,
        seconds: f64,
        refused: &mut Refused,
        mut watch: Option<&mut Watch>,
        other: Option<&OwnedFd>,
    ) -> Result<Heard, CellError> {
        let none = -1;
        let fds = [
            self.ctl.as_raw_fd(),
            self.listener.as_ref().map_or(none, AsRawFd::as_raw_fd),
            other.map_or(none, AsRawFd::as_raw_fd),
            watch.as_ref().map_or(none, |w| w.queue()),
        ];
        let ready = sys::wait_any(fds, seconds).map_err(machine("poll"))?;
        if ready[3] != 0
            && let Some(watch) = &mut watch
        {
            watch.collect();
        }
        if ready[1] & libc::POLLIN != 0
            && let Some(listener) = &self.listener
        {
            let watch = std::cell::RefCell::new(watch);
            let mut opening = |o| {
                if let Some(watch) = &mut *watch.borrow_mut() {
                    watch.collect();
                    watch.announce(&o);
                }
            };
            let mut mark = || {
                if let (Some(watch), Ok(folder)) = (&mut *watch.borrow_mut(), self.folder()) {
                    watch.begin(folder);
                }
            };
            refused
                .answer(listener, self.secret, &mut opening, &mut mark)
                .map_err(machine("answering a refused call"))?;
            return Ok(Heard::Nothing);
        }
        Ok(match (ready[2] != 0, ready[0] != 0) {
            (true, _) => Heard::Other,
            (_, true) => Heard::Zygote,
            _ => Heard::Nothing,
        })
    }

    /// Starts a program. For a session's bash, `control` is one more descriptor, and `terminal` takes the place of
    /// standard input and both outputs.
    pub(crate) fn begin(
        &mut self,
        program: &Program,
        control: Option<&OwnedFd>,
        terminal: Option<&OwnedFd>,
    ) -> Result<Running, CellError> {
        let bytes = wire::scratch_bytes(&program.limits);
        self.made()?;
        if self.size != bytes {
            self.wipe(BOX | TMP, bytes)?;
            self.made()?;
        }
        let watched = !program.watch.is_empty();
        let watch = if watched { Some(Watch::new(&program.watch).map_err(machine("inotify"))?) } else { None };
        let flags = self.flags | if watched { wire::WATCHED } else { 0 };
        // The zygote and process 1 count as well. Where a group counts, its limit comes first.
        let mut beside = 2;
        if let Some(group) = &mut self.group {
            // What the program before hit is not held against this one.
            group.hits();
            group.limit(program.limits.memory_bytes + 2 * bytes, u64::from(program.limits.processes) + beside);
            beside += if group.counts_processes() { 8 } else { 0 };
        }
        if let Some(uid) = self.shares_user {
            beside += tree::threads_of(uid);
        }
        let head = Head::new(&program.limits, beside, flags);
        let source = sys::memfd(false).map_err(machine("memfd_create"))?;
        sys::fill(&source, &wire::job(program, &self.env, &head)).map_err(machine("writing the program"))?;
        let stdin = if program.stdin.is_empty() { sys::null() } else { sys::memfd(false) };
        let stdin = stdin.map_err(machine("making standard input"))?;
        if !program.stdin.is_empty() {
            sys::fill(&stdin, &program.stdin).map_err(machine("writing standard input"))?;
        }
        let stdout = sys::memfd(true).map_err(machine("memfd_create"))?;
        let stderr = sys::memfd(true).map_err(machine("memfd_create"))?;
        let three = terminal.map_or([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], |t| [t.as_fd(); 3]);
        let mut fds = vec![source.as_fd()];
        fds.extend(three);
        fds.extend(control.map(AsFd::as_fd));
        let (started, clock) = (Instant::now(), sys::clock());
        sys::send(&self.ctl, b"J", &fds).map_err(machine("handing over the program"))?;
        Ok(Running { stdout, stderr, started, clock, refused: Refused::default(), watch })
    }

    /// Runs a program to its end.
    pub(crate) fn run(&mut self, program: &Program) -> Result<Record, CellError> {
        let mut running = self.begin(program, None, None)?;
        let ended = match self.wait(&mut running, &program.limits) {
            // The kernel may choose the zygote to make room for a program that took too much memory.
            Err(_) if self.group.as_mut().is_some_and(|g| g.hits().memory > 0) => {
                self.dead = true;
                Ended { status: libc::SIGKILL, killed: MEMORY, cpu_micros: 0, peak_kib: 0, leftover: 0, crowded: false }
            }
            other => other?,
        };
        let wall = running.started.elapsed().as_secs_f64();
        self.record(running, program, &ended, wall)
    }

    /// Waits for the end, which comes at the limits of wall and CPU time at the latest.
    fn wait(&self, running: &mut Running, limits: &Limits) -> Result<Ended, CellError> {
        let cores = cores();
        let mut look = limits.cpu_seconds / cores;
        loop {
            let now = running.started.elapsed().as_secs_f64();
            if now >= limits.wall_seconds {
                return self.kill(running, WALL);
            }
            if now >= look {
                let used: f64 = tree::below(self.pid).iter().map(|p| p.cpu_seconds).sum();
                if used >= limits.cpu_seconds {
                    return self.kill(running, CPU);
                }
                look = now + ((limits.cpu_seconds - used) / cores).max(0.01);
            }
            let mut seconds = look.min(limits.wall_seconds) - now;
            if let Some(ground) = &self.ground {
                if now > LOOK && ground.used() > 2 * self.size {
                    return self.kill(running, DISK);
                }
                seconds = seconds.min(LOOK);
            }
            if self.listen(seconds, &mut running.refused, running.watch.as_mut(), None)? == Heard::Zygote {
                return self.ended(running);
            }
        }
    }

    /// Ends the program now, for a reason. Should it have ended by itself just before, the zygote says so.
    pub(crate) fn kill(&self, running: &mut Running, reason: u8) -> Result<Ended, CellError> {
        // First all are stopped: a crowd of busy processes would leave the zygote little time to end them.
        for process in tree::below(self.pid).iter().filter(|p| tree::who(p.pid).0 != Some(1)) {
            // SAFETY: plain system call on a process just seen below the zygote.
            unsafe { libc::kill(process.pid, libc::SIGSTOP) };
        }
        let _ = sys::send(&self.ctl, &[b'K', reason], &[]);
        self.ended(running)
    }

    /// What the zygote says of a program whose end is near.
    pub(crate) fn ended(&self, running: &mut Running) -> Result<Ended, CellError> {
        let mut buf = [0u8; 600];
        loop {
            let (n, _) = self.receive(&mut buf, PATIENCE, &mut running.refused)?;
            match wire::parse(&buf[..n])? {
                Reply::Done(ended) => return Ok(ended),
                Reply::Left => {
                    let end = Instant::now() + Duration::from_secs_f64(PATIENCE);
                    while self.kill_all() && Instant::now() < end {
                        if self.listen(0.002, &mut running.refused, None, None)? == Heard::Zygote {
                            break;
                        }
                    }
                }
                Reply::Made => return Err(CellError::Machine("a cell answered out of turn".to_owned())),
            }
        }
    }

    /// Kills what there is below the zygote; whether there was anything.
    fn kill_all(&self) -> bool {
        let mut any = false;
        for process in tree::below(self.pid).iter().filter(|p| !p.zombie) {
            any = true;
            // SAFETY: plain system call on a process just seen below the zygote.
            unsafe { libc::kill(process.pid, libc::SIGKILL) };
        }
        any
    }

    /// Puts together what is known, once every process is dead, and has the folders made anew if need be.
    pub(crate) fn record(
        &mut self,
        running: Running,
        program: &Program,
        ended: &Ended,
        wall_seconds: f64,
    ) -> Result<Record, CellError> {
        // Before we read the files ourselves.
        let opened = running.watch.map(Watch::finish).unwrap_or_default();
        let limits = &program.limits;
        let keep = limits.output_bytes as usize;
        let read = |fd: &OwnedFd| -> Result<(Vec<u8>, u64), CellError> {
            let bytes = sys::read_at_most(fd, keep).map_err(machine("reading output"))?;
            let size = sys::stat_fd(fd).map_err(machine("reading output"))?.st_size;
            Ok((bytes, size as u64))
        };
        let (stdout, out_size) = read(&running.stdout)?;
        let (stderr, err_size) = read(&running.stderr)?;
        let truncated = out_size.max(err_size) > limits.output_bytes;
        let dirty: Vec<bool> = self.folders.iter().map(|f| !f.is_pristine(running.clock)).collect();
        let failed = ended.status != 0;
        let full = failed && self.folders.iter().any(Place::is_full);
        let found = if dirty.first() == Some(&true) || !program.files.is_empty() {
            state::look(self.folder()?, program)?
        } else {
            state::Found::default()
        };
        let hits = match &mut self.group {
            Some(group) if failed => group.hits(),
            _ => Hits::default(),
        };
        let which = dirty.iter().zip([BOX, TMP]).fold(0, |bits, (dirty, bit)| bits | if *dirty { bit } else { 0 });
        if which != 0 && !self.dead {
            // The next program's folders are made while this one's record is looked at.
            self.wipe(which, self.size)?;
        }
        let code = libc::WIFEXITED(ended.status).then(|| libc::WEXITSTATUS(ended.status));
        let signal = libc::WIFSIGNALED(ended.status).then(|| libc::WTERMSIG(ended.status));
        let full = full || found.largest >= limits.file_bytes;
        let facts = Facts { ended, code, signal, truncated, full, hits, stderr: &stderr, limits };
        Ok(Record {
            verdict: facts.verdict(),
            code,
            signal,
            truncated,
            cpu_seconds: ended.cpu_micros as f64 * 1e-6,
            wall_seconds,
            peak_memory: ended.peak_kib * 1024,
            files: found.changes,
            contents: found.contents,
            leftover_processes: ended.leftover,
            refused: running.refused.names(),
            opened,
            tier: self.tier,
            detail: None,
            stdout,
            stderr,
        })
    }

    /// What bounds it beside the limits of each process.
    pub(crate) fn bounds(&self) -> Option<String> {
        self.group.as_ref().map(Group::describe)
    }

    /// Whether refused calls are counted.
    pub(crate) fn counts_refusals(&self) -> bool {
        self.listener.is_some()
    }
}

/// Who has something to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Zygote,
    Other,
    Nothing,
}
