//! Singular values. One-sided Jacobi in f64 (Hestenes 1958; Demmel and Veselić, "Jacobi's method is more accurate than
//! QR", 1992): columns are turned in pairs until each is at right angles to every other; their lengths are then the
//! singular values. Slower than what a numerical library does, exact to the last digits, and short.

use loophole_lm::rng::Rng;

/// Up to so many rows or columns, whichever are fewer, all singular values are found; beyond, the largest [`SKETCH`].
pub const EXACT: usize = 2048;
/// Singular values that are found of larger matrices.
const SKETCH: usize = 64;
/// Columns are at right angles when their cosine is below this.
const RIGHT: f64 = 1e-13;
/// Sweeps after which it is given up; about ten are usual.
const SWEEPS: usize = 60;

/// `A = U diag(s) V^T`, the largest singular value first.
#[derive(Debug, Clone, PartialEq)]
pub struct Svd {
    /// Rows of A.
    pub rows: usize,
    /// Columns of A.
    pub cols: usize,
    /// Singular values.
    pub s: Vec<f64>,
    /// Left singular vectors, `[s, rows]`.
    pub u: Vec<Vec<f64>>,
    /// Right singular vectors, `[s, cols]`.
    pub v: Vec<Vec<f64>>,
}

impl Svd {
    /// The best approximation of rank `k`, `[rows, cols]`.
    pub fn truncated(&self, k: usize) -> Vec<f32> {
        let mut out = vec![0.0f64; self.rows * self.cols];
        for ((u, v), s) in self.u.iter().zip(&self.v).zip(&self.s).take(k) {
            for (row, u) in out.chunks_exact_mut(self.cols).zip(u) {
                add(row, s * u, v);
            }
        }
        out.into_iter().map(|x| x as f32).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums at a time, so that the compiler may use vectors.
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        for at in 0..4 {
            sums[at] += a[at] * b[at];
        }
    }
    let rest = a.len() / 4 * 4;
    sums.iter().sum::<f64>() + a[rest..].iter().zip(&b[rest..]).map(|(a, b)| a * b).sum::<f64>()
}

fn add(to: &mut [f64], scale: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

fn turn(p: &mut [f64], q: &mut [f64], c: f64, s: f64) {
    for (p, q) in p.iter_mut().zip(q) {
        (*p, *q) = (c * *p - s * *q, s * *p + c * *q);
    }
}

/// Vectors at right angles to each other that span the same, and how they make up the given ones, a column each. Twice,
/// as once is not enough in finite numbers.
fn orthonormal(mut columns: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let n = columns.len();
    let mut made = vec![vec![0.0; n]; n];
    for (at, made) in made.iter_mut().enumerate() {
        let (before, rest) = columns.split_at_mut(at);
        let column = &mut rest[0];
        let whole = dot(column, column).sqrt();
        for _ in 0..2 {
            for (other, part) in before.iter().zip(made.iter_mut()) {
                let along = dot(other, column);
                *part += along;
                add(column, -along, other);
            }
        }
        let length = dot(column, column).sqrt();
        // What is left of one that the others make up is rounding.
        let kept = length > 1e-14 * whole;
        made[at] = if kept { length } else { 0.0 };
        column.iter_mut().for_each(|x| *x = if kept { *x / length } else { 0.0 });
    }
    (columns, made)
}

/// Turns columns until they are at right angles; returns how they were turned, a column each.
fn jacobi(columns: &mut [Vec<f64>]) -> Vec<Vec<f64>> {
    let n = columns.len();
    let mut turned: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        let mut still = true;
        for q in 1..n {
            for p in 0..q {
                let (left, right) = columns.split_at_mut(q);
                let (a, b) = (&mut left[p], &mut right[0]);
                let (alpha, beta, gamma) = (dot(a, a), dot(b, b), dot(a, b));
                if gamma.abs() <= RIGHT * (alpha * beta).sqrt() {
                    continue;
                }
                still = false;
                let zeta = (beta - alpha) / (2.0 * gamma);
                let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let c = 1.0 / (1.0 + t * t).sqrt();
                turn(a, b, c, c * t);
                let (left, right) = turned.split_at_mut(q);
                turn(&mut left[p], &mut right[0], c, c * t);
            }
        }
        if still {
            break;
        }
    }
    turned
}

/// `sum_i weights[i] vectors[i]`.
fn mix(vectors: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for (vector, weight) in vectors.iter().zip(weights) {
        add(&mut out, *weight, vector);
    }
    out
}

/// Of columns at least as long as there are many: singular values, left and right vectors, the largest first.
fn tall(columns: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    // A long matrix is first made square; its columns are not touched hundreds of times then.
    let long = columns.first().is_some_and(|column| column.len() > 2 * columns.len());
    let (basis, mut work) = match long {
        true => {
            let (basis, made) = orthonormal(columns);
            (Some(basis), made)
        }
        false => (None, columns),
    };
    let turned = jacobi(&mut work);
    let mut order: Vec<(f64, usize)> = work.iter().map(|c| dot(c, c).sqrt()).zip(0..).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let left = |(length, at): &(f64, usize)| {
        let unit: Vec<f64> = work[*at].iter().map(|x| if *length > 0.0 { x / length } else { 0.0 }).collect();
        basis.as_ref().map_or_else(|| unit.clone(), |basis| mix(basis, &unit))
    };
    let (u, v) = (order.iter().map(left).collect(), order.iter().map(|(_, at)| turned[*at].clone()).collect());
    (order.into_iter().map(|(length, _)| length).collect(), u, v)
}

