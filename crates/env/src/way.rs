//! How a grader that was not made here wants its answers: found out with the reference, which it must pay.

use crate::foreign::{Asked, Caller, Form};
use crate::row::Row;
use crate::{Control, EnvError, Surface};
use std::sync::Arc;

/// How an answer is wrapped before the grader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// In the form that the environment says it wants: what comes before the answer, and what after it.
    Own(Arc<(String, String)>),
    Plain,
    Fence,
    Answer,
    Boxed,
    Hashes,
    Sentence,
    Shouted,
    BoxedAnswer,
    FencedAnswer,
    AnswerOfTwo,
    AnswerLines,
    AnswerAlone,
}

impl Wrap {
    /// Those that are tried for a row: what it says itself first, then those for code, or for texts.
    fn all(row: &Row) -> Vec<Wrap> {
        let own = row.package.forms.iter().filter_map(|form| {
            let (before, after) = form.split_once('@')?;
            Some(Wrap::Own(Arc::new((before.into(), after.into()))))
        });
        own.chain(Self::usual(row.surface).iter().cloned()).collect()
    }

    fn usual(surface: Surface) -> &'static [Wrap] {
        match surface {
            Surface::Text => &[
                Wrap::Plain,
                Wrap::Answer,
                Wrap::Boxed,
                Wrap::Hashes,
                Wrap::Fence,
                Wrap::Sentence,
                Wrap::Shouted,
                Wrap::BoxedAnswer,
                Wrap::AnswerOfTwo,
                Wrap::AnswerLines,
                Wrap::AnswerAlone,
            ],
            _ => &[Wrap::Plain, Wrap::Fence, Wrap::FencedAnswer, Wrap::Answer],
        }
    }

    /// What a submission is handed in as. A text ends without a new line, as completions do.
    pub(crate) fn around(&self, text: &str, surface: Surface) -> String {
        let wrapped = self.lines_around(text, surface);
        if surface == Surface::Text { wrapped.trim_end_matches('\n').into() } else { wrapped }
    }

    fn lines_around(&self, text: &str, surface: Surface) -> String {
        let text = text.trim_end_matches('\n');
        let fence = if let Surface::Code(language) = surface { language.name() } else { "python" };
        match self {
            Wrap::Own(form) => format!("{}{text}{}\n", form.0, form.1),
            Wrap::Plain => format!("{text}\n"),
            Wrap::Fence => format!("```{fence}\n{text}\n```\n"),
            Wrap::Answer => format!("<think>\nA thought.\n</think>\n<answer>{text}</answer>\n"),
            Wrap::Boxed => format!("\\boxed{{{text}}}\n"),
            Wrap::Hashes => format!("#### {text}\n"),
            Wrap::Sentence => format!("Answer: {text}\n"),
            Wrap::Shouted => format!("ANSWER: {text}\n"),
            Wrap::BoxedAnswer => format!("<think>\nA thought.\n</think>\n<answer>\n\\boxed{{{text}}}\n</answer>\n"),
            Wrap::FencedAnswer => {
                format!("<think>\nA thought.\n</think>\n<answer>\n```{fence}\n{text}\n```\n</answer>\n")
            }
            Wrap::AnswerLines => format!("<think>\nA thought.\n</think>\n<answer>\n{text}\n</answer>\n"),
            Wrap::AnswerAlone => format!("<answer>{text}</answer>\n"),
            Wrap::AnswerOfTwo => format!("<answer> and </answer>\n<answer>{text}</answer>\n"),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Wrap::Own(_) => "in the form that its parser wants",
            Wrap::Plain => "as they are",
            Wrap::Fence => "in a fenced block",
            Wrap::Answer => "in <answer> tags",
            Wrap::Boxed => "in \\boxed{}",
            Wrap::Hashes => "after ####",
            Wrap::Sentence => "after \"Answer:\"",
            Wrap::Shouted => "after \"ANSWER:\"",
            Wrap::BoxedAnswer => "in \\boxed{} in <answer> tags",
            Wrap::FencedAnswer => "in a fenced block in <answer> tags",
            Wrap::AnswerLines => "in <answer> tags on lines of their own",
            Wrap::AnswerAlone => "in <answer> tags and nothing else",
            Wrap::AnswerOfTwo => "in <answer> tags after others",
        }
    }
}

