//! The report of a run: one HTML file with everything in it.
//!
//! [`ReportData`] is what the page says, as plain data; [`render`] turns it into the page; [`write_report`] does both
//! for a run folder and puts the file in place in one step. The page fetches nothing: style, script and drawings are
//! inline, and its own Content-Security-Policy forbids everything else. What models wrote is hostile text: `maud`
//! escapes it, control characters are made visible, and only the page's own script may run.
//!
//! Where things are: `data` (the view), `series` (means over seeds), `chart` (the drawing board), `sections/*`
//! (one file a part of the page, in reading order), `page` (the frame around them), `assets` (style and script).

mod chart;
pub mod data;
mod html;
mod page;
mod sections;
mod series;

pub use data::ReportData;
pub use page::render;
