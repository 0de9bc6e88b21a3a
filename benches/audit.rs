//! The audit of everything beside PostgreSQL and DuckDB, all on the same made-up record, in one run.
//! `cargo bench --bench audit -- [names in millions ...] [--only-ours]`; 1 and 10 million when nothing is said.
//!
//! The question is that of the rules dcv.* (`audit/question.sql`), and the three must find the same. PostgreSQL 15 runs on
//! a private socket, indexes and statistics made beforehand; DuckDB reads the same Parquet files; ours reads them too and
//! is measured as a process from start to end. The server is run by user postgres, DuckDB from `target/tools/duckdb`.

#[path = "../tests/support/corpus/mod.rs"]
mod corpus;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use corpus::{Form, NOW, Shape};
use ctwarden::clock::Timestamp;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Ours to PostgreSQL, at least.
const WANTED_RATIO: f64 = 10.0;
/// Names per second, at least.
const WANTED_RATE: f64 = 1_000_000.0;
/// Certificates per million names: 2.5 names each.
const CERTIFICATES_PER_MILLION: u64 = 400_000;
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(here(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn question(unlogged: &str, analyze: &str) -> String {
    let flags = text("benches/audit/flags.sql");
    let question = text("benches/audit/question.sql").replace("{flags}", flags.trim_end());
    question.replace("{unlogged}", unlogged).replace("{analyze}", analyze).replace("{now}", &NOW.to_string())
}

type Found = BTreeSet<String>;

/// `cert_id,name,rule` lines, sorted and each once.
fn lines(path: &Path) -> Found {
    std::fs::read_to_string(path).expect("an answer").lines().map(str::to_string).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// What a run of ours took.
struct Ours {
    took: Duration,
    /// On all cores.
    cpu_seconds: f64,
    peak_mib: u64,
    found: Found,
}

/// User and system time of a process, in seconds.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ').skip(11).map_while(|field| field.parse::<f64>().ok());
    // proc(5): in clock ticks, of which Linux has 100 a second for programs.
    Some((fields.next()? + fields.next()?) / 100.0)
}

/// Ours, as a process from start to end.
fn ours(corpus: &Path, out: &Path, rules: &[&str]) -> Ours {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.args(["audit", "--unexpired-at", &Timestamp::from_seconds(NOW).to_string(), "--findings", "parquet"]);
    command.arg("--from").arg(corpus).arg("--out").arg(out).env_remove("CTWARDEN_CONFIG").current_dir(corpus);
    for rule in rules {
        command.args(["--rule", rule]);
    }
    let began = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ours starts");
    let (mut peak, mut cpu) = (0, 0.0);
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        cpu = cpu_seconds(child.id()).unwrap_or(cpu);
        peak = peak.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = began.elapsed();
    assert_eq!(status.code(), Some(1), "the defects are found");
    Ours { took, cpu_seconds: cpu, peak_mib: peak / 1024, found: found(out) }
}

/// The findings as ours writes them.
fn found(out: &Path) -> Found {
    let file = std::fs::File::open(out.join("findings.parquet")).expect("findings.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build()).expect("a table");
    let mut all = Found::new();
    for batch in reader.map(|batch| batch.expect("rows")) {
        let column = |name: &str| batch.column_by_name(name).expect("a column");
        let (names, rules) = (column("name").as_string::<i32>(), column("rule").as_string::<i32>());
        let numbers = column("cert_id").as_primitive::<Int64Type>().values();
        let line = |row: usize| format!("{},{},{}", numbers[row], names.value(row), rules.value(row));
        all.extend((0..batch.num_rows()).map(line));
    }
    all
}

fn duckdb(corpus: &Path, out: &Path) -> (Duration, Found) {
    let (question_file, answer) = (out.join("question.duckdb.sql"), out.join("duckdb.csv"));
    std::fs::write(&question_file, question("", "")).expect("written");
    let mut command = Command::new(here("target/tools/duckdb/bin/python"));
    command.arg(here("benches/audit/duckdb_side.py")).arg(corpus).arg(here("benches/audit/methods.csv"));
    command.arg(&question_file).arg(&answer).args(["2", "8GB"]);
    let seconds: f64 = run(&mut command).trim().parse().expect("seconds");
    (Duration::from_secs_f64(seconds), lines(&answer))
}

/// A PostgreSQL server of our own, which ends with it.
struct Server {
    data: PathBuf,
}

impl Server {
    fn as_postgres(program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(format!("{PROGRAMS}/{program}")).current_dir("/");
        command
    }

    fn start(directory: &Path) -> Server {
        let data = directory.join("postgres");
        std::fs::create_dir(&data).expect("a directory");
        run(Command::new("chown").arg("postgres").arg(&data));
        run(Server::as_postgres("initdb").arg("-D").arg(&data).args([
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        let settings = "listen_addresses='' shared_buffers=4GB work_mem=1GB hash_mem_multiplier=2 maintenance_work_mem=1GB \
            max_parallel_workers_per_gather=2 max_parallel_workers=2 max_worker_processes=4 effective_cache_size=8GB \
            random_page_cost=1.1 max_wal_size=8GB fsync=off synchronous_commit=off full_page_writes=off jit=off \
            autovacuum=off wal_level=minimal max_wal_senders=0 min_parallel_table_scan_size=0";
        let options: String = settings.split_whitespace().map(|setting| format!("-c {setting} ")).collect();
        let mut start = Server::as_postgres("pg_ctl");
        start.arg("-D").arg(&data).args(["-w", "-l"]).arg(data.join("log"));
        start.arg("-o").arg(format!("{options} -k {}", data.display())).arg("start").stdout(Stdio::null());
        assert!(start.status().expect("pg_ctl").success(), "the server starts");
        Server { data }
    }

    fn sql(&self, text: &str) -> String {
        let mut psql = Server::as_postgres("psql");
        psql.arg("-h").arg(&self.data).args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            "postgres",
            "-c",
            text,
        ]);
        run(&mut psql)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = Server::as_postgres("pg_ctl");
        let _ = stop.arg("-D").arg(&self.data).args(["-m", "immediate", "stop"]).stdout(Stdio::null()).status();
    }
}

/// The types of the columns, by table; those that are left out of the question are not loaded.
const TABLES: [(&str, &str, &str); 7] = [
    ("accounts", "account_id text PRIMARY KEY, kind text, name text", ""),
    ("applicants", "applicant_id text PRIMARY KEY, account_id text, name text", ""),
    (
        "orders",
        "order_id text PRIMARY KEY, applicant_id text, channel text, vtype text, hierarchy text, created_at bigint, \
         identity_id text",
        "",
    ),
    (
        "certificates",
        "cert_id bigint PRIMARY KEY, issuer_id bigint, serial text, order_id text, cert_sha256 text, precert_sha256 text, \
         signed_at bigint, not_before bigint, not_after bigint, state text",
        "",
    ),
    (
        "dcv_confirmations",
        "dcv_id bigint PRIMARY KEY, applicant_id text, adn text, method text, completed_at bigint, performed_by text, \
         resolver text, remote_ok bigint, remote_total bigint, remote_rirs bigint, dnssec text, token_issued_at bigint, \
         reused_dcv_id bigint, location text, recorded_at bigint",
        "CREATE INDEX ON dcv_confirmations (applicant_id, adn)",
    ),
    (
        "dcv_reuse",
        "reuse_id bigint PRIMARY KEY, dcv_id bigint, rule text, decided_at bigint, decided_by text, reused_reuse_id bigint",
        "",
    ),
    (
        "san_authorisations",
        "cert_id bigint, name text, dcv_id bigint, reuse_id bigint, caa_id bigint, PRIMARY KEY (cert_id, name)",
        "CREATE INDEX ON san_authorisations (dcv_id)",
    ),
];

fn postgres(csv: &Path, out: &Path) -> (Duration, Found) {
    let server = Server::start(out);
    let methods = "CREATE TABLE methods (method text PRIMARY KEY, begins bigint, closed bigint, banned bigint, exact bigint, \
        mpic boolean, token boolean, by_person boolean, for_addresses boolean, over_tor boolean, ten_days boolean)";
    server.sql(methods);
    let copy = |table: &str, file: &Path| {
        let name = out.join(format!("{table}.copy"));
        std::fs::copy(file, &name).expect("copied");
        run(Command::new("chown").arg("postgres").arg(&name));
        server.sql(&format!(
            "COPY {table} ({0}) FROM '{1}' (FORMAT csv, HEADER, FORCE_NULL ({0}))",
            columns(file),
            name.display()
        ));
        std::fs::remove_file(&name).expect("removed");
    };
    copy("methods", &here("benches/audit/methods.csv"));
    for (table, columns, index) in TABLES {
        server.sql(&format!("CREATE TABLE {table} ({columns})"));
        copy(table, &csv.join(format!("{table}.csv")));
        if !index.is_empty() {
            server.sql(index);
        }
    }
    server.sql("VACUUM ANALYZE");
    // Once to warm the cache, as ours and DuckDB find the files in it.
    server.sql("SELECT count(*), sum(length(adn)) FROM dcv_confirmations");
    server.sql("SELECT count(*), sum(length(name)) FROM san_authorisations");
    let asked = question("UNLOGGED", "ANALYZE filed; ANALYZE rooted;");
    let mut parts = asked.rsplitn(2, "ANALYZE filed; ANALYZE rooted;");
    let (last, first) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let began = Instant::now();
    server.sql(&format!("{first} ANALYZE broken; {last}"));
    let took = began.elapsed();
    let answer = server.sql("SELECT cert_id || ',' || name || ',' || rule FROM found");
    (took, answer.lines().map(str::to_string).collect())
}

fn columns(file: &Path) -> String {
    let head = std::fs::File::open(file).expect("a file");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(head), &mut line).expect("a header");
    line.trim().to_string()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_string()
}

const VALIDATION: [&str; 11] = [
    "dcv.exists",
    "dcv.adn",
    "dcv.method",
    "dcv.wildcard",
    "dcv.reuse",
    "dcv.own_limit",
    "dcv.token30",
    "dcv.applicant",
    "dcv.manual",
    "dcv.resolver",
    "dcv.record",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let only_ours = arguments.iter().any(|argument| argument == "--only-ours");
    let mut sizes: Vec<f64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1.0, 10.0];
    }
    println!(
        "| names | ours, s | of all cores | names/s | MB | all rules, s | DuckDB, s | PostgreSQL, s | to DuckDB | to PostgreSQL | load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for millions in sizes {
        let directory = tempfile::tempdir_in(here("target")).expect("a directory");
        run(Command::new("chmod").arg("755").arg(directory.path()));
        let at = |name: &str| directory.path().join(name);
        let certificates = (millions * CERTIFICATES_PER_MILLION as f64) as u64;
        let large = if millions >= 1.0 { 96_002 } else { 9_600 };
        let shape = Shape {
            seed: 20,
            certificates: certificates - large.min(certificates / 2),
            defects_per_mille: 2,
            large,
            one_domain: false,
        };
        let planted = shape.write(&at("parquet"), Form::Parquet);
        let planted: Found = planted
            .into_iter()
            .filter(|(_, _, rule)| VALIDATION.contains(&rule.as_str()))
            .map(|(cert_id, name, rule)| format!("{cert_id},{name},{rule}"))
            .collect();
        let ours_run = ours(&at("parquet"), &at("ours"), &VALIDATION);
        let (mine, found) = (ours_run.took, &ours_run.found);
        assert!(*found == planted, "ours finds what is planted: {} and {}", found.len(), planted.len());
        let all = ours(&at("parquet"), &at("ours-all"), &[]);
        std::fs::remove_dir_all(at("ours-all")).expect("removed");
        let names = std::fs::read_to_string(at("ours/summary.md")).expect("a summary");
        let names = names.lines().find_map(|line| line.strip_prefix("| names judged | "));
        let names: f64 = names.and_then(|line| line.trim_end_matches(" |").parse().ok()).expect("a count");
        let rate = names / mine.as_secs_f64();
        let (mut duck, mut post) = (Duration::ZERO, Duration::ZERO);
        if !only_ours {
            let (took, answer) = duckdb(&at("parquet"), directory.path());
            assert!(answer == planted, "DuckDB finds the same: {:?}", difference(&answer, &planted));
            duck = took;
            shape.write(&at("csv"), Form::Csv);
            let (took, answer) = postgres(&at("csv"), directory.path());
            assert!(answer == planted, "PostgreSQL finds the same: {:?}", difference(&answer, &planted));
            post = took;
        }
        let ratio = |other: Duration| other.as_secs_f64() / mine.as_secs_f64();
        println!(
            "| {names:.0} | {:.1} | {:.1} | {rate:.0} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            mine.as_secs_f64(),
            ours_run.cpu_seconds,
            ours_run.peak_mib,
            all.took.as_secs_f64(),
            duck.as_secs_f64(),
            post.as_secs_f64(),
            ratio(duck),
            ratio(post),
            load()
        );
        if millions >= 10.0 && !only_ours {
            let met = |met: bool| if met { "met" } else { "missed" };
            println!("{WANTED_RATIO} times PostgreSQL: {}", met(ratio(post) >= WANTED_RATIO));
            println!("faster than DuckDB: {}", met(ratio(duck) > 1.0));
            println!("{WANTED_RATE} names a second: {}", met(rate >= WANTED_RATE));
        }
    }
}

fn difference<'f>(one: &'f Found, other: &'f Found) -> Vec<&'f String> {
    one.symmetric_difference(other).take(8).collect()
}
