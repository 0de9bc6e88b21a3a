use super::*;
use crate::clock::DAY;
use crate::ct::leaf::encode_leaf_index;
use crate::ct::log_list;
use crate::ct::signer::LogSigner;
use crate::ct::sth::ClaimedTreeHead;
use crate::ct::{leaf, sct};
use crate::demo::ca::Ca;

const NOW: Timestamp = date(2026, 11, 22);
const MMD: Span = Span::from_seconds(24);

struct World {
    ca: Ca,
    signer: LogSigner,
    logs: KnownLogs,
}

fn listed(signer: &LogSigner) -> Arc<Log> {
    let entry = serde_json::json!({
        "description": "a log", "log_id": signer.log_id(), "key": to_base64(&signer.spki_der()), "mmd": 24,
        "url": "https://log.promise.eus/", "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    });
    let list = serde_json::json!({ "operators": [{ "name": "Op", "logs": [entry] }] });
    Arc::new(log_list::parse(list.to_string().as_bytes()).expect("a list").logs.remove(0))
}

impl World {
    fn new() -> World {
        let signer = LogSigner::generate();
        let logs = KnownLogs::new([listed(&signer)]);
        World { ca: Ca::generate(NOW).expect("CA"), signer, logs }
    }

    /// A certificate with the SCTs that `promise` makes of its TBSCertificate.
    fn certificate(&self, promise: impl Fn(&[u8]) -> Vec<SignedCertificateTimestamp>) -> Certificate {
        let draft = self.ca.draft(&["www.promise.eus"], NOW).expect("draft");
        let pre = Certificate::parse(&draft.precertificate().expect("signed")).expect("our own");
        Certificate::parse(&draft.certificate(&promise(&pre.core_tbs())).expect("signed")).expect("our own")
    }

    fn sct(&self, signer: &LogSigner, tbs: &[u8], extensions: &[u8]) -> SignedCertificateTimestamp {
        let issuer_key_hash = self.ca.issuer_key_hash();
        signer.sign_sct(NOW, &LeafEntry::Precert { issuer_key_hash, tbs }, extensions)
    }

    fn verdict(&self, certificate: &Certificate, now: Timestamp) -> Verdict {
        let issued = Issued::at(NOW);
        belongs(certificate, self.ca.issuer_key_hash(), &self.logs, issued, now).expect("in force").1
    }
}

fn findings(verdict: Verdict) -> Vec<Finding> {
    let Verdict::Fail(findings) = verdict else { panic!("{verdict:?}") };
    findings
}

#[test]
fn a_promise_is_read_with_the_leaf_that_it_promises() {
    let world = World::new();
    let certificate = world.certificate(|tbs| vec![world.sct(&world.signer, tbs, &encode_leaf_index(7))]);
    let key = world.ca.issuer_key_hash();
    let read = promises(&certificate, key, &world.logs).expect("a list");
    let [Ok(promise)] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!((promise.log_id, promise.promised_at, promise.leaf_index), (world.signer.log_id(), NOW, Some(7)));
    assert_eq!((promise.due_at, &promise.signature), (NOW.plus(MMD), &Signature::Valid));
    // The leaf is the one that a log makes of the precertificate.
    let tbs = certificate.core_tbs();
    let entry = LeafEntry::Precert { issuer_key_hash: key, tbs: &tbs };
    let leaf_input = leaf::encode_merkle_tree_leaf(NOW, &entry, &encode_leaf_index(7));
    assert_eq!(promise.leaf_hash, leaf_hash(&leaf_input));
    let sct = SignedCertificateTimestamp::parse(&promise.sct).expect("kept byte for byte");
    assert_eq!(promised_leaf(&certificate, key, &sct), leaf_input);
    assert_eq!(world.verdict(&certificate, NOW), Verdict::Pass);
    let pre = Certificate::parse(&world.ca.draft(&["a.promise.eus"], NOW).expect("d").precertificate().expect("p"));
    assert_eq!(promises(&pre.expect("our own"), key, &world.logs), Ok(vec![]));
}

#[test]
fn an_sct_of_another_certificate_is_a_finding_and_hides_no_good_one() {
    let world = World::new();
    let certificate = world.certificate(|tbs| {
        vec![world.sct(&world.signer, b"another TBSCertificate", b""), world.sct(&world.signer, tbs, b"")]
    });
    let found = findings(world.verdict(&certificate, NOW));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].rule.as_ref(), found[0].severity), ("sct.belongs", Severity::Error));
    assert_eq!(found[0].clock, RevocationClock::FiveDays(12));
    assert_eq!(found[0].subject, "SCT of log log.promise.eus");
    assert_eq!(unsigned_log(&found[0]), Some("log.promise.eus"));
    let read = promises(&certificate, world.ca.issuer_key_hash(), &world.logs).expect("a list");
    let valid = |read: &Result<Promise, SctError>| read.as_ref().is_ok_and(|p| p.signature == Signature::Valid);
    assert_eq!(read.iter().map(valid).collect::<Vec<_>>(), [false, true]);
    // Another issuer's key makes it another entry.
    let other = belongs(&certificate, KeyHash([1; 32]), &world.logs, Issued::at(NOW), NOW).expect("in force").1;
    assert_eq!(findings(other).len(), 2);
}

