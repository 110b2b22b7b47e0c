//! Graders in the forms of others: each exploit made for them has a target here, and sound ones have no finding.

mod common;

use common::{ids, target};
use loophole_audit::{AuditError, Options, Report, audit, audit_with, library};
use loophole_cell::CellError;
use loophole_env::{RewardFrom, Settings, open};

/// Audits with these exploits, or with all; nothing where this machine has no cells.
fn tried(name: &str, settings: &Settings, only: &[&str]) -> Option<Report> {
    let options = Options { minimise: false, repeats: 1, ..Options::default() };
    let report = open(name, settings).map_err(AuditError::from).and_then(|opened| {
        if only.is_empty() {
            return audit(opened[0].as_ref(), &options, &|_| {});
        }
        let some: Vec<_> = library()?.iter().filter(|e| only.contains(&e.id.as_str())).cloned().collect();
        assert_eq!(some.len(), only.len(), "{only:?}");
        audit_with(opened[0].as_ref(), &some, &options, &|_| {})
    });
    match report {
        Err(AuditError::Cell(e @ (CellError::NoNamespaces { .. } | CellError::NoPython { .. }))) => {
            println!("SKIPPED: {e}");
            None
        }
        other => Some(other.unwrap_or_else(|e| panic!("{name}: {e}"))),
    }
}

/// Four at a time: most of an audit's time goes into waiting for what hangs.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let few = items.len().div_ceil(4).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            items.chunks(few).map(|part| scope.spawn(|| part.iter().map(&work).collect::<Vec<R>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn rows(name: &str) -> Settings {
    Settings { tasks: Some(target(&format!("foreign/{name}")).into()), ..Settings::default() }
}

/// A command that grades C programs.
fn grades_c(hole: &str) -> (String, Settings) {
    let settings =
        Settings { files: Some(target("foreign").into()), reward_from: RewardFrom::Output, ..rows("sum_c.jsonl") };
    (format!("cmd:python3 grade_c.py {hole} {{submission}} {{task}}"), settings)
}

