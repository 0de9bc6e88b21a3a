//! Where the log and the CA's own record disagree: a certificate the CA does not know, a name nobody ordered, a key
//! that is not the one in the order.
//!
//! Our own outage is never a finding about a certificate: without an answer every rule here is "not evaluable".

mod scope;
mod subject;

use std::collections::BTreeSet;

use crate::clock::{Span, Timestamp};
use crate::evidence::{Policy, dated};
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, escape};
use crate::record::{IssuanceRecord, Lookup, Order, Presented};

/// When the certificate was first seen and when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// When the monitor first saw the certificate or its precertificate.
    pub first_seen: Timestamp,
    /// The time of judging.
    pub now: Timestamp,
    /// How long after the first sighting the CA's database may still be catching up.
    pub grace: Span,
}

const fn rule(id: &'static str, summary: &'static str, section: &'static str) -> RuleInfo {
    RuleInfo {
        id,
        summary,
        severity: Severity::Error,
        citation: br(section),
        clock: RevocationClock::Day(5),
        since: None,
        until: None,
        needs: Needs::Record,
    }
}

static DB_UNKNOWN: RuleInfo = RuleInfo {
    severity: Severity::Critical,
    ..rule("db.unknown", "a certificate signed by the CA is in the CA's issuance database", "4.9.1.1")
};

static DB_KEY: RuleInfo =
    rule("db.key", "the public key is the one that the issuance database has for the serial number", "4.9.1.1");

// BR 6.3.2 limits the validity that the CA meant to give; another one in the certificate was given by something else.
static DB_VALIDITY: RuleInfo = RuleInfo {
    clock: RevocationClock::FiveDays(12),
    ..rule("db.validity", "the validity is the one that the issuance database has for the serial number", "6.3.2")
};

// BR 7.1.2.9: "a Precertificate is ... the Certificate's tbsCertificate" but for poison and SCT list; what the CA's key
// signed beside it under the same serial number, the CA does not know.
static DB_TBS: RuleInfo = RuleInfo {
    citation: br("7.1.2.9"),
    ..rule("db.tbs", "the TBSCertificate is the one that the issuance database has for the serial number", "")
};

static SAN_UNEXPECTED: RuleInfo =
    rule("san.unexpected", "every subject alternative name is a name that the order approves", "3.2.2.4");

// BR 4.1.2: "Prior to the issuance of a Certificate, the CA SHALL obtain from the Applicant ... a certificate request".
static ORDER_KEY: RuleInfo =
    rule("order.key", "the public key is the one in the certificate request of the order", "4.1.2");

static ORDER_HIERARCHY: RuleInfo = rule(
    "order.hierarchy",
    "the issuer belongs to the hierarchy, public or internal, that the order was meant for",
    "4.1.2",
);

// What the CA's own practice says of how orders come (Mozilla bug 1651026: by e-mail and signed PDF, past all checks).
static ORDER_CHANNEL: RuleInfo = RuleInfo {
    severity: Severity::Warning,
    citation: Citation { document: Document::Monitor, section: "channels of orders" },
    clock: RevocationClock::None,
    ..rule("order.channel", "the order came through a channel that the CA's policy allows", "")
};

/// The rules of this room.
pub static RULES: &[&RuleInfo] = &[
    &DB_UNKNOWN,
    &DB_KEY,
    &DB_VALIDITY,
    &DB_TBS,
    &SAN_UNEXPECTED,
    &ORDER_KEY,
    &ORDER_HIERARCHY,
    &ORDER_CHANNEL,
    &scope::ORDER_COUNTRY,
    &scope::ORDER_TEST,
    &subject::SUBJ_VALUES,
];

