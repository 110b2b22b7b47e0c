//! A page of tables: what a command has found, in sections, one sentence first. The same tables are what the terminal
//! shows; here they get the frame, the colours and, for texts that were read token by token, a ground in two colours.

use maud::{DOCTYPE, Markup, html};

use crate::html::head;

const STYLE: &str = include_str!("assets/style.css");
/// Two-sided heat: blue below, orange above, and a rule under a token where the number is large, for who sees no colour.
const OWN_STYLE: &str = "\
.heat{font:.9rem/2 var(--mono);overflow-wrap:anywhere;margin:.6em 0;padding:.5em .8em;background:var(--sheet);border:1px solid var(--rule)}\
.heat span{white-space:pre-wrap;padding:.15em 0}\
.heat span.big{border-bottom:2px solid currentColor}\
td:not(:first-child),th:not(:first-child){text-align:right;white-space:nowrap;padding-right:0;padding-left:18px}\
td:first-child{overflow-wrap:anywhere}";

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// What it is about, for the browser's title and the head.
    pub title: String,
    /// What the command is called: "inside a model".
    pub kind: String,
    /// Further things for the head: what it was compared with, the seed.
    pub meta: Vec<String>,
    /// The one sentence.
    pub sentence: String,
    /// The parts, in reading order.
    pub sections: Vec<Section>,
}

/// One part.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its name in links; a word.
    pub id: String,
    /// Its heading.
    pub heading: String,
    /// What is to be known before its tables are read.
    pub lead: String,
    /// Its tables.
    pub tables: Vec<Table>,
    /// Texts, token by token.
    pub heats: Vec<Heat>,
}

/// A table; its first column names the rows, the others hold numbers.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// Rows, as long as the head.
    pub rows: Vec<Vec<String>>,
}

/// A text, token by token.
#[derive(Debug, Clone, Default)]
pub struct Heat {
    /// What it is.
    pub caption: String,
    /// The tokens.
    pub tokens: Vec<HeatToken>,
}

/// A token with its number.
#[derive(Debug, Clone, Default)]
pub struct HeatToken {
    /// Its text.
    pub text: String,
    /// Between -1 (blue) and 1 (orange).
    pub heat: f64,
    /// The number itself and what else is to be known of it.
    pub title: String,
}

/// The page, complete and self-contained.
pub fn sheet(data: &Sheet) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{} · Loophole", data.title), &[STYLE, OWN_STYLE]))
            body {
                header.top {
                    p.brand { b { "Loophole" } " " (data.kind) }
                    p.meta { span { (data.title) } @for meta in &data.meta { span { (meta) } } }
                }
                nav.contents aria-label="Sections" {
                    @for section in &data.sections { a href={ "#" (section.id) } { (section.heading) } }
                }
                main {
                    section id="answer" { h1 { (data.sentence) } }
                    @for part in &data.sections { (section(part)) }
                }
                footer { p { "Made by Loophole. Every number lies in look.json beside this page, which fetches nothing." } }
            }
        }
    };
    loophole_foreign::pictured(&page.into_string())
}

fn section(part: &Section) -> Markup {
    html! {
        section id=(part.id) aria-labelledby={ "h-" (part.id) } {
            h2 id={ "h-" (part.id) } { (part.heading) }
            @if !part.lead.is_empty() { p.lead { (part.lead) } }
            @for table in &part.tables {
                div.scroll { table {
                    @if !table.caption.is_empty() { caption { (table.caption) } }
                    thead { tr { @for name in &table.head { th scope="col" { (name) } } } }
                    tbody { @for row in &table.rows { tr { @for cell in row { td { (cell) } } } } }
                } }
            }
            @for heat in &part.heats { (text(heat)) }
        }
    }
}

fn text(heat: &Heat) -> Markup {
    html! {
        figure style="max-width:none" {
            figcaption { (heat.caption) }
            p.heat { @for token in &heat.tokens {
                span.big[token.heat.abs() > 0.6] style=(ground(token.heat)) title=(token.title) { (token.text) }
            } }
        }
    }
}

/// The ground of a token; mixed with the page's own, so that it is right in light and in dark.
fn ground(heat: f64) -> String {
    let share = (heat.abs().min(1.0) * 60.0).round();
    let colour = if heat < 0.0 { "--bad" } else { "--hack" };
    if share < 1.0 || !share.is_finite() {
        return String::new();
    }
    format!("background:color-mix(in srgb,var({colour}) {share}%,transparent)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_fetches_nothing_escapes_everything_and_says_the_sentence_first() {
        let token = |text: &str, heat| HeatToken { text: text.into(), heat, title: format!("{heat:.2}") };
        let page = sheet(&Sheet {
            title: "<b>model".into(),
            kind: "inside a model".into(),
            meta: vec!["against organism".into()],
            sentence: "Nothing was found.".into(),
            sections: vec![Section {
                id: "thought".into(),
                heading: "Thought against act".into(),
                lead: "lead".into(),
                tables: vec![Table {
                    caption: "rates".into(),
                    head: vec!["thought".into(), "rate".into()],
                    rows: vec![vec!["good".into(), "0.00 [0.00, 0.03]".into()]],
                }],
                heats: vec![Heat {
                    caption: "text".into(),
                    tokens: vec![token("<script>", 0.9), token("\u{7}", -0.4)],
                }],
            }],
        });
        assert!(!page.contains("<b>model") && !page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains('\u{7}'));
        assert!(page.find("Nothing was found.").unwrap() < page.find("<table>").unwrap());
        assert!(page.contains("var(--hack) 54%") && page.contains("var(--bad) 24%") && page.contains("class=\"big\""));
    }
}
