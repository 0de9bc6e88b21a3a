//! The promises of logs through the real binary: kept, broken, late, never made, made by a log that nobody knows.

mod support;

use std::time::Duration;

use ctwarden::cert::Certificate;
use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::ct::key::LogKey;
use ctwarden::ct::leaf::{encode_leaf_index, leaf_hash, parse_merkle_tree_leaf};
use ctwarden::ct::sct::{SignedCertificateTimestamp, verify_sct};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::sth::SignedTreeHead;
use ctwarden::ct::{from_base64, sha256, to_base64};
use ctwarden::demo::ca::{Ca, Draft};
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind, log_list};
use ctwarden::finding::KeyHash;
use serde_json::Value;
use support::faulty::FaultyLog;
use support::faulty::plant::{Entry, Oddity, foreign as foreign_entry};
use support::monitor::{Bench, printed, said};

/// The merge delay of the logs here, in seconds.
const MMD: i64 = 2;

struct Log {
    server: LogServer,
    signer: LogSigner,
    api: Api,
}

impl Log {
    async fn start(api: Api) -> Log {
        let signer = LogSigner::generate();
        let twin = LogSigner::from_pkcs8(&signer.to_pkcs8().expect("PKCS #8")).expect("the same key");
        let settings = LogSettings { signer: twin, ..LogSettings::new(api, Clock::System) };
        Log { server: LogServer::start(settings).await.expect("log"), signer, api }
    }

    /// The SCT of this log for an entry, on a static log with the index at which it says the entry will stand.
    fn sct(&self, kind: &RawKind, at: Timestamp, index: u64) -> SignedCertificateTimestamp {
        let extensions = if self.api == Api::StaticCt { encode_leaf_index(index) } else { Vec::new() };
        self.signer.sign_sct(at, &kind.leaf(), &extensions)
    }

    /// Takes a precertificate in and promises it.
    fn honour(&self, kind: &RawKind, at: Timestamp) -> SignedCertificateTimestamp {
        let index = self.server.append([RawEntry { timestamp: at, kind: kind.clone(), chain: vec![] }]);
        self.sct(kind, at, index)
    }
}

/// Somebody else's entries, so that trees have a size.
fn foreign(count: usize) -> impl Iterator<Item = RawEntry> {
    (0..count).map(|number| {
        let tbs = format!("TBSCertificate {number} of somebody else").into_bytes();
        let kind = RawKind::Precert { issuer_key_hash: KeyHash([9; 32]), pre_certificate: tbs.clone(), tbs };
        RawEntry { timestamp: now(), kind, chain: vec![] }
    })
}

fn publish(logs: &[&Log]) {
    logs.iter().for_each(|log| drop(log.server.publish()));
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn pre(ca: &Ca, draft: &Draft<'_>) -> RawKind {
    let precertificate = Certificate::parse(&draft.precertificate().expect("signed")).expect("our own");
    RawKind::of(&precertificate, ca.issuer_key_hash())
}

fn fin(ca: &Ca, draft: &Draft<'_>, scts: &[SignedCertificateTimestamp]) -> RawEntry {
    let kind = RawKind::X509 { certificate: draft.certificate(scts).expect("signed") };
    RawEntry { timestamp: now(), kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] }
}

fn list(logs: &[&Log]) -> Value {
    let servers: Vec<&LogServer> = logs.iter().map(|log| &log.server).collect();
    let mut list = log_list(&servers, now());
    for kind in ["logs", "tiled_logs"] {
        for entry in list["operators"][0][kind].as_array_mut().expect("logs") {
            entry["mmd"] = MMD.into();
        }
    }
    list
}

fn bench(ca: &Ca, list: &Value) -> Bench {
    let issuers = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuer.pem\"\n[issuance]\nsource = \"none\"";
    let bench = Bench::with_list(&list.to_string(), issuers, "");
    bench.write("issuer.pem", &ca.issuing_pem());
    bench
}

async fn catch_up(bench: &Bench) {
    let run = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
}

fn states(bench: &Bench) -> String {
    let books = bench.books();
    let mut rows = books.prepare("SELECT state || ' ' || count(*) FROM promises GROUP BY state").expect("SQL");
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    rows.map(|row| row.expect("text")).collect::<Vec<_>>().join(", ")
}

