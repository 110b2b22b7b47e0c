//! What an endpoint says about its limits in headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::http::HeaderMap;

/// How long it asks to wait after it has refused a request.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| text(headers, name)?.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"));
    match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => used_up(headers),
    }
}

/// How long it takes until there is something left again of a quota that is used up.
pub(super) fn used_up(headers: &HeaderMap) -> Option<Duration> {
    const QUOTAS: &[(&str, &str)] = &[
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ];
    let left = |(remaining, reset): &(&str, &str)| {
        let none_left = text(headers, remaining)?.parse::<f64>().is_ok_and(|left| left <= 0.0);
        none_left.then(|| duration(text(headers, reset)?))?
    };
    QUOTAS.iter().filter_map(left).max()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `6m0s`, `1.5s`, `120ms`, `3` (seconds), or a moment such as `2026-11-21T10:05:58Z`.
fn duration(text: &str) -> Option<Duration> {
    if let Some(moment) = moment(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        return Some(Duration::from_secs(moment.saturating_sub(now)));
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let scale = match &after[..unit] {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = &after[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, UTC).
fn moment(text: &str) -> Option<u64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    if text.as_bytes().get(10) != Some(&b'T') || !(text.ends_with('Z') || text.ends_with("+00:00")) {
        return None;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Days since 1970 in a calendar whose years begin in March (Howard Hinnant, "chrono-compatible low-level algorithms").
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (365 * year + year / 4 - year / 100 + year / 400 + day_of_year).checked_sub(719_468)?;
    Some(days * 86_400 + part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn waits_are_read() {
        let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs)).map(|wait| wait.as_millis());
        assert_eq!(after(&[("retry-after", "2")]), Some(2000));
        assert_eq!(after(&[("retry-after", "2"), ("retry-after-ms", "150")]), Some(150));
        assert_eq!(after(&[("retry-after", "-1")]), None);
        assert_eq!(after(&[("retry-after", "soon")]), None);
        let quota = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m0.5s")];
        assert_eq!(after(&quota), Some(60_500));
        assert_eq!(after(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "8s")]), None);
    }

    #[test]
    fn times_are_read() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(moment("2026-11-21T10:05:58Z"), Some(1_795_255_558));
        assert_eq!(moment("2024-02-29T23:59:59+00:00"), Some(1_709_251_199));
        assert_eq!(moment("0000-00-00T00:00:00Z"), None);
        assert_eq!(duration("6m0s"), Some(Duration::from_secs(360)));
        assert_eq!(duration("120ms"), Some(Duration::from_millis(120)));
        assert_eq!(duration("1d2h"), Some(Duration::from_secs(93_600)));
        for wrong in ["s", "1x", "-3s", "..", "1970-01-01T0"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_not(text in "[0-9.:TZsmhd+-]{0,24}") {
            duration(&text);
        }
    }
}
