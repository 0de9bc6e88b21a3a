//! Mail from notice to mailbox: what is written, that it arrives, and that nobody in between or in a certificate can
//! change it.

mod support;

use std::time::Duration;

use ctwarden::case::{CaseNumber, CertificateFacts, EntryKind, EventKind, Notice, SanFact, Sighting, case_name};
use ctwarden::clock::{DAY, Span, Timestamp};
use ctwarden::finding::{Finding, KeyHash, RevocationClock, Severity};
use ctwarden::notify::{
    Addressing, Folder, Mail, Memory, Notifier, Profile, SendError, Smtp, SmtpSettings, Tls, compose, test_notice, text,
};
use support::mime::Part;
use support::smtp::{Knobs, PASSWORD, SmtpServer, USER};

const AWARE: Timestamp = Timestamp::from_seconds(1_795_252_442);

fn finding(rule: &'static str, citation: &'static str, subject: &str, detail: &str) -> Finding {
    Finding {
        rule: rule.into(),
        severity: Severity::Error,
        citation: citation.into(),
        clock: RevocationClock::Day(5),
        subject: subject.into(),
        detail: detail.into(),
        evidence: vec![],
    }
}

/// The first seed incident as the monitor would tell it.
fn barakaldo() -> Notice {
    let name = "www.barakaldo.bizkaia.euskalsarea";
    let internal = finding("name.internal", "BR 4.2.2", name, "the TLD \"euskalsarea\" is not in the root zone")
        .with_evidence("TLD table", "list of 2026-11-21");
    let unexpected = finding("san.unexpected", "BR 4.2.1", name, "the order does not name it")
        .with_evidence("issuance database", "order 8812 names www.barakaldo.eus");
    let sighting = |log: &str, index, included| Sighting {
        log: log.into(),
        index,
        kind: EntryKind::Precertificate,
        logged_at: AWARE.minus(Span::from_seconds(91)),
        seen_at: AWARE.minus(Span::from_seconds(57)),
        included,
    };
    Notice {
        case: case_name(CaseNumber(42), AWARE),
        event: EventKind::Opened,
        event_number: 1,
        event_at: AWARE,
        aware_at: AWARE,
        clock: RevocationClock::Day(5),
        due: Some(AWARE.plus(DAY)),
        severity: Severity::Error,
        findings: vec![internal, unexpected],
        new_findings: 2,
        clock_since: None,
        resolved: None,
        certificate: Some(CertificateFacts {
            issuer: "Example CA G2".into(),
            issuer_key_hash: KeyHash([0x9f; 32]),
            serial: "04ab".into(),
            precertificate_sha256: Some("7a".repeat(32)),
            certificate_sha256: None,
            spki_sha256: "5e".repeat(32),
            subject: "CN=www.barakaldo.bizkaia.euskalsarea".into(),
            not_before: Some(AWARE.minus(Span::from_seconds(3600))),
            not_after: Some(AWARE.plus(Span::from_days(90))),
            sans: vec![
                SanFact { text: "dNSName www.barakaldo.eus".into(), offending: false },
                SanFact { text: format!("dNSName {name}"), offending: true },
            ],
        }),
        sightings: vec![sighting("navigli2026h2", 123_456, true), sighting("argon2026h2", 98, false)],
        record: vec![
            ("order".into(), "8812 channel=manual account=77 names=www.barakaldo.eus".into()),
            ("approval".into(), "validate op3 2026-11-21 09:01Z".into()),
        ],
        not_evaluable: vec![("dcv.exists".into(), "no table of confirmations".into())],
        opinions: vec![("pkilint 0.13.3".into(), "name.internal: also pkilint cabf.internal_domain_name".into())],
        subject_line: format!(
            "[error 24h] CASE-2026-0042: name.internal {name} | Example CA G2 | due 2026-11-22 09:14Z"
        ),
    }
}

fn to(recipient: &str) -> Addressing {
    Addressing::parse("ctwarden <ct@ca.example>", recipient, Profile::Human).expect("addresses")
}