/// Compares a certificate with the CA's record: one verdict per rule of [`RULES`], in that order.
pub fn run(
    presented: &Presented,
    lookup: &Lookup,
    context: &Context,
    policy: &Policy,
) -> Vec<(&'static RuleInfo, Verdict)> {
    let compare = |judge: fn(&Presented, &IssuanceRecord) -> Verdict| match lookup.record() {
        Ok(record) => judge(presented, record),
        Err(why) => Verdict::NotEvaluable(why),
    };
    let by_policy = |judge: fn(&Presented, &IssuanceRecord, &Policy) -> Verdict| match lookup.record() {
        Ok(record) => judge(presented, record, policy),
        Err(why) => Verdict::NotEvaluable(why),
    };
    vec![
        (&DB_UNKNOWN, unknown(presented, lookup, context)),
        (&DB_KEY, compare(db_key)),
        (&DB_VALIDITY, compare(validity)),
        (&DB_TBS, compare(db_tbs)),
        (&SAN_UNEXPECTED, compare(unexpected)),
        (&ORDER_KEY, compare(order_key)),
        (&ORDER_HIERARCHY, compare(hierarchy)),
        (&ORDER_CHANNEL, by_policy(channel)),
        (&scope::ORDER_COUNTRY, by_policy(|_, record, policy| scope::country(record, policy))),
        (&scope::ORDER_TEST, by_policy(scope::test)),
        (&subject::SUBJ_VALUES, compare(subject::judge)),
    ]
}

