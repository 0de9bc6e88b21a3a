use crate::clock::{Span, date};
use crate::config::tests::{GOOD, Place};
use crate::evidence::dated::Dated;
use crate::evidence::{Policy, ReuseRule};

#[test]
fn the_terms_of_the_ca_are_read_and_odd_ones_refused() {
    let place = Place::new();
    assert_eq!(place.load(GOOD).expect("accepted").issuance.terms, Policy::default());
    let section =
        "[issuance]\ncaa_domains = [\"ca.example\"]\nchannels = [\"api\"]\nmethods = [\"http-01\"]\nsystems = [\"va\"]";
    let text = format!("{GOOD}\n{section}\naccount_uri_prefix = \"https://ca.example/acct/\"\n");
    let terms = place.load(&text).expect("accepted").issuance.terms;
    assert_eq!((terms.issuer_domains, terms.channels), (vec!["ca.example".to_string()], vec!["api".into()]));
    assert_eq!((terms.methods, terms.systems), (vec!["http-01".into()], vec!["va".to_string()]));
    assert_eq!(terms.account_uri_prefix.as_deref(), Some("https://ca.example/acct/"));
    let odd =
        place.problems(&text.replace("[\"ca.example\"]", "[\"ca.example.\"]").replace("[\"http-01\"]", "[\"fax\"]"));
    assert_eq!(odd.len(), 2, "{odd:?}");
    assert!(odd.iter().any(|line| line.contains("issuance.caa_domains") && line.contains("ca.example")), "{odd:?}");
    assert!(odd.iter().any(|line| line.contains("issuance.methods") && line.contains("fax")), "{odd:?}");
}

#[test]
fn what_holds_for_a_time_or_was_found_out_later_is_read() {
    let place = Place::new();
    let section = r#"
[issuance]
channels = ["web until 2026-03-15", "acme"]
countries = ["ES from 2019-11-15"]
methods = ["http-01 from 2020-03-03 until 2026-03-15"]
bulk_evidence = ["flatfile:"]
recorded_within = "2h"
test_accounts = ["qa"]
test_organizations = ["Example CA QA"]
test_zones = ["Test.ca.example"]
[[issuance.reuse_rule]]
name = "recent"
days = 3
[[issuance.flawed]]
method = "tls-alpn-01"
from = "2021-11-01"
until = "2022-01-26T00:48:00Z"
reason = "bug"
"#;
    let text = format!("{GOOD}\n{section}");
    let terms = place.load(&text).expect("accepted").issuance.terms;
    assert_eq!(terms.countries, [Dated { word: "ES".into(), from: Some(date(2019, 11, 15)), until: None }]);
    assert_eq!((terms.channels.len(), terms.channels[0].until), (2, Some(date(2026, 3, 15))));
    assert_eq!(terms.methods[0].from, Some(date(2020, 3, 3)));
    assert_eq!(terms.recorded_within, Span::from_seconds(7_200));
    assert_eq!(terms.reuse_rules, [ReuseRule { name: "recent".into(), limit: Span::from_days(3) }]);
    assert_eq!(terms.test_zones, ["test.ca.example"]);
    assert_eq!((terms.flawed.len(), terms.flawed[0].reason.as_str()), (1, "bug"));
    assert!(terms.flawed[0].until.is_some_and(|until| until > date(2022, 1, 26)));
    for (good, odd, says) in [
        ("web until 2026-03-15", "web till noon", "issuance.channels: \"web till noon\" has no day"),
        ("ES from", "Spain from", "issuance.countries: \"Spain\" is no country"),
        ("until 2026-03-15\"]\nbulk", "until 2019-01-01\"]\nbulk", "issuance.methods: "),
        ("\"2h\"", "\"soon\"", "issuance.recorded_within: "),
        ("Test.ca", "*.ca", "issuance.test_zones: \"*.ca.example\" is no domain"),
        ("days = 3", "days = 0", "issuance.reuse_rule[1].days: is not between 1 and 10000"),
        ("method = \"tls-alpn-01\"", "method = \"fax\"", "issuance.flawed[1].method: \"fax\" is none of"),
        ("from = \"2021-11-01\"", "from = \"once\"", "issuance.flawed[1].from: \"once\" is neither a day nor a time"),
        ("from = \"2021-11-01\"", "from = \"2022-11-01\"", "issuance.flawed[1].until: is not after from"),
        ("reason = \"bug\"", "", "issuance.flawed[1].reason: is missing"),
    ] {
        assert!(text.contains(good), "{good}");
        let problems = place.problems(&text.replace(good, odd));
        assert!(problems.len() == 1 && problems[0].contains(says), "{odd}: {problems:?}");
    }
}
