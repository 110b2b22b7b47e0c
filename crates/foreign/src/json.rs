//! What can be told of a JSON text without reading it into values.

/// About how many values a JSON text holds, never fewer: one more than there are commas and brackets outside strings.
/// In memory a value takes far more than the two bytes that it may take in the text.
pub fn json_values(text: impl AsRef<[u8]>) -> usize {
    let mut count = 1;
    scan(text.as_ref(), |byte, _| count += usize::from(matches!(byte, b',' | b'[' | b'{')));
    count
}

/// The field in which a JSON text breaks off, for the error of a parser that knows line and column alone (both counted
/// from 1, the column in bytes): the innermost one whose value begins before that place.
pub fn json_field(text: &str, line: usize, column: usize) -> Option<&str> {
    let lines: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = lines.saturating_add(column).min(text.len());
    // The name before the value that is being read, for each bracket that is open.
    let mut fields: Vec<Option<(usize, usize)>> = Vec::new();
    let mut string = None;
    scan(&text.as_bytes()[..end], |byte, place| match (byte, fields.last_mut()) {
        (b'{' | b'[', _) => fields.push(None),
        (b'}' | b']', _) => drop(fields.pop()),
        (b'"', _) => string = Some(place),
        (b':', Some(field)) => *field = string.take(),
        (b',', Some(field)) => *field = None,
        _ => {}
    });
    let (start, end) = fields.into_iter().rev().flatten().next()?;
    text.get(start..end)
}

/// Calls `mark` with each byte that means something outside strings and where it stands, and with `"` and the place
/// within the quotes for each string that ends.
fn scan(text: &[u8], mut mark: impl FnMut(u8, (usize, usize))) {
    let (mut at, mut begun) = (0, None);
    while let Some(byte) = text.get(at) {
        match (byte, begun) {
            (b'"', Some(start)) => {
                mark(b'"', (start, at));
                begun = None;
            }
            (b'\\', Some(_)) => at += 1,
            (_, Some(_)) => {}
            (b'"', None) => begun = Some(at + 1),
            (byte, None) => mark(*byte, (at, at + 1)),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_strings() {
        assert_eq!(json_values("1"), 1);
        assert_eq!(json_values(r#"{"a,b": [1, "\"],,", 3]}"#), 5);
        assert!(json_values(format!("[{}1]", "1,".repeat(999))) >= 1000);
    }

    #[test]
    fn the_field_is_the_one_that_breaks_off() {
        let field = |text, line, column| json_field(text, line, column).unwrap_or("-");
        let text = r#"{"a": {"b": [1, 2]}, "c\"d": NaN, "e": 1}"#;
        assert_eq!(field(text, 1, text.find("NaN").unwrap() + 1), r#"c\"d"#);
        assert_eq!(field(text, 1, text.find('2').unwrap() + 1), "b");
        assert_eq!(field("{\n\"a\": 1,\n\"b\": x}", 3, 6), "b");
        for (text, column) in [("[1, x]", 5), ("{\"a\": 1, x", 10), ("", 0), ("}}:", 3), ("{\"a", 9)] {
            assert_eq!(field(text, 1, column), "-", "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_any_place(text in "[\\[\\]{}:,\"\\\\aü\n]{0,30}", line in 0usize..5, column in 0usize..40) {
            let _ = json_field(&text, line, column);
            proptest::prop_assert!(json_values(&text) <= text.len() + 1);
        }
    }
}
