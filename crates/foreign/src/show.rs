//! Texts on their way to a terminal, a page or a log.
//!
//! A terminal obeys control characters: they clear it, rename its window, write to the clipboard. Characters that
//! turn the direction of writing or are not drawn let one text look like another. All of them are shown instead.

use std::borrow::Cow;
use std::io::{self, Write};

/// What is shown for a character that would do something or hide something, as one character: the picture of a
/// control character (`␛`), else U+FFFD. None for a character that is shown as it is; newline and tab are.
///
/// These are C0, DEL and C1, line and paragraph separators, all that Unicode calls default-ignorable (marks and
/// overrides of direction, zero-width characters, fillers, tags, variation selectors), annotations, and
/// non-characters. Whether a joiner stands where a script or an emoji needs it is [`visible`]'s to see.
pub fn stand_in(c: char) -> Option<char> {
    match c {
        '\n' | '\t' | ' '..='~' => None,
        '\0'..='\u{1f}' => Some(char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER)),
        '\u{7f}' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => Some(char::REPLACEMENT_CHARACTER),
        _ if c as u32 & 0xfffe == 0xfffe => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

/// Zero-width joiner and non-joiner: parts of scripts and of emoji.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// How an emoji is drawn.
fn selects(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

/// What a text needs to know of itself to be shown piece by piece.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The character before.
    before: Option<char>,
    /// A carriage return that may belong to a line's end.
    carriage: bool,
}

impl State {
    /// Adds what is shown of a character; with `coded`, as `<U+202E>` what has no picture.
    fn push(&mut self, c: char, coded: bool, out: &mut String) {
        if std::mem::take(&mut self.carriage) && c != '\n' {
            out.push('\u{240d}');
        }
        let before = self.before.replace(c);
        if c == '\r' {
            self.carriage = true;
            return;
        }
        let needed = before.is_some_and(|b| {
            let drawn = stand_in(b).is_none();
            (joins(c) && !b.is_ascii() && (drawn || selects(b))) || (selects(c) && drawn)
        });
        match stand_in(c) {
            Some(_) if needed => out.push(c),
            Some(char::REPLACEMENT_CHARACTER) if coded => out.push_str(&format!("<U+{:04X}>", c as u32)),
            Some(picture) => out.push(picture),
            None => out.push(c),
        }
    }

    fn end(&mut self, out: &mut String) {
        if std::mem::take(&mut self.carriage) {
            out.push('\u{240d}');
        }
    }
}

/// A text as a terminal may get it: control characters as their pictures (`␛[2J`), others that hide something or
/// turn the writing as `<U+202E>`. Newlines and tabs stay, and CR LF is a newline. Joiners and emoji variations stay
/// behind a character they can belong to. A text without such characters is lent.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\t')) || !text.chars().any(|c| stand_in(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(shown(text, true))
}

/// [`visible`] for a finished page, where a stand-in may stand within markup: each is one character, U+FFFD for what
/// has no picture.
pub fn pictured(text: &str) -> String {
    shown(text, false)
}

fn shown(text: &str, coded: bool) -> String {
    let (mut out, mut state) = (String::with_capacity(text.len() + 16), State::default());
    text.chars().for_each(|c| state.push(c, coded, &mut out));
    state.end(&mut out);
    out
}

/// [`visible`] for a name or a cell of a table, which must not begin a line of its own: newlines and tabs are
/// pictures too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match visible(text) {
        shown if shown.contains(['\n', '\t']) => Cow::Owned(shown.replace('\n', "\u{240a}").replace('\t', "\u{2409}")),
        shown => shown,
    }
}

