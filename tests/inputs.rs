//! The lists that rules rest on change while the real binary runs, and their server fails in every way: what was good
//! stays in use, and what is examined after a good one came is judged by it.

mod support;

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ctwarden::clock::{Clock, DAY, HOUR, Span, Stopwatch, Timestamp};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::lint::TldTable;
use support::monitor::{BUILT_IN, Bench, printed, said};

/// How a list is served.
#[derive(Clone)]
enum Way {
    Whole,
    /// The connection ends in the middle.
    Cut,
    Error,
}

/// One list on loopback.
#[derive(Clone)]
struct Served {
    way: Way,
    body: String,
    version: u32,
    asked: u32,
    /// How often the version of now was asked for by one who had it.
    unchanged: u32,
}

/// All lists of a server, and the User-Agents that asked.
#[derive(Clone, Default)]
struct Lists {
    served: Arc<Mutex<BTreeMap<String, Served>>>,
    agents: Arc<Mutex<Vec<String>>>,
}

impl Lists {
    fn set(&self, path: &str, way: Way, body: String) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, asked) = served.get(path).map_or((0, 0), |old| (old.version, old.asked));
        served.insert(path.to_string(), Served { way, body, version: version + 1, asked, unchanged: 0 });
    }

    fn one(&self, path: &str) -> Served {
        self.served.lock().expect("lists")[path].clone()
    }

    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let lists = self.clone();
        let answer = move |request: Request| async move { lists.answer(&request) };
        let app = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
        url
    }

    fn answer(&self, request: &Request) -> Response {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
        self.agents.lock().expect("agents").extend(header("user-agent"));
        let mut served = self.served.lock().expect("lists");
        let Some(list) = served.get_mut(request.uri().path()) else { return StatusCode::NOT_FOUND.into_response() };
        list.asked += 1;
        let etag = format!("\"{}\"", list.version);
        match list.way {
            Way::Error => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Way::Whole if header("if-none-match").as_ref() == Some(&etag) => {
                list.unchanged += 1;
                StatusCode::NOT_MODIFIED.into_response()
            }
            Way::Whole => ([("etag", etag)], list.body.clone()).into_response(),
            Way::Cut => {
                let half = list.body.as_bytes()[..list.body.len() / 2].to_vec();
                let parts = [Ok(half), Err(std::io::Error::other("cut"))];
                ([("etag", etag)], Body::from_stream(futures_util::stream::iter(parts))).into_response()
            }
        }
    }

    /// Waits until the daemon has asked for the list of now and found that it has it.
    async fn taken(&self, path: &str) {
        let watch = Stopwatch::start();
        while self.one(path).unchanged == 0 {
            assert!(watch.elapsed() < Duration::from_secs(60), "{path} is not asked for under its ETag");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

const TLDS: &str = "/tlds.txt";
const GTLDS: &str = "/gtlds.json";
const SUFFIXES: &str = "/suffixes.dat";

/// The IANA list of a day: what is built in, with some and without others.
fn tlds(day: Timestamp, with: &[&str], without: impl Fn(usize, &str) -> bool) -> String {
    let embedded = TldTable::embedded();
    let kept = embedded.current().enumerate().filter(|(at, tld)| !without(*at, tld)).map(|(_, tld)| tld);
    let lines: String = kept.chain(with.iter().copied()).map(|tld| format!("{}\n", tld.to_uppercase())).collect();
    format!("# Version {}00, Last Updated now\n{lines}", day.day().replace('-', ""))
}

/// The registry of a day: the dates that are built in, and more rows.
fn gtlds(day: Timestamp, more: &str) -> String {
    let embedded = TldTable::embedded();
    let rows: Vec<String> = embedded
        .dated()
        .map(|(tld, delegated)| {
            let dates = embedded.dates(tld.as_bytes());
            let (first, last) = (dates[0].day(), dates[dates.len() - 1].minus(DAY).day());
            let removed = if delegated { "null".to_string() } else { format!("\"{last}\"") };
            format!(r#"{{"gTLD": "{tld}", "contractTerminated": false, "delegationDate": "{first}", "removalDate": {removed}}}"#)
        })
        .collect();
    format!(r#"{{"gTLDs": [{}{more}], "updatedOn": "{}", "version": 2}}"#, rows.join(","), day.day())
}

/// A suffix list of a day with so many rules, and one more.
fn suffixes(day: Timestamp, rules: usize, more: &str) -> String {
    let filler: String = (0..rules).map(|n| format!("filler{n}.eus\n")).collect();
    format!(
        "// VERSION: {}_00-00-00_UTC\n// ===BEGIN ICANN DOMAINS===\neus\ncom\n{more}\n{filler}// ===END ICANN DOMAINS===\n",
        day.day()
    )
}

/// More rules than the embedded list has.
const ENOUGH: usize = 7_000;

/// A precertificate of ours.
fn ours(ca: &Ca, name: &str, at: Timestamp) -> RawEntry {
    // Valid from now on, so that the day of issuance is known in the first hour of a day as well.
    let draft = ca.draft(&[name], at.plus(HOUR)).expect("a draft");
    let pre_certificate = draft.precertificate().expect("a precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] }
}

fn bench(log: &LogServer, ca: &Ca, url: &str, refresh: &str) -> Bench {
    let issuer = format!("[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n", ca.issuer_key_hash());
    let bench = Bench::new(&[log], &format!("{issuer}[issuance]\nsource = \"none\""), "");
    let text = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    let lists = format!(
        "gtld_registry = \"{url}{GTLDS}\"\ntld_list = \"{url}{TLDS}\"\npublic_suffix_list = \"{url}{SUFFIXES}\"\n\
         refresh = \"{refresh}\""
    );
    bench.write("ctwarden.toml", &text.replace(BUILT_IN, &lists));
    bench
}

/// A running daemon, killed at the end.
struct Daemon<'a> {
    child: Child,
    web: String,
    bench: &'a Bench,
}

impl Daemon<'_> {
    async fn start(bench: &Bench) -> Daemon<'_> {
        let said_so_far = || std::fs::read_to_string(bench.path("daemon.log")).unwrap_or_default();
        let before = said_so_far().len();
        let mut child = bench.start(&["run"]);
        let watch = Stopwatch::start();
        loop {
            let said = said_so_far().split_off(before);
            if let Some(at) = said.find("web=") {
                let web = said[at + 4..].split_whitespace().next().expect("an address").to_string();
                return Daemon { child, web, bench };
            }
            assert!(child.try_wait().expect("its state").is_none(), "the daemon ended early: {said}");
            assert!(watch.elapsed() < Duration::from_secs(60), "the daemon does not start: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn metric(&self, series: &str) -> f64 {
        let answer = reqwest::get(format!("http://{}/metrics", self.web)).await.expect("metrics");
        let metrics = answer.text().await.expect("text");
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().expect("a number")
    }

    async fn failures(&self, input: &str) -> f64 {
        self.metric(&format!("ctwarden_input_refresh_failures_total{{input=\"{input}\"}}")).await
    }

    async fn as_of(&self, input: &str) -> f64 {
        self.metric(&format!("ctwarden_input_timestamp_seconds{{input=\"{input}\"}}")).await
    }

    /// Waits until one more reading of the input has failed.
    async fn fails(&self, input: &str) {
        let (before, watch) = (self.failures(input).await, Stopwatch::start());
        while self.failures(input).await <= before {
            assert!(watch.elapsed() < Duration::from_secs(60), "{input} does not fail");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a rule finds about a name that is logged now; `None` when it finds nothing.
    async fn judge(&self, log: &LogServer, ca: &Ca, rule: &str, name: &str) -> Option<String> {
        let (count, watch) = (self.bench.count("SELECT count(*) FROM hits"), Stopwatch::start());
        log.append([ours(ca, name, Clock::System.now())]);
        log.publish();
        while self.bench.count("SELECT count(*) FROM hits WHERE examine_at IS NULL") <= count {
            assert!(watch.elapsed() < Duration::from_secs(60), "{name} is not examined");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let sql = "SELECT max(finding) FROM case_findings WHERE rule = ?1 AND subject = ?2";
        self.bench.books().query_row(sql, [rule, name], |row| row.get(0)).expect("the books")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lists of today, served and taken.
async fn all_good(today: Timestamp) -> (Lists, String) {
    let lists = Lists::default();
    lists.set(TLDS, Way::Whole, tlds(today, &[], |_, _| false));
    lists.set(GTLDS, Way::Whole, gtlds(today, ""));
    lists.set(SUFFIXES, Way::Whole, suffixes(today, ENOUGH, ""));
    let url = lists.serve().await;
    (lists, url)
}

/// The day, of which there is enough left for a test: lists of yesterday would be other ones.
async fn today() -> Timestamp {
    let day = || Timestamp::parse(&Clock::System.now().day()).expect("a day");
    let left = day().plus(DAY).since(Clock::System.now());
    if left < Span::from_seconds(120) {
        tokio::time::sleep(left.duration()).await;
    }
    day()
}

async fn a_log() -> LogServer {
    LogServer::start(LogSettings::new(Api::Rfc6962, Clock::System)).await.expect("a log")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_examined_after_a_list_is_judged_by_it() {
    let today = today().await;
    let (ca, log) = (Ca::generate(Clock::System.now()).expect("a CA"), a_log().await);
    let (lists, url) = all_good(today).await;
    let bench = bench(&log, &ca, &url, "1s");
    let daemon = Daemon::start(&bench).await;
    for path in [TLDS, GTLDS, SUFFIXES] {
        lists.taken(path).await;
    }
    for input in ["tld_table", "gtld_registry", "public_suffix_list"] {
        assert_eq!(daemon.as_of(input).await, today.seconds_f64(), "{input}");
        assert_eq!(daemon.failures(input).await, 0.0, "{input}");
    }
    let said = daemon.judge(&log, &ca, "name.internal", "one.zzznew").await.expect("a finding");
    assert!(said.contains(&format!("by the TLD list of {}", today.day())), "{said}");
    assert_eq!(daemon.judge(&log, &ca, "name.internal", "one.aaa").await, None);

    // A new TLD stops the finding.
    lists.set(TLDS, Way::Whole, tlds(today, &["zzznew"], |_, tld| tld == "aaa"));
    lists.taken(TLDS).await;
    assert_eq!(daemon.judge(&log, &ca, "name.internal", "two.zzznew").await, None);
    // On a day on which some list had it, it was delegated.
    assert_eq!(daemon.judge(&log, &ca, "name.internal", "two.aaa").await, None);
    // The registry's dates: one that was delegated yesterday and one that was removed long ago.
    let old = r#", {"gTLD": "zzzreg", "delegationDate": "2026-11-01", "removalDate": null},
                 {"gTLD": "zzzgone", "delegationDate": "2019-01-01", "removalDate": "2020-02-03"}"#;
    lists.set(GTLDS, Way::Whole, gtlds(today, old));
    lists.taken(GTLDS).await;
    assert_eq!(daemon.judge(&log, &ca, "name.internal", "one.zzzreg").await, None);
    let said = daemon.judge(&log, &ca, "name.internal", "one.zzzgone").await.expect("a finding");
    assert!(said.contains("had left the root zone by 2020-02-04"), "{said}");
    // A new suffix.
    assert_eq!(daemon.judge(&log, &ca, "wc.suffix", "*.zzzsuffix.eus").await, None);
    lists.set(SUFFIXES, Way::Whole, suffixes(today, ENOUGH, "zzzsuffix.eus"));
    lists.taken(SUFFIXES).await;
    let said = daemon.judge(&log, &ca, "wc.suffix", "*.zzzsuffix.eus").await.expect("a finding");
    assert!(said.contains(&format!("by the list of {}", today.day())), "{said}");

    let agents = lists.agents.lock().expect("agents").clone();
    assert!(agents.iter().all(|agent| agent.contains("(pki-team@ca-tests.eus)")), "{agents:?}");
    drop(daemon);
    // What was judged by the first list is judged again by the newest that were kept: `zzznew` was a TLD on that day.
    for path in [TLDS, GTLDS, SUFFIXES] {
        lists.set(path, Way::Error, String::new());
    }
    let again = bench.run_beside(&["rescan", "--rule", "name.internal"]).await;
    let told = printed(&again) + &support::monitor::said(&again);
    assert_eq!(again.status.code(), Some(0), "{told}");
    let line = told.lines().find(|line| line.starts_with("name.internal ")).expect("a line");
    let counts: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
    assert_eq!(counts, ["0", "1", "1"], "new, gone, unchanged: {told}");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_list_changes_nothing_and_a_restart_knows_the_last_good_one() {
    let today = today().await;
    let (ca, log) = (Ca::generate(Clock::System.now()).expect("a CA"), a_log().await);
    let (lists, url) = all_good(today).await;
    // `aaa` is in what is built in and not in the first list that is read: it left on a day between.
    lists.set(TLDS, Way::Whole, tlds(today, &["zzznew"], |_, tld| tld == "aaa"));
    lists.set(SUFFIXES, Way::Whole, suffixes(today, ENOUGH, "zzzsuffix.eus"));
    let bench = bench(&log, &ca, &url, "1s");
    let daemon = Daemon::start(&bench).await;
    for path in [TLDS, GTLDS, SUFFIXES] {
        lists.taken(path).await;
    }
    let is_known = async |daemon: &Daemon<'_>, number: usize| {
        let name = |rest: &str| format!("n{number}.{rest}");
        let said = daemon.judge(&log, &ca, "name.internal", &name("aaa")).await.expect("a finding");
        assert!(said.contains("had left the root zone by 2026-08-03"), "{said}");
        assert_eq!(daemon.judge(&log, &ca, "name.internal", &name("zzznew")).await, None);
        assert_eq!(daemon.judge(&log, &ca, "name.internal", &name("eus")).await, None);
    };
    is_known(&daemon, 0).await;
    let yesterday = today.minus(DAY);
    let bad: [(&str, Way, String, &str); 11] = [
        (TLDS, Way::Whole, tlds(today, &["zzznew"], |at, _| at % 30 == 0), "more than 2 %"),
        (TLDS, Way::Whole, "<html>busy</html>\n".to_string(), "not the IANA list"),
        (TLDS, Way::Whole, "A".repeat(9 << 20), "larger than"),
        (TLDS, Way::Cut, tlds(today, &["zzznew"], |_, _| false), "tlds.txt"),
        (TLDS, Way::Whole, tlds(yesterday, &["zzznew"], |_, _| false), "an old copy"),
        (TLDS, Way::Whole, tlds(today.plus(DAY).plus(DAY), &[], |_, _| false), "still to come"),
        (TLDS, Way::Error, String::new(), "HTTP 500"),
        (GTLDS, Way::Whole, r#"{"gTLDs": [], "updatedOn": "2026-11-22"}"#.to_string(), "only 0 rows"),
        (GTLDS, Way::Cut, gtlds(today, ""), "gtlds.json"),
        (SUFFIXES, Way::Whole, suffixes(today, ENOUGH - 200, "zzzsuffix.eus"), "more than 2 %"),
        (SUFFIXES, Way::Whole, suffixes(yesterday, ENOUGH, ""), "an old copy"),
    ];
    for (path, way, body, says) in bad {
        let input = match path {
            TLDS => "tld_table",
            GTLDS => "gtld_registry",
            _ => "public_suffix_list",
        };
        lists.set(path, way, body);
        daemon.fails(input).await;
        // One reading may have been under way when the list changed.
        daemon.fails(input).await;
        let said = std::fs::read_to_string(bench.path("daemon.log")).expect("what it said");
        assert!(said.contains(says), "{path} {says}: {said}");
        assert_eq!(daemon.as_of(input).await, today.seconds_f64(), "{input}");
    }
    is_known(&daemon, 1).await;
    drop(daemon);
    // The servers are down.
    for path in [TLDS, GTLDS, SUFFIXES] {
        lists.set(path, Way::Error, String::new());
    }
    let daemon = Daemon::start(&bench).await;
    daemon.fails("tld_table").await;
    is_known(&daemon, 2).await;
    assert!(daemon.judge(&log, &ca, "wc.suffix", "*.zzzsuffix.eus").await.is_some(), "the last good suffix list");
    drop(daemon);
    // Without the cache, what the lists have shown of TLDs is still in the books.
    std::fs::remove_dir_all(bench.path("data/cache")).expect("the cache");
    let daemon = Daemon::start(&bench).await;
    is_known(&daemon, 3).await;
    drop(daemon);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_twice_a_day() {
    let today = today().await;
    let (ca, log) = (Ca::generate(Clock::System.now()).expect("a CA"), a_log().await);
    let (lists, url) = all_good(today).await;
    log.append([ours(&ca, "one.eus", Clock::System.now().minus(Span::from_seconds(60)))]);
    log.publish();
    let bench = bench(&log, &ca, &url, "1d");
    let daemon = Daemon::start(&bench).await;
    let asked = || [TLDS, GTLDS, SUFFIXES].map(|path| lists.one(path).asked);
    let watch = Stopwatch::start();
    while bench.count("SELECT count(*) FROM tld_history") == 0 || asked() != [1, 1, 1] {
        assert!(watch.elapsed() < Duration::from_secs(60), "the lists are not read: {:?}", asked());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The suffix list is read last, and kept when its day is shown.
    while daemon.as_of("public_suffix_list").await != today.seconds_f64() {
        assert!(watch.elapsed() < Duration::from_secs(60), "the suffix list is not used");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let process = rustix::process::Pid::from_raw(daemon.child.id() as i32).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("a signal");
    let mut daemon = daemon;
    while daemon.child.try_wait().expect("its state").is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(daemon);
    let again = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(asked(), [1, 1, 1]);
    log.stop().await;
}
