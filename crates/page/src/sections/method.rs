//! What was left out, what the recipe was, how to make it again, and what the words mean.

use maud::html;

use super::{Part, heading, words::WORDS};
use crate::html::duration;
use crate::page::Context;

/// The fine print, which is not printed finely.
pub fn part(context: &Context) -> Option<Part> {
    let data = context.data;
    let body = html! {
        (heading("method", "How this was made", html! { "What was left out, the recipe, and how to make it again." }))
        h3 { "Left out" }
        @if data.excluded.is_empty() {
            p { "The run reports nothing left out." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "What" } th scope="col" { "Why" } th.num scope="col" { "How many" } } }
                tbody { @for item in &data.excluded { tr {
                    th scope="row" { (item.what) } td { (item.why) }
                    td.num { (item.count) @if let Some(of) = item.of { " of " (of) } }
                } } }
            } }
        }
        @if !data.hypothesis.is_empty() { h3 { "Expected before the run" } p { (data.hypothesis) } }
        @if !data.commands.is_empty() {
            h3 { "Make it again" }
            pre.commands { "\n" @for command in &data.commands { (command) "\n" } }
            p.soft { "The same recipe and seeds give the same numbers." }
        }
        @if !data.recipe.is_empty() {
            details { summary { "The recipe, resolved" } pre { "\n" (data.recipe) } }
        }
        @if !data.timings.is_empty() || !data.versions.is_empty() {
            div.pair {
                @if !data.timings.is_empty() { div {
                    h3 { "Time" }
                    dl { @for t in &data.timings { div { dt { (t.what) } dd { (duration(t.seconds)) } } } }
                } }
                @if !data.versions.is_empty() { div {
                    h3 { "Versions" }
                    dl { @for (name, version) in &data.versions { div { dt { (name) } dd { (version) } } } }
                } }
            }
        }
        details.glossary {
            summary { "What the words mean" }
            dl { @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } } }
        }
    };
    Some(Part { id: "method", nav: "Method", body })
}
