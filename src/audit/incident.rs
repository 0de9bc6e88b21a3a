//! The certificates of an incident report: columns and limit of the CCADB Incident Reporting Guidelines 3.2.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::audit::found::Found;
use crate::audit::key::PARTS;
use crate::audit::parts;
use crate::audit::source::{Corpus, Piece};
use crate::audit::{AuditError, Job, file_fault, remove, write_whole};
use crate::clock::Timestamp;
use crate::finding::{Serial, escape};
use crate::issuance::feed::Given;

/// From so many certificates on a list of links takes the place of the table.
const TABLE_LIMIT: usize = 10_000;

const TABLE: &str = "incident.csv";
const LINKS: &str = "incident.txt";

/// The columns of the Appendix in their order; extra ones only to the right.
const COLUMNS: [&str; 13] = [
    "Precertificate SHA-256 hash",
    "Certificate SHA-256 hash",
    "Subject",
    "Issuer",
    "Not before",
    "Not after",
    "Serial # (hex)",
    "dNSNames",
    "Is revoked?",
    "Revocation date",
    "Revocation reason",
    "Certificate in the record",
    "Rules",
];

/// A certificate with a finding that starts a revocation clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Affected {
    cert_id: i64,
    rules: BTreeSet<String>,
    /// The stricter clock: `24h` or `5d`.
    issuer: String,
    serial: String,
    precert_sha256: String,
    cert_sha256: String,
    not_before: Option<i64>,
    not_after: Option<i64>,
    names: BTreeSet<String>,
    revoked_at: Option<i64>,
    reason: Option<i64>,
}

