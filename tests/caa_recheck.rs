//! CAA looked up once more when a certificate is first seen: what the DNS says now, and what becomes of it.

#[path = "support/mod.rs"]
mod support;

#[path = "support/dns.rs"]
mod dns;

#[path = "support/signed_dns.rs"]
mod signed_dns;

use std::net::SocketAddr;
use std::time::Duration;

use ctwarden::demo::log::{Api, LogServer, log_list};
use ctwarden::judges::caa::{CaaLookup, NAME};
use ctwarden::judges::{Answer, Judge, JudgeError, Settings, Way};
use ctwarden::pipeline::hear_opinions_due;
use dns::{Dns, Known};
use signed_dns::{SignedDns, Way as Sent};
use support::issuer::{Leaf, TestCa, leaf};
use support::monitor::{Bench, printed};
use support::scene::{bench, caught_up, metric, now, open, still};

fn settings(resolver: SocketAddr, dnssec: bool) -> Settings {
    let lookup = CaaLookup {
        resolvers: vec![resolver],
        issuer_domains: vec!["ca.example".to_string()],
        dnssec,
        trust_anchor: None,
        query_timeout: Duration::from_secs(2),
    };
    let timeout = Duration::from_secs(60);
    Settings { name: NAME.to_string(), way: Way::Dns(lookup), timeout, at_once: 2, batch: 1, version_command: None }
}

fn certificate(names: &[&str]) -> Vec<u8> {
    let names = names.iter().map(|name| name.to_string()).collect();
    TestCa::new("Tests CA").precertificate(&Leaf { names, ..leaf(1, "unused") })
}

async fn ask(settings: Settings, names: &[&str]) -> Result<Answer, JudgeError> {
    let judge = Judge::new(settings).expect("a resolver");
    Ok(judge.ask(&[certificate(names)]).await?.remove(0))
}

/// Code and field of each finding.
fn told(answer: &Answer) -> Vec<(&str, &str)> {
    answer.findings.iter().map(|found| (found.code.as_str(), found.field.as_str())).collect()
}

#[tokio::test]
async fn the_tree_is_climbed_and_what_stands_there_is_judged() {
    let dns = Dns::start();
    dns.caa("permits.example", &["0 issue \"ca.example\"", "0 iodef \"mailto:x@permits.example\""]);
    dns.caa("other.example", &["0 issue \"other-ca.example\""]);
    dns.caa("wild.example", &["0 issue \"ca.example\"", "0 issuewild \";\""]);
    dns.caa("critical.example", &["128 strange \"x\""]);
    dns.set("www.alias.example", Known::Alias("target.elsewhere.example".to_string()));
    dns.caa("target.elsewhere.example", &["0 issue \"other-ca.example\""]);
    dns.set("broken.example", Known::Broken);
    dns.caa("empty.example", &[]);
    let names = [
        "www.permits.example",
        "a.b.other.example",
        "wild.example",
        "*.wild.example",
        "critical.example",
        "www.alias.example",
        "www.broken.example",
        "empty.example",
        "nothing.here.example",
    ];
    let answer = ask(settings(dns.address, false), &names).await.expect("an answer");
    let denied = ["*.wild.example", "a.b.other.example", "critical.example", "www.alias.example"];
    let denied: Vec<String> = denied.iter().map(|name| format!("dNSName {name}")).collect();
    let expected: Vec<(&str, &str)> = denied.iter().map(|field| ("denied_now", field.as_str())).collect();
    let failed = ("failed_now", "dNSName www.broken.example");
    assert_eq!(told(&answer), [&expected[..], &[failed]].concat(), "{answer:?}");
    let text = |field: &str| answer.findings.iter().find(|f| f.field.ends_with(field)).expect("found").text.clone();
    assert!(text("b.other.example").contains("\"other-ca.example\" (looked up now; DNS may have changed)"));
    assert!(text("critical.example").contains("unknown tag strange"));
    assert!(text("broken.example").contains("CAA of broken.example"), "{}", text("broken.example"));
    assert_eq!(answer.linters, [NAME]);
    assert!(answer.version.contains("DNSSEC off"), "{}", answer.version);
}

