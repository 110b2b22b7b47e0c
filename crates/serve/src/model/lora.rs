//! `POST /v1/load_lora_adapter` and `/v1/unload_lora_adapter`, as vLLM takes them: adapters of PEFT on the model that is
//! served, which requests then name as their model.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::Model;
use super::answer::Answer;
use crate::problem::{Form, Problem, whole};

/// Most adapters at a time.
const MOST: usize = 64;
/// Longest name of one.
const LONGEST_NAME: usize = 256;

/// What is loaded, or let go.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct Body {
    lora_name: String,
    lora_path: String,
    /// Whether it takes the place of one of this name.
    load_inplace: bool,
}

pub(crate) fn load(model: &Arc<Model>, body: Body, answer: Answer) {
    let said = model.load(&body).map(|()| format!("Success: LoRA adapter '{}' added successfully.", body.lora_name));
    tell(said, answer);
}

pub(crate) fn unload(model: &Arc<Model>, body: Body, answer: Answer) {
    let said =
        model.unload(&body).map(|()| format!("Success: LoRA adapter '{}' removed successfully.", body.lora_name));
    tell(said, answer);
}

fn tell(said: Result<String, Problem>, answer: Answer) {
    answer.send(match said {
        Ok(said) => whole(200, "text/plain; charset=utf-8", said),
        Err(problem) => Form::OpenAi.refuse(&problem),
    });
}

impl Model {
    fn load(&self, body: &Body) -> Result<(), Problem> {
        let Body { lora_name: name, lora_path: path, load_inplace } = body;
        if name.is_empty() || path.is_empty() {
            return Err(Problem::field("lora_name", "both lora_name and lora_path must be given"));
        }
        if name.len() > LONGEST_NAME || *name == self.name {
            let message = format!("{name:?} cannot be an adapter's name: it is the model's, or too long");
            return Err(Problem::field("lora_name", message));
        }
        let local = self.local()?;
        let there = self.adapters();
        let known = there.iter().any(|adapted| adapted.name == *name);
        if known && !load_inplace {
            let message =
                format!("the adapter {name:?} has been loaded already; load_inplace: true takes another in its place");
            return Err(Problem::field("lora_name", message));
        }
        if !known && there.len() >= MOST {
            return Err(Problem::field("lora_name", format!("{MOST} adapters are loaded; unload one first")));
        }
        if !Path::new(path).is_dir() {
            let message = format!("{path:?} is no folder here; only folders of the server's machine are loaded");
            return Err(Problem::field("lora_path", message));
        }
        let adapted =
            local.adapted(Path::new(path), name).map_err(|error| Problem::field("lora_path", error.to_string()))?;
        let adapted = Model {
            chat: Arc::new(adapted),
            name: name.clone(),
            began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seed: self.seed,
            number: AtomicU64::new(0),
            places: self.places.clone(),
            adapter: Some((path.clone(), self.name.clone())),
            adapters: RwLock::new(BTreeMap::new()),
        };
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        adapters.insert(name.clone(), Arc::new(adapted));
        Ok(())
    }

    fn unload(&self, body: &Body) -> Result<(), Problem> {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        let missing = || Problem {
            field: Some("lora_name".to_string()),
            ..Problem::other(404, format!("there is no adapter {:?} here", body.lora_name))
        };
        adapters.remove(&body.lora_name).map(drop).ok_or_else(missing)
    }
}
