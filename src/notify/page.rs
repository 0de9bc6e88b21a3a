//! The page: what a notice says to a person, as labelled lines. The text and the HTML part show the same page.
//!
//! Whatever the notice holds, a page has at most 40 lines and no line has a control character or a byte beyond ASCII
//! in it. What is cut is counted, and the whole is in the JSON attachment.

use std::collections::BTreeSet;

use super::clean;
use crate::case::{CertificateFacts, EventKind, Notice, Sighting};
use crate::finding::{Finding, RevocationClock, Severity};

/// Findings told in full.
const FINDINGS_SHOWN: usize = 5;
/// Rules named.
const RULES_SHOWN: usize = 20;
/// SANs named.
const SANS_SHOWN: usize = 100;
/// Sightings told.
const SIGHTINGS_SHOWN: usize = 3;
/// Lines of the CA's record.
const RECORD_SHOWN: usize = 6;
/// Rules that could not be judged.
const NOT_EVALUABLE_SHOWN: usize = 5;

/// Facts about what other judges say.
const OPINIONS_SHOWN: usize = 6;

/// Longest name, in characters: a DNS name has at most 253 (RFC 1035 2.3.4), and its kind stands before it.
const NAME_LIMIT: usize = 275;
/// Longest sentence, in characters.
const SENTENCE_LIMIT: usize = 400;
/// Longest hash or serial number, in characters.
const HEX_LIMIT: usize = 64;

/// One page.
pub(super) struct Page {
    /// The state of the case in one line.
    pub(super) title: String,
    /// `CASE-2026-0042`.
    pub(super) case: String,
    /// `opened`, `updated`, `test`.
    pub(super) event: &'static str,
    /// What follows.
    pub(super) sections: Vec<Section>,
    /// The certificate at crt.sh.
    pub(super) crt_sh: Option<String>,
    /// Background of the title in HTML.
    pub(super) colour: &'static str,
}

/// Lines under one label; never empty.
pub(super) struct Section {
    /// At most five capitals.
    pub(super) label: &'static str,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

/// One line of a section.
pub(super) struct Line {
    /// What stands left of it in plain text: the label on the first line, blanks on the others.
    pub(super) margin: String,
    /// The line.
    pub(super) text: String,
    /// Shown bold where that is possible.
    pub(super) strong: bool,
}

/// Lays a notice out.
pub(super) fn lay_out(notice: &Notice) -> Page {
    let case = clean(&notice.case, 64);
    let crt_sh = notice.certificate.as_ref().and_then(crt_sh);
    let mut sections = Vec::new();
    let mut add = |label: &'static str, lines: Vec<(String, bool)>| {
        let line = |(place, (text, strong))| {
            let margin = format!("{:<6}", if place == 0 { label } else { "" });
            Line { margin, text, strong }
        };
        if !lines.is_empty() {
            sections.push(Section { label, lines: lines.into_iter().enumerate().map(line).collect() });
        }
    };
    if notice.event == EventKind::Test {
        let proof = "This is the test message of ctwarden test-alert: mail from this monitor reaches you.";
        add("WHY", vec![(proof.to_string(), true), (format!("Sent {}. Nothing is wrong.", notice.event_at), false)]);
    } else {
        add("WHY", why(notice, &case));
        add("RULES", vec![(rules(notice), false)]);
        add("CLOCK", vec![(clock(notice), true)]);
        if let Some(certificate) = &notice.certificate {
            add("CERT", plain(certificate_lines(certificate)));
            add("SANS", sans(certificate));
        }
        add("CT", plain(sightings(&notice.sightings)));
        add("DB", plain(record(notice)));
        add("SKIP", plain(not_evaluable(notice)));
        add("ALSO", plain(opinions(notice)));
        add("DO", plain(actions(notice, &case)));
        add("LINK", plain(crt_sh.iter().cloned().collect()));
    }
    let colour = match notice.severity {
        Severity::Critical | Severity::Error => "#a61b1b",
        Severity::Warning | Severity::Review => "#8a5a00",
        Severity::Notice => "#2f4858",
    };
    Page { title: title(notice, &case), event: notice.event.word(), case, sections, crt_sh, colour }
}

fn plain(lines: Vec<String>) -> Vec<(String, bool)> {
    lines.into_iter().map(|line| (line, false)).collect()
}

/// "and 3 more ..." when there are more than are shown.
fn more(total: usize, shown: usize, what: &str) -> Option<String> {
    (total > shown).then(|| format!("and {} more {what}", total - shown))
}