#[test]
fn an_unknown_log_is_for_review_until_the_certificate_has_expired() {
    let world = World::new();
    let stranger = LogSigner::generate();
    let certificate = world.certificate(|tbs| vec![world.sct(&stranger, tbs, b"")]);
    let found = findings(world.verdict(&certificate, NOW));
    assert_eq!((found[0].severity, found[0].clock), (Severity::Review, RevocationClock::None));
    assert!(found[0].subject.contains(&stranger.log_id().to_string()) && unsigned_log(&found[0]).is_none());
    let read = promises(&certificate, world.ca.issuer_key_hash(), &world.logs).expect("a list");
    assert!(matches!(&read[0], Ok(p) if p.signature == Signature::UnknownLog && p.due_at == NOW.plus(DAY)));
    let later = NOW.plus(Span::from_days(91));
    assert!(matches!(world.verdict(&certificate, later), Verdict::NotEvaluable(_)));
}

#[test]
fn the_rule_binds_from_its_day_on_and_rubbish_is_a_finding() {
    let world = World::new();
    let draft = world.ca.draft(&["www.promise.eus"], NOW).expect("draft");
    let empty = Certificate::parse(&draft.certificate(&[]).expect("signed")).expect("our own");
    assert_eq!(findings(world.verdict(&empty, NOW))[0].subject, "SCT list");
    let key = world.ca.issuer_key_hash();
    let start = date(2023, 9, 15);
    let before = start.minus(Span::from_seconds(1));
    assert_eq!(belongs(&empty, key, &world.logs, Issued::at(before), NOW), None);
    assert!(belongs(&empty, key, &world.logs, Issued::at(start), NOW).is_some());
    let bad = world.certificate(|tbs| vec![world.sct(&world.signer, b"x", b""), world.sct(&world.signer, tbs, b"")]);
    let between = Issued { earliest: before, latest: start };
    let found = findings(belongs(&bad, key, &world.logs, between, NOW).expect("in force at one end").1);
    assert_eq!(found[0].severity, Severity::Review);
    assert!(sct::parse_sct_list(bad.sct_list().expect("a list")).is_ok());
}

fn head(size: u64, at: Timestamp) -> SignedTreeHead {
    let signer = LogSigner::generate();
    let key = crate::ct::key::LogKey::from_spki_der(&signer.spki_der()).expect("key");
    let signature = signer.sign_tree_head(size, &[size as u8; 32], at);
    let claimed = ClaimedTreeHead { tree_size: size, timestamp: at, root_hash: [size as u8; 32], signature };
    claimed.verify(&key).expect("our own head")
}

