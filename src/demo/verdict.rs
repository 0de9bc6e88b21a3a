//! Whether the monitor found every planted mistake and nothing else. Pure.

use std::collections::BTreeSet;

use super::timetable::Mistake;
use crate::case::{EventKind, Notice};
use crate::clock::{Span, Timestamp};

/// A mistake that the demo CA made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Which.
    pub mistake: Mistake,
    /// Serial number of the certificate, lower-case hexadecimal.
    pub serial: String,
    /// The earliest SCT.
    pub logged_at: Timestamp,
}

/// A message of the monitor and when it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it says.
    pub notice: Notice,
    /// When the mail was written.
    pub mailed_at: Timestamp,
}

impl Told {
    fn serial(&self) -> &str {
        self.notice.certificate.as_ref().map_or("", |certificate| certificate.serial.as_str())
    }
}

/// What became of one planted mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The mistake.
    pub planted: Planted,
    /// Name of the case, if one was opened.
    pub case: Option<String>,
    /// Rules that must be among the findings and are not.
    pub missing: Vec<&'static str>,
    /// Mails written about it.
    pub mails: usize,
    /// From the log entry to the first mail.
    pub delay: Option<Span>,
}

impl Row {
    /// Whether there is a case, a mail and every rule that must be there.
    pub fn found(&self) -> bool {
        self.case.is_some() && self.mails > 0 && self.missing.is_empty()
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One row for each planted mistake, in the order of planting.
    pub rows: Vec<Row>,
    /// Cases about certificates in which nothing was wrong: name and first finding.
    pub unexpected: Vec<String>,
    /// Certificates issued, the mistakes among them.
    pub issued: u64,
}

impl Outcome {
    /// Compares what was planted with what was told.
    pub fn judge(planted: &[Planted], told: &[Told], issued: u64) -> Outcome {
        let rows = planted.iter().map(|planted| {
            let mine: Vec<&Told> = told.iter().filter(|told| told.serial() == planted.serial).collect();
            let rules: BTreeSet<&str> =
                mine.iter().flat_map(|told| &told.notice.findings).map(|finding| finding.rule.as_ref()).collect();
            let must = planted.mistake.must_find().iter().copied();
            Row {
                case: mine.first().map(|told| told.notice.case.clone()),
                missing: must.filter(|rule| !rules.contains(rule)).collect(),
                mails: mine.len(),
                delay: mine.iter().map(|told| told.mailed_at.since(planted.logged_at)).min(),
                planted: planted.clone(),
            }
        });
        let stranger = |told: &&Told| {
            told.notice.event != EventKind::Test && planted.iter().all(|planted| planted.serial != told.serial())
        };
        let unexpected: BTreeSet<String> = told
            .iter()
            .filter(stranger)
            .map(|told| {
                let finding = told.notice.findings.first();
                let finding =
                    finding.map_or(String::new(), |finding| format!(": {} {}", finding.rule, finding.subject));
                format!("{}{finding}", told.notice.case)
            })
            .collect();
        Outcome { rows: rows.collect(), unexpected: unexpected.into_iter().collect(), issued }
    }

    /// Every planted mistake was found and nothing else was reported; a run that planted nothing has shown nothing.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::found) && self.unexpected.is_empty()
    }

