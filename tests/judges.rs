//! Other linters as judges: the real pkilint, stand-ins for zlint's command and pkimetal's service, and what becomes of
//! the case when one of them answers, contradicts, or does not answer.

#[path = "support/mod.rs"]
mod support;

#[path = "support/judges/pkilint.rs"]
mod pkilint;
#[path = "support/judges/service.rs"]
mod service;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ctwarden::cert::pem;
use ctwarden::demo::log::{Api, LogServer, log_list};
use ctwarden::judges::mapping::UNREADABLE;
use ctwarden::judges::{Answer, Foreign, Format, Judge, JudgeError, Settings, Way, Weight};
use ctwarden::pipeline::hear_opinions_due;
use support::issuer::{TestCa, leaf};
use support::monitor::{Bench, printed, said};
use support::scene::{bench, caught_up, metric, now, open, ours, still, wait_for};

/// Whether an error is the one that must come.
type Expected = fn(&JudgeError) -> bool;

fn settings(way: Way) -> Settings {
    let timeout = Duration::from_secs(60);
    Settings { name: "other".to_string(), way, timeout, at_once: 2, batch: 8, version_command: None }
}

/// The stand-in for zlint.
fn zlint() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/judges/zlint.sh").to_string_lossy().into_owned()
}

fn command(arguments: &[&str]) -> Settings {
    let argv = std::iter::once(zlint()).chain(arguments.iter().map(|a| a.to_string())).collect();
    settings(Way::Command(argv, Format::Zlint))
}

async fn ask(settings: Settings, ders: &[Vec<u8>]) -> Result<Vec<Answer>, JudgeError> {
    Judge::new(settings).expect("a judge").ask(ders).await
}

/// The certificate of a lint fixture.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lint").join(format!("{name}.case"));
    let text = std::fs::read(path).expect("a fixture");
    pem::certificates(&text).remove(0).expect("a certificate")
}

fn internal() -> Vec<u8> {
    fixture("name.internal/fail-seed-euskalsarea")
}

fn codes(answer: &Answer) -> Vec<(&str, Weight)> {
    answer.findings.iter().map(|Foreign { code, weight, .. }| (code.as_str(), *weight)).collect()
}

#[tokio::test]
async fn a_command_is_given_files_or_standard_input_and_answers_in_order() {
    let ders = [internal(), fixture("san.dup/pass-all-different"), internal()];
    let expected = [("e_brand_new_lint", Weight::Error), ("e_dnsname_not_valid_tld", Weight::Error)];
    for arguments in [&["answer", "{files}"][..], &["answer"][..]] {
        let answers = ask(command(arguments), &ders).await.expect("answers");
        assert_eq!(answers.len(), 3, "{arguments:?}");
        assert!(answers.iter().all(|answer| codes(answer) == expected && answer.version == "ZLint version 3.6.4"));
    }
    let one = ask(command(&["answer", "{file}"]), &ders[..1]).await.expect("an answer");
    assert_eq!(codes(&one[0]), expected);
}

#[tokio::test]
async fn what_a_broken_program_says_is_no_answer() {
    let two = [internal(), internal()];
    let cases: [(&str, Expected); 7] = [
        ("garbage", |e| matches!(e, JudgeError::Garbled(_))),
        ("wrong", |e| matches!(e, JudgeError::Garbled(_))),
        ("half", |e| matches!(e, JudgeError::Garbled(_))),
        ("few", |e| matches!(e, JudgeError::Garbled(_))),
        ("exit", |e| matches!(e, JudgeError::Unreachable(why) if why.contains("unable to read the configuration"))),
        ("killed", |e| matches!(e, JudgeError::Unreachable(why) if why.contains("SIGKILL"))),
        ("huge", |e| *e == JudgeError::TooLarge),
    ];
    for (mode, is_it) in cases {
        let error = ask(command(&[mode, "{files}"]), &two).await.expect_err(mode);
        assert!(is_it(&error), "{mode}: {error}");
    }
    let missing = settings(Way::Command(vec!["/nowhere/zlint".into()], Format::Zlint));
    assert!(matches!(ask(missing, &two).await, Err(JudgeError::Unreachable(_))));
    // More on standard error than a pipe holds stops nothing.
    assert!(ask(command(&["loud", "{file}"]), &two[..1]).await.is_ok());
    // That it cannot read one certificate is an answer; of several nobody knows which one it means.
    let refused = ask(command(&["unreadable", "{files}"]), &two[..1]).await.expect("an answer").remove(0);
    assert_eq!(codes(&refused), [(UNREADABLE, Weight::Error)]);
    assert!(ask(command(&["unreadable", "{files}"]), &two).await.is_err());
}

