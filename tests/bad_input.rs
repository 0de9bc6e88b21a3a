//! Everything that people and machines get wrong, through the real binary: one clear sentence on standard error, the
//! right exit code, never a stack trace (not even for RUST_BACKTRACE=1), and nothing is lost.

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use ctwarden::cert::Certificate;
use ctwarden::clock::{Clock, Span};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind, log_list};
use support::disk::SmallDisk;
use support::monitor::{Bench, printed, said};

const USAGE: i32 = 2;
const FAILED: i32 = 3;

/// Standard error without what the daemon says about its work.
fn sentences(output: &Output) -> Vec<String> {
    let told = |line: &&str| ["  INFO ", "  WARN "].iter().any(|level| line.contains(level));
    said(output).lines().filter(|line| !told(line)).map(str::to_string).collect()
}

/// The end of a command: this code and one sentence with all these parts.
fn ends(output: &Output, code: i32, parts: &[&str]) {
    let all = said(output);
    assert_eq!(output.status.code(), Some(code), "{all}");
    for word in ["panicked", "stack backtrace", "internal error", "RUST_BACKTRACE", "thread '"] {
        assert!(!all.contains(word), "{word}: {all}");
    }
    let sentences = sentences(output);
    assert_eq!(sentences.len(), 1, "one sentence: {all}");
    for part in parts {
        assert!(sentences[0].contains(part), "{part:?} is not in {:?}", sentences[0]);
    }
}

/// A configuration on a directory, without a log to follow unless the list names one.
struct Desk {
    bench: Bench,
    good: String,
}

impl Desk {
    fn new(list: &str) -> Desk {
        let ca = Ca::generate(Clock::System.now()).expect("CA");
        let issuers = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuer.pem\"\n[issuance]\nsource = \"none\"";
        let bench = Bench::with_list(list, issuers, "");
        bench.write("issuer.pem", &ca.issuing_pem());
        let good = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("config");
        Desk { bench, good }
    }

    /// Changes the configuration: from the good one, one text for another.
    fn change(&self, from: &str, to: &str) {
        assert!(self.good.contains(from), "{from}");
        self.bench.write("ctwarden.toml", &self.good.replace(from, to));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.bench.command(arguments).env("RUST_BACKTRACE", "1").output().expect("start the program")
    }

    fn follow(&self) -> Output {
        self.run(&["run", "--until-caught-up"])
    }

    fn shown(&self, name: &str) -> String {
        self.bench.path(name).display().to_string()
    }
}

const NO_LOGS: &str = r#"{"operators": []}"#;

#[test]
fn a_configuration_that_is_wrong_is_named_with_its_line_and_a_remedy() {
    let desk = Desk::new(NO_LOGS);
    let file = desk.shown("ctwarden.toml");
    desk.change("contact =", "kontact =");
    let both = desk.follow();
    assert_eq!(both.status.code(), Some(USAGE));
    // Two problems, two lines: the key that is unknown, and the one that is missing for it.
    assert!(said(&both).contains(&format!("{file}:3: logs.kontact: is not a key of ctwarden. Did you mean contact?")));
    assert_eq!(said(&both).lines().count(), 2, "{}", said(&both));
    desk.change("start = \"beginning\"", "start = \"beginning\"\nstat = \"end\"");
    ends(&desk.follow(), USAGE, &[&format!("{file}:5: logs.stat: is not a key of ctwarden. Did you mean start?")]);
    desk.change("[data]", "data");
    ends(&desk.follow(), USAGE, &[&file, "Write it in TOML as `ctwarden config example` does."]);
    std::fs::write(desk.bench.path("ctwarden.toml"), [0xff, 0xfe, 0, 1]).expect("write");
    ends(&desk.follow(), USAGE, &[&file, "is not UTF-8 text"]);
    std::fs::remove_file(desk.bench.path("ctwarden.toml")).expect("remove");
    ends(&desk.follow(), USAGE, &[&file, "cannot be read (no such file or directory)", "ctwarden config example"]);
    std::fs::create_dir(desk.bench.path("ctwarden.toml")).expect("a directory");
    ends(&desk.follow(), USAGE, &[&file, "is not a file"]);
    assert!(!desk.bench.path("data").exists(), "nothing was begun");
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let desk = Desk::new(NO_LOGS);
    let key = rcgen::KeyPair::generate().expect("key");
    desk.bench.write("key.pem", &key.serialize_pem());
    let mut leaf = rcgen::CertificateParams::new(vec!["www.barakaldo.eus".to_string()]).expect("parameters");
    leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
    desk.bench.write("leaf.pem", &leaf.self_signed(&key).expect("certificate").pem());
    for (name, reason) in [
        ("logs.json", "is not a certificate"),
        ("key.pem", "holds a private key"),
        ("leaf.pem", "is not a CA certificate"),
        ("absent.pem", "cannot be read (no such file or directory)"),
        (".", "is not a file"),
    ] {
        desk.change("certificate = \"issuer.pem\"", &format!("certificate = \"{name}\""));
        ends(&desk.follow(), USAGE, &["issuer[1].certificate: ", reason, "Name the CA certificate of this issuer"]);
    }
    for (name, reason) in [("absent.json", "cannot be read (no such file or directory)"), (".", "is not a file")] {
        desk.change("list = \"logs.json\"", &format!("list = \"{name}\""));
        ends(&desk.follow(), USAGE, &["ctwarden.toml:2: logs.list: ", reason, "Name a readable log list"]);
    }
    desk.bench.write("taken", "a file");
    desk.change("folder = \"mail\"", "folder = \"taken\"");
    for command in [&["run", "--until-caught-up"][..], &["test-alert"]] {
        let parts = ["mail.folder: ", "taken is not a directory. Name a directory."];
        ends(&desk.run(command), USAGE, &parts);
    }
    desk.change("directory = \"data\"", "directory = \"taken\"");
    ends(&desk.follow(), USAGE, &["data.directory: ", "taken is not a directory. Name a directory."]);
    // What only the attempt can show.
    desk.change("directory = \"data\"", "directory = \"taken/data\"");
    let parts = [&desk.shown("taken/data")[..], "Not a directory", "check the path, its owner and its permissions"];
    ends(&desk.follow(), FAILED, &parts);
    desk.change("folder = \"mail\"", "folder = \"taken/mail\"");
    let parts = [&desk.shown("taken/mail")[..], "Not a directory", "name a directory that can be written to"];
    ends(&desk.follow(), USAGE, &parts);
    ends(&desk.run(&["test-alert"]), USAGE, &parts);
}

