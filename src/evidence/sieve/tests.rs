//! The sieve against the audit itself, over rows with every kind of defect.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::clock::date;
use crate::evidence;
use crate::evidence::dated::Dated;
use crate::evidence::policy::FlawedMethod;
use crate::evidence::tests::record;
use crate::finding::{Issued, Verdict};
use crate::lint::SuffixList;
use crate::record::{
    Account, Basis, CaaCheck, DcvConfirmation, DcvReuse, IssuanceRecord, Lookup, Presented, ReuseStep, SanAuthorisation,
};

/// Draws values: good ones mostly, so that rows with one thing wrong are common.
struct Dice(StdRng);

impl Dice {
    fn odd(&mut self) -> bool {
        self.0.random_ratio(1, 12)
    }
    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.0.random_range(0..all.len())].clone()
    }
    /// The first of all mostly.
    fn mostly<T: Clone>(&mut self, all: &[T]) -> T {
        if self.odd() { self.of(all) } else { all[0].clone() }
    }
    fn between(&mut self, from: i64, to: i64) -> i64 {
        self.0.random_range(from..=to)
    }
    fn remote(&mut self) -> Option<Perspectives> {
        let total = self.mostly(&[6, 0, 1, 2, 3, 4, 5]);
        let against = self.mostly(&[0, 1, 2, 3, 7]);
        let remote = Perspectives {
            corroborating: if against == 7 { 9 } else { u64::from(total as u32).saturating_sub(against) },
            total: total as u64,
            regions: self.mostly(&[Some(2), Some(1), None]),
        };
        (!self.odd()).then_some(remote)
    }
}

const METHODS: [&str; 18] = [
    "3.2.2.4.7",
    "dns-01",
    "3.2.2.4.19",
    "tls-alpn-01",
    "3.2.2.4.4",
    "3.2.2.4.6",
    "3.2.2.4.2",
    "3.2.2.4.8",
    "3.2.2.4.12",
    "3.2.2.4.16",
    "3.2.2.4.22",
    "3.2.2.4.3",
    "3.2.2.5.1",
    "3.2.2.5.8",
    "3.2.2.5.2",
    "a letter",
    "",
    "BR 3.2.2.4.18",
];
const NAMES: [&str; 12] = [
    "www.a.eus",
    "a.eus",
    "*.a.eus",
    "x.y.a.eus",
    "b.co.uk",
    "10.0.0.1",
    "2001:db8::1",
    "intranet",
    "abc.onion",
    "a.1",
    "1.2.3.4.5",
    "l.com",
];
const DOMAINS: [&str; 12] = [
    "a.eus",
    "www.a.eus",
    "eus",
    "b.co.uk",
    "co.uk",
    "10.0.0.1",
    "0.0.1",
    "2001:db8::1",
    "intranet",
    "evil.com",
    "",
    "1",
];
const RRSETS: [Option<&str>; 8] = [
    None,
    Some("a.eus. CAA 0 issue \"ca.example\""),
    Some("a.eus. CAA 0 issue \"other.example\""),
    Some("0 issue \"ca.example; validationmethods=dns-01\""),
    Some("0 issuewild \"other.example\"\n0 issue \"ca.example\""),
    Some("a.eus. CAA 128 strange \"x\""),
    Some("no record"),
    Some(" "),
];

/// Moments at which something changes, and others.
fn moment(dice: &mut Dice) -> Timestamp {
    let day = dice.of(&[
        date(2017, 9, 8),
        date(2019, 6, 1),
        date(2021, 10, 1),
        date(2021, 12, 1),
        date(2025, 3, 15),
        date(2025, 9, 15),
        date(2026, 3, 15),
        date(2026, 6, 15),
        date(2026, 12, 15),
        date(2027, 3, 15),
        date(2028, 3, 15),
    ]);
    day.plus(Span::from_seconds(dice.of(&[-1, 0, 1, 86_400 * 100, 86_400 * 250])))
}

