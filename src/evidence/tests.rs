mod adn;

use super::*;
use crate::clock::{DAY, Span};
use crate::clock::{Timestamp, date};
use crate::finding::RevocationClock;
use crate::finding::{CaseKey, KeyHash, Serial};
use crate::record::{Account, Approval, CaaCheck, DcvReuse, Order, Perspectives, ReuseStep};

pub(super) const SIGNED: Timestamp = date(2026, 11, 20);

fn ago(days: i64) -> Timestamp {
    SIGNED.minus(Span::from_days(days))
}

fn confirmation(dcv_id: i64, adn: &str, completed_at: Timestamp) -> DcvConfirmation {
    DcvConfirmation {
        dcv_id,
        applicant_id: "a".into(),
        account_id: Some("77".into()),
        adn: adn.into(),
        method: if adn.parse::<std::net::IpAddr>().is_ok() { "3.2.2.5.1" } else { "3.2.2.4.7" }.into(),
        completed_at,
        performed_by: "system".into(),
        resolver: Some("own".into()),
        token_issued_at: Some(completed_at.minus(DAY)),
        dnssec: Some("insecure".into()),
        remote: Some(Perspectives { corroborating: 4, total: 4, regions: Some(2) }),
        location: None,
        evidence_ref: None,
        recorded_at: Some(completed_at),
    }
}

fn check(name: &str) -> CaaCheck {
    CaaCheck {
        caa_id: 30,
        name: name.into(),
        checked_at: SIGNED,
        result: "none".into(),
        rrset: None,
        ttl: None,
        dnssec: Some("insecure".into()),
        resolver: "own".into(),
        performed_by: "system".into(),
        // Left out, for an earlier one holds for 398 days.
        remote: Some(Perspectives { corroborating: 0, total: 0, regions: None }),
    }
}

fn reuse(chain: &[&str], root: Option<DcvConfirmation>) -> Basis {
    let step = |text: &&str| ReuseStep { stated_id: text.to_string(), stated_at: Some(ago(100)) };
    let chain = chain.iter().map(step).collect();
    let (rule, decided_by) = ("sticky".into(), Some("op\n3".into()));
    Basis::Reuse(DcvReuse { reuse_id: 9, rule, decided_at: ago(1), decided_by, chain, root })
}

pub(super) fn record(rows: Option<Vec<(&str, Basis)>>, other: Vec<DcvConfirmation>) -> IssuanceRecord {
    let row = |(name, basis): (&str, Basis)| SanAuthorisation { name: name.into(), basis, caa: Some(check(name)) };
    let key = CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![1]) };
    IssuanceRecord {
        order: Some(Order {
            order_id: "8812".into(),
            account: Account { account_id: "77".into(), kind: "direct".into(), name: None },
            applicant_id: "a".into(),
            applicant_name: None,
            applicant_country: None,
            channel: "web".into(),
            vtype: "DV".into(),
            hierarchy: "public".into(),
            csr_spki_sha256: None,
            names: None,
            created_at: SIGNED,
        }),
        authorisations: rows.map(|rows| rows.into_iter().map(row).collect()),
        other_confirmations: other,
        keeps_orders: true,
        keeps_confirmations: true,
        keeps_caa_checks: true,
        ..IssuanceRecord::bare(key, SIGNED)
    }
}

