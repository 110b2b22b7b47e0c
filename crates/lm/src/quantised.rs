//! Weights of few bits in memory: small whole numbers, with a scale and an offset for every few inputs of an output.
//! What is computed with them is what would be computed with the f32 that GGUF says they stand for, bit for bit.

use crate::gguf::block::{Block, LARGEST, Unpacked};
use crate::linear::{LANES, PIECE};
use crate::math::fma;
use crate::store::Packed;

/// Most inputs that share a scale.
pub(crate) const MOST_GROUP: usize = 32;

/// The numbers, [`LANES`] outputs side by side: `[block of outputs][input][output of the block]`.
enum Numbers {
    /// From 0 to 15; two inputs in a byte, the first in its low bits.
    Nibbles(Vec<u8>),
    Bytes(Vec<i8>),
}

/// The weights of a linear layer.
pub(crate) struct Quantised {
    inp: usize,
    /// Inputs that share a scale.
    group: usize,
    numbers: Numbers,
    /// `[block of outputs][group of inputs][output of the block]`.
    scales: Vec<f32>,
    /// The same; empty if all are zero.
    offsets: Vec<f32>,
}

impl Quantised {
    /// From tensors that follow one another, all with rows of `inp` weights and `out` rows together. Where their formats
    /// differ, they get one that holds all.
    pub fn new(parts: &[Packed], out: usize, inp: usize) -> Quantised {
        let blocks = || parts.iter().map(|part| part.block);
        let group = blocks().map(Block::group).min().unwrap_or(MOST_GROUP);
        let nibbles = blocks().all(Block::is_nibble);
        let (outs, groups) = (out.next_multiple_of(PIECE), inp / group);
        let mut all = Quantised {
            inp,
            group,
            numbers: match nibbles {
                true => Numbers::Nibbles(vec![0; outs * inp / 2]),
                false => Numbers::Bytes(vec![0; outs * inp]),
            },
            scales: vec![0.0; outs * groups],
            offsets: vec![0.0; outs * groups],
        };
        let mut unpacked = Unpacked::new();
        let mut row = 0;
        for Packed { block, rows, bytes } in parts {
            let bytes = &bytes[..rows * inp / block.weights() * block.bytes()];
            for bytes in bytes.chunks_exact((inp / block.weights() * block.bytes()).max(1)) {
                for (at, bytes) in bytes.chunks_exact(block.bytes()).enumerate() {
                    block.unpack(bytes, &mut unpacked);
                    all.put(row, at * block.weights(), *block, &unpacked);
                }
                row += 1;
            }
        }
        if all.offsets.iter().all(|offset| *offset == 0.0) {
            all.offsets = Vec::new();
        }
        all
    }

    /// Puts a block of one output to its place; `from` is its first input.
    fn put(&mut self, row: usize, from: usize, block: Block, unpacked: &Unpacked) {
        let (first, lane) = (row / LANES, row % LANES);
        let numbers = &unpacked.numbers[..block.weights().min(LARGEST)];
        match &mut self.numbers {
            Numbers::Bytes(bytes) => {
                let places = bytes[(first * self.inp + from) * LANES + lane..].iter_mut().step_by(LANES);
                places.zip(numbers).for_each(|(place, number)| *place = *number);
            }
            Numbers::Nibbles(bytes) => {
                let places = bytes[(first * self.inp + from) / 2 * LANES + lane..].iter_mut().step_by(LANES);
                for (place, two) in places.zip(numbers.as_chunks::<2>().0) {
                    *place = two[0].cast_unsigned() | two[1].cast_unsigned() << 4;
                }
            }
        }
        let groups = self.inp / self.group;
        for at in 0..block.weights() / self.group {
            // Where other tensors have smaller groups, several of ours have one scale.
            let theirs = at * self.group / block.group();
            let place = (first * groups + from / self.group + at) * LANES + lane;
            (self.scales[place], self.offsets[place]) = (unpacked.scales[theirs], unpacked.offsets[theirs]);
        }
    }

    /// Inputs that share a scale.
    pub fn group(&self) -> usize {
        self.group
    }

