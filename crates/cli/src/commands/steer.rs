//! Steered models by name: `MODEL~FILE`, `MODEL~FILE@LAYER*ALPHA` and `MODEL~FILE-`.

use std::path::{Path, PathBuf};

use loophole_chat::Local;
use loophole_lab::LabError;
use loophole_lm::Model;
use loophole_look::steer::Dose;
use loophole_look::{Direction, LookError, file};

use super::model::{self, Place};
use crate::output::Error;

/// Largest direction that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// How a model is steered, as its name says.
#[derive(Debug, PartialEq)]
pub struct Steering {
    file: PathBuf,
    how: How,
}

#[derive(Debug, PartialEq)]
enum How {
    /// So many times the direction is added, at this block or the one that the file recommends.
    Add { layer: Option<usize>, alpha: f64 },
    /// The coordinate is held at that of the good texts, in all blocks.
    Pin,
}

impl Steering {
    /// The model, and how it is steered; none if a name says nothing of that.
    ///
    /// # Errors
    /// What stands behind the last `~` is no direction that is there, or one with a dose that is none.
    pub fn split(name: &str) -> Result<Option<(&str, Steering)>, Error> {
        let Some((model, said)) = name.rsplit_once('~') else { return Ok(None) };
        if model.is_empty() || said.is_empty() || Path::new(name).exists() {
            return Ok(None);
        }
        // The addresses and names of others may hold one.
        if model::is_elsewhere(name) {
            return match dose(said) {
                Ok((path, _)) if Path::new(path).is_file() => Err(Error::Cannot(format!(
                    "{model} has no weights on this machine, so it cannot be steered; a checkpoint of it in a folder can"
                ))),
                _ => Ok(None),
            };
        }
        let (path, how) = dose(said)?;
        if Path::new(path).is_file() {
            return Ok(Some((model, Steering { file: path.into(), how })));
        }
        Err(Error::Input(format!(
            "{name:?}: there is no direction {path:?}; write MODEL~FILE, MODEL~FILE@LAYER*ALPHA or MODEL~FILE-, with a \
             character.safetensors as `loophole look MODEL --out DIR` writes it"
        )))
    }

    /// Steers a model whose files lie there.
    ///
    /// # Errors
    /// A file that is no direction, or one of another model; no such block.
    pub fn apply(&self, local: Local, name: &str, place: &Place) -> Result<Local, Error> {
        let bytes = loophole_foreign::read(&self.file, LARGEST)
            .map_err(|error| Error::Input(format!("{}: {error}", self.file.display())))?;
        let dose = || -> Result<(Direction, Dose), LookError> {
            let (direction, mount) = file::parse(&self.file, &bytes)?;
            let model = Model::load(&place.dir)?;
            let (config, checksum) = (&model.config, model.checksum());
            let shape = (config.num_hidden_layers, config.hidden_size);
            file::fits(&self.file, &direction, &mount, (name, &checksum), shape)?;
            // One that was fitted on what a model was trained from belongs to it too.
            let base = place.base.as_deref().filter(|_| mount.model != checksum).map(Model::load).transpose()?;
            if base.is_none_or(|base| base.checksum() != mount.model) {
                mount.check(&self.file, name, &checksum)?;
            }
            let dose = match self.how {
                How::Pin => Dose::Pin,
                How::Add { layer, alpha } => Dose::Add { alpha, block: Some(layer.unwrap_or(direction.layer)) },
            };
            Ok((direction, dose))
        };
        let (direction, dose) = dose().map_err(LabError::from)?;
        if let Dose::Add { block: Some(block), .. } = dose
            && block >= direction.blocks()
        {
            return Err(Error::Input(format!(
                "{name}: there is no block {block}; it has {}, counted from 0",
                direction.blocks()
            )));
        }
        let edits = dose.edits(&direction, local.token_of("</think>")).map_err(LabError::from)?;
        Ok(local.steered(&edits.into()))
    }
}

/// The file, and what is done along its direction.
fn dose(said: &str) -> Result<(&str, How), Error> {
    let wrong = |what: String| {
        Err(Error::Input(format!("{said:?}: {what}; write FILE@LAYER*ALPHA, as in a.safetensors@2*1.5")))
    };
    // A name that is there is taken as it stands.
    if Path::new(said).is_file() {
        return Ok((said, How::Add { layer: None, alpha: 1.0 }));
    }
    if let Some(path) = said.strip_suffix('-') {
        return Ok((path, How::Pin));
    }
    let (rest, alpha) = match said.rsplit_once('*') {
        Some((rest, alpha)) => match alpha.parse::<f64>() {
            Ok(alpha) if alpha.is_finite() && alpha.abs() <= 1_000.0 => (rest, alpha),
            _ => return wrong(format!("{alpha:?} is no number between -1000 and 1000 to multiply with")),
        },
        None => (said, 1.0),
    };
    let (path, layer) = match rest.rsplit_once('@') {
        Some((path, layer)) => match layer.parse::<usize>() {
            Ok(layer) => (path, Some(layer)),
            Err(_) => return wrong(format!("{layer:?} is no number of a block")),
        },
        None => (rest, None),
    };
    Ok((path, How::Add { layer, alpha }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_model_is_steered_and_an_address_may_hold_the_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, "").unwrap();
        let path = path.display().to_string();
        let add = |layer, alpha| Steering { file: path.clone().into(), how: How::Add { layer, alpha } };
        for (suffix, wanted) in [
            ("", add(None, 1.0)),
            ("*-2", add(None, -2.0)),
            ("@2", add(Some(2), 1.0)),
            ("@0*0.5", add(Some(0), 0.5)),
            ("-", Steering { file: path.clone().into(), how: How::Pin }),
        ] {
            let name = format!("organism:r/a/3@4~{path}{suffix}");
            assert_eq!(Steering::split(&name).ok().flatten(), Some(("organism:r/a/3@4", wanted)), "{suffix}");
        }
        for wrong in ["*x", "*nan", "*1e9", "@x", "@-1*2"] {
            assert!(Steering::split(&format!("organism~{path}{wrong}")).is_err(), "{wrong}");
        }
        assert!(Steering::split("organism~nowhere.safetensors").is_err());
        for plain in ["organism", "http://host/~me/v1#model", "~/model"] {
            assert!(matches!(Steering::split(plain), Ok(None)), "{plain}");
        }
    }
}
