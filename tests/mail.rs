//! From a planted hit to a mailbox, through the real binary and a real mail server: STARTTLS, a login, a private CA.

mod support;

use std::process::Output;
use std::time::Duration;

use ctwarden::cert::Certificate;
use ctwarden::clock::Clock;
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use support::mime::Part;
use support::monitor::{Bench, printed, said};
use support::smtp::{Knobs, PASSWORD, Received, SmtpServer, USER};

const NAME: &str = "www.barakaldo.bizkaia.euskalsarea";

/// A log with one precertificate of ours for an internal name.
async fn log_with_one_mistake(ca: &Ca) -> LogServer {
    let now = Clock::System.now();
    let log = LogServer::start(LogSettings::new(Api::Rfc6962, Clock::System)).await.expect("log");
    let pre_certificate = ca.draft(&[NAME], now).expect("draft").precertificate().expect("precertificate");
    let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    log.append([RawEntry { timestamp: now, kind, chain: vec![ca.issuing_der().to_vec()] }]);
    log.publish();
    log
}

/// A configuration that follows the log and mails through the server.
fn bench(ca: &Ca, log: &LogServer, server: &SmtpServer) -> Bench {
    let issuers = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuer.pem\"\n[issuance]\nsource = \"none\"";
    let bench = Bench::new(&[log], issuers, "");
    bench.write("issuer.pem", &ca.issuing_pem());
    bench.write("smtp-ca.pem", std::str::from_utf8(&server.certificate).expect("PEM"));
    bench.write("smtp-password", &format!("{PASSWORD}\n"));
    let mail = format!(
        "server = \"localhost\"\nport = {}\ntls = \"starttls\"\nusername = \"{USER}\"\n\
         password_file = \"smtp-password\"\nca_certificate = \"smtp-ca.pem\"",
        server.port
    );
    change(&bench, "folder = \"mail\"", &mail);
    bench
}

fn change(bench: &Bench, from: &str, to: &str) {
    let config = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("config");
    assert!(config.contains(from), "{from}");
    bench.write("ctwarden.toml", &config.replace(from, to));
}

/// Ends well, and never shows the password.
fn ended_well(done: &Output) {
    assert_eq!(done.status.code(), Some(0), "{}{}", printed(done), said(done));
    assert!(!said(done).contains(PASSWORD) && !printed(done).contains(PASSWORD));
}

