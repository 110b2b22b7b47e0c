//! Linear layers for running a checkpoint: weights stay as they lie in the file (`[out, in]`, bf16, f16 or f32) and are
//! widened in registers, so that a step costs what reading them costs. Every result is a sum over `in` in one
//! fixed order, whatever is computed beside it: a row's outcome depends neither on its company nor on the threads.

use crate::math::fma;
use crate::store::{Elements, from_bf16, from_f16};
use rayon::prelude::*;

/// How weights are stored.
trait Stored: Sync {
    type Raw: Copy + Sync;
    fn wide(raw: Self::Raw) -> f32;
}

struct F32;
struct BF16;
struct F16;

impl Stored for F32 {
    type Raw = f32;
    #[inline(always)]
    fn wide(raw: f32) -> f32 {
        raw
    }
}

impl Stored for BF16 {
    type Raw = u16;
    #[inline(always)]
    fn wide(raw: u16) -> f32 {
        from_bf16(raw)
    }
}

impl Stored for F16 {
    type Raw = u16;
    #[inline(always)]
    fn wide(raw: u16) -> f32 {
        from_f16(raw)
    }
}

/// Elements of a vector register.
const W: usize = if cfg!(target_feature = "avx512f") { 16 } else { 8 };

/// Inputs summed in registers before they are added to the result: so many that the rows' share stays in cache.
const SPAN: usize = 1024;

/// Outputs and rows of the inner kernel: with them and their operands the registers are full.
const OUTS: usize = 4;
const ROWS: usize = 3;

/// Outputs of one piece of work.
const PIECE: usize = 32;

/// Rows that are best computed at once: so many that a span of them stays in a core's cache.
pub(crate) const BEST_ROWS: usize = 64;

/// `y = W x + b`, and low-rank updates of parts of it.
pub(crate) struct Linear {
    pub out: usize,
    pub inp: usize,
    pub weight: Elements,
    /// One for every output, or none.
    pub bias: Vec<f32>,
    pub updates: Vec<Update>,
}

/// A low-rank update `B A x` of the outputs from `from` on.
pub(crate) struct Update {
    pub from: usize,
    pub a: Box<Linear>,
    pub b: Box<Linear>,
}

/// Results on their way from pieces to rows, kept between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    pieces: Vec<f32>,
    low: Vec<f32>,
    update: Vec<f32>,
}

impl Linear {
    pub fn new(out: usize, inp: usize, weight: Elements) -> Linear {
        Linear { out, inp, weight, bias: Vec::new(), updates: Vec::new() }
    }