/// Text, HTML and JSON of a mail.
fn contents(mail: &Part) -> [String; 3] {
    assert!(mail.header("content-type").expect("type").starts_with("multipart/mixed"));
    let outer = mail.parts();
    let [alternative, json] = &outer[..] else { panic!("{} parts", outer.len()) };
    assert!(alternative.header("content-type").expect("type").starts_with("multipart/alternative"));
    let inner = alternative.parts();
    let [plain, html] = &inner[..] else { panic!("{} alternatives", inner.len()) };
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.header("content-disposition"), Some("attachment; filename=\"CASE.json\""));
    [plain.decoded(), html.decoded(), json.decoded()]
}

#[test]
fn the_text_part_says_it_all_in_the_agreed_order() {
    let expected = "\
[error 24h] CASE-2026-0042: name.internal www.barakaldo.bizkaia.euskalsarea | Example CA G2 | revoke by 2026-11-22 09:14Z
Case: CASE-2026-0042
Event: opened

WHY   www.barakaldo.bizkaia.euskalsarea [name.internal, error, BR 4.2.2, 24h]
      the TLD \"euskalsarea\" is not in the root zone; [TLD table] list of 2026-11-21
      www.barakaldo.bizkaia.euskalsarea [san.unexpected, error, BR 4.2.1, 24h]
      the order does not name it; [issuance database] order 8812 names www.barakaldo.eus
RULES name.internal, san.unexpected (2 findings, 2 new)
CLOCK aware 2026-11-21T09:14:02Z; BR 4.9.1.1 item 5 -> 24 h to PUBLISHED revocation; due 2026-11-22T09:14:02Z; CRLReason 4 superseded
CERT  Example CA G2; issuer key 9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f
      serial 04ab; subject CN=www.barakaldo.bizkaia.euskalsarea
      valid 2026-11-21T08:14:02Z to 2027-02-19T09:14:02Z
      precertificate sha256 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a
      certificate sha256 not seen yet (presumed to exist, MRSP 5.4); key sha256 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
SANS  ! dNSName www.barakaldo.bizkaia.euskalsarea
      dNSName www.barakaldo.eus
CT    navigli2026h2 index 123456 (precertificate): logged 2026-11-21T09:12:31Z, seen 2026-11-21T09:13:05Z (+34s), inclusion proven
      argon2026h2 index 98 (precertificate): logged 2026-11-21T09:12:31Z, seen 2026-11-21T09:13:05Z (+34s), inclusion not yet proven
DB    order 8812 channel=manual account=77 names=www.barakaldo.eus
      approval validate op3 2026-11-21 09:01Z
SKIP  not judged: dcv.exists (no table of confirmations)
ALSO  other linters: pkilint 0.13.3: name.internal: also pkilint cabf.internal_domain_name
DO    1 check, then revoke serial 04ab with reason 4 superseded; on the CRL before 2026-11-22 09:14Z
      2 read all of it: ctwarden cases show CASE-2026-0042
LINK  https://crt.sh/?sha256=7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a
";
    assert_eq!(text::render(&barakaldo()), expected);
}

#[test]
fn a_clock_that_began_after_the_case_is_said_to_and_leaves_the_thread_as_it_is() {
    let since = AWARE.plus(Span::from_days(10));
    let later = Notice { clock_since: Some(since), due: Some(since.plus(DAY)), ..barakaldo() };
    let said =
        format!("CLOCK aware {since}; BR 4.9.1.1 item 5 -> 24 h to PUBLISHED revocation; due {}", since.plus(DAY));
    assert!(text::render(&later).contains(&said), "{}", text::render(&later));
    let mail = |notice: &Notice| Part::parse(&compose(notice, &to("oncall@ca.example")).bytes);
    assert_eq!(mail(&later).header("thread-index"), mail(&barakaldo()).header("thread-index"));
    let [_, _, json] = contents(&mail(&later));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["clock_since"], since.to_string(), "{json}");
}

