//! Right and wrong answers of a row that asks for a text: whether a text gives one that is accepted, and controls that
//! give none.

use crate::row::Row;
use crate::way::Wrap;
use crate::{Control, Surface, single};

/// What parts the turns of a submission that is said in several.
pub(crate) const TURN: &str = "<|turn|>";

/// Forms in which an answer stands in a text.
const FORMS: [(&str, &str); 4] = [("<answer>", "</answer>"), ("\\boxed{", "}"), ("#### ", ""), ("```python\n", "```")];

/// Whether a text gives an accepted answer: as the whole of its last turn, or as the only answer in one of the usual
/// forms or in the one that is asked for.
pub(crate) fn is_right(text: &str, row: &Row, wrap: &Wrap) -> bool {
    let said = text.rsplit(TURN).next().unwrap_or(text);
    row.accepted.iter().any(|answer| gives(said, answer, wrap))
}

fn gives(text: &str, answer: &str, wrap: &Wrap) -> bool {
    let same = |a: &str, b: &str| {
        let (a, b) = (a.trim(), b.trim());
        a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
    };
    let only = |open: &str, close: &str| {
        let mut found = text.match_indices(open).map(|(i, _)| &text[i + open.len()..]);
        let (first, more) = (found.next()?, found.next().is_some());
        let inner = if close.is_empty() { first.lines().next()? } else { first.split_once(close)?.0 };
        (!more).then_some(inner)
    };
    let own = match wrap {
        Wrap::Own(form) => Some((form.0.as_str(), form.1.as_str())),
        _ => None,
    };
    same(text, answer)
        || FORMS.iter().copied().chain(own).any(|(o, c)| only(o, c).is_some_and(|inner| same(inner, answer)))
}

/// The reference, and texts that deserve nothing: none of them is an answer that is accepted.
pub(crate) fn controls(row: &Row) -> Vec<Control> {
    let right = |text: &str| row.accepted.iter().any(|answer| gives(text, answer, &Wrap::Plain));
    let reference = row.reference.as_str();
    let wrong = match reference.trim().parse::<f64>() {
        Ok(number) => (1..).map(|more| format!("{}", number + f64::from(more))).find(|text| !right(text)),
        Err(_) => {
            let turned = || reference.chars().rev().map(|c| if c == 'x' { 'y' } else { c });
            (1..).map(|more| turned().chain(std::iter::repeat_n('x', more)).collect::<String>()).find(|t| !right(t))
        }
    };
    let constant = ["ok", "none", "x"].into_iter().find(|text| !right(text)).unwrap_or("-");
    let texts = [
        ("honest", row.reference.clone()),
        ("empty", String::new()),
        ("constant", constant.into()),
        ("echo", row.prompt.clone()),
        ("wrong", wrong.unwrap_or_default()),
    ];
    texts.into_iter().map(|(name, text)| Control { name, files: single(Surface::Text, text) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn row(answer: Value) -> Row {
        let fields = json!({"prompt": "q", "answer": answer});
        Row::of(fields.as_object().unwrap().clone(), None)
    }

    #[test]
    fn only_a_single_answer_is_one() {
        for (text, answer, right) in [
            ("42\n", "42", true),
            ("42.0", "42", true),
            ("so <answer> 42 </answer>", "42", true),
            ("<answer>41</answer><answer>42</answer>", "42", false),
            ("\\boxed{42}", "42", true),
            ("0 1 2 42", "42", false),
            ("x\n#### 42\n", "42", true),
            ("41\n<|turn|>\n42", "42", true),
            ("42\n<|turn|>\n41", "42", false),
        ] {
            assert_eq!(is_right(text, &row(json!(answer)), &Wrap::Plain), right, "{text}");
        }
        let own = Wrap::Own(Arc::new(("<guess>".into(), "</guess>".into())));
        assert!(is_right("<guess>42</guess>", &row(json!("42")), &own));
        assert!(!is_right("<guess>42</guess>", &row(json!("42")), &Wrap::Plain));
    }

    #[test]
    fn each_of_several_answers_is_right_and_no_control_gives_one() {
        let row = row(json!(["42", 43, "44.0", "ok"]));
        assert_eq!((row.reference.as_str(), row.accepted.len()), ("42", 4));
        for (text, right) in [("42", true), ("\\boxed{43}", true), ("44", true), ("ok", true), ("45", false)] {
            assert_eq!(is_right(text, &row, &Wrap::Plain), right, "{text}");
        }
        let text =
            |name: &str| controls(&row).into_iter().find(|c| c.name == name).unwrap().files["answer.txt"].clone();
        assert_eq!((text("wrong").as_str(), text("constant").as_str()), ("45", "none"));
    }
}