/// The one message taken, checked as a mail about the planted mistake; its Message-ID.
fn message_id(received: &Received) -> String {
    assert!(received.tls, "it came through TLS");
    assert_eq!(received.login.as_deref(), Some(USER));
    assert_eq!(received.from, "ctwarden@ca-tests.eus");
    assert_eq!(received.to, ["oncall@ca-tests.eus"]);
    let mail = Part::parse(&received.data);
    let subject = mail.header("subject").expect("a subject");
    assert!(subject.contains("name.internal") && subject.contains("CASE-"), "{subject}");
    let text = String::from_utf8_lossy(&received.data);
    assert!(text.contains(NAME), "{text}");
    mail.header("message-id").expect("a Message-ID").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_mistake_arrives_over_tls_once() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_with_one_mistake(&ca).await;
    let server = SmtpServer::start(Knobs::default()).await;
    let bench = bench(&ca, &log, &server);
    for _ in 0..2 {
        ended_well(&bench.run_beside(&["run", "--until-caught-up"]).await);
        assert_eq!(server.received().len(), 1);
    }
    let first = message_id(&server.received()[0]);
    assert!(server.commands().iter().any(|command| command == "STARTTLS"), "{:?}", server.commands());

    // As a crash between the server's 250 and the delivered mark leaves it: told again, recognisable by its name.
    bench.books().execute("UPDATE outbox SET delivered_at = NULL, next_try_at = 0", []).expect("SQL");
    ended_well(&bench.run_beside(&["run", "--until-caught-up"]).await);
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(message_id(&received[1]), first);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_gets_the_mail_later_even_from_another_process() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_with_one_mistake(&ca).await;
    let server = SmtpServer::start(Knobs { busy: 1, ..Knobs::default() }).await;
    let bench = bench(&ca, &log, &server);
    let began = Clock::System.now();
    let mut daemon = bench.start(&["run"]);
    let mut tried = false;
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tried = bench.path("data/books.sqlite").exists()
            && bench.books().query_row("SELECT max(attempts) FROM outbox", [], |row| row.get(0)).unwrap_or(0) == 1;
        if tried {
            break;
        }
    }
    daemon.kill().expect("SIGKILL");
    daemon.wait().expect("gone");
    let log_text = std::fs::read_to_string(bench.path("daemon.log")).expect("what it said");
    assert!(tried, "{log_text}");
    assert!(server.received().is_empty());
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND last_error LIKE '%451%'"), 1);
    let wait = bench.count("SELECT next_try_at FROM outbox") - began.millis();
    assert!((10_000..120_000).contains(&wait), "tried again after {wait} ms");
    // What the server says is a stranger's text: its escape sequence does not reach a terminal.
    assert!(log_text.contains("451") && log_text.contains("try later") && !log_text.contains('\u{1b}'), "{log_text}");
    let waiting = bench.run_beside(&["cases", "--format", "json"]).await;
    assert!(printed(&waiting).contains("\"mails_waiting\":1"), "{}", printed(&waiting));

    bench.books().execute("UPDATE outbox SET next_try_at = 0", []).expect("SQL");
    ended_well(&bench.run_beside(&["run", "--until-caught-up"]).await);
    let received = server.received();
    assert_eq!(received.len(), 1);
    message_id(&received[0]);
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NULL"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM case_events"), 1, "one event, however often it was tried");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_alert_says_whether_mail_arrives() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_with_one_mistake(&ca).await;
    let server = SmtpServer::start(Knobs { unknown_recipient: Some("nobody"), ..Knobs::default() }).await;
    let bench = bench(&ca, &log, &server);
    let good = bench.run_beside(&["test-alert"]).await;
    ended_well(&good);
    assert!(printed(&good).starts_with("oncall@ca-tests.eus: handed over as <"), "{}", printed(&good));
    let received = server.received();
    assert_eq!((received.len(), received[0].tls, received[0].login.as_deref()), (1, true, Some(USER)));
    let id = Part::parse(&received[0].data).header("message-id").expect("a Message-ID").to_string();
    assert!(printed(&good).contains(&id), "{id}");
    assert!(!bench.path("data/books.sqlite").exists(), "a test is no case");

    // One of two recipients is unknown: the other is served, and the exit code tells.
    change(&bench, "[\"oncall@ca-tests.eus\"]", "[\"nobody@ca-tests.eus\", \"oncall@ca-tests.eus\"]");
    let half = bench.run_beside(&["test-alert", "--format", "json"]).await;
    assert_eq!(half.status.code(), Some(3), "{}", said(&half));
    let lines: Vec<serde_json::Value> =
        printed(&half).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["to"] == "nobody@ca-tests.eus" && lines[0]["error"].as_str().is_some_and(|e| e.contains("550")));
    assert!(lines[1]["to"] == "oncall@ca-tests.eus" && lines[1]["error"].is_null());
    assert_eq!(server.received().len(), 2);

    let refused = async |what: &str, sentence: &str, server: &SmtpServer| {
        let before = server.received().len();
        let done = bench.run_beside(&["test-alert"]).await;
        assert_eq!(done.status.code(), Some(3), "{what}: {}{}", printed(&done), said(&done));
        assert!(printed(&done).contains(sentence), "{what}: {}", printed(&done));
        assert!(!printed(&done).contains(PASSWORD) && !said(&done).contains(PASSWORD), "{what}");
        assert_eq!(server.received().len(), before, "{what}: nothing was sent");
    };
    bench.write("smtp-password", "wrong");
    refused("a wrong password", "535", &server).await;
    bench.write("smtp-password", PASSWORD);
    let stranger = SmtpServer::start(Knobs::default()).await;
    bench.write("smtp-ca.pem", std::str::from_utf8(&stranger.certificate).expect("PEM"));
    refused("a certificate of a CA that is not trusted", "certificate", &server).await;
    let plain = SmtpServer::start(Knobs { starttls: false, ..Knobs::default() }).await;
    change(&bench, &format!("port = {}", server.port), &format!("port = {}", plain.port));
    refused("a server without STARTTLS", "STARTTLS", &plain).await;
    assert!(!plain.commands().iter().any(|command| command == "AUTH"), "the password is not sent in the clear");
    log.stop().await;
}
