use proptest::prelude::*;

use super::*;

fn ours() -> Vec<String> {
    vec!["ca.example".into(), "ca.EXAMPLE.net".into()]
}

fn judged(name: &str, text: &str) -> Answer {
    evaluate(name, &read(text).unwrap_or_else(|why| panic!("{why}")), &ours())
}

fn may(name: &str, text: &str) -> bool {
    match judged(name, text) {
        Answer::NoRecords | Answer::Unrestricted(_) | Answer::Permitted(_) => true,
        Answer::Denied(_) => false,
        Answer::Unusable(why) => panic!("{why}"),
    }
}

#[test]
fn the_closest_ancestor_with_records_decides() {
    let zone = "a.eus. 300 IN CAA 0 issue \"ca.example\"\neus. CAA 0 issue \"other.example\"";
    assert!(may("www.a.eus", zone) && may("a.eus", zone) && may("x.y.a.eus", zone) && may("WWW.A.EUS.", zone));
    assert!(!may("b.eus", zone), "the TLD is searched, the root is not");
    assert_eq!(judged("a.es", zone), Answer::NoRecords);
    let closer = format!("{zone}\nwww.a.eus. CAA 0 issue \";\"");
    assert!(!may("www.a.eus", &closer) && !may("x.www.a.eus", &closer) && may("a.eus", &closer));
    assert!(may("notwww.a.eus", &closer), "labels, not suffixes");
}

#[test]
fn a_chain_of_cnames_is_told_step_by_step() {
    let zone = "www.a.eus. 60 IN CNAME b.eus.\nb.eus. CNAME c.eus\nx.eus. CNAME y.eus\ny.eus. CNAME x.eus";
    let records = read(zone).expect("records");
    assert_eq!(aliases("www.a.eus", &records), ["b.eus", "c.eus"]);
    assert_eq!(aliases("x.eus", &records), ["y.eus", "x.eus"]);
    assert!(aliases("a.eus", &records).is_empty());
}

#[test]
fn a_cname_is_followed_and_the_ancestors_of_its_target_are_not() {
    let zone = "www.a.eus. 60 IN CNAME cdn.example.\na.eus. CAA 0 issue \"ca.example\"";
    assert!(!may("www.a.eus", &format!("{zone}\ncdn.example. CAA 0 issue \"cdn-ca.example\"")));
    assert!(may("www.a.eus", &format!("{zone}\nexample. CAA 0 issue \"cdn-ca.example\"")));
    let long = "www.a.eus. CNAME b.example.\nb.example. CNAME c.example.\nc.example. CAA 0 issue \"ca.example\"";
    assert!(may("www.a.eus", long));
    for circle in ["a.eus. CNAME a.eus.", "a.eus. CNAME b.eus.\nb.eus. CNAME a.eus."] {
        assert!(matches!(judged("a.eus", circle), Answer::Unusable(_)), "{circle}");
    }
    let endless: String = (0..40).map(|n| format!("h{n}.eus. CNAME h{}.eus.\n", n + 1)).collect();
    assert!(matches!(judged("h0.eus", &endless), Answer::Unusable(_)));
}

#[test]
fn issuewild_counts_for_wildcards_alone_and_then_instead_of_issue() {
    let both = "a.eus. CAA 0 issue \"ca.example\"\na.eus. CAA 0 issuewild \";\"";
    assert!(may("a.eus", both) && may("www.a.eus", both) && !may("*.a.eus", both));
    let wild = "a.eus. CAA 0 issuewild \"other.example\"";
    assert!(may("a.eus", wild) && !may("*.a.eus", wild));
    let plain = "a.eus. CAA 0 issue \"other.example\"";
    assert!(!may("*.a.eus", plain));
    let turned = "a.eus. CAA 0 issue \";\"\na.eus. CAA 0 issuewild \"ca.example\"";
    assert!(may("*.a.eus", turned) && !may("a.eus", turned));
    assert!(may("*.a.eus", "a.eus. CAA 0 ISSUEWILD \"CA.example\""));
}

