//! The zygote's half of the wire.

use crate::calls::*;
use crate::state::CTL;
use core::mem::size_of;
use core::ptr::null_mut;

#[repr(C)]
pub(crate) struct Message {
    name: usize,
    name_len: u32,
    parts: *mut [usize; 2],
    part_count: usize,
    control: *mut u8,
    control_len: usize,
    flags: i32,
}

#[repr(C, align(8))]
pub(crate) struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; 6],
}
pub(crate) const HEADER: usize = 16;
pub(crate) const SOL_SOCKET: i32 = 1;
pub(crate) const SCM_RIGHTS: i32 = 1;
pub(crate) const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
pub(crate) const MSG_NOSIGNAL: usize = 0x4000;

pub(crate) fn send(bytes: &[u8], fds: &[i32]) -> isize {
    let mut part = [bytes.as_ptr() as usize, bytes.len()];
    let mut control = Control { len: HEADER + 4 * fds.len(), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [0; 6] };
    for (to, from) in control.fds.iter_mut().zip(fds) {
        *to = *from;
    }
    let some = !fds.is_empty();
    let message = Message {
        name: 0,
        name_len: 0,
        parts: &raw mut part,
        part_count: 1,
        control: if some { (&raw mut control).cast() } else { null_mut() },
        control_len: if some { (control.len + 7) & !7 } else { 0 },
        flags: 0,
    };
    loop {
        let r = sys(nr::SENDMSG, CTL, (&raw const message) as usize, MSG_NOSIGNAL, 0);
        if r != EINTR {
            return r;
        }
    }
}

pub(crate) fn receive(bytes: &mut [u8], fds: &mut [i32; 5]) -> isize {
    let mut part = [bytes.as_mut_ptr() as usize, bytes.len()];
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; 6] };
    let mut message = Message {
        name: 0,
        name_len: 0,
        parts: &raw mut part,
        part_count: 1,
        control: (&raw mut control).cast(),
        control_len: size_of::<Control>(),
        flags: 0,
    };
    let n = loop {
        let n = sys(nr::RECVMSG, CTL, (&raw mut message) as usize, MSG_CMSG_CLOEXEC, 0);
        if n != EINTR {
            break n;
        }
    };
    *fds = [-1; 5];
    if message.control_len >= HEADER && (control.level, control.kind) == (SOL_SOCKET, SCM_RIGHTS) {
        let count = (control.len - HEADER) / 4;
        for (to, from) in fds.iter_mut().zip(&control.fds[..count.min(5)]) {
            *to = *from;
        }
    }
    n
}

pub(crate) fn fail(step: u8, error: isize) {
    send(&[b'E', step, (-error) as u8], &[]);
}
