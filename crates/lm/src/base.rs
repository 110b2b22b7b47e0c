//! Which model an adapter was made for, as far as that can be told.

use crate::LmError;
use crate::error::{parse_json, read_text};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of the model that an adapter of PEFT names as its base, if there is one here: as it is written, or beside
/// the adapter. A name on a hub tells nothing that could be checked.
///
/// # Errors
/// `adapter_config.json` is missing or broken.
pub fn adapter_base(adapter: &Path) -> Result<Option<PathBuf>, LmError> {
    let path = adapter.join("adapter_config.json");
    let json: Value = parse_json(&path, &read_text(&path)?, "an adapter_config.json of PEFT is expected")?;
    let named = json["base_model_name_or_path"].as_str().filter(|name| !name.is_empty());
    let places = named.map(|name| [PathBuf::from(name), adapter.join(name)]).into_iter().flatten();
    let mut bases = places.map(|place| Ok::<_, LmError>((!weights(&place)?.is_empty()).then_some(place)));
    bases.find_map(Result::transpose).transpose()
}

/// Whether two folders (or files) hold the same weights, byte for byte.
///
/// # Errors
/// One cannot be read.
pub fn same_weights(a: &Path, b: &Path) -> Result<bool, LmError> {
    if let (Ok(a), Ok(b)) = (a.canonicalize(), b.canonicalize())
        && a == b
    {
        return Ok(true);
    }
    let (a, b) = (weights(a)?, weights(b)?);
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(&b) {
        if !same_bytes(a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files of weights in a folder, by name; a GGUF file is one itself.
fn weights(of: &Path) -> Result<Vec<PathBuf>, LmError> {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|extension| extension == ending);
    if of.is_file() {
        return Ok(if ends(of, "gguf") { vec![of.to_path_buf()] } else { Vec::new() });
    }
    let Ok(entries) = of.read_dir() else { return Ok(Vec::new()) };
    let mut files =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(LmError::io(of))?;
    files.sort();
    let all = |ending: &str| -> Vec<PathBuf> {
        let weight =
            |path: &&PathBuf| ends(path, ending) && path.file_name().is_none_or(|n| n != "adapter_model.safetensors");
        files.iter().filter(weight).filter(|path| path.is_file()).cloned().collect()
    };
    let found = all("safetensors");
    Ok(if found.is_empty() { all("gguf") } else { found })
}

fn same_bytes(a: &Path, b: &Path) -> Result<bool, LmError> {
    const PART: usize = 1 << 20;
    let open = |path: &Path| -> Result<(File, u64), LmError> {
        let file = File::open(path).map_err(LmError::io(path))?;
        let length = file.metadata().map_err(LmError::io(path))?.len();
        Ok((file, length))
    };
    let ((first, length), (second, other)) = (open(a)?, open(b)?);
    if length != other {
        return Ok(false);
    }
    let (mut here, mut there) = (Vec::with_capacity(PART), Vec::with_capacity(PART));
    loop {
        for (file, path, part) in [(&first, a, &mut here), (&second, b, &mut there)] {
            part.clear();
            file.take(PART as u64).read_to_end(part).map_err(LmError::io(path))?;
        }
        if here != there {
            return Ok(false);
        }
        if here.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_found_and_known_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str, bytes: &[u8]| {
            let folder = dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
            folder
        };
        let (a, b, c) = (folder("a", b"1234"), folder("b", b"1234"), folder("c", b"1235"));
        assert!(same_weights(&a, &a).unwrap() && same_weights(&a, &b).unwrap() && !same_weights(&a, &c).unwrap());
        let adapter = dir.path().join("adapter");
        std::fs::create_dir_all(&adapter).unwrap();
        assert!(adapter_base(&adapter).unwrap_err().to_string().contains("adapter_config.json"));
        for (named, found) in [
            (serde_json::json!(a), Some(a.clone())),
            (serde_json::json!("../c"), Some(adapter.join("../c"))),
            (serde_json::json!("somebody/some-model"), None),
            (Value::Null, None),
        ] {
            let config = serde_json::json!({ "base_model_name_or_path": named });
            std::fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
            assert_eq!(adapter_base(&adapter).unwrap(), found);
        }
    }
}
