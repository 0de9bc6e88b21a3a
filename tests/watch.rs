//! Whose is it? Every kind of entry, in every kind of wrong company, through the watchlist and through the program.

mod support;

use std::time::Duration;

use ctwarden::clock::{Clock, Timestamp, date};
use ctwarden::ct::leaf::LeafEntry;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use ctwarden::watch::{Candidate, Form, Hit, Issuer, OwnedEntry, Standing, Watchlist};
use support::issuer::{Leaf, TestCa, candidate, leaf};
use support::monitor::{Bench, said};

const AT: Timestamp = date(2026, 11, 20);

fn watch(issuers: &[(&str, &TestCa)], all: bool) -> Watchlist {
    let issuers = issuers.iter().map(|(name, ca)| Issuer::from_certificate(name, &ca.der()).expect("a CA"));
    Watchlist::new(issuers.collect(), all)
}

/// What the watchlist makes of an entry: nothing when it is not even selected.
fn hit(list: &Watchlist, entry: &RawEntry) -> Option<Hit> {
    if !list.selects(&entry.kind.leaf()) {
        return None;
    }
    list.judge(&candidate(entry), entry.chain.first().map(Vec::as_slice))
}

#[test]
fn a_precertificate_is_known_by_the_hash_of_its_issuers_key() {
    let (ours, other) = (TestCa::new("Ours"), TestCa::new("Ours"));
    let list = watch(&[("Tests CA", &ours)], false);
    let found = hit(&list, &ours.precert_entry(&leaf(1, "a.eus"), AT)).expect("ours");
    assert_eq!((found.standing, found.issuer.as_str(), found.form), (Standing::Ours, "Tests CA", Form::Certificate));
    assert_eq!((found.key.issuer_key_hash, found.remark.as_str()), (ours.key_hash(), ""));
    assert_eq!(hit(&list, &other.precert_entry(&leaf(1, "a.eus"), AT)), None, "our name alone is not enough");
}

#[test]
fn a_certificate_is_known_by_name_and_signature_with_and_without_a_key_identifier() {
    // Three keys under one name; two of them are ours.
    let (old, new, foreign) = (TestCa::new("One Name"), TestCa::new("One Name"), TestCa::new("One Name"));
    let list = watch(&[("old", &old), ("new", &new)], false);
    for aki in [true, false] {
        let spec = Leaf { aki, ..leaf(2, "a.eus") };
        for (ca, name) in [(&old, "old"), (&new, "new")] {
            let found = hit(&list, &ca.entry(&spec, AT)).expect("ours");
            assert_eq!((found.standing, found.issuer.as_str()), (Standing::Ours, name), "aki {aki}");
            assert_eq!(found.key.issuer_key_hash, ca.key_hash());
            // No chain is needed for it.
            let alone = RawEntry { chain: vec![], ..ca.entry(&spec, AT) };
            assert_eq!(hit(&list, &alone).map(|hit| hit.standing), Some(Standing::Ours));
        }
        let imposter = hit(&list, &foreign.entry(&spec, AT)).expect("somebody who claims to be us");
        assert_eq!((imposter.standing, imposter.key.issuer_key_hash), (Standing::Imposter, foreign.key_hash()));
        assert!(imposter.remark.contains("no key of that issuer signed it"), "{}", imposter.remark);
    }
    assert_eq!(hit(&list, &TestCa::new("Another").entry(&leaf(2, "a.eus"), AT)), None);
}

#[test]
fn a_certificate_of_ours_under_a_misspelt_name_is_found_by_its_key_identifier() {
    let ours = TestCa::new("Tests CA");
    let list = watch(&[("Tests CA", &ours)], false);
    let misspelt = ours.renamed("Tests  CA");
    let found = hit(&list, &RawEntry { chain: vec![], ..misspelt.entry(&leaf(3, "a.eus"), AT) }).expect("our key");
    assert_eq!((found.standing, found.key.issuer_key_hash), (Standing::Ours, ours.key_hash()));
    // Without name and identifier nothing points at us, until the chain does.
    let neither = misspelt.entry(&Leaf { aki: false, ..leaf(3, "a.eus") }, AT);
    assert_eq!(hit(&list, &neither), None);
    let all = watch(&[("Tests CA", &ours)], true);
    assert_eq!(hit(&all, &neither).expect("the chain").standing, Standing::Ours);
}