#[test]
fn a_promise_is_sought_then_asked_for_and_broken_on_the_second_word_alone() {
    let judged = judged_at(NOW.plus(MMD), MMD);
    assert_eq!(judged.since(NOW), Span::from_seconds(25), "the delay and a 24th of it");
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    assert_eq!(next(Look::NotSeen, NOW, MMD, at(1)), Next::Wait(at(11)));
    assert_eq!(next(Look::NotSeen, NOW, MMD, at(12)), Next::Wait(at(24)));
    assert_eq!(next(Look::NotSeen, NOW, MMD, at(20)), Next::Wait(judged), "never beyond the day of reckoning");
    assert_eq!(next(Look::NotSeen, NOW, MMD, judged), Next::Ask);
    let word = || Absence::NoSuchLeaf("404".to_string());
    let denied = |head, absence, denials| next(Look::Denied { head, absence, denials }, NOW, MMD, at(30));
    // A head from before the end of the delay convicts nobody, whatever is said at it.
    assert!(matches!(denied(head(9, at(24)), word(), 5), Next::Wait(_)));
    assert!(matches!(denied(head(9, at(24)), Absence::TreeTooSmall, 5), Next::Wait(_)));
    let fresh = head(9, at(26));
    assert_eq!(denied(fresh.clone(), word(), 0), Next::Wait(at(31)));
    assert_eq!(denied(fresh.clone(), word(), 1), Next::Broken(fresh.clone(), word()));
    let other = Absence::OtherLeaf(vec![1]);
    assert!(matches!(denied(fresh.clone(), other.clone(), 0), Next::Wait(_)));
    assert_eq!(denied(fresh.clone(), other.clone(), 1), Next::Broken(fresh.clone(), other));
    assert_eq!(denied(fresh.clone(), Absence::TreeTooSmall, 0), Next::Broken(fresh, Absence::TreeTooSmall));
    // A log that does not answer is asked ever more seldom and never convicted.
    assert_eq!(next(Look::Unanswered, NOW, MMD, at(26)), Next::Wait(at(27)));
    let week = NOW.plus(Span::from_days(7));
    assert_eq!(next(Look::Unanswered, NOW, MMD, week), Next::Wait(week.plus(Span::from_seconds(6 * 3600))));
}

#[test]
fn a_leaf_that_came_late_breaks_its_promise_too() {
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    let found = |before| next(Look::Found { index: 9, before }, NOW, MMD, at(60));
    assert_eq!(found(None), Next::Kept);
    assert_eq!(found(Some(head(9, at(20)))), Next::Kept);
    assert_eq!(found(Some(head(10, at(30)))), Next::Kept);
    let late = head(9, at(30));
    assert_eq!(found(Some(late.clone())), Next::Broken(late, Absence::MergedLate(9)));
}

#[test]
fn an_entry_older_than_a_head_without_it_by_more_than_the_delay_came_late() {
    let log = listed(&LogSigner::generate());
    let at = |seconds| NOW.plus(Span::from_seconds(seconds));
    assert!(late_entry(&log, 9, NOW, &head(9, at(24))).is_none(), "clocks differ by seconds");
    assert!(late_entry(&log, 8, NOW, &head(9, at(60))).is_none(), "it is in the tree");
    let late = late_entry(&log, 9, NOW, &head(9, at(25))).expect("late");
    assert_eq!((late.kind, late.tree_size, late.more["index"].as_u64()), (Kind::SctNotHonoured, 9, Some(9)));
    assert!(late_entry(&log, 9, Timestamp::from_millis(i64::MAX), &head(9, at(25))).is_none());
}

#[test]
fn the_evidence_holds_what_a_third_party_needs() {
    let world = World::new();
    let certificate = world.certificate(|tbs| vec![world.sct(&world.signer, tbs, b"")]);
    let key = world.ca.issuer_key_hash();
    let promise = promises(&certificate, key, &world.logs).expect("a list").remove(0).expect("an SCT");
    let sct = SignedCertificateTimestamp::parse(&promise.sct).expect("an SCT");
    let log = world.logs.get(&promise.log_id).expect("known");
    let leaf_input = promised_leaf(&certificate, key, &sct);
    let said = misconduct(log, &promise, &leaf_input, head(3, NOW.plus(DAY)), &Absence::OtherLeaf(vec![1, 2]));
    assert_eq!((said.kind, said.tree_size, said.heads.len()), (Kind::SctNotHonoured, 3, 1));
    assert!(said.detail.contains(&hex::encode(promise.leaf_hash)), "{}", said.detail);
    assert_eq!(said.more["sct"], to_base64(&promise.sct));
    assert_eq!(said.more["leaf_input"], to_base64(&leaf_input));
    assert_eq!(said.more["entry_at_leaf_index"], to_base64(&[1, 2]));
    // From these bytes alone the promise can be verified: the leaf is what the log signed, but for one octet's name.
    let leaf = leaf::parse_merkle_tree_leaf(&leaf_input).expect("a leaf");
    assert_eq!(verify_sct(&sct, &log.key, &leaf.entry), Ok(()));
    assert_eq!(leaf_hash(&leaf_input), promise.leaf_hash);
}
