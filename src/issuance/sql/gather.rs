//! Fetches what the examination of many certificates needs, in a fixed sequence of keyed questions, and remembers for
//! every row whose examination it is for: one bad row, or one that is not there, spoils the answer for those alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::error::SqlError;
use super::link::{Link, refused};
use super::question::{Filter, key_text};
use super::settings::Settings;
use crate::finding::escape;
use crate::issuance::Query;
use crate::issuance::column::{Cell, Kind};
use crate::issuance::lookup::{DOMAIN_LIMIT, PER_DOMAIN_LIMIT};
use crate::issuance::reuse::{STEP_LIMIT, means_reuse};
use crate::issuance::tables::{self, Table};
use crate::record::covering_domains;

/// The most values in one condition; MariaDB turns longer lists into something slower.
const CHUNK: usize = 500;
/// The most rows that one question may answer with.
const ROW_LIMIT: u64 = 200_000;

/// The certificates, by their place among the queries, that a value is needed for.
type Wanted = BTreeMap<String, BTreeSet<usize>>;

/// What was fetched for one certificate.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Why a row that it needs cannot be used.
    pub bad: Option<String>,
    /// A row that it needs and that is not there.
    pub absent: Option<String>,
    /// Whether the record contradicts itself by that.
    pub contradicts: bool,
    /// When it was signed, in seconds; `None` when there is no row of it.
    pub signed_at: Option<i64>,
}

/// What was fetched, for all certificates of a lookup.
pub(super) struct Gathered {
    /// Sound rows in the order of the columns of the feed.
    pub rows: Vec<(&'static Table, Vec<Value>)>,
    /// One for each query.
    pub standings: Vec<Standing>,
}

/// What it means that a row that is named is not there.
#[derive(Clone, Copy, PartialEq)]
enum Absence {
    /// Nothing: there need be none.
    Fine,
    /// Nothing, once it had time to come: it is a finding that the rules make. An origin of a reuse is such a row.
    Finding,
    /// The record contradicts itself.
    Fault,
}

/// Everything that [`lookup::find`](crate::issuance::lookup) reads to answer these queries.
pub(super) async fn gather(link: &mut Link, settings: &Settings, queries: &[Query]) -> Result<Gathered, SqlError> {
    let gathered = Gathered { rows: Vec::new(), standings: vec![Standing::default(); queries.len()] };
    let mut gather = Gather { link, settings, gathered };
    let certificates = gather.certificates(queries).await?;
    gather.rest(&certificates, queries).await?;
    Ok(gather.gathered)
}

/// The same for the revocations of these certificates alone.
pub(super) async fn gather_revocations(
    link: &mut Link,
    settings: &Settings,
    queries: &[Query],
) -> Result<Gathered, SqlError> {
    let gathered = Gathered { rows: Vec::new(), standings: vec![Standing::default(); queries.len()] };
    let mut gather = Gather { link, settings, gathered };
    let certificates = gather.certificates(queries).await?;
    let by_id = wanted("certificates", &certificates, "cert_id");
    gather.ask("revocations", "cert_id", &by_id, Absence::Fine).await?;
    Ok(gather.gathered)
}

struct Gather<'a> {
    link: &'a mut Link,
    settings: &'a Settings,
    gathered: Gathered,
}

/// A sound row with the certificates that it is for.
type Kept = (BTreeSet<usize>, Vec<Value>);

fn named(name: &str) -> &'static Table {
    tables::table(name).unwrap_or(&tables::TABLES[0])
}