#[test]
fn an_unknown_critical_tag_forbids_and_an_unknown_tag_alone_does_not() {
    let unknown = "a.eus. CAA 128 tbs \"x\"\na.eus. CAA 0 issue \"ca.example\"";
    assert!(!may("a.eus", unknown));
    assert!(may("a.eus", &unknown.replace("128", "0")) && may("a.eus", &unknown.replace("128", "1")));
    assert!(!may("a.eus", &unknown.replace("128", "129")));
    assert!(may("a.eus", "a.eus. CAA 128 issue \"ca.example\""));
    assert_eq!(judged("a.eus", "a.eus. CAA 128 iodef \"mailto:a@a.eus\""), Answer::Unrestricted("a.eus".into()));
}

#[test]
fn one_of_several_issue_properties_suffices_and_the_issuer_domain_has_no_case() {
    let zone = "a.eus. CAA 0 issue \"other.example\"\na.eus. CAA 0 issue \"Ca.Example.NET\"";
    assert_eq!(judged("a.eus", zone), Answer::Permitted(vec![vec![]]));
    let Answer::Denied(why) = judged("a.eus", "a.eus. CAA 0 issue \"other.example\"") else { panic!("permitted") };
    assert_eq!(why, "issue at a.eus authorises others or nobody: \"other.example\"");
    assert!(!evaluate("a.eus", &read("a.eus. CAA 0 issue \"ca.example\"").unwrap(), &[]).eq(&Answer::NoRecords));
}

#[test]
fn odd_strings_authorise_nobody() {
    let odd = [
        r"ca.example.",
        r"ca.example\000",
        r"\000ca.example",
        r"ca.example\000.evil.example",
        r".ca.example",
        r"ca..example",
        r"-ca.example",
        r"ca_example",
        r"ca.example other.example",
        r"https://ca.example",
        r"*.ca.example",
        r"ca.example\195\169",
        r"ca.example\255",
        r"ca.example; policy",
        r"ca.example; =x",
        r"ca.example; a=b; ; c=d",
        r"ca.example; a=b c",
        r"ca.example; a=b;",
        r"%%%%%",
        "",
        ";",
        " ; ",
    ];
    for value in odd {
        let zone = format!("a.eus. CAA 0 issue \"{value}\"");
        assert!(!may("a.eus", &zone), "{value}");
        let beside = format!("{zone}\na.eus. CAA 0 issue \"ca.example\"");
        assert!(may("a.eus", &beside), "{value} beside a good one");
    }
    for value in ["ca.example", " ca.example ", "ca.example;", "ca.example ; ", "\tca.example", "ca.example; a=b"] {
        assert!(may("a.eus", &format!("a.eus. CAA 0 issue \"{value}\"")), "{value}");
    }
}

#[test]
fn values_are_read_by_the_grammar() {
    let value = issue_value(b" CA.example ; AccountURI = https://a.example/acct/1;x= ").expect("well formed");
    assert_eq!(value.domain.as_deref(), Some("ca.example"));
    let pairs = [("accounturi", "https://a.example/acct/1"), ("x", "")];
    assert_eq!(value.parameters, pairs.map(|(tag, value)| (tag.to_string(), value.to_string())));
    assert_eq!(issue_value(b";"), Some(IssueValue { domain: None, parameters: vec![] }));
    assert_eq!(issue_value(b"; a=b").and_then(|value| value.domain), None);
    assert_eq!(issue_value(b"ca.example\0"), None);
}

