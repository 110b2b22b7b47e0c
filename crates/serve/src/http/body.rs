//! Bodies of requests: bounded one by one and all together.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// A body that does not arrive in this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes are counted in these.
const UNIT: usize = 1 << 10;
/// Bodies of a known shape: the bytes, and the texts in them.
pub(crate) const SHAPED: usize = 2;
/// Bodies of any shape: a value of two bytes becomes one of 32.
pub(crate) const ANY: usize = 16;
/// What is longer is parsed apart from the connections.
const LONG: usize = 256 << 10;

/// The bytes of all bodies that are held.
#[derive(Clone)]
pub(crate) struct Room {
    units: Arc<Semaphore>,
    all: usize,
}

/// The room that a body takes; let go when this is dropped.
pub(crate) struct Held(#[expect(dead_code, reason = "held for its end")] Option<OwnedSemaphorePermit>);

impl Room {
    pub fn new(bytes: usize) -> Room {
        let all = bytes / UNIT;
        Room { units: Arc::new(Semaphore::new(all)), all }
    }

    pub fn bytes_held(&self) -> u64 {
        ((self.all - self.units.available_permits().min(self.all)) * UNIT) as u64
    }

    /// Reads a body of at most so many bytes; what is made of it takes `weight` times as many.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        most: usize,
        weight: usize,
    ) -> Result<(Vec<u8>, Held), Problem> {
        let too_long = || Problem::other(413, format!("the body is longer than {} MiB", most >> 20));
        let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if told.is_some_and(|told| told > most as u64) {
            return Err(too_long());
        }
        let read = async {
            let (mut bytes, mut held) = (Vec::new(), None::<OwnedSemaphorePermit>);
            let (mut body, mut room) = (body, 0);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Problem::other(400, "the body broke off"))?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    return Err(too_long());
                }
                // As they come, so that nobody takes room by promising bytes.
                let wanted = (bytes.len() + data.len()).div_ceil(UNIT) * weight;
                let more = self
                    .units
                    .clone()
                    .try_acquire_many_owned((wanted - room) as u32)
                    .map_err(|_| Problem::busy(1, "the bodies of other requests take all the room there is"))?;
                room = wanted;
                match &mut held {
                    None => held = Some(more),
                    Some(held) => held.merge(more),
                }
                bytes.extend_from_slice(&data);
            }
            Ok((bytes, Held(held)))
        };
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(read) => read,
            Err(_) => Err(Problem::other(408, "the body did not arrive in time")),
        }
    }
}

/// Reads an array of at most `MOST` elements: each takes more memory than the two bytes it may be written with.
pub(crate) fn few<'de, const MOST: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Few<T, const MOST: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(to, "an array of at most {MOST} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = from.next_element()? {
                if all.len() == MOST {
                    return Err(A::Error::invalid_length(MOST + 1, &self));
                }
                all.push(one);
            }
            Ok(all)
        }
    }
    from.deserialize_seq(Few::<T, MOST>(PhantomData))
}

/// Puts U+FFFD in the place of escapes of half a character (`\ud83d` without its other half), which Python writes where a
/// text was cut within one, and which are no text. They are as long.
pub(crate) fn mend(json: &mut [u8]) {
    let half = |json: &[u8], at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        (0xd800..0xe000).contains(&code).then_some(code)
    };
    let mut at = 0;
    // Backslashes stand in strings only.
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match (half(json, at), half(json, at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..)) => 12,
            (Some(_), _) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            (None, _) => 2.min(json.len() - at),
        };
    }
}

/// Reads JSON of a known shape.
pub(crate) async fn parse<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T, Problem> {
    apart(bytes, |bytes| {
        serde_json::from_slice::<T>(bytes).map_err(|error| {
            let problem = |status, message| Problem::other(status, message);
            match error.classify() {
                Category::Data => problem(422, format!("the body has not the right shape: {error}")),
                _ => problem(400, format!("the body is no JSON: {error}")),
            }
        })
    })
    .await
}

/// Reads an object of options; of one that has not the right shape, the option is told.
pub(crate) async fn parse_options<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T, Problem> {
    apart(bytes, |bytes| {
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Problem::other(400, "the body is no JSON object"));
        }
        let mut from = serde_json::Deserializer::from_slice(bytes);
        let read = serde_path_to_error::deserialize(&mut from).map_err(|error| {
            let path = error.path().to_string();
            let (error, field) = (error.into_inner(), path.split(['.', '[']).next().unwrap_or_default());
            match error.classify() {
                Category::Data => Problem::field(field, format!("{path}: {}", plain(&error.to_string()))),
                _ => Problem::other(400, format!("the body is no JSON: {error}")),
            }
        });
        read.and_then(|value| {
            let ended = from.end();
            ended.map_err(|error| Problem::other(400, format!("the body is no JSON: {error}")))?;
            Ok(value)
        })
    })
    .await
}

/// An error of `serde` in the words of JSON, without the place, which the name of the option tells better.
fn plain(error: &str) -> String {
    let error = error.rsplit_once(" at line ").map_or(error, |(error, _)| error);
    let words = [("f64", "a number"), ("u64", "a whole number"), ("a sequence", "an array"), ("struct", "an object")];
    let Some((said, wanted)) = error.rsplit_once(", expected ") else { return error.to_string() };
    let plain = words.iter().find(|(rust, _)| wanted.starts_with(rust)).map_or(wanted, |(_, plain)| plain);
    format!("{said}, expected {plain}")
}

/// Reads what is long on a thread of its own.
async fn apart<T: Send + 'static>(
    mut bytes: Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let length = bytes.len();
    let mut read = move || {
        mend(&mut bytes);
        read(&bytes)
    };
    if length < LONG {
        return read();
    }
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(Problem::machine("a mistake in the server")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    struct Row {
        #[serde(deserialize_with = "few::<2, u8, _>")]
        #[expect(dead_code, reason = "it is read only")]
        few: Vec<u8>,
    }

    #[test]
    fn halves_of_characters_are_mended_and_nothing_else() {
        for (json, mended) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""a\uD83Db\ude00""#, r#""a\ufffdb\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud800 \\\udfff\n\u0041""#, r#""\\ud800 \\\ufffd\n\u0041""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud83d\"#, r#""\ufffd\"#),
            ("\"\\u\u{e9}\u{e9}\"", "\"\\u\u{e9}\u{e9}\""),
        ] {
            let mut bytes = json.as_bytes().to_vec();
            mend(&mut bytes);
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), mended);
        }
    }

    #[test]
    fn too_many_elements_are_refused_while_they_are_read() {
        assert!(serde_json::from_str::<Row>(r#"{"few": [1, 2]}"#).is_ok());
        let error = serde_json::from_str::<Row>(r#"{"few": [1, 2, 3, "#).unwrap_err().to_string();
        assert!(error.contains("at most 2 elements"), "{error}");
    }
}
