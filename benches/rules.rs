//! All rules on a certificate, from its bytes to its findings: a typical DV certificate of two names, with an ECDSA and with an
//! RSA key, one of a thousand names, and the worst that there can be. `cargo bench --bench rules`.

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

fn many(count: usize, name: impl Fn(usize) -> String) -> Spec {
    (0..count).fold(Spec::new("2026-06-01", "2026-08-29 23:59:59"), |spec, n| spec.dns(&name(n)))
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
    let sound = |count| many(count, |n| format!("host{n}.example{n}.com"));
    let broken = many(10_000, |n| format!("host_{n}.-exa--mple{n}..int*ernal."));
    let internal = many(10_000, |n| format!("a{n}.tld{n}"));
    let punycode = many(10_000, |n| format!("host{n}.xn--mnchen-3yaq{n}.de"));
    let label = |n: usize| format!("xn--{n:05}abcdefghijklmnopqrstuvwxyzmnchenabcdefghijklmnopq-3ya");
    let octets = many(2_000, |n| (4 * n..4 * n + 4).map(label).collect::<Vec<_>>().join("."));
    let addresses = (0..10_000).fold(many(0, |_| String::new()), |s, n| s.ip(&format!("10.0.{}.{}", n / 256, n % 256)));
    let common = (0..250).fold(sound(10_000), |spec, n| spec.cn(&format!("x{n}.internal")));
    let cases = [
        Case { name: "2 names, P-256", der: typical().der(), target_us: 20.0 },
        Case { name: "2 names, RSA 2048", der: typical().spki(rsa_key).der(), target_us: 20.0 },
        Case { name: "1,000 names, P-256", der: sound(1_000).der(), target_us: 2000.0 },
        // The most names that are read, and the most octets that are judged.
        Case { name: "10,000 names", der: sound(10_000).der(), target_us: 10_000.0 },
        Case { name: "10,000 names, each breaks five rules", der: broken.der(), target_us: 10_000.0 },
        Case { name: "10,000 names under 10,000 TLDs that are none", der: internal.der(), target_us: 10_000.0 },
        Case { name: "10,000 different labels that are no Punycode", der: punycode.der(), target_us: 10_000.0 },
        Case { name: "512 KiB of XN-Labels", der: octets.der(), target_us: 10_000.0 },
        Case { name: "10,000 reserved addresses", der: addresses.der(), target_us: 10_000.0 },
        Case { name: "10,000 names, 250 commonNames", der: common.der(), target_us: 10_000.0 },
    ];
    // What a log shows of a precertificate: it was issued between notBefore and its entry, an hour later.
    let at = date(2026, 6, 1);
    let interval = Issued { earliest: at, latest: at.plus(Span::from_seconds(3600)) };
    let mut variants: Vec<(String, &Case, Option<Issued>)> = Vec::new();
    for case in &cases {
        assert_eq!(
            run(case, None, &tables) == 0,
            case.target_us < 10_000.0 || case.name == "10,000 names",
            "{}",
            case.name
        );
        variants.push((format!("{}, issued at a known time", case.name), case, None));
        variants.push((format!("{}, within an interval", case.name), case, Some(interval)));
    }
    let sample = |times: u32, case: &Case, issued: Option<Issued>| {
        let start = Instant::now();
        (0..times).for_each(|_| assert!(black_box(run(case, issued, &tables)) < 5_000));
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
