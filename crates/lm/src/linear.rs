//! Linear layers for running a checkpoint. Weights keep the format of their file (bf16, f16 or f32; those of GGUF in
//! [`crate::quantised`]) and are widened in registers, so that a step costs what reading them costs. They are laid out anew when they are loaded, [`LANES`]
//! outputs side by side: then a register holds neighbouring outputs, and nothing is added across one. Every result
//! is a sum over the inputs in their order, whatever is computed beside it: a row's outcome depends neither on its company
//! nor on the threads.

use crate::math::fma;
use crate::quantised::{MOST_GROUP, Quantised};
use crate::store::{Elements, from_bf16, from_f16};
use rayon::prelude::*;
use std::sync::Arc;

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

/// Outputs side by side.
pub(crate) const LANES: usize = 32;

/// Rows of the inner kernel: sums enough to hide their latency, and no more than there are registers.
const ROWS: usize = if cfg!(target_feature = "avx512f") { 6 } else { 2 };

/// Outputs of one piece of work: two blocks, so that a single row has sums enough to hide the latency of each.
pub(crate) const PIECE: usize = 2 * LANES;

/// Rows that are best computed at once: so many that a span of them stays in a core's cache.
pub(crate) const BEST_ROWS: usize = 64;

/// `y = W x + b`, and low-rank updates of parts of it.
pub(crate) struct Linear {
    pub out: usize,
    pub inp: usize,
    weight: Weight,
    /// One for every output, or none.
    pub bias: Vec<f32>,
    pub updates: Vec<Update>,
}

/// Weights, shared by the models that differ in updates only; `[block of LANES outputs][input][output of the block]`, the last blocks filled up with zeros.
#[derive(Clone)]
enum Weight {
    F32(Arc<Vec<f32>>),
    BF16(Arc<Vec<u16>>),
    F16(Arc<Vec<u16>>),
    Quantised(Arc<Quantised>),
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
    /// Inputs, [`ROWS`] rows side by side.
    sides: Vec<[f32; ROWS]>,
    low: Vec<f32>,
    update: Vec<f32>,
}

/// Lays out `[out, in]` anew.
fn packed<T: Copy + Default>(rows: &[T], out: usize, inp: usize) -> Vec<T> {
    let mut packed = vec![T::default(); out.next_multiple_of(PIECE) * inp];
    for (block, packed) in packed.chunks_exact_mut(LANES * inp.max(1)).enumerate() {
        let lanes = LANES.min(out.saturating_sub(block * LANES));
        let rows = &rows[(block * LANES).min(out) * inp..][..lanes * inp];
        for (k, slots) in packed.chunks_exact_mut(LANES).enumerate() {
            for (slot, x) in slots.iter_mut().zip(rows.iter().skip(k).step_by(inp)) {
                *slot = *x;
            }
        }
    }
    packed
}

impl Linear {
    /// From weights `[out, in]`.
    pub fn new(out: usize, inp: usize, weight: Elements) -> Linear {
        let weight = match weight {
            Elements::F32(w) => Weight::F32(Arc::new(packed(&w, out, inp))),
            Elements::BF16(w) => Weight::BF16(Arc::new(packed(&w, out, inp))),
            Elements::F16(w) => Weight::F16(Arc::new(packed(&w, out, inp))),
            Elements::Blocks(parts) => Weight::Quantised(Arc::new(Quantised::new(&parts, out, inp))),
        };
        Linear { out, inp, weight, bias: Vec::new(), updates: Vec::new() }
    }

    /// The same weights without updates.
    pub fn plain(&self) -> Linear {
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        Linear { out: self.out, inp: self.inp, weight, bias, updates: Vec::new() }
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        match &self.weight {
            Weight::F32(w) => 4 * w.len(),
            Weight::BF16(w) | Weight::F16(w) => 2 * w.len(),
            Weight::Quantised(w) => w.bytes(),
        }
    }

