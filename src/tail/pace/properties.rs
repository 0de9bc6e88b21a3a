//! What holds of the pace whatever logs ask for, hosts answer and clocks say.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Logs of the host; one has a configured limit of its own.
const CAPS: [Option<f64>; 4] = [None, None, None, Some(0.5)];
/// A class that waits is passed over by this many requests at most: three, and the other class that waited as long.
const MOST_PASSED_OVER: u32 = 5;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Milliseconds pass; below zero the clock was set back.
    Passes(i64),
    Asks(usize, Urgency),
    Sends,
    Ends(prop::sample::Index, Ending),
    Withdraws(prop::sample::Index),
}

fn urgency() -> impl Strategy<Value = Urgency> {
    prop::sample::select(Urgency::ALL.to_vec())
}

fn ending() -> impl Strategy<Value = Ending> {
    let said = prop::option::of((0u64..900_000).prop_map(Duration::from_millis));
    prop_oneof![
        6 => Just(Ending::Served),
        2 => said.prop_map(Ending::Refused),
        1 => Just(Ending::Late),
        1 => Just(Ending::Silent),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0i64..5_000).prop_map(Event::Passes),
        1 => (-100_000i64..100_000).prop_map(Event::Passes),
        4 => (0..CAPS.len(), urgency()).prop_map(|(log, urgency)| Event::Asks(log, urgency)),
        6 => Just(Event::Sends),
        4 => (any::<prop::sample::Index>(), ending()).prop_map(|(at, ending)| Event::Ends(at, ending)),
        1 => any::<prop::sample::Index>().prop_map(Event::Withdraws),
    ]
}

/// A request as the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    log: usize,
    urgency: Urgency,
    /// The step at which it was asked for.
    step: u64,
}

/// The pace and what a bystander has seen of it.
struct Watched {
    pace: Pace,
    now: Duration,
    /// The latest moment that there was since the rate is limited.
    latest: Duration,
    step: u64,
    waiting: BTreeMap<u64, Asked>,
    flying: Vec<Grant>,
    /// Until when the host wants to be left alone.
    rest: Duration,
    /// Requests sent less those that the rate allowed, and the least that this ever was.
    ahead: f64,
    least_ahead: f64,
    /// The most that may be saved up, at the highest rate there was.
    burst: f64,
    /// What may be counted twice because the clock was set back.
    slack: f64,
    sent_at: BTreeMap<usize, Duration>,
    last_sent: BTreeMap<(usize, Urgency), u64>,
    passed_over: BTreeMap<Urgency, u32>,
}