/// The singular values of a matrix `[rows, cols]`: all of them where its smaller side is at most [`EXACT`], else the
/// largest 64 (Halko, Martinsson and Tropp 2011, with two power iterations).
pub fn svd(a: &[f32], rows: usize, cols: usize) -> Svd {
    assert_eq!(a.len(), rows * cols, "a matrix of another size");
    let column = |at: usize| a.iter().skip(at).step_by(cols.max(1)).map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let row = |at: usize| a[at * cols..][..cols].iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    if rows.min(cols) > EXACT {
        return sketched((0..rows).map(row).collect(), cols);
    }
    if rows >= cols {
        let (s, u, v) = tall((0..cols).map(column).collect());
        Svd { rows, cols, s, u, v }
    } else {
        let (s, v, u) = tall((0..rows).map(row).collect());
        Svd { rows, cols, s, u, v }
    }
}

fn sketched(of: Vec<Vec<f64>>, cols: usize) -> Svd {
    let (rows, mut rng) = (of.len(), Rng::new(64));
    let times = |right: &[Vec<f64>]| -> Vec<Vec<f64>> {
        right.iter().map(|x| of.iter().map(|row| dot(row, x)).collect()).collect()
    };
    let back = |left: &[Vec<f64>]| -> Vec<Vec<f64>> { left.iter().map(|y| mix(&of, y)).collect() };
    let drawn: Vec<Vec<f64>> = (0..SKETCH + 8).map(|_| (0..cols).map(|_| f64::from(rng.normal())).collect()).collect();
    let mut basis = orthonormal(times(&drawn)).0;
    for _ in 0..2 {
        basis = orthonormal(times(&orthonormal(back(&basis)).0)).0;
    }
    // B = Q^T A, whose transpose has the columns `back(basis)`.
    let (mut s, mut v, small) = tall(back(&basis));
    let mut u: Vec<Vec<f64>> = small.iter().map(|weights| mix(&basis, weights)).collect();
    s.truncate(SKETCH);
    u.truncate(SKETCH);
    v.truncate(SKETCH);
    Svd { rows, cols, s, u, v }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| rng.normal()).collect()
    }

    fn check(a: &[f32], rows: usize, cols: usize) -> Svd {
        let found = svd(a, rows, cols);
        assert!(found.s.windows(2).all(|two| two[0] >= two[1]));
        for (i, (u, v)) in found.u.iter().zip(&found.v).enumerate().filter(|(i, _)| found.s[*i] > 1e-9) {
            assert!((dot(u, u) - 1.0).abs() < 1e-10 && (dot(v, v) - 1.0).abs() < 1e-10);
            assert!(i == 0 || dot(u, &found.u[0]).abs() < 1e-9 && dot(v, &found.v[0]).abs() < 1e-9);
        }
        for (made, a) in found.truncated(rows.min(cols)).iter().zip(a) {
            assert!((made - a).abs() < 1e-5, "{made} against {a}");
        }
        found
    }

    #[test]
    fn known_matrices() {
        // numpy.linalg.svd([[1, 2], [3, 4], [5, 6]]).
        let found = check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2);
        assert!((found.s[0] - 9.525518091565107).abs() < 1e-12 && (found.s[1] - 0.514300580658644).abs() < 1e-12);
        // Its transpose has the same.
        let other = check(&[1.0, 3.0, 5.0, 2.0, 4.0, 6.0], 2, 3);
        assert!((found.s[0] - other.s[0]).abs() < 1e-12 && (found.s[1] - other.s[1]).abs() < 1e-12);
        // Turned and stretched: diag(3, 0, 5).
        assert_eq!(check(&[3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0], 3, 3).s, [5.0, 3.0, 0.0]);
        // A Hilbert matrix, whose smallest value is 1e-9 of its largest (numpy, of the f32 entries: 1.6188998589 first).
        let hilbert: Vec<f32> = (0..36).map(|at| 1.0 / (at / 6 + at % 6 + 1) as f32).collect();
        assert!((check(&hilbert, 6, 6).s[0] - 1.6188998589).abs() < 1e-7);
    }

    #[test]
    fn shapes_and_ranks() {
        for (rows, cols) in [(7, 7), (40, 6), (6, 40), (1, 5), (5, 1), (13, 8)] {
            check(&normal(rows * cols, (rows * 100 + cols) as u64), rows, cols);
        }
        // Of rank 2, long and flat.
        for (rows, cols) in [(60, 9), (9, 60), (12, 10)] {
            let (u, v) = (normal(2 * rows, 1), normal(2 * cols, 2));
            let a: Vec<f32> = (0..rows * cols)
                .map(|at| (0..2).map(|k| u[k * rows + at / cols] * v[k * cols + at % cols]).sum())
                .collect();
            let found = check(&a, rows, cols);
            assert!(found.s[1] > 1.0 && found.s[2] < 1e-4, "{:?}", found.s);
        }
        assert!(check(&[0.0; 12], 4, 3).s.iter().all(|s| *s == 0.0));
    }

    #[test]
    fn a_sketch_finds_the_largest() {
        let (rows, cols) = (120, 100);
        let mut a: Vec<f32> = normal(rows * cols, 3).iter().map(|x| 0.01 * x).collect();
        let (u, v) = (normal(rows, 4), normal(cols, 5));
        a.iter_mut().enumerate().for_each(|(at, x)| *x += u[at / cols] * v[at % cols]);
        let exact = svd(&a, rows, cols);
        let found = sketched(a.chunks_exact(cols).map(|r| r.iter().map(|x| f64::from(*x)).collect()).collect(), cols);
        assert_eq!(found.s.len(), SKETCH);
        for at in 0..8 {
            assert!((found.s[at] / exact.s[at] - 1.0).abs() < 0.02, "{at}: {} and {}", found.s[at], exact.s[at]);
        }
    }
}
