//! Door 2: the case, its events and the outbox, in one transaction with the mark that a hit was examined.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Books, BooksError, Counted, Questions};
use crate::case::{self, CaseNumber, CaseState, CertificateFacts, Change, EntryKind, Notice, Sighting};
use crate::clock::Timestamp;
use crate::finding::{CaseKey, Finding, KeyHash, RevocationClock, Serial};
use crate::promise::Promise;
use crate::watch::{Form, Standing};

/// Forms of one kind, precertificate or certificate, that are examined of one hit.
const FORMS_EXAMINED: u32 = 4;

/// What [`pending`] reads of a hit.
pub(super) const HIT_COLUMNS: &str =
    "SELECT hit_id, issuer_key_hash, serial, standing, issuer, remark, first_logged_at, first_seen_at,
            (SELECT count(*) FROM hits AS h WHERE h.issuer_key_hash = hits.issuer_key_hash
               AND h.serial = hits.serial AND (h.hit_id = hits.hit_id OR EXISTS
                 (SELECT 1 FROM sightings AS s WHERE s.hit_id = h.hit_id AND NOT s.doubted))),
            examined, version
     FROM hits";

/// A hit that waits for its examination.
#[derive(Clone, Debug)]
pub struct PendingHit {
    /// Its number in the books.
    pub hit_id: i64,
    /// Issuer key and serial.
    pub key: CaseKey,
    /// How it came to be a hit.
    pub standing: Standing,
    /// The issuer as shown to people.
    pub issuer: String,
    /// What was odd about the entry.
    pub remark: String,
    /// Earliest timestamp of its entries in any log.
    pub first_logged_at: Timestamp,
    /// When the monitor first read it.
    pub first_seen_at: Timestamp,
    /// Every form in which it was seen, a few of each kind at most: what is judged.
    pub ders: Vec<(EntryKind, Form, Vec<u8>)>,
    /// How many different TBSCertificates carry this issuer key and serial.
    pub siblings: u64,
    /// Some of the bytes of the others among them; not when its issuer's key is unknown.
    pub others: Vec<(Form, Vec<u8>)>,
    /// Whether this hit was never examined before.
    pub first_examination: bool,
    /// What there was to examine when it was taken up; goes back with the result.
    pub version: i64,
}

/// The result of one examination, ready for door 2.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The hit.
    pub hit_id: i64,
    /// Issuer key and serial.
    pub key: CaseKey,
    /// What was found.
    pub findings: Vec<Finding>,
    /// The certificate as shown to people.
    pub certificate: CertificateFacts,
    /// The CA's record as shown to people.
    pub record: Vec<(String, String)>,
    /// Rules that could not be judged.
    pub not_evaluable: Vec<(String, String)>,
    /// What logs have promised with its SCTs.
    pub promises: Vec<Promise>,
    /// What other judges are to be asked; `None`: nothing.
    pub questions: Option<Questions>,
    /// What is counted over many certificates, with this one in it.
    pub counted: Counted,
    /// When it must be examined again; `None`: when something new is seen.
    pub examine_again_at: Option<Timestamp>,
    /// [`PendingHit::version`]: when a new sighting has raised it meanwhile, the hit stays due.
    pub version: i64,
}

/// A case that door 2 opened or updated.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The notice that went into the outbox.
    pub notice: Notice,
    /// The findings that were new.
    pub new_findings: Vec<Finding>,
    /// Earliest timestamp of the certificate in any log.
    pub first_logged_at: Timestamp,
}

impl Books {
    /// Hits whose examination is due, oldest first.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn due_hits(&self, now: Timestamp, limit: usize) -> Result<Vec<PendingHit>, BooksError> {
        self.read(move |connection| {
            let sql =
                format!("{HIT_COLUMNS} WHERE examine_at IS NOT NULL AND examine_at <= ?1 ORDER BY examine_at LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![now.millis(), limit as i64], pending)?;
            let mut hits = rows.collect::<rusqlite::Result<Vec<PendingHit>>>()?;
            load_forms(connection, &mut hits)?;
            Ok(hits)
        })
        .await
    }

    /// When the next examination is due, if any is planned.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn next_examination(&self) -> Result<Option<Timestamp>, BooksError> {
        self.read(|connection| {
            let sql = "SELECT min(examine_at) FROM hits WHERE examine_at IS NOT NULL";
            Ok(connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp::from_millis))
        })
        .await
    }

    /// Door 2. `recipients` are (channel, recipient) pairs that hear of every event.
    ///
    /// # Errors
    /// Unusable books; then no case was changed and the hits stay due.
    pub async fn commit_examinations(
        &self,
        examinations: Vec<Examination>,
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Vec<Opened>, BooksError> {
        self.write(move |connection| {
            commit_each(connection, &examinations, |transaction, one| commit_one(transaction, one, &recipients, now))
        })
        .await
    }
}

