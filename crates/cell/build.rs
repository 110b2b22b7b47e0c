//! Builds `inside`, the part that runs within a cell, as a small shared library; the crate embeds it.
//!
//! It stands on `core` alone, so that any interpreter can load it, whatever its C library.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=inside");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let library = PathBuf::from(variable("OUT_DIR")).join("inside.so");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args(["--crate-name", "inside", "--crate-type", "cdylib", "--edition", "2024", "inside/lib.rs"]);
    compiler.args(["--target", &variable("TARGET"), "-C", "opt-level=2", "-C", "panic=abort", "-C", "strip=symbols"]);
    compiler.args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-Wl,-z,now", "-C", "link-arg=-Wl,--build-id=none"]);
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let status = compiler.arg("-o").arg(&library).status();
    let built = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(built, "{compiler:?} failed: {status:?}");
}