#[test]
fn a_chain_that_names_our_key_without_its_signature_proves_nothing() {
    let (ours, foreign) = (TestCa::new("Tests CA"), TestCa::new("Tests CA"));
    for all in [false, true] {
        let list = watch(&[("Tests CA", &ours)], all);
        let lie = RawEntry { chain: vec![ours.der()], ..foreign.entry(&leaf(4, "a.eus"), AT) };
        let imposter = hit(&list, &lie).expect("it claims our name");
        assert_eq!(imposter.standing, Standing::Imposter);
        assert_ne!(imposter.key.issuer_key_hash, ours.key_hash(), "it must not be folded into a case of ours");
    }
    let list = watch(&[("Tests CA", &ours)], true);
    let lie = RawEntry { chain: vec![ours.der()], ..TestCa::new("Another").entry(&leaf(4, "a.eus"), AT) };
    let trial = hit(&list, &lie).expect("everything is kept");
    assert_eq!((trial.standing, trial.key.issuer_key_hash), (Standing::Trial, KeyHash::default()));
    assert!(trial.remark.contains("its issuer key is not known"), "{}", trial.remark);
}

#[test]
fn an_issuer_without_a_certificate_matches_precertificates_only() {
    let ours = TestCa::new("Tests CA");
    let issuer = Issuer { name: "hash only".into(), key_hash: ours.key_hash(), certificate: None };
    let list = Watchlist::new(vec![issuer], false);
    assert_eq!(hit(&list, &ours.precert_entry(&leaf(5, "a.eus"), AT)).expect("ours").issuer, "hash only");
    assert_eq!(hit(&list, &ours.entry(&leaf(5, "a.eus"), AT)), None);
}

#[test]
fn a_precertificate_that_is_not_the_leafs_is_not_believed() {
    let ours = TestCa::new("Tests CA");
    let list = watch(&[("Tests CA", &ours)], false);
    let mut entry = ours.precert_entry(&leaf(6, "a.eus"), AT);
    let RawKind::Precert { tbs, pre_certificate, .. } = &mut entry.kind else { panic!("a precertificate") };
    *pre_certificate = ours.precertificate(&leaf(6, "b.eus"));
    let leaf_tbs = tbs.clone();
    let found = hit(&list, &entry).expect("ours");
    assert_eq!((found.standing, found.form, &found.der), (Standing::Ours, Form::Tbs, &leaf_tbs));
    assert!(found.remark.contains("does not belong to this entry"), "{}", found.remark);
    let absent = Candidate { precertificate: None, ..candidate(&entry) };
    let found = list.judge(&absent, None).expect("ours");
    assert!(found.remark.contains("sent no precertificate"), "{}", found.remark);
}

#[test]
fn a_precertificate_by_a_precertificate_signing_certificate_belongs_to_its_leaf() {
    let ours = TestCa::new("Tests CA");
    let (list, signer) = (watch(&[("Tests CA", &ours)], false), ours.precert_signer());
    // RFC 6962 3.2: the leaf has the issuer of the final certificate and the hash of its key.
    let mut entry = ours.precert_entry(&leaf(7, "a.eus"), AT);
    let RawKind::Precert { pre_certificate, .. } = &mut entry.kind else { panic!("a precertificate") };
    *pre_certificate = signer.precertificate(&leaf(7, "a.eus"));
    entry.chain = vec![signer.der(), ours.der()];
    let found = hit(&list, &entry).expect("ours");
    let said = found.remark.as_str();
    assert_eq!((found.standing, found.form, said), (Standing::Ours, Form::Tbs, ctwarden::watch::DELEGATED));
    // A signing certificate that did not sign it excuses nothing.
    entry.chain = vec![ours.precert_signer().der(), ours.der()];
    assert!(hit(&list, &entry).expect("ours").remark.contains("does not belong"));
}

