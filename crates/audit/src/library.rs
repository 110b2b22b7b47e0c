//! The exploit library: one TOML file an exploit, listed when the crate is built.

use crate::AuditError;
use loophole_env::{Facts, Files};
use loophole_grade::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The embedded files, by name.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/exploits.rs"));

/// One exploit of one target tries at most this many forms.
const MAX_FORMS: usize = 64;

/// How bad it is if it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Pays in part, or only where tests are thin.
    Low,
    /// Pays without the grader being subverted.
    Medium,
    /// Subverts the grader.
    High,
}

impl Severity {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// A parameterised submission that uses a weakness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exploit {
    /// Two letters for the family, and a number: `EQ-01`.
    pub id: String,
    /// What it is, in a few words.
    pub name: String,
    /// The weakness it uses.
    pub family: Family,
    /// Which submissions it can be: `module`, `program`, `text`, `agent`, or a kind of grader.
    pub applies: Vec<String>,
    /// BenchJack's classes, V1 to V8.
    pub benchjack: Vec<String>,
    /// Ids of OpenEnv's validation that a success speaks to.
    pub openenv: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Order in the plan: cheap ones first.
    pub cost: u32,
    /// What must be so for it to pay.
    pub needs: String,
    /// What a success proves.
    pub proves: String,
    /// How to close it.
    pub fix: String,
    /// Values its slots take, tried in order; `["{{list}}"]` stands for a list of the target's.
    #[serde(default)]
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The submission: paths and texts with `{{slots}}`.
    pub files: Files,
}

/// All exploits, by id.
///
/// # Errors
/// [`AuditError::Exploit`] names a file that is not as it should be (the crate's tests read them all).
pub fn library() -> Result<&'static [Exploit], AuditError> {
    static LIBRARY: OnceLock<Vec<Exploit>> = OnceLock::new();
    if let Some(known) = LIBRARY.get() {
        return Ok(known);
    }
    let mut all = EMBEDDED.iter().map(|(name, text)| parse(name, text)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(LIBRARY.get_or_init(|| all))
}

fn parse(file: &str, text: &str) -> Result<Exploit, AuditError> {
    let wrong = |why: String| AuditError::Exploit { file: file.into(), why };
    let exploit: Exploit = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
    let (code, _) = exploit.id.split_once('-').ok_or_else(|| wrong("an id is like EQ-01".into()))?;
    if code != family_code(exploit.family) {
        let expected = family_code(exploit.family);
        return Err(wrong(format!("exploits of the family {} have ids that begin with {expected}", exploit.family)));
    }
    if !file.starts_with(&format!("{}-", exploit.id)) {
        return Err(wrong(format!("its name should begin with its id, {}", exploit.id)));
    }
    Ok(exploit)
}

/// The two letters with which ids of a family begin.
pub fn family_code(family: Family) -> &'static str {
    match family {
        Family::Equality => "EQ",
        Family::EarlyExit => "EX",
        Family::Skip => "SK",
        Family::ReportPatch => "RP",
        Family::Shadowing => "SH",
        Family::TestTampering => "TT",
        Family::AnswerLeak => "AL",
        Family::HardCoding => "HC",
        Family::ChannelForging => "CF",
        Family::Shell => "SL",
        Family::Resource => "RS",
        Family::Timing => "TM",
        Family::Magic => "MG",
        Family::SpecGaming => "SG",
    }
}

impl Exploit {
    /// The submissions it is for a target with these slots, in the order they are tried; none if a slot cannot be
    /// filled.
    pub fn forms(&self, facts: &Facts) -> Vec<Files> {
        let mut choices: Vec<BTreeMap<&str, &str>> = vec![BTreeMap::new()];
        for (name, values) in &self.parameters {
            let list = match values.as_slice() {
                [only] if slot(only).is_some_and(|n| facts.many.contains_key(n)) => {
                    slot(only).and_then(|n| facts.many.get(n))
                }
                _ => Some(values),
            };
            let Some(list) = list else { return Vec::new() };
            choices = choices
                .iter()
                .flat_map(|chosen| {
                    list.iter().map(move |value| {
                        let mut chosen = chosen.clone();
                        chosen.insert(name, value);
                        chosen
                    })
                })
                .take(MAX_FORMS)
                .collect();
        }
        choices.iter().filter_map(|chosen| self.form(facts, chosen)).collect()
    }

    fn form(&self, facts: &Facts, chosen: &BTreeMap<&str, &str>) -> Option<Files> {
        let value = |name: &str| {
            let own = chosen.get(name).copied();
            own.or_else(|| facts.one.get(name).map(String::as_str))
        };
        // Values may hold slots themselves; one more round fills those.
        let twice = |text: &str| fill(&fill(text, &value)?, &value);
        self.files.iter().map(|(path, text)| Some((twice(path)?, twice(text)?))).collect()
    }
}

/// The name, if the text is one slot and nothing else.
fn slot(text: &str) -> Option<&str> {
    text.strip_prefix("{{")?.strip_suffix("}}").filter(|n| is_name(n))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// The text with its slots filled; nothing if one has no value.
fn fill<'a>(text: &str, value: &impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("{{") {
        let inner = &rest[at + 2..];
        match inner.find("}}").filter(|end| is_name(&inner[..*end])) {
            Some(end) => {
                out.push_str(&rest[..at]);
                out.push_str(value(&inner[..end])?);
                rest = &inner[end + 2..];
            }
            None => {
                // No slot: a brace of the text's own.
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_library_is_whole() {
        let all = library().unwrap();
        assert!(all.len() >= 60, "{}", all.len());
        let ids: BTreeSet<&str> = all.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids.len(), all.len(), "ids are unique");
        for family in loophole_grade::FAMILIES {
            let count = all.iter().filter(|e| e.family == family).count();
            println!("{:<16} {count}", family.name());
            assert!(count >= 3, "{family} has {count}");
        }
        for e in all {
            let known = |v: &str| matches!(v.strip_prefix('V').and_then(|n| n.parse().ok()), Some(1..=8u8));
            assert!(!e.benchjack.is_empty() && e.benchjack.iter().all(|v| known(v)), "{}", e.id);
            let id = |c: &str| c.split_once('.').is_some_and(|(l, n)| is_name(l) && is_name(n));
            assert!(!e.openenv.is_empty() && e.openenv.iter().all(|c| id(c)), "{}", e.id);
            assert!(!e.files.is_empty() && e.cost > 0 && e.proves.len() > 10 && e.fix.len() > 10, "{}", e.id);
        }
    }

    #[test]
    fn slots_are_filled_and_other_braces_stay() {
        let one = BTreeMap::from([("n", "3"), ("m", "{{n}}")]);
        let value = |name: &str| one.get(name).copied();
        assert_eq!(fill("{{n}} {{\"a\": {{n}}}}", &value).unwrap(), "3 {{\"a\": 3}}");
        assert_eq!(fill("{{missing}}", &value), None);
        assert_eq!(fill("{{m}}", &value).unwrap(), "{{n}}");
    }

    #[test]
    fn a_wrong_file_is_named() {
        for (file, text, says) in [
            ("EQ-99-x.toml", "id = 3", "EQ-99-x.toml"),
            (
                "EQ-99-x.toml",
                &EMBEDDED[0].1.replace("equality", "skip").replace("answer-leak", "skip"),
                "begin with SK",
            ),
            ("EQ-99-x.toml", EMBEDDED[0].1, "begin with its id"),
        ] {
            let error = parse(file, text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
