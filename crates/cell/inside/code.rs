//! The interpreter's code on huge pages.
//!
//! A fork leaves out of its page tables what it can find in a file again: each program would look its code up anew, page
//! by page and fault by fault, which was more than a third of all faults. A copy of the code on huge pages goes along
//! with a fork at the cost of one entry for each.

use crate::calls::*;
use core::ffi::c_void;
use core::mem::zeroed;

/// `struct dl_phdr_info`, as far as it is read here.
#[repr(C)]
pub struct Object {
    base: usize,
    name: usize,
    segments: *const Segment,
    count: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    stored: usize,
    size: usize,
    align: usize,
}

/// The C library's `dl_iterate_phdr`.
type Objects = extern "C" fn(extern "C" fn(&Object, usize, *mut c_void) -> i32, *mut c_void) -> i32;

const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

/// In the zygote, once: moves what can be moved. Where the kernel has no huge pages to give, all stays as it was.
#[unsafe(no_mangle)]
pub extern "C" fn cell_code(objects: Objects) {
    objects(of_one, core::ptr::null_mut());
}

/// Of one library: parts that lie side by side and that nobody writes to, if there is code among them.
extern "C" fn of_one(object: &Object, _: usize, _: *mut c_void) -> i32 {
    const LOAD: u32 = 1;
    const EXECUTE: u32 = 1;
    const WRITE: u32 = 2;
    // SAFETY: the loader's own list, which stays as it is during the call.
    let segments = unsafe { core::slice::from_raw_parts(object.segments, usize::from(object.count)) };
    let (mut start, mut end, mut code) = (0, 0, false);
    for segment in segments.iter().filter(|s| s.kind == LOAD && s.flags & WRITE == 0) {
        let first = (object.base + segment.address) & !(PAGE - 1);
        if first != end {
            if code {
                to_huge_pages(start, end);
            }
            (start, code) = (first, false);
        }
        end = (object.base + segment.address + segment.size).next_multiple_of(PAGE);
        code |= segment.flags & EXECUTE != 0;
    }
    if code {
        to_huge_pages(start, end);
    }
    0
}

/// Puts a copy in the place of as much as fills huge pages.
fn to_huge_pages(start: usize, end: usize) {
    const READ: usize = 1;
    const WRITE: usize = 2;
    const EXECUTE: usize = 4;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    const HUGEPAGE: usize = 14;
    const MAYMOVE_FIXED: usize = 1 | 2;
    let (start, end) = (start.next_multiple_of(HUGE), end & !(HUGE - 1));
    if start >= end {
        return;
    }
    let length = end - start;
    let room = call(nr::MMAP, [0, length + HUGE, READ | WRITE, PRIVATE_ANONYMOUS, usize::MAX, 0]);
    if room < 0 {
        return;
    }
    let room = room as usize;
    let copy = room.next_multiple_of(HUGE);
    let before = faults();
    if sys(nr::MADVISE, copy, length, HUGEPAGE, 0) == 0 {
        for at in (0..length).step_by(size_of::<usize>()) {
            // SAFETY: from what the loader mapped for reading, to memory just mapped.
            unsafe { ((copy + at) as *mut usize).write_volatile(((start + at) as *const usize).read_volatile()) };
        }
    }
    // One fault for each huge page, and some where the code was read for the first time; else there were none to be had.
    let huge = faults() - before < (length / PAGE / 2) as i64;
    if huge && sys(nr::MPROTECT, copy, length, READ | EXECUTE, 0) == 0 {
        call(nr::MREMAP, [copy, length, length, MAYMOVE_FIXED, start, 0]);
    }
    // What is left of the room; of what has been moved away nothing is there any more.
    sys(nr::MUNMAP, room, length + HUGE, 0, 0);
}

/// How many faults this process had that took no disk.
fn faults() -> i64 {
    // SAFETY: plain data.
    let mut usage: Usage = unsafe { zeroed() };
    sys(nr::GETRUSAGE, 0, (&raw mut usage) as usize, 0, 0);
    usage.rest[3]
}
