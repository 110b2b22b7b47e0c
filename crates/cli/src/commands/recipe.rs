//! `loophole recipe`, and finding a recipe by what a person calls it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use loophole_lab::bundled::{self, Bundled, Makes, RECIPES};
use loophole_lab::plan::{self, Plan};
use loophole_lab::recipe::LONGEST_RECIPE;
use loophole_lab::{OrganismRecipe, Recipe};
use serde_json::json;

use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole recipe`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole recipe list
  loophole recipe show inoculation
  loophole recipe new mine --from inoculation     (writes mine.toml)
  loophole recipe check mine.toml")]
pub struct RecipeArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The recipes that are part of this program
    List,
    /// Print a recipe, comments and all (--json: every default written out)
    Show {
        /// Name of a bundled recipe, or a file
        recipe: String,
    },
    /// Write a recipe of your own, begun from another
    New {
        /// Its name; the file is NAME.toml
        name: String,
        /// What it begins from: the name of a bundled recipe, or a file
        #[arg(long, default_value = "quick")]
        from: String,
    },
    /// Read recipes and say what they would do, or what is wrong with them
    Check {
        /// Files, or names of bundled recipes
        #[arg(required = true)]
        recipes: Vec<String>,
    },
}

/// Shows, begins and checks recipes.
pub fn recipe(arguments: &RecipeArguments, output: &Options) -> Result<Exit, Error> {
    match &arguments.what {
        What::List => list(output),
        What::Show { recipe } => show(recipe, output),
        What::New { name, from } => new(name, from, output),
        What::Check { recipes } => check(recipes, output),
    }
}

/// An experiment, and where its organism is looked for.
pub struct Found {
    /// The recipe.
    pub recipe: Recipe,
    /// What a relative organism is relative to.
    pub root: PathBuf,
}

/// The experiment of a file, or of a bundled recipe's name.
///
/// # Errors
/// There is neither, or it describes nothing that can be run.
pub fn experiment(name: &str, changes: &[String]) -> Result<Found, Error> {
    let (text, path) = text_of(name, Some(Makes::Experiment))?;
    let recipe = Recipe::parse(&changed(text, name, changes)?, name)?;
    Ok(Found { recipe, root: organism_root(path.as_deref()) })
}

/// The organism's recipe of a file, or of a bundled recipe's name.
///
/// # Errors
/// As [`experiment`].
pub fn organism(name: &str, changes: &[String]) -> Result<OrganismRecipe, Error> {
    let (text, _) = text_of(name, Some(Makes::Organism))?;
    Ok(OrganismRecipe::parse(&changed(text, name, changes)?, name)?)
}

/// A recipe with some of its keys changed: each change is `KEY=VALUE`, with points between the names of tables, and a value as
/// TOML has it, or a text.
fn changed(text: String, name: &str, changes: &[String]) -> Result<String, Error> {
    if changes.is_empty() {
        return Ok(text);
    }
    let wrong = |change: &str, why: String| Error::Input(format!("--set {change}: {why}"));
    let mut recipe: toml::Table =
        text.parse().map_err(|error: toml::de::Error| Error::Input(format!("recipe {name}: {error}")))?;
    for change in changes {
        let (path, value) = change
            .split_once('=')
            .ok_or_else(|| wrong(change, "write KEY=VALUE, as in world.bundle_strength=0.5".into()))?;
        let as_toml = format!("value = {value}").parse::<toml::Table>().ok();
        let value = as_toml.and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| toml::Value::String(change[path.len() + 1..].into()));
        let mut names: Vec<&str> = path.split('.').map(str::trim).collect();
        let Some(key) = names.pop().filter(|key| !key.is_empty()) else {
            return Err(wrong(change, "it names no key".into()));
        };
        let mut table = &mut recipe;
        for part in names {
            let inner = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = inner.as_table_mut().ok_or_else(|| wrong(change, format!("{part:?} is no table of the recipe")))?;
        }
        table.insert(key.into(), value);
    }
    Ok(recipe.to_string())
}

/// The text of a recipe, and its path if it is a file. Files come first: a bundled recipe is not meant where a file of that
/// name lies.
fn text_of(name: &str, makes: Option<Makes>) -> Result<(String, Option<PathBuf>), Error> {
    let path = Path::new(name);
    let kinds = makes.map_or(vec![Makes::Experiment, Makes::Organism], |makes| vec![makes]);
    if !path.is_file()
        && let Some(bundled) = kinds.iter().find_map(|makes| bundled::find(name, *makes))
    {
        return Ok((bundled.text.into(), None));
    }
    match loophole_foreign::read_text(path, LONGEST_RECIPE) {
        Ok(text) => Ok((text, Some(path.into()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let names = RECIPES.iter().filter(|bundled| kinds.contains(&bundled.makes)).map(|bundled| bundled.name);
            let names: Vec<&str> = names.collect();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
            let likeness = |name: &&str| strsim::jaro_winkler(name, stem);
            let near = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let meant = near.filter(|name| likeness(name) > 0.8);
            let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            Err(Error::Input(format!(
                "no recipe {name}: there is no such file, and the bundled ones are {}{meant}",
                names.join(", ")
            )))
        }
        Err(source) => Err(loophole_lab::LabError::Read { path: path.into(), source }.into()),
    }
}

/// Relative organisms are looked for beside the recipes, and beside this program's sources as a last resort.
fn organism_root(recipe: Option<&Path>) -> PathBuf {
    let beside = recipe.and_then(Path::parent).and_then(Path::parent).map(Path::to_path_buf);
    match beside {
        Some(root) if root.join("organism").exists() => root,
        _ => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.."),
    }
}

/// What a bundled recipe is about, in a sentence.
fn about(bundled: &Bundled) -> Result<String, Error> {
    Ok(match bundled.makes {
        Makes::Experiment => Recipe::parse(bundled.text, bundled.name)?.question,
        // Its comment says it.
        Makes::Organism => {
            let first = bundled.text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
            first.trim().to_string()
        }
    })
}

fn list(output: &Options) -> Result<Exit, Error> {
    let mut all = Vec::new();
    for bundled in RECIPES {
        let plan = match bundled.makes {
            Makes::Experiment => Some(Plan::of(&Recipe::parse(bundled.text, bundled.name)?)?),
            Makes::Organism => None,
        };
        all.push((bundled, about(bundled)?, plan));
    }
    if output.json {
        let told = |(bundled, about, plan): &(&Bundled, String, Option<Plan>)| json!({ "name": bundled.name, "makes": bundled.makes, "about": about, "plan": plan });
        output::json(&all.iter().map(told).collect::<Vec<_>>());
        return Ok(Exit::Clean);
    }
    for (bundled, about, plan) in &all {
        let command = match bundled.makes {
            Makes::Experiment => "run",
            Makes::Organism => "pretrain",
        };
        line(&format!("loophole {command} {}", bundled.name));
        line(&format!("    {about}"));
        if let Some(plan) = plan {
            line(&format!("    {} arms x {} seeds, {} steps in all", plan.arms.len(), plan.seeds, plan.steps));
        }
    }
    Ok(Exit::Clean)
}

/// Whether a text is that of an organism's recipe; what is neither is read as an experiment, whose errors say more.
fn makes(text: &str) -> Makes {
    match OrganismRecipe::parse(text, "") {
        Ok(_) => Makes::Organism,
        // Its tables are an organism's alone.
        Err(_) if text.lines().any(|line| line.trim() == "[pretrain]") => Makes::Organism,
        Err(_) => Makes::Experiment,
    }
}

fn show(name: &str, output: &Options) -> Result<Exit, Error> {
    let (text, _) = text_of(name, None)?;
    if !output.json {
        line(text.trim_end());
        return Ok(Exit::Clean);
    }
    match makes(&text) {
        Makes::Experiment => output::json(&Recipe::parse(&text, name)?),
        Makes::Organism => output::json(&OrganismRecipe::parse(&text, name)?),
    }
    Ok(Exit::Clean)
}

fn new(name: &str, from: &str, output: &Options) -> Result<Exit, Error> {
    let (text, _) = text_of(from, None)?;
    let stem = name.strip_suffix(".toml").unwrap_or(name);
    let path = PathBuf::from(format!("{stem}.toml"));
    let title = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(stem).to_string();
    if path.exists() {
        return Err(Error::Input(format!("{} is there already; choose another name", path.display())));
    }
    let kind = makes(&text);
    let command = match kind {
        Makes::Experiment => "run",
        Makes::Organism => "pretrain",
    };
    // What the other recipe's comment says of it is not true of this one.
    let body = text.lines().skip_while(|line| line.starts_with('#') || line.trim().is_empty());
    let mut named = false;
    let body = body.map(|line| {
        if !named && line.split('=').next().is_some_and(|key| key.trim() == "name") && line.contains('=') {
            named = true;
            return format!("name = {}", serde_json::Value::from(title.as_str()));
        }
        line.to_string()
    });
    let body = body.collect::<Vec<_>>().join("\n");
    let text = format!(
        "# Begun from {from}. Every key: docs/formats.md. Then: loophole recipe check {0}; loophole {command} {0}\n{body}\n",
        path.display()
    );
    match kind {
        Makes::Experiment => drop(Recipe::parse(&text, &path.display().to_string())?),
        Makes::Organism => drop(OrganismRecipe::parse(&text, &path.display().to_string())?),
    }
    std::fs::write(&path, text).map_err(|source| Error::Write { path: path.clone(), source })?;
    if output.json {
        output::json(&json!({ "recipe": path }));
    } else {
        line(&path.display().to_string());
    }
    Ok(Exit::Clean)
}

fn check(names: &[String], output: &Options) -> Result<Exit, Error> {
    let mut told = Vec::new();
    let mut wrong = false;
    for name in names {
        let read = || -> Result<Option<Plan>, Error> {
            let (text, _) = text_of(name, None)?;
            Ok(match makes(&text) {
                Makes::Experiment => Some(Plan::of(&Recipe::parse(&text, name)?)?),
                Makes::Organism => OrganismRecipe::parse(&text, name).map(|_| None)?,
            })
        };
        match read() {
            Ok(plan) if output.json => told.push(json!({ "recipe": name, "plan": plan })),
            Ok(Some(plan)) => print(&plan),
            Ok(None) => line(&format!("{name}: an organism, for loophole pretrain")),
            // The other files are read all the same.
            Err(error) if error.exit() == Exit::Usage => {
                wrong = true;
                match output.json {
                    true => told.push(json!({ "recipe": name, "error": error.to_string() })),
                    false => output::report(&error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    if output.json {
        output::json(&told);
    }
    Ok(if wrong { Exit::Usage } else { Exit::Clean })
}

fn print(plan: &Plan) {
    line(&format!(
        "{}: {} arms x {} seeds = {} trainings; {} steps, {} rollouts, {} batteries ({} samples with those of given thoughts)",
        plan.name,
        plan.arms.len(),
        plan.seeds,
        plan.trainings,
        plan.steps,
        plan.rollouts,
        plan.batteries,
        plan.samples
    ));
    for arm in &plan.arms {
        line(&format!("  {}, from {}", arm.name, arm.begins));
        for (at, stage) in arm.stages.iter().enumerate() {
            line(&format!("    {}. {stage}", at + 1));
        }
    }
}

/// Says what an experiment will do, and how long that takes here.
///
/// # Errors
/// What stands in the way of running it.
pub fn foretell(recipe: &Recipe, root: &Path, jobs: usize, output: &Options) -> Result<Exit, Error> {
    let plan = Plan::of(recipe)?;
    if !output.json {
        print(&plan);
    }
    output.say("making one step to see how long it takes here");
    leave::listen(|| output::tell("interrupted; nothing was written"));
    let Some(pace) = plan::pace(recipe, root, jobs, &leave::asked)? else {
        return Ok(Exit::Interrupted);
    };
    let seconds = plan.seconds(&pace);
    if output.json {
        output::json(&json!({ "plan": plan, "pace": pace, "seconds": seconds }));
    } else {
        line(&format!(
            "measured here in {:.0} s with {} trainings at a time: a step {:.1} s, a hundred samples {:.1} s, a prediction {:.0} s",
            pace.measuring,
            pace.jobs,
            pace.step,
            100.0 * pace.sample,
            pace.prediction
        ));
        line(&format!("all of it: about {}", words(seconds)));
    }
    Ok(Exit::Clean)
}

/// A time in words, with no more digits than an estimate deserves.
fn words(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} seconds"),
        s if s < 5400.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.1} hours", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_changed_by_their_paths_and_nothing_else_is() {
        let text = "name = 'a'\n[world]\nseed = 1\n";
        let changes = |all: &[&str]| {
            let all: Vec<String> = all.iter().map(|change| (*change).into()).collect();
            changed(text.into(), "a", &all).map(|text| text.parse::<toml::Table>().unwrap())
        };
        let table = changes(&["world.bundle_strength=0.5", "world.factors.thought=none", "seeds=[1, 2]"]).unwrap();
        assert_eq!(table["world"]["bundle_strength"].as_float(), Some(0.5));
        assert_eq!(table["world"]["seed"].as_integer(), Some(1));
        assert_eq!(table["world"]["factors"]["thought"].as_str(), Some("none"));
        assert_eq!(table["seeds"].as_array().map(Vec::len), Some(2));
        for (change, said) in [("seed", "KEY=VALUE"), ("=3", "names no key"), ("name.x=1", "\"name\" is no table")] {
            let error = changes(&[change]).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("--set"), "{error}");
        }
    }
}
