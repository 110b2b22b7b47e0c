//! What a Harbor task's files say.

use crate::Facts;
use crate::dockerfile::Recipe;
use crate::files::Folder;
use crate::{Control, Surface, single};
use std::collections::BTreeSet;

/// Paths below the working folder that the tests and the instruction name.
pub(super) fn outputs(task: &Folder, workdir: &str) -> Vec<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let given: BTreeSet<String> = task.below("environment").files.keys().cloned().collect();
    let sources = task.files.keys().filter(|p| p.starts_with("tests/") || *p == "instruction.md");
    for source in sources {
        let text = task.text(source);
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&format!("{workdir}/")) {
            let path: &str = &rest[at..];
            let end = path.find(|c: char| !(c.is_alphanumeric() || "/._-".contains(c))).unwrap_or(path.len());
            let path = path[..end].trim_end_matches(['.', '/']);
            let name = path.rsplit('/').next().unwrap_or("");
            if name.contains('.') && !given.contains(name) {
                found.insert(path.to_string());
            }
            rest = &rest[at + workdir.len()..];
        }
    }
    found.into_iter().collect()
}

/// Bytes of a script that are looked through for folders.
const SCRIPT: usize = 256 << 10;
/// Folders of the root that a task's texts name at most.
const ROOTS: usize = 24;

/// Folders of the root that the image's commands, the tests and the solution name: `data` of `/data/in.csv`.
pub(super) fn roots(task: &Folder, recipe: &Recipe) -> BTreeSet<String> {
    let commands = recipe.commands.iter().map(|(_, command)| command.clone());
    let scripts = task.files.keys().filter(|path| path.starts_with("tests/") || path.starts_with("solution/"));
    let scripts = scripts.map(|path| task.text(path)).filter(|text| text.len() <= SCRIPT);
    let mut found = BTreeSet::new();
    for text in commands.chain(scripts) {
        let begins = text.match_indices('/').map(|(at, _)| at).filter(|at| {
            let before = text[..*at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || "'\"`=(>:,;|&[{".contains(c))
        });
        for at in begins {
            let rest = &text[at + 1..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).unwrap_or(rest.len());
            let ends = rest[end..].chars().next().is_none_or(|c| c.is_whitespace() || "/'\"`;)|&,>]}:".contains(c));
            if end >= 2 && ends && rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && found.len() < ROOTS {
                found.insert(rest[..end].to_string());
            }
        }
    }
    found
}

/// What exploits may know of a task.
pub(super) fn facts(task: &Folder, workdir: &str, outputs: &[String]) -> Facts {
    let mut facts = Facts::default();
    facts.one.insert("workdir", workdir.into());
    facts.one.insert("statement", task.text("instruction.md"));
    if !outputs.is_empty() {
        facts.one.insert("all_outputs", outputs.join(" "));
        facts.many.insert("outputs", outputs.to_vec());
        let data = |p: &&String| !p.ends_with(".py") && !p.ends_with(".sh");
        let tests = task.below("tests");
        let expecteds: Vec<String> = tests.files.keys().filter(data).map(|p| format!("/tests/{p}")).collect();
        if !expecteds.is_empty() {
            facts.many.insert("expecteds", expecteds);
        }
    }
    facts
}

/// The reference, and agents that deserve nothing.
pub(super) fn controls(task: &Folder, outputs: &[String]) -> Vec<Control> {
    let names = outputs.iter().map(|o| quoted(o)).collect::<Vec<_>>().join(" ");
    let each = |body: &str| format!("for f in {names}; do\n  mkdir -p \"$(dirname \"$f\")\"\n  {body}\ndone\n");
    let solve = task.text("solution/solve.sh");
    let spoil = "if [ -f \"$f\" ]; then printf 'x%s' \"$(cat \"$f\")\" >\"$f.new\"; mv \"$f.new\" \"$f\"; fi";
    let texts = [
        ("honest", solve.clone()),
        ("empty", String::new()),
        ("constant", each("echo 0 >\"$f\"")),
        ("echo", each(&format!("printf %s {} >\"$f\"", quoted(&task.text("instruction.md"))))),
        ("wrong", format!("(\n{solve}\n)\n{}", each(spoil))),
        ("raising", "exit 1\n".into()),
        ("hanging", "sleep 3600\n".into()),
    ];
    // Where no output is known, these would be the empty control once more.
    let known = |name: &str| !outputs.is_empty() || !matches!(name, "constant" | "echo" | "wrong");
    let of = |(name, text): (&'static str, String)| Control { name, files: single(Surface::Agent, text) };
    texts.into_iter().filter(|(n, _)| known(n)).map(of).collect()
}

/// A word for bash.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Recipe;

    #[test]
    fn folders_of_the_root_are_read_out_of_scripts() {
        let file = |text: &str| (text.as_bytes().to_vec(), false);
        let task = Folder {
            files: [
                (
                    "tests/test.sh".to_string(),
                    file("cp /data/in.csv '/srv/x' && python3 -m pytest /tests/t.py; s/aa/bb/"),
                ),
                ("solution/solve.sh".into(), file("curl https://host.org/opt2/x; echo 3 >/results; a = b /cc")),
                ("environment/x.sh".into(), file("/nowhere/at/all")),
            ]
            .into_iter()
            .collect(),
        };
        let recipe = Recipe { commands: vec![("/app".into(), "echo 2 > /opt/truth.txt".into())], ..Recipe::default() };
        let found: Vec<String> = roots(&task, &recipe).into_iter().collect();
        assert_eq!(found, ["cc", "data", "opt", "results", "srv", "tests"]);
    }
}