/// The rule, the subject and the detail of everything found about a certificate with these names.
fn found(names: &[&str], record: IssuanceRecord) -> Vec<Finding> {
    let names = names.iter().map(|name| name.to_string()).collect();
    let presented = Presented { names, ..Presented::default() };
    let policy = Policy { issuer_domains: vec!["ca.example".into()], ..Policy::default() };
    let verdicts =
        run(&presented, &Lookup::Found(Box::new(record)), Issued::at(SIGNED), &policy, &SuffixList::Embedded);
    assert!(verdicts.iter().map(|(rule, _)| rule.id).eq(RULES.iter().map(|rule| rule.id)));
    let of_validation = verdicts.into_iter().filter(|(rule, _)| rule.id != "caa.exists");
    let findings = of_validation.flat_map(|(rule, verdict)| match verdict {
        Verdict::Fail(findings) => {
            assert!(findings.iter().all(|finding| finding.rule == rule.id));
            findings
        }
        Verdict::Pass => vec![],
        // Where no CAA check is on record the rules about it have nothing to judge; location and identity are none here.
        Verdict::NotEvaluable(why) => {
            let missing = match rule.id {
                "dcv.location" => "dcv_confirmations.location",
                "id.reuse" => "no table identities",
                rule if rule.starts_with("caa.") => "no CAA check",
                _ => "san_authorisations.dcv_id",
            };
            assert!(why.contains(missing) || why.contains("no confirmation of"), "{}: {why}", rule.id);
            vec![]
        }
    });
    findings.collect()
}

