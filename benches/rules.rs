//! All rules on a certificate, from its bytes to its findings: a typical DV certificate of two names, with an ECDSA and with an
//! RSA key, and one of a thousand names. `cargo bench --bench rules`.

#[path = "../tests/support/certgen.rs"]
mod certgen;

use std::hint::black_box;
use std::time::{Duration, Instant};

use certgen::{Spec, number, rsa};
use ctwarden::cert::Certificate;
use ctwarden::clock::{Span, date};
use ctwarden::finding::Issued;
use ctwarden::lint::{Tables, findings};

/// Rounds; in each all certificates take turns, so that a change of the clock rate meets all of them.
const ROUNDS: usize = 101;
/// How long one sample lasts at least; short, so that some are not interrupted.
const SAMPLE: Duration = Duration::from_millis(1);

/// A certificate and how long it may take, in microseconds.
struct Case {
    name: &'static str,
    der: Vec<u8>,
    target_us: f64,
}

/// What a CA of today issues: two names, 90 days, keyUsage, extKeyUsage, AKI, AIA, CRL, policy, SCT list.
fn typical() -> Spec {
    let spec = Spec::new("2026-06-01", "2026-08-29 23:59:59").dns("www.example.com").dns("example.com");
    spec.extension(certgen::SCT_LIST, false, &certgen::sct_list())
}

fn thousand() -> Spec {
    (0..1000)
        .fold(Spec::new("2026-06-01", "2026-08-29 23:59:59"), |spec, n| spec.dns(&format!("host{n}.example{n}.com")))
}

fn run(case: &Case, issued: Option<Issued>, tables: &Tables) -> usize {
    let cert = Certificate::parse(black_box(&case.der)).expect("generated");
    let issued = issued.unwrap_or(Issued::at(cert.not_before().expect("generated")));
    findings(&cert, issued, tables).len()
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test; run cargo bench --bench rules");
        return;
    }
    let tables = Tables::embedded();
    let rsa_key = rsa(&number(2048));
    let cases = [
        Case { name: "2 names, P-256", der: typical().der(), target_us: 20.0 },
        Case { name: "2 names, RSA 2048", der: typical().spki(rsa_key).der(), target_us: 20.0 },
        Case { name: "1,000 names, P-256", der: thousand().der(), target_us: 2000.0 },
    ];
    // What a log shows of a precertificate: it was issued between notBefore and its entry, an hour later.
    let at = date(2026, 6, 1);
    let interval = Issued { earliest: at, latest: at.plus(Span::from_seconds(3600)) };
    let mut variants: Vec<(String, &Case, Option<Issued>)> = Vec::new();
    for case in &cases {
        assert_eq!(run(case, None, &tables), 0, "{} is clean", case.name);
        variants.push((format!("{}, issued at a known time", case.name), case, None));
        variants.push((format!("{}, within an interval", case.name), case, Some(interval)));
    }
    let sample = |times: u32, case: &Case, issued: Option<Issued>| {
        let start = Instant::now();
        (0..times).for_each(|_| assert_eq!(black_box(run(case, issued, &tables)), 0));
        start.elapsed()
    };
    let mut times = Vec::new();
    for (_, case, issued) in &variants {
        let mut count = 1;
        while sample(count, case, *issued) < SAMPLE {
            count *= 2;
        }
        times.push(count);
    }
    let mut least = vec![f64::INFINITY; variants.len()];
    for _ in 0..ROUNDS {
        for (at, (_, case, issued)) in variants.iter().enumerate() {
            let spent = sample(times[at], case, *issued).as_secs_f64() * 1e6 / f64::from(times[at]);
            least[at] = least[at].min(spent);
        }
    }
    println!("| certificate | microseconds | target | certificates/s on one core | |\n|---|---|---|---|---|");
    let mut met = true;
    for ((name, case, _), spent) in variants.iter().zip(least) {
        let pass = spent <= case.target_us;
        met &= pass;
        let verdict = if pass { "pass" } else { "FAIL" };
        println!("| {name} | {spent:.1} | {} | {:.0} | {verdict} |", case.target_us, 1e6 / spent);
    }
    if !met {
        std::process::exit(1);
    }
}
