//! How many requests are in flight: more as long as the endpoint bears it, half as many when it complains (additive
//! increase, multiplicative decrease), none while it asks to wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests in flight to begin with.
const FIRST: f64 = 8.0;

pub(super) struct Limiter {
    most: f64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    limit: f64,
    in_flight: usize,
    /// Nothing is sent before this.
    not_before: Instant,
    /// The last time the limit was lowered: requests sent before say nothing new.
    lowered: Instant,
}

/// One request in flight.
pub(super) struct Permit<'a> {
    limiter: &'a Limiter,
    sent: Instant,
}

impl Limiter {
    pub fn new(most: usize) -> Self {
        let (most, now) = (most.max(1) as f64, Instant::now());
        let state = State { limit: FIRST.min(most), in_flight: 0, not_before: now, lowered: now };
        Limiter { most, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers only: whole at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more request may be sent.
    pub fn enter(&self) -> Permit<'_> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let wait = state.not_before.saturating_duration_since(now);
            if wait.is_zero() && (state.in_flight as f64) < state.limit.floor() {
                state.in_flight += 1;
                return Permit { limiter: self, sent: now };
            }
            let wait = if wait.is_zero() { Duration::from_secs(1) } else { wait };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends nothing for a while.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.state();
        state.not_before = state.not_before.max(Instant::now() + wait);
    }

    /// Requests that may be in flight now.
    pub fn limit(&self) -> usize {
        self.state().limit as usize
    }
}

impl Permit<'_> {
    /// It was answered.
    pub fn answered(self) {
        let mut state = self.limiter.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.limiter.most);
    }

    /// The endpoint complained.
    pub fn overloaded(self) {
        let mut state = self.limiter.state();
        if self.sent >= state.lowered {
            state.limit = (state.limit / 2.0).max(1.0);
            state.lowered = Instant::now();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limiter.state().in_flight -= 1;
        self.limiter.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_slowly_and_falls_by_half_once() {
        let limiter = Limiter::new(10);
        for _ in 0..20 {
            limiter.enter().answered();
        }
        assert_eq!(limiter.limit(), 10);
        let together: Vec<Permit> = (0..10).map(|_| limiter.enter()).collect();
        // All of them were sent before the first complaint.
        together.into_iter().for_each(Permit::overloaded);
        assert_eq!(limiter.limit(), 5);
        for _ in 0..6 {
            limiter.enter().overloaded();
        }
        assert_eq!(limiter.limit(), 1);
        limiter.enter().answered();
        assert_eq!(limiter.limit(), 2);
    }

    #[test]
    fn no_more_are_in_flight_than_may_be_and_none_in_a_pause() {
        let limiter = Limiter::new(3);
        let most = Mutex::new((0, 0));
        limiter.pause(Duration::from_millis(50));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let permit = limiter.enter();
                    let mut counts = most.lock().unwrap();
                    counts.0 += 1;
                    counts.1 = counts.1.max(counts.0);
                    drop(counts);
                    std::thread::sleep(Duration::from_millis(5));
                    most.lock().unwrap().0 -= 1;
                    permit.answered();
                });
            }
        });
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert_eq!(most.lock().unwrap().1, 3);
    }
}
