//! A log list whose publisher's key is configured: one that this key did not sign is never used, whatever else is right
//! with it.

mod support;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ctwarden::clock::{Clock, Stopwatch};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::to_base64;
use ctwarden::demo::log::{Api, LogServer, LogSettings, log_list};
use support::daemon::{Daemon, edit, said_so_far};
use support::monitor::{Bench, said};

/// Nobody's certificates: what is in the logs does not matter here.
const ISSUERS: &str = "[[issuer]]\nname = \"Tests CA\"\n\
    issuer_key_hash = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
    [issuance]\nsource = \"none\"";

async fn log() -> LogServer {
    let log = LogServer::start(LogSettings::new(Api::StaticCt, Clock::System)).await.expect("a log");
    log.publish();
    log
}

fn pem(spki: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", to_base64(spki))
}

/// An RSA key of a publisher.
struct Publisher(KeyPair);

impl Publisher {
    fn new() -> Publisher {
        Publisher(KeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
    }

    fn pem(&self) -> String {
        let spki: PublicKeyX509Der<'_> = self.0.public_key().as_der().expect("its public half");
        pem(spki.as_ref())
    }

    fn sign(&self, list: &str) -> Vec<u8> {
        let mut block = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), list.as_bytes(), &mut block).expect("a signature");
        block
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_not_signed_by_its_publisher_does_not_start_the_daemon() {
    let log = log().await;
    let publisher = Publisher::new();
    let bench = Bench::new(&[&log], &format!("list_key = \"key.pem\"\n{ISSUERS}"), "");
    let list = std::fs::read_to_string(bench.path("logs.json")).expect("the list");
    let run = || bench.run_beside(&["run", "--until-caught-up"]);
    bench.write("key.pem", &publisher.pem());
    std::fs::write(bench.path("logs.sig"), publisher.sign(&list)).expect("write");
    let done = run().await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));

    let refused = |done: std::process::Output, reason: &str| {
        let text = said(&done);
        assert_eq!(done.status.code(), Some(2), "{text}");
        for part in ["logs.json: ", reason, "logs.sig", "get the list, its signature and the key"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    };
    // One byte more in the list, another key, no signature.
    bench.write("logs.json", &format!("{list} "));
    refused(run().await, "is not its signature by the key in");
    bench.write("logs.json", &list);
    bench.write("key.pem", &Publisher::new().pem());
    refused(run().await, "is not its signature by the key in");
    std::fs::remove_file(bench.path("logs.sig")).expect("remove");
    refused(run().await, "its signature cannot be had from");

    // ECDSA on P-256: the bare signature stands behind two algorithm numbers and a length.
    let signer = LogSigner::generate();
    bench.write("key.pem", &pem(&signer.spki_der()));
    std::fs::write(bench.path("logs.sig"), signer.sign(list.as_bytes()).split_off(4)).expect("write");
    let done = run().await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    log.stop().await;
}

/// A publisher's server: the list under an ETag, and its signature.
#[derive(Default)]
struct Served {
    status: u16,
    list: String,
    signature: Vec<u8>,
    lists_sent: u32,
    signatures_sent: u32,
}

type Shared = Arc<Mutex<Served>>;

fn locked(served: &Shared) -> std::sync::MutexGuard<'_, Served> {
    served.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(served: Shared) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/log_list.json", listener.local_addr().expect("its address"));
    let answer = move |uri: Uri, headers: HeaderMap| async move {
        let mut served = locked(&served);
        let status = StatusCode::from_u16(served.status).expect("a status");
        let etag = format!("\"{}\"", served.list.len());
        let response: Response = match uri.path() {
            _ if status != StatusCode::OK => status.into_response(),
            "/log_list.sig" => {
                served.signatures_sent += 1;
                served.signature.clone().into_response()
            }
            _ if headers.get("if-none-match").is_some_and(|tag| tag == etag.as_str()) => {
                StatusCode::NOT_MODIFIED.into_response()
            }
            _ => {
                served.lists_sent += 1;
                ([("etag", etag)], served.list.clone()).into_response()
            }
        };
        response
    };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
    url
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(watch.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_takes_what_is_signed_and_keeps_it_for_the_next_start() {
    let (one, two, forged) = (log().await, log().await, log().await);
    let now = Clock::System.now();
    let publisher = Publisher::new();
    let (first, second) = (log_list(&[&one], now).to_string(), log_list(&[&one, &two], now).to_string());
    let served: Shared = Arc::default();
    {
        let mut served = locked(&served);
        (served.status, served.list, served.signature) = (200, first.clone(), publisher.sign(&first));
    }
    let url = serve(served.clone()).await;
    let bench = Bench::with_list("", &format!("refresh = \"1s\"\nlist_key = \"key.pem\"\n{ISSUERS}"), "");
    edit(&bench, "\"logs.json\"", &format!("\"{url}\""));
    bench.write("key.pem", &publisher.pem());
    let daemon = Daemon::start(&bench).await;
    let failures = "ctwarden_input_refresh_failures_total{input=\"log_list\"}";
    let name = |log: &LogServer| log.url().trim_start_matches("http://").trim_end_matches('/').to_string();
    let followed = |metrics: &str, log: &LogServer| metrics.contains(&format!("log=\"{}\"", name(log)));

    // The list is published a moment before its signature: no failure, and the signature is not asked for again while
    // the list is the same.
    locked(&served).list = second.clone();
    let before = locked(&served).signatures_sent;
    wait_until("the new list meets the old signature", || locked(&served).signatures_sent > before).await;
    locked(&served).signature = publisher.sign(&second);
    daemon.wait("the second log", |metrics| followed(metrics, &two), &name(&two)).await;
    daemon.wait_for(failures, 0).await;

    // A list that the publisher did not sign changes nothing, is counted, and the reason is told.
    locked(&served).list = log_list(&[&one, &two, &forged], now).to_string();
    daemon.wait("a failure", |metrics| !metrics.contains(&format!("{failures} 0\n")), failures).await;
    let metrics = daemon.metrics().await;
    assert!(!followed(&metrics, &forged) && followed(&metrics, &one) && followed(&metrics, &two), "{metrics}");
    let text = said_so_far(&bench);
    assert!(text.contains("log_list.sig is not its signature by the key in"), "{text}");
    daemon.stop().await;

    // A start without the server uses the list that was verified; under another key even that is none.
    locked(&served).status = 503;
    let daemon = Daemon::start(&bench).await;
    daemon.wait("both logs", |metrics| followed(metrics, &one) && followed(metrics, &two), "the kept list").await;
    assert!(!followed(&daemon.metrics().await, &forged));
    daemon.stop().await;
    bench.write("key.pem", &Publisher::new().pem());
    let done = bench.run_beside(&["run"]).await;
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("HTTP 503"), "{}", said(&done));
    for log in [one, two, forged] {
        log.stop().await;
    }
}
