use super::answer::read;
use super::mapping::{UNREADABLE, codes, pairs, rules};
use super::opinion::{Said, compare, known};
use super::*;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Issued, RevocationClock, Severity};

fn ours(rule: &'static str, severity: Severity) -> Finding {
    let (detail, evidence) = (String::new(), Vec::new());
    let (citation, clock) = ("BR 1.6.1".into(), RevocationClock::FiveDays(12));
    Finding { rule: rule.into(), severity, citation, clock, subject: "x".into(), detail, evidence }
}

fn said(at: Timestamp, findings: &[Finding]) -> Said {
    Said::new(findings, Issued::at(at))
}

fn pkilint(found: &[(&str, &str)]) -> Answer {
    let list: Vec<_> =
        found.iter().map(|(s, c)| serde_json::json!({"severity": s, "code": c, "message": null})).collect();
    let report =
        serde_json::json!({"results": [{"node_path": "certificate", "validator": "V", "finding_descriptions": list}]});
    read(Format::Pkilint, report.to_string().as_bytes(), 1).expect("a report").remove(0)
}

#[test]
fn every_rule_of_the_mapping_is_a_rule_and_no_pair_stands_twice() {
    let known: Vec<&str> = crate::lint::RULES.iter().map(|rule| rule.info.id).collect();
    for (at, pair) in pairs().iter().enumerate() {
        if pair.linter == caa::NAME {
            assert_eq!((pair.rule, pair.code), ("caa.verdict", caa::DENIED));
            continue;
        }
        assert!(known.contains(&pair.rule), "{pair:?}");
        assert!(["zlint", "pkilint"].contains(&pair.linter), "{pair:?}");
        assert!(!pairs()[at + 1..].contains(pair), "{pair:?} stands twice");
        let prefixed = ["e_", "w_", "n_"].iter().any(|prefix| pair.code.starts_with(prefix));
        assert!(pair.linter != "zlint" || prefixed || pair.code == UNREADABLE, "{pair:?}");
    }
    assert_eq!(include_str!("mapping.csv").lines().count(), pairs().len() + 1, "a line that is no pair");
    assert!(rules("pkilint", "cabf.internal_domain_name").any(|rule| rule == "name.internal"));
    assert!(codes("name.internal", "zlint").any(|code| code == "e_dnsname_not_valid_tld"));
}

#[test]
fn every_known_difference_names_its_section_and_dates() {
    assert_eq!(include_str!("known_differences.csv").lines().count(), known().len() + 1, "a line that is no row");
    for row in known() {
        let documents = ["BR ", "EVG ", "RFC "];
        assert!(documents.iter().any(|d| row.section.starts_with(d)) && row.reason.len() > 20, "{row:?}");
        assert!(row.from.zip(row.before).is_none_or(|(from, before)| from < before), "{row:?}");
    }
}

#[test]
fn what_both_found_is_one_finding() {
    let said = said(date(2026, 6, 1), &[ours("name.internal", Severity::Error)]);
    let comparison = compare(&said, &pkilint(&[("ERROR", "cabf.internal_domain_name")]));
    assert_eq!(comparison.lines, ["name.internal: also pkilint cabf.internal_domain_name"]);
    assert_eq!(comparison.findings, []);
}

#[test]
fn what_we_alone_found_is_shown() {
    let said =
        said(date(2026, 6, 1), &[ours("name.internal", Severity::Error), ours("key.weak.roca", Severity::Error)]);
    let comparison = compare(&said, &pkilint(&[]));
    // It has no rule about ROCA, so that its silence is no verdict.
    assert_eq!(comparison.lines, ["ours: error name.internal, pkilint: pass"]);
    let mut silent = pkilint(&[]);
    silent.linters.clear();
    assert_eq!(compare(&said, &silent).lines, [""; 0], "who has not spoken has not passed it");
}

#[test]
fn an_error_that_another_judge_alone_found_is_for_review() {
    let said = said(date(2026, 6, 1), &[ours("san.dup", Severity::Warning)]);
    let mut answer =
        pkilint(&[("ERROR", "cabf.internal_domain_name"), ("WARNING", "pkix.some_advice"), ("FATAL", "new.code")]);
    answer.version = "0.13.3".to_string();
    answer.findings[0].text = "x.corp".to_string();
    let comparison = compare(&said, &answer);
    assert_eq!(
        comparison.lines,
        [
            "pkilint: error cabf.internal_domain_name, ours: pass name.internal name.ip_as_dns onion.form",
            "pkilint: error new.code, ours: no such rule",
            "pkilint: warning pkix.some_advice, ours: no such rule",
        ]
    );
    let found: Vec<_> = comparison.findings.iter().map(|f| (&*f.rule, f.severity, f.clock, &*f.citation)).collect();
    let review = |rule| (rule, Severity::Review, RevocationClock::None, "pkilint 0.13.3");
    assert_eq!(found, [review("pkilint:cabf.internal_domain_name"), review("pkilint:new.code")]);
    assert!(comparison.findings[0].detail.ends_with(": x.corp"), "{}", comparison.findings[0].detail);
}

#[test]
fn a_difference_in_severity_is_shown_and_only_the_worse_of_theirs_is_for_review() {
    let at = date(2026, 6, 1);
    let milder = compare(
        &said(at, &[ours("san.critical", Severity::Error)]),
        &pkilint(&[("WARNING", "pkix.san_extension_is_critical_non_empty_subject")]),
    );
    assert_eq!(
        milder.lines,
        ["pkilint: warning pkix.san_extension_is_critical_non_empty_subject, ours: error san.critical"]
    );
    assert_eq!(milder.findings, []);
    let worse = compare(
        &said(at, &[ours("san.critical", Severity::Warning)]),
        &pkilint(&[("ERROR", "pkix.san_extension_not_critical_empty_subject")]),
    );
    assert_eq!(
        worse.lines,
        ["pkilint: error pkix.san_extension_not_critical_empty_subject, ours: warning san.critical"]
    );
    assert_eq!(worse.findings.len(), 1);
}

