//! Vectors in f64, drawn and measured.

use loophole_lm::rng::Rng;

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (norm(a) * norm(b))
}

pub(crate) fn wide(of: &[f32]) -> Vec<f64> {
    of.iter().map(|x| f64::from(*x)).collect()
}

pub(crate) fn narrow(of: &[f64]) -> Vec<f32> {
    of.iter().map(|x| *x as f32).collect()
}

pub(crate) fn scaled(of: &[f64], by: f64) -> Vec<f64> {
    of.iter().map(|x| by * x).collect()
}

/// A Gaussian direction of this length.
pub(crate) fn random(width: usize, length: f64, rng: &mut Rng) -> Vec<f64> {
    let drawn: Vec<f64> = (0..width).map(|_| f64::from(rng.normal())).collect();
    scaled(&drawn, length / norm(&drawn))
}

/// The mean of rows; zeros without one.
pub(crate) fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, width: usize) -> Vec<f64> {
    let count = rows.len().max(1) as f64;
    let mut sum = vec![0.0; width];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sum.iter_mut().for_each(|x| *x /= count);
    sum
}

/// The value below which so large a share of the numbers lies; not a number without any.
pub(crate) fn quantile(mut of: Vec<f64>, share: f64) -> f64 {
    of.retain(|x| x.is_finite());
    of.sort_by(f64::total_cmp);
    match of.len() {
        0 => f64::NAN,
        n => of[((share * (n - 1) as f64).round() as usize).min(n - 1)],
    }
}
