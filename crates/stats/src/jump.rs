use crate::Rng;

/// What the battery measured along one run (one seed of one arm).
#[derive(Debug, Clone, PartialEq)]
pub struct JumpSeries {
    /// The onset of hacking, found from the hack rate alone (see [`crate::onset`]).
    pub onset_step: u64,
    /// The steps at which the battery ran, increasing.
    pub steps: Vec<u64>,
    /// Per measure its name and its value at every one of `steps`. Oriented so that more is worse. Every series of one
    /// test must carry the same measures in the same order.
    pub measures: Vec<(String, Vec<f64>)>,
}

/// One measure's part in [`JointJump`].
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureJump {
    /// Its name.
    pub name: String,
    /// Mean rise across onset, over the series, in the measure's own unit.
    pub jump: f64,
    /// The same, in root mean squares of all the measure's rises (0 for a measure that never moved).
    pub scaled: f64,
    /// p value for this measure alone, already corrected for having looked at all of them (Westfall and Young's
    /// single-step maximum).
    pub p: f64,
}

/// The answer of [`joint_jump_at_onset`].
#[derive(Debug, Clone, PartialEq)]
pub struct JointJump {
    /// Mean over measures and series of the scaled rise across onset.
    pub statistic: f64,
    /// One-sided p value: how often a random place in each run would have seen a rise as large.
    pub p: f64,
    /// The smallest p the data could have given: one over the number of placements. A test whose smallest p is above
    /// 0.05 cannot support anything; more probe steps or more seeds are needed.
    pub smallest_p: f64,
    /// Whether all placements were listed (otherwise drawn).
    pub exact: bool,
    /// Series used: those with a probe before and a probe at or after onset.
    pub n_series: usize,
    /// Placements over all series used.
    pub n_places: usize,
    /// The measures, in the order given.
    pub measures: Vec<MeasureJump>,
}

/// Above this many placements the null is drawn instead of listed.
const EXACT_LIMIT: f64 = 100_000.0;

