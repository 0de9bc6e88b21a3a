//! The whole monitor, as it is installed, reads logs that another process serves on this machine: entries per second
//! of its CPU time (user and system, start and end included), entries per second where answers take 100 ms, and peak
//! memory. `cargo bench --bench whole_process`; a number after `--` is a row, to measure it alone. With CTWARDEN_PROGRAM
//! another build of the monitor is measured on the same bytes. Other open monitors read the same logs in the same run
//! where they are installed; `alone` after `--` leaves them out.

mod others;
mod served;
mod synthetic;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use others::Other;
use serde_json::Value;
use served::{Kind, Spec};

const TILED: u64 = 1024 * 256;
const PAGED: u64 = 262 * 1000;
/// Entries of each log where there are many, and how many there are of either kind.
const OF_MANY: (u64, u64) = (24_000, 94 * 256);
const MANY: u8 = 30;
/// Entries of the log that is far away.
const OF_FAR: u64 = 32 * 7_000;
/// What a monitor that reads the same logs needs at best today, in entries per CPU second: pages, tiles.
const OTHERS: (f64, f64) = (18_000.0, 24_000.0);
/// How many times as many are wanted over HTTP, and what is wanted over HTTPS.
const TIMES: f64 = 12.0;
const WANTED_HTTPS: (f64, f64) = (80_000.0, 170_000.0);
/// Entries per second of a log whose answers take 100 ms and have 32 entries.
const WANTED_FAR: f64 = 10_000.0;
/// Megabytes at most: one log, and sixty.
const MOST_MEGABYTES: (f64, f64) = (60.0, 150.0);
/// A monitor that takes longer is stopped, and the bench fails.
const LONGEST: Duration = Duration::from_secs(300);

/// What is to be reached.
enum Wanted {
    /// Entries per CPU second.
    PerCpu(f64),
    /// Entries per second.
    PerSecond(f64),
    /// Nothing but the memory.
    Memory,
}

struct Row {
    name: &'static str,
    logs: Vec<Spec>,
    wanted: Wanted,
    most_megabytes: f64,
    /// Of so many runs the best counts: what else the machine does only adds.
    runs: u32,
}

fn one(name: &'static str, kind: Kind, gzipped: bool, secure: bool, wanted: f64) -> Row {
    let entries = if kind == Kind::Tiles { TILED } else { PAGED };
    let logs = vec![Spec { kind, entries, gzipped, secure, delay: Duration::ZERO, host: 1 }];
    Row { name, logs, wanted: Wanted::PerCpu(wanted), most_megabytes: MOST_MEGABYTES.0, runs: 3 }
}

fn rows() -> Vec<Row> {
    let (pages, tiles) = (Kind::Pages(1000), Kind::Tiles);
    let spec = |kind, entries, host| Spec { kind, entries, gzipped: true, secure: false, delay: Duration::ZERO, host };
    let far = Spec { delay: Duration::from_millis(100), ..spec(Kind::Pages(32), OF_FAR, 1) };
    let many = (1..=MANY).flat_map(|host| [spec(pages, OF_MANY.0, host), spec(tiles, OF_MANY.1, MANY + host)]);
    vec![
        one("pages, HTTP, plain", pages, false, false, OTHERS.0 * TIMES),
        one("tiles, HTTP, plain", tiles, false, false, OTHERS.1 * TIMES),
        one("pages, HTTP, gzip", pages, true, false, OTHERS.0 * TIMES),
        one("tiles, HTTP, gzip", tiles, true, false, OTHERS.1 * TIMES),
        one("pages, HTTPS, gzip", pages, true, true, WANTED_HTTPS.0),
        one("tiles, HTTPS, gzip", tiles, true, true, WANTED_HTTPS.1),
        Row {
            name: "pages of 32, gzip, 100 ms away",
            logs: vec![far],
            wanted: Wanted::PerSecond(WANTED_FAR),
            most_megabytes: MOST_MEGABYTES.0,
            runs: 1,
        },
        Row {
            name: "60 logs at once, gzip",
            logs: many.collect(),
            wanted: Wanted::Memory,
            most_megabytes: MOST_MEGABYTES.1,
            runs: 1,
        },
    ]
}

