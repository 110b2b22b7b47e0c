//! The files of `loophole look`: directions in and out, texts in, checkpoints out.

use std::path::Path;

use loophole_lab::LabError;
use loophole_lab::look::{Character, Subject};
use loophole_lm::{Dtype, Model};
use loophole_look::file::{self, Mount};
use loophole_look::{Delta, Direction, LookError};

use super::look::Export;
use crate::output::{self, Error, Exit, Options, line};

/// Largest text and direction that are read, in bytes.
const LARGEST: u64 = 64 << 20;

/// A direction from a file, refused if it is another model's.
pub fn given(path: &Path, model: &Subject) -> Result<(Direction, Mount), Error> {
    let bytes =
        loophole_foreign::read(path, LARGEST).map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
    let made = || -> Result<_, LookError> {
        let (direction, mount) = file::parse(path, &bytes)?;
        let (config, checksum) = (&model.organism.model.config, model.organism.model.checksum());
        let shape = (config.num_hidden_layers, config.hidden_size);
        file::fits(path, &direction, &mount, (&model.name, &checksum), shape)?;
        mount.check(path, &model.name, &checksum)?;
        Ok((direction, mount))
    };
    Ok(made().map_err(LabError::from)?)
}

/// A text that was given as a file, or on standard input.
pub fn words(path: &Path) -> Result<String, Error> {
    let wrong = |error: std::io::Error| Error::Input(format!("{}: {error}", path.display()));
    if path != Path::new("-") {
        return loophole_foreign::read_text(path, LARGEST).map_err(wrong);
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(std::io::stdin().lock(), LARGEST), &mut text)
        .map_err(wrong)?;
    Ok(text.trim_end_matches('\n').to_string())
}

/// Writes the direction, with its mount, and in the forms of others that were asked for.
pub fn save(out: &Path, model: &Subject, found: &Character, exports: &[Export]) -> Result<(), Error> {
    let mount = Mount {
        model: model.organism.model.checksum(),
        position: found.contrast.position.name().to_string(),
        contrast: found.contrast.name.clone(),
        contrast_hash: found.contrast.hash(),
        template: loophole_lab::look::template_hash(),
    };
    let path = out.join("character.safetensors");
    let bytes = file::bytes(&path, &found.direction, &mount).map_err(LabError::from)?;
    loophole_log::write_atomic(&path, &bytes)?;
    for export in exports {
        let (name, bytes) = match export {
            Export::Repeng => ("character.gguf", file::repeng(&found.direction, "llama")),
            Export::Persona => {
                let path = out.join("persona.safetensors");
                ("persona.safetensors", file::persona(&path, &found.direction).map_err(LabError::from)?)
            }
        };
        loophole_log::write_atomic(&out.join(name), &bytes)?;
    }
    Ok(())
}

/// What `--keep` asks for, applied to an update in the order given.
pub fn write(subject: &Subject, base: &Subject, keep: &[String], out: &Path, output: &Options) -> Result<Exit, Error> {
    if out.exists() {
        return Err(Error::Input(format!("{} is there already; name a new folder with --write-model", out.display())));
    }
    let looking = LabError::from;
    let mut kept: Model = subject.organism.model.clone();
    for part in keep {
        let form = || Error::Input(format!("--keep {part}: write rank=K, scale=X or only=PATTERN"));
        let (what, value) = part.split_once('=').ok_or_else(form)?;
        let delta = Delta::between((&subject.name, &kept), (&base.name, &base.organism.model)).map_err(looking)?;
        kept = match what {
            "rank" => delta.factors().truncated(value.parse().ok().filter(|k| *k > 0).ok_or_else(form)?),
            "scale" => delta.scaled(value.parse().ok().filter(|x: &f32| x.is_finite()).ok_or_else(form)?),
            "only" => delta.only(value).map_err(looking)?,
            _ => return Err(form()),
        };
    }
    let saved = || -> Result<(), LabError> {
        kept.save(out, Dtype::F32)?;
        subject.organism.save_beside(out)
    };
    saved()?;
    let said = format!("{} with {} of its change from {}", base.name, keep.join(", "), subject.name);
    if output.json {
        let written = serde_json::json!({ "written": out, "what": said, "checksum": kept.checksum() });
        output::json(&written);
    } else {
        line(&format!("{}: {said}; checksum {}", out.display(), kept.checksum()));
    }
    Ok(Exit::Clean)
}