/// Writes all of these in one transaction; the cases that are news.
pub(super) fn commit_each<T>(
    connection: &mut Connection,
    all: &[T],
    commit_one: impl Fn(&Transaction<'_>, &T) -> rusqlite::Result<Option<Opened>>,
) -> rusqlite::Result<Vec<Opened>> {
    let transaction = connection.transaction()?;
    let opened = all.iter().filter_map(|one| commit_one(&transaction, one).transpose()).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(opened)
}

/// The forms in which hits were seen, some of each kind: a log can make up any number of precertificates that differ in
/// their signature, and they must not crowd out the certificate.
pub(super) fn load_forms(connection: &Connection, hits: &mut [PendingHit]) -> rusqlite::Result<()> {
    for hit in hits {
        hit.ders = ders(connection, hit.hit_id)?;
        if hit.siblings > 1 && hit.key.issuer_key_hash != KeyHash::default() {
            hit.others = others(connection, hit)?;
        }
    }
    Ok(())
}

/// What else was seen under the issuer key and serial of a hit, a few forms at most.
fn others(connection: &Connection, hit: &PendingHit) -> rusqlite::Result<Vec<(Form, Vec<u8>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT c.form, c.der FROM hits AS h JOIN sightings AS s ON s.hit_id = h.hit_id
           JOIN certificates AS c ON c.sha256 = s.certificate_sha256
         WHERE h.issuer_key_hash = ?1 AND h.serial = ?2 AND h.hit_id <> ?3 AND NOT s.doubted
         ORDER BY h.hit_id LIMIT ?4",
    )?;
    let key = params![hit.key.issuer_key_hash.0, hit.key.serial.0, hit.hit_id, FORMS_EXAMINED];
    let rows = statement.query_map(key, |row| Ok((form(&row.get::<_, String>(0)?), row.get(1)?)))?;
    rows.collect()
}

pub(super) fn pending(row: &Row<'_>) -> rusqlite::Result<PendingHit> {
    Ok(PendingHit {
        hit_id: row.get(0)?,
        key: CaseKey { issuer_key_hash: KeyHash(row.get(1)?), serial: Serial(row.get(2)?) },
        standing: Standing::parse(&row.get::<_, String>(3)?).unwrap_or(Standing::Unreadable),
        issuer: row.get(4)?,
        remark: row.get(5)?,
        first_logged_at: Timestamp::from_millis(row.get(6)?),
        first_seen_at: Timestamp::from_millis(row.get(7)?),
        siblings: row.get(8)?,
        first_examination: row.get::<_, i64>(9)? == 0,
        version: row.get(10)?,
        ders: Vec::new(),
        others: Vec::new(),
    })
}

/// The forms in which a hit was seen.
pub(super) fn ders(connection: &Connection, hit_id: i64) -> rusqlite::Result<Vec<(EntryKind, Form, Vec<u8>)>> {
    let mut statement = connection.prepare_cached(
        // Some of each kind: a log can make up any number of precertificates that differ in their signature, and they
        // must not crowd out the certificate.
        "SELECT kind, form, der FROM
           (SELECT s.kind, c.form, c.der,
                   row_number() OVER (PARTITION BY s.kind ORDER BY c.form, min(s.seen_at), c.sha256) AS place
            FROM sightings AS s JOIN certificates AS c ON c.sha256 = s.certificate_sha256
            WHERE s.hit_id = ?1 GROUP BY s.kind, c.sha256)
         WHERE place <= ?2 ORDER BY kind, form",
    )?;
    let rows = statement.query_map(params![hit_id, FORMS_EXAMINED], |row| {
        Ok((entry_kind(&row.get::<_, String>(0)?), form(&row.get::<_, String>(1)?), row.get(2)?))
    })?;
    rows.collect()
}

pub(super) fn entry_kind(word: &str) -> EntryKind {
    if word == EntryKind::Certificate.word() { EntryKind::Certificate } else { EntryKind::Precertificate }
}

fn form(word: &str) -> Form {
    if word == "tbs" { Form::Tbs } else { Form::Certificate }
}

