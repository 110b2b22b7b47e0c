//! Why a submission is not paid, in words.

use crate::grading::GradeError;
use crate::kind::PaidBy;
use crate::runner::{GraderRun, Trial};
use crate::task::Task;
use loophole_cell as cell;

/// How long a reason may be.
const LONGEST: usize = 240;

impl Trial<'_> {
    /// What a grader that did not pay said last, with where that was, or the first case that failed.
    pub(super) fn why_unpaid(self, g: &GraderRun) -> Result<Vec<String>, GradeError> {
        let Trial { lab, task, grader, entry } = self;
        let reason = reason(&g.output, task);
        // What a limit ended is told by that limit: what was printed before may say anything.
        let limit = match g.ended {
            cell::Verdict::Cpu | cell::Verdict::Wall | cell::Verdict::Output => lab.ended_by(g.ended),
            _ => None,
        };
        if let Some(limit) = limit {
            let place = reason.filter(|reason| g.ended == cell::Verdict::Output && *reason != limit);
            return Ok([limit].into_iter().chain(place).collect());
        }
        if let Some(case) = reason_of_case(&g.output) {
            return Ok(vec![case]);
        }
        let silent = matches!(reason.as_deref(), None | Some("AssertionError"));
        if silent && grader.kind.about().paid_by == PaidBy::Line && g.ended == cell::Verdict::Exit {
            // What its tests said lies in a log that is gone.
            let answers = lab.oracle(task, grader, entry)?;
            if !answers.differences.is_empty() {
                return Ok(answers.differences);
            }
        }
        if g.early && reason.is_none() {
            return Ok(vec!["the process ended before the grader did".into()]);
        }
        Ok(vec![reason.unwrap_or_else(|| "the grader ended without paying and without a word".into())])
    }
}

/// The first case that failed, as the assertion of a grader tells it.
fn reason_of_case(output: &str) -> Option<String> {
    let line = output.lines().find_map(|line| line.split_once("AssertionError: for ").map(|(_, rest)| rest))?;
    Some(clip(&format!("for {}", line.trim_end_matches(['"', '\'', ')']))))
}

/// What an output says went wrong: its last line, and where a traceback before it points.
fn reason(output: &str, task: &Task) -> Option<String> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    // pytest tells what failed after an `E`.
    if let Some(said) = lines.iter().find_map(|line| line.strip_prefix("E   ")) {
        return Some(clip(said.trim()));
    }
    // unittest ends with its counts.
    let error = |line: &&&str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        !line.starts_with(' ') && (name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("Exit"))
    };
    let last = lines.iter().rev().find(error).or(lines.last())?.trim();
    let missing = format!("has no attribute '{}'", task.entry_name());
    if last.starts_with("AttributeError") && last.contains("'solution'") && last.contains(&missing) {
        return Some(format!("it defines no `{}`", task.entry_point().unwrap_or_default()));
    }
    let place = lines.iter().enumerate().rev().find_map(|(at, line)| {
        let rest = line.trim_start().strip_prefix("File \"")?;
        let (file, rest) = rest.split_once("\", line ")?;
        let number: usize = rest.split(',').next()?.trim().parse().ok()?;
        let number = number.saturating_sub(task.lines_before()).max(1);
        let name = file.rsplit('/').next()?;
        let code = lines.get(at + 1).map(|code| code.trim()).filter(|code| !code.starts_with("File \""));
        ["solution.py", "program.py"].contains(&name).then(|| (number, code.unwrap_or_default()))
    });
    Some(clip(&match place {
        Some((number, "")) => format!("{last} (line {number})"),
        Some((number, code)) if code != last => format!("{last} (line {number}: `{code}`)"),
        Some((number, _)) => format!("{last} (line {number})"),
        None => last.to_string(),
    }))
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_in_what_graders_say() {
        let task = Task::new("t", crate::task::TaskForm::function("f", Vec::new()));
        for (output, says) in [
            ("", None),
            (
                "Traceback (most recent call last):\n  File \"<program>\", line 5, in <module>\n  File \"/box/solution.py\", line 2\n    retrun 1\n           ^\nSyntaxError: invalid syntax\n",
                Some("SyntaxError: invalid syntax (line 2: `retrun 1`)"),
            ),
            ("AttributeError: module 'solution' has no attribute 'f'\n", Some("it defines no `f`")),
            ("AssertionError\n", Some("AssertionError")),
            (
                "  File \"program.py\", line 9, in check\n    assert candidate(1) == 2\n           ^^^\nAssertionError\n",
                Some("AssertionError (line 9: `assert candidate(1) == 2`)"),
            ),
            ("x\nE   assert 3 == 4\nE    + where\n1 failed\n", Some("assert 3 == 4")),
            (
                "AssertionError: 1 != 2\n\n-----\nRan 1 test in 0.0s\n\nFAILED (failures=1)\n",
                Some("AssertionError: 1 != 2"),
            ),
        ] {
            assert_eq!(reason(output, &task).as_deref(), says);
        }
        assert_eq!(
            reason_of_case("Traceback\nAssertionError: for (3,): 4 where 9 was expected\n").as_deref(),
            Some("for (3,): 4 where 9 was expected")
        );
    }
}