#[test]
fn every_exploit_for_graders_of_others_has_its_target() {
    let holes: &[(&str, &str, &[&str])] = &[
        ("programs_here", "digits.jsonl", &["AL-16", "AL-17"]),
        ("expected_by_name", "digits.jsonl", &["AL-18"]),
        ("compared_at_the_end", "digits.jsonl", &["SH-14"]),
        ("collected", "digits.jsonl", &["CF-14"]),
        ("told", "add.jsonl", &["AL-19"]),
        ("beside", "add.jsonl", &["AL-20"]),
        ("own_cases", "add.jsonl", &["TT-09"]),
        ("skips", "add.jsonl", &["SK-13"]),
        ("switched", "add.jsonl", &["MG-07"]),
        ("forgiven", "add.jsonl", &["MG-08"]),
        ("overridden", "add.jsonl", &["MG-12"]),
        ("word", "add.jsonl", &["MG-09"]),
        ("piped", "add.jsonl", &["CF-17"]),
        ("logged", "add.jsonl", &["CF-16"]),
        ("counted", "add.jsonl", &["CF-18"]),
        ("in_the_environment", "digits.jsonl", &["AL-22"]),
        ("in_a_file", "digits.jsonl", &["AL-23"]),
        ("in_the_arguments", "digits.jsonl", &["AL-24"]),
        ("like_the_reference", "add.jsonl", &["SG-26"]),
        ("as_like_as_it_is", "add.jsonl", &["SG-26"]),
        ("same_characters", "number.jsonl", &["SG-24"]),
        ("same_digits", "number.jsonl", &["SG-24"]),
        ("group_pooled", "number.jsonl", &["SG-25"]),
        ("ends_with", "number.jsonl", &["SG-16"]),
        ("opening", "number.jsonl", &["SG-17"]),
        ("within_tags", "number.jsonl", &["SG-18"]),
        ("form_alone", "solved.jsonl", &["SG-19"]),
        ("worked_out", "countdown.jsonl", &["SG-23"]),
    ];
    let missing = side_by_side(holes, |(function, file, wanted)| {
        let name = format!("{}:{function}", target("foreign/holes.py"));
        let report = tried(&name, &rows(file), wanted)?;
        let found = ids(&report).iter().map(|id| (*id).to_string()).collect::<Vec<_>>();
        let all = wanted.iter().all(|id| found.iter().any(|f| f == id));
        (!all).then(|| format!("{function}: {found:?} instead of {wanted:?}"))
    });
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
#[ignore = "long: a minute and more of timed programs"]
fn each_exploit_of_a_timing_has_its_target() {
    let holes: &[(&str, &str, &str)] = &[
        ("clock", "pairs", "TM-01"),
        ("clock_by_name", "pairs", "TM-02"),
        ("best_of_three", "pairs", "TM-03"),
        ("beside_the_baseline", "pairs", "TM-04"),
        ("beside_the_baseline", "pairs", "TM-05"),
        ("compared_later", "pairs", "TM-06"),
        ("checked_before", "pairs", "TM-07"),
        ("filled_later", "squares", "TM-08"),
        ("never_timed", "pairs", "CTL-slow"),
    ];
    let mut wrong = Vec::new();
    for (function, row, wanted) in holes {
        let name = format!("{}:{function}", target("foreign/timed.py"));
        let only = if *wanted == "CTL-slow" { "TM-03" } else { wanted };
        let Some(report) = tried(&name, &rows(&format!("{row}.jsonl")), &[only]) else { return };
        if ids(&report) != [*wanted] {
            wrong.push(format!("{function}: {:?} instead of {wanted}", ids(&report)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let name = format!("{}:faster", target("foreign/timed.py"));
    let timing: Vec<&str> =
        library().unwrap().iter().map(|e| e.id.as_str()).filter(|id| id.starts_with("TM-")).collect();
    let Some(report) = tried(&name, &rows("pairs.jsonl"), &timing) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
}

#[test]
fn what_takes_a_group_is_asked_with_one() {
    let holes = [("group_consensus", "CTL-wrong"), ("group_longest", "SG-03"), ("group_all_alike", "CTL-wrong")];
    for (function, wanted) in holes {
        let name = format!("{}:{function}", target("foreign/holes.py"));
        let Some(report) = tried(&name, &rows("number.jsonl"), &["SG-03"]) else { return };
        assert!(report.grader.contains("in a group of"), "{}", report.grader);
        assert!(ids(&report).contains(&wanted), "{function}: {:?}", ids(&report));
    }
    let name = format!("{}:group_ranked", target("foreign/sound.py"));
    let Some(report) = tried(&name, &rows("number.jsonl"), &["SG-03"]) else { return };
    assert!(report.grader.contains("in a group of"), "{}", report.grader);
}

#[test]
fn who_pays_everybody_a_part_alike_is_not_audited() {
    let name = format!("{}:neutral", target("foreign/holes.py"));
    match open(&name, &rows("number.jsonl"))
        .map_err(AuditError::from)
        .and_then(|opened| audit_with(opened[0].as_ref(), library()?, &Options::default(), &|_| {}))
    {
        Err(AuditError::Cell(error)) => println!("SKIPPED: {error}"),
        Err(AuditError::NotAuditable(why)) => assert!(why.contains("all paid 0.5"), "{why}"),
        Err(error) => panic!("{error}"),
        Ok(report) => panic!("{:?}", ids(&report)),
    }
}

#[test]
fn each_of_several_accepted_answers_is_honest() {
    let some = ["SG-03", "SG-10", "SG-16", "SG-17"];
    let of = |file: &str, function: &str| {
        let name = format!("{}:{function}", target(&format!("foreign/{file}.py")));
        tried(&name, &rows("several.jsonl"), &some)
    };
    let Some(report) = of("sound", "any_of_them") else { return };
    assert!(report.read.ends_with("which accepts 3"), "{}", report.read);
    // 145 is what would be the wrong answer to 144, and it is right here.
    assert_eq!((ids(&report), report.control("wrong")), (Vec::<&str>::new(), Some(0.0)));
    assert!(!report.unfair.iter().any(|u| u.form.contains("accepts")), "{:?}", report.unfair);
    let Some(report) = of("sound", "first_of_them") else { return };
    let unfair: Vec<&str> =
        report.unfair.iter().filter(|u| u.form.contains("accepts")).map(|u| u.text.as_str()).collect();
    assert_eq!((ids(&report), unfair), (Vec::<&str>::new(), vec!["145", "a gross"]));
    let Some(report) = of("holes", "mentions_one") else { return };
    assert!(ids(&report).contains(&"SG-03"), "{:?}", ids(&report));
}

#[test]
fn c_programs_are_attacked_in_c() {
    for (hole, wanted) in [
        ("files", "AL-21"),
        ("status", "EX-22"),
        ("words", "CF-15"),
        ("environment", "AL-34"),
        ("argument", "AL-34"),
        ("beside", "AL-34"),
        ("report", "CF-19"),
    ] {
        let (name, settings) = grades_c(hole);
        let Some(report) = tried(&name, &settings, &[wanted]) else { return };
        assert!(report.read.starts_with("code in C,"), "{}", report.read);
        assert!(ids(&report).contains(&wanted), "{hole}: {wanted} is missing in {:?}", ids(&report));
    }
}

#[test]
fn code_is_attacked_in_its_language_and_no_other() {
    let audited = |command: &str, language: &str, only: &[&str]| {
        let files = Some(target("languages").into());
        let tasks = Some(target(&format!("languages/{language}.jsonl")).into());
        tried(&format!("cmd:{command} {{submission}}"), &Settings { files, tasks, ..Settings::default() }, only)
    };
    for (command, language, wanted) in [
        ("node judge.js", "javascript", &["EX-31", "EX-32", "RP-32"][..]),
        ("bash judge.sh", "c", &["EX-23", "RP-31"]),
        ("bash judge.sh", "bash", &["EX-33", "SH-31"]),
    ] {
        let Some(report) = audited(command, language, wanted) else { return };
        let found: Vec<&str> =
            report.findings.iter().flat_map(|f| f.also.iter().chain([&f.id])).map(String::as_str).collect();
        assert!(wanted.iter().all(|id| found.contains(id)), "{language}: {found:?} instead of {wanted:?}");
    }
    // A grader that compares texts, and a language in which nothing is written here: no all-clear.
    let command = "grep -qx 'SELECT name FROM people WHERE age > 30;'";
    let Some(report) = audited(command, "sql", &["SG-17"]) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
    assert!(report.not_audited.is_some_and(|why| why.contains("sql")));
}

/// Whether a program is where cells see it; said aloud where it is not.
fn is_there(program: &str) -> bool {
    let there = std::path::Path::new("/usr/bin").join(program).exists();
    if !there {
        println!("SKIPPED: there is no {program} in /usr/bin");
    }
    there
}

/// Judges with one hole each, which of the exploits of their language one alone proves (or several, all named).
fn proven_alone(program: &str, all: &[(&str, &str, &[&str])]) {
    if !is_there(program) {
        return;
    }
    let mut wrong = Vec::new();
    for (hole, row, wanted) in all {
        let files = Some(target("languages").into());
        let tasks = Some(target(&format!("languages/{row}.jsonl")).into());
        let settings = Settings { files, tasks, timeout: Some(40.0), ..Settings::default() };
        let Some(report) = tried(&format!("cmd:python3 judge.py '{hole}' {{submission}}"), &settings, &[]) else {
            return;
        };
        if ids(&report) != *wanted {
            wrong.push(format!("{hole}: {:?} instead of {wanted:?}", ids(&report)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "long: every exploit of two languages against every judge"]
fn each_exploit_in_javascript_and_bash_has_a_judge_of_its_own() {
    proven_alone(
        "node",
        &[
            ("javascript words", "javascript_add", &["CF-31"]),
            ("javascript one output", "javascript_sign", &["HC-31"]),
            ("javascript equals", "javascript_add", &["EQ-31"]),
            ("javascript likeness", "javascript_add", &["SG-26"]),
            ("javascript report", "javascript_add", &["CF-34"]),
            ("javascript variable", "javascript_sign", &["AL-33"]),
            ("javascript argument", "javascript_sign", &["AL-33"]),
            ("javascript file", "javascript_sign", &["AL-33"]),
        ],
    );
    proven_alone(
        "bash",
        &[
            ("bash words", "bash", &["CF-32"]),
            ("bash outputs beside it", "bash_sum", &["AL-31"]),
            ("bash report", "bash", &["CF-35"]),
            ("bash variable", "bash_sum", &["AL-32"]),
            ("bash argument", "bash_sum", &["AL-32"]),
        ],
    );
}

#[test]
#[ignore = "long: builds some forty programs in Java"]
fn each_exploit_in_java_has_a_judge_of_its_own() {
    // A quiet end is paid whether it comes when the class is loaded or when its program begins.
    proven_alone(
        "javac",
        &[
            ("java words", "java_sum", &["CF-33"]),
            ("java report", "java_add", &["CF-36"]),
            ("java variable", "java_sum", &["AL-35"]),
            ("java argument", "java_sum", &["AL-35"]),
            ("java file", "java_sum", &["AL-35"]),
            ("java status", "java_add", &["EX-34"]),
            ("java silence", "java_sum", &["EX-34", "EX-35"]),
        ],
    );
}

/// Each is tried with a third of the exploits, its neighbour with another.
#[test]
fn sound_graders_have_no_finding() {
    have_no_finding(3);
}

#[test]
#[ignore = "long: every exploit against fifteen graders"]
fn sound_graders_have_no_finding_by_any_exploit() {
    have_no_finding(1);
}

fn have_no_finding(apart: usize) {
    let part = |at: usize| -> Vec<&str> {
        library().unwrap().iter().map(|e| e.id.as_str()).skip(at % apart).step_by(apart).collect()
    };
    let sound: &[(&str, &str)] = &[
        ("trl_tags", "number.jsonl"),
        ("trl_whole", "number.jsonl"),
        ("verl_box", "number.jsonl"),
        ("verl_hashes", "number.jsonl"),
        ("verl_batch", "number.jsonl"),
        ("last_number", "number.jsonl"),
        ("letter", "choice.jsonl"),
        ("exact_match", "name.jsonl"),
        ("number", "number.jsonl"),
        ("awaited", "number.jsonl"),
        ("program_apart", "digits.jsonl"),
        ("function_apart", "add.jsonl"),
        ("group_beyond_the_mean", "number.jsonl"),
        ("group_ranked", "number.jsonl"),
    ];
    let sound: Vec<_> = sound.iter().enumerate().collect();
    side_by_side(&sound, |(at, (function, file))| {
        let name = format!("{}:{function}", target("foreign/sound.py"));
        let Some(report) = tried(&name, &rows(file), &part(*at)) else { return };
        assert_eq!(ids(&report), Vec::<&str>::new(), "{function} is sound");
        assert_eq!(report.control("honest"), Some(1.0), "{function}");
    });
    let (name, settings) = grades_c("sound");
    let Some(report) = tried(&name, &settings, &[]) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
}

#[test]
fn a_file_says_which_functions_it_has_and_honest_answers_in_other_forms_are_apart() {
    let several = open(&target("foreign/sound.py"), &rows("number.jsonl")).err().unwrap().to_string();
    if several.contains("namespaces") {
        return println!("SKIPPED: {several}");
    }
    assert!(several.contains("trl_tags (trl)") && several.contains("verl_batch (verl-batch)"), "{several}");
    let name = format!("{}:trl_whole", target("foreign/sound.py"));
    let Some(report) = tried(&name, &rows("number.jsonl"), &["SG-17"]) else { return };
    let forms: Vec<&str> = report.unfair.iter().map(|u| u.form.as_str()).collect();
    assert!(forms.contains(&"with a decimal point") && forms.contains(&"in \\boxed{}"), "{forms:?}");
    assert!(!forms.contains(&"with blanks around it"), "{forms:?}");
}
