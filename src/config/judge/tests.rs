use crate::config::tests::{GOOD, Place};
use crate::judges;

#[test]
fn judges_are_asked_one_way_each() {
    let place = Place::new();
    let good = r#"
[[judge]]
name = "zlint"
command = ["/opt/zlint", "{files}"]
format = "zlint"
batch = 64
at_once = 1
timeout = "2m"
[[judge]]
name = "pkimetal"
url = "http://127.0.0.1:8080/lintcert"
format = "pkimetal"
"#;
    let judges = place.load(&format!("{GOOD}{good}")).expect("two judges").judges;
    let zlint = &judges[0];
    assert_eq!((zlint.batch, zlint.at_once, zlint.timeout.as_secs()), (64, 1, 120));
    assert!(matches!(&zlint.way, judges::Way::Command(argv, _) if argv == &["/opt/zlint", "{files}"]));
    assert_eq!((judges[1].batch, judges[1].at_once, judges[1].timeout.as_secs()), (1, 2, 30));
    for (judge, wrong) in [
        ("format = \"zlint\"", "judge[1].command: is missing"),
        ("command = [\"x\"]\nurl = \"https://x\"\nformat = \"zlint\"", "judge[1]: has both command and url"),
        ("url = \"http://lint.ca.example/\"\nformat = \"pkilint\"", "is plain http"),
        ("url = \"https://lint.ca.example/\"\nformat = \"zlint\"", "judge[1].format: is that of a command"),
        ("command = [\"x\"]\nformat = \"pkimetal\"", "judge[1].format: is that of a service"),
        ("command = [\"x\", \"-i={files}\"]\nformat = \"zlint\"", "judge[1].command: has placeholders"),
        ("command = [\"x\", \"{file}\", \"{files}\"]\nformat = \"zlint\"", "judge[1].command: has placeholders"),
        ("command = [\"{file}\"]\nformat = \"zlint\"", "judge[1].command: has a placeholder for its program"),
        ("command = [\"x\", \"{file}\"]\nbatch = 2\nformat = \"zlint\"", "judge[1].command: names one {file}"),
        ("url = \"https://x.example\"\nbatch = 2\nformat = \"pkilint\"", "judge[1].batch: is for commands"),
        ("command = [\"x\"]\nformat = \"zlint\"\ntimeout = \"soon\"", "judge[1].timeout:"),
        ("command = [\"x\"]\nformat = \"x509lint\"", "judge[1].format"),
    ] {
        let problems = place.problems(&format!("{GOOD}\n[[judge]]\nname = \"other\"\n{judge}\n"));
        assert!(problems.iter().any(|problem| problem.contains(wrong)), "{judge}: {problems:?}");
    }
    let twice = "[[judge]]\nname = \"one\"\ncommand = [\"x\"]\nformat = \"zlint\"\n".repeat(2);
    let problems = place.problems(&format!("{GOOD}\n{twice}"));
    assert!(problems.iter().any(|problem| problem.contains("judge[2].name: \"one\" names two judges")), "{problems:?}");
}

#[test]
fn caa_is_looked_up_only_when_all_that_it_takes_is_said() {
    let place = Place::new();
    let with = |issuance: &str, recheck: &str| format!("{GOOD}[issuance]\n{issuance}\n[caa_recheck]\n{recheck}\n");
    let domains = "caa_domains = [\"ca.example\"]";
    let resolvers = "resolvers = [\"10.0.0.53\", \"[2001:db8::53]:5353\"]";
    let judge = place.load(&with(domains, resolvers)).expect("a judge").judges.remove(0);
    let judges::Way::Dns(lookup) = &judge.way else { panic!("{judge:?}") };
    assert_eq!(lookup.resolvers, ["10.0.0.53:53".parse().expect("v4"), "[2001:db8::53]:5353".parse().expect("v6")]);
    assert_eq!((lookup.issuer_domains.as_slice(), lookup.dnssec), (&["ca.example".to_string()][..], true));
    assert!(place.load(&with(domains, "")).expect("nobody is asked").judges.is_empty());
    for (issuance, recheck, wrong) in [
        ("", resolvers, "caa_recheck.resolvers: needs issuance.caa_domains"),
        (domains, "resolvers = [\"dns.ca.example\"]", "caa_recheck.resolvers: \"dns.ca.example\" is not an address"),
        (domains, "resolvers = [\"::1\"]\ntimeout = \"soon\"", "caa_recheck.timeout: "),
        (domains, "resolvers = [\"::1\"]\ntrust_anchor = \"none.key\"", "caa_recheck.trust_anchor: "),
    ] {
        let problems = place.problems(&with(issuance, recheck));
        assert!(problems.len() == 1 && problems[0].contains(wrong), "{wrong}: {problems:?}");
    }
}
