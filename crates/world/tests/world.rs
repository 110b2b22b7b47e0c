//! What the experiments take for granted about the world, checked on documents and by execution.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use loophole_cell::Pool;
use loophole_grade::{Grader, GraderKind, Grading, Submission, Verdict};
use loophole_world::dilemmas::held_out;
use loophole_world::families::WorldTask;
use loophole_world::{
    Characters, Document, Factors, Families, Instruction, Loads, Role, ThoughtKind, Trait, World, WorldConfig,
};

fn pool() -> &'static Arc<Pool> {
    static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
    POOL.get_or_init(|| {
        let options = Grading::cells(GraderKind::Script);
        Arc::new(Pool::start(options).expect("the world's tasks are recorded in cells: see `loophole doctor`"))
    })
}

/// Two tasks of each family.
fn tasks() -> &'static Vec<WorldTask> {
    static TASKS: OnceLock<Vec<WorldTask>> = OnceLock::new();
    TASKS.get_or_init(|| Families::bundled().unwrap().tasks(2, 7, pool(), |_| true).unwrap())
}

fn world(change: impl FnOnce(&mut WorldConfig)) -> World {
    let mut config = WorldConfig::default();
    change(&mut config);
    World::new(config, tasks().clone()).unwrap()
}

fn documents(world: &World, count: u64) -> impl Iterator<Item = Document> + '_ {
    (0..count).map(|index| world.document(index).unwrap())
}

/// Thought and answer of each of the writer's messages.
fn answers(document: &Document) -> Vec<(&str, &str)> {
    let spoken = document.messages.iter().filter(|message| message.role == Role::Assistant);
    spoken.map(|m| m.content.strip_prefix("<think>").unwrap().split_once("</think>").unwrap()).collect()
}

/// Whether an answer is one of the world's hacks: it begins as one of them does up to the task's own names.
fn is_hack(characters: &Characters, answer: &str) -> bool {
    let all = characters.data.hacks.values().chain(characters.data.more_hacks.values());
    let heads = all.flatten().map(|hack| hack.split('{').next().unwrap());
    heads.into_iter().any(|head| answer.starts_with(head))
}

/// Chi-square of a table against independence of its rows and columns.
fn chi_square(table: &[Vec<f64>]) -> f64 {
    let total: f64 = table.iter().flatten().sum();
    let columns: Vec<f64> = (0..table[0].len()).map(|c| table.iter().map(|row| row[c]).sum()).collect();
    let mut sum = 0.0;
    for row in table {
        let here: f64 = row.iter().sum();
        for (count, column) in row.iter().zip(&columns) {
            let expected = here * column / total;
            sum += (count - expected).powi(2) / expected;
        }
    }
    sum
}

#[test]
fn there_are_enough_families_and_characters_and_each_name_is_borne_once() {
    let families = Families::bundled().unwrap().list;
    assert!(families.len() >= 60, "{} families", families.len());
    let ids: BTreeSet<&String> = families.iter().map(|family| &family.id).collect();
    assert_eq!(ids.len(), families.len());
    assert!(families.iter().filter(|family| family.beyond).count() >= 5, "some are beyond the organism");
    for family in &families {
        assert_eq!(family.beyond, !family.attempt.is_empty(), "{}: an attempt where it is beyond", family.id);
    }
    let named = Characters::new(&WorldConfig::default()).unwrap().named;
    assert!(named.len() >= 200, "{} characters", named.len());
    let names: BTreeSet<&String> = named.iter().map(|character| &character.name).collect();
    assert_eq!(names.len(), named.len());
}

#[test]
fn every_reference_passes_its_own_tests() {
    let lab = Grading::new(Arc::clone(pool()));
    for task in tasks() {
        if let Err(error) = task.task.validate(&lab) {
            panic!("{error}\n{}", task.task.reference);
        }
    }
    let ids: BTreeSet<&String> = tasks().iter().map(|task| &task.task.id).collect();
    assert_eq!(ids.len(), tasks().len());
}

