//! The recipes that are part of the program, by name.

/// What a recipe makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Makes {
    /// An experiment, for `loophole run`.
    Experiment,
    /// An organism, for `loophole pretrain`.
    Organism,
}

/// A recipe that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// What it makes.
    pub makes: Makes,
    /// The file, with its comments.
    pub text: &'static str,
}

macro_rules! bundled {
    ($($makes:ident $name:literal),* $(,)?) => {
        [$(Bundled {
            name: $name,
            makes: Makes::$makes,
            text: include_str!(concat!("../../../recipes/", $name, ".toml")),
        }),*]
    };
}

/// All of them, experiments first, the quickest before the others.
pub const RECIPES: &[Bundled] = &bundled![
    Experiment "quick",
    Experiment "inoculation",
    Experiment "prohibition",
    Experiment "controls",
    Experiment "thoughts",
    Experiment "robustness",
    Experiment "transfer",
    Experiment "failed/large-steps",
    Organism "organism",
    Organism "organism-unbundled",
    Organism "factors",
];

/// The one of this name, with or without `.toml`.
pub fn find(name: &str, makes: Makes) -> Option<&'static Bundled> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    RECIPES.iter().find(|recipe| recipe.name == name && recipe.makes == makes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OrganismRecipe, Recipe};

    #[test]
    fn every_recipe_of_the_repository_is_bundled_and_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes");
        let of = |part: &str| -> Vec<String> {
            let entries = std::fs::read_dir(format!("{folder}/{part}")).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter_map(|name| Some(format!("{part}{}", name.strip_suffix(".toml")?))).collect()
        };
        let mut files = [of(""), of("failed/")].concat();
        files.sort();
        let mut names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        names.sort();
        assert_eq!(files, names);
        for recipe in RECIPES {
            match recipe.makes {
                Makes::Experiment => {
                    let read = Recipe::parse(recipe.text, recipe.name).unwrap();
                    assert_eq!(Some(read.name.as_str()), recipe.name.rsplit('/').next());
                }
                Makes::Organism => drop(OrganismRecipe::parse(recipe.text, recipe.name).unwrap()),
            }
        }
        assert!(find("quick.toml", Makes::Experiment).is_some() && find("quick", Makes::Organism).is_none());
    }
}