/// Writes down what the report needs of the certificates that this output found.
pub(super) fn write(corpus: &Corpus, job: &Job<'_>) -> Result<(), AuditError> {
    let all = Mutex::new(BTreeMap::new());
    let parts: Vec<u32> = (0..PARTS).collect();
    parts::side_by_side(job, &parts, &|part| {
        let mut mine: BTreeMap<i64, Affected> = BTreeMap::new();
        parts::findings(job.out, part, &mut |record| {
            let found = Found::read(record).ok_or_else(|| parts::strange(job.out))?;
            if found.clock == b"none" {
                return Ok(());
            }
            let text = |octets| std::str::from_utf8(octets).map_err(|_| parts::strange(job.out));
            let (rule, issuer) = (text(found.rule)?, text(found.issuer)?);
            let new = || Affected { cert_id: found.cert_id, issuer: issuer.to_string(), ..Affected::default() };
            let entry = mine.entry(found.cert_id).or_insert_with(new);
            if !entry.rules.contains(rule) {
                entry.rules.insert(rule.to_string());
            }
            Ok(())
        })?;
        let mut all: MutexGuard<'_, BTreeMap<i64, Affected>> = all.lock().unwrap_or_else(PoisonError::into_inner);
        for (cert_id, found) in mine {
            match all.entry(cert_id) {
                Entry::Vacant(entry) => drop(entry.insert(found)),
                Entry::Occupied(entry) => entry.into_mut().rules.extend(found.rules),
            }
        }
        Ok(())
    })?;
    let mut affected = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ids: HashSet<i64> = affected.keys().copied().collect();
    let few = affected.len() < TABLE_LIMIT;
    let certificate = |values: &[Given<'_>]| {
        let (serial, precert_sha256, cert_sha256) = (serial(values[1]), text(values[2]), text(values[3]));
        (serial, precert_sha256, cert_sha256, moment(values[4]), moment(values[5]))
    };
    let columns = ["cert_id", "serial", "precert_sha256", "cert_sha256", "not_before", "not_after"];
    for (id, found) in scan(corpus, job, &ids, "certificates", &columns, &certificate)? {
        let Some(entry) = affected.get_mut(&id) else { continue };
        (entry.serial, entry.precert_sha256, entry.cert_sha256, entry.not_before, entry.not_after) = found;
    }
    let revocation = |values: &[Given<'_>]| (moment(values[1]), number(values[2]));
    for (id, found) in scan(corpus, job, &ids, "revocations", &["cert_id", "revoked_at", "reason"], &revocation)? {
        let Some(entry) = affected.get_mut(&id) else { continue };
        (entry.revoked_at, entry.reason) = found;
    }
    if few {
        let name = |values: &[Given<'_>]| text(values[1]);
        for (id, name) in scan(corpus, job, &ids, "san_authorisations", &["cert_id", "name"], &name)? {
            affected.entry(id).and_modify(|entry| drop(entry.names.replace(name)));
        }
    }
    Merged(affected).write(job.out)
}

/// Of the rows of a table whose first column is one of these numbers: the number, and what `take` makes of the row.
fn scan<T: Send>(
    corpus: &Corpus,
    job: &Job<'_>,
    ids: &HashSet<i64>,
    table: &str,
    columns: &[&'static str],
    take: &(dyn Fn(&[Given<'_>]) -> T + Sync),
) -> Result<Vec<(i64, T)>, AuditError> {
    let pieces: Vec<Piece> = if ids.is_empty() { Vec::new() } else { corpus.pieces(&[table]) };
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(i64, T)>, AuditError> {
        let mut found = Vec::new();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            corpus.pick(piece, columns, &|given| ids.contains(&whole(given)), &mut |block| {
                found.extend((0..block.rows()).map(|row| {
                    let values: Vec<Given<'_>> = (0..columns.len()).map(|column| block.given(column, row)).collect();
                    (whole(values[0]), take(&values))
                }));
                Ok(())
            })?;
        }
        Ok(found)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.append(&mut thread.join().unwrap_or(Err(AuditError::Stopped))?);
        }
        Ok(all)
    })
}

fn number(given: Given<'_>) -> Option<i64> {
    match given {
        Given::Number(number) => Some(number),
        Given::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn whole(given: Given<'_>) -> i64 {
    number(given).unwrap_or(i64::MIN)
}

fn moment(given: Given<'_>) -> Option<i64> {
    match given {
        Given::Text(text) => number(given).or_else(|| Timestamp::parse(text).map(Timestamp::seconds)),
        _ => number(given),
    }
}

fn text(given: Given<'_>) -> String {
    match given {
        Given::Text(text) => escape(text.to_ascii_lowercase().as_bytes(), 1_000),
        Given::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// In the one form in which a record keeps it, however an export writes it.
fn serial(given: Given<'_>) -> String {
    let written = text(given);
    Serial::from_hex(written.strip_prefix("0x").unwrap_or(&written)).map_or(written, |serial| serial.value_hex())
}

/// Certificates that are written at once, half of them by another thread.
const LINES: usize = 16_384;

fn lines(path: &Path, affected: &BTreeMap<i64, Affected>) -> Result<(), AuditError> {
    let entries: Vec<&Affected> = affected.values().collect();
    let written = |entries: &[&Affected]| -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut out, entry)?;
            out.push(b'\n');
        }
        Ok(out)
    };
    write_whole(path, true, |file| {
        entries.chunks(LINES).try_for_each(|entries| {
            let (first, second) = entries.split_at(entries.len() / 2);
            std::thread::scope(|scope| {
                let later = scope.spawn(|| written(second));
                file.write_all(&written(first)?)?;
                file.write_all(&later.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread ended early")))?)
            })
        })
    })
}

/// Which of the two lists of certificates an output has.
pub(super) fn listed(out: &Path) -> &'static str {
    if out.join(LINKS).exists() { LINKS } else { TABLE }
}

/// The certificates of one output or several.
#[derive(Default)]
pub(super) struct Merged(BTreeMap<i64, Affected>);

impl Merged {
    /// Adds those of an output.
    pub(super) fn read(&mut self, out: &Path) -> Result<(), AuditError> {
        let path = out.join("certificates.ndjson");
        let file = std::fs::File::open(&path).map_err(file_fault(&path))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(file_fault(&path))?;
            let entry: Affected = serde_json::from_str(&line).map_err(|error| AuditError::Output {
                path: path.clone(),
                reason: format!("not what an audit writes ({error}): start it again with --resume"),
            })?;
            let known = self.0.entry(entry.cert_id).or_insert_with(|| entry.clone());
            known.rules.extend(entry.rules);
            known.names.extend(entry.names);
        }
        // Names are listed only where they are printed; an output with many certificates has none.
        if self.0.len() >= TABLE_LIMIT {
            self.0.values_mut().for_each(|entry| entry.names.clear());
        }
        Ok(())
    }
    /// Writes them as one output has them: for other programs, and as `incident.csv`, or from 10,000 certificates on as
    /// `incident.txt` with a link each.
    pub(super) fn write(&self, out: &Path) -> Result<(), AuditError> {
        lines(&out.join("certificates.ndjson"), &self.0)?;
        let (table, links) = (out.join(TABLE), out.join(LINKS));
        let few = self.0.len() < TABLE_LIMIT;
        let other = if few { &links } else { &table };
        remove(other)?;
        if !few {
            write_whole(&links, true, |file| {
                for entry in self.0.values() {
                    let hash = if entry.cert_sha256.is_empty() { &entry.precert_sha256 } else { &entry.cert_sha256 };
                    match hash.is_empty() {
                        true => writeln!(file, "certificate {} of the record, serial {}", entry.cert_id, entry.serial)?,
                        false => writeln!(file, "https://crt.sh/?sha256={hash}")?,
                    }
                }
                Ok(())
            })?;
        } else {
            write_whole(&table, true, |file| {
                let mut csv = csv::Writer::from_writer(file);
                csv.write_record(COLUMNS)?;
                for entry in self.0.values() {
                    csv.write_record(entry.row())?;
                }
                csv.flush()
            })?;
        }
        Ok(())
    }
}

impl Affected {
    fn row(&self) -> [String; 13] {
        let day = |at: Option<i64>| at.map_or("N/A".to_string(), |at| Timestamp::from_seconds(at).to_string());
        let or = |text: &str| if text.is_empty() { "N/A".to_string() } else { text.to_string() };
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let rules: Vec<&str> = self.rules.iter().map(String::as_str).collect();
        // BR 7.2.2, the CRLReasons that a subscriber's certificate may have.
        let reason = match (self.revoked_at, self.reason) {
            (None, _) => "superseded",
            (Some(_), Some(1)) => "keyCompromise",
            (Some(_), Some(3)) => "affiliationChanged",
            (Some(_), Some(4)) => "superseded",
            (Some(_), Some(5)) => "cessationOfOperation",
            (Some(_), Some(9)) => "privilegeWithdrawn",
            (Some(_), _) => "unspecified",
        };
        [
            or(&self.precert_sha256),
            or(&self.cert_sha256),
            "N/A".to_string(),
            escape(self.issuer.as_bytes(), 300),
            day(self.not_before),
            day(self.not_after),
            or(&self.serial),
            names.join(" "),
            if self.revoked_at.is_some() { "Yes" } else { "Planned" }.to_string(),
            day(self.revoked_at),
            reason.to_string(),
            self.cert_id.to_string(),
            rules.join(" "),
        ]
    }
}
