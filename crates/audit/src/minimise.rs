//! Makes a paid submission smaller while it stays paid: first whole files, then ever smaller blocks of lines.

use crate::AuditError;
use loophole_env::Files;

/// A smaller submission that `pays` too, found in at most so many `tries`; `main` is the file that must exist (it may
/// become empty).
pub fn minimise(
    files: &Files,
    main: &str,
    tries: usize,
    pays: impl Fn(&Files) -> Result<bool, AuditError>,
) -> Result<Files, AuditError> {
    let mut left = tries;
    let mut best = files.clone();
    let mut try_it = |candidate: &Files| -> Result<bool, AuditError> {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        pays(candidate)
    };
    for name in files.keys().filter(|n| *n != main) {
        let mut candidate = best.clone();
        candidate.remove(name);
        if try_it(&candidate)? {
            best = candidate;
        }
    }
    let names: Vec<String> = best.keys().cloned().collect();
    for name in names {
        let mut size = best[&name].lines().count().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            loop {
                let lines: Vec<&str> = best[&name].lines().collect();
                if from >= lines.len() {
                    break;
                }
                let to = (from + size).min(lines.len());
                let mut text: String = lines[..from].iter().chain(&lines[to..]).map(|l| format!("{l}\n")).collect();
                if text.trim().is_empty() {
                    text.clear();
                }
                let broken = name.ends_with(".py") && is_broken(&text);
                let mut candidate = best.clone();
                candidate.insert(name.clone(), text);
                if !broken && try_it(&candidate)? {
                    best = candidate;
                } else {
                    from = to;
                }
            }
            if size == 1 {
                break;
            }
            size /= 2;
        }
    }
    Ok(best)
}

/// Whether a piece of Python cannot be compiled, as far as its lines tell: a block without a line in it, or a line
/// deeper than its block. (Where brackets or long texts deceive, a proof is a little longer than it might be.)
fn is_broken(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let opens = |line: &str| line.trim_end().ends_with(':');
    let goes_on = |line: &str| line.trim_end().ends_with(['(', '[', '{', ',', '\\', '"', '\'']);
    let first = lines.first().is_some_and(|l| depth(l) > 0);
    let last = lines.last().is_some_and(|l| opens(l));
    let within = lines.windows(2).any(|pair| {
        let deeper = depth(pair[1]) > depth(pair[0]);
        deeper != opens(pair[0]) && !(deeper && goes_on(pair[0]))
    });
    first || last || within
}

/// Whether a submission lies within another one: it has the same files or fewer, and of each the same lines, in the
/// same order, or fewer.
pub fn within(small: &Files, large: &Files) -> bool {
    small.iter().all(|(name, text)| {
        large.get(name).is_some_and(|whole| {
            let mut lines = whole.lines();
            text.lines().all(|wanted| lines.any(|line| line == wanted))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_goes() {
        let files = Files::from([
            ("solution.py".to_string(), "a\nb\nkey\nc\nd\n".to_string()),
            ("extra.py".to_string(), "x\n".to_string()),
        ]);
        let small = minimise(&files, "solution.py", 48, |f| Ok(f["solution.py"].contains("key"))).unwrap();
        assert_eq!(small, Files::from([("solution.py".to_string(), "key\n".to_string())]));
    }

    #[test]
    fn what_cannot_be_compiled_is_not_tried() {
        for broken in ["def f():\n", "def f():\nreturn 1\n", "    x = 1\n", "x = 1\n    y = 2\n", "if a:\n\n\nb()\n"] {
            assert!(is_broken(broken), "{broken}");
        }
        for sound in ["", "def f():\n    return 1\n\nx = f(\n    1)\n", "class A: pass\nwhile 1:\n  if 2:\n    pass\n"]
        {
            assert!(!is_broken(sound), "{sound}");
        }
    }

    #[test]
    fn lines_in_order_are_within() {
        let of = |text: &str| Files::from([("a".to_string(), text.to_string())]);
        assert!(within(&of("1\n3\n"), &of("1\n2\n3\n")));
        assert!(!within(&of("3\n1\n"), &of("1\n2\n3\n")));
        assert!(!within(&of("1\n"), &Files::new()));
    }

    #[test]
    fn it_stops_after_so_many_tries() {
        let text: String = (0..1000).map(|i| format!("{i}\n")).collect();
        let files = Files::from([("solution.py".to_string(), text)]);
        let count = std::cell::Cell::new(0);
        let pays = |_: &Files| {
            count.set(count.get() + 1);
            Ok(false)
        };
        assert_eq!(minimise(&files, "solution.py", 40, pays).unwrap(), files);
        assert_eq!(count.get(), 40);
    }
}
