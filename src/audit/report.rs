//! What people and other programs read: the table of findings, the groups, the summary, and what changed since.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::audit::found::Found;
use crate::audit::groups::{self, Group, Groups};
use crate::audit::incident;
use crate::audit::key::PARTS;
use crate::audit::parts::{self, Counts, Judged, Manifest, files};
use crate::audit::source::Source;
use crate::audit::table_file::TableFile;
use crate::audit::{AuditError, Job, Share, read_json, remove, write_whole};
use crate::finding::escape;

/// Groups and subscribers that the summary shows.
const SHOWN: usize = 20;

/// The form of the table of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingsFormat {
    /// `findings.parquet`.
    Parquet,
    /// `findings.csv`.
    Csv,
}

/// What an audit gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Names judged.
    pub names: u64,
    /// Certificates judged.
    pub certificates: u64,
    /// Findings.
    pub findings: u64,
    /// Certificates with a finding.
    pub affected: u64,
    /// Those of them of which the record knows no revocation.
    pub still_valid: u64,
    /// Names, certificates and certificates still valid of each rule.
    pub by_rule: Vec<(String, u64, u64, u64)>,
    /// `rule: reason` of what could not be judged, and of how many names or certificates.
    pub not_evaluable: BTreeMap<String, u64>,
    /// The text of `summary.md`.
    pub summary: String,
}

/// Judges as [`parts::judge()`], and puts together what the parts gave as [`finish`], while the certificates of an incident
/// report are listed.
///
/// # Errors
/// Those of [`parts::judge()`] and [`finish`].
pub fn run(
    source: &Source,
    job: &Job<'_>,
    resume: bool,
    format: FindingsFormat,
    earlier: Option<&Path>,
) -> Result<Report, AuditError> {
    let judged = Judged::of(source, job, resume)?;
    let (tables, listed) = std::thread::scope(|scope| {
        let listed = scope.spawn(|| judged.list());
        (Tables::write(job.out, format), listed.join().unwrap_or(Err(AuditError::Stopped)))
    });
    listed?;
    tables?.summarise(job.out, earlier)
}

/// Puts together what the parts gave: the table of findings, `groups.csv` and `summary.md`. With an earlier output
/// the summary says what changed.
///
/// # Errors
/// When something cannot be read or written.
pub fn finish(out: &Path, format: FindingsFormat, earlier: Option<&Path>) -> Result<Report, AuditError> {
    Tables::write(out, format)?.summarise(out, earlier)
}

/// What was counted while the tables were written.
struct Tables {
    manifest: Manifest,
    report: Report,
    largest: Vec<Group>,
    /// The file of the findings.
    findings: &'static str,
}

impl Tables {
    fn write(out: &Path, format: FindingsFormat) -> Result<Tables, AuditError> {
        let manifest: Manifest = read_json(&out.join("audit.json"))?;
        let (name, other) = match format {
            FindingsFormat::Parquet => ("findings.parquet", "findings.csv"),
            FindingsFormat::Csv => ("findings.csv", "findings.parquet"),
        };
        let path = out.join(name);
        let mut table = TableFile::create(&path, format == FindingsFormat::Parquet)?;
        // A table of an earlier run would say something else beside this one.
        remove(&out.join(other))?;
        let (mut report, mut groups) = (Report::default(), Groups::default());
        let done: Vec<u32> = (0..PARTS).filter(|part| files(out, *part, false).0.exists()).collect();
        for part in &done {
            for second in [false, true].into_iter().filter(|second| files(out, *part, *second).0.exists()) {
                let counts: Counts = read_json(&files(out, *part, second).0)?;
                report.names += counts.names;
                report.certificates += counts.certificates;
                for (gap, count) in counts.gaps {
                    *report.not_evaluable.entry(gap).or_default() += count;
                }
            }
        }
        in_order(out, &done, &mut |found| {
            groups.add(found);
            table.add(&path, found)
        })?;
        table.finish(&path)?;
        report.findings = groups.findings;
        (report.affected, report.still_valid) = groups.certificates();
        report.by_rule = groups.by_rule();
        let largest = groups.largest();
        groups::write(&out.join("groups.csv"), &largest)?;
        Ok(Tables { manifest, report, largest, findings: name })
    }

    fn summarise(self, out: &Path, earlier: Option<&Path>) -> Result<Report, AuditError> {
        let Tables { manifest, mut report, largest, findings } = self;
        report.summary = summary(&manifest, &report, &largest, findings, incident::listed(out));
        if let Some(earlier) = earlier {
            let changes = compare(earlier, out)?;
            report.summary.push_str(&told(&changes));
        }
        write_whole(&out.join("summary.md"), true, |file| file.write_all(report.summary.as_bytes()))?;
        Ok(report)
    }
}