#[test]
fn a_log_list_that_cannot_be_used_stops_the_start_with_a_sentence() {
    let desk = Desk::new(NO_LOGS);
    let file = desk.shown("logs.json");
    let mend = "mend it or name another in [logs] list";
    let none = "no log in it is in one of the states qualified, usable, readonly of [logs] states";
    ends(&desk.follow(), USAGE, &[&file, none, mend]);
    for (text, reason) in [
        ("<html>404</html>", "is not JSON"),
        ("{\"operators\": [", "is not JSON"),
        ("[]", "has no \"operators\" array"),
        ("{\"logs\": []}", "has no \"operators\" array"),
    ] {
        desk.bench.write("logs.json", text);
        ends(&desk.follow(), USAGE, &[&file, reason, mend]);
    }
    desk.bench.write("logs.json", "");
    ends(&desk.follow(), USAGE, &["logs.list", "is empty"]);
}

/// A log with some entries, ours first.
async fn log_of(ca: &Ca, ours: usize) -> LogServer {
    let clock = Clock::System;
    let settings =
        LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(Api::StaticCt, clock.clone()) };
    let log = LogServer::start(settings).await.expect("log");
    for number in 0..ours {
        let at = clock.now().minus(Span::from_seconds((ours - number) as i64));
        let draft = ca.draft(&[&format!("host{number}.bizkaia.euskalsarea")], at).expect("draft");
        let pre_certificate = draft.precertificate().expect("precertificate");
        let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
        let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
        log.append([RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec()] }]);
    }
    log.publish();
    log
}

fn issuers(ca: &Ca) -> String {
    let hash = ca.issuer_key_hash();
    format!("[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{hash}\"\n[issuance]\nsource = \"none\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_entry_of_a_log_list_costs_that_log_alone() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let (good, broken) = (log_of(&ca, 3).await, log_of(&ca, 5).await);
    let mut list = log_list(&[&good, &broken], Clock::System.now());
    let entry = &mut list["operators"][0]["tiled_logs"][1];
    entry["description"] = "The broken one".into();
    entry["key"] = "bm8ga2V5".into();
    let bench = Bench::with_list(&list.to_string(), &issuers(&ca), "");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let warning = said(&done).lines().find(|line| line.contains("The broken one")).map(str::to_string);
    let warning = warning.expect("the entry is named");
    assert!(warning.contains("WARN an entry of the log list is not used") && warning.contains("key"), "{warning}");
    assert_eq!(bench.count("SELECT count(*) FROM logs"), 1);
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 3);
    good.stop().await;
    broken.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named_and_nothing_is_begun() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_of(&ca, 1).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let bench = Bench::new(&[&log], &issuers(&ca), "");
    let config = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("config");
    bench.write("ctwarden.toml", &config.replace("127.0.0.1:0", &address));
    let refused = bench.run_beside(&["run"]).await;
    let listen = format!("[web] listen {address}: ");
    ends(&refused, FAILED, &[&listen, "Address already in use", "stop what uses the address, or choose another"]);
    assert!(!bench.path("data/books.sqlite").exists());
    drop(taken);
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!((done.status.code(), bench.count("SELECT count(*) FROM hits")), (Some(0), 1), "{}", said(&done));
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_at_the_first_start_is_said_to_be_full() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_of(&ca, 1).await;
    let bench = Bench::new(&[&log], &issuers(&ca), "");
    let Some(_disk) = SmallDisk::mount(&bench.path("data"), 4) else {
        println!("skipped: cannot mount");
        return;
    };
    bench.write("data/filler", &"x".repeat(4096));
    let full = bench.run_beside(&["run", "--until-caught-up"]).await;
    ends(&full, FAILED, &["ctwarden.lock: the disk is full", "Free some space and start ctwarden again"]);
    log.stop().await;
}

