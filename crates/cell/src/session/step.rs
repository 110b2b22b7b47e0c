//! One command of a session: sent so that nobody but bash can read it, waited for, and ended at its limits.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{GRACE, Session, machine, secs};
use crate::types::{SessionStep, Verdict};
use crate::verdict::{CPU, WALL};
use crate::watch::tree;
use crate::zygote::Heard;
use crate::{CellError, sys};

/// Seconds a new cell has to start its bash, however busy the machine is.
const START: f64 = 30.0;
/// Seconds between looks at the CPU time used.
const LOOK: f64 = 0.25;
/// Seconds between looks at whether a command is still wanted.
const ASK: f64 = 0.05;

/// What bounds one command.
pub(super) struct Bounds<'a> {
    /// Seconds by the clock on the wall.
    pub wall: f64,
    /// Bytes kept of each output.
    pub output: u64,
    /// [`ExecRequest::cancel`].
    pub cancel: Option<&'a AtomicBool>,
}

impl Session {
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
    pub(super) fn step(&mut self, command: &str, bounds: &Bounds<'_>) -> Result<SessionStep, CellError> {
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
        let mut step = SessionStep {
            stdout: printed,
            stderr: Vec::new(),
            truncated: false,
            code,
            verdict,
            wall_seconds,
            background: 0,
            refused: BTreeMap::new(),
            events,
            events_missed,
        };
        let Some(running) = &self.running else {
            // Bash has ended: what it printed last is in the record.
            let record = self.over.as_ref().ok_or_else(|| CellError::SessionEnded("without an end".to_owned()))?;
            if verdict == Verdict::Exit {
                step.verdict = record.verdict;
            }
            step.stdout.extend_from_slice(&record.stdout);
            step.stderr.clone_from(&record.stderr);
            (step.code, step.truncated) = (record.code, record.truncated);
            step.refused = since(&refused_before, &record.refused);
            return Ok(step);
        };
        let mut truncated = false;
        let mut take = |fd: &OwnedFd| -> io::Result<Vec<u8>> {
            let bytes = sys::read_at_most(fd, limit as usize)?;
            truncated |= sys::stat_fd(fd)?.st_size as u64 > limit;
            sys::truncate(fd)?;
            Ok(bytes)
        };
        let stdout = take(&running.stdout).map_err(machine("reading output"))?;
        step.stderr = take(&running.stderr).map_err(machine("reading output"))?;
        if self.terminal.is_some() {
            truncated |= step.stdout.len() as u64 > limit;
            step.stdout.truncate(limit as usize);
        } else {
            step.stdout = stdout;
        }
        step.truncated = truncated;
        if truncated && verdict == Verdict::Exit {
            step.verdict = Verdict::Output;
        }
        step.refused = since(&refused_before, &running.refused.names());
        // What was just killed may take a moment to go.
        let end = Instant::now() + Duration::from_millis(200);
        while verdict == Verdict::Wall && Instant::now() < end && !self.processes()?.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        step.background = self.processes()?.len() as u32;
        Ok(step)
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
}

/// What came to be refused between two counts.
fn since(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = |(name, n): (&String, &u64)| {
        let more = n.saturating_sub(before.get(name).copied().unwrap_or(0));
        (more > 0).then(|| (name.clone(), more))
    };
    now.iter().filter_map(more).collect()
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