impl Watched {
    fn new() -> Watched {
        Watched {
            pace: Pace::default(),
            now: Duration::from_secs(1_000),
            latest: Duration::from_secs(1_000),
            step: 0,
            waiting: BTreeMap::new(),
            flying: Vec::new(),
            rest: Duration::ZERO,
            ahead: 0.0,
            least_ahead: 0.0,
            burst: 1.0,
            slack: 0.0,
            sent_at: BTreeMap::new(),
            last_sent: BTreeMap::new(),
            passed_over: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        self.step += 1;
        match event {
            Event::Passes(millis) => {
                let by = Duration::from_millis(millis.unsigned_abs());
                self.pass_to(if millis < 0 { self.now.saturating_sub(by) } else { self.now + by });
            }
            Event::Asks(log, urgency) => self.ask(log, urgency),
            Event::Sends => drop(self.send()),
            Event::Ends(at, ending) => {
                if !self.flying.is_empty() {
                    let grant = self.flying.swap_remove(at.index(self.flying.len()));
                    self.end(grant, ending);
                }
            }
            Event::Withdraws(at) => {
                let tickets: Vec<u64> = self.waiting.keys().copied().collect();
                if let Some(ticket) = tickets.get(at.index(tickets.len().max(1))) {
                    self.waiting.remove(ticket);
                    self.pace.withdraw(*ticket);
                }
            }
        }
    }

    fn pass_to(&mut self, now: Duration) {
        // What a clock repeats after it was set back is no time that passes, and while the host rests nothing is saved up.
        let since = self.latest.max(self.rest);
        if let Some(rate) = self.pace.rate() {
            self.ahead -= rate * now.saturating_sub(since).as_secs_f64();
            self.least_ahead = self.least_ahead.min(self.ahead);
        }
        self.slack += self.burst * 10.0 * self.now.saturating_sub(now).as_secs_f64();
        (self.now, self.latest) = (now, self.latest.max(now));
    }

    fn ask(&mut self, log: usize, urgency: Urgency) {
        let share = Share { name: ["a", "b", "c", "slow"][log].into(), cap: CAPS[log] };
        let ticket = self.pace.ask(&share, urgency);
        assert!(self.waiting.insert(ticket, Asked { log, urgency, step: self.step }).is_none(), "a ticket given twice");
    }

    fn send(&mut self) -> Next {
        let under_way = self.flying.len();
        let next = self.pace.next(self.now);
        let Next::Send(grant) = next else { return next };
        let asked = self.waiting.remove(&grant.ticket).expect("what is sent was asked for and not sent before");
        self.flying.push(grant);
        assert!(self.now >= self.rest, "sent at {:?}, the host rests until {:?}", self.now, self.rest);
        assert!(under_way < asked.urgency.room());
        if let Some(cap) = CAPS[asked.log] {
            let before = self.sent_at.insert(asked.log, self.now);
            assert!(before.is_none_or(|before| self.now >= before + Duration::from_secs_f64(1.0 / cap)));
        }
        if let Some(rate) = self.pace.rate() {
            self.burst = self.burst.max(rate / 10.0);
            self.ahead += 1.0;
            let beyond = self.ahead - self.least_ahead;
            let most = self.burst + self.slack + 1e-3;
            assert!(beyond <= most, "{beyond} requests more than the rate allows, {most} may be");
        }
        self.take_turns(asked);
        next
    }

    /// Logs without a limit of their own take turns.
    fn take_turns(&mut self, sent: Asked) {
        let last = self.last_sent.insert((sent.log, sent.urgency), self.step).unwrap_or(0);
        for other in self.waiting.values().filter(|other| other.urgency == sent.urgency && other.log != sent.log) {
            let had_a_turn = self.last_sent.get(&(other.log, other.urgency)).is_some_and(|step| *step > last);
            let waited = other.step < last && CAPS[other.log].is_none();
            assert!(had_a_turn || !waited, "{sent:?} went twice while {other:?} waited");
        }
    }

    fn end(&mut self, grant: Grant, ending: Ending) {
        if let Ending::Refused(Some(said)) = ending {
            self.rest = self.rest.max(self.now + said.min(LONGEST_REST));
        }
        let was_free = self.pace.rate().is_none();
        self.pace.ended(grant, ending, self.now);
        if was_free {
            // Nothing was counted before the first refusal.
            self.latest = self.now;
        }
        if self.pace.rate().is_some_and(|rate| rate < SLOWEST || !rate.is_finite()) {
            panic!("a rate of {:?}", self.pace.rate());
        }
        if matches!(ending, Ending::Refused(_)) {
            // After a rest one request goes first whatever was sent before; that is not more than the host can bear.
            self.ahead -= 1.0;
            self.least_ahead = self.least_ahead.min(self.ahead);
        }
        if self.pace.rate().is_none() {
            (self.ahead, self.least_ahead) = (0.0, 0.0);
        }
    }

    /// Sends what waits, each served at once; how many steps that took.
    fn drain(&mut self) -> usize {
        let mut steps = 0;
        while !self.waiting.is_empty() {
            steps += 1;
            self.step += 1;
            let before = self.waiting.clone();
            match self.send() {
                Next::Send(grant) => {
                    self.flying.retain(|other| *other != grant);
                    self.end(grant, Ending::Served);
                    let sent = before[&grant.ticket].urgency;
                    for urgency in Urgency::ALL {
                        let mut free = before.values().filter(|asked| CAPS[asked.log].is_none());
                        let over = self.passed_over.entry(urgency).or_default();
                        *over =
                            if urgency == sent || !free.any(|asked| asked.urgency == urgency) { 0 } else { *over + 1 };
                        assert!(*over <= MOST_PASSED_OVER, "{urgency:?} is starved");
                    }
                }
                Next::Wait(wait) => {
                    assert!(wait > Duration::ZERO && wait <= LONGEST_REST + Duration::from_millis(1), "{wait:?}");
                    self.pass_to(self.now + wait);
                }
                Next::Nothing => panic!("{} wait and nothing is under way", self.waiting.len()),
            }
        }
        steps
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Never faster than the rate, never while the host rests, never a request twice; and when the host serves again,
    /// all that waits is sent, no kind of it and no log of it starved.
    #[test]
    fn no_history_breaks_the_pace(events in prop::collection::vec(event(), 0..300), set_back in any::<bool>()) {
        let mut watched = Watched::new();
        for event in events {
            watched.happen(match event {
                Event::Passes(millis) if !set_back => Event::Passes(millis.abs()),
                other => other,
            });
        }
        // The clock may stand before a rest that was asked for at a later time.
        watched.pass_to(watched.latest);
        for grant in std::mem::take(&mut watched.flying) {
            watched.end(grant, Ending::Silent);
        }
        for (log, urgency) in (0..CAPS.len()).flat_map(|log| Urgency::ALL.map(|urgency| (log, urgency))) {
            watched.ask(log, urgency);
        }
        let waiting = watched.waiting.len();
        let steps = watched.drain();
        // Each waits at most for a rest, a token and its log's own limit before it is sent.
        prop_assert!(steps <= 4 * waiting + 4, "{} steps for {}", steps, waiting);
    }

    /// Whatever a host has refused, it is asked faster and faster once it refuses nothing more.
    #[test]
    fn the_rate_recovers(events in prop::collection::vec(event(), 0..200)) {
        let mut watched = Watched::new();
        events.into_iter().for_each(|event| watched.happen(event));
        watched.pass_to(watched.latest);
        for grant in std::mem::take(&mut watched.flying) {
            watched.end(grant, Ending::Silent);
        }
        let mut rounds = 0;
        while watched.pace.rate().is_some_and(|rate| rate < 20.0) {
            for log in 0..3 {
                watched.ask(log, Urgency::Backlog);
            }
            watched.drain();
            rounds += 1;
            prop_assert!(rounds < 5_000, "still at {:?}", watched.pace.rate());
        }
    }
}