/// Whether a process is there and no zombie.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[tokio::test]
async fn when_time_is_up_the_whole_process_group_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid_file = folder.path().join("pid").to_string_lossy().into_owned();
    let hanging = Settings { timeout: Duration::from_secs(1), ..command(&["hang", &pid_file]) };
    assert_eq!(ask(hanging, &[internal()]).await, Err(JudgeError::TimedOut(1)));
    let pid = std::fs::read_to_string(&pid_file).expect("it had a child");
    wait_for("the child of a judge that hangs is gone", || !alive(&pid)).await;
    // What a program leaves behind holds its output open; that is not waited for.
    let answers = ask(command(&["orphan", &pid_file]), &[internal()]).await.expect("an answer");
    assert_eq!(answers.len(), 1);
    let pid = std::fs::read_to_string(&pid_file).expect("it had a child");
    wait_for("what a judge left behind is gone", || !alive(&pid)).await;
}

#[tokio::test]
async fn pkimetal_is_asked_as_its_interface_wants_it() {
    let der = internal();
    let server = service::start(service::Mode::Answer, der.clone()).await;
    let asked = |path: &str| settings(Way::Service(server.url(path), Format::Pkimetal));
    let answer = ask(asked("/lintcert"), std::slice::from_ref(&der)).await.expect("an answer").remove(0);
    let expected = [("cabf.internal_domain_name", Weight::Error), ("e_dnsname_not_valid_tld", Weight::Error)];
    assert_eq!((codes(&answer), &*answer.version), (expected.to_vec(), "v1.20.0"));
    assert_eq!(answer.linters, ["pkilint", "zlint"]);
    let nowhere = ask(asked("/elsewhere"), std::slice::from_ref(&der)).await;
    assert!(matches!(nowhere, Err(JudgeError::Unreachable(why)) if why.contains("404")));
}

#[tokio::test]
async fn what_a_broken_service_says_is_no_answer() {
    let der = internal();
    let cases: [(service::Mode, Expected); 5] = [
        (service::Mode::Failing, |e| matches!(e, JudgeError::Unreachable(why) if why.contains("500"))),
        (service::Mode::Garbage, |e| matches!(e, JudgeError::Garbled(_))),
        (service::Mode::Broken, |e| matches!(e, JudgeError::Garbled(why) if why.contains("stdout.Scan"))),
        (service::Mode::Huge, |e| *e == JudgeError::TooLarge),
        (service::Mode::Silent, |e| *e == JudgeError::TimedOut(1)),
    ];
    for (mode, is_it) in cases {
        let server = service::start(mode, der.clone()).await;
        let asked = settings(Way::Service(server.url("/lintcert"), Format::Pkimetal));
        let timeout = Duration::from_secs(if mode == service::Mode::Silent { 1 } else { 60 });
        let error = ask(Settings { timeout, ..asked }, std::slice::from_ref(&der)).await.expect_err("no answer");
        assert!(is_it(&error), "{mode:?}: {error}");
    }
    let closed = settings(Way::Service(service::nobody(), Format::Pkimetal));
    assert!(matches!(ask(closed, &[der]).await, Err(JudgeError::Unreachable(_))));
}

#[tokio::test]
async fn the_real_pkilint_by_its_command() {
    let Some(bin) = pkilint::programs("the_real_pkilint_by_its_command") else { return };
    let program = |name: &str| bin.join(name).to_string_lossy().into_owned();
    let argv = ["lint", "-d", "-f", "JSON", "{file}"].map(str::to_string);
    let argv = std::iter::once(program("lint_cabf_serverauth_cert")).chain(argv).collect();
    let version_command = Some(vec![program("pip"), "show".into(), "pkilint".into()]);
    let judge =
        Judge::new(Settings { version_command, ..settings(Way::Command(argv, Format::Pkilint)) }).expect("a judge");
    check_pkilint(&judge).await;
}

