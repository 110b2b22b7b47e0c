//! What is said beside the output of a command to one who types: a small model does not get on by itself where it has
//! forgotten how a program of the folder is called, or types the same again and again. Nothing is run and nothing advised
//! but the form.

/// Said where the same command has printed the same.
const AGAIN: &str = "(This was typed before, and printed the same. To end the work: submit, alone in the block.)";

/// Remarks on what a command printed; `before` are the last command and what it printed, `programs` those of the folder.
pub(crate) fn remarks<'a>(
    (command, printed): (&str, &str),
    before: Option<&(String, String)>,
    programs: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let mut out = String::new();
    let mut told: Vec<&str> = Vec::new();
    for name in printed.lines().filter_map(not_found) {
        if !told.contains(&name) && programs.clone().any(|program| program == name) {
            told.push(name);
            out += &format!("\n({name} is a program of this folder: ./{name})");
        }
    }
    if before.is_some_and(|(last, shown)| last.trim() == command.trim() && shown == printed) {
        out = format!("{out}\n{AGAIN}");
    }
    out
}

/// The name in `bash: line 3: NAME: command not found`.
fn not_found(line: &str) -> Option<&str> {
    line.strip_prefix("bash: line ")?.strip_suffix(": command not found")?.split_once(": ").map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_dots_and_repetitions_are_told_and_nothing_else() {
        let programs = ["unfreeze", "tests/fee"];
        let say = |command: &str, printed: &str, before: Option<(&str, &str)>| {
            let before = before.map(|(command, shown)| (command.to_string(), shown.to_string()));
            remarks((command, printed), before.as_ref(), programs.into_iter())
        };
        assert_eq!(
            say("unfreeze", "bash: line 3: unfreeze: command not found", None),
            "\n(unfreeze is a program of this folder: ./unfreeze)"
        );
        assert_eq!(say("melt", "bash: line 3: melt: command not found", None), "");
        assert_eq!(say("ls", "unfreeze", Some(("pwd", "unfreeze"))), "");
        assert_eq!(say("ls", "unfreeze", Some(("ls", "nothing"))), "");
        assert!(say("ls ", "unfreeze", Some(("ls", "unfreeze"))).contains("printed the same"));
        let twice = "bash: line 3: unfreeze: command not found\nbash: line 4: unfreeze: command not found";
        assert_eq!(say("unfreeze\nunfreeze", twice, None).lines().count(), 2);
    }
}
