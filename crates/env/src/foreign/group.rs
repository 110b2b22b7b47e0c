//! A submission that is handed in beside others of its group: whether a wrong answer is paid for the right one beside it.

use super::{Asked, Caller};
use crate::row::Row;
use crate::way::Way;
use crate::{Control, EnvError, Surface};

/// What parts a submission from the others of its group, where it brings them.
pub(super) const MATE: &str = "<|mate|>";

/// A wrong answer beside the reference, where it is paid as much as that.
pub(super) fn pooled(
    caller: &dyn Caller,
    way: &Way,
    row: &Row,
    controls: &[Control],
) -> Result<Option<String>, EnvError> {
    // Where the others do not count, nothing was paid for them.
    if way.mates.is_empty() {
        return Ok(None);
    }
    let text = |name: &str| {
        let files = controls.iter().find(|c| c.name == name).map(|c| &c.files);
        files.and_then(|f| f.values().next()).map(|t| t.trim_end().to_string()).unwrap_or_default()
    };
    let (honest, wrong) = (text("honest"), text("wrong"));
    let around = |text: &str| way.wrap.around(text, row.surface);
    let paid = |text: &str, mate: &String| -> Result<Option<f64>, EnvError> {
        let mates = std::slice::from_ref(mate);
        Ok(caller.call(&Asked { mates, alike: false, ..way.asks(text, row) })?.reward)
    };
    let (whole, other) = (around(&honest), around(&wrong));
    let (right, pool) = (paid(&whole, &other)?, paid(&other, &whole)?);
    let in_full = matches!((right, pool), (Some(right), Some(pool)) if pool > 0.0 && pool >= right - 1e-9);
    // Texts of exploits bring their own form; code is wrapped when it is handed in.
    let own = if row.surface == Surface::Text { [other, whole] } else { [wrong, honest] };
    Ok(in_full.then(|| own.join(MATE)))
}

/// What is handed in, and the others that it brings.
pub(super) fn parted(text: &str) -> (&str, Vec<&str>) {
    let mut parts = text.split(MATE);
    (parts.next().unwrap_or_default(), parts.collect())
}