#[test]
fn what_cannot_be_read_is_a_hit_and_is_never_folded_with_another() {
    let ours = TestCa::new("Tests CA");
    let list = watch(&[("Tests CA", &ours)], false);
    let x509 = |certificate: &[u8], chain: Vec<Vec<u8>>| RawEntry {
        timestamp: AT,
        kind: RawKind::X509 { certificate: certificate.to_vec() },
        chain,
    };
    let garbage = [b"".as_slice(), b"\x30", b"no certificate", &[0x30, 0x80, 0, 0], &[0x30; 40]];
    let mut keys = Vec::new();
    for bytes in garbage {
        let found = hit(&list, &x509(bytes, vec![])).unwrap_or_else(|| panic!("{bytes:02x?} is not looked at"));
        assert_eq!((found.standing, found.issuer.as_str()), (Standing::Unreadable, "unknown issuer"));
        keys.push(found.key);
    }
    // Cut behind the issuer: it names us, and nobody can check more.
    let whole = ours.certificate(&leaf(8, "a.eus"), b"");
    let issuer_ends = whole.windows(8).position(|w| w == b"Tests CA").expect("the name") + 8;
    let version = whole.windows(5).position(|w| w == [0xa0, 3, 2, 1, 2]).expect("the version");
    let content = &whole[version..issuer_ends];
    let length = |n: usize| [0x82, (n >> 8) as u8, n as u8];
    let tbs = [&[0x30][..], &length(content.len()), content].concat();
    let cut = [&[0x30][..], &length(tbs.len()), &tbs].concat();
    let found = hit(&list, &x509(&cut, vec![])).expect("fail safe");
    assert_eq!((found.standing, found.issuer.as_str()), (Standing::Unreadable, "Tests CA"));
    keys.push(found.key);
    let precert = RawEntry {
        kind: RawKind::Precert { issuer_key_hash: ours.key_hash(), tbs: b"\x30\x01".to_vec(), pre_certificate: vec![] },
        ..x509(b"", vec![])
    };
    let found = hit(&list, &precert).expect("our key hash");
    assert_eq!((found.standing, found.form), (Standing::Ours, Form::Tbs));
    keys.push(found.key);
    keys.sort_by_key(|key| key.serial.0.clone());
    keys.dedup();
    assert_eq!(keys.len(), garbage.len() + 2);
}

#[test]
fn no_octet_of_a_certificate_makes_the_watchlist_stop() {
    let (ours, foreign) = (TestCa::new("Tests CA"), TestCa::new("Another"));
    let (list, whole) = (watch(&[("Tests CA", &ours)], false), ours.certificate(&leaf(9, "a.eus"), b"scts"));
    let mut selected = 0;
    for at in 0..whole.len() {
        for changed in [whole[..at].to_vec(), [&whole[..at], &[whole[at] ^ 0x81], &whole[at + 1..]].concat()] {
            let entry = LeafEntry::X509 { certificate: &changed };
            selected += u32::from(list.selects(&entry));
            let entry = RawEntry { timestamp: AT, kind: RawKind::X509 { certificate: changed.clone() }, chain: vec![] };
            let judged = list.judge(&candidate(&entry), Some(&changed));
            assert!(judged.is_none_or(|hit| hit.standing != Standing::Ours || changed.len() == whole.len()));
        }
    }
    assert!(selected > whole.len() as u32, "cut or changed, it is looked at: {selected}");
    let other = foreign.certificate(&leaf(9, "a.eus"), b"scts");
    assert!(!list.selects(&LeafEntry::X509 { certificate: &other }));
    assert!(matches!(candidate(&foreign.entry(&leaf(9, "a.eus"), AT)).entry, OwnedEntry::X509(_)));
}

fn still(api: Api) -> LogSettings {
    LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(api, Clock::System) }
}