/// CPU seconds of all children that have ended (proc(5): cutime and cstime, in hundredths).
fn children_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this bench needs /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[13..15].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// The most memory that a process has had, in MB.
fn peak_megabytes(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// What a program needed from its start to its end.
struct Measured {
    cpu_seconds: f64,
    seconds: f64,
    peak_megabytes: f64,
    /// It ended by itself without an error, or was stopped because it was done.
    ended_well: bool,
}

/// Starts a program and waits until it ends, or until it is `done`, which stops it.
fn measure(command: &mut Command, done: impl Fn() -> bool) -> Measured {
    let (before, start) = (children_seconds(), Instant::now());
    let mut child = command.spawn().expect("start the program");
    let mut peak = 0.0;
    let (seconds, ended_well) = loop {
        peak = peak_megabytes(&child).unwrap_or(peak);
        let seconds = start.elapsed().as_secs_f64();
        if let Some(status) = child.try_wait().expect("wait") {
            break (seconds, status.success());
        }
        let done = done();
        if done || start.elapsed() > LONGEST {
            child.kill().expect("stop the program");
            child.wait().expect("wait");
            break (seconds, done);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Measured { cpu_seconds: children_seconds() - before, seconds, peak_megabytes: peak, ended_well }
}

/// One run of the monitor.
fn run(list: &Value, ca: &str, entries: u64) -> Measured {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let issuers: String = (synthetic::watchlist().issuers().iter())
        .map(|issuer| format!("[[issuer]]\nname = \"{}\"\nissuer_key_hash = \"{}\"\n", issuer.name, issuer.key_hash))
        .collect();
    let config = format!(
        "[logs]\nlist = \"logs.json\"\ncontact = \"pki-team@ca-bench.eus\"\nstart = \"beginning\"\n\
         {issuers}[issuance]\nsource = \"none\"\n\
         [data]\ndirectory = \"data\"\n[lint]\ngtld_registry = \"none\"\ntld_list = \"none\"\n\
         public_suffix_list = \"embedded\"\n[mail]\nfolder = \"mail\"\nfrom = \"ctwarden@ca-bench.eus\"\n\
         to = [\"oncall@ca-bench.eus\"]\n[web]\nlisten = \"127.0.0.1:0\"\n"
    );
    for (name, text) in [("logs.json", list.to_string().as_str()), ("ctwarden.toml", &config), ("ca.pem", ca)] {
        std::fs::write(path(name), text).expect("write a file");
    }
    let log = std::fs::File::create(path("said")).expect("a file");
    let program = std::env::var_os("CTWARDEN_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_ctwarden").into());
    let mut command = Command::new(program);
    command.args(["run", "--until-caught-up"]).env("CTWARDEN_CONFIG", path("ctwarden.toml"));
    command.env("SSL_CERT_FILE", path("ca.pem")).stdout(Stdio::null()).stderr(log);
    let measured = measure(&mut command, || false);
    let said = std::fs::read_to_string(path("said")).unwrap_or_default();
    assert!(measured.ended_well, "the monitor failed: {said}");
    let books = rusqlite::Connection::open(path("data/books.sqlite")).expect("the books");
    let verified: u64 = books.query_row("SELECT sum(verified_size) FROM logs", [], |row| row.get(0)).expect("logs");
    assert_eq!(verified, entries, "not all was verified: {said}");
    measured
}

/// The log of a row on which other monitors are measured too: one log, over HTTP, at once.
fn beside_others(row: &Row) -> Option<&Spec> {
    let [spec] = row.logs.as_slice() else { return None };
    Some(spec).filter(|spec| !spec.secure && spec.delay.is_zero())
}

/// Measures the other monitors on the log of a row; a line of the table for each, `ours` being our entries per CPU second.
fn beside(row: &str, log: &Value, spec: &Spec, runs: u32, ours: f64) -> (Vec<String>, f64) {
    let (mut lines, mut best) = (Vec::new(), 0.0_f64);
    for other in Other::ALL {
        let name = match other.name() {
            Ok(name) if other.reads(spec.kind) => name,
            Ok(name) => {
                lines.push(format!("| {row} | {name} | does not read tiles | | | |"));
                continue;
            }
            Err(missing) => {
                lines.push(format!("| {row} | {missing} | | | | |"));
                continue;
            }
        };
        let measured = (0..runs).map(|_| other.run(log, spec.entries));
        let least = measured.min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds)).expect("runs");
        let per_cpu = spec.entries as f64 / least.cpu_seconds;
        best = best.max(per_cpu);
        lines.push(format!(
            "| {row} | {name} | {:.2} | {per_cpu:.0} | {:.0} | {:.1} |",
            least.cpu_seconds,
            least.peak_megabytes,
            ours / per_cpu
        ));
    }
    (lines, best)
}

