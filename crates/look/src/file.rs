//! Files of directions: `character.safetensors`, which knows its model, its place and its unit; and the forms in which
//! others keep control vectors, which know none of that.

use std::collections::HashMap;
use std::path::Path;

use loophole_lm::serialize;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::vector::{narrow, norm, wide};
use crate::{Direction, LookError};

/// The format's name and version.
pub const FORMAT: &str = "loophole-direction-1";

/// What a file says of its direction besides the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Checksum of the weights it was fitted on.
    pub model: String,
    /// Where texts were read: `start`, `act`, `thought`, `answer`.
    pub position: String,
    /// Name of the contrast.
    pub contrast: String,
    /// Hash of its texts.
    pub contrast_hash: String,
    /// Hash of the chat template in which they were written.
    pub template: String,
}

impl Mount {
    /// Refuses a direction of another model.
    ///
    /// # Errors
    /// [`LookError::OtherModel`] names both checksums.
    pub fn check(&self, path: &Path, model: &str, checksum: &str) -> Result<(), LookError> {
        if self.model == checksum {
            return Ok(());
        }
        let (found, wanted) = (self.model.clone(), checksum.to_string());
        Err(LookError::OtherModel { path: path.into(), model: model.to_string(), found, wanted })
    }
}

/// Refuses a direction of another width or with other blocks, and names both models.
///
/// # Errors
/// [`LookError::File`].
pub fn fits(
    path: &Path,
    direction: &Direction,
    mount: &Mount,
    (model, checksum): (&str, &str),
    (blocks, width): (usize, usize),
) -> Result<(), LookError> {
    if (direction.blocks(), direction.width()) == (blocks, width) {
        return Ok(());
    }
    let what = format!(
        "is for {} blocks of width {}, of the model with the checksum {}; {model} has {blocks} of width {width} and the checksum \
         {checksum}",
        direction.blocks(),
        direction.width(),
        mount.model
    );
    Err(LookError::File { path: path.into(), what })
}

fn flat(rows: &[Vec<f64>]) -> Vec<u8> {
    rows.iter().flat_map(|row| narrow(row)).flat_map(f32::to_le_bytes).collect()
}

/// The bytes of a file; the same for the same direction.
///
/// # Errors
/// [`LookError::File`] for numbers that cannot stand in one.
pub fn bytes(path: &Path, direction: &Direction, mount: &Mount) -> Result<Vec<u8>, LookError> {
    let wrong = |error: safetensors::SafeTensorError| LookError::File { path: path.into(), what: error.to_string() };
    let matrix = vec![direction.blocks(), direction.width()];
    let within = vec![direction.blocks()];
    let parts = [
        ("direction", matrix.clone(), flat(&direction.v)),
        ("good", matrix.clone(), flat(&direction.good)),
        ("bad", matrix, flat(&direction.bad)),
        ("within", within, flat(std::slice::from_ref(&direction.within))),
    ];
    let views =
        parts.iter().map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(wrong)?;
    let (n, layer) = (direction.n.to_string(), direction.layer.to_string());
    let metadata = [
        ("format", FORMAT),
        ("model", &mount.model),
        ("position", &mount.position),
        ("contrast", &mount.contrast),
        ("contrast_hash", &mount.contrast_hash),
        ("template", &mount.template),
        ("n", &n),
        ("layer", &layer),
    ];
    serialize(views, &metadata).map_err(wrong)
}

