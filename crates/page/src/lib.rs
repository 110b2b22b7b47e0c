//! The report of a run: one HTML file with everything in it.
//!
//! [`ReportData`] is what the page says, as plain data; [`render`] turns it into the page; [`write_report`] does both
//! for a run folder and puts the file in place in one step. The page fetches nothing: style, script and drawings are
//! inline, and its own Content-Security-Policy forbids everything else. What models wrote is hostile text: `maud`
//! escapes it, control characters are made visible, and only the page's own script may run.
//!
//! Where things are: `data` (the view), `from_run` and `choose` (from the folder to the view), `series` (means over seeds), `chart` (the drawing board), `sections/*`
//! (one file a part of the page, in reading order), `probing` and `grading` (pages of their own), `page` (the frame around them), `assets` (style and script).

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod chart;
mod choose;
pub mod data;
mod from_run;
mod grading;
mod html;
mod page;
mod probing;
mod sections;
mod series;
mod sheet;

use std::path::Path;

pub use data::ReportData;
pub use from_run::ReportError;
pub use grading::grading;
pub use page::render;
pub use probing::probing;
pub use sheet::{Heat, HeatToken, Section, Sheet, Table, sheet};

/// Makes the report of the run in the folder `run` and puts it at `out` as a whole, or not at all.
///
/// # Errors
/// If `run` is no run, one of its files is broken or not as it was written, or `out` cannot be written.
pub fn write_report(run: &Path, out: &Path) -> Result<(), ReportError> {
    put(run, out, &ReportData::from_run(run)?)
}

/// The same of a run that is not as it was written; the page says so.
///
/// # Errors
/// If `run` is no run, one of its files is broken, or `out` cannot be written.
pub fn write_report_unverified(run: &Path, out: &Path) -> Result<(), ReportError> {
    put(run, out, &ReportData::from_run_unverified(run)?)
}

fn put(run: &Path, out: &Path, data: &ReportData) -> Result<(), ReportError> {
    let (page, run) = (render(data), loophole_log::RunDir::open(run)?);
    // The page that lies with the run is one of its files.
    if out == run.report_path() {
        return Ok(run.write_page(&page)?);
    }
    Ok(loophole_log::write_atomic(out, page.as_bytes())?)
}
