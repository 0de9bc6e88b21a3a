//! Every rule of the record with each table and each column absent: what cannot be judged is "not evaluable" and names
//! what is missing, and nothing that is missing becomes a finding.

use std::collections::{BTreeMap, BTreeSet};

use ctwarden::exam;
use ctwarden::finding::{Needs, Verdict};
use serde_json::json;

use crate::scene::Scene;
use crate::{judged, tables};

/// A scene in which every rule of the record has all that it needs.
fn whole() -> Scene {
    // The check is older than 8 hours, so that its TTL counts.
    Scene::extended("P4801300D")
        .terms("countries = [\"ES\"]\ntest_accounts = [\"qa\"]\nbulk_evidence = [\"flatfile:\"]")
        .check(json!({"checked_at": "2026-11-20T00:10:00Z", "ttl": 86_400}))
}

/// What is absent, and the rules that are not evaluable without it. The links between tables (`certificates.order_id`,
/// `san_authorisations.dcv_id`, `.reuse_id`, `.caa_id`, `orders.identity_id`) stand in no row: a row without one says
/// that there was nothing.
const NEEDED: [(&str, &[&str]); 37] = [
    ("san_authorisations", &ALL_OF_NAMES),
    ("dcv_confirmations", &ALL_OF_CONFIRMATIONS),
    ("caa_checks", &ALL_OF_CAA),
    ("orders", &ALL_OF_ORDERS),
    ("order_names", &["san.unexpected"]),
    ("identities", &["id.reuse", "subj.values"]),
    ("approvals", &["ev.approvals"]),
    ("lint_runs", &["lint.prerun"]),
    ("applicants.country", &["order.country"]),
    ("orders.csr_spki_sha256", &["order.key"]),
    ("certificates.spki_sha256", &["db.key"]),
    ("certificates.tbs_sha256", &["db.tbs"]),
    ("certificates.not_before", &["db.validity"]),
    ("certificates.not_after", &["db.validity"]),
    ("dcv_confirmations.resolver", &["dcv.resolver"]),
    ("dcv_confirmations.remote_ok", &["mpic.count", "mpic.quorum", "mpic.rir"]),
    ("dcv_confirmations.remote_total", &["mpic.count", "mpic.quorum", "mpic.rir"]),
    ("dcv_confirmations.remote_rirs", &["mpic.rir"]),
    ("dcv_confirmations.dnssec", &["dnssec"]),
    ("dcv_confirmations.token_issued_at", &["dcv.token30"]),
    ("dcv_confirmations.location", &["dcv.location"]),
    ("dcv_confirmations.recorded_at", &["dcv.origin"]),
    ("dcv_confirmations.evidence_ref", &["dcv.origin"]),
    ("caa_checks.rrset", &["caa.verdict"]),
    ("caa_checks.ttl", &["caa.fresh"]),
    ("caa_checks.dnssec", &["dnssec"]),
    ("caa_checks.remote_ok", &["mpic.count", "mpic.quorum", "mpic.rir"]),
    ("caa_checks.remote_total", &["mpic.count", "mpic.quorum", "mpic.rir"]),
    ("caa_checks.remote_rirs", &["mpic.rir"]),
    ("identities.organization", &["subj.values"]),
    ("identities.country", &["subj.values"]),
    ("identities.locality", &["subj.values"]),
    ("identities.registration_number", &["subj.values"]),
    ("identities.business_category", &["subj.values"]),
    ("identities.jurisdiction_country", &["subj.values"]),
    // Where the CA did not say what it means, its record cannot be judged.
    ("issuance.caa_domains", &["caa.verdict"]),
    ("issuance.channels", &["order.channel"]),
];
const ALL_OF_NAMES: [&str; 25] = [
    "caa.exists",
    "caa.fresh",
    "caa.manual",
    "caa.params",
    "caa.resolver",
    "caa.verdict",
    "dcv.adn",
    "dcv.applicant",
    "dcv.exists",
    "dcv.flawed",
    "dcv.location",
    "dcv.manual",
    "dcv.method",
    "dcv.origin",
    "dcv.own_limit",
    "dcv.record",
    "dcv.resolver",
    "dcv.reuse",
    "dcv.token30",
    "dcv.wildcard",
    "dnssec",
    "mpic.count",
    "mpic.quorum",
    "mpic.rir",
    "onion.method",
];
const ALL_OF_CONFIRMATIONS: [&str; 17] = [
    "dcv.adn",
    "dcv.applicant",
    "dcv.exists",
    "dcv.flawed",
    "dcv.location",
    "dcv.manual",
    "dcv.method",
    "dcv.origin",
    "dcv.own_limit",
    "dcv.resolver",
    "dcv.reuse",
    "dcv.token30",
    "dcv.wildcard",
    "dnssec",
    "mpic.count",
    "mpic.quorum",
    "mpic.rir",
];
const ALL_OF_CAA: [&str; 6] = ["caa.exists", "caa.fresh", "caa.manual", "caa.params", "caa.resolver", "caa.verdict"];
const ALL_OF_ORDERS: [&str; 10] = [
    "dcv.applicant",
    "ev.approvals",
    "id.reuse",
    "order.channel",
    "order.country",
    "order.hierarchy",
    "order.key",
    "order.test",
    "san.unexpected",
    "subj.values",
];