#[tokio::test]
async fn what_dnssec_does_not_confirm_is_not_relied_upon() {
    let dns = Dns::start();
    // Nothing is signed here, and the root's keys are others.
    dns.caa("permits.example", &["0 issue \"ca.example\""]);
    let answer = ask(settings(dns.address, true), &["permits.example"]).await.expect("an answer");
    assert_eq!(told(&answer), [("failed_now", "dNSName permits.example")], "{answer:?}");
}

#[tokio::test]
async fn a_signed_zone_is_relied_upon_and_one_that_was_tampered_with_is_not() {
    let (dns, other) = (SignedDns::start(), SignedDns::start());
    dns.caa("signed.example", &["0 issue \"ca.example\"", "0 iodef \"mailto:x@signed.example\""], Sent::Clear);
    dns.caa("other.example", &["0 issue \"other-ca.example\""], Sent::Clear);
    dns.caa("forged.example", &["0 issue \"ca.example\""], Sent::Forged);
    dns.caa("stripped.example", &["0 issue \"ca.example\""], Sent::Stripped);
    let folder = tempfile::tempdir().expect("a folder");
    let (anchor, wrong) = (folder.path().join("root.key"), folder.path().join("other-root.key"));
    dns.write_anchor(&anchor);
    other.write_anchor(&wrong);
    let trusting = |anchor: &std::path::Path| {
        let mut settings = settings(dns.address, true);
        if let Way::Dns(lookup) = &mut settings.way {
            lookup.trust_anchor = Some(anchor.to_path_buf());
        }
        settings
    };
    // The absence of records at www.signed.example and below is proven too, or the tree would not be climbed.
    let names = ["a.www.signed.example", "signed.example", "b.other.example", "forged.example", "stripped.example"];
    let answer = ask(trusting(&anchor), &names).await.expect("an answer");
    let expected = [
        ("denied_now", "dNSName b.other.example"),
        ("failed_now", "dNSName forged.example"),
        ("failed_now", "dNSName stripped.example"),
    ];
    assert_eq!(told(&answer), expected, "{answer:?}");
    assert!(answer.version.contains("DNSSEC on"), "{}", answer.version);
    // The same zone under another root is not relied upon, and neither is its absence of records.
    let answer = ask(trusting(&wrong), &["signed.example", "nothing.example"]).await.expect("an answer");
    let expected = [("failed_now", "dNSName nothing.example"), ("failed_now", "dNSName signed.example")];
    assert_eq!(told(&answer), expected, "{answer:?}");
}

#[tokio::test]
async fn a_resolver_that_is_not_there_has_said_nothing() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let refused = ask(settings(nobody, false), &["www.example.com"]).await.expect_err("no answer");
    assert!(matches!(refused, JudgeError::Unreachable(_) | JudgeError::TimedOut(_)), "{refused:?}");
}

#[tokio::test]
async fn a_domain_of_which_nothing_comes_back_is_its_own_fault_and_holds_up_nothing() {
    let dns = Dns::start();
    let names: Vec<String> = (0..12).map(|number| format!("n{number:02}.silent.example")).collect();
    names.iter().for_each(|name| dns.set(name, Known::Silent));
    let mut quick = settings(dns.address, false);
    let Way::Dns(lookup) = &mut quick.way else { panic!("the DNS") };
    lookup.query_timeout = Duration::from_millis(200);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = ask(quick, &names).await.expect("an answer");
    let mut expected: Vec<(&str, String)> =
        names[..8].iter().map(|name| ("failed_now", format!("dNSName {name}"))).collect();
    expected.push(("not_looked_up", "subjectAltName".to_string()));
    let told: Vec<(&str, String)> = told(&answer).into_iter().map(|(code, field)| (code, field.to_string())).collect();
    assert_eq!(told, expected, "{answer:?}");
    assert_eq!(answer.findings[8].text, "4 more names were not looked up");
}

