//! How fast one host is asked, and whose turn it is. Pure: time is what the caller says it is, a span since any moment.
//!
//! Limits of logs are per source address and shared by all logs of a host; some are lower than what a log grows by, and
//! refused requests count too. So there is one pace per host. Nothing is limited until the host asks for less (429,
//! 503, no answer in time): from then on the rate goes down by a factor at each refusal and up by a fixed step while
//! nothing is refused, and the whole host rests as long as it wants (Retry-After).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What the rate is multiplied with when the host asks for less.
const DECREASE: f64 = 0.7;
/// What the rate grows by in a second, or with an answer where they come slower: this part of the rate at which the
/// host last asked for less. About 15 steps lie between two refusals, so that one request in many is refused.
const INCREASE: f64 = 0.02;
/// Above this multiple of that rate nothing is known any more: the rate grows by [`SEARCH`] of itself.
const KNOWN: f64 = 1.25;
/// See [`KNOWN`].
const SEARCH: f64 = 0.1;
/// The rate is never set lower than this, in requests per second: a host cannot stop its monitor.
const SLOWEST: f64 = 1.0 / 600.0;
/// A rate above this is no limit, in requests per second.
const FASTEST: f64 = 10_000.0;
/// How long a host that does not say how long is left alone, the first time; doubled with each further refusal.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest such rest.
const LAST_REST: Duration = Duration::from_secs(60);
/// The longest Retry-After that is obeyed: a log must not be able to silence its monitor.
pub const LONGEST_REST: Duration = Duration::from_secs(600);
/// Answers are counted over this time, to know what a host did serve when it asks for less.
const TALLY: Duration = Duration::from_secs(30);
/// How often in a row a request that waits is passed over for a more urgent one.
const PASSED_OVER: u32 = 3;

/// What a request is for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// A tree head, and what else is small: that a log has new entries is known at once, whatever else is read.
    Head,
    /// New entries.
    Fresh,
    /// Entries that were there before we came.
    Backlog,
}

impl Urgency {
    const ALL: [Urgency; 3] = [Urgency::Head, Urgency::Fresh, Urgency::Backlog];

    /// How many requests of all kinds may be under way when one of this kind is sent.
    const fn room(self) -> usize {
        match self {
            Urgency::Head => usize::MAX,
            Urgency::Fresh => 96,
            Urgency::Backlog => 64,
        }
    }
}

/// One log among those of a host, which takes turns with the others.
#[derive(Clone, Debug)]
pub struct Share {
    /// Tells the logs of a host apart.
    pub name: Arc<str>,
    /// The configured most requests per second of this log.
    pub cap: Option<f64>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The host served it.
    Served,
    /// The host asked for less; for how long, when it said so.
    Refused(Option<Duration>),
    /// No answer in time.
    Late,
    /// Anything else says nothing about the pace: an error of the server, a request that was given up.
    Silent,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// This request may be sent.
    Send(Grant),
    /// Nothing before this time has passed.
    Wait(Duration),
    /// Nothing before a request that is under way has ended, or another is asked for.
    Nothing,
}

/// A request that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub ticket: u64,
    /// How often the host had asked for less: what was sent before the last time tells nothing new.
    pub epoch: u64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Logs with their tickets; whose turn is next stands in front.
    shares: VecDeque<(Share, VecDeque<u64>)>,
    passed_over: u32,
}

/// The pace of one host.
#[derive(Debug, Default)]
pub struct Pace {
    /// Requests per second; `None`: the host never asked for less.
    rate: Option<f64>,
    /// The rate at which it last did.
    knee: f64,
    tokens: f64,
    refilled_at: Duration,
    raised_at: Duration,
    /// The rate, and nothing else, held a request back since it was last raised.
    limiting: bool,
    rests_until: Duration,
    refusals_in_a_row: u32,
    epoch: u64,
    served: u32,
    served_since: Duration,
    queues: [Queue; 3],
    /// When a log with a cap may send again.
    opens_at: HashMap<Arc<str>, Duration>,
    under_way: usize,
    tickets: u64,
}

impl Pace {
    /// Requests per second that the host is known to allow; `None` when it never asked for less.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// About how long a request would wait that is asked for at `now`: the rest of the host, and whoever waits already.
    pub fn wait(&self, now: Duration) -> Duration {
        let shares = self.queues.iter().flat_map(|queue| &queue.shares);
        let ahead: usize = shares.map(|(_, tickets)| tickets.len()).sum();
        let Some(rate) = self.rate else { return Duration::ZERO };
        let tokens = self.tokens + rate * now.saturating_sub(self.refilled_at).as_secs_f64();
        let missing = (ahead as f64 + 1.0 - tokens).max(0.0);
        self.rests_until.saturating_sub(now) + Duration::from_secs_f64((missing / rate).min(3600.0))
    }

    /// Asks for a request; its ticket.
    pub fn ask(&mut self, share: &Share, urgency: Urgency) -> u64 {
        self.tickets += 1;
        let shares = &mut self.queues[urgency as usize].shares;
        match shares.iter_mut().find(|(other, _)| other.name == share.name) {
            Some((_, tickets)) => tickets.push_back(self.tickets),
            None => shares.push_back((share.clone(), VecDeque::from([self.tickets]))),
        }
        self.tickets
    }

    /// Takes back a request that was not sent yet.
    pub fn withdraw(&mut self, ticket: u64) {
        for queue in &mut self.queues {
            queue.shares.iter_mut().for_each(|(_, tickets)| tickets.retain(|other| *other != ticket));
            queue.shares.retain(|(_, tickets)| !tickets.is_empty());
        }
    }

