//! Two exploits in one submission, for graders that ask for two things at once.

use crate::library::Exploit;
use loophole_env::Files;
use loophole_grade::Family;

/// How many combinations one audit tries.
const MOST: usize = 60;

/// Two exploits as one submission.
pub(crate) struct Combination<'e> {
    pub id: String,
    pub first: &'e Exploit,
    pub second: &'e Exploit,
    pub files: Files,
}

/// Pairs worth trying: what acts when it is loaded, or in a file of its own, before what acts when it is called.
pub(crate) fn combinations<'e>(chosen: &[(&'e Exploit, Vec<Files>)], many_files: bool) -> Vec<Combination<'e>> {
    let mut out = Vec::new();
    let called: Vec<_> = chosen.iter().filter(|(e, _)| acts_when_called(e.family) && e.files.len() == 1).collect();
    for (first, forms) in chosen.iter().filter(|(e, _)| acts_beforehand(e.family) && (many_files || e.files.len() == 1))
    {
        let Some(form) = forms.first() else { continue };
        let head = form.get("solution.py").map_or("", String::as_str);
        for (second, bodies) in &called {
            let body = bodies.first().and_then(|f| f.get("solution.py"));
            let Some(body) = body.filter(|_| first.id != second.id && out.len() < MOST) else { continue };
            let mut files = form.clone();
            files.insert("solution.py".into(), format!("{head}\n{body}"));
            let id = format!("{}+{}", first.id, second.id);
            out.push(Combination { id, first, second, files });
        }
    }
    out
}

fn acts_beforehand(family: Family) -> bool {
    matches!(family, Family::ReportPatch | Family::Shadowing | Family::TestTampering | Family::Magic)
}

fn acts_when_called(family: Family) -> bool {
    matches!(family, Family::Equality | Family::ChannelForging)
}