/// Bytes of findings on their way from the thread that reads them.
const BATCH_BYTES: usize = 1 << 20;

/// Gives the findings of these parts in their order, read by a thread of its own.
fn in_order(
    out: &Path,
    parts: &[u32],
    each: &mut dyn FnMut(&Found<&str>) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    // Records one behind the other, and where each ends.
    type Batch = (Vec<u8>, Vec<usize>);
    let (sender, batches) = std::sync::mpsc::sync_channel::<Batch>(4);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut batch = Batch::default();
            for part in parts {
                parts::findings(out, *part, &mut |record| {
                    batch.0.extend_from_slice(record);
                    batch.1.push(batch.0.len());
                    let full = batch.0.len() >= BATCH_BYTES;
                    let batch = if full { std::mem::take(&mut batch) } else { return Ok(()) };
                    sender.send(batch).map_err(|_| AuditError::Stopped)
                })?;
            }
            sender.send(batch).map_err(|_| AuditError::Stopped)
        });
        let given = batches.iter().try_for_each(|(records, ends)| {
            let starts = std::iter::once(&0).chain(&ends);
            starts.zip(&ends).try_for_each(|(start, end)| {
                let found = Found::read(&records[*start..*end]).and_then(Found::text);
                each(&found.ok_or_else(|| parts::strange(out))?)
            })
        });
        // Without it the reader learns that nobody takes what it reads.
        drop(batches);
        let read = reader.join().unwrap_or(Err(AuditError::Stopped));
        given.and(read)
    })
}

fn cell(text: &str) -> String {
    escape(text.as_bytes(), 120).replace('|', "\\|")
}

fn summary(manifest: &Manifest, report: &Report, groups: &[Group], findings: &str, incident: &str) -> String {
    let mut out = String::from("# Audit of the issuance record\n\n");
    let question = &manifest.question;
    let rules = if question.rules.is_empty() { "all".to_string() } else { question.rules.join(", ") };
    let since = question.since.map_or(String::new(), |since| format!(", signed since {since}"));
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "Certificates unexpired at {}{since}; rules: {rules}; Public Suffix List of {}; ctwarden {}.",
        question.unexpired_at, manifest.suffixes, manifest.program
    ));
    if manifest.share != Share::ALL {
        line(format!(
            "Share {} of {} of the work: merge it with the others.",
            manifest.share.number, manifest.share.of
        ));
    }
    line(String::new());
    line("| | |\n|---|---|".to_string());
    for (what, count) in [
        ("certificates judged", report.certificates),
        ("names judged", report.names),
        ("findings", report.findings),
        ("certificates with a finding", report.affected),
        ("of them not revoked", report.still_valid),
    ] {
        line(format!("| {what} | {count} |"));
    }
    line("\n## Rules\n\n| rule | names | certificates | of them not revoked |\n|---|---|---|---|".to_string());
    for (rule, names, certificates, valid) in &report.by_rule {
        line(format!("| {rule} | {names} | {certificates} | {valid} |"));
    }
    line(format!(
        "\n## Largest groups\n\nThe first {} of {}; all are in groups.csv.\n",
        SHOWN.min(groups.len()),
        groups.len()
    ));
    line("| rule | subscriber | registrable domain | method | certificates | names | not revoked |\n|---|---|---|---|---|---|---|".to_string());
    for group in groups.iter().take(SHOWN) {
        let subscriber = match group.subscriber_name.is_empty() {
            true => cell(&group.subscriber),
            false => format!("{} ({})", cell(&group.subscriber), cell(&group.subscriber_name)),
        };
        let (domain, method) = (cell(&group.registrable_domain), cell(&group.method));
        let (certificates, names, valid) = (group.certificates, group.names, group.still_valid);
        line(format!("| {} | {subscriber} | {domain} | {method} | {certificates} | {names} | {valid} |", group.rule));
    }
    line(
        "\n## Subscribers\n\n| rule | subscriber | certificates | registrable domains |\n|---|---|---|---|".to_string(),
    );
    for ((rule, subscriber), (certificates, domains)) in subscribers(groups).into_iter().take(SHOWN) {
        line(format!("| {rule} | {} | {certificates} | {domains} |", cell(&subscriber)));
    }
    line("\n## Not evaluable\n".to_string());
    match report.not_evaluable.is_empty() {
        true => line("Nothing.".to_string()),
        false => line("| rule: reason | names or certificates |\n|---|---|".to_string()),
    }
    for (reason, count) in &report.not_evaluable {
        line(format!("| {} | {count} |", escape(reason.as_bytes(), 300).replace('|', "\\|")));
    }
    line(format!("\nAll findings are in {findings}, the certificates of an incident report in {incident}."));
    out
}