    /// Writes the weights of one output, widened: what an embedding looks up.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        fn widen<S: Stored>(raw: &[S::Raw], out: &mut [f32]) {
            for (x, raw) in out.iter_mut().zip(raw.iter().step_by(LANES)) {
                *x = S::wide(*raw);
            }
        }
        let from = row / LANES * LANES * self.inp + row % LANES;
        match &self.weight {
            Weight::F32(w) => widen::<F32>(&w[from..], out),
            Weight::BF16(w) => widen::<BF16>(&w[from..], out),
            Weight::F16(w) => widen::<F16>(&w[from..], out),
            Weight::Quantised(w) => w.row(row, &mut out[..self.inp]),
        }
    }

    /// `y = ...`, or `y += ...` where `add`, for `rows` rows of `x` and `y`. Runs on the pool it is called in.
    pub fn forward(&self, x: &[f32], rows: usize, y: &mut [f32], add: bool, scratch: &mut Scratch) {
        assert!(x.len() >= rows * self.inp && y.len() >= rows * self.out, "linear: {} x {}", self.out, self.inp);
        let (x, y) = (&x[..rows * self.inp], &mut y[..rows * self.out]);
        match &self.weight {
            Weight::F32(w) => self.pieces::<F32>(w, x, rows, scratch),
            Weight::BF16(w) => self.pieces::<BF16>(w, x, rows, scratch),
            Weight::F16(w) => self.pieces::<F16>(w, x, rows, scratch),
            Weight::Quantised(w) => self.tiles(w, x, rows, scratch),
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
    fn pieces<S: Stored>(&self, w: &[S::Raw], x: &[f32], rows: usize, scratch: &mut Scratch) {
        let inp = self.inp;
        let each = |(piece, out): (usize, &mut [Halves]), sides: &[[f32; ROWS]]| {
            let w = &w[piece * PIECE * inp..][..PIECE * inp];
            let (first, second) = w.split_at(LANES * inp);
            let (full, single) = out.as_chunks_mut::<ROWS>();
            for (at, out) in full.iter_mut().enumerate() {
                let x = &sides[at * inp..][..inp];
                products::<S>(out, 0, first, x);
                products::<S>(out, 1, second, x);
            }
            for (at, out) in single.iter_mut().enumerate() {
                pair::<S>(out, first, second, &x[(full.len() * ROWS + at) * inp..][..inp]);
            }
        };
        self.each_piece(x, rows, scratch, each);
    }

    /// The same with weights that are widened a few inputs at a time, into a tile that stays in the first cache and is
    /// used for all rows. The sums wait in `out` meanwhile: they are added to in the order of the inputs, as above.
    fn tiles(&self, w: &Quantised, x: &[f32], rows: usize, scratch: &mut Scratch) {
        let inp = self.inp;
        let each = |(piece, out): (usize, &mut [Halves]), sides: &[[f32; ROWS]]| {
            let mut tiles = [[[0.0f32; LANES]; MOST_GROUP]; 2];
            let (full, single) = out.as_chunks_mut::<ROWS>();
            for group in 0..w.groups() {
                let (from, width) = (group * w.group(), w.group());
                for (half, tile) in tiles.iter_mut().enumerate() {
                    w.tile(2 * piece + half, group, tile);
                }
                let [first, second] = [&tiles[0][..width], &tiles[1][..width]].map(<[_]>::as_flattened);
                for (at, out) in full.iter_mut().enumerate() {
                    let x = &sides[at * inp + from..][..width];
                    products::<F32>(out, 0, first, x);
                    products::<F32>(out, 1, second, x);
                }
                for (at, out) in single.iter_mut().enumerate() {
                    pair::<F32>(out, first, second, &x[(full.len() * ROWS + at) * inp + from..][..width]);
                }
            }
        };
        self.each_piece(x, rows, scratch, each);
    }

    /// Calls `each` for every piece with its sums, which are zero, and the rows that go side by side.
    fn each_piece(
        &self,
        x: &[f32],
        rows: usize,
        scratch: &mut Scratch,
        each: impl Fn((usize, &mut [Halves]), &[[f32; ROWS]]) + Sync,
    ) {
        let (inp, len) = (self.inp, self.out.div_ceil(PIECE) * PIECE * rows);
        scratch.sides.clear();
        for x in x.chunks_exact(ROWS * inp.max(1)) {
            scratch.sides.extend((0..inp).map(|k| -> [f32; ROWS] { std::array::from_fn(|r| x[r * inp + k]) }));
        }
        if scratch.pieces.len() < len {
            scratch.pieces.resize(len, 0.0);
        }
        let (out, sides) = (&mut scratch.pieces[..len], &scratch.sides);
        out.fill(0.0);
        let halves = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
        halves.par_chunks_exact_mut(rows.max(1)).enumerate().for_each(|piece| each(piece, sides));
    }
}

/// The sums of one row and one piece: its two blocks.
type Halves = [[f32; LANES]; 2];

// In both kernels the sums are locals and nothing can panic within the loop: so they stay in registers.

/// Adds to the sums of one block of outputs for [`ROWS`] rows.
#[inline(never)]
fn products<S: Stored>(out: &mut [Halves; ROWS], half: usize, w: &[S::Raw], x: &[[f32; ROWS]]) {
    let mut sums: [[f32; LANES]; ROWS] = std::array::from_fn(|r| out[r][half]);
    for (w, x) in w.as_chunks::<LANES>().0.iter().zip(x) {
        for r in 0..ROWS {
            for j in 0..LANES {
                sums[r][j] = fma(S::wide(w[j]), x[r], sums[r][j]);
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        out[half] = sums;
    }
}

/// Adds to the sums of two blocks of outputs for one row.
#[inline(never)]
fn pair<S: Stored>(out: &mut Halves, first: &[S::Raw], second: &[S::Raw], x: &[f32]) {
    let [mut a, mut b] = *out;
    let blocks = first.as_chunks::<LANES>().0.iter().zip(second.as_chunks::<LANES>().0);
    for ((v, w), &x) in blocks.zip(x) {
        for j in 0..LANES {
            a[j] = fma(S::wide(v[j]), x, a[j]);
        }
        for j in 0..LANES {
            b[j] = fma(S::wide(w[j]), x, b[j]);
        }
    }
    *out = [a, b];
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
