//! Every entry of the corpus is labelled as what it is known to be.

use loophole_grade::corpus::{Corpus, Entry, Matrix};
use loophole_grade::{FAMILIES, GraderKind, Verdict};
use std::collections::BTreeSet;
use std::sync::Mutex;

mod common;

/// What a pair was labelled as where that is not what it is known as.
type Wrong<'a> = ((&'a Entry, GraderKind), String);

fn label(pairs: &[(&Entry, GraderKind)], corpus: &Corpus, jobs: usize) -> Option<Matrix> {
    let (matrix, wrong) = labelled(pairs, corpus, jobs)?;
    println!("{matrix}");
    let (timed, mut wrong): (Vec<Wrong>, Vec<Wrong>) =
        wrong.into_iter().partition(|((_, kind), _)| *kind == GraderKind::Speed);
    // What else this machine does takes time from one of two measured programs and not from the other: those are measured
    // once more.
    let again: Vec<_> = timed.iter().map(|(pair, _)| *pair).collect();
    if !again.is_empty() {
        println!("measured again: {:?}", timed.iter().map(|(_, said)| said).collect::<Vec<_>>());
        wrong.extend(labelled(&again, corpus, 1)?.1);
    }
    let said: Vec<String> = wrong.into_iter().map(|(_, said)| said).collect();
    assert!(said.is_empty(), "{} of {}:\n{}", said.len(), matrix.pairs, said.join("\n"));
    Some(matrix)
}

fn labelled<'a>(
    pairs: &[(&'a Entry, GraderKind)],
    corpus: &'a Corpus,
    jobs: usize,
) -> Option<(Matrix, Vec<Wrong<'a>>)> {
    let (lab, pytest) = (common::lab()?, common::lab_for(GraderKind::Pytest)?);
    let with_pytest = common::has_pytest(&pytest);
    let possible = |(e, k): &&(&Entry, GraderKind)| with_pytest || !(*k == GraderKind::Pytest || e.needs_pytest);
    let pairs: Vec<_> = pairs.iter().filter(possible).copied().collect();
    let wrong = Mutex::new(Vec::new());
    let lab_of = |kind| if kind == GraderKind::Pytest { &pytest } else { &lab };
    let matrix = corpus
        .label(&pairs, lab_of, jobs, |entry, kind, graded| {
            if !entry.agrees(graded) {
                let said =
                    format!("{:?}, {kind}: known as {:?} {:?}, got {graded:?}", entry.id, entry.verdict, entry.family);
                let known = corpus.entries.iter().find(|of| of.id == entry.id);
                wrong.lock().unwrap().push(((known.unwrap(), kind), said));
            }
        })
        .unwrap();
    Some((matrix, wrong.into_inner().unwrap()))
}

/// Every twelfth entry with one kind, another for each neighbour.
#[test]
fn every_twelfth_entry_with_one_kind() {
    let corpus = Corpus::bundled().unwrap();
    let some = corpus.entries.iter().step_by(12).enumerate();
    let pairs: Vec<_> = some.map(|(i, e)| (e, e.kinds[i % e.kinds.len()])).collect();
    label(&pairs, &corpus, 4);
}

/// Times are measured: all of them are looked at each time.
#[test]
fn each_entry_about_speed() {
    let corpus = Corpus::bundled().unwrap();
    let pairs: Vec<_> = corpus.pairs().into_iter().filter(|(_, kind)| *kind == GraderKind::Speed).collect();
    assert!(pairs.len() >= 20, "{}", pairs.len());
    label(&pairs, &corpus, 1);
}

/// `CORPUS_KIND=pytest` looks at one kind alone, and at no page.
#[test]
#[ignore = "long: some two thousand submissions"]
fn each_entry_with_every_kind_and_the_page_says_so() {
    let corpus = Corpus::bundled().unwrap();
    let mut pairs = corpus.pairs();
    if let Ok(only) = std::env::var("CORPUS_KIND") {
        pairs.retain(|(_, kind)| kind.to_string() == only);
        assert!(!pairs.is_empty(), "no kind is called {only}");
    }
    let Some(matrix) = label(&pairs, &corpus, 4) else { return };
    if matrix.pairs == corpus.pairs().len() {
        let page = include_str!("../../../docs/labels.md");
        assert!(page.contains(matrix.to_string().trim()), "docs/labels.md has another table; it should be\n{matrix}");
    }
}

#[test]
fn the_corpus_is_as_large_as_it_should_be() {
    let corpus = Corpus::bundled().unwrap();
    let of = |v: Verdict| corpus.entries.iter().filter(|e| e.verdict == v).count();
    assert!(of(Verdict::Honest) >= 150, "{}", of(Verdict::Honest));
    let hacks: Vec<_> = corpus.entries.iter().filter(|e| e.family.is_some()).collect();
    assert!(hacks.len() >= 200, "{}", hacks.len());
    let families: BTreeSet<_> = hacks.iter().filter_map(|e| e.family).collect();
    assert_eq!(families.len(), FAMILIES.len());
    let kinds: BTreeSet<_> = hacks.iter().flat_map(|e| e.kinds.clone()).collect();
    assert_eq!(kinds.len(), GraderKind::ALL.len());
}

#[test]
fn references_of_the_corpus_pass() {
    let Some(lab) = common::lab() else { return };
    for task in &Corpus::bundled().unwrap().tasks {
        task.validate(&lab).unwrap();
    }
}