#[test]
fn headers_of_the_first_mail_and_of_a_later_one() {
    let opened = compose(&barakaldo(), &to("On Call <oncall@ca.example>"));
    assert_eq!(opened.message_id, "<case.CASE-2026-0042.opened.1@ca.example>");
    let first = Part::parse(&opened.bytes);
    for (name, value) in [
        ("From", "ctwarden <ct@ca.example>"),
        ("To", "\"On Call\" <oncall@ca.example>"),
        ("Date", "Sat, 21 Nov 2026 09:14:02 +0000"),
        ("Message-ID", "<case.CASE-2026-0042.opened.1@ca.example>"),
        ("Subject", &barakaldo().subject_line),
        ("Thread-Topic", &barakaldo().subject_line),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Id", "ctwarden <ctwarden.ca.example>"),
        ("MIME-Version", "1.0"),
        ("X-ctwarden-Case", "CASE-2026-0042"),
        ("X-ctwarden-Event", "opened"),
        ("X-ctwarden-Severity", "error"),
        ("X-ctwarden-Rule", "name.internal, san.unexpected"),
    ] {
        assert_eq!(first.header(name), Some(value), "{name}");
    }
    for name in ["In-Reply-To", "References", "Precedence", "Bcc"] {
        assert_eq!(first.header(name), None, "{name}");
    }

    let update = Notice { event: EventKind::Updated, event_number: 3, event_at: AWARE.plus(DAY), ..barakaldo() };
    let later = compose(&update, &to("oncall@ca.example"));
    let third = Part::parse(&later.bytes);
    let (one, two) = ("<case.CASE-2026-0042.opened.1@ca.example>", "<case.CASE-2026-0042.updated.2@ca.example>");
    assert_eq!(third.header("Message-ID"), Some("<case.CASE-2026-0042.updated.3@ca.example>"));
    assert_eq!(third.header("In-Reply-To"), Some(two));
    assert_eq!(third.header("References"), Some(format!("{one} {two}").as_str()));
    assert_eq!(third.header("Subject"), Some(format!("Re: {}", barakaldo().subject_line).as_str()));
    assert_eq!(third.header("Thread-Topic"), first.header("Thread-Topic"));
    assert_eq!(third.header("X-ctwarden-Fingerprint"), first.header("X-ctwarden-Fingerprint"));
    assert!(contents(&third)[0].contains("\nEvent: updated\n"));

    let ticket = Addressing::parse("ct@ca.example", "desk@ca.example", Profile::Ticket).expect("addresses");
    let desk = compose(&barakaldo(), &ticket);
    let parsed = Part::parse(&desk.bytes);
    assert_eq!(desk.message_id, opened.message_id);
    for name in ["Auto-Submitted", "List-Id", "Precedence"] {
        assert_eq!(parsed.header(name), None, "{name}");
    }
    assert_eq!(parsed.header("X-ctwarden-Case"), Some("CASE-2026-0042"));
}

#[test]
fn the_parts_are_text_html_and_json_and_the_bytes_never_differ() {
    let mail = compose(&barakaldo(), &to("oncall@ca.example"));
    assert_eq!(mail, compose(&barakaldo(), &to("oncall@ca.example")));
    assert!(mail.bytes.is_ascii());
    let body = String::from_utf8(mail.bytes.clone()).expect("ASCII");
    assert!(body.replace("\r\n", "").chars().all(|c| (' '..='~').contains(&c)), "only CRLF ends lines");
    assert!(body.split("\r\n").all(|line| line.len() <= 998));

    let [plain, html, json] = contents(&Part::parse(&mail.bytes));
    assert_eq!(plain, text::render(&barakaldo()));
    assert!(html.contains("<strong>! dNSName www.barakaldo.bizkaia.euskalsarea</strong>"), "{html}");
    assert!(html.contains("href=\"https://crt.sh/?sha256=7a7a"));
    for forbidden in ["<script", "<img", "src=", "@import", "url("] {
        assert!(!html.contains(forbidden), "{forbidden} in {html}");
    }
    let case: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(case["case"], "CASE-2026-0042");
    assert_eq!(case["due"], "2026-11-22T09:14:02Z");
    assert_eq!(case["findings"][0]["evidence"][0]["text"], "list of 2026-11-21");
    assert_eq!(case["certificate"]["sans"][0]["offending"], true);
}