/// Runs the daemon until this many promises are kept or broken, a minute at most.
async fn run_until_settled(bench: &Bench, promises: i64) {
    let mut daemon = bench.start(&["run"]);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let settled = "SELECT count(*) FROM promises WHERE state IN ('kept', 'broken')";
        let count =
            bench.path("data/books.sqlite").exists().then(|| bench.books().query_row(settled, [], |r| r.get(0)));
        if count.is_some_and(|count| count == Ok(promises)) {
            break;
        }
    }
    daemon.kill().expect("SIGKILL");
    daemon.wait().expect("gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_is_kept_when_its_entry_was_read_or_the_log_proves_it() {
    let ca = Ca::generate(now()).expect("CA");
    let (rfc, tiled) = (Log::start(Api::Rfc6962).await, Log::start(Api::StaticCt).await);
    let draft = ca.draft(&["www.promises.eus"], now()).expect("draft");
    let (kind, at) = (pre(&ca, &draft), now().minus(Span::from_seconds(60)));
    for log in [&rfc, &tiled] {
        log.server.append(foreign(300));
    }
    let scts = [rfc.honour(&kind, at), tiled.honour(&kind, at)];
    publish(&[&rfc, &tiled]);

    // The whole logs are read: nothing needs to be asked.
    rfc.server.append([fin(&ca, &draft, &scts)]);
    rfc.server.publish();
    let whole = bench(&ca, &list(&[&rfc, &tiled]));
    catch_up(&whole).await;
    assert_eq!(states(&whole), "kept 2");

    // Only what comes after the entries is read: the one log proves, the other shows the entry.
    let tail = bench(&ca, &list(&[&rfc, &tiled]));
    let config = std::fs::read_to_string(tail.path("ctwarden.toml")).expect("config");
    tail.write("ctwarden.toml", &config.replace("start = \"beginning\"", "start = \"end\""));
    catch_up(&tail).await;
    tiled.server.append([fin(&ca, &draft, &scts)]);
    tiled.server.publish();
    catch_up(&tail).await;
    assert_eq!((tail.count("SELECT count(*) FROM sightings"), states(&tail).as_str()), (1, "kept 2"));
    for bench in [&whole, &tail] {
        assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
        assert_eq!(bench.count("SELECT count(*) FROM cases"), 0);
        let logs = printed(&bench.run_beside(&["logs"]).await);
        assert!(!logs.contains("SCTs whose"), "{logs}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_never_includes_what_it_promised_is_accused_with_evidence() {
    let ca = Ca::generate(now()).expect("CA");
    let (rfc, tiled) = (Log::start(Api::Rfc6962).await, Log::start(Api::StaticCt).await);
    let (first, second) =
        (ca.draft(&["a.promises.eus"], now()).expect("d"), ca.draft(&["b.promises.eus"], now()).expect("d"));
    let at = now().minus(Span::from_seconds(60));
    for log in [&rfc, &tiled] {
        log.server.append(foreign(10));
    }
    // Nobody appends these: the static log names an index beyond its tree, and one where another entry stands.
    let scts = [rfc.sct(&pre(&ca, &first), at, 0), tiled.sct(&pre(&ca, &first), at, 5000)];
    let displaced = [tiled.sct(&pre(&ca, &second), at, 3)];
    rfc.server.append([fin(&ca, &first, &scts), fin(&ca, &second, &displaced)]);
    publish(&[&rfc, &tiled]);
    let bench = bench(&ca, &list(&[&rfc, &tiled]));
    run_until_settled(&bench, 3).await;
    assert_eq!(states(&bench), "broken 3");
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours WHERE kind = 'sct_not_honoured'"), 3);
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 3);

    // The evidence stands by itself: log key, SCT, leaf and head verify without the monitor.
    let books = bench.books();
    let mut rows = books.prepare("SELECT evidence FROM misbehaviours").expect("SQL");
    let mut outcomes = Vec::new();
    for evidence in rows.query_map([], |row| row.get::<_, String>(0)).expect("rows") {
        let evidence = evidence.expect("text");
        bench.write("evidence.json", &evidence);
        let verified = bench.run(&["evidence", "verify", bench.path("evidence.json").to_str().expect("a path")]);
        let evidence: Value = serde_json::from_str(&evidence).expect("JSON");
        assert_eq!(evidence["kind"], "sct_not_honoured");
        let bytes = |value: &Value| from_base64(value.as_str().expect("text")).expect("base64");
        let key = LogKey::from_spki_der(&bytes(&evidence["log"]["key"])).expect("key");
        let sct = SignedCertificateTimestamp::parse(&bytes(&evidence["more"]["sct"])).expect("SCT");
        let leaf_input = bytes(&evidence["more"]["leaf_input"]);
        let leaf = parse_merkle_tree_leaf(&leaf_input).expect("a leaf");
        assert_eq!(verify_sct(&sct, &key, &leaf.entry), Ok(()));
        assert_eq!(evidence["more"]["leaf_hash"], to_base64(&leaf_hash(&leaf_input)));
        let head = evidence["tree_heads"][0].to_string();
        let head = SignedTreeHead::reopen_json(head.as_bytes(), &key).expect("signed by the log");
        assert!(head.timestamp() > at.plus(Span::from_seconds(MMD)));
        outcomes.push((verified.status.code(), evidence["more"]["entry_at_leaf_index"].is_null()));
    }
    outcomes.sort_unstable();
    // The index beyond the tree proves it to anybody; that an entry is elsewhere or nowhere is our word.
    assert_eq!(outcomes, [(Some(0), true), (Some(1), false), (Some(1), true)]);

    // One case per log, told once; both certificates are listed with their promises.
    let cases = printed(&bench.run_beside(&["cases"]).await);
    assert_eq!(cases.matches("log.sct_not_honoured").count(), 2, "{cases}");
    let logs = printed(&bench.run_beside(&["logs"]).await);
    assert_eq!(logs.matches("broken").count(), 3, "{logs}");
    assert!(logs.contains(&first.serial.to_string()) && logs.contains(&second.serial.to_string()), "{logs}");
    let json = printed(&bench.run_beside(&["logs", "--format", "json"]).await);
    let unkept = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let unkept: Vec<Value> = unkept.filter(|line| !line["unkept_promise"].is_null()).collect();
    assert_eq!(unkept.len(), 3, "{json}");
    assert!(unkept.iter().all(|line| line["unkept_promise"]["state"] == "broken"));
    // Nothing is reported again.
    catch_up(&bench).await;
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 3);
    assert_eq!(bench.mails().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_came_after_the_merge_delay_is_a_broken_promise() {
    for api in [Api::Rfc6962, Api::StaticCt] {
        let ca = Ca::generate(now()).expect("CA");
        let log = Log::start(api).await;
        let draft = ca.draft(&["www.promises.eus"], now()).expect("draft");
        log.server.append(foreign(3));
        log.server.set_visible_size(Some(3));
        let sct = log.honour(&pre(&ca, &draft), now().minus(Span::from_seconds(60)));
        log.server.publish();
        let bench = bench(&ca, &list(&[&log]));
        catch_up(&bench).await;
        log.server.set_visible_size(None);
        log.server.append([fin(&ca, &draft, &[sct])]);
        log.server.publish();
        catch_up(&bench).await;
        assert_eq!(states(&bench), "broken 1", "{api:?}");
        // The SCT in the certificate convicts the log, and so does the date of the entry alone.
        for detail in ["%the leaf came later, at index 3%", "entry 3 is dated %"] {
            assert_eq!(bench.count(&format!("SELECT count(*) FROM misbehaviours WHERE detail LIKE '{detail}'")), 1);
        }
        assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 2, "{api:?}");
        assert_eq!(bench.count("SELECT count(*) FROM cases"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sct_that_the_log_did_not_sign_is_a_finding_about_the_certificate() {
    let ca = Ca::generate(now()).expect("CA");
    let (rfc, tiled) = (Log::start(Api::Rfc6962).await, Log::start(Api::StaticCt).await);
    let (draft, other) =
        (ca.draft(&["a.promises.eus"], now()).expect("d"), ca.draft(&["b.promises.eus"], now()).expect("d"));
    let at = now().minus(Span::from_seconds(1));
    // One good SCT, one that was made for another certificate.
    let scts = [rfc.honour(&pre(&ca, &draft), at), tiled.honour(&pre(&ca, &other), at)];
    rfc.server.append([fin(&ca, &draft, &scts)]);
    publish(&[&rfc, &tiled]);
    let bench = bench(&ca, &list(&[&rfc, &tiled]));
    catch_up(&bench).await;
    assert_eq!(states(&bench), "kept 1");
    let cases = printed(&bench.run_beside(&["cases", "--format", "json"]).await);
    assert_eq!(cases.lines().count(), 1, "{cases}");
    let case: Value = serde_json::from_str(&cases).expect("JSON");
    assert_eq!(
        (&case["rules"][0], &case["severity"], &case["clock"]),
        (&"sct.belongs".into(), &"error".into(), &"5d".into())
    );
    assert_eq!(case["serial"], draft.serial.to_string());
    let name = case["case"].as_str().expect("a name").to_string();
    let shown = bench.run(&["cases", "show", &name]);
    assert!(printed(&shown).contains("SCT: "), "{}", printed(&shown));
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_promise_of_an_unknown_log_is_for_review_and_audited_once_the_log_is_known() {
    let ca = Ca::generate(now()).expect("CA");
    let (known, stranger) = (Log::start(Api::Rfc6962).await, Log::start(Api::StaticCt).await);
    let draft = ca.draft(&["www.promises.eus"], now()).expect("draft");
    let sct = stranger.honour(&pre(&ca, &draft), now().minus(Span::from_seconds(60)));
    known.server.append([fin(&ca, &draft, &[sct])]);
    publish(&[&known, &stranger]);
    let bench = bench(&ca, &list(&[&known]));
    catch_up(&bench).await;
    assert_eq!(states(&bench), "unknown_log 1");
    assert_eq!(bench.count("SELECT count(*) FROM cases WHERE severity = 'review'"), 1);
    // The log comes into the list as a retired one, which is not followed.
    let mut both = list(&[&known, &stranger]);
    both["operators"][0]["tiled_logs"][0]["state"] =
        serde_json::json!({"retired": {"timestamp": "2026-01-01T00:00:00Z"}});
    bench.write("logs.json", &both.to_string());
    run_until_settled(&bench, 1).await;
    assert_eq!(states(&bench), "kept 1");
    assert_eq!(bench.count("SELECT count(*) FROM logs"), 1);
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
}

/// The index at which the entry of the next test stands: among others, in the second tile.
const PLACE: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_a_log_shows_and_does_not_have_under_its_root_breaks_the_promise() {
    let ca = Ca::generate(now()).expect("CA");
    let (honest, false_one) = (FaultyLog::start(Api::StaticCt).await, FaultyLog::start(Api::StaticCt).await);
    let rfc = Log::start(Api::Rfc6962).await;
    let draft = ca.draft(&["www.promises.eus"], now()).expect("draft");
    let (kind, at) = (pre(&ca, &draft), now().minus(Span::from_seconds(60)));
    let raw = RawEntry { timestamp: at, kind: kind.clone(), chain: vec![] };
    for (log, oddity) in [(&honest, Oddity::None), (&false_one, Oddity::Unmerged)] {
        log.append((0..PLACE).map(foreign_entry));
        log.append([Entry { raw: raw.clone(), ours: true, oddity }]);
        log.append((0..700).map(foreign_entry));
        log.publish();
    }
    let scts = [&honest, &false_one].map(|log| log.sign_sct(at, &kind.leaf(), &encode_leaf_index(PLACE)));
    rfc.server.append([fin(&ca, &draft, &scts)]);
    rfc.server.publish();
    // Retired logs are not followed: their promises are asked for.
    let mut list = list(&[&rfc]);
    for log in [&honest, &false_one] {
        let mut entry = log.list_entry();
        entry["mmd"] = MMD.into();
        entry["state"] = serde_json::json!({"retired": {"timestamp": "2026-01-01T00:00:00Z"}});
        list["operators"][0]["tiled_logs"].as_array_mut().expect("logs").push(entry);
    }
    let bench = bench(&ca, &list);
    run_until_settled(&bench, 2).await;
    assert_eq!(states(&bench), "broken 1, kept 1");
    let evidence: String = bench
        .books()
        .query_row("SELECT evidence FROM misbehaviours WHERE kind = 'sct_not_honoured'", [], |row| row.get(0))
        .expect("one charge");
    let evidence: Value = serde_json::from_str(&evidence).expect("JSON");
    assert_eq!(evidence["log"]["log_id"], false_one.log_id().to_string());
    assert_eq!(evidence["more"]["hash_at_leaf_index"], to_base64(&sha256(&[b"another leaf"])));
    assert!(evidence["statement"].as_str().expect("text").contains("another is under its root"), "{evidence}");
}
