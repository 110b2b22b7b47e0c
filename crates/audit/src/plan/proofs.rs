//! Paid submissions made small, judged in full, and brought down to one finding for each hole.

use super::parallel::parallel;
use super::{CLOSE, Event, Listener, Plan};
use crate::report::{Finding, Proof};
use crate::{AuditError, minimise};
use loophole_env::{Files, Judgement};
use loophole_grade::Family;
use std::collections::{BTreeMap, BTreeSet};

impl Plan<'_> {
    /// The findings with small proofs. Those that are small already come first: what holds one of them within itself
    /// is as small as that.
    pub(super) fn made_small(&self, findings: Vec<Finding>, listen: Listener) -> Result<Vec<Finding>, AuditError> {
        let steady = |f: &Finding| self.options.minimise && f.repeated.paid == f.repeated.of;
        let (done, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| !steady(f) || f.id.starts_with("CTL-"));
        let small = |f: &Finding| f.proof.files.len() == 1 && f.proof.files.values().all(|t| t.lines().count() <= 6);
        let (plain, long): (Vec<_>, Vec<_>) = rest.into_iter().partition(small);
        if plain.len() + long.len() == 0 {
            return Ok(done);
        }
        listen(Event::Stage("proofs", plain.len() + long.len()));
        let shrink = |f: &Finding| {
            let files = self.minimised(&f.proof.files, f.reward)?;
            Ok(proven_by(f, files))
        };
        let mut out = parallel(self.options.jobs, &plain, listen, shrink)?;
        let known: Vec<(f64, Files)> = out.iter().map(|f| (f.reward, f.proof.files.clone())).collect();
        let longer = parallel(self.options.jobs, &long, listen, |f| {
            match known.iter().find(|(reward, k)| *reward == f.reward && minimise::within(k, &f.proof.files)) {
                Some((_, files)) => Ok(proven_by(f, files.clone())),
                None => shrink(f),
            }
        })?;
        out.extend(longer);
        out.extend(done);
        Ok(out)
    }

    /// One finding for each hole, with what a full judgement saw of its proof. Such a judgement costs as much as many
    /// runs of the grader: it is made where it decides between the names of a proof, and of what is shown in the end.
    pub(super) fn judged(&self, findings: Vec<Finding>, listen: Listener) -> Result<Vec<Finding>, AuditError> {
        let mut families: BTreeMap<&Files, BTreeSet<Family>> = BTreeMap::new();
        for finding in &findings {
            families.entry(&finding.proof.files).or_default().insert(finding.family);
        }
        let contested: BTreeSet<Files> =
            families.into_iter().filter(|(_, families)| families.len() > 1).map(|(files, _)| files.clone()).collect();
        let findings = distinct(self.seen(findings, &contested, listen)?);
        let rest = findings.iter().map(|f| f.proof.files.clone()).filter(|files| !contested.contains(files)).collect();
        self.seen(findings, &rest, listen)
    }

    /// The findings whose proofs are among these with what a full judgement sees of them.
    fn seen(
        &self,
        findings: Vec<Finding>,
        proofs: &BTreeSet<Files>,
        listen: Listener,
    ) -> Result<Vec<Finding>, AuditError> {
        if proofs.is_empty() {
            return Ok(findings);
        }
        let proofs: Vec<&Files> = proofs.iter().collect();
        listen(Event::Stage("evidence", proofs.len()));
        let judged = parallel(self.options.jobs, &proofs, listen, |files| Ok(self.target.judge(files)?))?;
        let judged: BTreeMap<&Files, Judgement> = proofs.into_iter().zip(judged).collect();
        let seen = |f: Finding| match judged.get(&f.proof.files) {
            // Who is right now and was not before is paid for luck: what was seen before stays.
            Some(judged) if !f.stops && !judged.solved => f.seen(judged, self.base),
            _ => f,
        };
        Ok(findings.into_iter().map(seen).collect())
    }

    /// The smallest submission found that is paid as much and still solves nothing.
    fn minimised(&self, files: &Files, reward: f64) -> Result<Files, AuditError> {
        let pays = |files: &Files| -> Result<bool, AuditError> {
            Ok(self.known.pay(files)?.reward.is_some_and(|r| r >= reward - CLOSE))
        };
        let about = &self.target.description().about;
        let small = minimise::minimise(files, about.surface.main_file(), about.tries, pays)?;
        // Less of what solves nothing solves nothing; asked all the same.
        if small != *files && !self.target.judge_briefly(&small)?.solved { Ok(small) } else { Ok(files.clone()) }
    }
}

/// One finding for each hole: exploits that came down to the same submission are one, and so are those of a family
/// that the same change closes. It keeps the name that fits what was seen, else that of the exploit which held the
/// least besides; of those that one change closes, that of the smallest proof.
fn distinct(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.attributed.is_some_and(|seen| seen != f.family), f.cut, f.cost);
        (key(a), &a.id).cmp(&(key(b), &b.id))
    });
    let mut out: Vec<Finding> = Vec::new();
    for finding in findings {
        match out.iter_mut().find(|f| f.proof.files == finding.proof.files && f.reward == finding.reward) {
            Some(first) => first.also.push(finding.id),
            None => out.push(finding),
        }
    }
    let size = |f: &Finding| f.proof.files.values().map(String::len).sum::<usize>();
    let steady = |f: &Finding| f.repeated.paid == f.repeated.of;
    out.sort_by(|a, b| {
        let key = |f: &Finding| (std::cmp::Reverse(f.severity), !steady(f), size(f));
        b.reward.total_cmp(&a.reward).then_with(|| (key(a), &a.id).cmp(&(key(b), &b.id)))
    });
    let mut holes: Vec<Finding> = Vec::new();
    for finding in out {
        match holes.iter_mut().find(|f| (f.family, &f.fix) == (finding.family, &finding.fix)) {
            Some(first) => {
                first.also.push(finding.id);
                first.also.extend(finding.also);
                first.also.sort();
            }
            None => holes.push(finding),
        }
    }
    holes
}

/// The finding with a smaller proof.
fn proven_by(finding: &Finding, files: Files) -> Finding {
    let lines = |files: &Files| files.values().map(|text| text.lines().count()).sum::<usize>();
    let cut = lines(&finding.proof.files).saturating_sub(lines(&files));
    Finding { proof: Proof { files }, cut, ..finding.clone() }
}
