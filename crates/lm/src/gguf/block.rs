//! The blocks in which GGUF keeps weights. Every format says the same: a weight is `scale * q - offset` with a small
//! whole number `q`, and a group of neighbours shares scale and offset. So each is one small function that unpacks a
//! block into numbers, scales and offsets, and whatever else is done with weights knows one form.

use crate::store::from_f16;

/// Most weights in a block.
pub(crate) const LARGEST: usize = 256;

/// Fewest weights that share a scale.
const FEWEST: usize = 16;

/// A block, unpacked.
pub(crate) struct Unpacked {
    /// The numbers, as many as the format's block has weights.
    pub numbers: [i8; LARGEST],
    /// One for each group.
    pub scales: [f32; LARGEST / FEWEST],
    /// What is taken from the product, one for each group.
    pub offsets: [f32; LARGEST / FEWEST],
}

impl Unpacked {
    pub fn new() -> Unpacked {
        Unpacked { numbers: [0; LARGEST], scales: [0.0; LARGEST / FEWEST], offsets: [0.0; LARGEST / FEWEST] }
    }
}

/// A block format; the names are those of GGUF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub(crate) enum Block {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

use Block::{Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};

/// Reads a number of 16 bits at `at`; blocks have the length of their format.
fn half(block: &[u8], at: usize) -> f32 {
    from_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

impl Block {
    /// The number that GGUF gives a format, and its name.
    pub const ALL: [(u32, &'static str, Block); 10] = [
        (2, "Q4_0", Q4_0),
        (3, "Q4_1", Q4_1),
        (6, "Q5_0", Q5_0),
        (7, "Q5_1", Q5_1),
        (8, "Q8_0", Q8_0),
        (10, "Q2_K", Q2_K),
        (11, "Q3_K", Q3_K),
        (12, "Q4_K", Q4_K),
        (13, "Q5_K", Q5_K),
        (14, "Q6_K", Q6_K),
    ];

    /// Weights in a block.
    pub fn weights(self) -> usize {
        match self {
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 => 32,
            Q2_K | Q3_K | Q4_K | Q5_K | Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Q4_0 => 18,
            Q4_1 => 20,
            Q5_0 => 22,
            Q5_1 => 24,
            Q8_0 => 34,
            Q2_K => 84,
            Q3_K => 110,
            Q4_K => 144,
            Q5_K => 176,
            Q6_K => 210,
        }
    }

    /// Weights that share a scale.
    pub fn group(self) -> usize {
        match self {
            Q2_K | Q3_K | Q6_K => 16,
            _ => 32,
        }
    }

    /// Whether its numbers are from 0 to 15.
    pub fn is_nibble(self) -> bool {
        matches!(self, Q4_0 | Q4_1 | Q2_K | Q4_K)
    }

    /// Takes a block apart.
    ///
    /// # Panics
    /// The block has another length than [`Block::bytes`].
    pub fn unpack(self, block: &[u8], out: &mut Unpacked) {
        assert_eq!(block.len(), self.bytes(), "a block of {self:?}");
        match self {
            Q4_0 => {
                nibbles(&block[2..], &mut out.numbers);
                (out.scales[0], out.offsets[0]) = (half(block, 0), 8.0 * half(block, 0));
            }
            Q4_1 => {
                nibbles(&block[4..], &mut out.numbers);
                (out.scales[0], out.offsets[0]) = (half(block, 0), -half(block, 2));
            }
            Q5_0 => {
                nibbles(&block[6..], &mut out.numbers);
                fifth_bits(&block[2..6], &mut out.numbers);
                (out.scales[0], out.offsets[0]) = (half(block, 0), 16.0 * half(block, 0));
            }
            Q5_1 => {
                nibbles(&block[8..], &mut out.numbers);
                fifth_bits(&block[4..8], &mut out.numbers);
                (out.scales[0], out.offsets[0]) = (half(block, 0), -half(block, 2));
            }
            Q8_0 => {
                for (number, byte) in out.numbers.iter_mut().zip(&block[2..]) {
                    *number = byte.cast_signed();
                }
                (out.scales[0], out.offsets[0]) = (half(block, 0), 0.0);
            }
            Q2_K => q2_k(block, out),
            Q3_K => q3_k(block, out),
            Q4_K => {
                scales_and_offsets(block, out);
                eights(&block[16..], &mut out.numbers);
            }
            Q5_K => {
                scales_and_offsets(block, out);
                eights(&block[48..], &mut out.numbers);
                for (at, number) in out.numbers.iter_mut().enumerate() {
                    *number |= ((block[16 + at % 32] >> (at / 32) & 1) << 4).cast_signed();
                }
            }
            Q6_K => q6_k(block, out),
        }
    }

    /// Writes the weights of whole blocks.
    pub fn widen(self, blocks: &[u8], out: &mut [f32]) {
        let mut unpacked = Unpacked::new();
        for (block, out) in blocks.chunks_exact(self.bytes()).zip(out.chunks_exact_mut(self.weights())) {
            self.unpack(block, &mut unpacked);
            for (group, out) in out.chunks_exact_mut(self.group()).enumerate() {
                let (scale, offset) = (unpacked.scales[group], unpacked.offsets[group]);
                for (x, q) in out.iter_mut().zip(&unpacked.numbers[group * self.group()..]) {
                    *x = scale * f32::from(*q) - offset;
                }
            }
        }
    }
}

/// 32 numbers of four bits: the low ones of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8], out: &mut [i8]) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = ((byte & 15).cast_signed(), (byte >> 4).cast_signed());
    }
}

