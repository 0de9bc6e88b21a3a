//! The record held against the logs, and both against the CRLs, by the real binary: what is in no log, what is revoked
//! and on no CRL and the reverse, CRLs that cannot be relied on, and that an outage of ours makes no finding.

mod support;

use ctwarden::clock::{Clock, HOUR, Span, Timestamp};
use ctwarden::demo::log::{Api, LogServer, LogSettings, log_list};
use rcgen::RevocationReason;
use support::crls::Crls;
use support::daemon::Daemon;
use support::issuer::{Leaf, TestCa, leaf, validity};
use support::monitor::{Bench, said};
use support::scene::{now, wait_for};

const QUICK: &str = "[status]\nevery = \"1s\"\nlogged_within = \"1s\"\ncrl_grace = \"1s\"\ncontrols_every = \"1s\"";

async fn log() -> LogServer {
    LogServer::start(LogSettings::new(Api::StaticCt, Clock::System)).await.expect("a log")
}

/// A monitor of these logs and this CA, with an embedded record.
fn bench(logs: &[&LogServer], ca: &TestCa, crls: &str) -> Bench {
    let list = log_list(logs, now()).to_string();
    let issuer =
        format!("[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\n{crls}\n[issuance]\ngrace = \"1s\"");
    let bench = Bench::with_list(&list, &issuer, QUICK);
    bench.write("ca.pem", &ca.pem());
    bench
}

/// Feeds rows into the record.
async fn feed(bench: &Bench, rows: &[String]) {
    bench.write("rows.ndjson", &rows.join("\n"));
    let mut command = bench.command(&["issuance", "import"]);
    command.arg(bench.path("rows.ndjson"));
    let output = tokio::task::spawn_blocking(move || command.output().expect("import")).await.expect("it ends");
    assert!(output.status.success(), "{}", said(&output));
}

fn issuer_row(ca: &TestCa) -> String {
    let row = serde_json::json!({
        "table": "issuers", "issuer_id": 1, "name": "Tests CA", "spki_sha256": ca.key_hash().to_string(),
        "hierarchy": "public",
    });
    row.to_string()
}

/// A certificate of the record that was signed two hours ago.
fn certificate_row(serial: u64, state: &str) -> String {
    let row = serde_json::json!({
        "table": "certificates", "cert_id": serial, "issuer_id": 1, "serial": format!("{serial:02x}"),
        "signed_at": now().minus(HOUR).minus(HOUR).to_string(), "not_after": validity().1.to_string(), "state": state,
    });
    row.to_string()
}

fn revocation_row(serial: u64, aware_at: Option<Timestamp>, revoked_at: Option<Timestamp>, reason: u64) -> String {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let row = serde_json::json!({
        "table": "revocations", "cert_id": serial, "aware_at": at(aware_at), "revoked_at": at(revoked_at),
        "reason": reason,
    });
    row.to_string()
}

/// How often a rule stands in a case.
fn found(bench: &Bench, rule: &str) -> i64 {
    bench.count(&format!("SELECT count(*) FROM case_findings WHERE rule = '{rule}'"))
}

fn state_of(bench: &Bench, serial: u64) -> String {
    let serial = hex::encode(serial.to_be_bytes()).trim_start_matches("00").to_string();
    let sql = format!(
        "SELECT coalesce(max(state), 'none') FROM cases WHERE about = 'certificate' AND hex(serial) = upper('{serial}')"
    );
    bench.books().query_row(&sql, [], |row| row.get(0)).expect("a state")
}

