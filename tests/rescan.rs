//! `ctwarden rescan` on books that a daemon wrote: what is new, what is gone, what stays; interrupted and gone on with;
//! cases only when they are asked for.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use ctwarden::clock::{Clock, HOUR, Span, Timestamp};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use serde_json::{Value, json};
use support::monitor::{Bench, printed, said};

/// More than are judged between two marks.
const CERTIFICATES: usize = 600;
const BATCH: usize = 512;
const INTERNAL: usize = 2;

/// A precertificate of ours and its serial.
fn ours(ca: &Ca, number: usize, at: Timestamp) -> (RawEntry, String) {
    let name = if number < INTERNAL { format!("host{number}.euskalsarea") } else { format!("host{number}.eus") };
    let draft = ca.draft(&[&name], at).expect("draft");
    let pre_certificate = draft.precertificate().expect("precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    let chain = vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()];
    (RawEntry { timestamp: at, kind, chain }, draft.serial.to_string())
}

/// A record with this one certificate.
fn record(ca: &Ca, serial: &str, cert_id: u64, at: Timestamp) -> String {
    let issuer = json!({"table": "issuers", "issuer_id": 1, "name": "Tests CA", "hierarchy": "public",
        "spki_sha256": ca.issuer_key_hash().to_string()});
    let certificate = json!({"table": "certificates", "cert_id": cert_id, "issuer_id": 1, "serial": serial,
        "order_id": null, "signed_at": at.seconds(), "state": "issued"});
    format!("{issuer}\n{certificate}\n")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_is_judged_again_and_only_apply_writes() {
    let clock = Clock::System;
    let at = clock.now().minus(HOUR);
    let ca = Ca::generate(at).expect("CA");
    let settings = LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(Api::StaticCt, clock) };
    let log = LogServer::start(settings).await.expect("log");
    let entries: Vec<(RawEntry, String)> =
        (0..CERTIFICATES).map(|n| ours(&ca, n, at.plus(Span::from_seconds(n as i64)))).collect();
    let serials: Vec<String> = entries.iter().map(|(_, serial)| serial.clone()).collect();
    log.append(entries.into_iter().map(|(entry, _)| entry));
    log.publish();
    let issuer = format!("[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n", ca.issuer_key_hash());
    let bench = Bench::new(&[&log], &issuer, "");
    let read = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(read.status.code(), Some(0), "{}", said(&read));
    assert_eq!(bench.count("SELECT count(*) FROM cases"), INTERNAL as i64);

    // Nothing has changed: what is on record is found again.
    let same = bench.run_beside(&["rescan"]).await;
    assert_eq!(same.status.code(), Some(0), "{}{}", printed(&same), said(&same));
    let row = |text: &str, rule: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{rule} "))).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().skip(1).map(|n| n.parse().expect("a number")).collect::<Vec<u64>>()
    };
    assert_eq!(row(&printed(&same), "name.internal"), [0, 0, INTERNAL as u64, 0, 0]);
    assert!(printed(&same).starts_with("600 certificates judged again\n"), "{}", printed(&same));

    // The record is fed, and lacks them all.
    bench.write("one.ndjson", &record(&ca, "0123456789abcdef", 1, at));
    let one = bench.path("one.ndjson");
    let import = bench.command(&["issuance", "import"]).arg(&one).output().expect("import");
    assert!(import.status.success(), "{}{}", printed(&import), said(&import));
    let before = bench.count("SELECT count(*) FROM case_events");
    let new = bench.run_beside(&["rescan", "--rule", "db.unknown"]).await;
    assert_eq!(new.status.code(), Some(1), "{}{}", printed(&new), said(&new));
    assert_eq!(row(&printed(&new), "db.unknown"), [CERTIFICATES as u64, 0, 0, 0, 0]);
    assert!(!printed(&new).contains("name.internal"), "{}", printed(&new));
    assert!(printed(&new).contains("and 590 more of db.unknown") && printed(&new).contains("nothing was written"));
    assert_eq!(bench.count("SELECT count(*) FROM case_events"), before);
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE examine_at IS NOT NULL"), 0);

    // Killed behind the first mark: the reader takes as many lines as stand before it, and no more.
    let mut command = bench.command(&["rescan", "--rule", "db.unknown", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("rescan");
    let mut first = BufReader::new(child.stdout.take().expect("its output"));
    let mut read = Vec::new();
    for _ in 0..BATCH {
        let mut line = String::new();
        first.read_line(&mut line).expect("a line");
        read.push(line);
    }
    let mark = bench.path("data/rescan.json");
    let written =
        |path: &std::path::Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"done\":512"));
    while !written(&mark) {
        assert!(child.try_wait().expect("its state").is_none(), "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
    // What it had printed of the next batch is printed again.
    let rest = bench.run_beside(&["rescan", "--rule", "db.unknown", "--format", "json"]).await;
    assert_eq!(rest.status.code(), Some(1), "{}", said(&rest));
    assert!(said(&rest).contains("goes on behind 512 certificates"), "{}", said(&rest));
    let rest = lines(&printed(&rest));
    assert_eq!(rest.len(), CERTIFICATES - BATCH + 1);
    let summary = rest.last().expect("a summary");
    assert_eq!((&summary["certificates"], &summary["rules"]["db.unknown"]["new"]), (&json!(600), &json!(600)));
    let mut seen: Vec<String> = lines(&read.concat())
        .iter()
        .chain(&rest[..rest.len() - 1])
        .map(|line| line["serial"].as_str().expect("a serial").to_string())
        .collect();
    let mut all = serials.clone();
    seen.sort();
    all.sort();
    assert_eq!(seen, all, "each certificate once");
    assert!(!mark.exists(), "the next one begins anew");

    // One is recorded after all, and --apply has the running daemon write the cases of the others.
    bench.write("two.ndjson", &record(&ca, &serials[5], 2, at));
    let two = bench.path("two.ndjson");
    let import = bench.command(&["issuance", "import"]).arg(&two).output().expect("import");
    assert!(import.status.success(), "{}{}", printed(&import), said(&import));
    let mut daemon = bench.start(&["run"]);
    while bench.count("SELECT count(*) FROM logs WHERE verified_size = downloaded_size") != 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let applied = bench.run_beside(&["rescan", "--rule", "db.unknown", "--apply"]).await;
    assert_eq!(applied.status.code(), Some(1), "{}{}", printed(&applied), said(&applied));
    assert!(said(&applied).contains("599 certificates are handed over"), "{}", said(&applied));
    let unknown = "SELECT count(*) FROM case_findings WHERE rule = 'db.unknown'";
    for _ in 0..3000 {
        if bench.count(unknown) == 599 {
            break;
        }
        assert!(daemon.try_wait().expect("its state").is_none(), "the daemon ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bench.count(unknown), 599);
    daemon.kill().expect("SIGKILL");
    daemon.wait().expect("gone");
    let unchanged = bench.run_beside(&["rescan", "--rule", "db.unknown"]).await;
    assert_eq!(unchanged.status.code(), Some(0), "{}{}", printed(&unchanged), said(&unchanged));
    assert_eq!(row(&printed(&unchanged), "db.unknown"), [0, 0, 599, 0, 0]);

    // What is recorded later is gone from the findings, and the case stays.
    bench.write("three.ndjson", &record(&ca, &serials[7], 3, at));
    let three = bench.path("three.ndjson");
    assert!(bench.command(&["issuance", "import"]).arg(&three).output().expect("import").status.success());
    let cases = bench.count("SELECT count(*) FROM cases");
    let gone = bench.run_beside(&["rescan", "--rule", "db.unknown", "--apply"]).await;
    assert_eq!(gone.status.code(), Some(0), "{}{}", printed(&gone), said(&gone));
    assert_eq!(row(&printed(&gone), "db.unknown"), [0, 1, 598, 0, 0]);
    assert!(printed(&gone).contains(&serials[7]), "{}", printed(&gone));
    assert_eq!(bench.count("SELECT count(*) FROM cases"), cases);

    // Only what was logged since.
    let since = at.plus(Span::from_seconds(CERTIFICATES as i64 - 10)).to_string();
    let late = bench.command(&["rescan", "--since", &since]).output().expect("rescan");
    assert!(printed(&late).starts_with("10 certificates logged since "), "{}", printed(&late));
    let typo = bench.run_beside(&["rescan", "--rule", "db.unkown"]).await;
    assert_eq!(typo.status.code(), Some(2));
    assert!(said(&typo).contains("did you mean db.unknown?"), "{}", said(&typo));
    log.stop().await;
}