#[test]
fn a_known_difference_is_shown_and_pages_nobody() {
    let code = "cabf.serverauth.subscriber.authority_info_access_extension_absent";
    let quiet = compare(&said(date(2026, 10, 4), &[ours("ext.aia", Severity::Warning)]), &pkilint(&[("ERROR", code)]));
    assert_eq!(quiet.findings, []);
    assert!(quiet.lines[0].contains("ours: warning ext.aia (known difference, BR 7.1.2.7.6: "), "{:?}", quiet.lines);
    // A day earlier it is none.
    let loud = compare(&said(date(2026, 10, 3), &[]), &pkilint(&[("ERROR", code)]));
    assert_eq!(loud.findings.len(), 1);
    // Nor when it may have been issued a day earlier.
    let said = Said::new(&[], Issued { earliest: date(2026, 10, 3), latest: date(2026, 10, 5) });
    assert_eq!(compare(&said, &pkilint(&[("ERROR", code)])).findings.len(), 1);
}

#[test]
fn zlint_as_its_command_prints_it() {
    let text = r#"{"e_dnsname_not_valid_tld":{"result":"error"},"n_subject_common_name_included":{"result":"info","details":"x\u202e"},
        "e_rsa_mod_less_than_2048_bits":{"result":"NA"},"w_ext_san_critical_with_subject_dn":{"result":"warn"},"e_x":{"result":"pass"}}"#;
    let answers = read(Format::Zlint, format!("{text}\n{text}\n").as_bytes(), 2).expect("two objects");
    let found: Vec<_> = answers[1].findings.iter().map(|f| (&*f.code, f.weight)).collect();
    let expected = [
        ("e_dnsname_not_valid_tld", Weight::Error),
        ("n_subject_common_name_included", Weight::Notice),
        ("w_ext_san_critical_with_subject_dn", Weight::Warning),
    ];
    assert_eq!(found, expected);
    assert!(answers[0].findings[1].text.is_ascii(), "{:?}", answers[0].findings[1]);
    assert_eq!(answers[0].linters, ["zlint"]);
}

#[test]
fn pkimetal_as_its_service_answers() {
    let text = r#"[{"Linter":"pkimetal","Finding":"Profile: tbr_leaf_tlsserver_dv; Version: v1.20.0","Severity":"meta"},
        {"Linter":"badkeys","Finding":"badkeys: Not used [Available:false, Applicable:true]","Severity":"meta"},
        {"Linter":"pkilint","Field":"certificate.tbsCertificate","Finding":"Internal name","Code":"cabf.internal_domain_name","Severity":"error"},
        {"Linter":"pkilint","Finding":"Queued: 1ms; Runtime: 9ms; Version: v0.13.3","Severity":"meta"},
        {"Linter":"x509lint","Finding":"No OCSP over HTTP","Severity":"warning"},
        {"Linter":"x509lint","Finding":"Queued: 1ms; Runtime: 9ms; Version: v1","Severity":"meta"},
        {"Linter":"zlint","Finding":"Could not parse certificate: x","Severity":"fatal"},
        {"Linter":"zlint","Finding":"Queued: 1ms; Runtime: 1ms; Version: v3.6.4","Severity":"meta"}]"#;
    let answer = read(Format::Pkimetal, text.as_bytes(), 1).expect("an answer").remove(0);
    assert_eq!((&*answer.version, answer.linters.join(" ")), ("v1.20.0", "pkilint x509lint zlint".to_string()));
    let found: Vec<_> = answer.findings.iter().map(|f| (&*f.linter, &*f.code, f.weight)).collect();
    let expected = [
        ("pkilint", "cabf.internal_domain_name", Weight::Error),
        ("x509lint", "No OCSP over HTTP", Weight::Warning),
        ("zlint", UNREADABLE, Weight::Error),
    ];
    assert_eq!(found, expected);
    // A linter behind it that broke down is no verdict.
    let broken = r#"[{"Linter":"pkimetal","Finding":"pkilint: stdout.Scan() => false","Severity":"fatal"}]"#;
    assert!(matches!(read(Format::Pkimetal, broken.as_bytes(), 1), Err(JudgeError::Garbled(_))));
}

#[test]
fn what_is_no_whole_answer_is_none() {
    let report = r#"{"results":[]}"#;
    for (format, text, count) in [
        (Format::Pkilint, "", 1),
        (Format::Pkilint, "{}", 1),
        (Format::Pkilint, "[]", 1),
        (Format::Pkilint, "Traceback (most recent call last):", 1),
        (Format::Pkilint, report, 2),
        (Format::Pkilint, &report.repeat(3), 2),
        (Format::Pkilint, r#"{"results":[{"node_path":"x"}]}"#, 1),
        (Format::Zlint, "{}", 1),
        (Format::Zlint, r#"{"e_x":{"details":"y"}}"#, 1),
        (Format::Zlint, r#"{"e_x":{"result":"error"}"#, 1),
        (Format::Pkimetal, "[]", 1),
        (Format::Pkimetal, "null", 1),
    ] {
        assert!(matches!(read(format, text.as_bytes(), count), Err(JudgeError::Garbled(_))), "{format:?} {text}");
    }
}