#[test]
fn a_test_message_says_that_it_is_one() {
    let notice = test_notice(AWARE);
    let mail = compose(&notice, &to("oncall@ca.example"));
    let parsed = Part::parse(&mail.bytes);
    assert_eq!(parsed.header("Subject"), Some("[test] ctwarden: test message of 2026-11-21 09:14Z"));
    assert!(contents(&parsed)[0].contains("Event: test\n\nWHY   This is the test message"));
    assert_ne!(
        mail.message_id,
        compose(&test_notice(AWARE.plus(Span::from_seconds(1))), &to("a@b.example")).message_id
    );
}

/// What a stranger would put into a SAN if the escaping before us failed.
const HOSTILE: [&str; 7] = [
    "a\r\nBcc: victim@example.net\r\n\r\nbody",
    "a\nX-ctwarden-Severity: notice",
    "=?utf-8?Q?=0D=0ABcc:_victim@example.net?=",
    "\u{202e}elpmaxe\u{2066}\u{feff}",
    "<script src=//evil.example></script><img src=x>&\"'",
    "\r\n.\r\nMAIL FROM:<x@example.net>",
    "\u{1b}]0;title\u{7}\u{0}\u{85}\u{2028}",
];

/// A notice in which every field that a stranger can reach is hostile, and there is far too much of everything.
fn hostile(text: &str) -> Notice {
    let mut notice = barakaldo();
    let long = format!("{text}{}", "x".repeat(2500));
    notice.subject_line = format!("[error 24h] {text} {}", "y ".repeat(3000));
    notice.findings = (0..300)
        .map(|n| {
            let mut finding = finding("name.internal", "BR 4.2.2", &format!("{text}{n}"), &long);
            finding.rule = format!("{text}.{n}").into();
            finding.citation = long.clone().into();
            finding.evidence = vec![ctwarden::finding::Evidence { source: long.clone().into(), text: long.clone() }; 5];
            finding
        })
        .collect();
    notice.record = (0..200).map(|_| (long.clone(), long.clone())).collect();
    notice.not_evaluable = notice.record.clone();
    notice.opinions = notice.record.clone();
    notice.sightings = vec![Sighting { log: long.clone(), ..notice.sightings[0].clone() }; 50];
    let facts = notice.certificate.as_mut().expect("a certificate");
    (facts.issuer, facts.serial, facts.subject) = (long.clone(), long.clone(), long.clone());
    (facts.certificate_sha256, facts.spki_sha256) = (Some(format!("\"><a href={text}")), long.clone());
    facts.sans = (0..2000).map(|n| SanFact { text: format!("dNSName {text}"), offending: n % 2 == 0 }).collect();
    notice
}

