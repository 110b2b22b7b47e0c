//! Grades the corpus as it lies in the repository: `cargo run -p loophole-grade --example corpus [WORD]...`, where
//! only entries (or kinds) with one of the words are graded. `LOOPHOLE_PYTHON` names an interpreter with pytest.

use loophole_cell::{Pool, PoolOptions};
use loophole_grade::corpus::{Corpus, Entry};
use loophole_grade::{Family, Graded, GraderKind, Grading};
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files = Vec::new();
    for file in std::fs::read_dir(&folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push((path.display().to_string(), std::fs::read_to_string(path)?));
        }
    }
    files.sort();
    let tasks = std::fs::read_to_string(folder.join("tasks.jsonl"))?;
    let corpus = Corpus::read(&tasks, files.iter().map(|(n, t)| (n.as_str(), t.as_str())))?;
    let python = std::env::var_os("LOOPHOLE_PYTHON").map(std::path::PathBuf::from);
    let start = |kind| {
        let options = PoolOptions { python: python.clone(), ..Grading::cells(kind) };
        Pool::start(options).map(|pool| Grading::new(Arc::new(pool)))
    };
    let (lab, with_pytest) = (start(GraderKind::Script)?, start(GraderKind::Pytest)?);
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        for task in &corpus.tasks {
            task.validate(&lab)?;
        }
    }
    let began = std::time::Instant::now();
    let wanted = |(entry, kind): &(&Entry, GraderKind)| {
        words.is_empty() || words.iter().any(|w| entry.id.contains(w.as_str()) || kind.name() == w)
    };
    let pairs: Vec<_> = corpus.pairs().into_iter().filter(wanted).collect();
    let matrix = corpus.label(
        &pairs,
        |kind| if kind == GraderKind::Pytest { &with_pytest } else { &lab },
        6,
        |entry, kind, graded| {
            if !entry.agrees(graded) || !words.is_empty() {
                println!("{}", told(entry, kind, graded));
            }
        },
    )?;
    println!("{} of {} agree, {:.1} s\n{matrix}", matrix.agreed, matrix.pairs, began.elapsed().as_secs_f64());
    Ok(())
}

fn told(entry: &Entry, kind: GraderKind, graded: &Graded) -> String {
    let family = |f: Option<Family>| f.map_or("", Family::name);
    format!(
        "{} {:?} {}: {} {} ({}), known as {} {}\n    {}\n    {}",
        if entry.agrees(graded) { "ok   " } else { "WRONG" },
        entry.id,
        kind,
        graded.verdict.name(),
        family(graded.family),
        graded.mechanism.as_deref().unwrap_or(""),
        entry.verdict.name(),
        family(entry.family),
        graded.evidence.join("; "),
        graded.grader_output.trim().replace('\n', "\n    "),
    )
}
