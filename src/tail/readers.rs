//! The threads on which bodies are inflated, decoded and hashed, one per core up to a few: never a task that waits for
//! sockets, so that a big page holds up nobody's connection.
//!
//! What the head of a log needs goes before what a backlog needs; a backlog that waits is passed over a few times in a
//! row and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::inflate::Inflater;
use super::pace::Urgency;

/// The most threads: four inflate more than a line of 1 Gbit/s brings, and each keeps a buffer of a page.
const MOST_THREADS: usize = 4;
/// How often in a row a backlog is passed over.
const PASSED_OVER: u32 = 3;

type Job = Box<dyn FnOnce(&mut Inflater) + Send>;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct Readers {
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    queues: Mutex<Queues>,
    more: Condvar,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

#[derive(Default)]
struct Queues {
    fresh: VecDeque<Job>,
    backlog: VecDeque<Job>,
    passed_over: u32,
    is_closed: bool,
}

impl Queues {
    fn next(&mut self) -> Option<Job> {
        let backlog_first = self.fresh.is_empty() || self.passed_over >= PASSED_OVER;
        if let Some(job) = backlog_first.then(|| self.backlog.pop_front()).flatten() {
            self.passed_over = 0;
            return Some(job);
        }
        let job = self.fresh.pop_front()?;
        self.passed_over = if self.backlog.is_empty() { 0 } else { self.passed_over + 1 };
        Some(job)
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when there will be no more.
    fn wait(&self) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if let Some(job) = queues.next() {
                return Some(job);
            }
            if queues.is_closed {
                return None;
            }
            queues = self.more.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Readers {
    /// One thread per core, a few at most.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> std::io::Result<Readers> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Readers::of(cores.min(MOST_THREADS))
    }

    fn of(threads: usize) -> std::io::Result<Readers> {
        // Made first: where a thread is refused, its drop ends those that were given.
        let readers = Readers { desk: Arc::default() };
        for number in 0..threads {
            let desk = readers.desk.clone();
            std::thread::Builder::new().name(format!("reader-{number}")).spawn(move || {
                let mut inflater = Inflater::default();
                while let Some(job) = desk.wait() {
                    // Whoever waits for a job that panics is told so by the end of its channel.
                    let run = std::panic::AssertUnwindSafe(|| job(&mut inflater));
                    if std::panic::catch_unwind(run).is_err() {
                        inflater = Inflater::default();
                    }
                }
            })?;
        }
        Ok(readers)
    }

    /// Does `work` when its turn comes; `None` when it panicked. What nobody waits for any more is not begun.
    pub async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce(&mut Inflater) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, done) = oneshot::channel();
        let job: Job = Box::new(move |inflater| {
            if !answer.is_closed() {
                drop(answer.send(work(inflater)));
            }
        });
        {
            let mut queues = self.desk.lock();
            match urgency {
                Urgency::Head | Urgency::Fresh => queues.fresh.push_back(job),
                Urgency::Backlog => queues.backlog.push_back(job),
            }
        }
        self.desk.more.notify_one();
        done.await.ok()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.desk.lock().is_closed = true;
        self.desk.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_new_does_not_wait_behind_sixty_big_pages() {
        let readers = Arc::new(Readers::of(1).expect("a thread"));
        let (open, gate) = mpsc::channel::<()>();
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |urgency, name: String| {
            let (readers, order) = (readers.clone(), order.clone());
            let work = move |_: &mut Inflater| order.lock().unwrap_or_else(PoisonError::into_inner).push(name);
            tokio::spawn(async move { readers.run(urgency, work).await })
        };
        // The only thread is busy until everybody has asked.
        let (begun, has_begun) = oneshot::channel();
        let busy = {
            let readers = readers.clone();
            let work = move |_: &mut Inflater| begun.send(()).is_ok() && gate.recv().is_ok();
            tokio::spawn(async move { readers.run(Urgency::Backlog, work).await })
        };
        has_begun.await.expect("the thread has begun");
        let waiting = || {
            let queues = readers.desk.lock();
            queues.fresh.len() + queues.backlog.len()
        };
        let mut asked: Vec<_> = (0..60).map(|log| ask(Urgency::Backlog, format!("backlog {log}"))).collect();
        while waiting() < 60 {
            tokio::task::yield_now().await;
        }
        asked.extend((0..5).map(|log| ask(Urgency::Fresh, format!("head {log}"))));
        while waiting() < 65 {
            tokio::task::yield_now().await;
        }
        open.send(()).expect("the thread waits");
        assert_eq!(busy.await.expect("no panic"), Some(true));
        for task in asked {
            assert_eq!(task.await.expect("no panic"), Some(()));
        }
        let order = order.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(order.len(), 65);
        assert_eq!(order[..6], ["head 0", "head 1", "head 2", "backlog 0", "head 3", "head 4"]);
        assert_eq!(order[64], "backlog 59");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_work_alone() {
        let readers = Readers::of(1).expect("a thread");
        assert_eq!(readers.run(Urgency::Fresh, |_| -> u8 { panic!("on purpose") }).await, None);
        assert_eq!(readers.run(Urgency::Fresh, |_| 7).await, Some(7));
    }
}