/// The disk fills up while the daemon reads, examines or mails, according to its size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_daemon_with_a_sentence_and_loses_nothing() {
    const HITS: usize = 300;
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_of(&ca, HITS).await;
    let mut filled = 0;
    for kib in [60, 900, 3_000] {
        let bench = Bench::new(&[&log], &issuers(&ca), "");
        let (data, mail) = (bench.path("data"), bench.path("mail"));
        // Mails are written durably, hundreds of them: in memory that is quick.
        let (Some(disk), Some(_memory)) = (SmallDisk::mount(&data, kib), SmallDisk::mount(&mail, 50_000)) else {
            println!("skipped: cannot mount");
            return;
        };
        let full = bench.run_beside(&["run", "--until-caught-up"]).await;
        if full.status.code() != Some(0) {
            filled += 1;
            ends(&full, FAILED, &["the disk is full", "Free some space and start ctwarden again"]);
        }
        disk.grow(200);
        let done = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(done.status.code(), Some(0), "{kib}: {}", said(&done));
        assert_eq!(bench.count("SELECT count(*) FROM hits"), HITS as i64);
        assert_eq!(bench.count("SELECT count(*) FROM cases WHERE events = 1"), HITS as i64);
        assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"), HITS as i64);
        assert_eq!(bench.mails().len(), HITS, "one mail for each");
    }
    assert!(filled >= 2, "the disk was not full each time");
    log.stop().await;
}

#[test]
fn what_is_not_there_is_said_in_one_sentence() {
    let desk = Desk::new(NO_LOGS);
    let books = desk.shown("data/books.sqlite");
    for command in [&["cases"][..], &["cases", "show", "42"], &["logs"]] {
        ends(&desk.run(command), FAILED, &[&books, "there are no books yet", "`ctwarden run` makes them"]);
    }
    let only = |output: &Output| !said(output).contains("permissions");
    assert!(only(&desk.run(&["cases"])), "what is not there yet has no owner");
    ends(&desk.run(&["cases", "show", "barakaldo"]), USAGE, &["\"barakaldo\" is not the name of a case"]);
    drop(ctwarden::books::Books::open(&desk.bench.path("data/books.sqlite")).expect("books without a log"));
    let logs = desk.run(&["logs"]);
    assert!(printed(&logs).starts_with("no log was read yet; "), "{}", printed(&logs));
    desk.bench.write("wrong.log", "2026-11-22T00:00:00Z host nginx[9]: GET /\n");
    let import = desk.run(&["issuance", "import", "--input", "boulder-log", &desk.shown("wrong.log")]);
    assert!(printed(&import).contains("is it the audit log of Boulder's RA, VA or CA?"), "{}", printed(&import));
    let absent = desk.shown("absent");
    let parts = [&absent[..], "No such file or directory"];
    ends(&desk.run(&["lint", &absent]), FAILED, &parts);
    ends(&desk.run(&["lint", "/dev/null"]), FAILED, &["/dev/null", "neither a file nor a folder"]);
    ends(&desk.run(&["issuance", "import", &absent]), FAILED, &[&absent, "No such file", "nothing was imported"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_that_does_not_exist_is_said_so() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = log_of(&ca, 1).await;
    let bench = Bench::new(&[&log], &issuers(&ca), "");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(printed(&bench.run(&["cases", "show", "1"])).contains("euskalsarea"));
    for id in ["2", "CASE-2026-0042", "999999999999"] {
        ends(&bench.run(&["cases", "show", id]), USAGE, &[&format!("there is no case {id}"), "`ctwarden cases` lists"]);
    }
    log.stop().await;
}

#[test]
fn an_audit_says_what_it_cannot_use_before_it_begins() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).display().to_string();
    std::fs::write(path("orders.csv"), "order_id").expect("written");
    let audit = |more: &[&str]| {
        let out = path("out");
        let arguments = [&["audit", "--out", &out], more].concat();
        Command::new(env!("CARGO_BIN_EXE_ctwarden")).current_dir(place.path()).args(arguments).output().expect("run")
    };
    let (here, file) = (path(""), path("orders.csv"));
    ends(&audit(&["--from", &file]), USAGE, &["orders.csv: a file; name the directory that holds one for each table"]);
    let earlier = ["--from", &here, "--compare", &here];
    ends(
        &audit(&earlier),
        USAGE,
        &["holds no groups.csv to compare with; name the output directory of a finished audit"],
    );
    ends(&audit(&["--from", &here, "--rule", "dcv.reus"]), USAGE, &["no rule dcv.reus", "do you mean dcv.reuse?"]);
    ends(
        &audit(&["--from", &here, "--rule", "zzz"]),
        USAGE,
        &["no rule zzz", "it judges dcv.exists, ", "san.unexpected"],
    );
    assert!(!place.path().join("out").exists(), "nothing was begun");
}