#[test]
fn no_name_in_a_certificate_adds_a_header_a_part_or_markup() {
    let plain_names: Vec<String> =
        Part::parse(&compose(&barakaldo(), &to("a@b.example")).bytes).headers.into_iter().map(|h| h.0).collect();
    for text in HOSTILE {
        let notice = hostile(text);
        let mail = compose(&notice, &to("a@b.example"));
        assert!(mail.bytes.is_ascii());
        let parsed = Part::parse(&mail.bytes);
        let names: Vec<String> = parsed.headers.iter().map(|h| h.0.clone()).collect();
        assert_eq!(names, plain_names, "{text:?}");
        for (name, value) in &parsed.headers {
            assert!(value.len() < 900 && !value.contains("=?"), "{name}: {value}");
        }
        let raw = String::from_utf8(mail.bytes).expect("ASCII");
        assert!(raw.split("\r\n").all(|line| line.len() <= 998), "{text:?}");

        let [plain, html, json] = contents(&parsed);
        assert!(plain.lines().count() <= 40, "{} lines: {plain}", plain.lines().count());
        assert!(plain.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{plain}");
        assert_eq!(plain.lines().filter(|line| line.starts_with("Case: ")).count(), 1);
        assert!(plain.contains("and 295 more findings") && plain.contains("and 900 more names"), "{plain}");
        assert!(html.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<a "), "{html}");
        let case: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert!(raw.len() < 3_000_000, "{} bytes", raw.len());
        let sans = case["certificate"]["sans"].as_array().expect("a list");
        assert_eq!(Some(sans.len() as u64), case["omitted"]["sans"].as_u64().map(|omitted| 2000 - omitted));
        assert!(sans.iter().all(|san| san["offending"] == true), "those are kept longest");
        assert_eq!(case["findings"][9]["subject"], format!("{text}9"));
    }
}

#[test]
fn a_name_that_repeats_the_boundary_of_an_earlier_mail_changes_the_boundary() {
    let boundary = |mail: &Mail| {
        let kind = Part::parse(&mail.bytes).header("content-type").expect("type").to_string();
        kind.split('"').nth(1).expect("a boundary").to_string()
    };
    let first = boundary(&compose(&barakaldo(), &to("a@b.example")));
    let mut notice = barakaldo();
    notice.findings[0].detail = format!("--{first}");
    let mail = compose(&notice, &to("a@b.example"));
    assert_ne!(boundary(&mail), first);
    assert!(contents(&Part::parse(&mail.bytes))[0].contains(&format!("--{first}")));
}

fn settings(server: &SmtpServer, tls: Tls) -> SmtpSettings {
    SmtpSettings {
        server: "localhost".into(),
        port: server.port,
        tls,
        username: Some(USER.into()),
        password: Some(PASSWORD.into()),
        ca_certificate: Some(server.certificate.clone()),
        timeout: Duration::from_secs(20),
    }
}

fn smtp(settings: SmtpSettings) -> Notifier {
    Notifier::Smtp(Smtp::new(settings).expect("settings"))
}

fn mail() -> Mail {
    compose(&barakaldo(), &to("oncall@ca.example"))
}

fn transient(result: Result<(), SendError>, words: &[&str]) {
    let Err(SendError::Transient(text)) = result else { panic!("{result:?}") };
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)) && !text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn mail_arrives_by_starttls_or_tls_with_either_login() {
    for (tls, knobs) in [
        (Tls::StartTls, Knobs::default()),
        (Tls::StartTls, Knobs { mechanisms: "LOGIN", ..Knobs::default() }),
        (Tls::Implicit, Knobs { implicit_tls: true, ..Knobs::default() }),
        (Tls::NoneOnLoopback, Knobs { starttls: false, ..Knobs::default() }),
    ] {
        let server = SmtpServer::start(knobs).await;
        for host in ["localhost", "127.0.0.1"] {
            let notifier = smtp(SmtpSettings { server: host.into(), ..settings(&server, tls) });
            assert_eq!(notifier.channel(), "mail");
            notifier.send(&mail()).await.expect("it is taken");
        }
        let received = server.received();
        assert_eq!(received.len(), 2);
        for message in received {
            assert_eq!((message.tls, message.login.as_deref()), (tls != Tls::NoneOnLoopback, Some(USER)));
            assert_eq!((message.from.as_str(), &message.to[..]), ("ct@ca.example", &["oncall@ca.example".into()][..]));
            // The end of the message is CRLF . CRLF, and the client adds that CRLF to one already there.
            assert_eq!(message.data.strip_suffix(b"\r\n"), Some(&mail().bytes[..]));
            assert_eq!(contents_of(&message.data), text::render(&barakaldo()));
        }
    }
}

fn contents_of(data: &[u8]) -> String {
    let data = data.strip_suffix(b"\r\n").expect("a last line end");
    contents(&Part::parse(data))[0].clone()
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_starttls_or_with_a_strange_certificate() {
    let plain = SmtpServer::start(Knobs { starttls: false, ..Knobs::default() }).await;
    transient(smtp(settings(&plain, Tls::StartTls)).send(&mail()).await, &["localhost", "STARTTLS", "check that"]);

    let other = SmtpServer::start(Knobs::default()).await;
    let stranger = SmtpServer::start(Knobs::default()).await;
    let wrong = SmtpSettings { ca_certificate: Some(other.certificate.clone()), ..settings(&stranger, Tls::StartTls) };
    transient(smtp(wrong).send(&mail()).await, &["no STARTTLS", "issuer is trusted"]);
    let system = SmtpSettings { ca_certificate: None, ..settings(&stranger, Tls::StartTls) };
    if let Ok(system) = Smtp::new(system) {
        transient(Notifier::Smtp(system).send(&mail()).await, &["no STARTTLS"]);
    }
    let wrong_port = settings(&stranger, Tls::Implicit);
    let impatient = SmtpSettings { timeout: Duration::from_secs(2), ..wrong_port };
    transient(smtp(impatient).send(&mail()).await, &["mail server localhost:"]);

    for server in [&plain, &stranger] {
        assert!(server.received().is_empty());
        let commands = server.commands();
        let said = |verb: &str| commands.iter().any(|line| line.starts_with(verb));
        assert!(!said("AUTH") && !said("MAIL"), "{commands:?}");
    }
}

#[tokio::test]
async fn what_fails_for_the_moment_arrives_later_as_the_same_message() {
    for knobs in [Knobs { busy: 1, ..Knobs::default() }, Knobs { drop_mid_data: 1, ..Knobs::default() }] {
        let server = SmtpServer::start(knobs).await;
        let notifier = smtp(settings(&server, Tls::StartTls));
        transient(notifier.send(&mail()).await, &["not accepted", "sent again"]);
        assert!(server.received().is_empty());
        for _ in 0..2 {
            notifier.send(&mail()).await.expect("it is taken");
        }
        let ids: Vec<Vec<u8>> = server.received().into_iter().map(|message| message.data).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1], "byte for byte");
    }
}