/// JSON as a terminal may get it: the characters that a serialiser leaves as they are and a terminal does not
/// (DEL, C1, overrides of direction, what is not drawn) as `\uXXXX`. It is the same JSON: such characters stand only
/// in its strings.
pub fn escaped_json(text: &str) -> Cow<'_, str> {
    let risky = |c: char| c > '~' && stand_in(c).is_some();
    if text.is_ascii() && !text.contains('\u{7f}') || !text.chars().any(risky) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if risky(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A writer that passes on what it gets as [`visible`] shows it, bytes that are no UTF-8 as U+FFFD. What is cut in two
/// between writes, a letter or an escape sequence, comes out as if it had come at once.
pub struct Visible<W: Write> {
    to: W,
    state: State,
    /// The beginning of a letter whose end has not come yet.
    partial: Vec<u8>,
}

impl<W: Write> Visible<W> {
    /// A writer in front of `to`.
    pub fn new(to: W) -> Self {
        Visible { to, state: State::default(), partial: Vec::new() }
    }

    /// Passes on what was held back, and gives the inner writer.
    ///
    /// # Errors
    /// The inner writer's.
    pub fn finish(mut self) -> io::Result<W> {
        let mut out = String::new();
        if !self.partial.is_empty() {
            self.state.push(char::REPLACEMENT_CHARACTER, true, &mut out);
        }
        self.state.end(&mut out);
        self.to.write_all(out.as_bytes())?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.partial);
        let (mut out, mut chunks) = (String::with_capacity(held.len()), held.utf8_chunks().peekable());
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| self.state.push(c, true, &mut out));
            let broken = chunk.invalid();
            // At the very end it may be the beginning of a letter.
            if chunks.peek().is_none() && std::str::from_utf8(broken).is_err_and(|e| e.error_len().is_none()) {
                self.partial = broken.to_vec();
            } else if !broken.is_empty() {
                self.state.push(char::REPLACEMENT_CHARACTER, true, &mut out);
            }
        }
        self.to.write_all(out.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_a_terminal_would_obey() {
        for (text, shown) in [
            ("\u{1b}[2J\u{1b}]0;OWNED\u{7}", "␛[2J␛]0;OWNED␇"),
            ("a\rb\r\nc\r", "a␍b\nc␍"),
            ("\u{9b}31m\u{7f}", "<U+009B>31m␡"),
            ("user\u{202e}txt.exe\u{2066}", "user<U+202E>txt.exe<U+2066>"),
            ("t1\u{200b}\u{200d}\u{e0041}\u{feff}", "t1<U+200B><U+200D><U+E0041><U+FEFF>"),
            ("👩\u{200d}🚀 ❤\u{fe0f}\u{200d}🔥 می\u{200c}خواهم", "👩\u{200d}🚀 ❤\u{fe0f}\u{200d}🔥 می\u{200c}خواهم"),
            ("tab\tline\nπ ≤ 4 日本", "tab\tline\nπ ≤ 4 日本"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert!(matches!(visible("plain\ntext π"), Cow::Borrowed(_)));
        assert_eq!(pictured("<b title='\u{202e}\u{1b}'>\r\n"), "<b title='\u{fffd}␛'>\n");
        assert_eq!(one_line("t1\nt2 honest\u{1b}[A"), "t1␊t2 honest␛[A");
    }

    /// Whether a terminal can take it as it is.
    fn tame(text: &str) -> bool {
        let mut before = ' ';
        text.chars().all(|c| {
            let free =
                stand_in(c).is_none() || ((joins(c) || selects(c)) && stand_in(before).is_none_or(|_| selects(before)));
            before = c;
            free
        })
    }

    proptest! {
        #[test]
        fn nothing_wild_is_left(text in ".{0,40}|[\\x00-\\x1f\\x7f-\\u{a0}\\u{200a}-\\u{2070}a\\r\\n]{0,40}") {
            let shown = visible(&text);
            prop_assert!(tame(&shown), "{shown:?}");
            prop_assert_eq!(visible(&shown), &*shown);
            prop_assert!(!one_line(&text).contains(['\n', '\t', '\r']));
        }

        #[test]
        fn pieces_come_out_as_the_whole(bytes: Vec<u8>, text in ".{0,20}\\x1b\\[2J\u{9b}é\r\n.{0,5}", cuts: Vec<u8>) {
            for whole in [bytes, text.into_bytes()] {
                let mut pieces = Visible::new(Vec::new());
                let mut rest = &whole[..];
                for cut in &cuts {
                    let (piece, more) = rest.split_at(usize::from(*cut % 4).min(rest.len()));
                    pieces.write_all(piece).unwrap();
                    rest = more;
                }
                pieces.write_all(rest).unwrap();
                let shown = String::from_utf8(pieces.finish().unwrap()).unwrap();
                let text = String::from_utf8_lossy(&whole);
                prop_assert_eq!(shown, visible(&text));
            }
        }

        #[test]
        fn escaped_json_is_the_same_json_and_tame(text in ".{0,30}|[\\x7f-\\u{a0}\\u{200a}-\\u{2070}\\u{e0000}-\\u{e0100}]{0,30}") {
            // What a serialiser writes of it, without a serialiser.
            let plain = text.replace(|c: char| c < ' ' || c == '"' || c == '\\', "");
            let json = format!("\"{plain}\"");
            let escaped = escaped_json(&json);
            prop_assert!(escaped.chars().all(|c| stand_in(c).is_none()));
            let mut units = Vec::new();
            let mut rest = &*escaped;
            while let Some(at) = rest.find("\\u") {
                units.extend(rest[..at].encode_utf16());
                units.push(u16::from_str_radix(&rest[at + 2..at + 6], 16).unwrap());
                rest = &rest[at + 6..];
            }
            units.extend(rest.encode_utf16());
            prop_assert_eq!(String::from_utf16(&units).unwrap(), json);
        }
    }
}
