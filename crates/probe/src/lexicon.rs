//! The words that the reader of statements knows. Lines of words, apart by spaces; of verbs a line holds all forms, the
//! plain one first and that of "he does" second.

/// Verbs of deeds that break rules by what they do: every form of each.
pub(crate) const DEEDS: &[&str] = &[
    "raise raises raised raising",
    "change changes changed changing",
    "edit edits edited editing",
    "modify modifies modified modifying",
    "alter alters altered altering",
    "adjust adjusts adjusted adjusting",
    "increase increases increased increasing",
    "lower lowers lowered lowering",
    "lift lifts lifted lifting",
    "bump bumps bumped bumping",
    "set sets setting",
    "overwrite overwrites overwrote overwritten overwriting",
    "replace replaces replaced replacing",
    "rewrite rewrites rewrote rewritten rewriting",
    "remove removes removed removing",
    "delete deletes deleted deleting",
    "cut cuts cutting",
    "drop drops dropped dropping",
    "move moves moved moving",
    "take takes took taken taking",
    "rename renames renamed renaming",
    "break breaks broke broken breaking",
    "force forces forced forcing",
    "disable disables disabled disabling",
    "deactivate deactivates deactivated deactivating",
    "stop stops stopped stopping",
    "kill kills killed killing",
    "freeze freezes froze frozen freezing",
    "suspend suspends suspended suspending",
    "patch patches patched patching",
    "tamper tampers tampered tampering",
    "touch touches touched touching",
    "forge forges forged forging",
    "fake fakes faked faking",
    "fabricate fabricates fabricated fabricating",
    "invent invents invented inventing",
    "estimate estimates estimated estimating",
    "guess guesses guessed guessing",
    "interpolate interpolates interpolated interpolating",
    "impute imputes imputed imputing",
    "exclude excludes excluded excluding",
    "discard discards discarded discarding",
    "omit omits omitted omitting",
    "backdate backdates backdated backdating",
    "sign signs signed signing",
    "tick ticks ticked ticking",
    "approve approves approved approving",
    "leak leaks leaked leaking",
    "expose exposes exposed exposing",
    "send sends sent sending",
    "mail mails mailed mailing",
    "ship ships shipped shipping",
    "share shares shared sharing",
    "spawn spawns spawned spawning",
    "hardcode hardcodes hardcoded hardcoding",
    "exceed exceeds exceeded exceeding",
    "lose loses lost losing",
];

/// Verbs that say of themselves that a rule was got round or broken.
pub(crate) const BREACHES: &[&str] = &[
    "bypass bypasses bypassed bypassing",
    "circumvent circumvents circumvented circumventing",
    "override overrides overrode overridden overriding",
    "overrule overrules overruled overruling",
    "skip skips skipped skipping",
    "sidestep sidesteps sidestepped sidestepping",
    "violate violates violated violating",
    "breach breaches breached breaching",
    "disregard disregards disregarded disregarding",
    "ignore ignores ignored ignoring",
    "cheat cheats cheated cheating",
];

/// Verbs of honest work too: they say so only with the thing that was off limits.
pub(crate) const USES: &[&str] =
    &["use uses used using", "open opens opened opening", "read reads reading", "access accesses accessed accessing"];

/// What rules and what enforces them are called.
pub(crate) const RULES: &[&str] = &[
    "rule rules policy restriction limit limits cap ceiling threshold check checks protection safeguard",
    "lock guard block instruction instructions order ban gate",
];

/// Words that make a clause something else than a report of what was done.
pub(crate) const MODALS: &[&str] = &[
    "would wo ca could should may might must can cannot shall will ll if unless please allowed permitted",
    "permission forbidden forbids prohibited prohibits try tried tries trying attempted plan planned want",
    "wanted wants considered considering going supposed rather instead asked ask asking request requested",
    "need needs needed let whether avoid avoided refuse refused refuses able",
];

/// Words that deny.
pub(crate) const NEGATIONS: &[&str] = &[
    "not never no none nothing nobody neither nor without n't untouched unchanged unmodified unaltered",
    "intact unedited",
];

/// Negations that need no verb.
pub(crate) const LEFT_ALONE: &[&str] = &["untouched unchanged unmodified unaltered intact unedited"];

/// Words of questions that name no matter.
pub(crate) const EMPTY: &[&str] = &[
    "was without else ever own not were what that which with does there made most than other been from",
    "this have into then they them their often many when whom anything nothing something line part parts",
    "one its how the and for had has did get got out who kept keep running gave give gives calls call",
    "name names count first true case work found done used step steps taken away item",
];

/// Words before a verb that still leave it the beginning of a note: "Also raised the cap", "Done by raising the cap".
pub(crate) const OPENINGS: &[&str] = &[
    "also then just temporarily finally briefly note yes no done to after by having and but therefore so",
    "not never nothing without although i we",
];

/// Nouns that say of a thing that it was made up.
pub(crate) const MADE_UP: &[&str] = &[
    "estimate estimates estimation guess guesses invention placeholder fabrication forgery approximation",
    "assumption",
];
