//! Numbers that may be missing: NaN and infinity are written as `null`, `null` is read as NaN.
//!
//! serde_json already writes `null` for them; these modules (for `#[serde(with = ...)]`) make it readable again and
//! hold for every serialiser.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn nan() -> f64 {
    f64::NAN
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

pub(crate) fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
    finite(*x).serialize(s)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
}

/// The same for the values of a map.
pub(crate) mod map {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(map.iter().map(|(k, v)| (k, finite(*v))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let map: BTreeMap<String, Option<f64>> = BTreeMap::deserialize(d)?;
        Ok(map.into_iter().map(|(k, v)| (k, v.unwrap_or(f64::NAN))).collect())
    }
}

/// The same for the values of a list.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(list: &[f64], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(|x| finite(*x)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
        let list: Vec<Option<f64>> = Vec::deserialize(d)?;
        Ok(list.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
    }
}

/// The same for a value that may be absent altogether: a NaN is absent.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(x: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        x.and_then(finite).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        Option::deserialize(d)
    }
}