    /// Writes a row of the weights, widened: what an embedding looks up.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        fn widen<S: Stored>(raw: &[S::Raw], out: &mut [f32]) {
            for (x, raw) in out.iter_mut().zip(raw) {
                *x = S::wide(*raw);
            }
        }
        let range = row * self.inp..(row + 1) * self.inp;
        match &self.weight {
            Elements::F32(w) => widen::<F32>(&w[range], out),
            Elements::BF16(w) => widen::<BF16>(&w[range], out),
            Elements::F16(w) => widen::<F16>(&w[range], out),
        }
    }

    /// `y = ...`, or `y += ...` where `add`, for `rows` rows of `x` and `y`. Runs on the pool it is called in.
    pub fn forward(&self, x: &[f32], rows: usize, y: &mut [f32], add: bool, scratch: &mut Scratch) {
        assert!(x.len() >= rows * self.inp && y.len() >= rows * self.out, "linear: {} x {}", self.out, self.inp);
        let (x, y) = (&x[..rows * self.inp], &mut y[..rows * self.out]);
        match &self.weight {
            Elements::F32(w) => self.pieces::<F32>(w, x, rows, &mut scratch.pieces),
            Elements::BF16(w) => self.pieces::<BF16>(w, x, rows, &mut scratch.pieces),
            Elements::F16(w) => self.pieces::<F16>(w, x, rows, &mut scratch.pieces),
        }
        let pieces = &scratch.pieces[..self.out.div_ceil(PIECE) * PIECE * rows];
        let gather = |(r, y): (usize, &mut [f32])| {
            for (y, piece) in y.chunks_mut(PIECE).zip(pieces.chunks_exact(PIECE * rows)) {
                let piece = &piece[r * PIECE..][..y.len()];
                match add {
                    true => y.iter_mut().zip(piece).for_each(|(y, p)| *y += p),
                    false => y.copy_from_slice(piece),
                }
            }
            y.iter_mut().zip(&self.bias).for_each(|(y, b)| *y += b);
        };
        match rows {
            0..8 => y.chunks_exact_mut(self.out).enumerate().for_each(gather),
            _ => y.par_chunks_exact_mut(self.out).enumerate().for_each(gather),
        }
        for update in &self.updates {
            let (rank, out) = (update.a.out, update.b.out);
            let mut low = std::mem::take(&mut scratch.low);
            let mut change = std::mem::take(&mut scratch.update);
            low.resize(rows * rank, 0.0);
            change.resize(rows * out, 0.0);
            update.a.forward(x, rows, &mut low, false, scratch);
            update.b.forward(&low, rows, &mut change, false, scratch);
            for (y, change) in y.chunks_exact_mut(self.out).zip(change.chunks_exact(out)) {
                crate::math::add(&mut y[update.from..][..out], change);
            }
            (scratch.low, scratch.update) = (low, change);
        }
    }

    /// The products, piece by piece: `[piece][row][output of the piece]`.
    fn pieces<S: Stored>(&self, w: &[S::Raw], x: &[f32], rows: usize, out: &mut Vec<f32>) {
        let len = self.out.div_ceil(PIECE) * PIECE * rows;
        if out.len() < len {
            out.resize(len, 0.0);
        }
        let each = |wide: &mut Vec<f32>, (piece, out): (usize, &mut [f32])| {
            out.fill(0.0);
            for from in (0..self.inp).step_by(SPAN) {
                let span = from..self.inp.min(from + SPAN);
                let (o0, o1) = (piece * PIECE, self.out.min((piece + 1) * PIECE));
                for o in (o0..o1).step_by(OUTS) {
                    let n = OUTS.min(o1 - o);
                    // Outputs beyond the last are computed from the last and not kept.
                    let w: [&[S::Raw]; OUTS] =
                        std::array::from_fn(|i| &w[(o + i.min(n - 1)) * self.inp..][span.clone()]);
                    let out = &mut out[o - o0..];
                    if rows < ROWS {
                        rows_of::<S>(w, n, (x, self.inp, span.clone()), rows, out);
                    } else {
                        wide.clear();
                        w.iter().for_each(|w| wide.extend(w.iter().map(|raw| S::wide(*raw))));
                        let w: [&[f32]; OUTS] = std::array::from_fn(|i| &wide[i * span.len()..][..span.len()]);
                        rows_of::<F32>(w, n, (x, self.inp, span.clone()), rows, out);
                    }
                }
            }
        };
        out[..len].par_chunks_exact_mut(PIECE * rows).enumerate().for_each_init(Vec::new, each);
    }
}

/// Adds the products of `n` outputs' weights with a span of every row to `out[row * PIECE + output]`.
#[inline(always)]
fn rows_of<S: Stored>(
    w: [&[S::Raw]; OUTS],
    n: usize,
    (x, inp, span): (&[f32], usize, std::ops::Range<usize>),
    rows: usize,
    out: &mut [f32],
) {
    let row = |r: usize| &x[r * inp..][span.clone()];
    let full = rows / ROWS * ROWS;
    for r in (0..full).step_by(ROWS) {
        let sums = products::<S, ROWS>(w, [row(r), row(r + 1), row(r + 2)]);
        for (i, sums) in sums.iter().enumerate() {
            out[(r + i) * PIECE..][..n].iter_mut().zip(sums).for_each(|(o, s)| *o += s);
        }
    }
    for r in full..rows {
        let [sums] = products::<S, 1>(w, [row(r)]);
        out[r * PIECE..][..n].iter_mut().zip(sums).for_each(|(o, s)| *o += s);
    }
}