fn commit_one(
    transaction: &Transaction<'_>,
    examination: &Examination,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Opened>> {
    // A sighting that was committed while the examination ran is still to be examined.
    transaction
        .prepare_cached(
            "UPDATE hits SET examined = examined + 1,
                    examine_at = CASE WHEN version <> ?2 THEN examine_at ELSE ?3 END
             WHERE hit_id = ?1",
        )?
        .execute(params![
            examination.hit_id,
            examination.version,
            examination.examine_again_at.map(Timestamp::millis)
        ])?;
    super::promises::insert(transaction, examination.hit_id, &examination.promises, now)?;
    super::statistics::write(transaction, examination)?;
    if let Some(questions) = &examination.questions {
        super::opinions::ask(transaction, examination.hit_id, examination.version, questions, now)?;
    }
    let told = Told {
        key: &examination.key,
        certificate: &examination.certificate,
        record: examination.record.clone(),
        not_evaluable: examination.not_evaluable.clone(),
    };
    fold_and_tell(transaction, told, &examination.findings, recipients, now)
}

/// What a message about a certificate says besides its findings.
pub(super) struct Told<'a> {
    pub key: &'a CaseKey,
    pub certificate: &'a CertificateFacts,
    pub record: Vec<(String, String)>,
    pub not_evaluable: Vec<(String, String)>,
}

/// Folds findings into the case of a certificate, and writes the event and its messages when they are news.
pub(super) fn fold_and_tell(
    transaction: &Transaction<'_>,
    told: Told<'_>,
    findings: &[Finding],
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Opened>> {
    let known = load(transaction, About::Certificate, told.key)?;
    let Some(change) = case::fold(known.as_ref(), findings) else { return Ok(None) };
    let sightings = sightings(transaction, told.key)?;
    let whom = (About::Certificate, told.key, told.certificate.issuer.as_str());
    let Written { number, aware_at, subject_line, clock_since, due } =
        write_case(transaction, whom, known.as_ref(), &change, now)?;
    let offending: HashSet<&str> = change.all_findings.iter().map(|f| f.subject.as_str()).collect();
    let mut certificate = told.certificate.clone();
    for san in &mut certificate.sans {
        san.offending = san.text.split_once(' ').is_some_and(|(_, name)| offending.contains(name));
    }
    let first_logged_at = sightings.iter().map(|s| s.logged_at).min().unwrap_or(now);
    let notice = Notice {
        case: case::case_name(number, aware_at),
        event: change.event,
        event_number: change.event_number,
        event_at: now,
        aware_at,
        clock: change.clock,
        clock_since: clock_since.filter(|since| *since != aware_at),
        due,
        severity: change.severity,
        new_findings: change.new_findings.len(),
        resolved: None,
        findings: change.all_findings,
        certificate: Some(certificate),
        sightings,
        record: told.record,
        not_evaluable: told.not_evaluable,
        opinions: super::opinions::lines(transaction, told.key)?,
        subject_line,
    };
    write_event(transaction, number, &notice, recipients, now)?;
    Ok(Some(Opened { notice, new_findings: change.new_findings, first_logged_at }))
}

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Certificate,
    Log,
    Crl,
    Control,
    Counts,
}

impl About {
    pub(super) const fn word(self) -> &'static str {
        match self {
            About::Certificate => "certificate",
            About::Log => "log",
            About::Crl => "crl",
            About::Control => "control",
            About::Counts => "counts",
        }
    }
}

