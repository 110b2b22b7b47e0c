//! One zygote seen from the supervisor: its start, its folders, and what it says.

use self::marshal::Tuple;
use self::scratch::{LONG_AGO, Place};
use self::wire::Reply;
use crate::enclosure::filter;
use crate::enclosure::ground::{self, Ground};
use crate::enclosure::group::Group;
use crate::enclosure::outer::{self, Mapping};
use crate::enclosure::plan::{LIBRARY, Plan};
use crate::enclosure::procfs::HIDDEN;
use crate::types::{Limits, Tier};
use crate::watch::Watch;
use crate::watch::notify::{Call, Refused};
use crate::{CellError, sys};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) mod imports;
mod marshal;
mod run;
pub(crate) mod scratch;
pub(crate) mod wire;

pub(crate) use run::Running;

/// Seconds that a zygote may take to answer.
const PATIENCE: f64 = 30.0;
/// Seconds that an interpreter may take to come up: what is loaded beforehand may be large, and a machine busy.
const COMING_UP: f64 = 180.0;

/// Bits of what is to be made anew.
const BOX: u8 = 1;
const TMP: u8 = 2;
const NETWORK: u8 = 4;

/// What all zygotes of a kind have in common.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) preload: Vec<String>,
    /// [`Program::checkpoint`](crate::Program::checkpoint).
    pub(crate) checkpoint: Option<Arc<str>>,
    /// [`PoolOptions::prepared`](crate::PoolOptions::prepared).
    pub(crate) prepared: Arc<[String]>,
    pub(crate) site: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Whether files opened are told.
    pub(crate) watch: bool,
    pub(crate) tier: Tier,
}

/// The file system that is a cell's root, which its processes can only read.
struct Root {
    /// A mount of it that can be written to.
    tree: OwnedFd,
    /// What can be seen of it, the root itself last.
    nodes: Vec<CString>,
    /// What covers the entries of a `/proc`.
    covers: Vec<CString>,
}

impl Root {
    fn new(tree: OwnedFd, plan: &Plan) -> Root {
        let (nodes, covers) = plan.nodes();
        Root { tree, nodes, covers }
    }

    /// The library is loaded by now: nobody needs to see it. Nor what covers the entries of a `/proc`, where there is none.
    fn close(&self) -> io::Result<()> {
        sys::remove_at(&self.tree, c"etc/inside.so", 0)?;
        sys::chmod_at(&self.tree, HIDDEN, 0)
    }

    /// For a program that has a `/proc`, or has none.
    fn renew_times(&self, proc: bool) -> io::Result<()> {
        let renew =
            |nodes: &[CString]| nodes.iter().try_for_each(|node| sys::set_times_at(&self.tree, node, &LONG_AGO));
        if proc {
            sys::chmod_at(&self.tree, HIDDEN, 0o755)?;
            let renewed = renew(&self.covers);
            sys::chmod_at(&self.tree, HIDDEN, 0)?;
            renewed?;
        }
        renew(&self.nodes)
    }
}

