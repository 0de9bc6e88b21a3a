use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn share(name: &str) -> Share {
    Share { name: name.into(), cap: None }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn ask(pace: &mut Pace, share: &Share, urgency: Urgency, count: usize) {
    for _ in 0..count {
        pace.ask(share, urgency);
    }
}

/// Everything that may be sent at `now`, in order.
fn send_all(pace: &mut Pace, now: Duration) -> Vec<Grant> {
    std::iter::from_fn(|| match pace.next(now) {
        Next::Send(grant) => Some(grant),
        Next::Wait(_) | Next::Nothing => None,
    })
    .collect()
}

fn one(pace: &mut Pace, now: Duration) -> Grant {
    match pace.next(now) {
        Next::Send(grant) => grant,
        other => panic!("nothing may be sent: {other:?}"),
    }
}

#[test]
fn nothing_is_limited_until_the_host_asks_for_less() {
    let mut pace = Pace::default();
    assert_eq!(pace.next(Duration::ZERO), Next::Nothing);
    for _ in 0..1000 {
        pace.ask(&share("a"), Urgency::Backlog);
        let grant = one(&mut pace, Duration::ZERO);
        pace.ended(grant, Ending::Served, Duration::ZERO);
    }
    assert_eq!(pace.rate(), None);
}

#[test]
fn logs_of_a_host_take_turns_and_heads_go_first() {
    let mut pace = Pace::default();
    for _ in 0..4 {
        pace.ask(&share("big"), Urgency::Backlog);
    }
    let small = pace.ask(&share("small"), Urgency::Backlog);
    let fresh = pace.ask(&share("big"), Urgency::Fresh);
    let head = pace.ask(&share("other"), Urgency::Head);
    let tickets: Vec<u64> = send_all(&mut pace, Duration::ZERO).iter().map(|grant| grant.ticket).collect();
    assert_eq!(tickets, [head, fresh, 1, small, 2, 3, 4]);
}

#[test]
fn what_is_less_urgent_is_not_starved() {
    let mut pace = Pace::default();
    let backlog = pace.ask(&share("a"), Urgency::Backlog);
    let heads: Vec<u64> = (0..10).map(|_| pace.ask(&share("b"), Urgency::Head)).collect();
    let tickets: Vec<u64> = send_all(&mut pace, Duration::ZERO).iter().map(|grant| grant.ticket).collect();
    assert_eq!(tickets[3], backlog);
    assert_eq!(tickets[..3], heads[..3]);
    assert_eq!(tickets.len(), 11);
}

#[test]
fn a_backlog_leaves_room_for_new_entries_and_heads_always_have_room() {
    let mut pace = Pace::default();
    ask(&mut pace, &share("a"), Urgency::Backlog, 200);
    let sent = send_all(&mut pace, Duration::ZERO);
    assert_eq!(sent.len(), Urgency::Backlog.room());
    ask(&mut pace, &share("b"), Urgency::Fresh, 200);
    assert_eq!(send_all(&mut pace, Duration::ZERO).len(), Urgency::Fresh.room() - Urgency::Backlog.room());
    ask(&mut pace, &share("c"), Urgency::Head, 200);
    assert_eq!(send_all(&mut pace, Duration::ZERO).len(), 200);
    for grant in sent {
        pace.ended(grant, Ending::Served, Duration::ZERO);
    }
    assert_eq!(pace.next(Duration::ZERO), Next::Nothing, "232 are still under way");
}

#[test]
fn a_refusal_rests_the_whole_host_and_lowers_its_rate_once() {
    let mut pace = Pace::default();
    ask(&mut pace, &share("a"), Urgency::Fresh, 20);
    let sent = send_all(&mut pace, seconds(10.0));
    for grant in &sent[..10] {
        pace.ended(*grant, Ending::Served, seconds(11.0));
    }
    for grant in &sent[10..] {
        pace.ended(*grant, Ending::Refused(Some(seconds(17.0))), seconds(11.0));
    }
    // 10 were served in 11 s of which one counts at least: 0.9 a second, taken for 1.
    assert_eq!(pace.rate(), Some(1.0 * DECREASE));
    pace.ask(&share("b"), Urgency::Head);
    assert_eq!(pace.next(seconds(12.0)), Next::Wait(seconds(16.0)));
    let late = pace.ask(&share("b"), Urgency::Head);
    one(&mut pace, seconds(28.0));
    assert!(matches!(pace.next(seconds(28.0)), Next::Wait(_)), "one request after the rest, then the rate");
    pace.withdraw(late);
    assert_eq!(pace.next(seconds(29.0)), Next::Nothing);
}

#[test]
fn rests_without_a_word_grow_and_end_with_an_answer() {
    let mut pace = Pace::default();
    let mut now = Duration::ZERO;
    let mut rests = Vec::new();
    for _ in 0..9 {
        pace.ask(&share("a"), Urgency::Fresh);
        let grant = one(&mut pace, now);
        pace.ended(grant, Ending::Refused(None), now);
        pace.ask(&share("a"), Urgency::Fresh);
        let Next::Wait(rest) = pace.next(now) else { panic!("a rest") };
        rests.push(rest.as_secs());
        pace.withdraw(pace.tickets);
        now += rest;
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    pace.ask(&share("a"), Urgency::Fresh);
    let grant = one(&mut pace, now);
    pace.ended(grant, Ending::Served, now);
    let rate = pace.rate().expect("limited");
    assert!(rate >= SLOWEST);
    pace.ask(&share("a"), Urgency::Fresh);
    let grant = one(&mut pace, now + seconds(1.0 / rate + 1.0));
    pace.ended(grant, Ending::Refused(Some(Duration::MAX)), now);
    pace.ask(&share("a"), Urgency::Fresh);
    assert_eq!(pace.next(now), Next::Wait(LONGEST_REST), "no log can silence its monitor");
}

#[test]
fn late_answers_lower_the_rate_and_other_errors_do_not() {
    let mut pace = Pace::default();
    ask(&mut pace, &share("a"), Urgency::Fresh, 2);
    let sent = send_all(&mut pace, Duration::ZERO);
    pace.ended(sent[0], Ending::Silent, seconds(1.0));
    assert_eq!(pace.rate(), None);
    pace.ended(sent[1], Ending::Late, seconds(30.0));
    assert_eq!(pace.rate(), Some(DECREASE));
    pace.ask(&share("a"), Urgency::Fresh);
    one(&mut pace, seconds(32.0));
}

#[test]
fn the_configured_cap_of_a_log_binds_that_log_alone() {
    let mut pace = Pace::default();
    let capped = Share { name: "slow".into(), cap: Some(2.0) };
    ask(&mut pace, &capped, Urgency::Fresh, 3);
    ask(&mut pace, &share("free"), Urgency::Fresh, 3);
    assert_eq!(send_all(&mut pace, Duration::ZERO).len(), 4);
    assert_eq!(pace.next(Duration::ZERO), Next::Wait(seconds(0.5)));
    assert_eq!(send_all(&mut pace, seconds(0.5)).len(), 1);
    assert_eq!(send_all(&mut pace, seconds(0.9)).len(), 0);
    assert_eq!(send_all(&mut pace, seconds(1.0)).len(), 1);
}

/// A host with a token bucket: `limit` requests a second, `burst` at once.
struct Host {
    limit: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
    says: bool,
}

impl Host {
    fn answer(&mut self, now: Duration) -> Ending {
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.limit).min(self.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ending::Served;
        }
        let wait = seconds((1.0 - self.tokens) / self.limit);
        Ending::Refused(self.says.then_some(seconds(wait.as_secs_f64().ceil())))
    }
}

/// Three logs that always want more, for `length`; (served, refused, served per log) in the second half.
fn simulate(host: &mut Host, length: Duration) -> (u32, u32, BTreeMap<u64, u32>) {
    let mut pace = Pace::default();
    let logs = ["a", "b", "c"].map(share);
    let mut owners: BTreeMap<u64, u64> = BTreeMap::new();
    for _ in 0..4 {
        for (owner, share) in (0..).zip(&logs) {
            owners.insert(pace.ask(share, Urgency::Backlog), owner);
        }
    }
    let latency = seconds(0.05);
    let mut flying: VecDeque<(Duration, Grant, Ending)> = VecDeque::new();
    let (mut now, mut served, mut refused, mut shares) = (Duration::ZERO, 0, 0, BTreeMap::new());
    while now < length {
        let next = pace.next(now);
        let lands = flying.front().map(|(at, ..)| *at);
        match (next, lands) {
            (Next::Send(grant), _) => {
                assert!(now >= pace.rests_until);
                flying.push_back((now + latency, grant, host.answer(now)));
            }
            (Next::Wait(wait), lands) if lands.is_none_or(|at| at > now + wait) => now += wait,
            (_, Some(at)) => {
                now = at;
                let Some((_, grant, answer)) = flying.pop_front() else { break };
                pace.ended(grant, answer, now);
                let owner = owners.remove(&grant.ticket).expect("a ticket");
                owners.insert(pace.ask(&logs[owner as usize], Urgency::Backlog), owner);
                if now > length / 2 {
                    match answer {
                        Ending::Served => {
                            served += 1;
                            *shares.entry(owner).or_default() += 1;
                        }
                        _ => refused += 1,
                    }
                }
            }
            (Next::Nothing | Next::Wait(_), None) => panic!("three logs wait and nothing happens"),
        }
    }
    (served, refused, shares)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the limit, most of it is used, few requests are refused, and every log gets its share.
    #[test]
    fn the_pace_finds_the_limit(log_limit in -2.7f64..5.5, burst in 1.0f64..50.0, says in any::<bool>()) {
        let limit = log_limit.exp();
        let mut host = Host { limit, burst, tokens: burst, at: Duration::ZERO, says };
        let length = seconds((2000.0 / limit).max(1200.0));
        let (served, refused, shares) = simulate(&mut host, length);
        let possible = limit * length.as_secs_f64() / 2.0;
        prop_assert!(f64::from(served) > 0.6 * possible, "{served} of {possible:.0} at {limit:.2}/s, {refused} refused");
        prop_assert!(f64::from(refused) < 0.12 * f64::from(served + refused), "{refused} refused, {served} served");
        let (least, most) = (shares.values().min().copied(), shares.values().max().copied());
        prop_assert!(shares.len() == 3 && most.zip(least).is_some_and(|(most, least)| f64::from(most - least) < 0.1 * f64::from(served)), "{shares:?}");
    }
}

#[test]
fn how_long_one_would_wait_is_known_before() {
    let (share, mut pace) = (share("a"), Pace::default());
    assert_eq!(pace.wait(Duration::ZERO), Duration::ZERO);
    pace.ask(&share, Urgency::Head);
    let Next::Send(grant) = pace.next(Duration::ZERO) else { panic!("nothing holds it back") };
    pace.ended(grant, Ending::Refused(Some(Duration::from_secs(60))), Duration::ZERO);
    assert_eq!(pace.wait(Duration::ZERO), Duration::from_secs(60), "the rest, after which one goes first");
    assert_eq!(pace.wait(Duration::from_secs(59)), Duration::from_secs(1));
    let (alone, rate) = (pace.wait(Duration::from_secs(30)), pace.rate().expect("a rate"));
    ask(&mut pace, &share, Urgency::Backlog, 7);
    let behind = pace.wait(Duration::from_secs(30));
    assert!((behind - alone).as_secs_f64() * rate > 6.9, "{behind:?} behind seven others");
}
