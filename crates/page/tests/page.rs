//! The page as a whole: well-formed, self-contained, safe against what models write.

mod common;

use common::{HOSTILE, example};
use loophole_page::{ReportData, data::*, render};

/// Panics at the first tag that closes another than the one that is open. Knows void elements, skips raw text.
fn assert_balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "link", "br", "img"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        // Quoted attribute values are escaped, so the first `>` ends the tag.
        let end = rest.find('>').expect("an unfinished tag");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "near {}", &rest.chars().take(80).collect::<String>());
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "odd quotes in <{tag}>");
        let name = tag.split_whitespace().next().unwrap_or("");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "a tag called {name:?}");
        if VOID.contains(&name) {
            continue;
        }
        open.push(name);
        if name == "script" || name == "style" {
            let close = rest.find(&format!("</{name}>")).expect("raw text ends");
            rest = &rest[close..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_small_and_fetches_nothing() {
    let page = render(&example());
    assert_balanced(&page);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    for forbidden in ["http://", "https://", "src=", "@import", "url(", "<iframe", "<base", "NaN", "inf\""] {
        // `src=` may occur inside escaped model text only; there it is the hostile sample's.
        let hits = page.matches(forbidden).count();
        let hostile = if forbidden == "src=" { page.matches("&lt;img src=x").count() } else { 0 };
        assert_eq!(hits, hostile, "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_a_model_wrote_cannot_leave_its_box() {
    let mut data = example();
    for field in [&mut data.title, &mut data.question, &mut data.hash, &mut data.recipe, &mut data.created] {
        *field = HOSTILE.into();
    }
    data.arms[0].name = HOSTILE.into();
    data.arms[1].words = HOSTILE.into();
    data.warnings.push(HOSTILE.into());
    data.claims[0].why = HOSTILE.into();
    data.samples.iter_mut().for_each(|s| {
        s.kind = HOSTILE.into();
        s.verdict = HOSTILE.into();
        if s.arm == "plain" {
            s.arm = HOSTILE.into();
        }
    });
    if let Some(point) = data.arms[0].seeds[0].probes.first_mut() {
        let rate = point.probes.values().next().cloned().unwrap_or_default();
        point.probes.insert(HOSTILE.into(), rate);
    }
    data.arms[0].seeds[0].steps[3].families.insert(HOSTILE.into(), 0.5);
    let page = render(&data);
    assert_balanced(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert('owned')"));
    assert!(page.contains("␛[31mred␇ ␀ \u{fffd}gnp.exe \u{fffd}"));
    assert!(!page.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
}

#[test]
fn the_answer_comes_first_with_its_intervals() {
    let page = render(&example());
    let at = |needle: &str| page.find(needle).unwrap_or_else(|| panic!("{needle:?} is missing"));
    assert!(at("Without instruction, the model ended at") < at("misalignment 0.62"));
    assert!(at("[0.52, 0.72]") < at("id=\"curves\""));
    assert!(at("They are no result.") < at("id=\"curves\""));
    for answer in ["supported", "not supported", "undecided"] {
        assert!(page.contains(&format!(">{answer}</span>")), "{answer}");
    }
}

#[test]
fn every_link_inside_the_page_has_a_target_and_points_lead_to_transcripts() {
    let page = render(&example());
    let targets: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|p| p.split('"').next()).collect();
    assert!(targets.iter().filter(|t| t.starts_with("t-0-")).count() > 3);
    for target in targets {
        assert_eq!(page.matches(&format!(" id=\"{target}\"")).count(), 1, "#{target}");
    }
}

#[test]
fn an_empty_or_broken_run_still_makes_a_page() {
    assert_balanced(&render(&ReportData::default()));
    let mut data = example();
    data.unfinished = true;
    data.arms[0].seeds.clear();
    data.arms[1].hack_rate = None;
    data.arms[1].seeds[0].steps.iter_mut().for_each(|s| {
        s.hack_rate = f64::NAN;
        s.kl = None;
    });
    data.arms[2].seeds[0].probes[0].misalignment =
        Some(Interval { mean: f64::NAN, low: f64::NEG_INFINITY, high: f64::INFINITY });
    data.arms[2].seeds[1].probes.iter_mut().flat_map(|p| p.probes.values_mut()).for_each(|r| {
        r.rate = None;
        r.n_valid = 0;
    });
    let page = render(&data);
    assert_balanced(&page);
    assert!(page.contains("not finished") && page.contains("none valid"));
    assert!(!page.contains("NaN") && !page.contains("inf "));
}

#[test]
fn too_many_transcripts_are_left_out_and_counted() {
    let mut data = example();
    let long = Sample { answer: "é<".repeat(3000), ..data.samples[0].clone() };
    data.samples = vec![long; 500];
    let page = render(&data);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    let shown = page.matches("<details class=\"sample\"").count();
    assert!(shown > 10 && page.contains(&format!("{} more are in the run's own files", 500 - shown)));
}

#[test]
fn a_long_run_with_many_arms_stays_small() {
    let mut data = example();
    let steps: Vec<Step> =
        (0..2000).map(|step| Step { step, ..data.arms[0].seeds[0].steps[step as usize % 40].clone() }).collect();
    data.arms = (0..8)
        .map(|arm| Arm {
            name: format!("arm-{arm}"),
            seeds: (0..5).map(|seed| Seed { seed, steps: steps.clone(), ..data.arms[0].seeds[0].clone() }).collect(),
            ..data.arms[0].clone()
        })
        .collect();
    let one = data.samples[0].clone();
    data.samples = (0..2000).map(|i| Sample { arm: format!("arm-{}", i % 8), step: i, ..one.clone() }).collect();
    let page = render(&data);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert_balanced(&page);
    assert!(page.matches("<details class=\"sample\"").count() > 100);
}

#[test]
fn the_same_data_make_the_same_page() {
    assert_eq!(render(&example()), render(&example()));
    let copy: ReportData = serde_json::from_str(&serde_json::to_string(&example()).unwrap()).unwrap();
    assert!(render(&copy) == render(&example()), "the view does not survive JSON");
}

/// Writes the example for `tests/browser/shots.sh`.
#[test]
#[ignore = "writes a file for the browser check"]
fn write_example() {
    let out = std::env::var("LOOPHOLE_PAGE_OUT").expect("LOOPHOLE_PAGE_OUT names the file to write");
    std::fs::write(out, render(&example())).unwrap();
}