/// The event of a change, and the messages about it.
pub(super) fn write_event(
    transaction: &Transaction<'_>,
    number: CaseNumber,
    notice: &Notice,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let text = json(notice)?;
    transaction
        .prepare_cached(
            "INSERT INTO case_events (case_number, event_number, kind, happened_at, notice) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![number.0, notice.event_number, notice.event.word(), now.millis(), text])?;
    let key = format!("{}.{}.{}", notice.case, notice.event.word(), notice.event_number);
    super::delivery::enqueue(transaction, &key, &text, recipients, now)
}

/// A case as it was written.
pub(super) struct Written {
    pub number: CaseNumber,
    pub aware_at: Timestamp,
    pub subject_line: String,
    /// Since when its clock runs, if it has one.
    pub clock_since: Option<Timestamp>,
    pub due: Option<Timestamp>,
}

/// The case after a change, with its new findings. `whom`: what it is about, its key, and the name in the subject line.
pub(super) fn write_case(
    transaction: &Transaction<'_>,
    whom: (About, &CaseKey, &str),
    known: Option<&CaseState>,
    change: &Change,
    now: Timestamp,
) -> rusqlite::Result<Written> {
    let (about, key, shown) = whom;
    // BR 4.9.1.1: the time runs from when the CA becomes aware of the circumstance that demands revocation; what a case
    // held before that demands none was no such thing.
    let since = known.and_then(|case| case.clock_since).unwrap_or(now);
    let due = change.clock.span().map(|span| since.plus(span));
    let (number, aware_at, subject_line) = match known {
        Some(case) => {
            let sql = "UPDATE cases SET severity = ?2, clock = ?3, due_at = ?4, events = ?5,
                         state = CASE state WHEN 'closed' THEN 'new' ELSE state END WHERE case_number = ?1";
            let events = change.event_number;
            transaction.prepare_cached(sql)?.execute(params![
                case.number.0,
                change.severity.word(),
                change.clock.word(),
                due.map(Timestamp::millis),
                events
            ])?;
            (case.number, case.aware_at, case.subject_line.clone())
        }
        None => {
            transaction
                .prepare_cached(
                    "INSERT INTO cases (about, issuer_key_hash, serial, state, opened_at, subject_line, severity, clock,
                                        due_at, events)
                     VALUES (?1, ?2, ?3, 'new', ?4, '', ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    about.word(),
                    key.issuer_key_hash.0,
                    key.serial.0,
                    now.millis(),
                    change.severity.word(),
                    change.clock.word(),
                    due.map(Timestamp::millis),
                    change.event_number
                ])?;
            let number = CaseNumber(transaction.last_insert_rowid());
            let subject_line = case::subject_line(&case::case_name(number, now), change, shown, due);
            transaction
                .prepare_cached("UPDATE cases SET subject_line = ?2 WHERE case_number = ?1")?
                .execute(params![number.0, subject_line])?;
            (number, now, subject_line)
        }
    };
    for finding in &change.new_findings {
        transaction
            .prepare_cached(
                // A finding that is worse than it was takes the place of the milder one.
                "INSERT INTO case_findings (case_number, rule, subject, event_number, finding, found_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (case_number, rule, subject)
                 DO UPDATE SET event_number = excluded.event_number, finding = excluded.finding,
                               found_at = excluded.found_at, ended_at = NULL",
            )?
            .execute(params![
                number.0,
                finding.rule,
                finding.subject,
                change.event_number,
                json(finding)?,
                now.millis()
            ])?;
    }
    let clock_since = due.map(|_| since);
    Ok(Written { number, aware_at, subject_line, clock_since, due })
}

pub(super) fn load(connection: &Connection, about: About, key: &CaseKey) -> rusqlite::Result<Option<CaseState>> {
    let row = connection
        .prepare_cached(
            "SELECT case_number, opened_at, subject_line, events, due_at FROM cases
             WHERE about = ?1 AND issuer_key_hash = ?2 AND serial = ?3",
        )?
        .query_row(params![about.word(), key.issuer_key_hash.0, key.serial.0], |row| {
            let due_at = row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, u32>(3)?, due_at))
        })
        .optional()?;
    let Some((number, opened_at, subject_line, events, due_at)) = row else { return Ok(None) };
    let number = CaseNumber(number);
    let findings = findings(connection, number)?;
    let aware_at = Timestamp::from_millis(opened_at);
    let clock = findings.iter().fold(RevocationClock::None, |clock, finding| clock.strictest(finding.clock));
    let clock_since = due_at.zip(clock.span()).map(|(due_at, span)| due_at.minus(span));
    Ok(Some(CaseState { number, key: key.clone(), aware_at, clock_since, subject_line, events, findings }))
}

/// The findings of a case whose causes have not ended.
pub(super) fn findings(connection: &Connection, number: CaseNumber) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT finding FROM case_findings WHERE case_number = ?1 AND ended_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![number.0], |row| row.get::<_, String>(0))?;
    rows.map(|text| from_json(&text?)).collect()
}

pub(super) fn sightings(connection: &Connection, key: &CaseKey) -> rusqlite::Result<Vec<Sighting>> {
    let mut statement = connection.prepare_cached(
        "SELECT l.name, s.idx, s.kind, s.logged_at, s.seen_at,
                NOT s.doubted AND ((s.idx >= l.start_index AND s.idx < l.verified_size)
                OR (s.idx >= coalesce(b.start_index, 0) AND s.idx < coalesce(b.verified_size, 0)))
         FROM sightings AS s JOIN hits AS h ON h.hit_id = s.hit_id JOIN logs AS l ON l.log_id = s.log_id
         LEFT JOIN backlogs AS b ON b.log_id = s.log_id
         WHERE h.issuer_key_hash = ?1 AND h.serial = ?2 ORDER BY s.seen_at, l.name, s.idx LIMIT 200",
    )?;
    let rows = statement.query_map(params![key.issuer_key_hash.0, key.serial.0], |row| {
        Ok(Sighting {
            log: row.get(0)?,
            index: row.get(1)?,
            kind: entry_kind(&row.get::<_, String>(2)?),
            logged_at: Timestamp::from_millis(row.get(3)?),
            seen_at: Timestamp::from_millis(row.get(4)?),
            included: row.get(5)?,
        })
    })?;
    rows.collect()
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}
