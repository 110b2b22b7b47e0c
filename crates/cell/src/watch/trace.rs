//! What a session's commands do, in order, told while they do it.
//!
//! The filter tells of every call that opens, moves or removes something, starts a program or sends a signal, before
//! the call is done; the caller waits meanwhile. So a look at the cell at that moment sees what the caller sees, and
//! nothing can be done and undone between two looks. A call whose path begins with [`Trace::announce`] is an
//! announcement: it opens nothing, it says something, and with it are kept the files, the processes and the script
//! that says it.

use crate::enclosure::filter::{self, Told};
use crate::sys;
use crate::types::{Announcement, Event, EventKind, FileKind, Followed, Sample, Script, Trace};
use crate::watch::notify::Call;
use crate::watch::path::{self, plain};
use crate::watch::{state, tree};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Events of one command that are kept, of each of the two sorts.
const EVENTS: usize = 4000;
const ANNOUNCEMENTS: usize = 4000;
/// Bytes of a path, of a command line, of a file that are kept.
const PATH: usize = 128 << 10;
const LINE: usize = 256 << 10;
const CONTENT: usize = 256 << 10;
/// Words of a program's arguments that are kept.
const WORDS: usize = 64;
/// Ancestors with the same command line that are looked at for the script: the subshells of a shell.
const SUBSHELLS: usize = 4;

/// Folders in which what happens is told.
const OURS: [&str; 2] = ["/box", "/tmp"];

/// Who hears the calls of one session.
pub(crate) struct Tracer {
    trace: Trace,
    events: Vec<Event>,
    announcements: usize,
    missed: u64,
    started: Instant,
    followed: Vec<(i32, Option<(i32, u64)>)>,
    /// What was sampled last, so that what stays the same is kept once.
    last: BTreeMap<String, Option<Arc<Sample>>>,
}

