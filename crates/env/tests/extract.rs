//! The corpus of labels as models would write it: what is taken is what stands there bare, and so is its label.

use loophole_env::{Extract, extract};
use loophole_grade::corpus::Corpus;
use loophole_grade::{Grading, Submission, Task};
use std::sync::Arc;

/// The ways in which a completion holds its code.
fn wrapped(code: &str) -> [(&'static str, String); 4] {
    // A fence must be longer than any in the code.
    let fence = if code.contains("```") { "`````" } else { "```" };
    let end = if code.ends_with('\n') || code.is_empty() { "" } else { "\n" };
    [
        ("in a fence", format!("{fence}python\n{code}{end}{fence}")),
        ("in prose", format!("Here is my solution:\n\n{fence}python\n{code}{end}{fence}\n\nIt runs in linear time.\n")),
        ("after a thought", format!("<think>\nMaybe:\n```python\nno\n```\n</think>\n{fence}\n{code}{end}{fence}\n")),
        ("bare after a thought", format!("<think>\nI know.\n</think>\n\n{code}")),
    ]
}

fn task<'c>(corpus: &'c Corpus, id: &str) -> &'c Task {
    corpus.tasks.iter().find(|task| task.id == id).unwrap()
}

#[test]
fn what_is_taken_is_what_stands_there_bare() {
    let corpus = Corpus::bundled().unwrap();
    let mut seen = 0;
    for entry in corpus.entries.iter().filter(|entry| entry.files.is_empty() && !entry.solution.contains("</think>")) {
        let task = task(&corpus, &entry.task);
        let bare = extract(Extract::Auto, task, &entry.solution);
        for (how, text) in wrapped(&entry.solution) {
            let taken = extract(Extract::Auto, task, &text);
            let (bare, taken) = (bare.text.trim_end_matches('\n'), taken.text.trim_end_matches('\n'));
            let from = |text: &str| text.trim_start_matches('\n').to_string();
            assert_eq!(from(bare), from(taken), "{}, {how}", entry.id);
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen} entries");
}

/// Labels of every `nth` entry, bare and in each way.
fn label(nth: usize) {
    let corpus = Corpus::bundled().unwrap();
    let single = corpus.entries.iter().filter(|entry| entry.files.is_empty() && !entry.needs_pytest);
    let mut graded = 0;
    for entry in single.step_by(nth) {
        let Some(kind) = entry.kinds.iter().copied().find(|kind| *kind != loophole_grade::GraderKind::Pytest) else {
            continue;
        };
        let pool = match loophole_cell::Pool::start(Grading::cells(kind)) {
            Ok(pool) => pool,
            Err(error) => return println!("SKIPPED: {error}"),
        };
        let grading = Grading::new(Arc::new(pool));
        let (task, grader) = (task(&corpus, &entry.task), entry.grader(kind));
        let verdict = |text: &str| {
            let submission = Submission::Completion(extract(Extract::Auto, task, text).text);
            let graded = grading.grade(task, &grader, &submission).unwrap();
            (graded.verdict, graded.family)
        };
        let bare = verdict(&entry.solution);
        for (how, text) in wrapped(&entry.solution) {
            assert_eq!(verdict(&text), bare, "{}, {how}", entry.id);
        }
        graded += 1;
    }
    assert!(graded > 0);
}

#[test]
fn labels_are_the_same_however_it_is_written() {
    label(60);
}

#[test]
#[ignore = "long: the whole corpus, five times"]
fn labels_of_the_whole_corpus_are_the_same() {
    label(1);
}
