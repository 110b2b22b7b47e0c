//! One run of a program in a fork of a zygote: from the job that is handed over to the record of what was seen.

use super::{BOX, Heard, NETWORK, PATIENCE, TMP, Zygote, machine};
use crate::enclosure::group::Hits;
use crate::types::{Program, Record, Tier};
use crate::verdict::{CPU, DISK, Facts, MEMORY, WALL};
use crate::watch::Watch;
use crate::watch::descent::Keys;
use crate::watch::folder;
use crate::watch::notify::Refused;
use crate::watch::{state, tree};
use crate::zygote::scratch::Place;
use crate::zygote::wire::{self, Ended, Reply};
use crate::{CellError, sys};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Seconds between looks at how much was written, where nothing bounds it.
const LOOK: f64 = 0.05;
/// Seconds between looks at whether a program is still wanted.
const ASK: f64 = 0.2;

/// A program under way.
pub(crate) struct Running {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) started: Instant,
    clock: f64,
    pub(crate) refused: Refused,
    pub(crate) watch: Option<Watch>,
    session: bool,
}

fn cores() -> f64 {
    // Asking reads several files.
    static CORES: OnceLock<f64> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64))
}
impl Zygote {
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
        if let Some(folder) = &self.folders[0] {
            folder.give(&program.files, &program.folders).map_err(machine("placing the program's files"))?;
        }
        let watched = !program.watch.is_empty();
        let watch = if watched { Some(Watch::new(&program.watch).map_err(machine("inotify"))?) } else { None };
        let no_input = program.stdin.is_empty() && terminal.is_none();
        let flags = self.flags | if watched { wire::WATCHED } else { 0 } | if no_input { wire::NO_INPUT } else { 0 };
        let proc = program.proc && self.proc;
        let flags = flags | if proc { wire::PROC } else { 0 };
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
        let head = wire::head(&program.limits, beside, flags);
        let cwd = program.cwd.as_deref().map(|cwd| self.path_inside(cwd)).unwrap_or_default();
        let source = sys::memfd(false).map_err(machine("memfd_create"))?;
        sys::fill(&source, &wire::job(program, &self.env, &self.prepared, &cwd, &head))
            .map_err(machine("writing the program"))?;
        let mut stdin = None;
        if !program.stdin.is_empty() {
            let file = sys::memfd(false).map_err(machine("making standard input"))?;
            sys::fill(&file, &program.stdin).map_err(machine("writing standard input"))?;
            stdin = Some(file);
        }
        // Without one, the fork opens its own `/dev/null`, and this descriptor is only in the place of another.
        let stdin = stdin.as_ref().unwrap_or(&source);
        let stdout = sys::memfd(true).map_err(machine("memfd_create"))?;
        let stderr = sys::memfd(true).map_err(machine("memfd_create"))?;
        let three = terminal.map_or([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], |t| [t.as_fd(); 3]);
        let mut fds = vec![source.as_fd()];
        fds.extend(three);
        fds.extend(control.map(AsFd::as_fd));
        self.renew_times(proc).map_err(machine("renewing the times of the cell's folders"))?;
        let (started, clock) = (Instant::now(), sys::clock());
        sys::send(&self.ctl, b"J", &fds).map_err(machine("handing over the program"))?;
        Ok(Running { stdout, stderr, started, clock, refused: Refused::default(), watch, session: control.is_some() })
    }

    /// Runs a program to its end.
    pub(crate) fn run(&mut self, program: &Program) -> Result<Record, CellError> {
        let mut running = self.begin(program, None, None)?;
        let ended = match self.wait(&mut running, program) {
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
    fn wait(&self, running: &mut Running, program: &Program) -> Result<Ended, CellError> {
        let (cores, limits) = (cores(), &program.limits);
        let mut look = limits.cpu_seconds / cores;
        let mut clock = tree::Clock::default();
        let mut look_at_disk = LOOK;
        loop {
            let now = running.started.elapsed().as_secs_f64();
            let cancelled = program.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed));
            if now >= limits.wall_seconds || cancelled {
                return self.kill(running, WALL);
            }
            if now >= look {
                let used = clock.look(self.pid);
                if used >= limits.cpu_seconds {
                    return self.kill(running, CPU);
                }
                look = now + ((limits.cpu_seconds - used) / cores).max(0.01);
            }
            let mut seconds = look.min(limits.wall_seconds) - now;
            if program.cancel.is_some() {
                seconds = seconds.min(ASK);
            }
            if let Some(ground) = &self.ground {
                if now >= look_at_disk {
                    if ground.used() > 2 * self.size {
                        return self.kill(running, DISK);
                    }
                    // Ten times as long as it took: a crowd of files must not take our time.
                    let after = running.started.elapsed().as_secs_f64();
                    look_at_disk = after + (10.0 * (after - now)).max(LOOK);
                }
                seconds = seconds.min((look_at_disk - now).max(0.001));
            }
            if self.listen(seconds, &mut running.refused, running.watch.as_mut(), None)? == Heard::Zygote {
                return self.ended(running);
            }
        }
    }

    /// Ends the program now, for a reason. Should it have ended by itself just before, the zygote says so.
    pub(crate) fn kill(&self, running: &mut Running, reason: u8) -> Result<Ended, CellError> {
        // First all are stopped: a crowd of busy processes would leave the zygote little time to end them.
        for process in tree::below(self.pid).iter().filter(|p| !self.is_its_own(p.pid)) {
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

    /// Whether a process below is process 1 of the program's namespace.
    pub(crate) fn is_its_own(&self, pid: i32) -> bool {
        self.tier == Tier::Namespaces && tree::who(pid).0 == Some(1)
    }

    /// Kills what there is below the zygote; whether there was anything.
    pub(super) fn kill_all(&self) -> bool {
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
        let dirty: Vec<bool> =
            self.folders.iter().map(|f| f.as_ref().is_none_or(|f| !f.is_pristine(running.clock))).collect();
        let failed = ended.status != 0;
        let full = failed && self.folders.iter().flatten().any(Place::is_full);
        let found = if dirty.first() == Some(&true) || !program.files.is_empty() || !program.folders.is_empty() {
            state::look(self.folder()?, program, &Keys::kept())?
        } else {
            state::Found::default()
        };
        let mut found = found;
        for path in &program.read_back {
            if !found.contents.contains_key(path) && dirty.first() == Some(&true) {
                folder::read(self.folder()?, path, &mut found.contents)?;
            }
        }
        let hits = match &mut self.group {
            Some(group) if failed => group.hits(),
            _ => Hits::default(),
        };
        let which = dirty.iter().zip([BOX, TMP]).fold(0, |bits, (dirty, bit)| bits | if *dirty { bit } else { 0 });
        let traces = self.tier == Tier::Namespaces && running.refused.traces;
        let which = which | if traces { NETWORK } else { 0 };
        if which != 0 && !self.dead {
            if self.ground.is_none() && !running.session {
                // With our descriptors the old ones are gone for good before the new ones are made, which then get the
                // same numbers. (A session's may be read once more.)
                for (bit, folder) in [BOX, TMP].into_iter().zip(&mut self.folders) {
                    folder.take_if(|_| which & bit != 0);
                }
            }
            // The next program's folders are made while this one's record is looked at.
            self.wipe(which, self.size)?;
        }
        let code = libc::WIFEXITED(ended.status).then(|| libc::WEXITSTATUS(ended.status));
        let signal = libc::WIFSIGNALED(ended.status).then(|| libc::WTERMSIG(ended.status));
        let full = full || found.largest >= limits.file_bytes;
        // Where the user's other processes count too, the crowd may be somebody else's.
        let own = self.shares_user.is_none() || 2 * ended.leftover >= limits.processes;
        let ended = &Ended { crowded: ended.crowded && own, ..*ended };
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
            changes_truncated: found.missed,
            contents: found.contents,
            leftover_processes: ended.leftover,
            refused_incomplete: running.refused.incomplete,
            refused: running.refused.names(),
            opened,
            tier: self.tier,
            proc: program.proc && self.proc,
            detail: None,
            stdout,
            stderr,
        })
    }
}