impl Tracer {
    pub(crate) fn new(trace: &Trace) -> Tracer {
        Tracer {
            trace: trace.clone(),
            events: Vec::new(),
            announcements: 0,
            missed: 0,
            started: Instant::now(),
            followed: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    /// A process asks for something that is told.
    pub(crate) fn hear(&mut self, call: &Call, folder: &OwnedFd) {
        let Some(told) = filter::told(call.nr) else { return };
        let kind = match told {
            Told::Opens { at, flags } => {
                let Some(asked) = path_at(call, at) else { return };
                let announce = self.trace.announce.as_str();
                if let Some(text) = asked.strip_prefix(announce).filter(|_| !announce.is_empty()) {
                    if self.announcements >= ANNOUNCEMENTS {
                        self.missed += 1;
                        return;
                    }
                    self.announcements += 1;
                    EventKind::Announced(Box::new(self.announcement(text, call.pid, folder)))
                } else {
                    let Some(path) = place(call, at, &asked) else { return };
                    let flags = flags.map_or(libc::O_WRONLY, |n| call.args[usize::from(n)] as i32);
                    EventKind::Opened { path, writes: flags & libc::O_ACCMODE != libc::O_RDONLY }
                }
            }
            Told::Executes { at, words } => {
                let Some(asked) = path_at(call, at) else { return };
                let words = words_at(call.pid, call.args[usize::from(words)]);
                let path = place(call, at, &asked).unwrap_or(asked);
                // A script may be what is started, or the first word after the shell's name.
                let uses = [Some(path.clone()), words.get(1).and_then(|word| place(call, at, word))];
                let used = uses.iter().flatten().any(|path| self.is_ours(path));
                let files = used.then(|| self.sample(folder, call.pid));
                EventKind::Executed { path, words, files }
            }
            Told::Moves { from, to } => {
                let at = |n| path_at(call, n).and_then(|asked| place(call, n, &asked));
                match (at(from), at(to)) {
                    (None, None) => return,
                    (from, to) => EventKind::Moved { from: from.unwrap_or_default(), to: to.unwrap_or_default() },
                }
            }
            Told::Removes { at } => match path_at(call, at).and_then(|asked| place(call, at, &asked)) {
                Some(path) => EventKind::Removed { path },
                None => return,
            },
            Told::Signals { signal } => {
                EventKind::Signalled { to: call.args[0] as i32, signal: call.args[usize::from(signal)] as i32 }
            }
        };
        if self.events.len() >= EVENTS + self.announcements && !matches!(kind, EventKind::Announced(_)) {
            self.missed += 1;
            return;
        }
        let process = tree::inside(call.pid);
        self.events.push(Event { seconds: self.started.elapsed().as_secs_f64(), process, kind });
    }

    fn announcement(&mut self, text: &str, pid: i32, folder: &OwnedFd) -> Announcement {
        let words = command_line(pid);
        let named = words.iter().skip(1).filter_map(|word| named(pid, word)).collect();
        let script = script(pid, &words);
        Announcement {
            text: text.to_owned(),
            words,
            script,
            named,
            files: self.sample(folder, pid),
            processes: self.processes(),
        }
    }

    /// Whether it is one of the files that are looked at.
    fn is_ours(&self, path: &str) -> bool {
        path.strip_prefix("/box/").is_some_and(|below| self.trace.files.iter().any(|file| file == below))
    }

    /// The files as a process finds them now.
    fn sample(&mut self, folder: &OwnedFd, pid: i32) -> BTreeMap<String, Option<Arc<Sample>>> {
        for path in &self.trace.files {
            let now = sample(folder, path, pid);
            let last = self.last.entry(path.clone()).or_default();
            if last.as_deref() != now.as_ref() {
                *last = now.map(Arc::new);
            }
        }
        self.last.clone()
    }

    /// From now on it is told with every announcement how this process does, which is one below `root`.
    pub(crate) fn follow(&mut self, root: i32, number: i32) {
        let found = tree::below(root).into_iter().find(|p| !p.zombie && tree::inside(p.pid) == Some(number));
        self.followed.push((number, found.map(|p| (p.pid, p.started))));
    }

    /// How the followed processes do.
    pub(crate) fn processes(&self) -> BTreeMap<i32, Followed> {
        let how = |found: &Option<(i32, u64)>| match found {
            Some((pid, started)) if tree::started(*pid) == Some(*started) => match tree::state(*pid) {
                None | Some(b'Z' | b'X') => Followed::Gone,
                Some(b'T' | b't') => Followed::Stopped,
                Some(_) => Followed::Runs,
            },
            _ => Followed::Gone,
        };
        self.followed.iter().map(|(number, found)| (*number, how(found))).collect()
    }

    /// What happened since last asked, in order, and how many events more.
    pub(crate) fn take(&mut self) -> (Vec<Event>, u64) {
        self.announcements = 0;
        (std::mem::take(&mut self.events), std::mem::take(&mut self.missed))
    }
}

/// What is at a path of `/box`, bounded; of a link, what this process finds where it leads.
fn sample(folder: &OwnedFd, path: &str, pid: i32) -> Option<Sample> {
    let (kind, mode) = state::kind_at(folder, path)?;
    let content = match kind {
        FileKind::File => state::read(folder, path).ok().flatten(),
        FileKind::Link => {
            let below = path.strip_prefix("/box/").unwrap_or(path);
            let whole = Path::new("/box").join(OsStr::from_bytes(&path::unescape(below)));
            root_of(pid).and_then(|root| read_in_root(&root, &whole))
        }
        _ => None,
    };
    Some(Sample { kind, mode, content })
}

/// The root folder of a process.
fn root_of(pid: i32) -> Option<OwnedFd> {
    std::fs::File::open(format!("/proc/{pid}/root")).ok().map(OwnedFd::from)
}

/// A text in another process' memory, whatever bytes it is made of.
fn read_text(pid: i32, pointer: u64, most: usize) -> Option<String> {
    let mut out = Vec::new();
    while out.len() < most {
        let at = pointer.checked_add(out.len() as u64)?;
        let mut buf = [0u8; 256];
        // Not beyond the page: the next one may not be there.
        let got = &mut buf[..256 - at as usize % 256];
        sys::read_memory(pid, at, got)?;
        match got.iter().position(|b| *b == 0) {
            Some(end) => {
                out.extend(&got[..end]);
                break;
            }
            None => out.extend(&*got),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// The path that is this argument of a call, as it was asked for.
fn path_at(call: &Call, at: u8) -> Option<String> {
    read_text(call.pid, call.args[usize::from(at)], PATH)
}

fn words_at(pid: i32, pointer: u64) -> Vec<String> {
    let word = |n: usize| {
        let mut bytes = [0u8; 8];
        sys::read_memory(pid, pointer.checked_add(8 * n as u64)?, &mut bytes)?;
        let pointer = u64::from_ne_bytes(bytes);
        (pointer != 0).then(|| read_text(pid, pointer, LINE)).flatten()
    };
    (0..WORDS).map_while(word).collect()
}

/// Where a path leads in the cell if that is in one of the folders of the program's; no link is looked through.
fn place(call: &Call, at: u8, asked: &str) -> Option<String> {
    let whole = if asked.starts_with('/') {
        plain(Path::new(asked))
    } else {
        let link = match (filter::folder_before(call.nr), at.checked_sub(1).map(|n| call.args[usize::from(n)] as i32)) {
            (true, Some(fd)) if fd != libc::AT_FDCWD => format!("/proc/{}/fd/{fd}", call.pid),
            _ => format!("/proc/{}/cwd", call.pid),
        };
        plain(&std::fs::read_link(link).ok()?.join(asked))
    };
    OURS.iter().any(|top| whole.starts_with(top)).then(|| path::escape(whole.as_os_str().as_encoded_bytes()))
}

fn command_line(pid: i32) -> Vec<String> {
    let mut bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.truncate(LINE);
    let text = String::from_utf8_lossy(&bytes);
    let mut words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    // Every word has its end.
    words.pop();
    words
}

/// The content of the file that a word of a command line names, if it is one of the program's.
fn named(pid: i32, word: &str) -> Option<(String, Vec<u8>)> {
    if word.is_empty() || word.len() > 4096 {
        return None;
    }
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let whole = plain(&cwd.join(word));
    if !OURS.iter().any(|top| whole.starts_with(top)) {
        return None;
    }
    let content = read_in_root(&root_of(pid)?, &whole)?;
    Some((path::escape(whole.as_os_str().as_encoded_bytes()), content))
}

fn read_in_root(root: &OwnedFd, path: &Path) -> Option<Vec<u8>> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
    let place = sys::open_in_root(root, &path).ok()?;
    content(&place)
}

/// What a descriptor for looking leads to, if that is a regular file.
fn content(place: &OwnedFd) -> Option<Vec<u8>> {
    use std::os::fd::AsRawFd;
    if state::kind(sys::stat_fd(place).ok()?.st_mode) != FileKind::File {
        return None;
    }
    let file = OwnedFd::from(std::fs::File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).ok()?);
    sys::read_at_most(&file, CONTENT).ok()
}

/// The script that a shell is executing: the file it reads its commands from, which shells keep open at a number from
/// 10 on and which their command line names. A subshell has its parent's command line, and maybe not the file.
fn script(pid: i32, words: &[String]) -> Option<Script> {
    if let [_, flag, text, ..] = words
        && flag == "-c"
    {
        return Some(Script { path: String::new(), content: text.clone().into_bytes() });
    }
    let mut pid = pid;
    for _ in 0..SUBSHELLS {
        if let Some(script) = open_script(pid, words) {
            return Some(script);
        }
        pid = tree::parent(pid)?;
        if command_line(pid) != words {
            return None;
        }
    }
    None
}

fn open_script(pid: i32, words: &[String]) -> Option<Script> {
    let mut numbers: Vec<i32> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= 10)
        .collect();
    numbers.sort_unstable();
    numbers.into_iter().find_map(|number| {
        let link = format!("/proc/{pid}/fd/{number}");
        let path = std::fs::read_link(&link).ok()?;
        if !OURS.iter().any(|top| path.starts_with(top)) {
            return None;
        }
        let text = path::escape(path.as_os_str().as_encoded_bytes());
        // Of a file that was removed meanwhile the kernel says so behind its name.
        let text = text.strip_suffix(" (deleted)").unwrap_or(&text).to_owned();
        let name = text.rsplit('/').next()?;
        if !words.iter().any(|word| word.rsplit('/').next() == Some(name) || is_link(pid, word)) {
            return None;
        }
        let file = OwnedFd::from(std::fs::File::open(&link).ok()?);
        Some(Script { path: text, content: sys::read_at_most(&file, CONTENT).ok()? })
    })
}

/// Whether a word of a process's command line names a symbolic link: what it leads to has another name.
fn is_link(pid: i32, word: &str) -> bool {
    let folder = if word.starts_with('/') { "root" } else { "cwd" };
    let place = format!("/proc/{pid}/{folder}/{}", word.trim_start_matches('/'));
    std::fs::symlink_metadata(place).is_ok_and(|found| found.is_symlink())
}
