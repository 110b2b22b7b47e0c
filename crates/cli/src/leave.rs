//! Leaving when asked to: one handler for Ctrl-C, SIGTERM and a terminal that closes, in every command that works for
//! long. The first signal asks; the work looks at [`asked`] between its samples and steps and leaves in good order.
//! What cannot be left within [`GRACE`], such as one step of a training, is left as it is: everything that is written
//! outlives a kill. A second signal does so at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the work may take to leave by itself.
const GRACE: Duration = Duration::from_secs(5);

/// The exit code of what was interrupted.
const INTERRUPTED: i32 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the work is to end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Ends the program at the first signal: all there is to lose is a program in a cell, which ends with us. `last` is done
/// before.
pub fn at_once(last: impl Fn() + Send + 'static) {
    let _ = ctrlc::set_handler(move || {
        last();
        std::process::exit(INTERRUPTED);
    });
}

/// Listens for signals from here on. `last` is done before the program ends without the work having left.
pub fn listen(last: impl Fn() + Send + Sync + 'static) {
    let last = std::sync::Arc::new(last);
    let end = move || {
        last();
        std::process::exit(INTERRUPTED);
    };
    // A second handler would only be refused; a command has one.
    let _ = ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            end();
        }
        crate::output::tell("leaving (again to leave at once)");
        let end = end.clone();
        std::thread::spawn(move || {
            std::thread::sleep(GRACE);
            end();
        });
    });
}