/// How another accepted answer is called, and the most of them that are handed in.
const ANOTHER: &str = "another answer that its row accepts";
const MOST_OTHERS: usize = 8;

/// How submissions are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub wrap: Wrap,
    pub form: Form,
    /// The other completions of the prompt, where the pay of one depends on them.
    pub mates: Vec<String>,
}

/// What is looked for with a way: the reference and a wrong answer.
struct Search<'a> {
    caller: &'a dyn Caller,
    row: &'a Row,
    honest: String,
    wrong: String,
    constant: String,
}

impl Way {
    /// The first in which the reference is paid more than a wrong answer, else the one in which it is paid most.
    pub(crate) fn found(caller: &dyn Caller, row: &Row, controls: &[Control]) -> Result<Way, EnvError> {
        let text = |name: &str| {
            controls.iter().find(|c| c.name == name).and_then(|c| c.files.values().next()).cloned().unwrap_or_default()
        };
        let (honest, wrong, constant) = (text("honest"), text("wrong"), text("constant"));
        let search = Search { caller, row, honest, wrong, constant };
        let alone = search.best(&[])?;
        if caller.groups() {
            let first = Way { wrap: Wrap::Plain, form: caller.forms(row)[0], mates: Vec::new() };
            if search.depends(alone.as_ref().map_or(&first, |(way, _)| way))? {
                let (mut better, mut paid) = (None, None);
                for group in search.groups() {
                    match search.best(&group)? {
                        Some((way, true)) if better.is_none() => better = Some(way),
                        Some((way, _)) => paid = paid.or(Some(way)),
                        None => {}
                    }
                }
                if let Some(way) = better.or(paid) {
                    return Ok(way);
                }
            }
            return Ok(alone.map_or(first, |(way, _)| way));
        }
        let first = caller.forms(row).first().copied().unwrap_or_default();
        Ok(alone.map_or(Way { wrap: Wrap::Plain, form: first, mates: Vec::new() }, |(way, _)| way))
    }

    /// The question about a text.
    pub(crate) fn asks<'a>(&'a self, text: &'a str, row: &'a Row) -> Asked<'a> {
        Asked { text, row, form: self.form, mates: &self.mates, alike: true }
    }

    /// For a reader.
    pub(crate) fn name(&self) -> String {
        let chat = if self.form.chat { ", as a conversation" } else { "" };
        let group = match self.mates.len() {
            0 => String::new(),
            n => format!(", in a group of {}: among other answers, and all alike", n + 1),
        };
        format!("{}{chat}{group}", self.wrap.name())
    }

    /// The same answer in forms that people and models give it too.
    pub(crate) fn others(&self, row: &Row) -> Vec<(&'static str, String)> {
        let reference = row.reference.trim_end_matches('\n');
        let mut out: Vec<(&'static str, String)> = match row.surface {
            Surface::Text => {
                let wraps = [Wrap::Plain, Wrap::Answer, Wrap::Boxed, Wrap::Fence, Wrap::Sentence];
                wraps.iter().map(|w| (w.name(), w.around(reference, row.surface))).collect()
            }
            _ => {
                let fenced = Wrap::Fence.around(reference, row.surface);
                vec![
                    (Wrap::Plain.name(), Wrap::Plain.around(reference, row.surface)),
                    (Wrap::Fence.name(), fenced.clone()),
                    (
                        "in a fenced block between sentences",
                        format!("Here is my solution:\n\n{fenced}\nIt does what was asked for.\n"),
                    ),
                    ("in a fenced block after a thought", format!("<think>\nLet me see.\n</think>\n{fenced}")),
                ]
            }
        };
        if row.surface == Surface::Text
            && let Ok(number) = reference.trim().parse::<f64>()
        {
            let mut add = |name, text: String| out.push((name, self.wrap.around(&text, row.surface)));
            if number.fract() == 0.0 && !reference.contains('.') {
                add("with a decimal point", format!("{reference}.0"));
            }
            add("with blanks around it", format!(" {reference} "));
            add("in dollars, as TeX has it", format!("${reference}$"));
            if let Some(text) = grouped(reference) {
                add("with its thousands in groups", text);
            }
        }
        let others = row.accepted.iter().filter(|answer| **answer != row.reference).take(MOST_OTHERS);
        out.extend(others.map(|answer| (ANOTHER, self.wrap.around(answer, row.surface))));
        let own = self.wrap.around(reference, row.surface);
        out.retain(|(_, text)| *text != own);
        out
    }
}

