//! `/proc` for one program: mounted by process 1 of its namespace, taken away by the zygote.

use crate::calls::*;
use crate::state::state;
use core::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// Between the zygote and process 1: whether it is to be made, is made, or the step that failed.
static MADE: AtomicI32 = AtomicI32::new(0);
const WANTED: i32 = 1;
const DONE: i32 = 2;

const BIND: usize = 4096;
const DETACH: usize = 2;
/// Read-only, nosuid, nodev, noexec.
const FLAGS: usize = 1 | 2 | 4 | 8;
const FUTEX_WAIT: usize = 0;
const FUTEX_WAKE: usize = 1;

/// In the zygote, before process 1 is made.
pub(crate) fn want(wanted: bool) {
    MADE.store(if wanted { WANTED } else { 0 }, SeqCst);
}

/// In the zygote: waits for it. Zero, or below zero the error.
pub(crate) fn wait() -> isize {
    loop {
        match MADE.load(SeqCst) {
            WANTED => {
                sys(nr::FUTEX, MADE.as_ptr() as usize, FUTEX_WAIT, WANTED as usize, 0);
            }
            0 | DONE => return 0,
            error => return error as isize,
        }
    }
}

/// In the zygote, once every process of the program is dead.
pub(crate) fn remove() {
    if MADE.swap(0, SeqCst) == DONE {
        call(nr::UMOUNT2, [c"/proc".as_ptr() as usize, DETACH, 0, 0, 0, state().secret]);
    }
}

/// In process 1, first of all: mounts it if that is wanted, and says so.
pub(crate) fn make(secret: usize) {
    if MADE.load(SeqCst) != WANTED {
        return;
    }
    let r = mount(secret);
    if r < 0 {
        call(nr::UMOUNT2, [c"/proc".as_ptr() as usize, DETACH, 0, 0, 0, secret]);
    }
    MADE.store(if r < 0 { r as i32 } else { DONE }, SeqCst);
    sys(nr::FUTEX, MADE.as_ptr() as usize, FUTEX_WAKE, 1, 0);
}

fn mount(secret: usize) -> isize {
    const FOLDER: usize = if cfg!(target_arch = "aarch64") { 0o40000 } else { 0o200000 };
    let (place, kind) = (c"/proc".as_ptr() as usize, c"proc".as_ptr() as usize);
    let r = call(nr::MOUNT, [kind, place, kind, FLAGS, c"hidepid=4".as_ptr() as usize, secret]);
    if r < 0 {
        return r;
    }
    let folder = sys(nr::OPENAT, (-100isize) as usize, place, FOLDER, 0);
    if folder < 0 {
        return folder;
    }
    let mut entries = [0u8; 2048];
    let result = loop {
        let n = sys(nr::GETDENTS64, folder as usize, entries.as_mut_ptr() as usize, entries.len(), 0);
        if n <= 0 {
            break n;
        }
        let r = cover(&entries[..n as usize], secret);
        if r < 0 {
            break r;
        }
    };
    sys(nr::CLOSE, folder as usize, 0, 0, 0);
    result
}

/// Covers whatever is neither a process nor a link to one.
fn cover(mut entries: &[u8], secret: usize) -> isize {
    const IS_FOLDER: u8 = 4;
    const IS_LINK: u8 = 10;
    while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, kind, name @ ..] = entries {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let name = &name[..name.iter().position(|b| *b == 0).unwrap_or(0)];
        let other = !name.is_empty() && !name[0].is_ascii_digit() && name != b"." && name != b"..";
        if other && *kind != IS_LINK {
            let (mut from, mut to) = ([0u8; 300], [0u8; 300]);
            path(&mut from, b"/etc/proc/", name);
            path(&mut to, b"/proc/", name);
            let mut bind =
                |from: *const u8| call(nr::MOUNT, [from as usize, to.as_mut_ptr() as usize, 0, BIND, 0, secret]);
            let mut r = bind(from.as_ptr());
            if r < 0 {
                r = bind(if *kind == IS_FOLDER { c"/etc/proc/.folder" } else { c"/etc/proc/.empty" }.as_ptr().cast());
            }
            if r < 0 {
                return r;
            }
        }
        if length < 20 || length > entries.len() {
            break;
        }
        entries = &entries[length..];
    }
    0
}

fn path(to: &mut [u8; 300], folder: &[u8], name: &[u8]) {
    to[..folder.len()].copy_from_slice(folder);
    to[folder.len()..folder.len() + name.len()].copy_from_slice(name);
}