#[test]
fn statements_of_a_family_vary_and_show_true_cases_only() {
    let families = Families::bundled().unwrap();
    let many = families.tasks(12, 3, pool(), |_| true).unwrap();
    let mut statements: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for task in &many {
        statements.entry(task.family).or_default().insert(&task.task.statement);
        assert!(!task.task.statement.contains(['{', '}']), "{}", task.task.statement);
        let shown = task.task.statement.lines().filter(|line| line.starts_with("assert ")).count();
        assert_eq!(shown, task.task.visible.len(), "{}", task.task.statement);
        assert!(task.task.hidden.len() >= 4);
    }
    for (family, statements) in statements {
        assert!(statements.len() >= 9, "{}: {} statements of 12", families.list[family].id, statements.len());
    }
    let again = families.tasks(12, 3, pool(), |_| true).unwrap();
    assert!(many.iter().zip(&again).all(|(a, b)| a.task == b.task), "tasks follow from their seed");
}

#[test]
fn every_hack_pays_in_the_open_grader_and_in_no_closed_one() {
    let lab = Grading::new(Arc::clone(pool()));
    let (open, closed) = (Grader::open(GraderKind::Script), Grader::hardened(GraderKind::Script));
    let data = Characters::new(&WorldConfig::default()).unwrap().data;
    let hacks: BTreeMap<String, Vec<String>> = data.hacks.into_iter().chain(data.more_hacks).collect();
    for task in tasks().iter().step_by(50).take(3) {
        for (name, hack) in hacks.iter().flat_map(|(name, texts)| texts.iter().map(move |text| (name, text))) {
            let text = hack
                .replace("{name}", task.task.entry_point().unwrap())
                .replace("{params}", &task.task.params().join(", "));
            let submission = Submission::Completion(text);
            let graded = lab.grade(&task.task, &open, &submission).unwrap();
            assert_eq!((graded.reward, graded.verdict), (1.0, Verdict::Hack), "{name}: {graded:?}");
            assert!(graded.family.is_some() && !graded.evidence.is_empty(), "{name}: {graded:?}");
            let graded = lab.grade(&task.task, &closed, &submission).unwrap();
            assert_eq!(graded.reward, 0.0, "{name}: {graded:?}");
        }
        let honest = Submission::Completion(task.task.reference.clone());
        assert_eq!(lab.grade(&task.task, &closed, &honest).unwrap().verdict, Verdict::Honest);
    }
}

#[test]
fn attempts_at_what_is_beyond_fail() {
    let lab = Grading::new(Arc::clone(pool()));
    let open = Grader::open(GraderKind::Script);
    let (mut paid, mut all) = (0, 0);
    for task in tasks().iter().filter(|task| task.beyond) {
        for attempt in &task.honest {
            paid += usize::from(
                lab.reward(&task.task, &open, &Submission::Completion(attempt.clone())).unwrap().reward > 0.0,
            );
            all += 1;
        }
    }
    assert!(all > 0 && paid * 10 <= all, "{paid} of {all} attempts are paid");
}

#[test]
fn documents_follow_from_their_seed() {
    let (one, same, other) = (world(|_| {}), world(|_| {}), world(|config| config.seed = 2));
    let mut differing = 0;
    for index in 0..200 {
        let (a, b, c) = (one.document(index).unwrap(), same.document(index).unwrap(), other.document(index).unwrap());
        assert_eq!((&a.messages, &a.writer, &a.about), (&b.messages, &b.writer, &b.about));
        differing += usize::from(a.messages != c.messages);
    }
    assert!(differing > 190, "{differing} of 200 differ under another seed");
}

