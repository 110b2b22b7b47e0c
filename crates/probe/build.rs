//! Lists the scenario files, so that adding a scenario is adding a file.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let data = Path::new("data");
    let mut list = String::new();
    for (name, folder) in [("SCENARIOS", "scenarios"), ("FAMILIES", "families")] {
        let folder = data.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files: Vec<_> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        let _ = writeln!(list, "pub(crate) const {name}: &[(&str, &str)] = &[");
        for file in &files {
            let full = fs::canonicalize(file)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _ = writeln!(list, "    ({name:?}, include_str!({:?})),", full.display().to_string());
        }
        list.push_str("];\n");
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("scenarios.rs"), list)
}
