//! The queue in front of the cells.
//!
//! So many pieces of work run at a time as there are *places*; others wait, in the order they came. A piece that runs
//! longer than [`SLOW`] gives its place up and takes one of the few *side places*, so that programs that never end
//! share the processors with the others instead of standing in front of them. A request that finds the queue full is
//! refused at once. Whoever stops waiting (the client left, its deadline passed) leaves the queue; what has begun is
//! carried to its end, which the limits of cells bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout_at};

use crate::problem::Problem;

/// What runs longer gives its place up.
const SLOW: Duration = Duration::from_millis(400);

/// When an answer is of no use any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub Instant);

impl Deadline {
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Not later than so many seconds from now.
    pub fn within(self, seconds: f64) -> Deadline {
        let seconds = if seconds.is_finite() { seconds.clamp(0.0, 86_400.0) } else { 86_400.0 };
        Deadline(self.0.min(Instant::now() + Duration::from_secs_f64(seconds)))
    }
}

pub(crate) struct Queue {
    places: Arc<Semaphore>,
    side: Arc<Semaphore>,
    /// Requests that may be here at a time.
    most: usize,
    requests: Arc<AtomicUsize>,
    waiting: AtomicUsize,
    working: Arc<AtomicUsize>,
    /// Pieces of work at a time, the slow ones apart.
    pub jobs: usize,
}

/// A request's place in the house.
pub(crate) struct Ticket(Arc<AtomicUsize>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub fn new(jobs: usize, side: usize, waiting: usize) -> Queue {
        let jobs = jobs.max(1);
        Queue {
            places: Arc::new(Semaphore::new(jobs)),
            side: Arc::new(Semaphore::new(side)),
            most: waiting.saturating_add(jobs),
            requests: Arc::default(),
            waiting: AtomicUsize::new(0),
            working: Arc::default(),
            jobs,
        }
    }

    /// Lets a request in, or says when to come again.
    pub fn enter(&self) -> Result<Ticket, Problem> {
        let entered = self.requests.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(self.requests.clone());
        if entered >= self.most {
            return Err(self.full());
        }
        Ok(ticket)
    }

    /// Refuses at once what would be refused after its body was read.
    pub fn looks_full(&self) -> Result<(), Problem> {
        if self.requests.load(Ordering::Relaxed) >= self.most { Err(self.full()) } else { Ok(()) }
    }

    fn full(&self) -> Problem {
        Problem::busy(1, format!("{} requests wait or are worked at, which is as many as there may be", self.most))
    }

    /// Waits for a place and works there, on a thread of its own.
    pub async fn work<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let place = timeout_at(deadline.0.into(), self.places.clone().acquire_owned()).await;
        drop(waiting);
        let place = match place {
            Err(_) => return Err(Problem::late("the deadline passed in the queue; nothing was run")),
            Ok(Err(_)) => return Err(Problem::busy(1, "the server is shutting down")),
            Ok(Ok(place)) => place,
        };
        // Whether or not somebody waits for it, the place is taken until the work is done.
        let (done, answer) = oneshot::channel();
        let (side, working) = (self.side.clone(), self.working.clone());
        tokio::spawn(async move {
            working.fetch_add(1, Ordering::Relaxed);
            let mut work = tokio::task::spawn_blocking(work);
            let result = tokio::select! {
                result = &mut work => { drop(place); result }
                () = sleep(SLOW) => match side.try_acquire_owned() {
                    Ok(aside) => {
                        drop(place);
                        let result = work.await;
                        drop(aside);
                        result
                    }
                    Err(_) => { let result = work.await; drop(place); result }
                },
            };
            working.fetch_sub(1, Ordering::Relaxed);
            let _ = done.send(result);
        });
        match timeout_at(deadline.0.into(), answer).await {
            Err(_) => Err(Problem::late("the deadline passed while it was worked at")),
            Ok(Ok(Ok(result))) => Ok(result),
            // A panic is a mistake of ours, told on stderr; nothing is known about what was asked.
            Ok(_) => Err(Problem::machine("a mistake in the server")),
        }
    }

    /// Lets nobody begin any more.
    pub fn close(&self) {
        self.places.close();
    }

    /// Requests in the house, pieces of work that wait, and those worked at.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (of(&self.requests), of(&self.waiting), of(&self.working))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon(seconds: f64) -> Deadline {
        Deadline(Instant::now() + Duration::from_secs(100)).within(seconds)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn the_full_queue_refuses_and_the_late_one_does_not_begin() {
        run(async {
            let queue = Arc::new(Queue::new(1, 0, 1));
            let (_first, second) = (queue.enter().unwrap(), queue.enter().unwrap());
            let refused = queue.enter().err().unwrap();
            assert_eq!((refused.status, refused.retry_after), (503, Some(1)));
            drop(second);
            assert!(queue.enter().is_ok());

            let slow = queue.clone();
            let slow = tokio::spawn(async move { slow.work(soon(9.0), || std::thread::sleep(SLOW)).await.unwrap() });
            tokio::task::yield_now().await;
            let late = queue.work(soon(0.05), || panic!("it began")).await.unwrap_err();
            assert_eq!((late.status, late.code), (504, Some("deadline")));
            slow.await.unwrap();
            assert_eq!(queue.work(soon(9.0), || 7).await.unwrap(), 7);
            assert_eq!(queue.counts().1, 0);
        });
    }

    #[test]
    fn the_slow_make_room() {
        run(async {
            let queue = Arc::new(Queue::new(1, 1, 9));
            let slow = queue.clone();
            let slow = tokio::spawn(async move {
                slow.work(soon(9.0), || std::thread::sleep(SLOW * 6)).await.unwrap();
                Instant::now()
            });
            tokio::task::yield_now().await;
            queue.work(soon(9.0), || ()).await.unwrap();
            let quick = Instant::now();
            assert!(slow.await.unwrap() > quick, "the quick one waited for the slow one");
        });
    }

    #[test]
    fn who_leaves_is_not_worked_for() {
        run(async {
            let queue = Arc::new(Queue::new(1, 0, 9));
            let busy = queue.clone();
            let busy = tokio::spawn(async move { busy.work(soon(9.0), || std::thread::sleep(SLOW)).await });
            tokio::task::yield_now().await;
            let left = queue.clone();
            let left = tokio::spawn(async move { left.work(soon(9.0), || panic!("it began")).await });
            tokio::task::yield_now().await;
            assert_eq!(queue.counts().1, 1);
            left.abort();
            let _ = left.await;
            assert_eq!(queue.counts().1, 0);
            busy.await.unwrap().unwrap();
        });
    }
}
