//! What stands around a zygote and its programs: `plan` says what of the machine they see, `outer` makes the namespaces
//! and `root` the file system, `procfs` what stands in its `/proc`, `filter` says which system calls there are, `ground` holds the weaker tiers' folder and
//! rules, `group` the control group, and `python` finds the interpreter.

pub(crate) mod filter;
pub(crate) mod ground;
pub(crate) mod group;
pub(crate) mod outer;
pub(crate) mod plan;
pub(crate) mod procfs;
pub(crate) mod python;
mod root;
mod step;
