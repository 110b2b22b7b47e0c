//! Numbers and text on their way into HTML. Escaping itself is `maud`'s, by default and everywhere.

use maud::{Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

/// The head of a page that fetches nothing and runs no script.
pub fn head(title: &str, styles: &[&str]) -> Markup {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="icon" href="data:,";
            style { @for style in styles { (PreEscaped(style)) } }
        }
    }
}

/// A share as a percentage: `97 %`, `0.4 %` below one per cent, with a no-break space.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if !value.is_finite() {
        "not measured".into()
    } else if value != 0.0 && value.abs() < 0.95 {
        format!("{value:.1}\u{a0}%")
    } else {
        format!("{:.0}\u{a0}%", value + 0.0)
    }
}

/// A number with two decimals and a true minus sign.
pub fn two(value: f64) -> String {
    if !value.is_finite() {
        return "not measured".into();
    }
    let text = format!("{:.2}", value.abs());
    // "−0.00" says nothing but looks like something.
    if value < 0.0 && text != "0.00" { format!("\u{2212}{text}") } else { text }
}

/// An interval `[low, high]`; says so where there is none.
pub fn interval(low: f64, high: f64, number: impl Fn(f64) -> String) -> String {
    if !low.is_finite() || !high.is_finite() {
        return "(no interval)".into();
    }
    let (low, high) = (number(low), number(high));
    // One unit is enough: `[51, 71 %]`.
    let low = if high.ends_with('%') { low.trim_end_matches("\u{a0}%") } else { &low };
    format!("[{low}, {high}]")
}

/// A difference: always signed.
pub fn signed(value: f64) -> String {
    let text = two(value);
    if value > 0.0 && text != "0.00" { format!("+{text}") } else { text }
}

/// A p value; tiny ones as a bound.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "<\u{a0}0.001".into() } else { format!("{p:.3}") }
}

/// A duration in the largest unit that keeps it readable.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1}\u{a0}s")
    } else if seconds < 120.0 {
        format!("{seconds:.0}\u{a0}s")
    } else if seconds < 7200.0 {
        format!("{:.0}\u{a0}min", seconds / 60.0)
    } else {
        format!("{:.1}\u{a0}h", seconds / 3600.0)
    }
}

/// A coordinate with one decimal: a tenth of a pixel is finer than any screen, and short.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(String::from).unwrap_or(text)
}

/// Long text with its middle left out, saying how much.
pub fn shorten(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_string();
    }
    let head: String = text.chars().take(limit * 2 / 3).collect();
    let tail: String = text.chars().skip(count - limit / 3).collect();
    let left_out = count - limit * 2 / 3 - limit / 3;
    format!("{head}\n[… {left_out} characters left out here …]\n{tail}")
}

/// First letter in upper case.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The `sha256-…` source of a Content-Security-Policy for one inline script.
pub fn csp_hash(script: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = Sha256::digest(script.as_bytes());
    let mut out = String::from("sha256-");
    for chunk in digest.chunks(3) {
        let mut bytes = [0u8; 3];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(ALPHABET[(word >> (18 - 6 * place)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.97), "97\u{a0}%");
        assert_eq!(percent(0.004), "0.4\u{a0}%");
        assert_eq!(percent(0.0), "0\u{a0}%");
        assert_eq!(percent(f64::NAN), "not measured");
        assert_eq!(two(-0.001), "0.00");
        assert_eq!(signed(0.5), "+0.50");
        assert_eq!(signed(-0.5), "\u{2212}0.50");
    }

    #[test]
    fn intervals_say_when_there_is_none() {
        assert_eq!(interval(0.51, 0.71, two), "[0.51, 0.71]");
        assert_eq!(interval(0.51, 0.71, percent), "[51, 71\u{a0}%]");
        assert_eq!(interval(f64::NAN, 0.71, percent), "(no interval)");
    }

    #[test]
    fn csp_hash_is_the_known_digest() {
        // sha256 of the empty string, in base64.
        assert_eq!(csp_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn shorten_keeps_both_ends_and_counts() {
        let text: String = "é".repeat(100);
        let short = shorten(&text, 30);
        assert!(short.starts_with("éé") && short.ends_with("éé") && short.contains("70 characters"));
        assert_eq!(shorten("abc", 30), "abc");
    }
}
