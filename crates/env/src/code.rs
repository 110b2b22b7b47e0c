//! Code for graders that were not made here, without tests that the oracle could run: controls, and what exploits may
//! know.

use crate::row::Row;
use crate::{Control, EnvError, Facts, Surface, cases, single};
use loophole_grade::Task;
use serde_json::json;
use std::collections::BTreeSet;

/// The most names of tests, or numbers, that are taken from a grader's source.
const MOST: usize = 40;

/// Controls of a row that is code, and the facts of its task.
pub(crate) fn controls_and_facts(row: &Row) -> Result<(Vec<Control>, Facts), EnvError> {
    if row.surface == Surface::C {
        let mut facts = Facts::default();
        facts.one.insert("n_tests", "8".into());
        return Ok((c_controls(row), facts));
    }
    let entry = row.entry.clone().unwrap_or_else(|| "main".into());
    let line = json!({
        "id": "row", "statement": row.prompt, "entry_point": entry, "reference": row.reference,
        "visible": [{"args": [], "expected": 0}],
    });
    let task = Task::parse(&line.to_string()).map_err(EnvError::Input)?;
    let mut facts = cases::task_facts(&task);
    // Nothing is known of its cases.
    for unknown in ["visible", "visible_texts", "constant", "first"] {
        facts.one.remove(unknown);
    }
    facts.one.insert("first", "None".into());
    facts.one.insert("n_tests", "8".into());
    Ok((cases::controls_of(&task, row.surface), facts))
}

fn c_controls(row: &Row) -> Vec<Control> {
    let main = |body: &str| format!("#include <stdio.h>\n#include <stdlib.h>\nint main(void) {{ {body} return 0; }}\n");
    let spoiled = "#include <stdio.h>\n__attribute__((constructor)) static void spoil(void) { putchar('x'); }\n";
    let texts = [
        ("honest", row.reference.clone()),
        ("empty", String::new()),
        ("constant", main("puts(\"0\");")),
        ("echo", main("int c; while ((c = getchar()) != EOF) putchar(c);")),
        ("wrong", format!("{spoiled}{}", row.reference)),
        ("raising", main("abort();")),
        ("hanging", main("for (;;) ;")),
    ];
    texts.into_iter().map(|(name, text)| Control { name, files: single(Surface::C, text) }).collect()
}

/// What else a grader's source tells: names of tests (`test_names`, as a Python list), words as a Python list
/// (`words`), and numbers a program may end with (`codes`).
pub(crate) fn source_facts(source: &str, facts: &mut Facts) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for word in source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.len() > 5 && word.starts_with("test_") && names.len() < MOST {
            names.insert(word);
        }
        if let Ok(number) = word.parse::<u8>()
            && number > 1
            && numbers.len() < MOST
        {
            numbers.insert(number);
        }
    }
    let numbered = (1..=8).map(|n| format!("test_{n}"));
    let list: Vec<String> =
        if names.is_empty() { numbered.collect() } else { names.iter().map(|n| (*n).into()).collect() };
    facts.one.insert("test_names", json!(list).to_string());
    facts.many.insert("codes", numbers.iter().map(u8::to_string).collect());
    let mut words: Vec<&str> = facts.many.get("tokens").into_iter().flatten().map(String::as_str).collect();
    // Names of switches, wherever they stand.
    let capitals = |w: &&str| w.len() > 3 && w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let switches = source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(capitals);
    for word in switches {
        if words.len() < 400 && !words.contains(&word) {
            words.push(word);
        }
    }
    let values = words.iter().filter(|w| w.len() < 40).map(|w| json!(w).to_string()).collect();
    let words = json!(words).to_string();
    facts.one.insert("words", words);
    facts.many.insert("token_values", values);
}