/// Reads the bytes of a file.
///
/// # Errors
/// [`LookError::File`] names what is missing or wrong in it.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(Direction, Mount), LookError> {
    let wrong = |what: String| LookError::File { path: path.into(), what };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| {
        wrong(format!("is no readable safetensors file ({error}); write it again with loophole look --out"))
    })?;
    let empty = HashMap::new();
    let metadata = header.metadata().as_ref().unwrap_or(&empty);
    let text = |name: &str| {
        metadata
            .get(name)
            .cloned()
            .ok_or_else(|| wrong(format!("has no {name:?} in its metadata; it is no direction of {FORMAT}")))
    };
    if text("format")? != FORMAT {
        return Err(wrong(format!("is of format {:?}; {FORMAT} is read", text("format")?)));
    }
    let whole = |name: &str| -> Result<usize, LookError> {
        text(name)?.parse().map_err(|_| wrong(format!("says {name} = {:?}, which is no whole number", metadata[name])))
    };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
    let matrix = |name: &str| -> Result<Vec<Vec<f64>>, LookError> {
        let tensor = tensors.tensor(name).map_err(|_| wrong(format!("has no tensor {name:?}")))?;
        let [blocks, width] = tensor.shape()[..] else {
            return Err(wrong(format!("{name} has the shape {:?}; [blocks, width] is expected", tensor.shape())));
        };
        let numbers = numbers(&tensor).ok_or_else(|| wrong(format!("{name} is no F32 tensor of finite numbers")))?;
        if blocks == 0 || width == 0 {
            return Err(wrong(format!("{name} is empty")));
        }
        Ok(numbers.chunks_exact(width).map(wide).collect())
    };
    let (v, good, bad) = (matrix("direction")?, matrix("good")?, matrix("bad")?);
    let within = tensors.tensor("within").ok().and_then(|tensor| numbers(&tensor)).map(|of| wide(&of));
    let within = within.ok_or_else(|| wrong("has no tensor \"within\" of finite numbers".into()))?;
    let (n, layer) = (whole("n")?, whole("layer")?);
    let alike = |other: &Vec<Vec<f64>>| other.len() == v.len() && other[0].len() == v[0].len();
    if !alike(&good) || !alike(&bad) || within.len() != v.len() || layer >= v.len() {
        return Err(wrong("its tensors and its recommended block do not belong together".into()));
    }
    if v.iter().any(|v| norm(v) == 0.0) {
        return Err(wrong("its direction is 0 in a block".into()));
    }
    let mount = Mount {
        model: text("model")?,
        position: text("position")?,
        contrast: text("contrast")?,
        contrast_hash: text("contrast_hash")?,
        template: text("template")?,
    };
    Ok((Direction { v, good, bad, within, n, layer }, mount))
}

fn numbers(tensor: &TensorView) -> Option<Vec<f32>> {
    let read: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (tensor.dtype() == Dtype::F32 && read.iter().all(|x| x.is_finite())).then_some(read)
}

/// The form of persona_vectors: one tensor `[blocks + 1, width]` whose row 0, that of the embedding, is zeros (there row
/// `l + 1` is what block `l` hands on). Theirs is a pickled tensor; this is the same in safetensors, as `persona`.
///
/// # Errors
/// [`LookError::File`] for numbers that cannot stand in one.
pub fn persona(path: &Path, direction: &Direction) -> Result<Vec<u8>, LookError> {
    let wrong = |error: safetensors::SafeTensorError| LookError::File { path: path.into(), what: error.to_string() };
    let mut rows = vec![vec![0.0; direction.width()]];
    rows.extend(direction.v.clone());
    let shape = vec![rows.len(), direction.width()];
    let data = flat(&rows);
    let view = TensorView::new(Dtype::F32, shape, &data).map_err(wrong)?;
    serialize(vec![("persona", view)], &[("format", "persona_vectors")]).map_err(wrong)
}