/// Waits until the loops have gone round once more, seen by the time of the walk.
async fn another_round(daemon: &Daemon) {
    let walked = |metrics: &str| support::scene::metric(metrics, "ctwarden_record_walk_timestamp_seconds");
    for _ in 0..2 {
        let before = walked(&daemon.metrics().await);
        daemon.wait("a walk after", |metrics| walked(metrics) > before, "this").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_log_has_is_told_once_and_closed_when_it_is_seen() {
    let (ca, log) = (TestCa::new("Tests CA"), log().await);
    let logged = |serial: u64| ca.precert_entry(&leaf(serial, &format!("host{serial}.ca-tests.eus")), now());
    log.append([logged(0x10), logged(0x30)]);
    // What is in no head yet would be told to be in no log.
    log.publish();
    let bench = bench(&[&log], &ca, "");
    let rows =
        [certificate_row(0x10, "issued"), certificate_row(0x20, "issued"), certificate_row(0x30, "precert_only")];
    feed(&bench, &[&[issuer_row(&ca)][..], &rows].concat()).await;

    let daemon = Daemon::start(&bench).await;
    wait_for("the one that is in no log", || found(&bench, "ct.unlogged") == 1).await;
    wait_for("the one without its certificate", || found(&bench, "pre.unfinalised") == 1).await;
    daemon.wait_for("ctwarden_record_unlogged{state=\"missing\"}", 2).await;
    another_round(&daemon).await;
    // SIGKILL: what was told is not told again.
    drop(daemon);
    let daemon = Daemon::start(&bench).await;
    another_round(&daemon).await;
    assert_eq!((found(&bench, "ct.unlogged"), state_of(&bench, 0x20)), (1, "new".to_string()));
    let mails: Vec<String> = bench.mails().into_values().filter(|mail| mail.contains("ct.unlogged")).collect();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("serial 20") && mails[0].contains("Chrome CT Policy"), "{}", mails[0]);

    log.append([logged(0x20), ca.entry(&leaf(0x30, "host48.ca-tests.eus"), now())]);
    daemon.wait_for("ctwarden_record_unlogged{state=\"missing\"}", 0).await;
    let resolved = || bench.mails().into_values().filter(|mail| mail.contains("[resolved]")).count();
    wait_for("two messages that it is put right", || resolved() == 2).await;
    // What the certificates in the log break stands; what has ended does not.
    let ended = "SELECT count(*) FROM case_findings WHERE rule IN ('ct.unlogged', 'pre.unfinalised') AND ended_at > 0";
    assert_eq!(bench.count(ended), 2);
    assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE ended_at > 0"), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_precertificate_has_its_certificate_when_the_record_has_it_though_no_log_does() {
    let (ca, log) = (TestCa::new("Tests CA"), log().await);
    let logged = |serial: u64| ca.precert_entry(&leaf(serial, &format!("host{serial}.ca-tests.eus")), now());
    log.append([logged(0x30), logged(0xb1)]);
    log.publish();
    let bench = bench(&[&log], &ca, "");
    let both = [0x30, 0xb1].map(|serial| certificate_row(serial, "precert_only"));
    feed(&bench, &[&[issuer_row(&ca)][..], &both].concat()).await;
    let daemon = Daemon::start(&bench).await;
    wait_for("both without their certificates", || found(&bench, "pre.unfinalised") == 2).await;
    feed(&bench, &[certificate_row(0xb1, "issued")]).await;
    let ended =
        "SELECT count(*) FROM case_findings WHERE rule = 'pre.unfinalised' AND subject = 'serial b1' AND ended_at > 0";
    wait_for("the end of one", || bench.count(ended) == 1).await;
    let told =
        || bench.mails().into_values().filter(|mail| mail.contains("the record has its certificate now")).count();
    wait_for("its message", || told() >= 1).await;
    another_round(&daemon).await;
    let all = "SELECT count(*) FROM case_findings WHERE ended_at > 0";
    assert_eq!((bench.count(all), bench.count("SELECT count(*) FROM unlogged")), (1, 1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_our_own_reading_is_behind_nothing_is_said_of_a_certificate() {
    let ca = TestCa::new("Tests CA");
    let (one, two, gone) = (log().await, log().await, log().await);
    let bench = bench(&[&one, &two, &gone], &ca, "");
    feed(&bench, &[issuer_row(&ca), certificate_row(0x20, "issued")]).await;
    gone.stop().await;
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for("ctwarden_record_unlogged{state=\"waiting\"}", 1).await;
    another_round(&daemon).await;
    assert_eq!((found(&bench, "ct.unlogged"), bench.count("SELECT count(*) FROM cases")), (0, 0));
    let metrics = daemon.metrics().await;
    let gaps = support::scene::metric(
        &metrics,
        "ctwarden_rule_evaluations_total{result=\"not_evaluable\",rule=\"ct.unlogged\"}",
    );
    assert!(gaps >= 1.0, "{gaps}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_and_crls_are_held_against_each_other_until_the_serial_is_listed() {
    let (ca, log, crls) = (TestCa::new("Tests CA"), log().await, Crls::start().await);
    let (url, start) = (crls.url("1.crl"), now().minus(HOUR));
    let of = |number: u64, revoked: &[(u64, RevocationReason)]| {
        ca.crl(&url, number, start.plus(Span::from_seconds(number as i64)), revoked)
    };
    let superseded = RevocationReason::Superseded;
    // 0x10 is listed; 0x20 was revoked two days ago; of 0x30 the CA was aware ten days ago; 0x40 is listed and not
    // revoked in the record; 0x50 is listed for another reason.
    let listed = [(0x10, superseded), (0x40, superseded), (0x50, RevocationReason::KeyCompromise)];
    crls.serve("1.crl", Some(of(1, &listed)));
    // The URL is that of a certificate, not of the configuration.
    let named = Leaf { crl: Some(url.clone()), ..leaf(0x10, "host16.ca-tests.eus") };
    log.append([ca.precert_entry(&named, now())]);
    log.publish();
    let bench = bench(&[&log], &ca, "");
    let days = |days: i64| Some(now().minus(Span::from_days(days)));
    let mut rows = vec![issuer_row(&ca)];
    rows.extend([0x10, 0x20, 0x30, 0x40, 0x50].map(|serial| certificate_row(serial, "issued")));
    rows.push(revocation_row(0x10, None, days(2), 4));
    rows.push(revocation_row(0x20, None, days(2), 4));
    rows.push(revocation_row(0x30, days(10), None, 4));
    rows.push(revocation_row(0x50, None, days(2), 4));
    feed(&bench, &rows).await;

    let daemon = Daemon::start(&bench).await;
    for rule in ["status.crl", "status.late", "status.record", "status.reason"] {
        wait_for(rule, || found(&bench, rule) == 1).await;
    }
    let subject = |rule: &str| -> String {
        let sql = format!("SELECT subject FROM case_findings WHERE rule = '{rule}'");
        bench.books().query_row(&sql, [], |row| row.get(0)).expect("a subject")
    };
    let subjects = ["status.crl", "status.late", "status.record", "status.reason"].map(subject);
    assert_eq!(subjects, ["serial 20", "serial 30", "serial 40", "serial 50"]);
    daemon.wait_for("ctwarden_revocations_awaited{issuer=\"Tests CA\"}", 1).await;
    daemon.wait_for("ctwarden_crls{issuer=\"Tests CA\",state=\"good\"}", 1).await;

    // SIGKILL; then the CRL lists what it lacked.
    drop(daemon);
    crls.serve("1.crl", Some(of(2, &[&listed[..], &[(0x20, superseded), (0x30, superseded)]].concat())));
    let daemon = Daemon::start(&bench).await;
    wait_for("the serial on the CRL", || state_of(&bench, 0x20) == "seen_on_crl").await;
    daemon.wait_for("ctwarden_revocations_awaited{issuer=\"Tests CA\"}", 0).await;
    let resolved =
        || bench.mails().into_values().any(|mail| mail.contains("[resolved]") && mail.contains("serial number is on"));
    wait_for("a message that it is listed", resolved).await;
    assert_eq!(found(&bench, "status.crl"), 1);

    // An entry may not vanish before its certificate has expired.
    crls.serve("1.crl", Some(of(3, &[&listed[1..], &[(0x20, superseded), (0x30, superseded)]].concat())));
    wait_for("the entry that vanished", || found(&bench, "status.crl") == 2).await;
    // It comes back; and one whose case was about its absence before vanishes, which is news all the same.
    crls.serve("1.crl", Some(of(4, &[&listed[..], &[(0x30, superseded)]].concat())));
    wait_for("the entry that came back", || state_of(&bench, 0x10) == "seen_on_crl").await;
    wait_for("the other that vanished", || state_of(&bench, 0x20) == "revoked_in_db").await;
    let told = "SELECT count(*) FROM case_findings JOIN cases USING (case_number)
                WHERE rule = 'status.crl' AND hex(serial) = '20' AND finding LIKE '%on none of them any more%'";
    assert_eq!(bench.count(told), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_catches_up_with_the_crl_ends_the_case_about_that_and_no_silence_does() {
    let (ca, log, crls) = (TestCa::new("Tests CA"), log().await, Crls::start().await);
    let (url, start) = (crls.url("1.crl"), now().minus(HOUR));
    let of = |number: u64, revoked: &[(u64, RevocationReason)]| {
        Some(ca.crl(&url, number, start.plus(Span::from_seconds(number as i64)), revoked))
    };
    let (superseded, compromised) = (RevocationReason::Superseded, RevocationReason::KeyCompromise);
    crls.serve("1.crl", of(1, &[(0x40, superseded), (0x50, compromised)]));
    let bench = bench(&[&log], &ca, &format!("crls = [\"{url}\"]"));
    // What is not meant for the logs is not looked for in them: the case is about the CRL alone.
    let mut rows = vec![issuer_row(&ca).replace("\"public\"", "\"internal\"")];
    rows.extend([0x40, 0x50].map(|serial| certificate_row(serial, "issued")));
    let days = |days: i64| Some(now().minus(Span::from_days(days)));
    rows.push(revocation_row(0x50, None, days(2), 4));
    feed(&bench, &rows).await;
    let daemon = Daemon::start(&bench).await;
    let states = || [0x40, 0x50].map(|serial| state_of(&bench, serial));
    wait_for("both cases", || states() == ["new", "new"]).await;
    let resolved = |words: &str| {
        let mails = bench.mails().into_values();
        mails.filter(|mail| mail.contains("[resolved]") && mail.contains(words)).count()
    };

    // A CRL that cannot be fetched, and one round more with it: nobody agrees with anybody.
    crls.serve("1.crl", None);
    let failing = "SELECT count(*) FROM crls WHERE good_at < failing_since";
    wait_for("an outage", || bench.count(failing) == 1).await;
    assert_eq!((states(), resolved("")), (["new", "new"].map(String::from), 0));
    // The reason on the CRL is now that of the record.
    crls.serve("1.crl", of(2, &[(0x40, superseded), (0x50, superseded)]));
    wait_for("the end of the second", || state_of(&bench, 0x50) == "closed").await;
    wait_for("its message", || resolved("agree on the reason 4") == 1).await;
    assert_eq!(state_of(&bench, 0x40), "new");

    // SIGKILL; then the record catches up.
    drop(daemon);
    feed(&bench, &[revocation_row(0x40, None, days(2), 4)]).await;
    let daemon = Daemon::start(&bench).await;
    wait_for("the end of the first", || state_of(&bench, 0x40) == "closed").await;
    wait_for("its message", || resolved("the record agrees with the CRL") == 1).await;
    // The same disagreement once more opens the case once more.
    crls.serve("1.crl", of(3, &[(0x40, superseded), (0x50, compromised)]));
    wait_for("the second again", || state_of(&bench, 0x50) == "new").await;
    assert_eq!((state_of(&bench, 0x40).as_str(), resolved("")), ("closed", 2));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_down_is_one_case_however_many_crls_it_has() {
    let (ca, log, crls) = (TestCa::new("Tests CA"), log().await, Crls::start().await);
    let urls = ["1.crl", "2.crl", "3.crl"].map(|name| format!("\"{}\"", crls.url(name)));
    let bench = bench(&[&log], &ca, &format!("crls = [{}]", urls.join(", ")));
    let cases = |state: &str| {
        let sql = format!("SELECT count(*) FROM cases WHERE about = 'crl' AND state = '{state}'");
        bench.count(&sql)
    };
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for("ctwarden_crls{issuer=\"Tests CA\",state=\"bad\"}", 3).await;
    wait_for("the one case", || cases("new") == 1).await;
    let failed = |metrics: &str| {
        support::scene::metric(metrics, "ctwarden_rule_evaluations_total{result=\"fail\",rule=\"crl.available\"}")
    };
    let before = failed(&daemon.metrics().await);
    daemon.wait("two more rounds", |metrics| failed(metrics) >= before + 6.0, "this").await;
    assert_eq!(bench.mails().values().filter(|mail| mail.contains("crl.available")).count(), 1);
    // Two are back: what is left is the fault of the third.
    for name in ["1.crl", "2.crl"] {
        crls.serve(name, Some(ca.crl(&crls.url(name), 1, now().minus(HOUR), &[])));
    }
    wait_for("the end of the one", || cases("closed") == 1).await;
    wait_for("the case of the third", || cases("new") == 1).await;
    let third = "SELECT count(*) FROM case_findings WHERE rule = 'crl.available' AND subject LIKE '%/3.crl'";
    assert_eq!(bench.count(third), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crl_that_cannot_be_relied_on_is_its_own_case_and_never_a_certificates() {
    let (ca, other, log, crls) = (TestCa::new("Tests CA"), TestCa::new("Tests CA"), log().await, Crls::start().await);
    let (url, start) = (crls.url("1.crl"), now().minus(HOUR));
    let of = |ca: &TestCa, number: u64| ca.crl(&url, number, start.plus(Span::from_seconds(number as i64)), &[]);
    let bench = bench(&[&log], &ca, &format!("crls = [\"{url}\"]"));
    let revoked = Some(now().minus(Span::from_days(2)));
    feed(&bench, &[issuer_row(&ca), certificate_row(0x20, "issued"), revocation_row(0x20, None, revoked, 4)]).await;
    let old = ca.crl(&url, 1, now().minus(Span::from_days(9)), &[]);
    let about = "SELECT count(*) FROM cases WHERE about = 'crl'";
    let rules = "SELECT group_concat(rule, ' ') FROM (SELECT rule FROM case_findings JOIN cases USING (case_number)
                 WHERE about = 'crl' ORDER BY found_at, rule)";
    let rules = || bench.books().query_row(rules, [], |row| row.get::<_, Option<String>>(0)).expect("rules");
    let of_certificates = || bench.count("SELECT count(*) FROM case_findings WHERE rule LIKE 'status.%'");

    // Nobody serves it.
    let daemon = Daemon::start(&bench).await;
    wait_for("that it cannot be fetched", || rules().as_deref() == Some("crl.available")).await;
    daemon.wait_for("ctwarden_crls{issuer=\"Tests CA\",state=\"bad\"}", 1).await;
    for (body, rule) in [
        (b"<html>not here</html>".to_vec(), "crl.form"),
        (of(&other, 5), "crl.signature"),
        (old, "crl.fresh"),
        (ca.crl(&crls.url("2.crl"), 5, start, &[]), "crl.scope"),
    ] {
        crls.serve("1.crl", Some(body));
        wait_for(rule, || rules().is_some_and(|rules| rules.contains(rule))).await;
    }
    assert_eq!((bench.count(about), of_certificates()), (1, 0));
    drop(daemon);

    // A good one: the case is closed, and now the certificate is missing on it.
    crls.serve("1.crl", Some(of(&ca, 9)));
    let daemon = Daemon::start(&bench).await;
    wait_for("the end of the case", || bench.count(&format!("{about} AND state = 'closed'")) == 1).await;
    wait_for("the certificate that is not listed", || found(&bench, "status.crl") == 1).await;
    // Its number may not go back.
    crls.serve("1.crl", Some(of(&ca, 8)));
    wait_for("the older number", || rules().is_some_and(|rules| rules.contains("crl.number"))).await;
    // An outage: the last good one counts until it expires, and nothing is said of certificates.
    crls.serve("1.crl", None);
    let failing = "SELECT count(*) FROM crls WHERE good_at < failing_since";
    wait_for("an outage", || bench.count(failing) == 1).await;
    // What was put on a newer one meanwhile is not known.
    feed(&bench, &[certificate_row(0x21, "issued"), revocation_row(0x21, None, revoked, 4)]).await;
    another_round(&daemon).await;
    daemon.wait_for("ctwarden_crls{issuer=\"Tests CA\",state=\"good\"}", 1).await;
    assert_eq!((bench.count(about), of_certificates()), (1, 1));
    let mails = bench.mails();
    assert!(mails.values().any(|mail| mail.contains("a good CRL is served again")), "{:?}", mails.keys());
    crls.serve("1.crl", Some(of(&ca, 10)));
    wait_for("what the CRL lacks after all", || found(&bench, "status.crl") == 2).await;
    daemon.stop().await;
}
