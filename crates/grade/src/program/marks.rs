//! What a spied run says of itself: lines with a nonce.

/// What the marks of a run say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    pub started: usize,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub equal_to_anything: usize,
    /// `SystemExit` left the grader's body.
    pub system_exit: bool,
    /// Another exception did.
    pub raised: bool,
    /// `pytest.exit` or an interrupt ended the tests.
    pub interrupted: bool,
    /// The grader's cases are not what they were.
    pub cases_changed: bool,
    /// A built-in function was replaced, or its name taken.
    pub built_in_changed: bool,
    /// The status the framework wanted to end with.
    pub status: Option<usize>,
    /// The grader reached its end, with this many tests run.
    pub end: Option<usize>,
}

impl Marks {
    /// Takes the marks out of an output; the rest is what the grader said.
    pub fn read(stdout: &[u8], nonce: &str) -> (Marks, String) {
        let text = String::from_utf8_lossy(stdout);
        let head = format!("@{nonce} ");
        let (mut marks, mut rest) = (Marks::default(), String::new());
        for line in text.lines() {
            let Some(mark) = line.strip_prefix(&head) else {
                rest.push_str(line);
                rest.push('\n');
                continue;
            };
            let (kind, n) = mark.split_once(' ').unwrap_or((mark, "0"));
            match kind {
                "s" => marks.started += 1,
                "p" => marks.passed += 1,
                "x" => marks.failed += 1,
                "k" => marks.skipped += 1,
                "q" => marks.equal_to_anything += 1,
                "S" => marks.system_exit = true,
                "E" => marks.raised = true,
                "I" => marks.interrupted = true,
                "c" => marks.cases_changed = true,
                "b" => marks.built_in_changed = true,
                "r" => marks.status = n.parse().ok(),
                "end" => marks.end = n.parse().ok(),
                _ => {}
            }
        }
        (marks, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_output() {
        let out = b"hello\n@n0 s 0\n\n@n0 x 0\n@n1 end 3\n@n0 end 3\n";
        let (marks, rest) = Marks::read(out, "n0");
        assert_eq!((marks.started, marks.failed, marks.end), (1, 1, Some(3)));
        assert_eq!(rest, "hello\n\n@n1 end 3\n");
    }
}
