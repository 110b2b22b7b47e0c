//! Compares `docs/dependencies.md` with what the crates depend on, and that with what they use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENT: &str = "docs/dependencies.md";

/// One direct dependency of one crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    /// What is depended on.
    on: String,
    /// The folder of the crate in `crates/`; `cli (tests)` where only its tests depend on it.
    by: String,
}

/// Everything that is wrong, a line each.
pub fn check(root: &Path) -> Vec<String> {
    let document = match std::fs::read_to_string(root.join(DOCUMENT)) {
        Ok(text) => text,
        Err(error) => return vec![format!("{DOCUMENT}: {error}")],
    };
    let (told, mut wrong) = table(&document);
    let mut is = BTreeSet::new();
    for (edges, mark, places) in
        [("normal,build", "", &["src"][..]), ("dev", " (tests)", &["src", "tests", "examples"])]
    {
        let arguments =
            ["tree", "--workspace", "--depth=1", "--prefix=depth", "--no-dedupe", "--format={p}", "--edges", edges];
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let tree = match Command::new(cargo).args(arguments).current_dir(root).output() {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => return vec![format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr))],
            Err(error) => return vec![format!("cargo tree: {error}")],
        };
        for (folder, on) in direct(&tree) {
            let by = folder.file_name().unwrap_or_default().to_string_lossy() + mark;
            let name = on.replace('-', "_");
            if !places.iter().any(|place| mentions(&folder.join(place), &name)) {
                wrong.push(format!("{by} depends on {on}, and no {name}:: is in its sources"));
            }
            is.insert(Edge { on, by: by.into_owned() });
        }
    }
    wrong.extend(is.difference(&told).map(|e| format!("{DOCUMENT} does not say why {} depends on {}", e.by, e.on)));
    wrong.extend(told.difference(&is).map(|e| format!("{DOCUMENT} names {} in {}, which does not use it", e.on, e.by)));
    wrong
}

/// The rows of the document: `` | `dependency` | crate, crate (tests) | why | ``; and what is wrong with them.
fn table(document: &str) -> (BTreeSet<Edge>, Vec<String>) {
    let (mut edges, mut wrong) = (BTreeSet::new(), Vec::new());
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [on, by, why] = cells[..] else {
            wrong.push(format!("{DOCUMENT}: a row has three cells: {line}"));
            continue;
        };
        if why.is_empty() {
            wrong.push(format!("{DOCUMENT}: no reason is given for {on}"));
        }
        edges.extend(by.split(',').map(|by| Edge { on: on.trim_matches('`').into(), by: by.trim().into() }));
    }
    (edges, wrong)
}

/// The folder of each crate with each of its direct dependencies, from the output of `cargo tree`.
fn direct(tree: &str) -> Vec<(PathBuf, String)> {
    let mut of = PathBuf::new();
    let mut found = Vec::new();
    for line in tree.lines() {
        if let Some(package) = line.strip_prefix('0') {
            let path = package.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
            of = path.map(|(path, _)| path.into()).unwrap_or_default();
        } else if let Some(name) = line.strip_prefix('1').and_then(|package| package.split(' ').next()) {
            found.push((of.clone(), name.to_string()));
        }
    }
    found
}

/// Whether a Rust file of a folder uses a crate.
fn mentions(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return mentions(&path, name);
        }
        let uses = |source: String| [format!("{name}::"), format!("use {name} as")].iter().any(|u| source.contains(u));
        path.extension().is_some_and(|e| e == "rs") && std::fs::read_to_string(&path).is_ok_and(uses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_and_the_table_are_read() {
        let tree =
            "0loophole v0.1.0 (/a/crates/cli)\n1clap v4.6.7\n1loophole-lm v0.1.0 (/a/crates/lm)\n\n0x v1.0.0 (/a/x)\n";
        let cli = PathBuf::from("/a/crates/cli");
        assert_eq!(direct(tree), [(cli.clone(), "clap".into()), (cli, "loophole-lm".into())]);
        let (edges, wrong) =
            table("| dependency | by | why |\n|---|---|---|\n| `serde` | lm, cell (tests) | files |\n| `x` | lm | |");
        let edge = |on: &str, by: &str| Edge { on: on.into(), by: by.into() };
        assert_eq!(edges, [edge("serde", "cell (tests)"), edge("serde", "lm"), edge("x", "lm")].into());
        assert_eq!(wrong.len(), 1);
    }

    #[test]
    fn the_document_agrees_with_the_crates() {
        assert_eq!(check(&crate::root()), Vec::<String>::new());
    }
}
