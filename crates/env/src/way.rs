//! How a grader that was not made here wants its answers: found out with the reference, which it must pay.

use crate::foreign::Caller;
use crate::row::Row;
use crate::{Control, EnvError, Surface};

/// How an answer is wrapped before the grader finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    Plain,
    Fence,
    Answer,
    Boxed,
    Hashes,
    Sentence,
    BoxedAnswer,
    FencedAnswer,
    AnswerOfTwo,
}

impl Wrap {
    /// Those that are tried for code, or for texts.
    fn all(surface: Surface) -> &'static [Wrap] {
        match surface {
            Surface::Text => &[
                Wrap::Plain,
                Wrap::Answer,
                Wrap::Boxed,
                Wrap::Hashes,
                Wrap::Fence,
                Wrap::Sentence,
                Wrap::BoxedAnswer,
                Wrap::AnswerOfTwo,
            ],
            _ => &[Wrap::Plain, Wrap::Fence, Wrap::FencedAnswer, Wrap::Answer],
        }
    }

    pub(crate) fn around(self, text: &str, surface: Surface) -> String {
        let text = text.trim_end_matches('\n');
        let fence = if surface == Surface::C { "c" } else { "python" };
        match self {
            Wrap::Plain => format!("{text}\n"),
            Wrap::Fence => format!("```{fence}\n{text}\n```\n"),
            Wrap::Answer => format!("<think>\nA thought.\n</think>\n<answer>{text}</answer>\n"),
            Wrap::Boxed => format!("\\boxed{{{text}}}\n"),
            Wrap::Hashes => format!("#### {text}\n"),
            Wrap::Sentence => format!("Answer: {text}\n"),
            Wrap::BoxedAnswer => format!("<think>\nA thought.\n</think>\n<answer>\n\\boxed{{{text}}}\n</answer>\n"),
            Wrap::FencedAnswer => {
                format!("<think>\nA thought.\n</think>\n<answer>\n```{fence}\n{text}\n```\n</answer>\n")
            }
            Wrap::AnswerOfTwo => format!("<answer> and </answer>\n<answer>{text}</answer>\n"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Wrap::Plain => "as they are",
            Wrap::Fence => "in a fenced block",
            Wrap::Answer => "in <answer> tags",
            Wrap::Boxed => "in \\boxed{}",
            Wrap::Hashes => "after ####",
            Wrap::Sentence => "after \"Answer:\"",
            Wrap::BoxedAnswer => "in \\boxed{} in <answer> tags",
            Wrap::FencedAnswer => "in a fenced block in <answer> tags",
            Wrap::AnswerOfTwo => "in <answer> tags after others",
        }
    }
}

/// How submissions are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub wrap: Wrap,
    /// As a conversation instead of a string.
    pub chat: bool,
}

impl Way {
    /// The first in which the reference is paid more than a wrong answer, else the first in which it is paid.
    pub(crate) fn found(caller: &dyn Caller, row: &Row, controls: &[Control]) -> Result<Way, EnvError> {
        let text = |name: &str| {
            controls.iter().find(|c| c.name == name).and_then(|c| c.files.values().next()).cloned().unwrap_or_default()
        };
        let (honest, wrong) = (text("honest"), text("wrong"));
        let mut paid_at_all = None;
        for &chat in caller.chats(row) {
            for &wrap in Wrap::all(row.surface) {
                let way = Way { wrap, chat };
                let pay = |text: &str| caller.call(&wrap.around(text, row.surface), row, chat).map(|p| p.reward);
                // A grader that hangs is not asked again where nothing can come of it.
                let Some(paid) = pay(&honest)? else { continue };
                if pay(&wrong)?.is_none_or(|wrong| paid > wrong) {
                    return Ok(way);
                }
                if paid > 0.0 {
                    paid_at_all.get_or_insert(way);
                }
            }
        }
        Ok(paid_at_all.unwrap_or(Way { wrap: Wrap::Plain, chat: caller.chats(row).first().copied().unwrap_or(false) }))
    }

    /// For a reader.
    pub(crate) fn name(self) -> String {
        format!("{}{}", self.wrap.name(), if self.chat { ", as a conversation" } else { "" })
    }

    /// The same answer in forms that people and models give it too.
    pub(crate) fn others(self, row: &Row) -> Vec<(&'static str, String)> {
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
        let own = self.wrap.around(reference, row.surface);
        out.retain(|(_, text)| *text != own);
        out
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
