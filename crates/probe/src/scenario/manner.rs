//! How the scenarios of a family are played.

use serde::Deserialize;

/// What is the same for all scenarios of a family.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manner {
    /// Whether arms and conversations have nothing in common but the slots: then each arm draws a world of its own and has
    /// wordings of its own, and each conversation has sampling seeds of its own. Otherwise a sample has the same world in
    /// every arm.
    pub apart: bool,
    /// How an agent who types gives its commands.
    pub commands: Commands,
    /// Characters of a command's output that are shown: so many from its beginning and from its end.
    pub shown: [usize; 2],
    /// Least number of wordings of an arm.
    pub wordings: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Manner { apart: false, commands: Commands::default(), shown: [1500, 500], wordings: 10 }
    }
}

/// How commands are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commands {
    /// A fenced block with nothing beside it; by calls of tools where the model is offered them.
    #[default]
    Fenced,
    /// The first line of an answer is a command, whoever the model is. What is in no form at all is typed too, and the shell
    /// says what it finds in it.
    Line,
}