/// The scene without a table, a column, or a line of the terms.
fn without(absent: &str) -> Scene {
    let scene = whole();
    match absent.split_once('.') {
        Some(("issuance", key)) => {
            let mut scene = scene;
            scene.terms = scene.terms.lines().filter(|line| !line.starts_with(key)).map(|l| format!("{l}\n")).collect();
            scene
        }
        Some((table, column)) => scene.empty(table, column),
        // A row that points at the table cannot stand without it.
        None => match absent {
            "dcv_confirmations" => scene.set("san_authorisations", json!({"dcv_id": null})),
            "caa_checks" => scene.set("san_authorisations", json!({"caa_id": null})),
            "identities" => scene.set("orders", json!({"identity_id": null})),
            "orders" => {
                scene.set("certificates", json!({"order_id": null})).without("order_names").without("approvals")
            }
            _ => scene,
        }
        .without(absent),
    }
}

/// The word of each rule of the record, and why it is not evaluable.
fn verdicts(scene: &Scene) -> BTreeMap<&'static str, Verdict> {
    let place = tempfile::tempdir().expect("a directory");
    scene.write(place.path());
    let judged = judged(place.path(), &tables());
    judged
        .into_iter()
        .filter(|(rule, _)| rule.needs == Needs::Record)
        .map(|(rule, verdict)| (rule.id, verdict))
        .collect()
}

#[test]
fn what_is_not_on_record_is_not_evaluable_by_name_and_never_a_finding() {
    let whole = verdicts(&whole());
    let judged_here: BTreeSet<&str> = whole.keys().copied().collect();
    let of_record = exam::rules().into_iter().filter(|rule| rule.needs == Needs::Record).map(|rule| rule.id);
    assert_eq!(judged_here, of_record.collect::<BTreeSet<_>>(), "a rule of the record is not judged here");
    let odd: Vec<_> = whole.iter().filter(|(_, verdict)| **verdict != Verdict::Pass).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    let mut wrong = Vec::new();
    for (absent, expected) in NEEDED {
        let mut gaps = BTreeSet::new();
        for (rule, verdict) in verdicts(&without(absent)) {
            match verdict {
                Verdict::Pass => {}
                Verdict::Fail(found) => wrong.push(format!("without {absent}: {rule} fails: {}", found[0].detail)),
                Verdict::NotEvaluable(why) => {
                    gaps.insert(rule);
                    if !why.contains(absent.split_once('.').map_or(absent, |(_, column)| column)) {
                        wrong.push(format!("without {absent}: {rule} says {why}"));
                    }
                }
            }
        }
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        if gaps != expected {
            let (more, less) = (gaps.difference(&expected), expected.difference(&gaps));
            let (more, less) = (more.collect::<Vec<_>>(), less.collect::<Vec<_>>());
            wrong.push(format!("without {absent}: not evaluable too: {more:?}, evaluable nonetheless: {less:?}"));
        }
    }
    // Each rule of the record lacks something in one of these, or the whole record.
    let nothing = verdicts(&Scene { rows: Vec::new(), ..super::scene::Scene::new("www.kultura.eus") });
    for (rule, verdict) in nothing {
        match verdict {
            Verdict::NotEvaluable(why) if why.contains("issuance source") => {}
            other => wrong.push(format!("without a record: {rule}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