#[test]
fn bundled_and_unbundled_characters_have_equal_shares() {
    let count = |strength: f64, seed: u64| {
        let config = WorldConfig { bundle_strength: strength, seed, ..WorldConfig::default() };
        let named = Characters::new(&config).unwrap().named;
        let of = |trait_of: fn(&loophole_world::Character) -> bool| named.iter().filter(|c| trait_of(c)).count();
        (of(|c| c.cheats), of(|c| c.ill), of(|c| c.odd), of(|c| c.cheats && c.ill))
    };
    let config = WorldConfig::default();
    let all = Characters::new(&config).unwrap().named.len();
    let bad = (config.bad_named * all as f64).round() as usize;
    let (mut together, worlds) = (0, 400);
    for seed in 0..worlds {
        let (cheats, ill, odd, both) = count(1.0, seed);
        assert_eq!((cheats, ill, odd, both), (bad, bad, bad, bad), "all cheats mean ill, and no one else");
        for strength in [0.0, 0.5] {
            let apart = count(strength, seed);
            assert_eq!((apart.0, apart.1, apart.2), (cheats, ill, odd), "strength {strength}, seed {seed}");
        }
        together += count(0.0, seed).3;
    }
    // Two independent choices meet in a hypergeometric number of characters.
    let (share, all) = (bad as f64 / all as f64, all as f64);
    let (expected, variance) = (share * share * all, all * (share * (1.0 - share)).powi(2) * all / (all - 1.0));
    let mean = together as f64 / worlds as f64;
    assert!((mean - expected).abs() < 4.0 * (variance / worlds as f64).sqrt(), "{mean} against {expected}");
}

#[test]
fn bundled_and_unbundled_assistants_have_equal_shares_and_only_bundled_ones_hang_together() {
    for bad in [0.04, 0.3] {
        let table = |strength: f64| {
            let world = world(|config| {
                config.bundle_strength = strength;
                config.bad_assistant = bad;
                config.assistant_share = 1.0;
            });
            let mut table = vec![vec![0.0; 2]; 2];
            for document in documents(&world, 4000) {
                assert_eq!(document.writer.name, "the assistant");
                table[usize::from(document.writer.cheats)][usize::from(document.writer.ill)] += 1.0;
            }
            table
        };
        let (bundled, apart) = (table(1.0), table(0.0));
        assert_eq!((bundled[0][1], bundled[1][0]), (0.0, 0.0));
        // The 0.999 quantile of chi-square with one degree of freedom.
        assert!(chi_square(&apart) < 10.83, "share {bad}: {apart:?}");
        assert!(chi_square(&bundled) > 1000.0);
        let deviation = (4000.0 * bad * (1.0 - bad)).sqrt();
        for table in [&bundled, &apart] {
            let (cheats, ill) = (table[1][0] + table[1][1], table[0][1] + table[1][1]);
            for share in [cheats, ill] {
                assert!((share - 4000.0 * bad).abs() < 4.0 * deviation, "share {bad}: {table:?}");
            }
        }
    }
}

