//! Whether anybody asks: a server that somebody started for a while ends when nobody does any more.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::Frame;

/// Requests under way, and when the last one was over.
pub(crate) struct Activity(Mutex<(usize, Instant)>);

/// A request under way.
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        *state = (state.0 - 1, Instant::now());
    }
}

impl Activity {
    pub fn new() -> Arc<Activity> {
        Arc::new(Activity(Mutex::new((0, Instant::now()))))
    }

    fn state(&self) -> MutexGuard<'_, (usize, Instant)> {
        // Whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(self: &Arc<Self>) -> Busy {
        self.state().0 += 1;
        Busy(self.clone())
    }

    /// Whether nobody has asked for so long.
    pub fn is_over(&self, idle: Duration) -> bool {
        let state = self.state();
        state.0 == 0 && state.1.elapsed() >= idle
    }
}

/// A body that is under way as long as it is sent.
struct Sent(Body, #[expect(dead_code, reason = "held for its end")] Busy);

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.0.size_hint()
    }
}

/// The request is under way until its answer is sent.
pub(crate) fn until_sent(response: Response, busy: Busy) -> Response {
    response.map(|body| Body::new(Sent(body, busy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_nobody_has_asked_for_long() {
        let activity = Activity::new();
        assert!(activity.is_over(Duration::ZERO) && !activity.is_over(Duration::from_secs(60)));
        let busy = activity.begin();
        let response = until_sent(Response::new(Body::from("x")), busy);
        assert!(!activity.is_over(Duration::ZERO));
        drop(response);
        assert!(activity.is_over(Duration::ZERO));
    }
}