fn unknown(presented: &Presented, lookup: &Lookup, context: &Context) -> Verdict {
    let as_of = match (lookup, lookup.record()) {
        (_, Ok(_)) => return Verdict::Pass,
        (Lookup::Unknown { as_of }, _) => *as_of,
        (_, Err(why)) => return Verdict::NotEvaluable(why),
    };
    let end = context.first_seen.plus(context.grace);
    if context.now < end {
        return Verdict::NotEvaluable(format!("not in the issuance database, which may still catch up until {end}"));
    }
    let names: Vec<&str> = presented.names.iter().take(3).map(String::as_str).collect();
    let more = presented.names.len().saturating_sub(3);
    let subject = match (names.is_empty(), more) {
        (true, _) => "certificate".to_string(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    };
    let waited = context.now.since(context.first_seen);
    let detail =
        format!("the CA's key signed it, but the issuance database has no row for it {waited} after it was seen");
    let mut answer = format!("no row in certificates as of {as_of}");
    if as_of < context.first_seen {
        answer.push_str(", which is before the certificate was seen: check that the feed is running");
    }
    Verdict::Fail(vec![DB_UNKNOWN.finding(subject, detail).with_evidence("issuance database", answer)])
}

fn unexpected(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    let names: BTreeSet<&str> = presented.names.iter().map(String::as_str).collect();
    let Some(order) = &record.order else {
        if !record.keeps_orders {
            return Verdict::NotEvaluable(record.without_order().to_string());
        }
        let subjects = if names.is_empty() { BTreeSet::from(["certificate"]) } else { names };
        let why = "there is no order for this certificate, so nobody is on record as having asked for the name";
        let finding = |name: &str| {
            let row = format!("the certificate's row names no order (as of {})", record.as_of);
            SAN_UNEXPECTED.finding(name, why).with_evidence("issuance database", row)
        };
        return Verdict::Fail(subjects.into_iter().map(finding).collect());
    };
    let Some(approved) = &order.names else {
        return Verdict::NotEvaluable(
            "the feed has no table order_names: no list of the names of an order is kept".to_string(),
        );
    };
    let asked: BTreeSet<String> = approved.iter().map(|name| name.to_ascii_lowercase()).collect();
    let strangers = names.into_iter().filter(|name| !asked.contains(*name)).map(|name| {
        let detail = format!("the name is not among the names that order {} approves", shown(&order.order_id));
        with_order(SAN_UNEXPECTED.finding(name, detail), order, record)
    });
    Verdict::from_findings(strangers.collect())
}

fn order_key(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    let Some(order) = &record.order else {
        return Verdict::NotEvaluable(record.without_order().to_string());
    };
    let Some(requested) = &order.csr_spki_sha256 else {
        return Verdict::NotEvaluable(format!(
            "order {} does not record the key of its request (orders.csr_spki_sha256)",
            shown(&order.order_id)
        ));
    };
    let present = presented.spki_sha256.to_string();
    if requested.eq_ignore_ascii_case(&present) {
        return Verdict::Pass;
    }
    let requested = shown(requested);
    let detail = format!("the certificate holds key {present}, the request of the order holds {requested}");
    Verdict::Fail(vec![with_order(ORDER_KEY.finding("subjectPublicKeyInfo", detail), order, record)])
}

fn db_key(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    let Some(known) = &record.spki_sha256 else {
        return Verdict::NotEvaluable("certificates.spki_sha256 is empty for this certificate".to_string());
    };
    let present = presented.spki_sha256.to_string();
    if known.eq_ignore_ascii_case(&present) {
        return Verdict::Pass;
    }
    let detail = format!("the certificate holds key {present}, the issuance database has key {}", shown(known));
    let finding = DB_KEY.finding("subjectPublicKeyInfo", detail);
    let row = format!("signed {}, state {} (as of {})", record.signed_at, shown(&record.state), record.as_of);
    Verdict::Fail(vec![finding.with_evidence("issuance database", row)])
}

fn db_tbs(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    let Some(present) = presented.tbs_sha256.map(|hash| hash.to_string()) else {
        return Verdict::NotEvaluable(
            "the certificate itself is not at hand, so that its hash is not known".to_string(),
        );
    };
    let Some(known) = &record.tbs_sha256 else {
        return Verdict::NotEvaluable("certificates.tbs_sha256 is empty for this certificate".to_string());
    };
    if known.eq_ignore_ascii_case(&present) {
        return Verdict::Pass;
    }
    let known = shown(known);
    let detail = format!("its TBSCertificate has SHA-256 {present}, the one in the issuance database {known}");
    let row = format!("signed {}, state {} (as of {})", record.signed_at, shown(&record.state), record.as_of);
    Verdict::Fail(vec![DB_TBS.finding("tbsCertificate", detail).with_evidence("issuance database", row)])
}

fn validity(presented: &Presented, record: &IssuanceRecord) -> Verdict {
    let Some((start, end)) = presented.validity else {
        return Verdict::NotEvaluable("the validity of the certificate cannot be read".to_string());
    };
    let Some((known_start, known_end)) = record.validity else {
        return Verdict::NotEvaluable(
            "certificates.not_before or certificates.not_after is empty for this certificate".to_string(),
        );
    };
    if (start.seconds(), end.seconds()) == (known_start.seconds(), known_end.seconds()) {
        return Verdict::Pass;
    }
    let detail = format!("valid {start} to {end}, in the issuance database {known_start} to {known_end}");
    let row = format!("signed {}, state {} (as of {})", record.signed_at, shown(&record.state), record.as_of);
    Verdict::Fail(vec![DB_VALIDITY.finding("validity", detail).with_evidence("issuance database", row)])
}

fn hierarchy(_: &Presented, record: &IssuanceRecord) -> Verdict {
    let Some(order) = &record.order else {
        return Verdict::NotEvaluable(record.without_order().to_string());
    };
    if order.hierarchy.eq_ignore_ascii_case(&record.issuer_hierarchy) {
        return Verdict::Pass;
    }
    let (meant, is) = (shown(&order.hierarchy), shown(&record.issuer_hierarchy));
    let detail = format!("the order was meant for the {meant} hierarchy, an issuer of the {is} one signed it");
    let subject = format!("order {}", shown(&order.order_id));
    Verdict::Fail(vec![with_order(ORDER_HIERARCHY.finding(subject, detail), order, record)])
}

fn channel(_: &Presented, record: &IssuanceRecord, policy: &Policy) -> Verdict {
    let Some(order) = &record.order else {
        return Verdict::NotEvaluable(record.without_order().to_string());
    };
    if policy.channels.is_empty() {
        return Verdict::NotEvaluable(
            "the channels that the CA's policy allows are not configured (issuance.channels)".to_string(),
        );
    }
    let day = order.created_at;
    let Some(allowed) = dated::at(&policy.channels, day) else {
        return Verdict::NotEvaluable(format!("issuance.channels says nothing of {}", day.day()));
    };
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&order.channel)) {
        return Verdict::Pass;
    }
    let (came, allowed) = (shown(&order.channel), shown(&allowed.join(", ")));
    let detail = format!("the order came by {came} on {}; the policy allows {allowed}", day.day());
    let subject = format!("order {}", shown(&order.order_id));
    Verdict::Fail(vec![with_order(ORDER_CHANNEL.finding(subject, detail), order, record)])
}

