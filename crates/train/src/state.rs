//! What a training needs to go on: parameters, the optimizer's moments, the step. One safetensors file, the same
//! bytes for the same training.

use std::io::Write;
use std::path::Path;

use loophole_lm::AdamW;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;

fn failed(path: &Path) -> impl Fn(String) -> TrainError + '_ {
    move |reason| TrainError::State { path: path.into(), reason }
}

/// Writes the state after `step` updates; the caller renames the file into its place.
pub(crate) fn save(path: &Path, params: &[f32], optimizer: &AdamW, step: usize) -> Result<(), TrainError> {
    let fail = failed(path);
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let parts = [("params", bytes(params)), ("m", bytes(&optimizer.m)), ("v", bytes(&optimizer.v))];
    let views: Vec<(&str, TensorView)> = parts
        .iter()
        .map(|(name, data)| {
            TensorView::new(Dtype::F32, vec![data.len() / 4], data)
                .map(|view| (*name, view))
                .map_err(|e| fail(e.to_string()))
        })
        .collect::<Result<_, _>>()?;
    let (step, optimizer_step) = (step.to_string(), optimizer.step.to_string());
    let counts = [("step", step.as_str()), ("optimizer_step", &optimizer_step)];
    let data = loophole_lm::serialize(views, &counts).map_err(|e| fail(e.to_string()))?;
    let written = std::fs::File::create(path).and_then(|mut file| {
        file.write_all(&data)?;
        file.sync_data()
    });
    written.map_err(|e| fail(e.to_string()))
}

/// Reads a state back and returns the number of updates made.
pub(crate) fn load(path: &Path, params: &mut [f32], optimizer: &mut AdamW) -> Result<usize, TrainError> {
    let fail = failed(path);
    // Three times the parameters and a header, if it belongs to them.
    let most = 12 * params.len() as u64 + (1 << 20);
    let data = loophole_foreign::read(path, most).map_err(|e| fail(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&data).map_err(|e| fail(e.to_string()))?;
    let tensors = SafeTensors::deserialize(&data).map_err(|e| fail(e.to_string()))?;
    let count = |name: &str| {
        let counts = header.metadata().as_ref();
        counts
            .and_then(|c| c.get(name))
            .and_then(|c| c.parse::<u64>().ok())
            .ok_or_else(|| fail(format!("it has no {name}")))
    };
    let read = |name: &str, into: &mut [f32]| {
        let tensor = tensors.tensor(name).map_err(|e| fail(e.to_string()))?;
        if tensor.data().len() != into.len() * 4 {
            return Err(fail(format!("{name} has another size than this training")));
        }
        for (value, bytes) in into.iter_mut().zip(tensor.data().as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    };
    read("params", params)?;
    read("m", &mut optimizer.m)?;
    read("v", &mut optimizer.v)?;
    optimizer.step = count("optimizer_step")?;
    Ok(count("step")? as usize)
}