fn confirmation(dice: &mut Dice, dcv_id: i64, name: &str, signed: Timestamp) -> DcvConfirmation {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let completed_at = match dice.odd() {
        true => moment(dice),
        false => signed.minus(Span::from_days(dice.of(&[0, 1, 9, 10, 11, 100, 199, 200, 201, 398, 399]))),
    };
    let address = bare.parse::<IpAddr>().is_ok();
    let usual = if address { "3.2.2.5.1" } else { dice.of(&METHODS[..4]) };
    DcvConfirmation {
        dcv_id,
        applicant_id: dice.mostly(&["a", "b"]).into(),
        account_id: dice.mostly(&[Some("77".to_string()), Some("78".into()), None]),
        adn: if dice.odd() { dice.of(&DOMAINS) } else { bare }.into(),
        method: if dice.odd() { dice.of(&METHODS) } else { usual }.into(),
        completed_at,
        performed_by: dice.mostly(&["system", "op3", " System"]).into(),
        resolver: dice.mostly(&[Some("own".to_string()), Some("8.8.8.8".into()), None]),
        token_issued_at: dice
            .mostly(&[Some(1), None, Some(-1), Some(30), Some(31)])
            .map(|days| completed_at.minus(Span::from_days(days))),
        dnssec: dice.mostly(&[
            Some("insecure".to_string()),
            Some("secure".into()),
            Some("bogus".into()),
            Some("off".into()),
            None,
            Some("?".into()),
        ]),
        remote: dice.remote(),
        location: dice.mostly(&[
            Some(format!("_acme-challenge.{bare}")),
            None,
            Some("elsewhere.net".into()),
            Some(" ".into()),
            Some(bare.into()),
        ]),
        evidence_ref: dice.mostly(&[Some("log/1".to_string()), None, Some("bulk/2".into()), Some(" ".into())]),
        recorded_at: dice
            .mostly(&[Some(60), None, Some(-1), Some(86_400), Some(86_401)])
            .map(|after| completed_at.plus(Span::from_seconds(after))),
    }
}

fn check(dice: &mut Dice, name: &str, signed: Timestamp) -> CaaCheck {
    CaaCheck {
        caa_id: 30,
        name: if dice.odd() { dice.of(&NAMES) } else { name }.into(),
        checked_at: signed.minus(Span::from_seconds(dice.mostly(&[60, -1, 0, 8 * 3600, 8 * 3600 + 1, 90_000]))),
        result: dice.mostly(&["none", "permit", "deny", "failed"]).into(),
        rrset: dice.mostly(&RRSETS).map(str::to_string),
        ttl: dice.mostly(&[None, Some(300), Some(100_000)]).map(Span::from_seconds),
        dnssec: dice.mostly(&[Some("secure".to_string()), Some("bogus".into()), None]),
        resolver: dice.mostly(&["own", "8.8.8.8"]).into(),
        performed_by: dice.mostly(&["system", "op3"]).into(),
        remote: dice.remote(),
    }
}

