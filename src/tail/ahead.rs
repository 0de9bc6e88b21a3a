//! The requests for entries of one log that are under way, and their answers put in order.
//!
//! Far behind, the answers of a moment are given together, so that one transaction keeps them; at the head an answer is
//! given as soon as it is there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::TailError;
use super::client::LogClient;
use super::decode::Decoded;
use super::room::Held;
use super::window::Window;
use crate::clock::Stopwatch;
use crate::watch::Watchlist;

/// So many entries are given together, when the head is further away than that.
const TOGETHER: u64 = 2048;
/// How long answers wait for others to be given with.
const WAIT: Duration = Duration::from_millis(100);

type Answered = (Result<Vec<Decoded>, TailError>, Duration);

#[derive(Debug)]
struct Request {
    /// The first index behind it.
    end: u64,
    held: Arc<Held>,
    task: JoinHandle<Answered>,
}

/// What is under way.
#[derive(Debug)]
pub struct Ahead {
    client: LogClient,
    watchlist: Arc<Watchlist>,
    window: Window,
    requests: VecDeque<Request>,
    ready: VecDeque<Decoded>,
    /// Why there is no more behind what is ready.
    failed: Option<TailError>,
    /// The room of what is ready, or was given last.
    held: Vec<Arc<Held>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Ahead {
    /// Nothing is under way.
    pub fn new(client: LogClient, watchlist: Arc<Watchlist>) -> Ahead {
        let (requests, ready) = (VecDeque::new(), VecDeque::new());
        Ahead { client, watchlist, window: Window::new(), requests, ready, failed: None, held: Vec::new() }
    }

    /// Gives up what is under way.
    pub fn cancel(&mut self) {
        for request in self.requests.drain(..) {
            request.task.abort();
        }
        self.ready.clear();
        self.failed = None;
        self.held.clear();
    }

    /// The entries from `next` on, at least one, in a tree of `size` leaves. When the future is dropped nothing is lost.
    ///
    /// # Errors
    /// When the log does not give them; what is under way behind them is as good as before.
    pub async fn next(&mut self, next: u64, size: u64) -> Result<Decoded, TailError> {
        // What was given last is in the books by now.
        if self.ready.is_empty() {
            self.held.clear();
        }
        let watch = Stopwatch::start();
        while self.failed.is_none() {
            let got: u64 = self.ready.iter().map(|part| part.leaf_hashes.len() as u64).sum();
            self.ask(next + got, size).await;
            let Some(request) = self.requests.front_mut() else { break };
            // The handle stays in the queue while it is awaited, so that a dropped future loses nothing.
            let result = if got == 0 {
                (&mut request.task).await
            } else if got >= TOGETHER || self.ready.back().is_some_and(|part| part.stands_alone()) {
                break;
            } else if request.task.is_finished() {
                (&mut request.task).await
            } else {
                let left = WAIT.saturating_sub(watch.elapsed());
                if size.saturating_sub(next) <= TOGETHER || left.is_zero() {
                    break;
                }
                match tokio::time::timeout(left, &mut request.task).await {
                    Ok(result) => result,
                    Err(_) => break,
                }
            };
            let is_full = self.requests.len() >= self.window.width();
            let Some(request) = self.requests.pop_front() else { break };
            self.held.push(request.held);
            match result {
                Ok((Ok(parts), took)) => {
                    let count: u64 = parts.iter().map(|part| part.leaf_hashes.len() as u64).sum();
                    if next + got + count < request.end {
                        // The log gives far less at a time than was planned.
                        self.requests.drain(..).for_each(|behind| behind.task.abort());
                    }
                    let took = took / parts.len().max(1) as u32;
                    let is_short = self.requests.iter().any(|request| !request.task.is_finished());
                    self.window.answered(took, is_full && is_short);
                    self.ready.extend(parts);
                }
                Ok((Err(error), _)) => self.failed = Some(error),
                Err(e) => self.failed = Some(TailError::Answer(format!("reading ended early: {e}"))),
            }
        }
        let Some(mut all) = self.ready.pop_front() else {
            self.window.failed();
            return Err(self.failed.take().unwrap_or_else(|| TailError::Answer("nothing is planned".into())));
        };
        while let Some(part) = self.ready.front() {
            if all.stands_alone() || part.stands_alone() || all.leaf_hashes.len() as u64 >= TOGETHER {
                break;
            }
            all.extend(self.ready.pop_front().unwrap_or_default());
        }
        Ok(all)
    }

    /// Asks for what comes next, as far as the window and the room go; for one range in any case.
    async fn ask(&mut self, next: u64, size: u64) {
        while self.requests.len() < self.window.width() {
            let planned = self.requests.back().map_or(next, |request| request.end);
            let Some(range) = self.client.plan(planned, size, 1).pop() else { return };
            let (range, held) = match self.client.take_room(&range) {
                Some(held) => (range, held),
                // What is ready must be given first: nobody may wait for room who has some.
                None if !self.requests.is_empty() || !self.ready.is_empty() => return,
                None => self.client.wait_for_room(range).await,
            };
            let held = Arc::new(held);
            let (client, watchlist) = (self.client.holding(held.clone()), self.watchlist.clone());
            let (end, asked) = (range.end, held.clone());
            let task = tokio::spawn(async move {
                let watch = Stopwatch::start();
                let parts = client.entries(range, size, &watchlist).await;
                asked.decoded();
                (parts, watch.elapsed())
            });
            self.requests.push_back(Request { end, held, task });
        }
    }
}
