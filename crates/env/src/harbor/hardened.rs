//! The hardened form of a Harbor task: the verifier in a container of its own, which gets the named outputs and nothing
//! else, and before it a script that takes links for what they are.

use crate::files::Folder;
use crate::hardened::HardenedForm;
use crate::signature::Signature;

/// What stands before the task's own `tests/test.sh`.
const GUARD: &str = include_str!("guard.sh");
/// What that one is called then.
const VERIFIER: &str = "tests/verifier.sh";

/// The task with a verifier apart from the agent; `outputs` are the files that its tests look at.
///
/// # Errors
/// Says why there is none.
pub(super) fn form(
    task: &Folder,
    toml: &toml::Table,
    separate: bool,
    outputs: &[String],
) -> Result<HardenedForm, String> {
    let named = toml.contains_key("artifacts") || toml.get("environment").is_some_and(|e| e.get("artifacts").is_some());
    if separate && named {
        return Err(
            "its verifier has a container of its own already, and is given named files alone; each finding says \
                    how to close it"
                .into(),
        );
    }
    let mut toml = toml.clone();
    if !named {
        if outputs.is_empty() {
            return Err(
                "which files its tests look at cannot be told, so that its verifier cannot be given those alone; \
                        each finding says how to close it"
                    .into(),
            );
        }
        toml.insert("artifacts".into(), outputs.to_vec().into());
    }
    let verifier = toml.entry("verifier").or_insert_with(|| toml::Table::new().into());
    let verifier = verifier.as_table_mut().ok_or("its task.toml has a verifier that is no table")?;
    if !separate {
        verifier.insert("environment_mode".into(), "separate".into());
    }
    let mut files = task.files.clone();
    let text = toml::to_string_pretty(&toml).map_err(|e| e.to_string())?;
    files.insert("task.toml".into(), (text.into_bytes(), false));
    let (test, _) = files.remove("tests/test.sh").ok_or("it has no tests/test.sh")?;
    files.insert(VERIFIER.into(), (test, true));
    let places = outputs.iter().map(|o| super::read::quoted(o)).collect::<Vec<_>>().join(" ");
    files.insert("tests/test.sh".into(), (GUARD.replace("OUTPUTS", &places).into_bytes(), true));
    Ok(HardenedForm { files, target: "{folder}".into(), signature: Signature::Auto, solution: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(toml: &str) -> (Folder, toml::Table) {
        let mut folder = Folder::default();
        folder.files.insert("task.toml".into(), (toml.as_bytes().to_vec(), false));
        folder.files.insert("tests/test.sh".into(), (b"exit 0\n".to_vec(), false));
        (folder, toml::from_str(toml).unwrap())
    }

    #[test]
    fn the_verifier_is_given_a_container_and_the_outputs_alone() {
        let (folder, toml) = task("[task]\nname = \"a/b\"\n[verifier]\ntimeout_sec = 60\n");
        let form = form(&folder, &toml, false, &["/app/it's.txt".into()]).unwrap();
        let written: toml::Table = toml::from_str(std::str::from_utf8(&form.files["task.toml"].0).unwrap()).unwrap();
        assert_eq!(written["verifier"]["environment_mode"].as_str(), Some("separate"));
        assert_eq!(written["verifier"]["timeout_sec"].as_integer(), Some(60));
        assert_eq!(written["artifacts"][0].as_str(), Some("/app/it's.txt"));
        assert_eq!(form.files[VERIFIER].0, b"exit 0\n");
        let guard = String::from_utf8(form.files["tests/test.sh"].0.clone()).unwrap();
        assert!(guard.contains("'/app/it'\\''s.txt'") && !guard.contains("OUTPUTS"), "{guard}");
    }

    #[test]
    fn what_is_apart_already_or_has_no_known_outputs_says_so() {
        let (folder, toml) = task("artifacts = [\"/app/a.txt\"]\n[verifier]\nenvironment_mode = \"separate\"\n");
        assert!(form(&folder, &toml, true, &[]).unwrap_err().contains("already"));
        let (folder, toml) = task("[task]\nname = \"a/b\"\n");
        assert!(form(&folder, &toml, false, &[]).unwrap_err().contains("cannot be told"));
    }
}