/// A record of one name.
fn drawn(dice: &mut Dice) -> (IssuanceRecord, Policy) {
    let name = dice.of(&NAMES);
    let signed = moment(dice);
    let others: Vec<DcvConfirmation> =
        (0..dice.between(0, 2)).map(|n| confirmation(dice, 50 + n, name, signed)).collect();
    let root = confirmation(dice, 10, name, signed);
    let basis = match dice.mostly(&[0, 0, 1, 1, 2, 3]) {
        0 => Basis::Confirmation(root),
        1 => Basis::Reuse(DcvReuse {
            reuse_id: 9,
            rule: dice.mostly(&["sticky", "RECENT", "same_key", "house"]).into(),
            decided_at: signed.minus(Span::from_days(dice.between(0, 30))),
            decided_by: None,
            chain: dice.mostly(&[
                vec![],
                vec![ReuseStep { stated_id: "reuse 4".into(), stated_at: Some(signed.minus(Span::from_days(40))) }],
            ]),
            root: (!dice.odd()).then_some(root),
        }),
        2 => Basis::Missing,
        _ => Basis::Reuse(DcvReuse {
            reuse_id: 9,
            rule: "recent".into(),
            decided_at: signed,
            decided_by: None,
            chain: vec![],
            root: Some(root),
        }),
    };
    let caa = (!dice.odd()).then(|| check(dice, name, signed));
    let mut record = record(None, others);
    record.signed_at = signed;
    record.keeps_caa_checks = !dice.odd();
    record.authorisations = Some(vec![SanAuthorisation { name: name.into(), basis, caa }]);
    if let Some(order) = &mut record.order {
        order.account =
            Account { account_id: "77".into(), kind: dice.mostly(&["direct", "reseller"]).into(), name: None };
    }
    if dice.odd() {
        record.order = None;
    }
    let mut policy = Policy { issuer_domains: vec!["ca.example".into()], ..Policy::default() };
    if dice.odd() {
        policy.issuer_domains.clear();
    }
    if dice.odd() {
        policy.methods =
            vec!["3.2.2.4.7".into(), Dated { word: "http-01".into(), from: Some(moment(dice)), until: None }];
        policy.methods.truncate(dice.between(1, 2) as usize);
        policy.methods.rotate_left(1);
        policy.methods.truncate(dice.between(1, 2) as usize);
    }
    if dice.odd() {
        policy.bulk_evidence = vec!["bulk/".into()];
    }
    if dice.odd() {
        let (from, until) = (moment(dice), dice.of(&[None, Some(date(2026, 9, 1))]));
        policy.flawed = vec![FlawedMethod { method: "dns-01".into(), from, until, reason: "a bug".into() }];
    }
    if let Some(order) = &mut record.order {
        order.vtype = dice.mostly(&["DV", "EV", "ev "]).into();
    }
    (record, policy)
}

/// What the sieve says of it.
fn sifted(record: &IssuanceRecord, policy: &Policy) -> Option<Gaps> {
    let row = &record.authorisations.as_ref()?[0];
    let (root, reuse) = match &row.basis {
        Basis::Confirmation(root) => (root, None),
        Basis::Reuse(reuse) => (reuse.root.as_ref()?, Some(reuse)),
        Basis::Missing => return None,
    };
    let grade = Grade::of(
        &root.method,
        &root.performed_by,
        root.resolver.as_deref(),
        root.dnssec.as_deref(),
        root.remote,
        policy,
    );
    let rule = |reuse: &DcvReuse| {
        policy.reuse_rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(&reuse.rule)).map(|rule| rule.limit)
    };
    let stated = |reuse: &DcvReuse| reuse.chain.first().and_then(|step| step.stated_at);
    let shared = |kind: &str| lists(&policy.shared_account_kinds, kind);
    let reliance = Reliance {
        name: row.name.as_bytes(),
        adn: root.adn.as_bytes(),
        grade: &grade,
        completed: root.completed_at,
        token_issued_at: root.token_issued_at,
        signed: record.signed_at,
        reuse: reuse.map(|reuse| Reused {
            limit: rule(reuse),
            decided_at: reuse.decided_at,
            origin: stated(reuse).unwrap_or(root.completed_at),
        }),
        bond: record.order.as_ref().map_or(Bond::NoOrder, |order| {
            let same = root.account_id.as_ref().map(|account| *account == order.account.account_id);
            Bond::of(root.applicant_id == order.applicant_id, same, shared(&order.account.kind))
        }),
        suffix: SuffixList::Embedded.is_suffix(root.adn.as_bytes()),
        ev: record.order.as_ref().is_some_and(|order| order.vtype.trim().eq_ignore_ascii_case("EV")),
        location: root.location.as_deref().map(|location| {
            let plain = grade.prescribed().rest(&root.adn, location.trim()).is_some();
            if plain { Seen::Prescribed } else { Seen::At(location) }
        }),
        evidence_ref: root.evidence_ref.as_deref(),
        recorded_at: root.recorded_at,
    };
    let caa = row.caa.as_ref();
    let grade =
        caa.map(|c| CaaGrade::of(&c.result, &c.performed_by, &c.resolver, c.dnssec.as_deref(), c.remote, policy));
    let check = caa.zip(grade.as_ref()).map(|(c, grade)| Check {
        name: &c.name,
        grade,
        checked_at: c.checked_at,
        ttl: c.ttl,
        rrset: c.rrset.as_deref(),
    });
    let gaps = sift_caa(&row.name, check.as_ref(), record.signed_at, record.keeps_caa_checks, policy)?;
    Some(reliance.sift(policy)?.and(gaps))
}

