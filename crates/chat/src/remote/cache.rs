//! Replies on disk. The key is the hash of all that a reply depends on: the address, the body that is sent, and the
//! seed, whether the endpoint knows seeds or not: two samples of one question are two requests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Finish, Reply};

/// Goes up whenever what is kept changes its meaning.
const VERSION: u32 = 1;

/// Largest reply that is taken from the disk, in bytes.
const LARGEST: u64 = 256 << 20;

pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub fn new(dir: &Path) -> Self {
        Cache { dir: dir.to_path_buf() }
    }

    /// Where the reply to a request is kept.
    pub fn place(&self, url: &str, body: &Value, seed: u64) -> PathBuf {
        let mut hash = Sha256::new();
        for part in [VERSION.to_string(), url.to_string(), body.to_string(), seed.to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(&name[..2]).join(format!("{}.json", &name[2..]))
    }

    /// The reply kept there; none as well if the file is broken.
    pub fn get(&self, place: &Path) -> Option<Reply> {
        serde_json::from_slice(&loophole_foreign::read(place, LARGEST).ok()?).ok()
    }

    /// Keeps a reply; what a filter withheld is asked for again. A cache that cannot be written is no cache, and no
    /// error.
    pub fn put(&self, place: &Path, reply: &Reply) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if reply.finish == Finish::Filtered {
            return;
        }
        let Ok(text) = serde_json::to_vec(reply) else { return };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let part = place.with_extension(format!("{}-{number}.part", std::process::id()));
        let written = place
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&part, text))
            .and_then(|()| std::fs::rename(&part, place));
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keeps_what_was_said_by_all_that_matters() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]});
        let place = cache.place("http://a/v1", &body, 1);
        assert_eq!(cache.get(&place), None);
        let reply = Reply::from_text("<think>t</think>yes", 3, Finish::Stop);
        cache.put(&place, &reply);
        assert_eq!(cache.get(&place), Some(reply.clone()));
        let others = [
            cache.place("http://b/v1", &body, 1),
            cache.place("http://a/v1", &body, 2),
            cache.place("http://a/v1", &json!({"model": "n"}), 1),
        ];
        assert!(others.iter().all(|other| *other != place && cache.get(other).is_none()));
        std::fs::write(&place, "{\"text\": ").unwrap();
        assert_eq!(cache.get(&place), None);
        cache.put(&place, &Reply { finish: Finish::Filtered, ..reply });
        assert_eq!(cache.get(&place), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::new(file.path());
        let place = cache.place("u", &json!({}), 0);
        cache.put(&place, &Reply::default());
        assert_eq!(cache.get(&place), None);
    }
}