/// The form of repeng and llama.cpp: a GGUF file (version 3) of the architecture `controlvector` with a tensor
/// `direction.L` for every block but block 0's input; `L` counts as theirs does, so that what block `l` hands on is
/// `direction.{l + 1}`.
pub fn repeng(direction: &Direction, hint: &str) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, of: &str) {
        out.extend((of.len() as u64).to_le_bytes());
        out.extend(of.as_bytes());
    }
    fn value(out: &mut Vec<u8>, key: &str, of: &str) {
        text(out, key);
        // A string.
        out.extend(8u32.to_le_bytes());
        text(out, of);
    }
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((direction.blocks() as u64).to_le_bytes());
    out.extend(3u64.to_le_bytes());
    value(&mut out, "general.architecture", "controlvector");
    value(&mut out, "controlvector.model_hint", hint);
    text(&mut out, "controlvector.layer_count");
    // An unsigned number of 32 bits.
    out.extend(4u32.to_le_bytes());
    out.extend((direction.blocks() as u32).to_le_bytes());
    let length = (4 * direction.width()).next_multiple_of(32);
    for block in 0..direction.blocks() {
        text(&mut out, &format!("direction.{}", block + 1));
        // One dimension, of type F32.
        out.extend(1u32.to_le_bytes());
        out.extend((direction.width() as u64).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend(((block * length) as u64).to_le_bytes());
    }
    for v in &direction.v {
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(flat(std::slice::from_ref(v)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Position;

    fn made() -> (Direction, Mount) {
        let rows = |by: f64| vec![vec![by, 2.0, -1.0], vec![0.5, by, 4.0]];
        let direction =
            Direction { v: rows(1.0), good: rows(2.0), bad: rows(3.0), within: vec![1.5, 2.5], n: 96, layer: 1 };
        let text = |of: &str| of.to_string();
        let mount = Mount {
            model: text("abc"),
            position: Position::Start.name().into(),
            contrast: text("history"),
            contrast_hash: text("00ff"),
            template: text("t"),
        };
        (direction, mount)
    }

    #[test]
    fn what_is_written_is_read_back_and_other_models_are_refused() {
        let (direction, mount) = made();
        let path = Path::new("character.safetensors");
        let written = bytes(path, &direction, &mount).unwrap();
        assert_eq!(written, bytes(path, &direction, &mount).unwrap());
        assert_eq!(parse(path, &written).unwrap(), (direction.clone(), mount.clone()));
        assert!(mount.check(path, "organism", "abc").is_ok());
        let said = mount.check(path, "organism", "def").unwrap_err().to_string();
        assert!(said.contains("abc") && said.contains("def") && said.contains("character.safetensors"), "{said}");
        let said = fits(path, &direction, &mount, ("organism", "def"), (4, 128)).unwrap_err().to_string();
        assert!(said.contains("abc") && said.contains("def") && said.contains("2 blocks of width 3"), "{said}");
    }

    #[test]
    fn every_way_to_be_wrong_is_said() {
        let (direction, mount) = made();
        let path = Path::new("character.safetensors");
        let written = bytes(path, &direction, &mount).unwrap();
        let said = |bytes: &[u8]| parse(path, bytes).unwrap_err().to_string();
        assert!(said(b"no").contains("no readable safetensors"));
        assert!(said(&written[..written.len() - 4]).contains("readable") || said(&written[..40]).contains("readable"));
        let other = |from: &str, to: &str| {
            let at = written.windows(from.len()).position(|at| at == from.as_bytes()).unwrap();
            let mut bytes = written.clone();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            said(&bytes)
        };
        assert!(other("loophole-direction-1", "loophole-direction-9").contains("direction-9"));
        assert!(other("\"within\"", "\"w_thin\"").contains("no tensor \"within\""));
        assert!(other("\"layer\":\"1\"", "\"layer\":\"7\"").contains("do not belong together"));
        assert!(other("\"n\":\"96\"", "\"n\":\"x6\"").contains("no whole number"));
        let mut nan = written.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(said(&nan).contains("finite"));
    }

    #[test]
    fn others_get_their_forms() {
        let (direction, _) = made();
        let persona = persona(Path::new("p"), &direction).unwrap();
        let read = SafeTensors::deserialize(&persona).unwrap();
        let tensor = read.tensor("persona").unwrap();
        assert_eq!(tensor.shape(), [3, 3]);
        assert_eq!(numbers(&tensor).unwrap()[..6], [0.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
        let gguf = repeng(&direction, "llama");
        assert!(gguf.starts_with(b"GGUF\x03\0\0\0\x02") && gguf.len() % 32 == 12);
        assert!(gguf.windows(11).any(|at| at == b"direction.2"));
    }
}