/// A warm interpreter in its cell. Dropping it ends it and all that runs in it.
pub(crate) struct Zygote {
    pub(crate) pid: libc::pid_t,
    /// The processor it is kept on, by number among those that may be used.
    pub(crate) processor: Option<usize>,
    pidfd: OwnedFd,
    pub(crate) ctl: OwnedFd,
    listener: Option<OwnedFd>,
    secret: u64,
    flags: u64,
    /// `/box` and `/tmp`.
    folders: [Option<Place>; 2],
    /// The root of its file system, where it has one.
    root: Option<Root>,
    /// Bytes each folder holds, and which of them are being made.
    size: u64,
    making: u8,
    group: Option<Group>,
    env: Vec<(String, String)>,
    prepared: Arc<[String]>,
    pub(crate) tier: Tier,
    /// Whether programs can have a `/proc`.
    pub(crate) proc: bool,
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
        let mut prepared = Tuple::new();
        setup.prepared.iter().for_each(|text| prepared.text(text));
        config.tuple(prepared);
        config.text(setup.checkpoint.as_deref().unwrap_or(""));
        config.int(u64::from(namespaces));
        let mut site = Tuple::new();
        setup.site.iter().for_each(|p| site.text(p));
        config.tuple(site);
        config.text(&ground.as_ref().map_or_else(|| "/box".to_owned(), |g| g.path("box")));
        config.bytes(&setup.plan.again);
        sys::send(&started.ctl, &config.finish(), &[]).map_err(machine("configuring a zygote"))?;
        let mut zygote = Zygote {
            pid: started.pid,
            processor: None,
            pidfd: started.pidfd,
            ctl: started.ctl,
            listener: started.listener,
            secret: started.secret,
            flags: match (namespaces, started.built.no_user_namespaces) {
                (false, _) if tier == Tier::Landlock && ground::scopes_signals() => wire::BARE | wire::SCOPED,
                (false, _) => wire::BARE,
                (true, true) => 0,
                (true, false) => wire::INNER_FILTER,
            },
            folders: [None, None],
            root: started.root.map(|tree| Root::new(tree, &setup.plan)),
            size: 0,
            making: 0,
            group: None,
            env,
            prepared: Arc::clone(&setup.prepared),
            tier,
            proc: started.built.proc,
            ground,
            shares_user,
            dead: false,
        };
        let mut buf = [0u8; 4096];
        let folders = zygote.wipe(BOX | TMP, wire::scratch_bytes(&Limits::default())).and_then(|()| zygote.made());
        let ready = folders.and_then(|()| zygote.receive(&mut buf, COMING_UP, &mut Refused::default()));
        if ready.is_err() || buf[0] != b'R' {
            let text = sys::read_at_most(&started.errors, 4096).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            return Err(CellError::Machine(format!(
                "the interpreter did not come up in its cell: {}",
                text.lines().last().unwrap_or("no message")
            )));
        }
        if let Some(root) = &zygote.root {
            root.close().map_err(machine("closing a cell's root"))?;
        }
        if let Some(ground) = &zygote.ground {
            ground.loaded();
        }
        if let Some(group) = &mut group {
            group.settle();
        }
        zygote.group = group;
        Ok(zygote)
    }

    /// Has folders made anew, without waiting for it.
    fn wipe(&mut self, which: u8, bytes: u64) -> Result<(), CellError> {
        if let Some(ground) = &mut self.ground {
            self.folders = ground.renew()?.map(Some);
            self.size = bytes;
            return Ok(());
        }
        sys::send(&self.ctl, &wire::wipe(which, bytes), &[]).map_err(machine("asking for a new folder"))?;
        (self.making, self.size) = (which, bytes);
        Ok(())
    }

    /// Nothing that a program sees has changed before it starts: the cell's age, and that others ran in it, would show.
    fn renew_times(&mut self, proc: bool) -> io::Result<()> {
        self.folders.iter_mut().flatten().try_for_each(Place::renew_times)?;
        if let Some(ground) = &self.ground {
            ground.renew_times()?;
        }
        self.root.as_ref().map_or(Ok(()), |root| root.renew_times(proc))
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
        for (bit, folder) in [BOX, TMP].into_iter().zip(&mut self.folders) {
            if self.making & bit != 0 {
                *folder = fds.next().transpose()?;
            }
        }
        if self.folders.iter().any(Option::is_none) {
            return Err(CellError::Machine(format!("a cell made {count} folders instead of two")));
        }
        self.making = 0;
        Ok(())
    }

    /// The folder `/box` of the program that runs or ran last.
    pub(crate) fn folder(&self) -> Result<&OwnedFd, CellError> {
        let gone = || CellError::Machine("the cell has no /box".to_owned());
        self.folders[0].as_ref().map(|p| &p.root).ok_or_else(gone)
    }

    /// `/box`, or `/tmp` with number 1.
    pub(crate) fn place(&self, number: usize) -> Result<&Place, CellError> {
        self.folders
            .get(number)
            .and_then(Option::as_ref)
            .ok_or_else(|| CellError::Machine("the cell has no folders".to_owned()))
    }

    /// How programs call a path: relative ones are below `/box`, which lies elsewhere in the weaker tiers, as does `/tmp`.
    pub(crate) fn path_inside(&self, path: &str) -> String {
        let below = |top: &str| path.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let (name, rest) = match (below("/box"), below("/tmp")) {
            (Some(rest), _) => ("box", rest.to_owned()),
            (_, Some(rest)) => ("tmp", rest.to_owned()),
            _ if path.starts_with('/') => return path.to_owned(),
            _ => ("box", if path.is_empty() { String::new() } else { format!("/{path}") }),
        };
        self.ground.as_ref().map_or_else(|| format!("/{name}"), |ground| ground.path(name)) + &rest
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
            let mut telling = |call: &Call| {
                if let Some(watch) = &mut *watch.borrow_mut() {
                    watch.collect();
                    watch.announce(call);
                    if let (Some(tracer), Ok(folder)) = (&mut watch.tracer, self.folder()) {
                        tracer.hear(call, folder);
                    }
                }
            };
            let mut mark = || {
                if let (Some(watch), Ok(folder)) = (&mut *watch.borrow_mut(), self.folder()) {
                    watch.begin(folder);
                }
            };
            let mut change = |call: &Call| match &self.ground {
                Some(ground) => ground.own().change(call),
                None => Err(libc::EPERM),
            };
            let network = self.tier == Tier::Namespaces;
            refused
                .answer(listener, self.secret, network, &mut telling, &mut mark, &mut change)
                .map_err(machine("answering a refused call"))?;
            return Ok(Heard::Nothing);
        }
        Ok(match (ready[2] != 0, ready[0] != 0) {
            (true, _) => Heard::Other,
            (_, true) => Heard::Zygote,
            _ => Heard::Nothing,
        })
    }

    /// Keeps it on a processor, which the programs it forks may leave.
    pub(crate) fn keep_on(&mut self, processor: usize) {
        if self.processor != Some(processor) && sys::keep_on(self.pid, processor).is_ok() {
            self.processor = Some(processor);
        }
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
