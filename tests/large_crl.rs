//! The CRL of a large CA, 100 MB and millions of entries, and a record of as many revocations: compared without the CRL
//! in memory, and with little of each revocation.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ctwarden::cert::Certificate;
use ctwarden::cert::crl::Crl;
use ctwarden::cert::der::encode;
use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::demo::log::LogServer;
use ctwarden::finding::Verdict;
use ctwarden::pipeline::{Compared, compare_crls_due};
use ctwarden::revocation::CrlReader;
use ctwarden::tail::Fetcher;
use rcgen::{KeyPair, SigningKey};
use support::crls::Crls;
use support::issuer::validity;
use support::monitor::Bench;
use support::scene::{metric, now, open, still};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts the bytes that the process holds.
struct Counting;

fn grown(bytes: usize) {
    PEAK.fetch_max(HELD.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while it is copied, if it is.
        grown(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A CA that can sign what rcgen would take long to build.
struct Ca {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

impl Ca {
    fn new() -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Tests CA");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a CA");
        Ca { key, certificate }
    }

    /// A CRL with this number and so many entries, of 18 octets each, numbered in the last eight.
    fn crl(&self, number: u8, entries: u64) -> Vec<u8> {
        let issuer = Certificate::parse(self.certificate.der()).expect("its certificate");
        let at = now().minus(Span::from_seconds(3600));
        let (this_update, next_update) = (time(at), time(at.plus(Span::from_days(6))));
        let revoked_at = time(at);
        let mut list = Vec::with_capacity(entries as usize * 40);
        for number in 0..entries {
            // SEQUENCE { INTEGER, UTCTime }
            list.extend_from_slice(&[0x30, 2 + 18 + revoked_at.len() as u8, 2, 18]);
            list.extend_from_slice(&serial(number));
            list.extend_from_slice(&revoked_at);
        }
        let number = encode(0x30, &[encode(6, &[0x55, 0x1d, 20]), encode(4, &encode(2, &[number]))].concat());
        let extensions = encode(0xa0, &encode(0x30, &number));
        let head = [&[2, 1, 1], ECDSA_SHA256, issuer.subject_der(), &this_update, &next_update].concat();
        let tbs = encode(0x30, &[head, encode(0x30, &list), extensions].concat());
        let signature = encode(3, &[vec![0], self.key.sign(&tbs).expect("a signature")].concat());
        encode(0x30, &[tbs, ECDSA_SHA256.to_vec(), signature].concat())
    }
}

fn serial(number: u64) -> [u8; 18] {
    let mut serial = [0x51; 18];
    serial[10..].copy_from_slice(&number.to_be_bytes());
    serial
}

/// A UTCTime (RFC 5280 4.1.2.5.1).
fn time(at: Timestamp) -> Vec<u8> {
    let text = at.to_string();
    let digits: String = text[2..19].chars().filter(char::is_ascii_digit).collect();
    encode(23, format!("{digits}Z").as_bytes())
}

/// A monitor of this CA, whose CRL is `1.crl`, and its certificate.
fn scene(ca: &Ca, crls: &Crls, log: &LogServer) -> (Bench, Certificate) {
    let issuer = format!(
        "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\ncrls = [\"{}\"]\n[issuance]\ngrace = \"1s\"",
        crls.url("1.crl")
    );
    let list = ctwarden::demo::log::log_list(&[log], now()).to_string();
    let bench = Bench::with_list(&list, &issuer, "[status]\ncrl_grace = \"1s\"\n");
    bench.write("ca.pem", &ca.certificate.pem());
    let issuer = Certificate::parse(ca.certificate.der()).expect("its certificate");
    (bench, issuer)
}

const ENTRIES: u64 = 2_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crl_of_100_mb_is_never_in_memory_and_compared_from_its_file() {
    let (ca, crls, log) = (Ca::new(), Crls::start().await, still(ctwarden::demo::log::Api::StaticCt).await);
    let der = ca.crl(1, ENTRIES);
    let size = der.len();
    assert!(size > 95_000_000, "{size}");
    assert_eq!(Crl::parse(&der).expect("a CRL").entries_at.len(), ENTRIES as usize * 37);
    crls.serve("1.crl", Some(der));

    // A record of a few: two on the CRL, one of them known as revoked, and one that is revoked and not on it.
    let (bench, issuer) = scene(&ca, &crls, &log);
    let days = |days: i64| now().minus(Span::from_days(days)).to_string();
    let certificate = |id: u64, serial: &[u8]| {
        serde_json::json!({"table": "certificates", "cert_id": id, "issuer_id": 1, "serial": hex::encode(serial),
            "signed_at": days(3), "not_after": validity().1.to_string(), "state": "issued"})
    };
    let revocation =
        |id: u64| serde_json::json!({"table": "revocations", "cert_id": id, "revoked_at": days(2), "reason": 0});
    let rows = [
        serde_json::json!({"table": "issuers", "issuer_id": 1, "name": "Tests CA", "hierarchy": "public",
            "spki_sha256": issuer.spki_sha256().to_string()}),
        certificate(1, &serial(ENTRIES - 1)),
        certificate(2, &serial(ENTRIES / 2)),
        certificate(3, &serial(ENTRIES)),
        revocation(1),
        revocation(3),
    ];
    let rows: Vec<String> = rows.iter().map(serde_json::Value::to_string).collect();
    bench.write("rows.ndjson", &rows.join("\n"));
    let mut command = bench.command(&["issuance", "import"]);
    command.arg(bench.path("rows.ndjson"));
    let import = tokio::task::spawn_blocking(move || command.output().expect("import")).await.expect("it ends");
    assert!(import.status.success(), "{}", support::monitor::said(&import));

    // Its loops are not started.
    let walk = open(&bench).await.walk().clone();
    let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
    let reader = CrlReader::new(fetcher, bench.path("data/crls"), walk.status.crl_limit_bytes);

    let held_while = |before: usize| PEAK.load(Ordering::Relaxed) - before;
    let begin = || {
        let held = HELD.load(Ordering::Relaxed);
        PEAK.store(held, Ordering::Relaxed);
        held
    };
    // From the wire to a file, and from there piece by piece: no more than a few pieces, whatever its size.
    const LITTLE: usize = 4 << 20;
    let before = begin();
    let read = reader.read(&crls.url("1.crl"), &issuer, None, now()).await;
    let fetched = held_while(before);
    let good = read.good.as_ref().expect("a good CRL");
    assert!(read.is_good(), "{:?}", read.judged);
    assert!(fetched < LITTLE, "{fetched} bytes were held for a CRL of {size}");

    // The same from the file.
    let before = begin();
    let mut entries = good.entries.open().expect("the file");
    let mut count = 0;
    while entries.advance().expect("readable") {
        while let Some(entry) = entries.next().expect("an entry") {
            assert_eq!(entry.serial, serial(count));
            count += 1;
        }
    }
    let scanned = held_while(before);
    assert_eq!(count, ENTRIES);
    assert!(scanned < LITTLE, "{scanned} bytes were held to read {count} entries");

    // The comparison with the record: no map of its entries.
    let before = begin();
    compare_crls_due(&walk, &reader, &mut Compared::default()).await.expect("the books");
    let compared = held_while(before);
    assert!(compared < 2 * LITTLE, "{compared} bytes were held to compare it");
    println!(
        "a CRL of {size} bytes and {ENTRIES} entries: {fetched} bytes held to fetch and check it, {scanned} to read its entries, {compared} in a whole round"
    );
    let listed = |condition: &str| bench.count(&format!("SELECT count(*) FROM listed WHERE {condition}"));
    assert_eq!(listed("true"), 2, "the two of the record that are on it");
    let found = |rule: &str| bench.count(&format!("SELECT count(*) FROM case_findings WHERE rule = '{rule}'"));
    assert_eq!((found("status.crl"), found("status.reason")), (1, 0));
}

/// The revocations of a record, all of which but one are on the CRL.
const RECORDED: u64 = 1_200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_million_revocations_is_compared_with_a_crl_of_as_many() {
    let (ca, crls, log) = (Ca::new(), Crls::start().await, still(ctwarden::demo::log::Api::StaticCt).await);
    let der = ca.crl(1, RECORDED);
    let size = der.len();
    crls.serve("1.crl", Some(der));
    let (bench, issuer) = scene(&ca, &crls, &log);
    let walk = open(&bench).await.walk().clone();

    // Revoked three days ago, 0 to RECORDED, of which the last is on no CRL; number 5 is on it and not revoked. The books
    // have seen all of the CRL before, as on any day but the first.
    let key = issuer.spki_sha256();
    let today = Timestamp::from_seconds(now().seconds());
    let (at, end) = (today.minus(Span::from_days(3)), today.plus(Span::from_days(30)));
    let hex = |number: &str| format!("printf('{}%016x', {number})", "51".repeat(10));
    let numbers = |to: u64| format!("WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {to})");
    let (all, on) = (numbers(RECORDED), numbers(RECORDED - 1));
    let record = rusqlite::Connection::open(bench.path("data/issuance.sqlite")).expect("the record");
    record
        .execute_batch(&format!(
            "BEGIN; INSERT INTO issuers VALUES (1, 'Tests CA', '{key}', 'public');
             {all} INSERT INTO certificates (cert_id, issuer_id, serial, signed_at, not_after, state)
               SELECT n, 1, {}, {at}, {end}, 'issued' FROM n;
             {all} INSERT INTO revocations (cert_id, revoked_at, reason) SELECT n, {at}, 0 FROM n WHERE n <> 5;
             INSERT INTO feed SELECT value, {at} FROM json_each('[\"issuers\", \"certificates\", \"revocations\"]');
             COMMIT",
            hex("n"),
            at = at.seconds(),
            end = end.seconds(),
        ))
        .expect("rows");
    bench
        .books()
        .execute_batch(&format!(
            "{on} INSERT INTO listed SELECT X'{key}', unhex({}), 'http://x/', {at}, 0, {at}, {end} FROM n",
            hex("n"),
            at = at.millis(),
            end = end.millis(),
        ))
        .expect("listed");

    let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
    let reader = CrlReader::new(fetcher, bench.path("data/crls"), walk.status.crl_limit_bytes);
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    compare_crls_due(&walk, &reader, &mut Compared::default()).await.expect("the books");
    let held = PEAK.load(Ordering::Relaxed) - before;
    println!("{RECORDED} revocations compared with a CRL of {size} bytes: {held} bytes held");
    // 56 bytes each and an eighth more, while the array grows the one before it too, and a little.
    let most = RECORDED as usize * (63 + 56) + (8 << 20);
    assert!(held < most, "{held} bytes were held, more than {most}");
    let found = bench.books();
    let mut found = found
        .prepare("SELECT rule, hex(serial) FROM case_findings JOIN cases USING (case_number) ORDER BY rule")
        .expect("a question");
    let found: Vec<(String, String)> = found
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    let told = |rule: &str, number| (rule.to_string(), hex::encode_upper(serial(number)));
    assert_eq!(found, [told("status.crl", RECORDED), told("status.record", 5)]);
    assert_eq!(bench.count("SELECT count(*) FROM listed"), RECORDED as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crl_above_the_limit_is_our_own_alarm_and_nobodys_finding() {
    let (ca, crls, log) = (Ca::new(), Crls::start().await, still(ctwarden::demo::log::Api::StaticCt).await);
    let issuer = format!(
        "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\ncrls = [\"{}\"]\n[issuance]\nsource = \"none\"",
        crls.url("1.crl")
    );
    let list = ctwarden::demo::log::log_list(&[&log], now()).to_string();
    let bench = Bench::with_list(&list, &issuer, "[status]\ncrl_grace = \"1s\"\ncrl_limit_mib = 1\n");
    bench.write("ca.pem", &ca.certificate.pem());
    let issuer = Certificate::parse(ca.certificate.der()).expect("its certificate");
    let walk = open(&bench).await.walk().clone();
    assert_eq!(walk.status.crl_limit_bytes, 1 << 20);
    let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
    let reader = CrlReader::new(fetcher, bench.path("data/crls"), walk.status.crl_limit_bytes);
    let mut compared = Compared::default();
    let state = |state: &str| {
        let text = walk.metrics.render().expect("metrics");
        metric(&text, &format!("ctwarden_crls{{issuer=\"Tests CA\",state=\"{state}\"}}"))
    };

    crls.serve("1.crl", Some(ca.crl(1, 30_000)));
    for _ in 0..2 {
        compare_crls_due(&walk, &reader, &mut compared).await.expect("the books");
        // The grace for a CRL that is not good, one second, goes by: even then no case is opened.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    }
    let read = reader.read(&crls.url("1.crl"), &issuer, None, now()).await;
    assert_eq!((read.error, read.judged.len(), read.good.is_some()), (None, 0, false));
    let sentence = read.hindrance.expect("a sentence");
    assert_eq!(sentence, "it is larger than 1 MiB, the most that is read: raise crl_limit_mib in [status]");
    assert_eq!((state("good"), state("bad")), (0.0, 1.0), "what CtwardenCrlUnusable rests on");
    assert_eq!(bench.count("SELECT count(*) FROM cases"), 0);

    // A small one is read; when a large one follows, the small one counts on until it expires.
    crls.serve("1.crl", Some(ca.crl(2, 10)));
    compare_crls_due(&walk, &reader, &mut compared).await.expect("the books");
    assert_eq!((state("good"), state("bad")), (1.0, 0.0));
    crls.serve("1.crl", Some(ca.crl(3, 30_000)));
    let read = reader.read(&crls.url("1.crl"), &issuer, None, now()).await;
    assert!(read.hindrance.is_some() && !read.is_good());
    assert_eq!(read.good.map(|good| good.this.number), Some(vec![2]));
    assert!(read.judged.iter().all(|(_, verdict)| *verdict == Verdict::Pass));
    compare_crls_due(&walk, &reader, &mut compared).await.expect("the books");
    assert_eq!((state("good"), bench.count("SELECT count(*) FROM cases")), (1.0, 0));

    // Without a place for it there is none either, and that is no fault of the CRL.
    bench.write("data/taken", "a file");
    let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
    let reader = CrlReader::new(fetcher, bench.path("data/taken"), walk.status.crl_limit_bytes);
    crls.serve("1.crl", Some(ca.crl(4, 10)));
    let read = reader.read(&crls.url("1.crl"), &issuer, None, now()).await;
    assert_eq!((read.error, read.judged.len(), read.good.is_some()), (None, 0, false));
    let sentence = read.hindrance.expect("a sentence");
    assert!(sentence.starts_with("it cannot be kept (") && sentence.ends_with("): free the disk"), "{sentence}");
}