#[tokio::test]
async fn only_so_many_names_are_looked_up_and_the_others_are_told() {
    let dns = Dns::start();
    let names: Vec<String> = (0..205).map(|number| format!("n{number:03}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = ask(settings(dns.address, false), &names).await.expect("an answer");
    assert_eq!(told(&answer), [("not_looked_up", "subjectAltName")]);
    assert_eq!(answer.findings[0].text, "5 more names were not looked up");
}

/// A log with a precertificate of ours for `www.example.com`, logged so long ago, and a monitor that looks CAA up.
async fn scene(resolver: SocketAddr, age: ctwarden::clock::Span) -> (Bench, LogServer) {
    let (log, ca) = (still(Api::Rfc6962).await, TestCa::new("Tests CA"));
    log.append([ca.precert_entry(&leaf(1, "www.example.com"), now().minus(age))]);
    log.publish();
    let list = log_list(&[&log], now()).to_string();
    let bench = bench(&list, &ca, "");
    let configured = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    let configured = configured.replace("source = \"none\"", "source = \"none\"\ncaa_domains = [\"ca.example\"]");
    let recheck = format!("[caa_recheck]\nresolvers = [\"{resolver}\"]\ndnssec = false\ntimeout = \"2s\"");
    bench.write("ctwarden.toml", &format!("{configured}\n{recheck}\n"));
    (bench, log)
}

const FOUND: &str = "SELECT count(*) FROM case_findings WHERE rule = 'caa-now:denied_now' AND finding LIKE '%review%'";
const WAITING: &str = "SELECT count(*) FROM opinions WHERE next_try_at IS NOT NULL";

#[tokio::test]
async fn records_that_forbid_now_what_was_just_issued_are_for_review() {
    let dns = Dns::start();
    dns.caa("example.com", &["0 issue \"other-ca.example\""]);
    let (bench, _log) = scene(dns.address, ctwarden::clock::Span::from_seconds(60)).await;
    let metrics = caught_up(&bench).await.expect("all is read");
    assert_eq!((bench.count(FOUND), bench.count(WAITING)), (1, 0));
    assert_eq!(metric(&metrics, "ctwarden_judge_requests_total{judge=\"caa-now\",outcome=\"answered\"}"), 1.0);
    let shown = printed(&bench.run_beside(&["cases", "show", "1"]).await);
    assert!(shown.contains("caa-now:denied_now") && shown.contains("DNS may have changed"), "{shown}");
    let clocks =
        "SELECT count(*) FROM case_findings WHERE rule LIKE 'caa-now:%' AND finding LIKE '%\"clock\":\"None\"%'";
    let finding = bench
        .books()
        .query_row("SELECT finding FROM case_findings WHERE rule LIKE 'caa-now:%'", [], |row| row.get::<_, String>(0));
    assert_eq!(bench.count(clocks), 1, "it proves nothing, so no clock runs: {finding:?}");
}

#[tokio::test]
async fn what_was_logged_long_ago_is_not_looked_up() {
    let dns = Dns::start();
    dns.caa("example.com", &["0 issue \"other-ca.example\""]);
    let (bench, _log) = scene(dns.address, ctwarden::clock::Span::from_days(2)).await;
    caught_up(&bench).await.expect("all is read");
    assert_eq!((bench.count(FOUND), bench.count("SELECT count(*) FROM opinions")), (0, 0));
}

#[tokio::test]
async fn an_outage_of_the_dns_is_no_finding_and_is_made_up_for() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let (bench, _log) = scene(nobody, ctwarden::clock::Span::from_seconds(60)).await;
    let metrics = caught_up(&bench).await.expect("all of ours is done");
    let foreign = "SELECT count(*) FROM case_findings WHERE rule LIKE '%:%'";
    assert_eq!((bench.count(foreign), bench.count(WAITING)), (0, 1));
    assert_eq!(metric(&metrics, "ctwarden_judge_opinions_waiting{judge=\"caa-now\"}"), 1.0);
    let dns = Dns::start();
    dns.caa("example.com", &["0 issue \"other-ca.example\""]);
    let configured = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    bench.write("ctwarden.toml", &configured.replace(&nobody.to_string(), &dns.address.to_string()));
    bench.books().execute("UPDATE opinions SET next_try_at = 0", []).expect("the books");
    let daemon = open(&bench).await;
    let walk = daemon.walk().clone();
    let round = hear_opinions_due(&walk, &walk.judges[0]).await.expect("the books");
    assert_eq!((round.answered, bench.count(FOUND), bench.count(WAITING)), (1, 1, 0));
}
