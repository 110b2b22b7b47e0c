//! The root of a cell: a tiny read-only file system, made in the child's own mount namespace.

use crate::enclosure::outer::{INSIDE, become_user};
use crate::enclosure::plan::Plan;
use crate::enclosure::step::{Failed, Step, step};
use std::ffi::c_long;
use std::os::fd::RawFd;

/// What could be had.
#[derive(Clone, Copy, Default)]
pub(crate) struct Built {
    /// No user namespace can be made inside.
    pub(crate) no_user_namespaces: bool,
    /// Programs can have a `/proc`.
    pub(crate) proc: bool,
    /// A mount of the root's file system that can be written to, which nothing in the cell keeps.
    pub(crate) tree: Option<RawFd>,
}

impl Built {
    /// As a number, for the way to the supervisor.
    pub(crate) fn number(self) -> i32 {
        i32::from(self.no_user_namespaces) | i32::from(self.proc) << 1
    }

    pub(crate) fn from_number(number: i32) -> Built {
        Built { no_user_namespaces: number & 1 != 0, proc: number & 2 != 0, tree: None }
    }
}

/// Mounts the root and moves into it; tells what could be had. An error is the step that failed.
///
/// # Safety
/// Only for the freshly cloned child, see `outer`. `opened` has room for every bind.
pub(crate) unsafe fn build(plan: &Plan, privileged: bool, opened: &mut [RawFd]) -> Result<Built, Failed> {
    // SAFETY: system calls on memory prepared by the parent, of which this process has its own copy.
    unsafe {
        // Sources are opened while this is still the user who may see them.
        for (i, bind) in plan.binds.iter().enumerate() {
            let flags = 1 /* OPEN_TREE_CLONE */ | libc::O_CLOEXEC | libc::AT_RECURSIVE;
            let fd = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, bind.source.as_ptr(), flags);
            if fd < 0 && bind.optional {
                continue;
            }
            opened[i] = of_bind(Step::Open, i, fd)? as RawFd;
            let mut attr: libc::mount_attr = std::mem::zeroed();
            // A device can be written to all the same, but its times and mode, which all share, stay as they are.
            attr.attr_set = libc::MOUNT_ATTR_NOSUID
                | libc::MOUNT_ATTR_RDONLY
                | if bind.device { libc::MOUNT_ATTR_NOEXEC } else { libc::MOUNT_ATTR_NODEV };
            attr.propagation = libc::MS_PRIVATE;
            let at = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
            of_bind(
                Step::Open,
                i,
                libc::syscall(
                    libc::SYS_mount_setattr,
                    opened[i],
                    c"".as_ptr(),
                    at,
                    &raw const attr,
                    size_of::<libc::mount_attr>(),
                ),
            )?;
        }
        become_user(privileged, INSIDE, INSIDE)?;
        let none = std::ptr::null();
        let private = libc::MS_REC | libc::MS_PRIVATE;
        step(Step::MakePrivate, libc::mount(none, c"/".as_ptr(), none, private, none.cast()).into())?;
        // Where possible, no user namespace can be made inside; the filter refuses them as well.
        let mut limited = false;
        let limit = libc::open(c"/proc/sys/user/max_user_namespaces".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if limit >= 0 {
            limited = libc::write(limit, c"0".as_ptr().cast(), 1) == 1;
            libc::close(limit);
        }
        let fixed = libc::MS_NOSUID | libc::MS_NODEV;
        step(
            Step::MountRoot,
            libc::mount(
                c"root".as_ptr(),
                c"/tmp".as_ptr(),
                c"tmpfs".as_ptr(),
                fixed,
                c"size=2m,mode=755".as_ptr().cast(),
            )
            .into(),
        )?;
        step(Step::MountRoot, libc::chdir(c"/tmp".as_ptr()).into())?;
        for folder in &plan.folders {
            step(Step::MakeFolder, libc::mkdir(folder.as_ptr(), 0o755).into())?;
        }
        // The kernel lets a `/proc` be mounted here only where another one is in sight, of which nothing is covered. This
        // one is out of reach: `/usr` will lie on top of it.
        let flags = libc::MS_RDONLY | libc::MS_NOEXEC | fixed;
        let proc = libc::mount(c"proc".as_ptr(), c"usr".as_ptr(), c"proc".as_ptr(), flags, none.cast()) == 0;
        for (to, name) in &plan.links {
            step(Step::MakeFile, libc::symlink(to.as_ptr(), name.as_ptr()).into())?;
        }
        for (name, content) in &plan.files {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL | libc::O_CLOEXEC;
            let fd = step(Step::MakeFile, libc::open(name.as_ptr(), flags, 0o644).into())? as RawFd;
            step(Step::MakeFile, libc::write(fd, content.as_ptr().cast(), content.len()) as c_long)?;
            libc::close(fd);
        }
        for (i, bind) in plan.binds.iter().enumerate() {
            if opened[i] >= 0 {
                of_bind(
                    Step::Place,
                    i,
                    libc::syscall(
                        libc::SYS_move_mount,
                        opened[i],
                        c"".as_ptr(),
                        libc::AT_FDCWD,
                        bind.target.as_ptr(),
                        4, /* MOVE_MOUNT_F_EMPTY_PATH */
                    ),
                )?;
            }
        }
        let flags = 1 /* OPEN_TREE_CLONE */ | libc::O_CLOEXEC;
        let tree =
            step(Step::Pivot, libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c".".as_ptr(), flags))? as RawFd;
        step(Step::Pivot, libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        step(Step::Pivot, libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        step(Step::Pivot, libc::chdir(c"/".as_ptr()).into())?;
        let again = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | fixed;
        step(Step::MakeReadOnly, libc::mount(none, c"/".as_ptr(), none, again, none.cast()).into())?;
        libc::sethostname(c"cell".as_ptr(), 4);
        Ok(Built { no_user_namespaces: limited, proc, tree: Some(tree) })
    }
}

/// A step for one of the binds.
fn of_bind(step: Step, bind: usize, ret: c_long) -> Result<c_long, Failed> {
    if ret < 0 { Err(Failed { step, bind: Some(bind as u16) }) } else { Ok(ret) }
}