#[test]
fn the_sieve_knows_every_rule_of_the_room() {
    assert!(is_complete(), "a rule was added: teach the sieve what it looks at, then name it in KNOWN");
    assert_eq!(KNOWN.len(), evidence::RULES.len());
}

#[test]
fn what_is_covered_certainly_is_covered() {
    for (adn, name) in [("l.com", "l.com"), ("l.com", "*.l.com"), ("l.com", "a.l.com"), ("::1", "::1")] {
        assert!(covers(adn.as_bytes(), name.as_bytes()), "{adn} {name}");
    }
    for (adn, name) in
        [("l.com", "evil.com"), ("com", "l.com"), ("0.0.1", "10.0.0.1"), ("", "a."), ("intranet", "intranet")]
    {
        assert!(!covers(adn.as_bytes(), name.as_bytes()), "{adn} {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60_000))]

    #[test]
    fn what_passes_the_sieve_passes_the_audit_and_gaps_are_its_gaps(seed in any::<u64>()) {
        let (record, policy) = drawn(&mut Dice(StdRng::seed_from_u64(seed)));
        let name = record.authorisations.as_ref().map(|rows| rows[0].name.clone()).unwrap_or_default();
        if let Some(gaps) = sifted(&record, &policy) {
            let presented = Presented { names: vec![name], ..Presented::default() };
            let (signed, told) = (record.signed_at, format!("{record:#?}"));
            let verdicts = evidence::run(&presented, &Lookup::Found(Box::new(record)), Issued::at(signed), &policy, &SuffixList::Embedded);
            let mut expected: Vec<&str> = gaps.rules().into_iter().map(|rule| rule.id).collect();
            let mut missing = Vec::new();
            for (rule, verdict) in verdicts.into_iter().filter(|(rule, _)| !["ev.approvals", "id.reuse"].contains(&rule.id)) {
                match verdict {
                    Verdict::Pass => {}
                    Verdict::NotEvaluable(_) => missing.push(rule.id),
                    Verdict::Fail(findings) => prop_assert!(false, "{:?}\n{}", findings, told),
                }
            }
            expected.sort();
            missing.sort();
            prop_assert_eq!(expected, missing, "{}", told);
        }
    }
}

#[test]
fn the_rules_on_validation_alone_say_what_they_say_among_all() {
    let mut broken = 0;
    for seed in 0..2_000 {
        let (record, policy) = drawn(&mut Dice(StdRng::seed_from_u64(seed)));
        let name = record.authorisations.as_ref().map(|rows| rows[0].name.clone()).unwrap_or_default();
        let presented = Presented { names: vec![name], ..Presented::default() };
        let (issued, suffixes) = (Issued::at(record.signed_at), SuffixList::Embedded);
        let alone = evidence::validations(&presented, &record, issued, &policy, &suffixes);
        let all = evidence::run(&presented, &Lookup::Found(Box::new(record)), issued, &policy, &suffixes);
        // Those of perspectives and DNSSEC are of CAA checks too.
        for ((rule, alone), (_, all)) in alone.into_iter().zip(all).filter(|((rule, _), _)| rule.id.starts_with("dcv."))
        {
            broken += u32::from(matches!(alone, Verdict::Fail(_)));
            assert_eq!(alone, all, "{}", rule.id);
        }
    }
    assert!(broken > 100, "{broken}");
}

#[test]
fn the_drawn_rows_pass_lack_and_break_in_their_hundreds() {
    let count = |want: fn(Option<Gaps>) -> bool| {
        let drawn = (0..4_000).map(|seed| drawn(&mut Dice(StdRng::seed_from_u64(seed))));
        drawn.filter(|(record, policy)| want(sifted(record, policy))).count()
    };
    let (good, gaps, doubtful) =
        (count(|s| s == Some(Gaps::NONE)), count(|s| s.is_some_and(|g| g != Gaps::NONE)), count(|s| s.is_none()));
    assert!(good > 100 && gaps > 100 && doubtful > 100, "{good} good, {gaps} with gaps, {doubtful} doubtful");
}
