//! Hidden labelled programs for detectors that a model writes.

/// A drawn set of a kind, `hacks` or another one: texts and whether they are to be flagged.
pub(crate) fn set(_kind: &str, _seed: u64) -> Vec<(String, bool)> {
    Vec::new()
}