fn with_order(finding: Finding, order: &Order, record: &IssuanceRecord) -> Finding {
    let names = order.names.as_deref().unwrap_or_default();
    let listed: Vec<String> = names.iter().take(10).map(|name| shown(name)).collect();
    let more = if names.len() > 10 { format!(" and {} more", names.len() - 10) } else { String::new() };
    let text = format!(
        "order {} (account {}, channel {}) approves: {}{more} (as of {})",
        shown(&order.order_id),
        shown(&order.account.account_id),
        shown(&order.channel),
        if listed.is_empty() { "no name".to_string() } else { listed.join(", ") },
        record.as_of
    );
    finding.with_evidence("issuance database", text)
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::finding::{CaseKey, KeyHash, Serial};
    use crate::record::Account;

    const SEEN: Timestamp = date(2026, 11, 20);

    fn presented(names: &[&str]) -> Presented {
        Presented {
            names: names.iter().map(|name| name.to_string()).collect(),
            spki_sha256: KeyHash([7; 32]),
            ..Presented::default()
        }
    }

    fn record(names: Option<&[&str]>) -> IssuanceRecord {
        let order = Order {
            order_id: "8812".into(),
            account: Account { account_id: "77".into(), kind: "direct".into(), name: None },
            applicant_id: "a".into(),
            applicant_name: None,
            applicant_country: None,
            channel: "manual\u{1b}".into(),
            vtype: "DV".into(),
            hierarchy: "public".into(),
            csr_spki_sha256: Some(KeyHash([7; 32]).to_string()),
            names: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
            created_at: SEEN,
        };
        let key = CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![1]) };
        IssuanceRecord {
            order: Some(order),
            keeps_orders: true,
            keeps_confirmations: true,
            ..IssuanceRecord::bare(key, SEEN)
        }
    }

    fn policy() -> Policy {
        Policy { channels: ["web", "acme"].map(Into::into).to_vec(), ..Policy::default() }
    }

    fn all(presented: &Presented, lookup: &Lookup, waited: Span, policy: &Policy) -> Vec<Verdict> {
        let context = Context { first_seen: SEEN, now: SEEN.plus(waited), grace: Span::from_seconds(900) };
        let verdicts = run(presented, lookup, &context, policy);
        assert_eq!(
            verdicts.iter().map(|(rule, _)| rule.id).collect::<Vec<_>>(),
            RULES.iter().map(|r| r.id).collect::<Vec<_>>()
        );
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// db.unknown, san.unexpected and order.key.
    fn verdicts(presented: &Presented, lookup: &Lookup, waited: Span) -> [Verdict; 3] {
        let all = all(presented, lookup, waited, &policy());
        [all[0].clone(), all[4].clone(), all[5].clone()]
    }

    fn found(record: IssuanceRecord) -> Lookup {
        Lookup::Found(Box::new(record))
    }

    fn subjects(verdict: &Verdict) -> Vec<&str> {
        match verdict {
            Verdict::Fail(findings) => findings.iter().map(|finding| finding.subject.as_str()).collect(),
            other => panic!("expected findings, got {other:?}"),
        }
    }

    fn missing(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::NotEvaluable(why) => why,
            other => panic!("expected not evaluable, got {other:?}"),
        }
    }

    #[test]
    fn what_the_order_says_passes() {
        let all = verdicts(&presented(&["www.a.eus"]), &found(record(Some(&["WWW.a.eus", "b.eus"]))), Span::default());
        assert_eq!(all, [Verdict::Pass, Verdict::Pass, Verdict::Pass]);
    }

    #[test]
    fn each_name_that_was_not_ordered_is_a_finding() {
        let lookup = found(record(Some(&["www.barakaldo.eus"])));
        let names = ["www.barakaldo.bizkaia.euskalsarea", "www.barakaldo.eus", "x.eus", "x.eus"];
        let [_, san, _] = verdicts(&presented(&names), &lookup, Span::default());
        assert_eq!(subjects(&san), ["www.barakaldo.bizkaia.euskalsarea", "x.eus"]);
        let Verdict::Fail(findings) = san else { unreachable!() };
        assert_eq!((findings[0].severity, findings[0].clock), (Severity::Error, RevocationClock::Day(5)));
        assert!(findings[0].evidence[0].text.contains("channel manual\\x1b"), "{:?}", findings[0].evidence);
    }

    #[test]
    fn without_an_order_every_name_is_a_finding() {
        let none = IssuanceRecord { order: None, ..record(None) };
        let [db, san, key] = verdicts(&presented(&["test.ssl.com", "a.b"]), &found(none.clone()), Span::default());
        assert_eq!(db, Verdict::Pass);
        assert_eq!(subjects(&san), ["a.b", "test.ssl.com"]);
        assert!(missing(&key).contains("names no order"));
        let [_, nameless, _] = verdicts(&presented(&[]), &found(none), Span::default());
        assert_eq!(subjects(&nameless), ["certificate"]);
    }

    #[test]
    fn a_feed_without_names_or_request_keys_is_not_evaluable() {
        let mut bare = record(None);
        if let Some(order) = &mut bare.order {
            order.csr_spki_sha256 = None;
        }
        let [_, san, key] = verdicts(&presented(&["a.b"]), &found(bare), Span::default());
        assert!(missing(&san).contains("order_names"));
        assert!(missing(&key).contains("does not record the key"));
    }

    #[test]
    fn another_key_than_the_requests_is_a_finding() {
        let mut certificate = presented(&["a.b"]);
        certificate.spki_sha256 = KeyHash([8; 32]);
        let [_, _, key] = verdicts(&certificate, &found(record(Some(&["a.b"]))), Span::default());
        assert_eq!(subjects(&key), ["subjectPublicKeyInfo"]);
    }

    #[test]
    fn key_hierarchy_and_channel_are_those_of_the_record() {
        let mut known = record(Some(&["a.b"]));
        let last = |record: &IssuanceRecord, policy: &Policy| {
            let verdicts = all(&presented(&["a.b"]), &found(record.clone()), Span::default(), policy);
            [verdicts[1].clone(), verdicts[6].clone(), verdicts[7].clone()]
        };
        let [key, hierarchy, channel] = last(&known, &Policy::default());
        assert!(missing(&key).contains("certificates.spki_sha256") && missing(&channel).contains("not configured"));
        assert_eq!(hierarchy, Verdict::Pass);
        let [_, _, channel] = last(&known, &policy());
        assert_eq!(subjects(&channel), ["order 8812"]);
        if let Some(order) = &mut known.order {
            (order.channel, order.hierarchy) = ("Web".into(), "internal".into());
        }
        known.spki_sha256 = Some(KeyHash([8; 32]).to_string());
        let [key, hierarchy, channel] = last(&known, &policy());
        assert_eq!((subjects(&key), subjects(&hierarchy)), (vec!["subjectPublicKeyInfo"], vec!["order 8812"]));
        assert_eq!(channel, Verdict::Pass);
        known.spki_sha256 = Some(KeyHash([7; 32]).to_string().to_uppercase());
        assert_eq!(last(&known, &policy())[0], Verdict::Pass);
        known.order = None;
        let [_, hierarchy, channel] = last(&known, &policy());
        assert!(missing(&hierarchy).contains("names no order") && missing(&channel).contains("no order"));
    }

    #[test]
    fn unknown_is_critical_after_the_grace_and_not_before() {
        let lookup = Lookup::Unknown { as_of: SEEN.minus(Span::from_seconds(1)) };
        let [early, san, key] = verdicts(&presented(&["a.b"]), &lookup, Span::from_seconds(899));
        assert!(missing(&early).contains("until 2026-11-20T00:15:00Z"), "{early:?}");
        assert!(missing(&san).contains("no row") && missing(&key).contains("no row"));
        let names = ["a.b", "c.d", "e.f", "g.h"];
        let [late, _, _] = verdicts(&presented(&names), &lookup, Span::from_seconds(900));
        assert_eq!(subjects(&late), ["a.b, c.d, e.f and 1 more"]);
        let Verdict::Fail(findings) = late else { unreachable!() };
        assert_eq!(findings[0].severity, Severity::Critical);
        assert!(findings[0].evidence[0].text.contains("check that the feed is running"));
    }

    #[test]
    fn our_outage_is_never_a_finding() {
        for lookup in [Lookup::NoSource, Lookup::Unavailable { reason: "timed out\n".into() }] {
            for verdict in all(&presented(&["a.b"]), &lookup, Span::from_days(9), &policy()) {
                assert!(!missing(&verdict).contains('\n'), "{verdict:?}");
            }
        }
    }
}