fn main() {
    let rows = rows();
    let specs: Vec<Spec> = rows.iter().flat_map(|row| row.logs.clone()).collect();
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    if has("--serve") {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        return runtime.block_on(served::serve(&specs));
    }
    if !has("--bench") {
        println!("nothing is measured in a test; run cargo bench --bench whole_process");
        return;
    }
    let only: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let own = std::env::current_exe().expect("this program");
    let piped = Command::new(own).arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = piped.expect("start the server");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("the server speaks");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let entries_of = |row: &Row| row.logs.iter().map(|log| log.entries).sum::<u64>();
    println!("| row | entries | CPU s | s | entries per CPU second | per second | wanted | peak MB | at most | |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (mut first, mut all_met, mut others) = (0, true, Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let logs = &told["logs"].as_array().expect("logs")[first..first + row.logs.len()];
        first += row.logs.len();
        if !only.is_empty() && !only.contains(&(number + 1)) {
            continue;
        }
        let entries = entries_of(row);
        let list = served::log_list(logs);
        let runs = (0..row.runs).map(|_| run(&list, told["ca"].as_str().expect("PEM"), entries));
        let least = runs.min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds)).expect("runs");
        let Measured { cpu_seconds: cpu, seconds, peak_megabytes: peak, .. } = least;
        let (per_cpu, per_second) = (entries as f64 / cpu, entries as f64 / seconds);
        let (wanted, reached) = match row.wanted {
            Wanted::PerCpu(wanted) => (format!("{wanted:.0} per CPU s"), per_cpu >= wanted),
            Wanted::PerSecond(wanted) => (format!("{wanted:.0} per s"), per_second >= wanted),
            Wanted::Memory => ("-".to_string(), true),
        };
        let met = reached && peak < row.most_megabytes;
        all_met &= met;
        println!(
            "| {}: {} | {entries} | {cpu:.2} | {seconds:.1} | {per_cpu:.0} | {per_second:.0} | {wanted} | {peak:.0} | {:.0} | {} |",
            number + 1,
            row.name,
            row.most_megabytes,
            if met { "met" } else { "missed" },
        );
        if let Some(spec) = beside_others(row).filter(|_| !has("alone")) {
            let (lines, best) = beside(row.name, &logs[0], spec, row.runs, per_cpu);
            others.extend(lines);
            if best > 0.0 {
                let met = per_cpu / best >= TIMES;
                all_met &= met;
                let verdict = if met { "met" } else { "missed" };
                others.push(format!(
                    "| {} | **the best of them** | | {best:.0} | | {:.1}, wanted {TIMES:.0}: {verdict} |",
                    row.name,
                    per_cpu / best
                ));
            }
        }
    }
    if !others.is_empty() {
        println!(
            "\n| row | other monitor | CPU s | entries per CPU second | peak MB | ours is so many times as fast |"
        );
        println!("|---|---|---|---|---|---|\n{}", others.join("\n"));
    }
    println!("\n{}", if all_met { "All targets are met." } else { "A target is MISSED." });
    drop(server.stdin.take());
    server.wait().expect("the server ends");
}