/// Do the measures jump together at the onset of hacking, or would any other place in the run do as well?
///
/// The *rise* of a measure at a place is its value `window - 1` probes after the first probe at or past that place,
/// minus its value at the last probe before (`window` 1: neighbouring probes; larger windows catch jumps that take
/// several probes). Rises are scaled by the measure's own root mean square, so that no measure drowns the others, and
/// averaged over measures and runs. Null hypothesis: within each run the onset could as well have been at any other
/// place between two probes, independently of the other runs. All measures of a run move together under the null, so
/// their correlation (they come from the same checkpoint) is kept. A steady drift gives equal rises everywhere and
/// so no small p; a jump elsewhere counts against onset.
///
/// One run with `k` places cannot give a p below `1/k`; runs multiply (three runs of eight places: 1/512). Listed
/// exactly up to 100,000 placements, else `reps` drawn from `seed`.
///
/// `None` if no series brackets its onset, measures differ between series, lengths disagree, steps do not increase, a
/// value is not finite, `window` is 0, or no measure ever moved.
pub fn joint_jump_at_onset(series: &[JumpSeries], window: usize, reps: u32, seed: u64) -> Option<JointJump> {
    let names: Vec<&str> = series.first()?.measures.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() || window == 0 {
        return None;
    }
    // Per series used: the place of onset, and rises[place][measure].
    let mut used: Vec<(usize, Vec<Vec<f64>>)> = Vec::new();
    for s in series {
        let sound = s.measures.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied())
            && s.steps.windows(2).all(|w| w[0] < w[1])
            && s.measures.iter().all(|(_, v)| v.len() == s.steps.len() && v.iter().all(|x| x.is_finite()));
        if !sound {
            return None;
        }
        let places = s.steps.len().saturating_sub(window);
        // Place i lies between probe i and probe i + 1.
        let onset = s.steps.partition_point(|&step| step < s.onset_step);
        if onset == 0 || onset > places {
            continue;
        }
        let rises = (0..places).map(|i| s.measures.iter().map(|(_, v)| v[i + window] - v[i]).collect()).collect();
        used.push((onset - 1, rises));
    }
    if used.is_empty() {
        return None;
    }

    let all: Vec<&Vec<f64>> = used.iter().flat_map(|(_, rises)| rises).collect();
    let scale: Vec<f64> =
        (0..names.len()).map(|m| (all.iter().map(|r| r[m] * r[m]).sum::<f64>() / all.len() as f64).sqrt()).collect();
    let moving = scale.iter().filter(|&&s| s > 1e-12).count();
    if moving == 0 {
        return None;
    }
    let n_series = used.len() as f64;
    // The mean scaled rise of every measure for one placement of all onsets.
    let rises_at = |places: &[usize]| -> Vec<f64> {
        let mut sums = vec![0.0; names.len()];
        for ((_, rises), &place) in used.iter().zip(places) {
            for (sum, (rise, scale)) in sums.iter_mut().zip(rises[place].iter().zip(&scale)) {
                if *scale > 1e-12 {
                    *sum += rise / scale / n_series;
                }
            }
        }
        sums
    };
    let together = |scaled: &[f64]| scaled.iter().sum::<f64>() / moving as f64;

    let at_onset: Vec<usize> = used.iter().map(|&(place, _)| place).collect();
    let counts: Vec<usize> = used.iter().map(|(_, rises)| rises.len()).collect();
    let observed = rises_at(&at_onset);
    let statistic = together(&observed);
    let placements: f64 = counts.iter().map(|&c| c as f64).product();
    let exact = placements <= EXACT_LIMIT;
    let (mut hits, mut total) = (0u64, 0u64);
    let mut hits_alone = vec![0u64; names.len()];
    let mut see = |places: &[usize]| {
        let scaled = rises_at(places);
        total += 1;
        hits += u64::from(together(&scaled) >= statistic - 1e-9);
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (h, o) in hits_alone.iter_mut().zip(&observed) {
            *h += u64::from(largest >= o - 1e-9);
        }
    };
    if exact {
        let mut places = vec![0; counts.len()];
        // An odometer over all placements.
        loop {
            see(&places);
            let Some(i) = (0..places.len()).find(|&i| places[i] + 1 < counts[i]) else {
                break;
            };
            places[..i].fill(0);
            places[i] += 1;
        }
    } else {
        see(&at_onset);
        let mut rng = Rng::new(seed);
        for _ in 0..reps {
            let places: Vec<usize> = counts.iter().map(|&c| rng.below(c)).collect();
            see(&places);
        }
    }
    let measures = names
        .iter()
        .enumerate()
        .map(|(m, name)| MeasureJump {
            name: (*name).to_string(),
            jump: used.iter().map(|(place, rises)| rises[*place][m]).sum::<f64>() / n_series,
            scaled: observed[m],
            p: hits_alone[m] as f64 / total as f64,
        })
        .collect();
    Some(JointJump {
        statistic,
        p: hits as f64 / total as f64,
        smallest_p: if exact { 1.0 / placements } else { 1.0 / total as f64 },
        exact,
        n_series: used.len(),
        n_places: all.len(),
        measures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten probes; each of three measures is noise plus `jump` from the probe at `at` on.
    fn run(rng: &mut Rng, onset_step: u64, at: usize, jump: f64) -> JumpSeries {
        let steps: Vec<u64> = (0..10).map(|i| 10 * i).collect();
        let measures = ["sabotage", "lies", "shutdown"]
            .iter()
            .map(|name| {
                let values = (0..10).map(|i| 0.1 * rng.uniform() + if i >= at { jump } else { 0.0 }).collect();
                (name.to_string(), values)
            })
            .collect();
        JumpSeries { onset_step, steps, measures }
    }

    #[test]
    fn a_jump_at_onset_is_found_and_one_elsewhere_is_not() {
        let mut rng = Rng::new(1);
        // Onset at step 35: between the probes at 30 and 40.
        let at: Vec<_> = (0..3).map(|_| run(&mut rng, 35, 4, 0.5)).collect();
        let found = joint_jump_at_onset(&at, 1, 0, 0).unwrap();
        assert!(found.exact && found.n_series == 3 && found.n_places == 27);
        assert!((found.p - 1.0 / 729.0).abs() < 1e-12 && found.p == found.smallest_p, "{found:?}");
        for m in &found.measures {
            assert!((m.jump - 0.5).abs() < 0.1 && m.p < 0.01, "{m:?}");
        }
        let elsewhere: Vec<_> = (0..3).map(|_| run(&mut rng, 35, 7, 0.5)).collect();
        assert!(joint_jump_at_onset(&elsewhere, 1, 0, 0).unwrap().p > 0.3);
    }

    #[test]
    fn one_measure_alone_is_named() {
        let mut rng = Rng::new(4);
        let runs: Vec<_> = (0..3)
            .map(|_| {
                let mut s = run(&mut rng, 35, 99, 0.0);
                for v in &mut s.measures[1].1[4..] {
                    *v += 0.8;
                }
                s
            })
            .collect();
        let found = joint_jump_at_onset(&runs, 1, 0, 0).unwrap();
        assert!(found.measures[1].p < 0.02 && found.measures[0].p > 0.1 && found.measures[2].p > 0.1, "{found:?}");
    }

    #[test]
    fn steady_drift_is_no_jump() {
        let steps: Vec<u64> = (0..8).collect();
        let values: Vec<f64> = steps.iter().map(|&s| 0.1 * s as f64).collect();
        let s = JumpSeries { onset_step: 4, steps, measures: vec![("m".into(), values)] };
        assert_eq!(joint_jump_at_onset(&[s], 1, 0, 0).unwrap().p, 1.0);
    }

    #[test]
    fn a_wider_window_catches_a_slow_jump() {
        let mut rng = Rng::new(8);
        let slow: Vec<_> = (0..3)
            .map(|_| {
                let mut s = run(&mut rng, 35, 5, 0.3);
                for (_, v) in &mut s.measures {
                    v[4] += 0.15;
                }
                s
            })
            .collect();
        let p = |window| joint_jump_at_onset(&slow, window, 0, 0).unwrap().p;
        assert!(p(2) <= p(1) && p(2) < 0.01, "{} and {}", p(2), p(1));
    }

    #[test]
    fn runs_that_do_not_bracket_onset_are_left_out() {
        let mut rng = Rng::new(2);
        let mut runs: Vec<_> = (0..2).map(|_| run(&mut rng, 35, 4, 0.5)).collect();
        runs.push(run(&mut rng, 0, 4, 0.5));
        runs.push(run(&mut rng, 95, 4, 0.5));
        assert_eq!(joint_jump_at_onset(&runs, 1, 0, 0).unwrap().n_series, 2);
        assert_eq!(joint_jump_at_onset(&runs[2..], 1, 0, 0), None);
        runs[0].measures[0].1[3] = f64::NAN;
        assert_eq!(joint_jump_at_onset(&runs, 1, 0, 0), None);
    }

    /// Measures that share their noise (as those of one checkpoint do) do not raise the false alarms.
    #[test]
    fn false_alarms_keep_to_their_rate_and_drawing_agrees_with_listing() {
        let mut rng = Rng::new(6);
        let mut hits = 0;
        for i in 0..600 {
            let runs: Vec<_> = (0..2)
                .map(|_| {
                    let steps: Vec<u64> = (0..8).collect();
                    let shared: Vec<f64> = (0..8).map(|_| rng.uniform()).collect();
                    let measures = (0..4)
                        .map(|m| (m.to_string(), shared.iter().map(|v| v + 0.2 * rng.uniform()).collect()))
                        .collect();
                    JumpSeries { onset_step: 1 + rng.below(7) as u64, steps, measures }
                })
                .collect();
            hits += u32::from(joint_jump_at_onset(&runs, 1, 0, i).unwrap().p <= 0.05);
        }
        assert!((10..=48).contains(&hits), "{hits} of 600 at 5 %");

        let six: Vec<_> = (0..6).map(|_| run(&mut rng, 35, 4, 0.03)).collect();
        let listed = joint_jump_at_onset(&six[..5], 1, 0, 0).unwrap();
        let drawn = joint_jump_at_onset(&six, 1, 20_000, 3).unwrap();
        assert!(listed.exact && !drawn.exact && drawn.p >= drawn.smallest_p);
    }
}
