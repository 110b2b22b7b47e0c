//! `loophole doctor`.

use crate::output::{self, Error, Exit, Options, line};

/// What this machine offers.
pub fn doctor(output: &Options) -> Result<Exit, Error> {
    let checks = loophole_cell::doctor();
    let usable = loophole_cell::Pool::start(loophole_cell::PoolOptions { cells: 1, ..Default::default() });
    if output.json {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| serde_json::json!({ "name": check.name, "ok": check.ok, "found": check.found, "hint": check.hint }))
            .collect();
        output::json(&serde_json::json!({ "checks": checks, "cells": usable.is_ok() }));
    } else {
        for check in &checks {
            line(&format!("{} {:<24} {}", if check.ok { "ok  " } else { "miss" }, check.name, check.found));
            if !check.ok && !check.hint.is_empty() {
                line(&format!("     hint: {}", check.hint));
            }
        }
    }
    usable?;
    if !output.json {
        line("cells work here");
    }
    Ok(Exit::Clean)
}
