//! Two verdicts on one certificate held against each other: what both found is one finding, what one found alone is a
//! difference and is shown, and an error that only the other found is a matter for review.
//!
//! A difference that is known, because the other linter judges without dates or reads a section in its own way, is shown
//! with the section and pages nobody: `known_differences.csv`.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Answer, Foreign, Weight, mapping};
use crate::clock::Timestamp;
use crate::finding::{Finding, Issued, RevocationClock, Severity};

/// The most fields of one code that a finding lists.
const MOST_FIELDS: usize = 5;
/// The most findings of one answer that become findings of a case.
const MOST_FINDINGS: usize = 50;

/// What we said about a certificate when another judge was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Each rule that found something, with the worst of its findings; sorted.
    pub rules: Vec<(String, Severity)>,
    /// The earliest moment at which it may have been issued.
    pub earliest: Timestamp,
    /// The latest.
    pub latest: Timestamp,
}

impl Said {
    /// From the findings of an examination; those of rules that no other linter has are left out.
    pub fn new(findings: &[Finding], issued: Issued) -> Said {
        let shared = findings.iter().filter(|f| mapping::pairs().iter().any(|pair| pair.rule == f.rule));
        let mut rules: Vec<(String, Severity)> = shared.map(|f| (f.rule.to_string(), f.severity)).collect();
        // The worst severity is the least.
        rules.sort();
        rules.dedup_by(|later, first| later.0 == first.0);
        Said { rules, earliest: issued.earliest, latest: issued.latest }
    }

    fn severity(&self, rule: &str) -> Option<Severity> {
        self.rules.iter().find(|(own, _)| own == rule).map(|(_, severity)| *severity)
    }
}

/// How two verdicts compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What to show beside a case, one line each.
    pub lines: Vec<String>,
    /// Errors of the other judge that we do not share: for review.
    pub findings: Vec<Finding>,
}

/// A difference of which it is known why, and that it is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The linter.
    pub linter: &'static str,
    /// Its code.
    pub code: &'static str,
    /// Certificates issued from here on; `None`: all.
    pub from: Option<Timestamp>,
    /// Certificates issued before; `None`: all.
    pub before: Option<Timestamp>,
    /// The section by which we are right.
    pub section: &'static str,
    /// Why.
    pub reason: &'static str,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = include_str!("known_differences.csv").lines().skip(1).filter(|line| !line.is_empty());
    let rows = lines.filter_map(|line| {
        let mut cells = line.splitn(6, ',');
        let (linter, code) = (cells.next()?, cells.next()?);
        let (from, before) = (Timestamp::parse(cells.next()?), Timestamp::parse(cells.next()?));
        Some(Known { linter, code, from, before, section: cells.next()?, reason: cells.next()? })
    });
    rows.collect()
});

/// The table of known differences.
pub fn known() -> &'static [Known] {
    &KNOWN
}

fn excused(said: &Said, finding: &Foreign) -> Option<&'static Known> {
    // Both ends of the interval in which it was issued must lie in the window.
    let within = |row: &Known| {
        row.from.is_none_or(|from| said.earliest >= from) && row.before.is_none_or(|before| said.latest < before)
    };
    KNOWN.iter().find(|row| row.linter == finding.linter && row.code == finding.code && within(row))
}

/// Holds what we said against what a judge answered.
pub fn compare(said: &Said, answer: &Answer) -> Comparison {
    let mut comparison = Comparison::default();
    let (mut told, mut shared_lines): (Vec<(&str, &str)>, Vec<String>) = (Vec::new(), Vec::new());
    let mut sorted: Vec<&Foreign> = answer.findings.iter().collect();
    sorted.sort_by_key(|finding| finding.weight);
    for finding in sorted {
        // One line and one finding for a code, in however many places it is found.
        if told.contains(&(&*finding.linter, &*finding.code)) {
            continue;
        }
        told.push((&finding.linter, &finding.code));
        let rules: Vec<&str> = mapping::rules(&finding.linter, &finding.code).collect();
        let shared: Vec<(&str, Severity)> =
            rules.iter().filter_map(|rule| Some((*rule, said.severity(rule)?))).collect();
        let theirs = format!("{}: {} {}", finding.linter, finding.weight.word(), finding.code);
        let equal = |severity: Severity| match finding.weight {
            Weight::Error => matches!(severity, Severity::Critical | Severity::Error | Severity::Review),
            Weight::Warning | Weight::Notice => !matches!(severity, Severity::Critical | Severity::Error),
        };
        if let Some((rule, _)) = shared.iter().find(|(_, severity)| equal(*severity)) {
            shared_lines.push(format!("{rule}: also {} {}", finding.linter, finding.code));
            continue;
        }
        let ours = match (shared.first(), rules.as_slice()) {
            (Some((rule, severity)), _) => format!("ours: {severity} {rule}"),
            (None, []) => "ours: no such rule".to_string(),
            (None, rules) => format!("ours: pass {}", rules.join(" ")),
        };
        // What we call worse than they do needs no second look at our own finding.
        let milder = shared.iter().any(|(_, severity)| matches!(severity, Severity::Critical | Severity::Error));
        match (finding.weight, excused(said, finding)) {
            (Weight::Error, Some(known)) if !milder => {
                let why = format!("known difference, {}: {}", known.section, known.reason);
                comparison.lines.push(format!("{theirs}, {ours} ({why})"));
            }
            (Weight::Error, None) if !milder => {
                comparison.lines.push(format!("{theirs}, {ours}"));
                if comparison.findings.len() < MOST_FINDINGS {
                    comparison.findings.push(review(answer, finding, &ours));
                }
            }
            _ => comparison.lines.push(format!("{theirs}, {ours}")),
        }
    }
    for (rule, severity) in &said.rules {
        for linter in &answer.linters {
            let mut codes = mapping::codes(rule, linter).peekable();
            let serious = matches!(severity, Severity::Critical | Severity::Error);
            if serious && codes.peek().is_some() && !codes.any(|code| told.contains(&(linter.as_str(), code))) {
                comparison.lines.push(format!("ours: {severity} {rule}, {linter}: pass"));
            }
        }
    }
    // The differences first: they are what a person reads it for.
    comparison.lines.append(&mut shared_lines);
    comparison
}

/// Another linter's error as a finding for review, under its own identifier and in its own words.
fn review(answer: &Answer, finding: &Foreign, ours: &str) -> Finding {
    let same = answer.findings.iter().filter(|f| (&f.linter, &f.code) == (&finding.linter, &finding.code));
    let places: Vec<&str> = same.map(|f| f.field.as_str()).filter(|field| !field.is_empty()).collect();
    let more = places.len().saturating_sub(MOST_FIELDS);
    let place = places.iter().take(MOST_FIELDS).copied().collect::<Vec<_>>().join(", ");
    let place = if more > 0 { format!("{place} and {more} more") } else { place };
    let words = if finding.text.is_empty() { "no words of its own".to_string() } else { finding.text.clone() };
    let finding = Finding {
        rule: Cow::Owned(format!("{}:{}", finding.linter, finding.code)),
        severity: Severity::Review,
        citation: Cow::Owned(format!("{} {}", finding.linter, answer.version).trim().to_string()),
        clock: RevocationClock::None,
        // The place of a field differs between a precertificate and its certificate; the finding does not.
        subject: "certificate".to_string(),
        detail: format!("another linter calls it an error and we do not ({ours}): {words}"),
        evidence: Vec::new(),
    };
    if place.is_empty() { finding } else { finding.with_evidence("other linter", place) }
}
