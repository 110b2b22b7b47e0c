//! What runs inside a cell beside the interpreter: the zygote's half of the wire, process 1 of each program's
//! namespace, and the last steps of a fork before it becomes the program.
//!
//! Plain system calls on static memory: no C library, no allocation, no thread-local storage. Process 1 shares
//! the zygote's memory (it is a clone with `CLONE_VM` on a stack of its own), so starting it costs no page tables.
//! The program is a fork and has copies of what is here.

#![no_std]

mod calls;
mod code;
mod enter;
mod head;
mod init;
mod next;
mod proc;
mod state;
mod watch;
mod wire;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    calls::exit(70)
}

/// The precompiled `core` names it; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