fn text(table: &Table, values: &[Value], column: &str) -> Option<String> {
    match table.value(values, column)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Adds what a column of some rows names.
fn collect(wanted: &mut Wanted, table: &str, rows: &[Kept], column: &str) {
    let table = named(table);
    for (owners, values) in rows {
        if let Some(key) = text(table, values, column) {
            wanted.entry(key).or_default().extend(owners);
        }
    }
}

fn wanted(table: &str, rows: &[Kept], column: &str) -> Wanted {
    let mut keys = Wanted::new();
    collect(&mut keys, table, rows, column);
    keys
}

impl Gather<'_> {
    async fn certificates(&mut self, queries: &[Query]) -> Result<Vec<Kept>, SqlError> {
        let (issuers, mut kept) = (self.issuers(queries).await?, Vec::new());
        let certificates = named("certificates");
        if !self.settings.feeds("certificates") {
            return Ok(kept);
        }
        for (issuer_id, serials) in issuers {
            let spelled: Vec<String> = serials
                .values()
                .filter_map(|owners| owners.first())
                .map(|owner| self.settings.serials.spell(&queries[*owner].key.serial))
                .collect();
            for chunk in spelled.chunks(CHUNK) {
                let one_of = vec![("issuer_id", vec![issuer_id.to_string()]), ("serial", chunk.to_vec())];
                let filter = Filter { one_of, limit: Some(ROW_LIMIT), ..Filter::default() };
                for cells in self.link.rows(self.settings, certificates, &filter).await? {
                    let place = certificates.columns.iter().position(|column| column.name == "serial").unwrap_or(0);
                    let Ok(Value::String(serial)) = Kind::Serial.read(cells[place].raw()) else { continue };
                    let Some(owners) = serials.get(&serial) else { continue };
                    if let Some(values) = self.keep(certificates, owners, &cells) {
                        kept.push((owners.clone(), values));
                    }
                }
            }
        }
        Ok(kept)
    }

    /// The serial numbers that are asked for, canonical, by the number of their issuer in the database.
    async fn issuers(&mut self, queries: &[Query]) -> Result<BTreeMap<i64, Wanted>, SqlError> {
        let table = named("issuers");
        let mut of_key: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (place, query) in queries.iter().enumerate() {
            of_key.entry(query.key.issuer_key_hash.to_string()).or_default().insert(place);
        }
        let mut found = BTreeMap::new();
        let mut complaint = None;
        let mapped = self.settings.issuers.iter().map(|issuer| {
            let cells = [issuer.name.clone(), issuer.key_hash.to_string(), issuer.hierarchy.clone()].map(Cell::Text);
            [vec![Cell::Number(issuer.issuer_id)], cells.to_vec()].concat()
        });
        let mut rows: Vec<Vec<Cell>> = mapped.collect();
        if self.settings.texts.contains_key("issuers") {
            // There are few of them, and whether a key hash has an index is not known.
            let filter = Filter { limit: Some(ROW_LIMIT), ..Filter::default() };
            rows.extend(self.link.rows(self.settings, table, &filter).await?);
        }
        for cells in rows {
            let (values, wrong) = table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
            if let Some((column, reason)) = wrong.first() {
                // Another issuer's row is of no concern; one that cannot be told whose it is may be ours.
                complaint.get_or_insert_with(|| format!("issuers: column {column}: {reason}"));
                continue;
            }
            let key = text(table, &values, "spki_sha256").unwrap_or_default();
            if let (Some(owners), Some(issuer_id)) = (of_key.remove(&key), values[0].as_i64()) {
                let mut serials = Wanted::new();
                for owner in owners {
                    serials.entry(queries[owner].key.serial.value_hex()).or_default().insert(owner);
                }
                found.insert(issuer_id, serials);
                self.gathered.rows.push((table, values));
            }
        }
        if let Some(complaint) = complaint {
            of_key.values().flatten().for_each(|owner| self.spoil(*owner, &complaint));
        }
        Ok(found)
    }

    async fn rest(&mut self, certificates: &[Kept], queries: &[Query]) -> Result<(), SqlError> {
        let by_id = wanted("certificates", certificates, "cert_id");
        let sans = self.ask("san_authorisations", "cert_id", &by_id, Absence::Fine).await?;
        self.ask("revocations", "cert_id", &by_id, Absence::Fine).await?;
        self.ask("lint_runs", "cert_id", &by_id, Absence::Fine).await?;
        let by_order = wanted("certificates", certificates, "order_id");
        let orders = self.ask("orders", "order_id", &by_order, Absence::Fault).await?;
        self.ask("order_names", "order_id", &by_order, Absence::Fine).await?;
        self.ask("approvals", "order_id", &by_order, Absence::Fine).await?;
        self.ask("identities", "identity_id", &wanted("orders", &orders, "identity_id"), Absence::Fault).await?;
        let checks = wanted("san_authorisations", &sans, "caa_id");
        self.ask("caa_checks", "caa_id", &checks, Absence::Fault).await?;

        let mut confirmations = self.confirmations(&sans).await?;
        confirmations.extend(self.others(&orders, queries).await?);
        let mut by_applicant = wanted("orders", &orders, "applicant_id");
        collect(&mut by_applicant, "dcv_confirmations", &confirmations, "applicant_id");
        let applicants = self.ask("applicants", "applicant_id", &by_applicant, Absence::Fault).await?;
        let by_account = wanted("applicants", &applicants, "account_id");
        self.ask("accounts", "account_id", &by_account, Absence::Fault).await?;
        Ok(())
    }

    /// The confirmations and reuses that the names rest on, and what those rest on, step by step.
    async fn confirmations(&mut self, sans: &[Kept]) -> Result<Vec<Kept>, SqlError> {
        let (mut all, mut absence) = (Vec::new(), Absence::Fault);
        let (mut seen_dcv, mut seen_reuse) = (BTreeSet::new(), BTreeSet::new());
        let mut by_dcv = wanted("san_authorisations", sans, "dcv_id");
        let mut by_reuse = wanted("san_authorisations", sans, "reuse_id");
        for _ in 0..=STEP_LIMIT {
            by_dcv.retain(|key, _| seen_dcv.insert(key.clone()));
            by_reuse.retain(|key, _| seen_reuse.insert(key.clone()));
            if by_dcv.is_empty() && by_reuse.is_empty() {
                break;
            }
            let confirmations = self.ask("dcv_confirmations", "dcv_id", &by_dcv, absence).await?;
            let reuses = self.ask("dcv_reuse", "reuse_id", &by_reuse, absence).await?;
            absence = Absence::Finding;
            by_dcv = wanted("dcv_reuse", &reuses, "dcv_id");
            by_reuse = wanted("dcv_reuse", &reuses, "reused_reuse_id");
            collect(&mut by_dcv, "dcv_confirmations", &confirmations, "reused_dcv_id");
            collect(&mut by_reuse, "dcv_confirmations", &confirmations, "reused_reuse_id");
            all.extend(confirmations);
        }
        Ok(all)
    }

    /// The newest confirmations of the applicants, completed by the time of signing, for the domains that cover a name.
    async fn others(&mut self, orders: &[Kept], queries: &[Query]) -> Result<Vec<Kept>, SqlError> {
        let table = named("dcv_confirmations");
        let mut asked: BTreeMap<(String, i64), (BTreeSet<usize>, BTreeSet<String>)> = BTreeMap::new();
        for (owners, values) in orders {
            let Some(applicant) = text(named("orders"), values, "applicant_id") else { continue };
            for owner in owners {
                let Some(signed_at) = self.gathered.standings[*owner].signed_at else { continue };
                let (all, domains) = asked.entry((applicant.clone(), signed_at)).or_default();
                all.insert(*owner);
                let names = queries[*owner].names.iter().flat_map(|name| covering_domains(name));
                domains.extend(names.map(str::to_ascii_lowercase).take(DOMAIN_LIMIT));
            }
        }
        let mut kept = Vec::new();
        if !self.settings.feeds(table.name) {
            return Ok(kept);
        }
        for ((applicant, signed_at), (owners, domains)) in asked {
            let domains: Vec<String> = domains.into_iter().collect();
            for chunk in domains.chunks(CHUNK) {
                let filter = Filter {
                    one_of: vec![("applicant_id", vec![applicant.clone()]), ("adn", chunk.to_vec())],
                    times: vec![("completed_at", "<=", signed_at)],
                    newest: Some(("adn", "completed_at", PER_DOMAIN_LIMIT.unsigned_abs())),
                    limit: Some(ROW_LIMIT),
                    ..Filter::default()
                };
                for cells in self.link.rows(self.settings, table, &filter).await? {
                    if let Some(values) = self.keep(table, &owners, &cells) {
                        // A reuse is no evidence for others, and what it rests on is not asked for.
                        let reused = text(table, &values, "method").is_some_and(|method| means_reuse(&method));
                        if !reused {
                            kept.push((owners.clone(), values));
                        }
                    }
                }
            }
        }
        Ok(kept)
    }

    /// Asks for the rows whose column has one of the wanted values, and keeps them.
    async fn ask(
        &mut self,
        table: &str,
        column: &'static str,
        wanted: &Wanted,
        absence: Absence,
    ) -> Result<Vec<Kept>, SqlError> {
        let table = named(table);
        let mut kept = Vec::new();
        if wanted.is_empty() || !self.settings.feeds(table.name) {
            return Ok(kept);
        }
        let place = table.columns.iter().position(|other| other.name == column).unwrap_or(0);
        let keys: Vec<String> = wanted.keys().cloned().collect();
        let mut there = BTreeSet::new();
        for chunk in keys.chunks(CHUNK) {
            let filter = Filter { limit: Some(ROW_LIMIT), ..Filter::one_of(column, chunk.to_vec()) };
            let rows = self.link.rows(self.settings, table, &filter).await?;
            if rows.len() as u64 == ROW_LIMIT {
                let reason = format!("gives {ROW_LIMIT} rows or more for {} values of {column}", chunk.len());
                return Err(refused(self.settings, table.name, reason));
            }
            for cells in rows {
                // A server may find more than was asked for: letters in another case, spaces at the end.
                let Some(key) = key_text(&cells[place]) else { continue };
                let Some(owners) = wanted.get(&key) else { continue };
                there.insert(key);
                if let Some(values) = self.keep(table, owners, &cells) {
                    kept.push((owners.clone(), values));
                }
            }
        }
        if absence != Absence::Fine {
            for (key, owners) in wanted.iter().filter(|(key, _)| !there.contains(*key)) {
                for owner in owners {
                    let absent = format!("{} has no row with {column} {}", table.name, escape(key.as_bytes(), 60));
                    let standing = &mut self.gathered.standings[*owner];
                    standing.contradicts |= absence == Absence::Fault;
                    standing.absent.get_or_insert(absent);
                }
            }
        }
        Ok(kept)
    }

    /// Keeps a row if it is sound, or notes for whom it is not.
    fn keep(&mut self, table: &'static Table, owners: &BTreeSet<usize>, cells: &[Cell]) -> Option<Vec<Value>> {
        let (values, wrong) = table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
        if let Some((column, reason)) = wrong.first() {
            let keys: Vec<String> = cells[..table.key].iter().filter_map(key_text).collect();
            let row = escape(keys.join(" ").as_bytes(), 100);
            let complaint = format!("question {}: row {row}: column {column}: {reason}", table.name);
            owners.iter().for_each(|owner| self.spoil(*owner, &complaint));
            return None;
        }
        if table.name == "certificates" {
            for owner in owners {
                let signed_at = table.value(&values, "signed_at").and_then(Value::as_i64);
                if self.gathered.standings[*owner].signed_at.replace(signed_at.unwrap_or(0)).is_some() {
                    self.spoil(*owner, "question certificates: two rows have the same issuer and serial number");
                }
            }
        }
        self.gathered.rows.push((table, values.clone()));
        Some(values)
    }

    fn spoil(&mut self, owner: usize, complaint: &str) {
        self.gathered.standings[owner].bad.get_or_insert_with(|| complaint.to_string());
    }
}