fn title(notice: &Notice, case: &str) -> String {
    if notice.event == EventKind::Test {
        return format!("[test] {case} | ctwarden test message");
    }
    if let Some(resolved) = &notice.resolved {
        return format!("[resolved] {case}: {}", clean(resolved, SENTENCE_LIMIT));
    }
    let lead = notice.findings.first().map_or_else(
        || "no finding".to_string(),
        |f| format!("{} {}", clean(&f.rule, HEX_LIMIT), clean(&f.subject, NAME_LIMIT)),
    );
    let issuer = notice.certificate.as_ref().map_or("no certificate".to_string(), |c| clean(&c.issuer, 120));
    let due = notice.due.map_or("no revocation deadline".to_string(), |due| format!("revoke by {}", due.minute()));
    format!("[{} {}] {case}: {lead} | {issuer} | {due}", notice.severity, notice.clock.word())
}

fn why(notice: &Notice, case: &str) -> Vec<(String, bool)> {
    let mut lines = Vec::new();
    if let Some(resolved) = &notice.resolved {
        lines.push((format!("{} as of {}", clean(resolved, SENTENCE_LIMIT), notice.event_at), true));
    }
    for finding in notice.findings.iter().take(FINDINGS_SHOWN) {
        let subject = clean(&finding.subject, NAME_LIMIT);
        lines.push((format!("{subject} [{}]", rule_in_words(finding)), true));
        lines.push((reason(finding), false));
    }
    let rest = more(notice.findings.len(), FINDINGS_SHOWN, "findings");
    lines.extend(rest.map(|rest| (format!("{rest}: ctwarden cases show {case} --format json"), false)));
    lines
}

/// `name.internal, error, BR 4.2.2, 24h`.
fn rule_in_words(finding: &Finding) -> String {
    let (rule, citation) = (clean(&finding.rule, HEX_LIMIT), clean(&finding.citation, 120));
    format!("{rule}, {}, {citation}, {}", finding.severity, finding.clock.word())
}

/// The sentence, then the facts on which it rests, each with its source.
fn reason(finding: &Finding) -> String {
    let mut text = clean(&finding.detail, SENTENCE_LIMIT);
    for fact in finding.evidence.iter().take(4) {
        text.push_str(&format!("; [{}] {}", clean(&fact.source, 40), clean(&fact.text, SENTENCE_LIMIT)));
    }
    if let Some(rest) = more(finding.evidence.len(), 4, "facts") {
        text.push_str(&format!("; {rest}"));
    }
    text
}

