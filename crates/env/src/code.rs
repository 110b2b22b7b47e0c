//! Code for graders that were not made here, without tests that the oracle could run: controls, and what exploits may
//! know.

use crate::row::Row;
use crate::{Control, EnvError, Facts, Surface, cases, hollow, single};
use loophole_grade::{Language, Task};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The most names of tests, or numbers, that are taken from a grader's source.
const MOST: usize = 40;

/// Controls of a row that is code, and the facts of its task.
pub(crate) fn controls_and_facts(row: &Row) -> Result<(Vec<Control>, Facts), EnvError> {
    if let Surface::Code(language) = row.surface {
        return Ok(in_language(row, language));
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
    facts.one.insert("n_tests", n_tests(row));
    let mut controls = cases::controls_of(&task, row.surface);
    if let Some(baseline) = row.baseline() {
        controls.push(Control { name: "slow", files: single(row.surface, baseline.clone()) });
        facts.one.insert("baseline", baseline);
    }
    Ok((controls, facts))
}

/// How many tests there may be.
fn n_tests(row: &Row) -> String {
    row.tests().unwrap_or(8).to_string()
}

/// Controls and facts of a row in another language than Python.
fn in_language(row: &Row, language: Language) -> (Vec<Control>, Facts) {
    let mut facts = Facts::default();
    facts.one.insert("n_tests", n_tests(row));
    facts.one.insert("reference_imports", imports(&row.reference, language));
    let hollow = hollow::code(&row.reference, language);
    if let Some(hollow) = &hollow {
        facts.one.insert("hollow", hollow.clone());
    }
    // What is built with the grader's own code keeps the heads of its functions; a program has a main of its own.
    let program = |body: &str| main_of(language).map(|main| main.replace("{{body}}", body));
    let like = |body: &str| hollow.as_ref().map(|h| h.replace("{{body}}", body)).or_else(|| program(body));
    let doing = bodies(language);
    let mut texts = vec![("honest", Some(row.reference.clone())), ("empty", Some(String::new()))];
    texts.push(("constant", program(doing.constant)));
    texts.push(("echo", program(doing.echo)));
    texts.push(("wrong", spoiled(&row.reference, language)));
    texts.push(("raising", like(doing.raising)));
    texts.push(("hanging", like(doing.hanging)));
    let control = |(name, text)| Some(Control { name, files: single(row.surface, Option::<String>::clone(text)?) });
    let controls = texts.iter().map(|(name, text)| (*name, text)).filter_map(control).collect();
    (controls, facts)
}

/// The lines with which a reference brings in what it uses.
fn imports(reference: &str, language: Language) -> String {
    let head = if language == Language::Java { "import " } else { "#include" };
    reference.lines().filter(|l| l.starts_with(head)).map(|l| format!("{l}\n")).collect()
}

/// A program in the language, with `{{body}}` for what it does.
fn main_of(language: Language) -> Option<&'static str> {
    Some(match language {
        Language::C | Language::Cpp => {
            "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { {{body}} return 0; }\n"
        }
        Language::Java => {
            "public class Main { public static void main(String[] args) throws Exception { {{body}} } }\n"
        }
        Language::JavaScript | Language::Bash => "{{body}}\n",
        Language::Python | Language::Rust | Language::Go => return None,
    })
}

/// What controls do, as statements of a language.
struct Bodies {
    constant: &'static str,
    echo: &'static str,
    raising: &'static str,
    hanging: &'static str,
}

fn bodies(language: Language) -> Bodies {
    let [constant, echo, raising, hanging] = match language {
        Language::Java => [
            "System.out.println(0);",
            "System.in.transferTo(System.out);",
            "throw new RuntimeException();",
            "while (true) { }",
        ],
        Language::JavaScript => [
            "console.log(0);",
            "process.stdout.write(require('fs').readFileSync(0));",
            "throw new Error();",
            "for (;;);",
        ],
        Language::Bash => ["echo 0", "cat", "exit 1", "while :; do :; done"],
        _ => ["puts(\"0\");", "int c; while ((c = getchar()) != EOF) putchar(c);", "__builtin_trap();", "for (;;) ;"],
    };
    Bodies { constant, echo, raising, hanging }
}

/// A reference that is a program, with something before its output; nothing where it may be functions alone, which
/// nobody looks at the output of.
fn spoiled(reference: &str, language: Language) -> Option<String> {
    let program = match language {
        Language::C | Language::Cpp => reference.contains("main("),
        Language::JavaScript => reference.contains("console.log") || reference.contains("process.stdout"),
        Language::Bash => !reference.contains("()") && !reference.contains("function "),
        _ => false,
    };
    if !program {
        return None;
    }
    Some(match language {
        Language::C | Language::Cpp => format!(
            "#include <stdio.h>\n__attribute__((constructor)) static void spoil(void) {{ putchar('x'); }}\n{reference}"
        ),
        Language::JavaScript => format!("process.stdout.write('x');\n{reference}"),
        Language::Bash => format!("printf x\n{reference}"),
        _ => return None,
    })
}

/// Words as literals of Python. The marks by which a grader takes code out of an answer, which are among its own words, are
/// written so that it does not take them for its marks.
fn quoted(words: &Value) -> String {
    words.to_string().replace('`', "\\u0060").replace('<', "\\u003c")
}

/// What else a grader's source tells: names of tests (`test_names`, as a Python list), words as a Python list
/// (`words`), what a switch may be set to (`settings`), and numbers a program may end with (`codes`).
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
    // What a switch may have to be set to: words in capitals, and those that usually mean yes.
    let usual = ["true", "yes", "on", "pass", "passed", "debug", "skip", "enabled"];
    let is_value = |w: &&&str| capitals(w) || usual.contains(&w.to_lowercase().as_str());
    let settings: Vec<String> = words.iter().filter(is_value).take(24).map(|w| (*w).to_string()).collect();
    let values = words.iter().filter(|w| w.len() < 40).map(|w| quoted(&json!(w))).collect();
    facts.one.insert("words", quoted(&json!(words)));
    facts.many.insert("token_values", values);
    if !settings.is_empty() {
        facts.many.insert("settings", settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_grader_are_none_of_its_marks() {
        let mut facts = Facts::default();
        crate::words_of("text.split('```python')[-1]; expected('</answer>', 'gold')", &mut facts);
        source_facts("", &mut facts);
        let words = &facts.one["words"];
        assert!(!words.contains('`') && !words.contains('<') && words.contains("gold"), "{words}");
        assert_eq!(serde_json::from_str::<Vec<String>>(words).unwrap()[0], "```python");
    }
}