/// A configuration with these CAs' certificates as issuers, and no issuance record.
fn bench(logs: &[&LogServer], issuers: &[(&str, &TestCa)], more: &str) -> Bench {
    let tables: String = issuers
        .iter()
        .map(|(name, _)| format!("[[issuer]]\nname = \"{name}\"\ncertificate = \"{name}.pem\"\n"))
        .collect();
    let bench = Bench::new(logs, &format!("{tables}[issuance]\nsource = \"none\""), more);
    issuers.iter().for_each(|(name, ca)| bench.write(&format!("{name}.pem"), &ca.pem()));
    bench
}

async fn caught_up(bench: &Bench) {
    let run = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imposter_is_reported_apart_from_our_certificate_with_its_serial() {
    let (ours, foreign) = (TestCa::new("Tests CA"), TestCa::new("Tests CA"));
    for api in [Api::Rfc6962, Api::StaticCt] {
        let log = LogServer::start(still(api)).await.expect("log");
        let spec = leaf(10, "www.a.bizkaia.euskalsarea");
        let true_imposter = foreign.entry(&leaf(10, "www.a.eus"), AT);
        // And one beside which the log puts our own certificate as the issuer.
        let lie = RawEntry { chain: vec![ours.der()], ..foreign.entry(&leaf(10, "www.b.eus"), AT) };
        log.append([ours.precert_entry(&spec, AT), true_imposter, lie]);
        log.publish();
        let bench = bench(&[&log], &[("ours", &ours)], "");
        caught_up(&bench).await;
        assert_eq!(bench.count("SELECT count(*) FROM hits WHERE standing = 'imposter'"), 2);
        assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule = 'watch.imposter'"), 2);
        assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule = 'serial.unique'"), 0);
        let folded = "SELECT count(*) FROM cases AS c WHERE
            (SELECT count(DISTINCT rule = 'watch.imposter') FROM case_findings AS f WHERE f.case_number = c.case_number) > 1";
        assert_eq!(bench.count(folded), 0, "{api:?}");
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_certificate_is_a_finding_unless_it_is_in_the_configuration() {
    let (root, known) = (TestCa::new("Root"), TestCa::new("Known"));
    let log = LogServer::start(still(Api::Rfc6962)).await.expect("log");
    let of = |serial: u64, name: &str| Leaf { ca: true, ..leaf(serial, name) };
    log.append([root.entry(&of(11, "A sub CA nobody told us of"), AT)]);
    log.append([RawEntry { timestamp: AT, kind: RawKind::X509 { certificate: root.der() }, chain: vec![] }]);
    log.publish();
    let bench = bench(&[&log], &[("root", &root), ("known", &known)], "");
    caught_up(&bench).await;
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE standing = 'ours'"), 2);
    assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule = 'cert.is_ca'"), 1);
    let subject = "SELECT subject LIKE '%nobody told us of%' FROM case_findings WHERE rule = 'cert.is_ca'";
    assert_eq!(bench.count(subject), 1);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_certificates_of_one_serial_are_found_even_when_only_their_scts_differ() {
    let ours = TestCa::new("Tests CA");
    let log = LogServer::start(still(Api::StaticCt)).await.expect("log");
    let fin = |spec: &Leaf, scts: &[u8]| RawEntry {
        timestamp: AT,
        kind: RawKind::X509 { certificate: ours.certificate(spec, scts) },
        chain: vec![ours.der()],
    };
    let once = leaf(0x51, "www.once.eus");
    log.append([ours.precert_entry(&once, AT), fin(&once, b"scts")]);
    let scts = leaf(0x52, "www.scts.eus");
    log.append([ours.precert_entry(&scts, AT), fin(&scts, b"scts"), fin(&scts, b"other")]);
    log.append([ours.precert_entry(&leaf(0x53, "www.a.eus"), AT), fin(&leaf(0x53, "www.b.eus"), b"scts")]);
    log.publish();
    let bench = bench(&[&log], &[("ours", &ours)], "");
    caught_up(&bench).await;
    let found = "SELECT count(*) FROM case_findings WHERE rule = 'serial.unique' AND subject LIKE '%5";
    assert_eq!([1, 2, 3].map(|serial| bench.count(&format!("{found}{serial}'"))), [0, 1, 1]);
    log.stop().await;
}
