//! The questions of a sample made ready.

use std::collections::BTreeMap;

use loophole_template::{Draw, TemplateError};

use super::wording;
use crate::scenario::{Ask, Field, Form, Order, Scenario};

/// A conversation of questions, ready.
pub(crate) struct Questions {
    pub name: String,
    pub from: Option<String>,
    pub system: Option<String>,
    pub asks: Vec<Question>,
}

/// A question, ready.
pub(crate) struct Question {
    pub name: String,
    pub text: String,
    pub form: Form,
    /// Name and text of each option, in the order listed.
    pub options: Vec<(String, String)>,
    pub fields: Vec<Field>,
    /// What the hidden programs hold that are to be flagged; empty where they are a set of their own.
    pub marks: Vec<String>,
    pub mock: BTreeMap<String, String>,
}

impl Question {
    /// The name of a field's content.
    pub fn field(&self, field: &Field) -> String {
        format!("{}.{}", self.name, field.name)
    }
}

/// The conversations of an arm.
pub(super) fn branches(
    scenario: &Scenario,
    arm: &str,
    draw: &mut Draw,
    template: usize,
) -> Result<Vec<Questions>, TemplateError> {
    let turned = draw.rng().bool();
    let least = scenario.manner.wordings;
    let mut out = Vec::new();
    for branch in scenario.branches_of(arm) {
        for (slot, text) in &branch.set {
            let text = draw.fill(text)?;
            draw.set(slot, text);
        }
        let asks =
            branch.ask.iter().map(|ask| question(ask, draw, (template, least), turned)).collect::<Result<_, _>>()?;
        let system = wording(&branch.system, template, (branch.like.as_ref().unwrap_or(&branch.name), least))
            .map(|text| draw.fill(text))
            .transpose()?;
        out.push(Questions { name: branch.name.clone(), from: branch.from.clone(), system, asks });
    }
    Ok(out)
}

fn question(
    ask: &Ask,
    draw: &mut Draw,
    (template, least): (usize, usize),
    turned: bool,
) -> Result<Question, TemplateError> {
    let mut options = Vec::new();
    for (name, text) in &ask.options {
        options.push((name.clone(), draw.fill(text)?));
    }
    if turned != (ask.order == Order::Turned) {
        options.reverse();
    }
    let listed: Vec<&str> = options.iter().map(|(_, text)| text.as_str()).collect();
    draw.set("options", listed.join(" or "));
    for (slot, text) in ["one", "two"].into_iter().zip(&listed) {
        draw.set(slot, *text);
    }
    let lettered: Vec<String> = ('A'..).zip(&options).map(|(letter, (_, text))| format!("{letter}) {text}")).collect();
    draw.set("lettered", lettered.join("\n"));
    let text = wording(&ask.says, template, (&ask.name, least)).map(|text| draw.fill(text)).transpose()?;
    let mut marks = Vec::new();
    if let Some(slot) = &ask.marks {
        marks = vec![draw.value(&format!("{slot}.0"))?, draw.value(&format!("{slot}.1"))?];
    }
    let mut mock = BTreeMap::new();
    for (character, answer) in &ask.mock {
        let option = options.iter().find(|(name, _)| name == answer).map(|(_, text)| text.clone());
        mock.insert(
            character.clone(),
            match option {
                Some(text) => text,
                None => draw.fill(answer)?,
            },
        );
    }
    Ok(Question {
        name: ask.name.clone(),
        text: text.unwrap_or_default(),
        form: ask.form,
        options,
        fields: ask.fields.clone(),
        marks,
        mock,
    })
}