    /// The table at the end, with the verdict in its last line.
    pub fn table(&self) -> String {
        let mut out =
            format!("{:<48} {:<15} {:>5} {:>10}  result\n", "mistake planted", "case opened", "mails", "seconds");
        for row in &self.rows {
            let result = match (row.found(), row.missing.as_slice()) {
                (true, _) => "found".to_string(),
                (false, missing) if row.case.is_some() && !missing.is_empty() => {
                    format!("MISSING {}", missing.join(", "))
                }
                _ => "NOT FOUND".to_string(),
            };
            let seconds = row.delay.map_or("-".to_string(), |delay| format!("{:.1}", delay.seconds_f64()));
            let case = row.case.as_deref().unwrap_or("-");
            out +=
                &format!("{:<48} {case:<15} {:>5} {seconds:>10}  {result}\n", row.planted.mistake.title(), row.mails);
        }
        for case in &self.unexpected {
            out += &format!("NOT PLANTED {case}\n");
        }
        let (planted, found) = (self.rows.len(), self.rows.iter().filter(|row| row.found()).count());
        let cases = self.rows.iter().filter(|row| row.case.is_some()).count() + self.unexpected.len();
        let mails: usize = self.rows.iter().map(|row| row.mails).sum();
        let verdict = if self.passed() { "PASSED" } else { "FAILED" };
        out += &format!(
            "{planted} mistakes among {} certificates, {cases} cases, {mails} mails about them: {found} of {planted} found, \
             {} reported without cause: {verdict}\n",
            self.issued,
            self.unexpected.len()
        );
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::case::{CertificateFacts, EntryKind, SanFact, Sighting};
    use crate::clock::{DAY, date};
    use crate::finding::{Finding, KeyHash, RevocationClock, Severity};

    /// A notice about a certificate with this serial and these rules.
    pub fn notice(serial: &str, rules: &[&'static str]) -> Notice {
        let at = date(2026, 11, 22);
        let finding = |rule: &&'static str| {
            Finding {
                rule: (*rule).into(),
                severity: Severity::Error,
                citation: "BR 4.2.2".into(),
                clock: RevocationClock::Day(5),
                subject: "www.barakaldo.bizkaia.euskalsarea".into(),
                detail: "the TLD euskalsarea is not in the IANA root zone".into(),
                evidence: vec![],
            }
            .with_evidence("TLD table", "as of 2026-11-21: no euskalsarea")
        };
        Notice {
            case: format!("CASE-2026-{serial}"),
            event: EventKind::Opened,
            event_number: 1,
            event_at: at,
            aware_at: at,
            clock: RevocationClock::Day(5),
            due: Some(at.plus(DAY)),
            severity: Severity::Error,
            findings: rules.iter().map(finding).collect(),
            new_findings: rules.len(),
            clock_since: None,
            resolved: None,
            certificate: Some(CertificateFacts {
                issuer: "Demo CA".into(),
                issuer_key_hash: KeyHash([1; 32]),
                serial: serial.into(),
                precertificate_sha256: Some("7adf14b9".into()),
                certificate_sha256: None,
                spki_sha256: "00".into(),
                subject: "CN=www.barakaldo.bizkaia.euskalsarea".into(),
                not_before: Some(at),
                not_after: Some(at.plus(Span::from_days(90))),
                sans: vec![SanFact { text: "dNSName www.barakaldo.bizkaia.euskalsarea".into(), offending: true }],
            }),
            sightings: vec![Sighting {
                log: "127.0.0.1:4711".into(),
                index: 17,
                kind: EntryKind::Precertificate,
                logged_at: at,
                seen_at: at.plus(Span::from_seconds(1)),
                included: true,
            }],
            record: vec![("order".into(), "ORD-000001 channel=web".into())],
            not_evaluable: vec![("caa.exists".into(), "no CAA table".into())],
            opinions: vec![],
            subject_line: "[error 24h] CASE-2026-0001: name.internal".into(),
        }
    }

    fn planted(mistake: Mistake, serial: &str) -> Planted {
        Planted { mistake, serial: serial.into(), logged_at: date(2026, 11, 22) }
    }

    fn told(serial: &str, rules: &[&'static str], after: i64) -> Told {
        Told { notice: notice(serial, rules), mailed_at: date(2026, 11, 22).plus(Span::from_millis(after)) }
    }

    #[test]
    fn all_found_and_nothing_else_passes() {
        let planted = [planted(Mistake::InternalName, "0001"), planted(Mistake::ReuseOfReuse, "0002")];
        let told = [
            told("0001", &["name.internal"], 1500),
            told("0001", &["name.internal", "san.unexpected", "dcv.exists"], 1700),
            told("0002", &["dcv.reuse"], 900),
        ];
        let outcome = Outcome::judge(&planted, &told, 100);
        assert!(outcome.passed());
        assert_eq!(outcome.rows[0].delay, Some(Span::from_millis(1500)));
        let table = outcome.table();
        assert!(table.contains("CASE-2026-0001      2        1.5  found"), "{table}");
        assert!(table.ends_with("2 of 2 found, 0 reported without cause: PASSED\n"), "{table}");
    }

    #[test]
    fn one_missing_rule_one_missing_case_or_one_false_alarm_fails() {
        let planted = [planted(Mistake::InternalName, "0001")];
        let missing_rule = Outcome::judge(&planted, &[told("0001", &["name.internal"], 5)], 1);
        assert!(!missing_rule.passed());
        assert!(missing_rule.table().contains("MISSING san.unexpected"));
        let missing_case = Outcome::judge(&planted, &[], 1);
        assert!(!missing_case.passed());
        assert!(missing_case.table().contains("NOT FOUND"));
        let good = told("0001", &["name.internal", "san.unexpected"], 5);
        let false_alarm = Outcome::judge(&planted, &[good.clone(), told("0009", &["val.max"], 5)], 1);
        assert!(!false_alarm.passed());
        assert!(false_alarm.table().contains("NOT PLANTED CASE-2026-0009: val.max"));
        assert!(Outcome::judge(&planted, &[good], 1).passed());
        assert!(!Outcome::judge(&[], &[], 1).passed());
    }
}