#[tokio::test]
async fn the_real_pkilint_by_its_service() {
    let Some(bin) = pkilint::programs("the_real_pkilint_by_its_service") else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let served = Command::new(bin.join("python"))
        .args(["-m", "uvicorn", "pkilint.rest:app", "--host", "127.0.0.1", "--log-level", "warning"])
        .args(["--port", &port.to_string()])
        .stdin(Stdio::null())
        .spawn();
    let mut server = Ended(served.expect("uvicorn starts"));
    // It computes for twenty seconds before it listens.
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert_eq!(server.0.try_wait().expect("a process"), None, "uvicorn ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let url = format!("http://127.0.0.1:{port}/certificate/cabf-serverauth").parse().expect("a URL");
    check_pkilint(&Judge::new(settings(Way::Service(url, Format::Pkilint))).expect("a judge")).await;
}

/// Kills a process at the end.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// It finds what it must, passes what it must, says what it cannot read, and has a version.
async fn check_pkilint(judge: &Judge) {
    let found = judge.ask(&[internal()]).await.expect("an answer").remove(0);
    assert!(codes(&found).contains(&("cabf.internal_domain_name", Weight::Error)), "{found:?}");
    assert_eq!(found.version, pkilint::VERSION);
    let passed = judge.ask(&[fixture("san.dup/pass-all-different")]).await.expect("an answer").remove(0);
    assert!(passed.findings.iter().all(|finding| finding.weight != Weight::Error), "{passed:?}");
    let unreadable = judge.ask(&[fixture("cert.unparsable/fail-trailing-octets")]).await.expect("an answer").remove(0);
    assert_eq!(codes(&unreadable), [(UNREADABLE, Weight::Error)]);
}

/// A log with two certificates of ours, each with an internal name, and a monitor whose judge is this script.
async fn scene(script: &str, timeout: &str) -> (Bench, LogServer) {
    let (log, ca) = (still(Api::Rfc6962).await, TestCa::new("Tests CA"));
    log.append((1..=2).map(|serial| ours(&ca, serial)));
    log.publish();
    let list = log_list(&[&log], now()).to_string();
    let judge = "[[judge]]\nname = \"zlint\"\nformat = \"zlint\"\nbatch = 8\nversion_command = [\"echo\", \"3.6.4\"]";
    let bench = bench(&list, &ca, "");
    let path = bench.path("judge.sh");
    let configured = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    let command = format!("command = [\"/bin/sh\", \"{}\", \"{{files}}\"]\ntimeout = \"{timeout}\"", path.display());
    bench.write("ctwarden.toml", &format!("{configured}\n{judge}\n{command}\n"));
    bench.write("judge.sh", script);
    (bench, log)
}

/// Finds what we find too.
const AGREES: &str = "for f in \"$@\"; do echo '{\"e_dnsname_not_valid_tld\":{\"result\":\"error\"}}'; done";
/// Passes everything.
const PASSES: &str = "for f in \"$@\"; do echo '{\"e_dnsname_not_valid_tld\":{\"result\":\"pass\"}}'; done";
/// Finds what nobody else finds.
const INVENTS: &str =
    "for f in \"$@\"; do echo '{\"e_brand_new_lint\":{\"result\":\"error\",\"details\":\"its words\"}}'; done";

/// What other judges say in the first case, a fact a line, as the newest books have it.
async fn case(bench: &Bench) -> String {
    let shown = printed(&bench.run_beside(&["cases", "show", "1", "--format", "json"]).await);
    let case: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let facts = case["notice"]["opinions"].as_array().expect("opinions").iter();
    facts.map(|fact| format!("{}: {}\n", fact[0].as_str().expect("text"), fact[1].as_str().expect("text"))).collect()
}

/// Every waiting question's time has come.
fn due_now(bench: &Bench) {
    let changed = bench.books().execute("UPDATE opinions SET next_try_at = 0 WHERE next_try_at IS NOT NULL", []);
    assert!(changed.expect("the books") > 0, "nothing waits");
}

const WAITING: &str = "SELECT count(*) FROM opinions WHERE next_try_at IS NOT NULL";

#[tokio::test]
async fn an_equal_finding_is_folded_into_ours() {
    let (bench, _log) = scene(AGREES, "60s").await;
    let metrics = caught_up(&bench).await.expect("all is read");
    assert_eq!((bench.count(WAITING), bench.count("SELECT count(*) FROM opinions")), (0, 2));
    assert_eq!(
        metric(&metrics, "ctwarden_judge_requests_total{judge=\"zlint\",outcome=\"answered\"}"),
        1.0,
        "one batch"
    );
    assert_eq!(metric(&metrics, "ctwarden_judge_opinions_waiting{judge=\"zlint\"}"), 0.0);
    assert!(metric(&metrics, "ctwarden_judge_last_answer_timestamp_seconds{judge=\"zlint\"}") > 1e9);
    // One event a case: what both found is no news.
    assert_eq!((bench.count("SELECT count(*) FROM case_events"), bench.mails().len()), (2, 2));
    let shown = case(&bench).await;
    assert!(shown.contains("zlint 3.6.4: name.internal: also zlint e_dnsname_not_valid_tld"), "{shown}");
}

#[tokio::test]
async fn a_difference_is_shown() {
    let (bench, _log) = scene(PASSES, "60s").await;
    caught_up(&bench).await.expect("all is read");
    let shown = case(&bench).await;
    assert!(shown.contains("zlint 3.6.4: ours: error name.internal, zlint: pass"), "{shown}");
    assert_eq!(bench.mails().len(), 2, "it is no news");
    let page = printed(&bench.run_beside(&["cases", "show", "1"]).await);
    assert!(page.contains("ALSO  other linters: zlint 3.6.4: ours: error "), "{page}");
}

#[tokio::test]
async fn an_error_of_another_judge_alone_is_told_for_review() {
    let (bench, _log) = scene(INVENTS, "60s").await;
    let metrics = caught_up(&bench).await.expect("all is read");
    let events = "SELECT count(*) FROM case_events WHERE kind = ";
    assert_eq!(bench.count(&format!("{events}'opened'")), 2, "our own verdict came first");
    assert_eq!(bench.count(&format!("{events}'updated'")), 2);
    assert_eq!(metric(&metrics, "ctwarden_findings_total{rule=\"other_linters\",severity=\"review\"}"), 2.0);
    let finding = "SELECT count(*) FROM case_findings WHERE rule = 'zlint:e_brand_new_lint'
                   AND finding LIKE '%review%' AND finding LIKE '%no such rule%its words%'";
    assert_eq!(bench.count(finding), 2);
    assert_eq!(bench.count("SELECT count(*) FROM cases WHERE clock = '24h'"), 2, "our own clock stays");
}

#[tokio::test]
async fn our_verdict_waits_for_no_judge_and_what_it_did_not_say_is_asked_again() {
    let (bench, _log) = scene("sleep 600", "1s").await;
    let metrics = caught_up(&bench).await.expect("all of ours is done");
    assert_eq!((bench.mails().len(), bench.count(WAITING)), (2, 2), "told without it");
    assert_eq!(metric(&metrics, "ctwarden_judge_requests_total{judge=\"zlint\",outcome=\"timed_out\"}"), 1.0);
    assert_eq!(metric(&metrics, "ctwarden_judge_opinions_waiting{judge=\"zlint\"}"), 2.0);
    assert!(metric(&metrics, "ctwarden_judge_opinions_oldest_timestamp_seconds{judge=\"zlint\"}") > 1e9);
    let shown = case(&bench).await;
    assert!(shown.contains("zlint: did not answer, asked 1 times: no answer within 1 s"), "{shown}");
    assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule LIKE '%:%'"), 0, "no finding about anybody");
    // After a restart the questions are still there, and each is asked alone.
    bench.write("judge.sh", "[ $# = 1 ] || exit 7\necho '{\"e_dnsname_not_valid_tld\":{\"result\":\"error\"}}'");
    due_now(&bench);
    let daemon = open(&bench).await;
    let walk = daemon.walk().clone();
    let round = hear_opinions_due(&walk, &walk.judges[0]).await.expect("the books");
    assert_eq!((round.answered, round.silent, bench.count(WAITING)), (2, 0, 0));
    drop(daemon);
    let shown = case(&bench).await;
    assert!(shown.contains("name.internal: also zlint"), "{shown}");
    assert!(!shown.contains("did not answer"), "{shown}");
}

#[tokio::test]
async fn a_certificate_that_a_judge_cannot_stand_keeps_no_other_from_being_judged() {
    // It breaks down over the certificate of serial number 1, alone or in company.
    let poisoned = "for f in \"$@\"; do base64 -d <<E | grep -q host1 && exit 5\n$(grep -v -- ----- \"$f\")\nE\n\
                    echo '{\"e_dnsname_not_valid_tld\":{\"result\":\"error\"}}'; done";
    let (bench, _log) = scene(poisoned, "60s").await;
    caught_up(&bench).await.expect("all of ours is done");
    assert_eq!(bench.count(WAITING), 2, "the batch failed");
    for waiting in [1, 1] {
        due_now(&bench);
        let daemon = open(&bench).await;
        let walk = daemon.walk().clone();
        hear_opinions_due(&walk, &walk.judges[0]).await.expect("the books");
        assert_eq!(bench.count(WAITING), waiting);
    }
    let attempts = "SELECT count(*) FROM opinions WHERE attempts = 3 AND error LIKE '%exit status: 5%'";
    assert_eq!(bench.count(attempts), 1);
}

#[tokio::test]
async fn books_of_the_format_before_are_brought_up_to_date() {
    let (bench, _log) = scene(AGREES, "60s").await;
    caught_up(&bench).await.expect("all is read");
    let books = bench.books();
    books
        .execute_batch(
            "DROP TABLE opinions; DROP TABLE tld_history; DROP TABLE walks; DROP TABLE unlogged; DROP TABLE crls;
             DROP TABLE listed; ALTER TABLE case_findings DROP COLUMN ended_at; PRAGMA user_version = 3",
        )
        .expect("books as they were");
    drop(books);
    let refused = bench.run_beside(&["cases"]).await;
    assert!(said(&refused).contains("they have format 3"), "{}", said(&refused));
    drop(open(&bench).await);
    assert_eq!(bench.count("SELECT count(*) FROM opinions"), 0);
    assert_eq!(bench.run_beside(&["cases"]).await.status.code(), Some(0));
}

/// `ctwarden lint --config`: issuers, profiles and the other linters of a configuration count as well.
#[test]
fn lint_with_a_configuration_asks_the_other_linters_too() {
    let (ours, other) = (TestCa::new("Tests CA"), TestCa::new("Another"));
    let issuers = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuer.pem\"\n\
                   [[profile]]\nsection = \"CPS 4.1.2\"\nforbidden_names = [\"udala.eus\"]\n";
    let judge = |mode: &str| {
        let zlint = zlint();
        format!("[[judge]]\nname = \"zlint\"\ncommand = [\"{zlint}\", \"{mode}\"]\nformat = \"zlint\"\nbatch = 2\n")
    };
    let bench = Bench::with_list(r#"{"operators":[]}"#, issuers, &judge("answer"));
    bench.write("issuer.pem", &ours.pem());
    let names = ["www.udala.eus", "www.liburutegia.eus", "x.euskalsarea"];
    for (number, name) in (1..).zip(names) {
        let issuer = if number == 2 { &other } else { &ours };
        let der = issuer.certificate(&leaf(number, name), b"a log");
        bench.write(&format!("{number}.pem"), &pem::encode(&der));
    }
    let config = bench.path("ctwarden.toml").to_string_lossy().into_owned();
    let files: Vec<String> = (1..=3).map(|n| bench.path(&format!("{n}.pem")).to_string_lossy().into_owned()).collect();
    let lint = |more: &[&str]| {
        let mut command = bench.command(&["lint", "--config", &config, "--issued-at", "2026-11-20"]);
        command.args(more).args(&files).output().expect("lint")
    };
    let done = lint(&["--format", "json"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    let lines: Vec<serde_json::Value> =
        printed(&done).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let has =
        |at: usize, rule: &str| lines[at]["findings"].as_array().expect("a list").iter().any(|f| f["rule"] == rule);
    assert_eq!([0, 1, 2].map(|at| has(at, "policy.forbidden_name")), [true, false, false]);
    assert_eq!(
        [0, 1, 2].map(|at| has(at, "cert.issuer_bytes")),
        [false; 3],
        "nobody else's is held against our issuer"
    );
    assert_eq!([0, 1, 2].map(|at| has(at, "zlint:e_brand_new_lint")), [true; 3]);
    let opinions = |at: usize| lines[at]["opinions"].to_string();
    assert!(opinions(2).contains("name.internal: also zlint e_dnsname_not_valid_tld"), "{}", opinions(2));
    assert!(opinions(0).contains("zlint: error e_dnsname_not_valid_tld, ours: pass name.internal"), "{}", opinions(0));
    let text = printed(&lint(&[]));
    assert!(text.contains("  also     ") && text.contains("(CPS 4.1.2)"), "{text}");
    // One that does not answer is said not to be evaluable, of each certificate.
    let config_text = std::fs::read_to_string(&config).expect("the configuration");
    bench.write("ctwarden.toml", &config_text.replace("\"answer\"", "\"garbage\""));
    let silent = printed(&lint(&[]));
    assert_eq!(silent.matches("zlint (another linter): not evaluable").count(), 3, "{silent}");
    // A mistake in the configuration is one of usage.
    bench.write("ctwarden.toml", &format!("{config_text}\n[lints]\n"));
    assert_eq!(lint(&[]).status.code(), Some(2));
}