/// Certificates (counted once in each group) and registrable domains by rule and subscriber, the largest first.
fn subscribers(groups: &[Group]) -> Vec<((String, String), (u64, u64))> {
    let mut all: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    let mut domains: BTreeMap<(String, String), std::collections::BTreeSet<&str>> = BTreeMap::new();
    for group in groups {
        let key = (group.rule.clone(), group.subscriber.clone());
        all.entry(key.clone()).or_default().0 += group.certificates;
        domains.entry(key).or_default().insert(&group.registrable_domain);
    }
    for (key, domains) in domains {
        all.entry(key).or_default().1 = domains.len() as u64;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

/// A group in two outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The group, with the counts of the later output.
    pub group: Group,
    /// Certificates in the earlier output.
    pub before: u64,
    /// Certificates of this rule in the earlier output.
    pub of: u64,
}

impl Change {
    /// How many of a hundred certificates of the rule in the earlier output more or fewer there are now; `None` when the
    /// earlier one had none.
    pub fn percent(&self) -> Option<f64> {
        (self.of > 0).then(|| (self.group.certificates as f64 - self.before as f64) * 100.0 / self.of as f64)
    }
}

/// Groups whose number of certificates differs, those that changed most first.
///
/// # Errors
/// When one of the directories holds no finished audit.
pub fn compare(earlier: &Path, later: &Path) -> Result<Vec<Change>, AuditError> {
    type Key = (String, String, String, String);
    let key =
        |g: &Group| -> Key { (g.rule.clone(), g.subscriber.clone(), g.registrable_domain.clone(), g.method.clone()) };
    let mut both: BTreeMap<Key, (Option<Group>, Option<Group>)> = BTreeMap::new();
    let mut of: BTreeMap<String, u64> = BTreeMap::new();
    for group in groups::read(&earlier.join("groups.csv"))? {
        *of.entry(group.rule.clone()).or_default() += group.certificates;
        let key = key(&group);
        both.entry(key).or_default().0 = Some(group);
    }
    for group in groups::read(&later.join("groups.csv"))? {
        let key = key(&group);
        both.entry(key).or_default().1 = Some(group);
    }
    let mut changes: Vec<Change> = Vec::new();
    for (before, now) in both.into_values() {
        let count = before.as_ref().map_or(0, |group| group.certificates);
        let gone = |group: Group| Group { certificates: 0, names: 0, still_valid: 0, ..group };
        let Some(group) = now.or(before.map(gone)) else { continue };
        if group.certificates != count {
            let of = of.get(&group.rule).copied().unwrap_or(0);
            changes.push(Change { group, before: count, of });
        }
    }
    changes.sort_by(|a, b| {
        let by = |change: &Change| change.group.certificates.abs_diff(change.before);
        by(b).cmp(&by(a)).then_with(|| a.group.cmp(&b.group))
    });
    Ok(changes)
}

/// What changed, as a chapter of the summary.
fn told(changes: &[Change]) -> String {
    let mut out = String::from("\n## Changed since the earlier audit\n\n");
    if changes.is_empty() {
        out.push_str("Nothing.\n");
        return out;
    }
    let mut by_rule: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for change in changes {
        let entry = by_rule.entry(&change.group.rule).or_default();
        entry.0 += change.group.certificates.saturating_sub(change.before);
        entry.1 += change.before.saturating_sub(change.group.certificates);
        entry.2 = change.of;
    }
    let share = |count: u64, of: u64| match of {
        0 => "new".to_string(),
        of => format!("{:.1} %", count as f64 * 100.0 / of as f64),
    };
    out.push_str("| rule | more | fewer | of the earlier | more, of the earlier | fewer, of the earlier |\n|---|---|---|---|---|---|\n");
    for (rule, (more, fewer, of)) in by_rule {
        let _ = writeln!(out, "| {rule} | {more} | {fewer} | {of} | {} | {} |", share(more, of), share(fewer, of));
    }
    let _ = writeln!(out, "\n{} groups changed; the first {}:\n", changes.len(), SHOWN.min(changes.len()));
    out.push_str("| rule | subscriber | registrable domain | method | before | now | of the rule's earlier |\n|---|---|---|---|---|---|---|\n");
    for change in changes.iter().take(SHOWN) {
        let Group { rule, subscriber, registrable_domain, method, certificates, .. } = &change.group;
        let percent = change.percent().map_or("new".to_string(), |percent| format!("{percent:+.1} %"));
        let (subscriber, domain, method) = (cell(subscriber), cell(registrable_domain), cell(method));
        let _ = writeln!(
            out,
            "| {rule} | {subscriber} | {domain} | {method} | {} | {certificates} | {percent} |",
            change.before
        );
    }
    out
}