fn one(names: &[&str], record: IssuanceRecord) -> Finding {
    let mut findings = found(names, record);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

#[test]
fn of_several_rows_of_a_name_the_last_counts() {
    let good = || Basis::Confirmation(confirmation(1, "a.eus", SIGNED));
    let rows = |last| record(Some(vec![("A.eus", good()), ("b.a.eus", good()), ("a.EUS", last)]), vec![]);
    assert_eq!(found(&["b.a.eus", "a.eus"], rows(good())), []);
    let finding = one(&["a.eus", "b.a.eus"], rows(Basis::Missing));
    assert_eq!((&*finding.rule, &*finding.subject), ("dcv.exists", "a.eus"));
}

#[test]
fn fresh_evidence_that_covers_every_name_passes() {
    let rows = vec![
        ("www.A.eus", Basis::Confirmation(confirmation(1, "a.eus", SIGNED))),
        ("*.a.eus", reuse(&[], Some(confirmation(2, "A.eus", ago(200))))),
        ("192.0.2.1", Basis::Confirmation(confirmation(3, "192.0.2.1", ago(1)))),
        ("2001:db8::1", reuse(&["reuse 7", "confirmation 4"], Some(confirmation(4, "2001:db8::1", ago(1))))),
    ];
    assert_eq!(found(&["www.a.eus", "*.a.eus", "192.0.2.1", "2001:db8::1"], record(Some(rows), vec![])), []);
}

#[test]
fn a_root_900_days_old_is_found_through_two_reuses() {
    let basis = reuse(&["reuse 7", "confirmation 4"], Some(confirmation(4, "a.eus", ago(900))));
    let finding =
        one(&["www.a.eus"], record(Some(vec![("www.a.eus", basis)]), vec![confirmation(4, "a.eus", ago(900))]));
    assert_eq!((finding.rule.as_ref(), finding.clock), ("dcv.reuse", RevocationClock::Day(5)));
    assert!(finding.detail.contains("900 days old") && finding.detail.contains("limit 200 days"), "{}", finding.detail);
    let steps = &finding.evidence[0].text;
    let stated = "reuse 9 (rule sticky, decided 2026-11-19T00:00:00Z by op\\x0a3) -> reuse 7 (2026-08-12T00:00:00Z) -> \
                  confirmation 4 (a.eus, method 3.2.2.4.7, completed 2024-06-03T00:00:00Z, by system, resolver own, \
                  remote 4/4)";
    assert_eq!(steps, stated);
}

#[test]
fn the_limit_holds_to_the_second_and_for_confirmations_relied_upon_directly() {
    for (completed, stale) in [(ago(200), false), (ago(200).minus(Span::from_seconds(1)), true)] {
        let rows = vec![("a.eus", Basis::Confirmation(confirmation(1, "a.eus", completed)))];
        assert_eq!(!found(&["a.eus"], record(Some(rows), vec![])).is_empty(), stale);
    }
    let persistent = DcvConfirmation { method: "3.2.2.4.22".into(), ..confirmation(1, "a.eus", ago(11)) };
    let finding = one(&["a.eus"], record(Some(vec![("a.eus", Basis::Confirmation(persistent))]), vec![]));
    assert!(finding.detail.contains("limit 10 days"), "{}", finding.detail);
}

#[test]
fn a_reuse_without_origin_is_no_evidence_and_says_how_far_it_went() {
    for (chain, steps) in [(vec![], "1 step"), (vec!["reuse 7", "reuse 5"], "2 steps")] {
        let findings = found(&["a.eus"], record(Some(vec![("a.eus", reuse(&chain, None))]), vec![]));
        assert_eq!(findings.iter().map(|f| f.rule.as_ref()).collect::<Vec<_>>(), ["dcv.exists", "dcv.reuse"]);
        assert!(findings[1].detail.ends_with(steps), "{}", findings[1].detail);
        assert!(findings[1].evidence[0].text.ends_with("origin not found"));
    }
}

#[test]
fn no_row_an_empty_row_another_domain_or_a_late_confirmation_is_no_validation() {
    let late = confirmation(3, "a.eus", SIGNED.plus(Span::from_seconds(60)));
    let cases = [
        (vec![], "no row in san_authorisations"),
        (vec![("a.eus", Basis::Missing)], "neither a confirmation nor a reuse"),
        (vec![("a.eus", Basis::Confirmation(late))], "after signing"),
    ];
    for (rows, why) in cases {
        let finding = one(&["a.eus"], record(Some(rows), vec![confirmation(8, "a.eus", ago(201))]));
        assert_eq!((finding.rule.as_ref(), finding.subject.as_str()), ("dcv.exists", "a.eus"));
        assert!(finding.detail.contains(why), "{}", finding.detail);
        assert!(finding.evidence.iter().any(|fact| fact.text.contains("1 confirmation of the same applicant")));
    }
}

#[test]
fn a_validation_of_another_domain_is_none_of_the_name() {
    for adn in ["us", "www.a.eus", "b.eus", "192.0.2.1", "eus"] {
        for basis in [Basis::Confirmation(confirmation(2, adn, ago(1))), reuse(&[], Some(confirmation(2, adn, ago(1))))]
        {
            let findings = found(&["a.eus"], record(Some(vec![("a.eus", basis)]), vec![]));
            assert!(findings.iter().any(|finding| finding.rule == "dcv.adn"), "{adn}: {findings:?}");
        }
    }
}

#[test]
fn one_good_confirmation_elsewhere_makes_it_a_record_defect() {
    let bases = || [Basis::Missing, reuse(&[], None), Basis::Confirmation(confirmation(1, "b.eus", ago(900)))];
    let good = vec![confirmation(6, "a.eus", ago(150)), confirmation(5, "a.eus", ago(3))];
    for basis in bases() {
        let finding = one(&["www.a.eus"], record(Some(vec![("www.a.eus", basis)]), good.clone()));
        assert_eq!((finding.rule.as_ref(), finding.severity), ("dcv.record", Severity::Warning));
        assert_eq!(finding.clock, RevocationClock::None);
        assert!(finding.detail.contains("confirmation 5 of the same applicant"), "{}", finding.detail);
    }
    let old = reuse(&["reuse 7", "confirmation 4"], Some(confirmation(4, "a.eus", ago(900))));
    let finding = one(&["www.a.eus"], record(Some(vec![("www.a.eus", old)]), good));
    let told: String = finding.evidence.iter().map(|fact| fact.text.as_str()).collect();
    assert_eq!(finding.rule, "dcv.record");
    assert!(
        ["reuse 9", "reuse 7", "confirmation 4", "confirmation 5"].iter().all(|step| told.contains(step)),
        "{told}"
    );
    let web = DcvConfirmation { method: "http-01".into(), ..confirmation(5, "a.eus", ago(3)) };
    let unfit = [confirmation(5, "a.eus", ago(201)), confirmation(5, "x.eus", ago(1)), web.clone()];
    for other in unfit {
        for basis in bases() {
            let findings = found(&["www.a.eus"], record(Some(vec![("www.a.eus", basis)]), vec![other.clone()]));
            assert!(!findings.is_empty() && findings.iter().all(|finding| finding.rule != "dcv.record"));
        }
    }
    assert_eq!(one(&["a.eus"], record(Some(vec![]), vec![web.clone()])).rule, "dcv.record");
    assert_eq!(one(&["*.a.eus"], record(Some(vec![]), vec![web])).rule, "dcv.exists");
}

#[test]
fn a_name_is_judged_once_and_each_on_its_own() {
    let rows = vec![("a.eus", Basis::Confirmation(confirmation(1, "a.eus", ago(1))))];
    let findings = found(&["b.eus", "a.eus", "b.eus"], record(Some(rows), vec![]));
    assert_eq!(findings.iter().map(|finding| finding.subject.as_str()).collect::<Vec<_>>(), ["b.eus"]);
}

/// Severity, clock and citation of the one finding about a.eus, signed at `signed` an hour after its validation and check.
fn graded(
    signed: Timestamp,
    change: impl Fn(&mut DcvConfirmation, &mut CaaCheck),
) -> (Severity, RevocationClock, String) {
    let hour = Span::from_seconds(3_600);
    let mut done = confirmation(1, "a.eus", signed.minus(hour));
    let mut checked = CaaCheck { checked_at: signed.minus(hour), ..check("a.eus") };
    if let Some(remote) = &mut done.remote {
        (remote.corroborating, remote.total) = (5, 5);
    }
    change(&mut done, &mut checked);
    let mut record = record(Some(vec![("a.eus", Basis::Confirmation(done))]), vec![]);
    record.signed_at = signed;
    if let Some(rows) = &mut record.authorisations {
        rows[0].caa = Some(checked);
    }
    let finding = one(&["a.eus"], record);
    (finding.severity, finding.clock, finding.citation.to_string())
}

#[test]
fn what_binds_later_warns_before_and_is_an_error_from_its_second_on() {
    let second = Span::from_seconds(1);
    let (warning, error) = ((Severity::Warning, RevocationClock::None), (Severity::Error, RevocationClock::Day(5)));
    let grade = |day, change: &dyn Fn(&mut DcvConfirmation, &mut CaaCheck)| {
        let (severity, clock, _) = graded(day, change);
        (severity, clock)
    };
    let methods = |_: &mut DcvConfirmation, check: &mut CaaCheck| {
        check.rrset = Some("a.eus. CAA 0 issue \"ca.example; validationmethods=http-01\"".into());
    };
    assert_eq!(grade(date(2027, 3, 15).minus(second), &methods), warning);
    assert_eq!(grade(date(2027, 3, 15), &methods), error);
    let resolver = |_: &mut DcvConfirmation, check: &mut CaaCheck| check.resolver = "8.8.8.8".into();
    assert_eq!(grade(date(2026, 3, 15).minus(second), &resolver), warning);
    assert_eq!(grade(date(2026, 3, 15), &resolver), error);
    let mail = |done: &mut DcvConfirmation, _: &mut CaaCheck| done.method = "3.2.2.4.4".into();
    assert_eq!(grade(date(2028, 3, 15).minus(second), &mail), warning);
    assert_eq!(grade(date(2028, 3, 15), &mail), error);
}

#[test]
fn the_section_is_that_of_the_text_in_force_at_signing() {
    let manual = |_: &mut DcvConfirmation, check: &mut CaaCheck| check.performed_by = "op3".into();
    let day = date(2026, 6, 16);
    assert_eq!(graded(day.minus(Span::from_seconds(1)), manual).2, "BR 3.2.2.8");
    assert_eq!(graded(day, manual).2, "BR 4.2.2.1");
}

#[test]
fn another_applicant_is_for_review_in_a_shared_account_and_an_error_in_another_account() {
    let other = |done: &mut DcvConfirmation, _: &mut CaaCheck| {
        (done.applicant_id, done.account_id) = ("b".into(), Some("78".into()));
    };
    let (severity, clock, citation) = graded(SIGNED, other);
    assert_eq!((severity, clock, citation.as_str()), (Severity::Error, RevocationClock::Day(5), "BR 3.2.2.4"));
    let coke = DcvConfirmation { applicant_id: "coke".into(), ..confirmation(1, "a.eus", ago(1)) };
    let mut reseller = record(Some(vec![("a.eus", Basis::Confirmation(coke))]), vec![]);
    if let Some(order) = &mut reseller.order {
        order.account.kind = "CDN".into();
    }
    let finding = one(&["a.eus"], reseller.clone());
    assert_eq!((finding.severity, finding.clock), (Severity::Review, RevocationClock::None));
    assert!(finding.detail.contains("applicant coke") && finding.citation.starts_with("ctwarden"), "{finding:?}");
    reseller.other_confirmations.push(confirmation(2, "a.eus", ago(2)));
    assert_eq!(one(&["a.eus"], reseller).rule, "dcv.record");
}

#[test]
fn what_other_people_wrote_is_escaped_wherever_it_is_told() {
    let hostile = "\u{1b}[2J\r\nBcc: \u{202e}".to_string();
    let done = DcvConfirmation {
        adn: hostile.clone(),
        method: hostile.clone(),
        performed_by: hostile.clone(),
        resolver: Some(hostile.clone()),
        applicant_id: hostile.clone(),
        ..confirmation(1, "a.eus", ago(1))
    };
    let mut bad = record(Some(vec![("a.eus", Basis::Confirmation(done))]), vec![]);
    bad.approvals = Some(vec![Approval { step: hostile.clone(), person: hostile.clone(), decided_at: SIGNED }]);
    if let Some(order) = &mut bad.order {
        (order.vtype, order.order_id, order.account.kind) = ("EV".into(), hostile.clone(), "cdn".into());
    }
    if let Some(rows) = &mut bad.authorisations {
        let (resolver, performed_by, rrset) = (hostile.clone(), hostile.clone(), Some(hostile.clone()));
        rows[0].caa = Some(CaaCheck { resolver, performed_by, rrset, result: "deny".into(), ..check("a.eus") });
    }
    let findings = found(&["a.eus"], bad);
    assert!(findings.len() >= 8, "{findings:#?}");
    for text in
        findings.iter().flat_map(|f| [&f.subject, &f.detail].into_iter().chain(f.evidence.iter().map(|e| &e.text)))
    {
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
    }
}

#[test]
fn without_an_answer_or_a_table_nothing_is_evaluable() {
    let presented = Presented { names: vec!["a.eus".into()], ..Presented::default() };
    let lookups = [
        (Lookup::Unknown { as_of: SIGNED }, "no row for this certificate"),
        (Lookup::Unavailable { reason: "locked".into() }, "locked"),
        (Lookup::NoSource, "no issuance source"),
        (Lookup::Found(Box::new(record(None, vec![]))), "no table san_authorisations"),
    ];
    for (lookup, why) in lookups {
        let verdicts = run(&presented, &lookup, Issued::at(SIGNED), &Policy::default(), &SuffixList::Embedded);
        // Approvals and identity belong to the order and need no names.
        let (answered, of_order) = (lookup.record().is_ok(), ["ev.approvals", "id.reuse"]);
        for (rule, verdict) in verdicts.into_iter().filter(|(rule, _)| !answered || !of_order.contains(&rule.id)) {
            let Verdict::NotEvaluable(text) = verdict else { panic!("{}: {verdict:?}", rule.id) };
            assert!(text.contains(why), "{text}");
        }
    }
}