fn rules(notice: &Notice) -> String {
    let names: BTreeSet<String> = notice.findings.iter().map(|f| clean(&f.rule, HEX_LIMIT)).collect();
    let mut text = names.iter().take(RULES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(rest) = more(names.len(), RULES_SHOWN, "rules") {
        text.push_str(&format!(", {rest}"));
    }
    match notice.findings.len() {
        1 => format!("{text} (1 finding, {} new)", notice.new_findings),
        count => format!("{text} ({count} findings, {} new)", notice.new_findings),
    }
}

fn clock(notice: &Notice) -> String {
    // What was found before may demand no revocation.
    let aware = notice.clock_since.unwrap_or(notice.aware_at);
    // BR 4.9.1.1: "within 24 hours" (items 1 to 5); "SHOULD revoke a certificate within 24 hours and MUST revoke a
    // Certificate within 5 days" (items 6 to 16). BR 4.9.5: the time runs to published revocation.
    let (item, within) = match notice.clock {
        RevocationClock::Day(item) => (item, "24 h"),
        RevocationClock::FiveDays(item) => (item, "5 days (SHOULD 24 h)"),
        RevocationClock::None => return format!("aware {aware}; no revocation deadline follows from these findings"),
    };
    let due = notice.due.map_or("unknown".to_string(), |due| due.to_string());
    let reason = notice.clock.crl_reason().map_or(String::new(), |(code, word)| format!("; CRLReason {code} {word}"));
    format!("aware {aware}; BR 4.9.1.1 item {item} -> {within} to PUBLISHED revocation; due {due}{reason}")
}

fn certificate_lines(certificate: &CertificateFacts) -> Vec<String> {
    let hash = |hash: &Option<String>, absent: &str| hash.as_ref().map_or(absent.to_string(), |h| clean(h, HEX_LIMIT));
    let moment = |moment: Option<crate::clock::Timestamp>| moment.map_or("unreadable".to_string(), |m| m.to_string());
    vec![
        format!("{}; issuer key {}", clean(&certificate.issuer, 120), certificate.issuer_key_hash),
        format!("serial {}; subject {}", clean(&certificate.serial, HEX_LIMIT), clean(&certificate.subject, 200)),
        format!("valid {} to {}", moment(certificate.not_before), moment(certificate.not_after)),
        format!("precertificate sha256 {}", hash(&certificate.precertificate_sha256, "not seen")),
        // MRSP 5.4: a precertificate counts as proof that the final certificate exists.
        format!(
            "certificate sha256 {}; key sha256 {}",
            hash(&certificate.certificate_sha256, "not seen yet (presumed to exist, MRSP 5.4)"),
            clean(&certificate.spki_sha256, HEX_LIMIT)
        ),
    ]
}

/// Offending names first, marked, on a line of their own.
fn sans(certificate: &CertificateFacts) -> Vec<(String, bool)> {
    let (offending, others): (Vec<_>, Vec<_>) = certificate.sans.iter().partition(|san| san.offending);
    let mut lines = Vec::new();
    let mut room = SANS_SHOWN;
    for (mark, names, strong) in [("! ", offending, true), ("", others, false)] {
        let shown: Vec<String> =
            names.iter().take(room).map(|san| format!("{mark}{}", clean(&san.text, NAME_LIMIT))).collect();
        let rest = more(names.len(), shown.len(), "names");
        room -= shown.len();
        let text = shown.into_iter().chain(rest).collect::<Vec<_>>().join(", ");
        if !text.is_empty() {
            lines.push((text, strong));
        }
    }
    if lines.is_empty() {
        lines.push(("none".to_string(), false));
    }
    lines
}

fn sightings(all: &[Sighting]) -> Vec<String> {
    let line = |s: &Sighting| {
        let (log, kind, late) = (clean(&s.log, 80), s.kind.word(), s.seen_at.since(s.logged_at));
        let seal = if s.included { "inclusion proven" } else { "inclusion not yet proven" };
        format!("{log} index {} ({kind}): logged {}, seen {} (+{late}), {seal}", s.index, s.logged_at, s.seen_at)
    };
    all.iter().take(SIGHTINGS_SHOWN).map(line).chain(more(all.len(), SIGHTINGS_SHOWN, "sightings")).collect()
}

fn record(notice: &Notice) -> Vec<String> {
    if notice.record.is_empty() {
        return vec!["nothing read from the issuance database".to_string()];
    }
    let line = |(label, text): &(String, String)| format!("{} {}", clean(label, 40), clean(text, SENTENCE_LIMIT));
    let shown = notice.record.iter().take(RECORD_SHOWN).map(line);
    shown.chain(more(notice.record.len(), RECORD_SHOWN, "lines")).collect()
}

fn not_evaluable(notice: &Notice) -> Vec<String> {
    let all = &notice.not_evaluable;
    let rule = |(rule, missing): &(String, String)| format!("{} ({})", clean(rule, HEX_LIMIT), clean(missing, 120));
    let shown = all.iter().take(NOT_EVALUABLE_SHOWN).map(rule);
    let text = shown.chain(more(all.len(), NOT_EVALUABLE_SHOWN, "rules")).collect::<Vec<_>>().join("; ");
    if text.is_empty() { Vec::new() } else { vec![format!("not judged: {text}")] }
}

fn opinions(notice: &Notice) -> Vec<String> {
    let fact = |(judge, fact): &(String, String)| format!("{}: {}", clean(judge, HEX_LIMIT), clean(fact, NAME_LIMIT));
    let shown = notice.opinions.iter().take(OPINIONS_SHOWN).map(fact);
    let rest = more(notice.opinions.len(), OPINIONS_SHOWN, "facts");
    let text = shown.chain(rest).collect::<Vec<_>>().join("; ");
    if text.is_empty() { Vec::new() } else { vec![format!("other linters: {text}")] }
}

fn actions(notice: &Notice, case: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if notice.resolved.is_some() {
        lines.push("1 check that it is so".to_string());
    } else if let (Some(certificate), Some((code, word))) = (&notice.certificate, notice.clock.crl_reason()) {
        let due = notice.due.map_or(String::new(), |due| format!(" before {}", due.minute()));
        let serial = clean(&certificate.serial, HEX_LIMIT);
        lines.push(format!("1 check, then revoke serial {serial} with reason {code} {word}; on the CRL{due}"));
    } else {
        lines.push("1 check; these findings alone do not demand revocation".to_string());
    }
    lines.push(format!("2 read all of it: ctwarden cases show {case}"));
    lines
}

/// `https://crt.sh/?sha256=...` of the certificate, or of the precertificate when there is no other; only hexadecimal
/// digits go into a link.
fn crt_sh(certificate: &CertificateFacts) -> Option<String> {
    let hash = certificate.certificate_sha256.as_ref().or(certificate.precertificate_sha256.as_ref())?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| format!("https://crt.sh/?sha256={}", hash.to_ascii_lowercase()))
}