#[tokio::test]
async fn a_recipient_that_does_not_exist_is_permanent_and_stops_no_other() {
    let server = SmtpServer::start(Knobs { unknown_recipient: Some("gone@"), ..Knobs::default() }).await;
    let notifier = smtp(settings(&server, Tls::StartTls));
    let Err(SendError::Permanent(text)) = notifier.send(&compose(&barakaldo(), &to("gone@ca.example"))).await else {
        panic!("550 is permanent");
    };
    for word in ["mail server localhost:", "gone@ca.example", "550", "no such mailbox", "check [mail]"] {
        assert!(text.contains(word), "{text}");
    }
    notifier.send(&mail()).await.expect("the other recipient");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_login_that_fails_is_tried_again_because_somebody_may_mend_it() {
    let server = SmtpServer::start(Knobs::default()).await;
    let wrong = SmtpSettings { password: Some("guess".into()), ..settings(&server, Tls::StartTls) };
    transient(smtp(wrong).send(&mail()).await, &["login failed", "535", "password_file"]);
    let none = SmtpSettings { username: None, password: None, ..settings(&server, Tls::StartTls) };
    transient(smtp(none).send(&mail()).await, &["login demanded", "530"]);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn slow_and_absent_servers_cost_no_more_than_the_timeout() {
    let slow = SmtpServer::start(Knobs { greeting_delay: Duration::from_secs(60), ..Knobs::default() }).await;
    let short = SmtpSettings { timeout: Duration::from_millis(300), ..settings(&slow, Tls::StartTls) };
    transient(smtp(short).send(&mail()).await, &["no end within 0.3 s"]);

    let gone = SmtpServer::start(Knobs::default()).await;
    let notifier = smtp(settings(&gone, Tls::StartTls));
    drop(gone);
    tokio::task::yield_now().await;
    transient(notifier.send(&mail()).await, &["no session", "check [mail] server, port"]);

    let mute = SmtpServer::start(Knobs { mute_quit: true, ..Knobs::default() }).await;
    smtp(settings(&mute, Tls::StartTls)).send(&mail()).await.expect("taken is taken, whatever QUIT brings");
}

#[tokio::test]
async fn folder_and_memory_take_the_same_mail() {
    let place = tempfile::tempdir().expect("a directory");
    let folder = Folder::open(place.path()).expect("a folder");
    let file = folder.path(&mail());
    Notifier::Folder(folder).send(&mail()).await.expect("written");
    assert_eq!(std::fs::read(file).expect("the file"), mail().bytes);

    let memory = Memory::default();
    memory.fail_next(SendError::Transient("busy".into()));
    let notifier = Notifier::Memory(memory.clone());
    assert_eq!(notifier.send(&mail()).await, Err(SendError::Transient("busy".into())));
    assert_eq!(notifier.send(&mail()).await, Ok(()));
    assert_eq!(memory.sent(), [mail()]);
}