/// The fifth bit of 32 numbers.
fn fifth_bits(bytes: &[u8], out: &mut [i8]) {
    for (at, number) in out.iter_mut().take(32).enumerate() {
        *number |= ((bytes[at / 8] >> (at % 8) & 1) << 4).cast_signed();
    }
}

/// 256 numbers of four bits: of every 32 bytes first the low ones.
fn eights(bytes: &[u8], out: &mut [i8]) {
    for (bytes, out) in bytes.chunks_exact(32).zip(out.chunks_exact_mut(64)) {
        let (low, high) = out.split_at_mut(32);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
            (*low, *high) = ((byte & 15).cast_signed(), (byte >> 4).cast_signed());
        }
    }
}

/// Eight scales and eight offsets of six bits in twelve bytes, each times a number of 16 bits.
fn scales_and_offsets(block: &[u8], out: &mut Unpacked) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    let packed = &block[4..16];
    for at in 0..8 {
        let (s, o) = match at {
            0..4 => (packed[at] & 63, packed[at + 4] & 63),
            _ => {
                let high = |byte: u8| (byte >> 6) << 4;
                ((packed[at + 4] & 15) | high(packed[at - 4]), (packed[at + 4] >> 4) | high(packed[at]))
            }
        };
        (out.scales[at], out.offsets[at]) = (scale * f32::from(s), offset * f32::from(o));
    }
}

fn q2_k(block: &[u8], out: &mut Unpacked) {
    let (scale, offset) = (half(block, 80), half(block, 82));
    for (group, byte) in block[..16].iter().enumerate() {
        out.scales[group] = scale * f32::from(byte & 15);
        out.offsets[group] = offset * f32::from(byte >> 4);
    }
    for (at, number) in out.numbers.iter_mut().enumerate() {
        *number = (block[16 + at / 128 * 32 + at % 32] >> (at / 32 % 4 * 2) & 3).cast_signed();
    }
}

fn q3_k(block: &[u8], out: &mut Unpacked) {
    let scale = half(block, 108);
    let packed = &block[96..108];
    for group in 0..16 {
        let low = if group < 8 { packed[group] & 15 } else { packed[group - 8] >> 4 };
        let high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        out.scales[group] = scale * (f32::from(low | high << 4) - 32.0);
        out.offsets[group] = 0.0;
    }
    for (at, number) in out.numbers.iter_mut().enumerate() {
        let low = block[32 + at / 128 * 32 + at % 32] >> (at / 32 % 4 * 2) & 3;
        let high = block[at % 32] >> (at / 32) & 1;
        *number = low.cast_signed() - if high == 1 { 0 } else { 4 };
    }
}

fn q6_k(block: &[u8], out: &mut Unpacked) {
    let scale = half(block, 208);
    for group in 0..16 {
        out.scales[group] = scale * f32::from(block[192 + group].cast_signed());
        out.offsets[group] = 0.0;
    }
    for (at, number) in out.numbers.iter_mut().enumerate() {
        let (part, quarter, place) = (at / 128, at % 128 / 32, at % 32);
        let low = block[part * 64 + quarter % 2 * 32 + place] >> (quarter / 2 * 4) & 15;
        let high = block[128 + part * 32 + place] >> (quarter * 2) & 3;
        *number = (low | high << 4).cast_signed() - 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks and what the `gguf` package of Python makes of them, written by `scripts/golden_gguf.py`.
    const GOLDEN: &str = include_str!("../../tests/gguf/blocks.json");

    #[test]
    fn weights_are_those_of_the_gguf_package() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for (number, name, block) in Block::ALL {
            let case = &golden[name];
            assert_eq!(case["number"], number, "{name}");
            let hex = case["bytes"].as_str().unwrap();
            let bytes: Vec<u8> =
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
            let want: Vec<f32> =
                case["bits"].as_array().unwrap().iter().map(|x| f32::from_bits(x.as_u64().unwrap() as u32)).collect();
            assert!(want.len() >= 2 * block.weights() && bytes.len() * block.weights() == want.len() * block.bytes());
            let mut got = vec![0.0; want.len()];
            block.widen(&bytes, &mut got);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn nibbles_are_what_they_are_called() {
        let mut out = Unpacked::new();
        for (_, name, block) in Block::ALL {
            for byte in 0..=255 {
                block.unpack(&vec![byte; block.bytes()], &mut out);
                let inside = out.numbers[..block.weights()].iter().all(|q| (0..16).contains(q));
                assert!(inside || !block.is_nibble(), "{name}");
            }
        }
    }
}
