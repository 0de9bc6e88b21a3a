//! Where requests wait for their turn: one gate per host, driven by its [`Pace`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::pace::{Ending, Grant, Next, Pace, Share, Urgency};
use crate::clock::Stopwatch;

/// The gates of all hosts. Clones share them.
#[derive(Clone, Debug)]
pub struct Gates {
    hosts: Arc<Mutex<HashMap<String, Arc<Gate>>>>,
    /// The pace is told the time of this, which no clock that is set can turn back.
    since: Stopwatch,
}

impl Gates {
    /// No host yet.
    pub fn new() -> Gates {
        Gates { hosts: Arc::default(), since: Stopwatch::start() }
    }

    /// Waits until a request may be sent to a host (name and port). Dropping the future gives the turn up.
    pub async fn turn(&self, host: &str, share: &Share, urgency: Urgency) -> Turn {
        let gate = self.gate(host);
        let (go, gone) = oneshot::channel();
        let ticket = {
            let mut state = gate.lock();
            let ticket = state.pace.ask(share, urgency);
            state.waiting.insert(ticket, go);
            ticket
        };
        let mut turn = Turn { gate, grant: Grant { ticket, epoch: 0 }, ending: Ending::Silent };
        turn.gate.pump();
        if let Ok(grant) = gone.await {
            turn.grant = grant;
        }
        turn
    }

    /// Requests per second that a host is known to allow; `None` when it never asked for less.
    pub fn rate(&self, host: &str) -> Option<f64> {
        self.gate(host).lock().pace.rate()
    }

    /// About how long a request to a host would wait for its turn.
    pub fn wait(&self, host: &str) -> Duration {
        self.gate(host).lock().pace.wait(self.since.elapsed())
    }

    fn gate(&self, host: &str) -> Arc<Gate> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate { host: host.to_string(), since: self.since, state: Mutex::default() });
        hosts.entry(host.to_string()).or_insert_with(new).clone()
    }
}

#[derive(Debug)]
struct Gate {
    host: String,
    since: Stopwatch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// Who waits for a turn, by ticket.
    waiting: HashMap<u64, oneshot::Sender<Grant>>,
    /// When the gate looks again by itself.
    wakes_at: Option<Duration>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go whoever may go, and sees to it that the next look comes in time.
    fn pump(self: &Arc<Self>) {
        let mut state = self.lock();
        let now = self.since.elapsed();
        let wait = loop {
            match state.pace.next(now) {
                // Whoever gave up meanwhile ends the turn when it drops it.
                Next::Send(grant) => drop(state.waiting.remove(&grant.ticket).map(|go| go.send(grant))),
                Next::Wait(wait) => break wait,
                Next::Nothing => return,
            }
        };
        let at = now + wait;
        if state.wakes_at.is_some_and(|already| already > now && already <= at) {
            return;
        }
        // A turn may end with its runtime: then nobody waits any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        state.wakes_at = Some(at);
        let gate = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            gate.pump();
        });
    }
}

/// A request's turn: it may be sent. Ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Arc<Gate>,
    grant: Grant,
    ending: Ending,
}

impl Turn {
    /// Ends the turn with what became of the request.
    pub fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let before = state.pace.rate();
        if state.waiting.remove(&self.grant.ticket).is_some() {
            state.pace.withdraw(self.grant.ticket);
        } else {
            state.pace.ended(self.grant, self.ending, self.gate.since.elapsed());
        }
        let rate = state.pace.rate();
        drop(state);
        if let (None, Some(rate)) = (before, rate) {
            tracing::info!(host = self.gate.host, requests_per_second = rate, "the host asks for less; it gets less");
        }
        self.gate.pump();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: &str) -> Share {
        Share { name: name.into(), cap: None }
    }

    #[tokio::test]
    async fn whoever_gives_up_keeps_nobody_waiting() {
        let gates = Gates::new();
        let first = gates.turn("a", &share("x"), Urgency::Fresh).await;
        first.end(Ending::Refused(Some(Duration::from_millis(200))));
        assert!(gates.rate("a").is_some() && gates.rate("b").is_none());
        let watch = Stopwatch::start();
        let given_up = {
            let (gates, share) = (gates.clone(), share("x"));
            tokio::spawn(async move { gates.turn("a", &share, Urgency::Head).await })
        };
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.is_err_and(|error| error.is_cancelled()));
        let second = gates.turn("a", &share("x"), Urgency::Backlog).await;
        assert!(watch.elapsed() >= Duration::from_millis(150), "the host rests");
        // Another host does not wait.
        let watch = Stopwatch::start();
        gates.turn("b", &share("x"), Urgency::Backlog).await.end(Ending::Served);
        assert!(watch.elapsed() < Duration::from_millis(100));
        drop(second);
        let state = gates.gate("a");
        assert!(state.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_was_granted_and_not_taken_is_given_back() {
        let gates = Gates::new();
        let mut turns = Vec::new();
        for _ in 0..64 {
            turns.push(gates.turn("a", &share("x"), Urgency::Backlog).await);
        }
        let waits = gates.clone();
        let waiting = tokio::spawn(async move { waits.turn("a", &share("y"), Urgency::Backlog).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // The turn is granted by this drop; the one who waited is gone before it can take it.
        turns.pop();
        waiting.abort();
        drop(waiting.await);
        let last = tokio::time::timeout(Duration::from_secs(5), gates.turn("a", &share("z"), Urgency::Backlog)).await;
        assert!(last.is_ok(), "the turn was lost");
    }
}
