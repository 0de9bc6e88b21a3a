//! Authorization Domain Names that are not the name itself: at the end of CNAME records, and behind a reverse look-up.

use super::*;

/// The verdict of `dcv.adn` on a certificate for one name.
fn adn_of(name: &str, done: DcvConfirmation, rrset: Option<&str>) -> Verdict {
    let mut record = record(Some(vec![(name, Basis::Confirmation(done))]), vec![]);
    if let Some(rows) = &mut record.authorisations {
        rows[0].caa = Some(CaaCheck { rrset: rrset.map(str::to_string), ..check(name) });
    }
    let presented = Presented { names: vec![name.to_string()], ..Presented::default() };
    let lookup = Lookup::Found(Box::new(record));
    let verdicts = run(&presented, &lookup, Issued::at(SIGNED), &Policy::default(), &SuffixList::Embedded);
    verdicts.into_iter().find(|(rule, _)| rule.id == "dcv.adn").expect("the rule").1
}

fn detail(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Fail(found) => &found[0].detail,
        Verdict::NotEvaluable(why) => why,
        Verdict::Pass => "",
    }
}

#[test]
fn a_cname_on_record_leads_to_another_domain_where_the_method_may_follow_it() {
    let by = |method: &str, adn: &str| DcvConfirmation { method: method.into(), ..confirmation(1, adn, ago(1)) };
    let chain = "www.a.eus. 300 IN CNAME shop.cdn.example.\nshop.cdn.example. 60 IN CNAME edge.host.example.";
    for adn in ["cdn.example", "shop.cdn.example", "host.example"] {
        assert_eq!(adn_of("www.a.eus", by("3.2.2.4.7", adn), Some(chain)), Verdict::Pass, "{adn}");
    }
    // Neither a stop on the way nor below one, no CNAME, one of another name, nothing on record.
    for (adn, rrset) in [
        ("other.example", Some(chain)),
        ("cdn.example", Some("a.eus. 300 IN CNAME shop.cdn.example.")),
        ("cdn.example", Some("a.eus. CAA 0 issue \"ca.example\"")),
        ("cdn.example", None),
    ] {
        let verdict = adn_of("www.a.eus", by("3.2.2.4.7", adn), rrset);
        assert!(matches!(verdict, Verdict::Fail(_)), "{adn}: {verdict:?}");
        assert!(detail(&verdict).contains("would have to be on record (caa_checks.rrset)"), "{}", detail(&verdict));
    }
    // What proves that name alone follows no CNAME, and neither does a wildcard since ballot SC101.
    let alone = adn_of("www.a.eus", by("http-01", "shop.cdn.example"), Some(chain));
    assert!(matches!(alone, Verdict::Fail(_)), "{alone:?}");
    let wildcard = "b.eus. 300 IN CNAME cdn.example.";
    let of = |completed| DcvConfirmation { completed_at: completed, ..by("3.2.2.4.7", "cdn.example") };
    assert_eq!(adn_of("*.b.eus", of(date(2026, 11, 14)), Some(wildcard)), Verdict::Pass);
    let late = adn_of("*.b.eus", of(date(2026, 11, 15)), Some(wildcard));
    assert!(detail(&late).contains("no CNAME may lead there since 2026-11-15"), "{late:?}");
}

#[test]
fn an_address_rests_on_the_name_that_its_reverse_lookup_gave() {
    let of = |adn: &str, location: Option<&str>, completed| DcvConfirmation {
        method: "3.2.2.5.3".into(),
        location: location.map(str::to_string),
        ..confirmation(1, adn, completed)
    };
    let (before, since) = (date(2026, 11, 14), date(2026, 11, 15));
    let judged = |adn, location, completed| adn_of("192.0.2.1", of(adn, location, completed), None);
    for completed in [before, since] {
        assert_eq!(judged("host-1.a.eus", Some("HOST-1.a.eus."), completed), Verdict::Pass);
        let other = judged("b.eus", Some("host-1.a.eus"), completed);
        assert!(detail(&other).contains("the reverse look-up of the address gave host-1.a.eus"), "{other:?}");
        let gap = judged("a.eus", None, completed);
        assert!(matches!(&gap, Verdict::NotEvaluable(_)), "{gap:?}");
        assert!(detail(&gap).contains("dcv_confirmations.location"), "{gap:?}");
        // Where the address itself is on record, the name that was confirmed is in the column too, or is not known.
        assert_eq!(judged("192.0.2.1", Some("host-1.a.eus"), completed), Verdict::Pass);
    }
    // Ballot SC101: an ancestor of it is no longer enough.
    assert_eq!(judged("a.eus", Some("host-1.a.eus"), before), Verdict::Pass);
    let pruned = judged("a.eus", Some("host-1.a.eus"), since);
    assert!(detail(&pruned).contains("must be that name since 2026-11-15"), "{pruned:?}");
    // A domain name does not rest on it.
    let domain = adn_of("www.a.eus", of("a.eus", Some("host-1.a.eus"), before), None);
    assert_eq!(domain, Verdict::Pass, "its method is what is wrong");
}

#[test]
fn what_the_reverse_lookup_gave_is_a_domain_name_or_is_missing() {
    let verdict = |location: Option<&str>| {
        let done = DcvConfirmation {
            method: "3.2.2.5.3".into(),
            location: location.map(str::to_string),
            ..confirmation(1, "192.0.2.1", ago(1))
        };
        let record = record(Some(vec![("192.0.2.1", Basis::Confirmation(done))]), vec![]);
        let presented = Presented { names: vec!["192.0.2.1".to_string()], ..Presented::default() };
        let lookup = Lookup::Found(Box::new(record));
        let verdicts = run(&presented, &lookup, Issued::at(SIGNED), &Policy::default(), &SuffixList::Embedded);
        verdicts.into_iter().find(|(rule, _)| rule.id == "dcv.location").expect("the rule").1
    };
    assert_eq!(verdict(Some("host-1.a.eus")), Verdict::Pass);
    let gap = verdict(None);
    assert!(detail(&gap).contains("dcv_confirmations.location"), "{gap:?}");
    let zone = verdict(Some("1.2.0.192.in-addr.arpa"));
    assert!(detail(&zone).contains("the domain name that the reverse look-up gave"), "{zone:?}");
}