impl Search<'_> {
    fn pay(&self, way: &Way, text: &str, alike: bool) -> Result<Option<f64>, EnvError> {
        let text = way.wrap.around(text, self.row.surface);
        let asked = Asked { alike, ..way.asks(&text, self.row) };
        Ok(self.caller.call(&asked)?.reward)
    }

    /// The first way in which the reference is paid more than a wrong answer (`true`), else the first in which it is
    /// paid; among these other completions, which are wrapped as it is.
    fn best(&self, group: &[&str]) -> Result<Option<(Way, bool)>, EnvError> {
        let mut right: Option<(f64, Way)> = None;
        let mut paid_most: Option<(f64, Way)> = None;
        // Where a reward has parts, the first way in which one of them is paid need not be the one that is wanted.
        let enough = |paid: f64| self.row.package.most.is_none_or(|most| paid >= most - 1e-9);
        for &form in self.caller.forms(self.row) {
            for wrap in Wrap::all(self.row) {
                let mates = group.iter().map(|text| wrap.around(text, self.row.surface)).collect();
                let way = Way { wrap, form, mates };
                // A grader that hangs is not asked again where nothing can come of it.
                let Some(paid) = self.pay(&way, &self.honest, true)? else { continue };
                if right.as_ref().is_some_and(|(most, _)| paid <= *most) {
                    continue;
                }
                if self.pay(&way, &self.wrong, true)?.is_none_or(|wrong| paid > wrong) {
                    if enough(paid) {
                        return Ok(Some((way, true)));
                    }
                    right = Some((paid, way));
                } else if paid > paid_most.as_ref().map_or(0.0, |(most, _)| *most) {
                    paid_most = Some((paid, way));
                }
            }
        }
        let best = right.map(|(_, way)| (way, true));
        Ok(best.or(paid_most.map(|(_, way)| (way, false))))
    }

    /// The groups that are tried: a row's own completions, most of them right, none of them right.
    fn groups(&self) -> Vec<Vec<&str>> {
        let (honest, wrong, constant) = (self.honest.as_str(), self.wrong.as_str(), self.constant.as_str());
        let own = ["completions", "responses", "generations"].iter().find_map(|n| self.row.fields.get(*n)?.as_array());
        let own: Vec<&str> = own.into_iter().flatten().filter_map(|v| v.as_str()).take(15).collect();
        let mut all = vec![own, vec![honest, constant, honest], vec![wrong, constant, self.row.prompt.as_str()]];
        all.retain(|group| !group.is_empty());
        all
    }

    /// Whether what is paid for one completion depends on the others.
    fn depends(&self, alone: &Way) -> Result<bool, EnvError> {
        for text in [&self.honest, &self.wrong] {
            let paid = self.pay(alone, text, false)?;
            for group in self.groups() {
                let mates = group.iter().map(|t| alone.wrap.around(t, self.row.surface)).collect();
                if self.pay(&Way { mates, ..alone.clone() }, text, false)? != paid {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// `12345` as `12,345`; nothing for a short number.
fn grouped(number: &str) -> Option<String> {
    let digits = number.trim();
    if digits.len() < 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    Some(out)
}
