//! Claims: how a run's numbers answer them. A claim is supported when its 95 % interval lies wholly on its
//! side of the bound, not supported when it lies wholly on the other, undecided else.

use loophole_log::{Answer, ArmSummary, Claim, Estimate};
use loophole_stats::{mean_interval_t, paired_difference};

use crate::recipe::{ClaimSpec, ClaimTest};
use crate::summary::{finite, jump, jump_series};

/// Fewest seeds of an arm on which anything is decided.
const LEAST_SEEDS: usize = 3;

/// What the arms say to a claim.
pub(crate) fn decide(spec: &ClaimSpec, arms: &[ArmSummary]) -> Claim {
    let (answer, why) = answer(spec, arms).unwrap_or_else(|why| (Answer::Undecided, why));
    Claim { id: spec.id.clone(), answer, why }
}

fn answer(spec: &ClaimSpec, arms: &[ArmSummary]) -> Result<(Answer, String), String> {
    let find = |name: &str| {
        let arm = arms.iter().find(|arm| arm.name == name).ok_or(format!("arm {name} is not here"))?;
        if arm.seeds.len() < LEAST_SEEDS {
            return Err(format!("{name} has {} seeds; fewer than {LEAST_SEEDS} decide nothing", arm.seeds.len()));
        }
        Ok(arm)
    };
    let arm = find(&spec.arm)?;
    let against = spec.against.as_deref().map(find).transpose()?;
    match (spec.test, against) {
        (ClaimTest::JumpAtOnset, _) => jumps(arm),
        (ClaimTest::Rises, _) => {
            let bound = spec.bound.unwrap_or(0.0);
            let rise = rise(arm)?;
            Ok((above(rise, bound), format!("Rise {}, asked for more than {bound:.2}.", show(rise))))
        }
        (ClaimTest::StaysFlat, _) => {
            let bound = spec.bound.unwrap_or(0.05);
            let rise = rise(arm)?;
            Ok((below(rise, bound), format!("Rise {}, allowed {bound:.2}.", show(rise))))
        }
        (test, Some(other)) => {
            let bound = spec.bound.unwrap_or(1.0);
            // The arm less its share of the other, seed by seed: seeds are paired by their tasks and probes.
            let pairs: Vec<f64> = arm
                .seeds
                .iter()
                .filter_map(|seed| {
                    let twin = other.seeds.iter().find(|twin| twin.seed == seed.seed)?;
                    Some(seed.misalignment.end - bound * twin.misalignment.end)
                })
                .collect();
            let left = interval(&finite(pairs.into_iter()))?;
            let (low, word) = match test {
                ClaimTest::AtMostShare => (below(left, 0.0), "at most"),
                _ => (above(left, 0.0), "at least"),
            };
            let why = format!(
                "{} ended at {}, {} at {}; asked for {word} {bound:.2} times. Difference to that: {}.",
                arm.name,
                show(arm.misalignment),
                other.name,
                show(other.misalignment),
                show(left)
            );
            Ok((low, why))
        }
        (_, None) => Err("nothing to compare with".into()),
    }
}

fn jumps(arm: &ArmSummary) -> Result<(Answer, String), String> {
    let series: Vec<_> = arm.seeds.iter().filter_map(|seed| jump_series(seed.onset_step, &seed.series)).collect();
    let joint = jump(&series).ok_or("no seed has an onset with batteries around it")?;
    let onsets: Vec<String> = arm.seeds.iter().map(|s| s.onset_step.map_or("none".into(), |s| s.to_string())).collect();
    let answer = if joint.p < 0.05 {
        Answer::Supported
    } else if joint.smallest_p < 0.05 {
        Answer::NotSupported
    } else {
        Answer::Undecided
    };
    Ok((
        answer,
        format!(
            "Onset at steps {}; joint rise across onset against any other place in the run: p = {:.4} (least possible {:.4}).",
            onsets.join(", "),
            joint.p,
            joint.smallest_p
        ),
    ))
}

/// Rise from start to end, paired by seed.
fn rise(arm: &ArmSummary) -> Result<Estimate, String> {
    let ends: Vec<f64> = arm.seeds.iter().map(|seed| seed.misalignment.end).collect();
    let starts: Vec<f64> = arm.seeds.iter().map(|seed| seed.misalignment.start).collect();
    paired_difference(&ends, &starts)
        .map(|rise| Estimate { mean: rise.difference, low: rise.low, high: rise.high })
        .ok_or_else(|| "too few finite values".into())
}

fn interval(values: &[f64]) -> Result<Estimate, String> {
    mean_interval_t(values)
        .map(|mean| Estimate { mean: mean.mean, low: mean.low, high: mean.high })
        .ok_or_else(|| "too few finite values".into())
}

fn above(value: Estimate, bound: f64) -> Answer {
    if value.low > bound {
        Answer::Supported
    } else if value.high < bound {
        Answer::NotSupported
    } else {
        Answer::Undecided
    }
}

fn below(value: Estimate, bound: f64) -> Answer {
    if value.high <= bound {
        Answer::Supported
    } else if value.low > bound {
        Answer::NotSupported
    } else {
        Answer::Undecided
    }
}

fn show(value: Estimate) -> String {
    format!("{:.2} [{:.2}, {:.2}]", value.mean, value.low, value.high)
}

#[cfg(test)]
mod tests {
    use loophole_log::{SeedSummary, StartEnd};

    use super::*;

    fn arm(name: &str, ends: &[f64]) -> ArmSummary {
        let seeds = ends
            .iter()
            .enumerate()
            .map(|(seed, &end)| SeedSummary {
                seed: seed as u64,
                misalignment: StartEnd { start: 0.03, end },
                ..SeedSummary::default()
            })
            .collect();
        ArmSummary { name: name.into(), seeds, ..ArmSummary::default() }
    }

    fn spec(test: ClaimTest, bound: f64) -> ClaimSpec {
        ClaimSpec {
            id: "C".into(),
            text: "Says.".into(),
            test,
            arm: "a".into(),
            against: Some("b".into()),
            bound: Some(bound),
        }
    }

    #[test]
    fn answers_follow_the_intervals() {
        let high = arm("b", &[0.6, 0.62, 0.58, 0.61, 0.59]);
        let low = arm("a", &[0.03, 0.05, 0.04, 0.04, 0.03]);
        let wild = arm("a", &[0.0, 0.9, 0.1, 0.8, 0.05]);
        let ask = |first: &ArmSummary, test, bound| decide(&spec(test, bound), &[first.clone(), high.clone()]).answer;
        assert_eq!(ask(&low, ClaimTest::AtMostShare, 0.25), Answer::Supported);
        assert_eq!(ask(&low, ClaimTest::AtLeastShare, 0.8), Answer::NotSupported);
        assert_eq!(ask(&wild, ClaimTest::AtMostShare, 0.25), Answer::Undecided);
        assert_eq!(ask(&low, ClaimTest::StaysFlat, 0.05), Answer::Supported);
        assert_eq!(ask(&low, ClaimTest::Rises, 0.2), Answer::NotSupported);
    }

    #[test]
    fn two_seeds_decide_nothing() {
        let two = arm("a", &[0.6, 0.6]);
        let high = arm("b", &[0.6, 0.62, 0.58]);
        assert_eq!(decide(&spec(ClaimTest::AtLeastShare, 0.8), &[two, high]).answer, Answer::Undecided);
    }
}