    /// What is to be done at `now`. Call it again after each request that it lets go.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.queues.iter().all(|queue| queue.shares.is_empty()) {
            return Next::Nothing;
        }
        if now < self.rests_until {
            return Next::Wait(self.rests_until - now);
        }
        if let Some(rate) = self.rate {
            self.refill(rate, now);
            if self.tokens < 1.0 {
                self.limiting = true;
                // Rounded up, or rounding would ask again a moment too early for ever.
                return Next::Wait(Duration::from_secs_f64((1.0 - self.tokens) / rate) + Duration::from_micros(1));
            }
        }
        let mut wait: Option<Duration> = None;
        for urgency in self.order() {
            let queue = &self.queues[urgency as usize];
            let open =
                |share: &Share| self.opens_at.get(&share.name).map_or(Duration::ZERO, |at| at.saturating_sub(now));
            if self.under_way >= urgency.room() {
                continue;
            }
            let shortest = queue.shares.iter().map(|(share, _)| open(share)).enumerate().min_by_key(|(_, wait)| *wait);
            match shortest {
                Some((at, Duration::ZERO)) => return self.send(urgency, at, now),
                Some((_, shut)) => wait = Some(wait.map_or(shut, |wait| wait.min(shut))),
                None => {}
            }
        }
        wait.map_or(Next::Nothing, Next::Wait)
    }

    /// The most urgent first; before it what was passed over too often.
    fn order(&self) -> [Urgency; 3] {
        let mut order = Urgency::ALL;
        order.sort_by_key(|urgency| self.queues[*urgency as usize].passed_over < PASSED_OVER);
        order
    }

    fn send(&mut self, urgency: Urgency, at: usize, now: Duration) -> Next {
        for other in Urgency::ALL {
            let queue = &mut self.queues[other as usize];
            queue.passed_over = if other == urgency || queue.shares.is_empty() { 0 } else { queue.passed_over + 1 };
        }
        let shares = &mut self.queues[urgency as usize].shares;
        let Some((share, mut tickets)) = shares.remove(at) else { return Next::Nothing };
        let Some(ticket) = tickets.pop_front() else { return Next::Nothing };
        if let Some(cap) = share.cap {
            self.opens_at.insert(share.name.clone(), now + Duration::from_secs_f64(1.0 / cap.max(SLOWEST)));
        }
        if !tickets.is_empty() {
            shares.push_back((share, tickets));
        }
        if self.rate.is_some() {
            self.tokens -= 1.0;
        }
        self.under_way += 1;
        Next::Send(Grant { ticket, epoch: self.epoch })
    }

    /// A request that was let go ended at `now`.
    pub fn ended(&mut self, grant: Grant, answer: Ending, now: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        match answer {
            Ending::Silent => {}
            Ending::Served => {
                if now.saturating_sub(self.served_since) > TALLY {
                    (self.served, self.served_since) = (self.served / 2, now.saturating_sub(TALLY / 2));
                }
                self.served += 1;
                self.refusals_in_a_row = 0;
                self.raise(now);
            }
            Ending::Refused(said) => {
                if let Some(said) = said {
                    self.rest(now + said.min(LONGEST_REST));
                }
                if grant.epoch == self.epoch {
                    let silent = FIRST_REST.saturating_mul(1 << self.refusals_in_a_row.min(6)).min(LAST_REST);
                    self.rest(now + if said.is_some() { Duration::ZERO } else { silent });
                    self.refusals_in_a_row += 1;
                    self.lower(now);
                }
            }
            Ending::Late if grant.epoch == self.epoch => self.lower(now),
            Ending::Late => {}
        }
    }

    fn rest(&mut self, until: Duration) {
        self.rests_until = self.rests_until.max(until);
        // One request goes first when the rest is over, the others follow at the rate.
        (self.tokens, self.refilled_at) = (1.0, self.refilled_at.max(self.rests_until));
    }

    fn lower(&mut self, now: Duration) {
        let counted = now.saturating_sub(self.served_since).max(Duration::from_secs(1));
        let served = f64::from(self.served) / counted.as_secs_f64();
        // What the host did serve says more than a rate that was not used up; but a host that is asked for a head now
        // and then has served little without wanting it so.
        self.knee = self.rate.unwrap_or(f64::INFINITY).min(served.max(1.0));
        self.rate = Some((self.knee * DECREASE).max(SLOWEST));
        self.tokens = self.tokens.min(1.0);
        self.epoch += 1;
        (self.served, self.served_since, self.raised_at, self.limiting) = (0, now, now, false);
        self.refilled_at = self.refilled_at.max(now);
    }

    fn raise(&mut self, now: Duration) {
        let Some(rate) = self.rate else { return };
        // A rate that is not used up proves nothing.
        if !self.limiting {
            return;
        }
        // What has passed until now was allowed at the rate until now.
        self.refill(rate, now);
        let seconds = now.saturating_sub(self.raised_at).as_secs_f64().min(1.0);
        let step = if rate < self.knee * KNOWN { self.knee * INCREASE } else { rate * SEARCH };
        let raised = rate + step * seconds;
        self.rate = (raised < FASTEST).then_some(raised);
        (self.raised_at, self.limiting) = (now, false);
    }

    fn refill(&mut self, rate: f64, now: Duration) {
        let since = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.tokens = (self.tokens + rate * since).min((rate / 10.0).max(1.0));
        self.refilled_at = self.refilled_at.max(now);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