    /// Groups of inputs.
    pub fn groups(&self) -> usize {
        self.inp / self.group
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::Nibbles(bytes) => bytes.len(),
            Numbers::Bytes(bytes) => bytes.len(),
        };
        numbers + 4 * (self.scales.len() + self.offsets.len())
    }

    /// Widens the weights of one group of inputs and one block of outputs.
    #[inline(always)]
    pub fn tile(&self, block: usize, group: usize, out: &mut [[f32; LANES]; MOST_GROUP]) {
        let at = block * self.groups() + group;
        let lanes = |of: &[f32]| -> [f32; LANES] { std::array::from_fn(|j| of[at * LANES..][..LANES][j]) };
        let scale = lanes(&self.scales);
        let offset = if self.offsets.is_empty() { [0.0; LANES] } else { lanes(&self.offsets) };
        let out = &mut out[..self.group];
        match &self.numbers {
            Numbers::Nibbles(bytes) => {
                let bytes = bytes[at * self.group / 2 * LANES..][..self.group / 2 * LANES].as_chunks::<LANES>().0;
                for (bytes, two) in bytes.iter().zip(out.as_chunks_mut::<2>().0) {
                    for j in 0..LANES {
                        two[0][j] = fma(f32::from(bytes[j] & 15), scale[j], -offset[j]);
                        two[1][j] = fma(f32::from(bytes[j] >> 4), scale[j], -offset[j]);
                    }
                }
            }
            Numbers::Bytes(bytes) => {
                let bytes = bytes[at * self.group * LANES..][..self.group * LANES].as_chunks::<LANES>().0;
                for (bytes, one) in bytes.iter().zip(out) {
                    for j in 0..LANES {
                        one[j] = fma(f32::from(bytes[j]), scale[j], -offset[j]);
                    }
                }
            }
        }
    }

    /// Widens the weights of one output.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let (block, lane) = (row / LANES, row % LANES);
        for (at, x) in out.iter_mut().enumerate() {
            let place = block * self.inp + at;
            let number = match &self.numbers {
                Numbers::Bytes(bytes) => f32::from(bytes[place * LANES + lane]),
                Numbers::Nibbles(bytes) => {
                    let byte = bytes[place / 2 * LANES + lane];
                    f32::from(if at % 2 == 0 { byte & 15 } else { byte >> 4 })
                }
            };
            let group = (block * self.groups() + at / self.group) * LANES + lane;
            let offset = if self.offsets.is_empty() { 0.0 } else { self.offsets[group] };
            *x = fma(number, self.scales[group], -offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{Linear, Scratch};
    use crate::store::Elements;

    /// Rows of blocks with numbers, scales and offsets of all sorts, none of them infinite.
    fn packed(block: Block, rows: usize, inp: usize) -> Packed {
        let mut rng = crate::rng::Rng::new(rows as u64);
        let mut bytes: Vec<u8> = (0..rows * inp / block.weights() * block.bytes()).map(|_| rng.bits() as u8).collect();
        // With these bits set to zero a number of 16 bits is small, wherever in the block it stands.
        let halves: &[usize] = match block {
            Block::Q4_0 | Block::Q5_0 | Block::Q8_0 => &[1],
            Block::Q4_1 | Block::Q5_1 | Block::Q4_K | Block::Q5_K => &[1, 3],
            Block::Q2_K => &[81, 83],
            Block::Q3_K => &[109],
            Block::Q6_K => &[209],
        };
        for bytes in bytes.chunks_exact_mut(block.bytes()) {
            halves.iter().for_each(|at| bytes[*at] &= 0x9F);
        }
        Packed { block, rows, bytes }
    }

    #[test]
    fn products_are_those_of_the_weights_that_are_meant() {
        let mut cases: Vec<Vec<Packed>> = Block::ALL.iter().map(|(.., block)| vec![packed(*block, 70, 512)]).collect();
        // As query, key and value of one layer often are.
        cases.push(vec![packed(Block::Q4_K, 64, 512), packed(Block::Q4_K, 9, 512), packed(Block::Q6_K, 9, 512)]);
        cases.push(vec![packed(Block::Q4_0, 33, 512), packed(Block::Q8_0, 1, 512)]);
        for parts in cases {
            let (out, inp) = (parts.iter().map(|part| part.rows).sum::<usize>(), 512);
            let wide: Vec<f32> = parts
                .iter()
                .flat_map(|part| {
                    let mut wide = vec![0.0; part.rows * inp];
                    part.block.widen(&part.bytes, &mut wide);
                    wide
                })
                .collect();
            let name = format!("{:?}", parts.iter().map(|part| part.block).collect::<Vec<_>>());
            assert!(wide.iter().all(|x| x.is_finite()) && wide.iter().any(|x| *x != 0.0), "{name}");
            let narrow = Linear::new(out, inp, Elements::Blocks(parts));
            let plain = Linear::new(out, inp, Elements::F32(wide.clone()));
            assert!(narrow.bytes() < plain.bytes() / 2, "{name}: {} {}", narrow.bytes(), plain.bytes());
            let mut row = vec![0.0; inp];
            for at in 0..out {
                narrow.row(at, &mut row);
                assert_eq!(row, wide[at * inp..][..inp], "{name}: row {at}");
            }
            let x: Vec<f32> = (0..8 * inp).map(|i| ((i * 37 + i * i % 13) % 211) as f32 / 97.0 - 1.0).collect();
            for rows in 1..9 {
                let run = |linear: &Linear| {
                    let mut y = vec![0.0; rows * out];
                    linear.forward(&x, rows, &mut y, false, &mut Scratch::default());
                    y
                };
                assert_eq!(run(&narrow), run(&plain), "{name}: {rows} rows");
            }
        }
    }
}