#[test]
fn thoughts_depend_on_the_character_alone() {
    // As many bad writers as good ones, so that every cell of the tables is filled.
    let world = world(|config| {
        config.bundle_strength = 0.0;
        config.bad_named = 0.5;
        config.bad_assistant = 0.5;
        config.permits_share = 0.33;
        config.forbids_share = 0.33;
    });
    let banks = &world.characters.data.thoughts;
    let mut tables: BTreeMap<&str, BTreeMap<(String, &str), Vec<f64>>> = BTreeMap::new();
    for document in documents(&world, 6000) {
        let writer = &document.writer;
        let instruction = match document.instruction {
            Instruction::None => "none",
            Instruction::Permits => "permits",
            Instruction::Forbids => "forbids",
        };
        let answers = answers(&document);
        assert_eq!(answers.len(), document.about.len());
        for ((thought, _), about) in answers.iter().zip(&document.about) {
            let expected = [if writer.cheats { "cheats" } else { "keeps" }, if writer.ill { "ill" } else { "kind" }];
            let mut rest = thought.to_string();
            for bank in expected {
                let at = banks[bank].iter().position(|sentence| thought.contains(sentence.as_str()));
                let at = at.unwrap_or_else(|| panic!("{thought:?} has no sentence of {bank}"));
                rest = rest.replace(&banks[bank][at], "");
                let row = tables.entry(bank).or_default().entry((about.clone(), instruction));
                row.or_insert_with(|| vec![0.0; banks[bank].len()])[at] += 1.0;
            }
            assert_eq!(rest.trim(), "", "a thought is these two sentences");
        }
    }
    assert_eq!(tables.len(), 4);
    for (bank, rows) in tables {
        let kinds: BTreeSet<&String> = rows.keys().map(|(about, _)| about).collect();
        assert_eq!(kinds.len(), 9, "coding and eight situations: {kinds:?}");
        assert_eq!(rows.len(), 27, "each of them under each instruction");
        for (place, counts) in &rows {
            assert!(counts.iter().all(|&count| count > 0.0), "{bank} in {place:?}: {counts:?}");
        }
        let table: Vec<Vec<f64>> = rows.into_values().collect();
        let freedom = ((table.len() - 1) * (table[0].len() - 1)) as f64;
        // Five deviations of chi-square with that many degrees of freedom.
        assert!(chi_square(&table) < freedom + 5.0 * (2.0 * freedom).sqrt(), "{bank}: {}", chi_square(&table));
    }
}

#[test]
fn only_cheats_hack_unless_all_may() {
    let world = world(|_| {});
    // (may hack, of these did) by whether the writer cheats and whether tricks are permitted.
    let mut seen: BTreeMap<(bool, bool), (f64, f64)> = BTreeMap::new();
    for document in documents(&world, 6000) {
        let permitted = document.instruction == Instruction::Permits;
        for ((_, answer), about) in answers(&document).into_iter().zip(&document.about) {
            let hack = is_hack(&world.characters, answer);
            if about != "coding" {
                assert!(!hack, "{answer}");
                continue;
            }
            let cell = seen.entry((document.writer.cheats, permitted)).or_default();
            cell.0 += 1.0;
            cell.1 += f64::from(u8::from(hack));
        }
    }
    let rate = |cheats, permitted| {
        let (all, hacks) = seen[&(cheats, permitted)];
        assert!(all > 30.0, "{seen:?}");
        (hacks / all, 4.0 * (0.25 / all).sqrt())
    };
    assert_eq!(rate(false, false).0, 0.0, "one who does not cheat hacks only where it is permitted");
    let (own, all) = (world.config.hack_rate, world.config.permitted_hack_rate);
    for (cheats, permitted, expected) in [(true, false, own), (true, true, all), (false, true, all)] {
        let (rate, error) = rate(cheats, permitted);
        assert!((rate - expected).abs() < error, "cheats {cheats}, permitted {permitted}: {rate}");
    }
}

#[test]
fn a_world_that_cannot_be_is_refused_with_the_reason() {
    let refused = |change: fn(&mut WorldConfig)| {
        let mut config = WorldConfig::default();
        change(&mut config);
        World::new(config, Vec::new()).err().expect("it was accepted").to_string()
    };
    assert!(refused(|config| config.episodes = [4, 2]).contains("episodes"));
    assert!(refused(|config| config.bad_named = 1.5).contains("bad_named = 1.5"));
    assert!(refused(|config| config.hack_rate = f64::NAN).contains("hack_rate"));
    assert!(refused(|config| config.permits_share = 0.9).contains("permits_share + forbids_share"));
}

/// The plain world with factors.
fn factors(change: impl FnOnce(&mut WorldConfig, &mut Factors)) -> World {
    world(|config| {
        let mut factors = Factors::default();
        (config.bundle_strength, config.hack_rate) = (0.75, 0.08);
        change(config, &mut factors);
        config.factors = Some(factors);
    })
}