#[test]
fn parameters_narrow_account_and_method() {
    let fit = |text: &str, account: Option<&str>| {
        let value = issue_value(format!("ca.example; {text}").as_bytes()).expect("well formed");
        fits(&value.parameters, |label| label == "dns-01" || label == "ca-tbr-7", |uri| account.map(|own| own == uri))
    };
    let account = Some("https://ca.example/acct/7");
    for good in [
        "",
        "policy=ev",
        "validationmethods=dns-01",
        "validationmethods=http-01,ca-tbr-7",
        "accounturi=https://ca.example/acct/7",
        "accounturi=https://ca.example/acct/7; validationmethods=dns-01",
    ] {
        assert_eq!(fit(good, account), Fit::Fits, "{good}");
    }
    for bad in [
        "validationmethods=http-01",
        "validationmethods=",
        "validationmethods=dns-01; validationmethods=dns-01",
        "accounturi=https://ca.example/acct/70",
        "accounturi=https://ca.example/acct/7; accounturi=https://ca.example/acct/7",
        "accounturi=https://ca.example/acct/7; validationmethods=http-01",
    ] {
        assert!(matches!(fit(bad, account), Fit::Not(_)), "{bad}");
    }
    assert_eq!(fit("accounturi=https://ca.example/acct/7", None), Fit::Unknown);
    assert!(matches!(fit("accounturi=x; validationmethods=http-01", None), Fit::Not(_)));
}

#[test]
fn records_are_read_as_resolvers_print_them() {
    let same = [
        "a.eus. 300 IN CAA 0 issue \"ca.example\"",
        "A.eus.\t300\tIN\tCAA\t0 issue \"ca.example\"",
        "a.eus CAA 0 issue ca.example",
        "a.eus. IN 300 TYPE257 \\# 17 0005 6973737565 63612e6578616d706c65",
        "; a comment\n\na.eus. CAA 0 issue \"ca\\.exam\\112le\"\na.eus. 300 IN RRSIG CAA 13 2 300 20261201 20261101 1 a.eus. ab==",
    ];
    for text in same {
        assert_eq!(read(text).map(|records| records.len()), Ok(1), "{text}");
        assert!(may("a.eus", text) && !evaluate("a.eus", &read(text).unwrap(), &[]).eq(&Answer::NoRecords), "{text}");
    }
    assert!(!may("x.eus", "0 issue \"other.example\"") && may("x.eus", "CAA 0 issue \"ca.example\""));
    for bad in [
        "hello",
        "a.eus. CAA",
        "a.eus. CAA 256 issue \"x\"",
        "a.eus. CAA 0 issue \"open",
        "a.eus. CAA 0 issue \"\\999\"",
        "a.eus. TYPE257 \\# 3 0005",
        "a.eus. TYPE257 \\# 2 00ff",
        "a.eus. TYPE257 \\# 99999999999999999999 00",
        "CNAME b.eus.",
        "a.eus. CNAME",
        "a.eus. x y CAA 0 issue \"ca.example\"",
        "a.eus. CAA 0 issue \"a\" \"b\"",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert!(read(&"a.eus. CAA 0 issue \"x\"\n".repeat(1_001)).is_err());
}

proptest! {
    #[test]
    fn nothing_that_strangers_write_stops_it(text in "[ -~\\n\\t\\x00\u{e9}]{0,200}", name in "[ -~]{0,40}") {
        if let Ok(records) = read(&text) {
            evaluate(&name, &records, &ours());
        }
        let zone = format!("{}. CAA 0 issue \"{}\"", name, text.replace('\n', ""));
        if let Ok(records) = read(&zone) {
            evaluate(&name, &records, &ours());
        }
    }

    #[test]
    fn any_bytes_as_a_value_authorise_the_ca_only_when_its_domain_stands_alone(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let Some(read) = issue_value(&value) else { return Ok(()) };
        let text = String::from_utf8(value).expect("only ASCII is well formed");
        let head = text.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
        prop_assert_eq!(read.domain.unwrap_or_default(), head.to_ascii_lowercase());
    }

    #[test]
    fn a_well_formed_domain_is_understood_whatever_surrounds_it(domain in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?){0,3}", space in "[ \\t]{0,3}", parameter in "(; ?[a-z]{1,5}=[!-:<-~]{0,9})?") {
        let value = issue_value(format!("{space}{domain}{space}{parameter}").as_bytes()).expect("well formed");
        prop_assert_eq!(value.domain, Some(domain));
    }
}
