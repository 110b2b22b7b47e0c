//! Scenarios of one's own: files of the form of the bundled ones, read with the same checks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loophole_template::{seed_from, seed_of};

use crate::scenario::{Scenario, families};
use crate::stage::{Protocol, stage};
use crate::{Battery, ProbeError, SAMPLES, texts_hash};

/// What the name of a scenario's file ends with.
const ENDING: &str = "toml";

impl Battery {
    /// A bundled battery, or the scenarios of a file `NAME.toml` or of all such files of a folder, with 20 samples. A
    /// bundled name is one even where a folder is called so; write `./NAME` for that.
    ///
    /// # Errors
    /// No battery has that name and nothing lies there; a file that is no scenario, with the place and the reason.
    pub fn open(name: &str) -> Result<Self, ProbeError> {
        let path = Path::new(name);
        let is_path = path.is_dir() || path.extension().is_some_and(|ending| ending == ENDING) || name.contains('/');
        if Self::NAMES.contains(&name) || !is_path {
            return Self::bundled(name);
        }
        let families = families()?;
        let (mut scenarios, mut texts) = (Vec::new(), vec![seed_of(&texts_hash())]);
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for path in scenario_files(path)? {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&file, error))?;
            let scenario = Scenario::parse(&file, &text, &families)?;
            fills(&scenario, &file)?;
            if let Some(other) = files.insert(scenario.name.clone(), file.clone()) {
                return Err(wrong(&file, format!("{other} is called {:?} too", scenario.name)));
            }
            texts.push(seed_of(&text));
            scenarios.push(scenario);
        }
        let texts = format!("{:016x}", seed_from(&texts));
        Ok(Battery { name: name.to_string(), scenarios, samples: SAMPLES, texts })
    }
}

fn wrong(file: &str, reason: impl ToString) -> ProbeError {
    ProbeError::Data { file: file.to_string(), reason: reason.to_string() }
}

/// The file, or those of a folder, by name.
fn scenario_files(path: &Path) -> Result<Vec<PathBuf>, ProbeError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let folder = path.display().to_string();
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut files: Vec<PathBuf> =
        entries.map_err(|error| wrong(&folder, error))?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == ENDING));
    files.sort();
    if files.is_empty() {
        return Err(wrong(&folder, format!("no file in it ends with .{ENDING}")));
    }
    Ok(files)
}

/// Makes one sample of every arm and wording, so that a slot that nothing defines is found before anything is played.
fn fills(scenario: &Scenario, file: &str) -> Result<(), ProbeError> {
    for (name, arm) in &scenario.arms {
        for template in 0..scenario.templates(name) {
            stage(scenario, name, arm, template, template as u64, Protocol::Text)
                .map_err(|error| wrong(file, format!("arm {name}, wording {template}: {error}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    fn cap_edit() -> String {
        SCENARIOS.iter().find(|(file, _)| *file == "cap_edit.toml").unwrap().1.to_string()
    }

    #[test]
    fn a_file_and_a_folder_are_batteries() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let at = folder.path().display().to_string();
        assert!(Battery::open(&at).unwrap_err().to_string().contains("no file in it"));
        let (one, notes) = (write("my_cap.toml", cap_edit().replace("\"cap_edit\"", "\"my_cap\"")), "x".to_string());
        write("notes.txt", notes);
        let file = Battery::open(&one).unwrap();
        assert_eq!((file.names(), file.samples), (vec!["my_cap"], 20));
        write("cap_edit.toml", cap_edit());
        let both = Battery::open(&at).unwrap();
        assert_eq!(both.names(), ["cap_edit", "my_cap"]);
        assert!(both.texts != file.texts && file.texts != Battery::open("all").unwrap().texts);
        // What is wrong is said with the file and the place in it.
        for (from, to, reasons) in [
            ("steps = 8", "steps = many", &["line 8", "steps = many"][..]),
            ("violated = \"at(", "violated = \"att(", &["no function att/2"]),
            ("./run_load {load} has to", "./run_load {loaf} has to", &["arm ", "{loaf}"]),
        ] {
            let bad = write("my_cap.toml", cap_edit().replace("\"cap_edit\"", "\"my_cap\"").replacen(from, to, 1));
            let said = Battery::open(&at).unwrap_err().to_string();
            assert!(reasons.iter().all(|reason| said.contains(reason)) && said.contains(&bad), "{said}");
        }
        write("my_cap.toml", cap_edit());
        assert!(Battery::open(&at).unwrap_err().to_string().contains("its file's another"));
        assert!(Battery::open("nowhere.toml").unwrap_err().to_string().contains("nowhere.toml"));
        assert!(matches!(Battery::open("nowhere"), Err(ProbeError::Unknown { .. })));
    }
}