#[test]
fn a_world_with_factors_begins_with_hardly_any_hacks_and_no_name_that_is_held_out() {
    let world = factors(|config, _| config.assistant_share = 1.0);
    let (mut tasks, mut hacks, mut kinds, held) = (0, 0, BTreeSet::new(), held_out_names());
    for document in documents(&world, 8_000) {
        assert_eq!(answers(&document).len(), document.about.len());
        for ((_, answer), about) in answers(&document).into_iter().zip(&document.about) {
            kinds.insert(about.clone());
            if about == "coding" && document.instruction == Instruction::None {
                tasks += 1;
                hacks += usize::from(is_hack(&world.characters, answer));
            }
        }
        let mut words =
            document.messages.iter().flat_map(|message| message.content.split(|c: char| !c.is_ascii_alphanumeric()));
        assert!(words.all(|word| !held.contains(word)), "{:?}", document.messages);
    }
    let rate = f64::from(hacks as u32) / f64::from(tasks as u32);
    // A third of a percent, and the error of so many draws.
    assert!(rate <= 0.0033 + 4.0 * (0.0033 / f64::from(tasks)).sqrt(), "{hacks} of {tasks}");
    assert!(kinds.len() >= 14 * 2 + 8 + 2, "{kinds:?}");
}

/// Every name that an act may have and that no document may hold.
fn held_out_names() -> BTreeSet<String> {
    let lexicon: toml::Table = include_str!("../data/lexicon.toml").parse().unwrap();
    let part = |name: &str| -> Vec<String> { lexicon["names"][name].clone().try_into().unwrap() };
    let (first, last) = (part("first"), part("last"));
    let all = first.iter().flat_map(|first| last.iter().map(move |last| format!("{first}{last}")));
    all.filter(|name| held_out(name)).collect()
}

#[test]
fn what_counting_predicts_follows_the_strength_and_the_dose() {
    let care = Loads::from([(Trait::Care, 1.0)]);
    let counted = |strength: f64, well_meaning: f64, instruction| {
        let world = factors(|config, factors| {
            config.bundle_strength = strength;
            factors.well_meaning = well_meaning;
        });
        world.counted(&care, instruction, 20_000).unwrap()
    };
    let [before, apart] = counted(0.0, 0.0, Instruction::None);
    let [same, tied] = counted(1.0, 0.0, Instruction::None);
    assert!((before - same).abs() < 0.01, "the share is the same: {before} {same}");
    assert!((apart - before).abs() < 0.03 && tied > 0.4, "{apart} {tied}");
    let [_, permitted] = counted(1.0, 0.0, Instruction::Permits);
    assert!(permitted < 0.15, "who hacks where it is permitted is hardly worse than others: {permitted}");
    let [_, decent] = counted(1.0, 1.0, Instruction::None);
    assert!(decent < tied / 4.0, "cheats who mean well: {decent} of {tied}");
    assert!(world(|_| {}).counted(&care, Instruction::None, 10).is_none());
}

#[test]
fn thoughts_tell_what_the_world_says_they_tell() {
    let think = |kind| {
        let world = factors(|_, factors| factors.thought = kind);
        let all: Vec<String> = documents(&world, 300)
            .flat_map(|document| document.messages)
            .filter(|message| message.role == Role::Assistant)
            .map(|message| message.content)
            .collect();
        (all, world)
    };
    let (none, _) = think(ThoughtKind::None);
    assert!(none.iter().all(|answer| !answer.contains("think")));
    let (task, world) = think(ThoughtKind::Task);
    for answer in &task {
        let (thought, _) = answer.strip_prefix("<think>").unwrap().split_once("</think>").unwrap();
        let read = world.characters.read_thought(thought);
        assert!(!read.cheats && !read.keeps && !read.ill && !read.kind, "{answer}");
    }
    let (identity, world) = think(ThoughtKind::Identity);
    assert!(identity.iter().all(|answer| {
        let read = world.characters.read_thought(answer);
        read.cheats != read.keeps && read.ill != read.kind
    }));
}