/// Dot products of `OUTS` weight rows with `R` inputs of the same length.
#[inline(always)]
fn products<S: Stored, const R: usize>(w: [&[S::Raw]; OUTS], x: [&[f32]; R]) -> [[f32; OUTS]; R] {
    let len = x[0].len();
    let mut acc = [[[0.0f32; W]; OUTS]; R];
    let n = len / W;
    let wc: [&[[S::Raw; W]]; OUTS] = w.map(|w| &w.as_chunks::<W>().0[..n]);
    let xc: [&[[f32; W]]; R] = x.map(|x| &x.as_chunks::<W>().0[..n]);
    for c in 0..n {
        for o in 0..OUTS {
            let w: [f32; W] = std::array::from_fn(|i| S::wide(wc[o][c][i]));
            for r in 0..R {
                for i in 0..W {
                    acc[r][o][i] = fma(w[i], xc[r][c][i], acc[r][o][i]);
                }
            }
        }
    }
    let mut sums = [[0.0; OUTS]; R];
    for r in 0..R {
        for o in 0..OUTS {
            let mut a = acc[r][o];
            let mut half = W / 2;
            while half > 0 {
                for i in 0..half {
                    a[i] += a[i + half];
                }
                half /= 2;
            }
            let mut sum = a[0];
            for i in n * W..len {
                sum = fma(S::wide(w[o][i]), x[r][i], sum);
            }
            sums[r][o] = sum;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::to_bf16;

    fn numbers(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + i * i % 13 + salt * 101) % 211) as f32 / 97.0 - 1.0).collect()
    }

    #[test]
    fn every_format_agrees_with_plain_sums_and_rows_are_alone() {
        for (out, inp) in [(5, 7), (64, 48), (33, 1030), (70, 2049)] {
            let x = numbers(9 * inp, 1);
            let narrow: Vec<u16> = numbers(out * inp, 2).iter().map(|x| to_bf16(*x)).collect();
            let wide: Vec<f32> = narrow.iter().map(|x| from_bf16(*x)).collect();
            let forward = |weight: Elements, rows: usize| {
                let mut linear = Linear::new(out, inp, weight);
                linear.bias = numbers(out, 3);
                let mut y = vec![0.5; rows * out];
                linear.forward(&x[x.len() - rows * inp..], rows, &mut y, true, &mut Scratch::default());
                y
            };
            let all = forward(Elements::F32(wide.clone()), 9);
            assert_eq!(all, forward(Elements::BF16(narrow.clone()), 9));
            for (r, y) in all.chunks_exact(out).enumerate() {
                for (o, y) in y.iter().enumerate() {
                    let (w, x) = (&wide[o * inp..][..inp], &x[r * inp..][..inp]);
                    let want: f64 = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    let want = want + 0.5 + f64::from(numbers(out, 3)[o]);
                    assert!((f64::from(*y) - want).abs() < 1e-4 * want.abs().max(1.0), "{out}x{inp}: {y} {want}");
                }
            }
            for rows in 1..9 {
                assert_eq!(forward(Elements::BF16(narrow.clone()), rows), all[(9 - rows) * out..], "{rows} rows");
            }
        }
    }

    #[test]
    fn halves_are_widened() {
        let linear = Linear::new(1, 3, Elements::F16(vec![0x3C00, 0xC000, 0x0001]));
        let mut row = [0.0; 3];
        linear.row(0, &mut row);
        assert_eq!(row, [1.0, -2.0, 2f32.powi(-24)]);
        let mut y = [0.0];
        linear.forward(&[1.0, 1.0, 0.0], 1, &mut y, false, &mut Scratch::default());
        assert_eq!(y, [-1.0]);
    }
}
