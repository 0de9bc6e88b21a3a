//! Files that grow: read from where the last step left off, through rotation and through crashes.
//!
//! A step is one transaction: the rows of some lines and the position behind them. What is half written waits, what is
//! wrong is kept aside, and what names a row that is not there yet waits for it; none of these stops the lines behind.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::clock::{Span, Timestamp};
use crate::finding::escape;
use crate::issuance::boulder::{self, KnownIssuer, Reading, Said, ties};
use crate::issuance::lines::LINE_LIMIT;
use crate::issuance::staging::Fault;
use crate::issuance::trickle::{self, Candidate, Refusal, Taken};
use crate::issuance::{Embedded, ImportSummary, IssuanceError, schema};

/// What a step reads at most, in bytes: more than the longest line.
const CHUNK_BYTES: usize = 2 << 20;
/// How much of a file's beginning tells it from another in its place, in bytes.
const HEAD_BYTES: u64 = 256;
/// The pause between two tries of the rows that wait.
const RETRY: Span = Span::from_seconds(5);

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// NDJSON with a table in every row.
    Rows,
    /// The audit log of Boulder.
    BoulderLog,
}

/// A file that grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Where it is; after a rotation another file is there.
    pub path: PathBuf,
    /// What its lines are.
    pub format: FileFormat,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What came into the record.
    pub summary: ImportSummary,
    /// What was refused, each told once.
    pub refused: Vec<Refusal>,
    /// Lines that hold nothing for the record.
    pub passed_over: u64,
    /// Rows that wait for rows that they name.
    pub waiting: u64,
    /// The file that was read before is gone, and nobody can tell whether all of it was read.
    pub lost_file: bool,
    /// The file was cut short and is read from its beginning; what stood in it since the last step was not read.
    pub truncated: bool,
    /// There is more to read at once.
    pub more: bool,
}

/// Where reading left off.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    device: u64,
    inode: u64,
    /// The length and SHA-256 of the beginning of the file.
    head: (u64, String),
    offset: u64,
    /// Lines read so far.
    line: u64,
    /// Within a line that is too long.
    skipping: bool,
}

impl Position {
    fn start(of: &Metadata) -> Position {
        let head = (0, hash(&[]));
        Position { device: of.dev(), inode: of.ino(), head, offset: 0, line: 0, skipping: false }
    }
    fn is_of(&self, file: &Metadata) -> bool {
        (self.device, self.inode) == (file.dev(), file.ino())
    }
}

/// Follows one file.
#[derive(Debug)]
pub struct Follower {
    record: Embedded,
    followed: Followed,
    /// By whom certificates in an audit log may be issued.
    issuers: Vec<KnownIssuer>,
    /// The file that is read; held open, so that it can be read to its end even when its name is gone.
    held: Option<File>,
    /// When the waiting rows were last tried, and how the record stood then.
    tried: Option<(Timestamp, Option<i64>)>,
}

impl Follower {
    /// A follower that goes on where the last one left off. An audit log needs the issuers of the certificates in it.
    pub fn new(record: Embedded, followed: Followed, issuers: Vec<KnownIssuer>) -> Follower {
        Follower { record, followed, issuers, held: None, tried: None }
    }

    /// The file that is followed.
    pub fn path(&self) -> &Path {
        &self.followed.path
    }

    /// Reads some lines, or tries the rows that wait; blocks. An absent file is no error: it may come.
    ///
    /// # Errors
    /// When the file cannot be read, or the database cannot be written: nothing was done then.
    pub fn step(&mut self, now: Timestamp) -> Result<Step, IssuanceError> {
        self.within(|follower, tx| follower.step_within(tx, now))
    }

    /// Imports a file that has its end, from its beginning, and gives `told` each step. What still waits at the end is
    /// refused.
    ///
    /// # Errors
    /// As [`Follower::step`]; the steps before are in the record, and the file can be imported again.
    pub fn import(&mut self, now: Timestamp, mut told: impl FnMut(Step)) -> Result<(), IssuanceError> {
        let path = self.followed.path.clone();
        let mut fault = |source| IssuanceError::File { path: path.clone(), source };
        let mut file = File::open(&path).map_err(&mut fault)?;
        let mut at = Position::start(&file.metadata().map_err(&mut fault)?);
        loop {
            let mut step = self.within(|follower, tx| {
                let (mut step, feed) = (Step::default(), follower.feed());
                let read = read_on(&mut file, &mut at, true)?;
                step.more = read.more;
                follower.take(tx, &feed, read, &mut step, now)?;
                if !step.more {
                    follower.tried = None;
                    step = follower.settle(tx, &feed, step, now)?;
                    step.refused.extend(trickle::give_up(tx, &feed, now)?);
                    step.waiting = 0;
                }
                Ok(step)
            })?;
            let more = std::mem::take(&mut step.more);
            told(step);
            if !more {
                return Ok(());
            }
        }
    }

    /// Does something in one transaction.
    fn within(
        &mut self,
        work: impl FnOnce(&mut Follower, &Transaction<'_>) -> Result<Step, Fault>,
    ) -> Result<Step, IssuanceError> {
        let mut connection = schema::connect(self.record.path())?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(|error| schema::error(self.record.path(), error))?;
        let done = work(self, &tx).and_then(|step| {
            tx.commit()?;
            Ok(step)
        });
        done.map_err(|fault| match fault {
            Fault::Read(source) => IssuanceError::File { path: self.followed.path.clone(), source },
            Fault::Store(source) => schema::error(self.record.path(), source),
        })
    }

    fn feed(&self) -> String {
        self.followed.path.to_string_lossy().into_owned()
    }

    fn step_within(&mut self, tx: &Transaction<'_>, now: Timestamp) -> Result<Step, Fault> {
        let (mut step, feed) = (Step::default(), self.feed());
        let known = position(tx, &feed)?;
        let Some(Chosen { mut file, mut at, finished }) = self.choose(known.clone(), &mut step)? else {
            return self.settle(tx, &feed, step, now);
        };
        let read = read_on(&mut file, &mut at, finished)?;
        self.held = Some(file);
        if Some(&at) != known.as_ref() {
            save(tx, &feed, &at)?;
        }
        step.more = read.more || finished;
        self.take(tx, &feed, read, &mut step, now)?;
        self.settle(tx, &feed, step, now)
    }

    /// Takes what was read.
    fn take(
        &self,
        tx: &Transaction<'_>,
        feed: &str,
        read: ReadOn,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<(), Fault> {
        for (line, text) in read.too_long {
            let reason = format!("longer than {LINE_LIMIT} bytes");
            step.refused.push(trickle::refuse_line(tx, feed, line, &text, reason, now)?);
        }
        let (mut candidates, mut said) = (Vec::new(), Vec::new());
        for (line, text) in read.lines {
            match self.read_line(&text) {
                Line::Row(row) => candidates.push(Candidate::new(line, row)),
                Line::Said(one) => said.push((line, *one)),
                Line::Empty => {}
                Line::Nothing => step.passed_over += 1,
                Line::Bad(reason) => {
                    step.refused.push(trickle::refuse_line(tx, feed, line, &text, reason, now)?);
                }
            }
        }
        ties::before(tx, &mut said, now)?;
        for (line, said) in &said {
            let rows = said.rows.iter().cloned();
            candidates.extend(rows.map(|(row, only_if_absent)| Candidate::if_absent(*line, row, only_if_absent)));
        }
        step.add(trickle::take(tx, feed, candidates, now)?);
        Ok(ties::after(tx, &said, now)?)
    }

    fn read_line(&self, text: &[u8]) -> Line {
        if text.is_empty() {
            return Line::Empty;
        }
        match self.followed.format {
            FileFormat::Rows => match serde_json::from_slice::<Map<String, Value>>(text) {
                Ok(row) => Line::Row(row),
                Err(error) => Line::Bad(format!("not a JSON object: {}", escape(error.to_string().as_bytes(), 200))),
            },
            FileFormat::BoulderLog => match boulder::read(text, &self.issuers) {
                Reading::Said(said) => Line::Said(said),
                Reading::Nothing => Line::Nothing,
                Reading::Bad(reason) => Line::Bad(reason),
            },
        }
    }

    /// Tries the rows that wait, when the record has changed or some time has passed, and counts them.
    fn settle(&mut self, tx: &Transaction<'_>, feed: &str, mut step: Step, now: Timestamp) -> Result<Step, Fault> {
        step.waiting = trickle::waiting_count(tx, feed)?;
        if step.waiting == 0 {
            return Ok(step);
        }
        let newest = tx.query_row("SELECT max(imported_at_ms) FROM feed", [], |row| row.get(0))?;
        let due = self.tried.is_none_or(|(at, stood)| {
            let pause = if stood == newest { Span::from_seconds(60) } else { RETRY };
            now.since(at) >= pause || now < at
        });
        if due && !step.more {
            let waiting = trickle::waiting(tx, feed)?;
            tx.execute("DELETE FROM waiting WHERE feed = ?1", [feed])?;
            let taken = trickle::take(tx, feed, waiting, now)?;
            step.add(taken);
            step.waiting = trickle::waiting_count(tx, feed)?;
            let newest = tx.query_row("SELECT max(imported_at_ms) FROM feed", [], |row| row.get(0))?;
            self.tried = Some((now, newest));
        }
        Ok(step)
    }

    /// The file to read and where, or `None` when there is nothing yet.
    fn choose(&mut self, known: Option<Position>, step: &mut Step) -> io::Result<Option<Chosen>> {
        let path = self.followed.path.clone();
        let current = match absent_is_none(std::fs::metadata(&path))? {
            // A pipe would block and a device never end.
            Some(metadata) if !metadata.is_file() => return Err(io::Error::other("is not a file")),
            Some(_) => absent_is_none(File::open(&path))?,
            None => None,
        };
        let current = current.map(|file| file.metadata().map(|metadata| (file, metadata))).transpose()?;
        let (known, (mut file, metadata)) = match (known, current) {
            (None, None) => return Ok(None),
            (None, Some((file, metadata))) => return Ok(Some(Chosen::start(file, &metadata))),
            (Some(known), None) => {
                let former = self.former(&known, &path)?;
                return Ok(former.map(|file| Chosen { file, at: known, finished: false }));
            }
            (Some(known), Some(current)) => (known, current),
        };
        if known.is_of(&metadata) {
            // Truncated, and perhaps written again: then what is there now was never read.
            let same = begins_as_before(&mut file, &known)?;
            step.truncated = !same;
            let at = if same { known } else { Position::start(&metadata) };
            return Ok(Some(Chosen { file, at, finished: false }));
        }
        let Some(former) = self.former(&known, &path)? else {
            step.lost_file = true;
            return Ok(Some(Chosen::start(file, &metadata)));
        };
        // A writer holds the old file until it has written to the new one.
        let finished = metadata.len() > 0;
        if finished && former.metadata()?.len() <= known.offset {
            return Ok(Some(Chosen::start(file, &metadata)));
        }
        Ok(Some(Chosen { file: former, at: known, finished }))
    }

    /// The file that was read before and has another name now, or none.
    fn former(&mut self, known: &Position, path: &Path) -> io::Result<Option<File>> {
        if let Some(mut held) = self.held.take()
            && known.is_of(&held.metadata()?)
            && begins_as_before(&mut held, known)?
        {
            return Ok(Some(held));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for entry in absent_is_none(std::fs::read_dir(directory))?.into_iter().flatten() {
            let entry = entry?;
            let Some(metadata) = absent_is_none(entry.metadata())? else { continue };
            if !metadata.is_file() || !known.is_of(&metadata) {
                continue;
            }
            if let Some(mut file) = absent_is_none(File::open(entry.path()))?
                && known.is_of(&file.metadata()?)
                && begins_as_before(&mut file, known)?
            {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

impl Step {
    fn add(&mut self, taken: Taken) {
        self.refused.extend(taken.refused);
        let (all, more) = (&mut self.summary, taken.summary);
        all.rows += more.rows;
        all.inserted += more.inserted;
        all.updated += more.updated;
        all.unchanged += more.unchanged;
        all.reclassified += more.reclassified;
        all.tables.extend(more.tables);
    }
}

/// A file to read, and where.
struct Chosen {
    file: File,
    at: Position,
    /// Nobody writes to it any more: its last line needs no newline.
    finished: bool,
}

impl Chosen {
    fn start(file: File, metadata: &Metadata) -> Chosen {
        Chosen { file, at: Position::start(metadata), finished: false }
    }
}

/// What a line turned out to be.
enum Line {
    Row(Map<String, Value>),
    Said(Box<Said>),
    Empty,
    /// It holds nothing for the record.
    Nothing,
    Bad(String),
}

/// What was read from a file.
struct ReadOn {
    /// Whole lines with their numbers, trimmed.
    lines: Vec<(u64, Vec<u8>)>,
    /// The beginnings of lines that are too long.
    too_long: Vec<(u64, Vec<u8>)>,
    more: bool,
}

/// Reads whole lines from where `at` stands, and moves it behind them. `finished`: the last line is whole as it is.
fn read_on(file: &mut File, at: &mut Position, finished: bool) -> io::Result<ReadOn> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at.offset))?;
    (&mut *file).take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
    let more = bytes.len() == CHUNK_BYTES;
    let read_bytes = bytes.len() as u64;
    if finished && !more && bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    let mut read = ReadOn { lines: Vec::new(), too_long: Vec::new(), more };
    let mut rest = &bytes[..];
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if std::mem::take(&mut at.skipping) {
            continue;
        }
        at.line += 1;
        let start = if at.line == 1 && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        match line.len() <= LINE_LIMIT {
            true => read.lines.push((at.line, line[start..].trim_ascii().to_vec())),
            false => read.too_long.push((at.line, line[..1024].to_vec())),
        }
    }
    if at.skipping {
        rest = &[];
    } else if rest.len() > LINE_LIMIT {
        at.line += 1;
        at.skipping = true;
        read.too_long.push((at.line, rest[..1024].to_vec()));
        rest = &[];
    }
    at.offset += read_bytes - rest.len() as u64;
    if at.head.0 < HEAD_BYTES.min(at.offset) {
        at.head = head(file, HEAD_BYTES.min(at.offset))?;
    }
    Ok(read)
}

/// Whether the file begins as it did when it was read last, and is at least as long.
fn begins_as_before(file: &mut File, at: &Position) -> io::Result<bool> {
    Ok(file.metadata()?.len() >= at.offset && head(file, at.head.0)? == at.head)
}

fn head(file: &mut File, length: u64) -> io::Result<(u64, String)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64, hash(&bytes)))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn position(connection: &Connection, feed: &str) -> rusqlite::Result<Option<Position>> {
    let sql = "SELECT device, inode, head_bytes, head_sha256, offset, line, skipping FROM followed WHERE path = ?1";
    let number = |row: &rusqlite::Row<'_>, place| row.get::<_, i64>(place).map(|number| number as u64);
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Position {
            device: number(row, 0)?,
            inode: number(row, 1)?,
            head: (number(row, 2)?, row.get(3)?),
            offset: number(row, 4)?,
            line: number(row, 5)?,
            skipping: row.get(6)?,
        })
    };
    connection.query_row(sql, [feed], read).optional()
}

fn save(connection: &Connection, feed: &str, at: &Position) -> rusqlite::Result<()> {
    let sql = "INSERT INTO followed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (path) DO UPDATE SET device = ?2, inode = ?3, head_bytes = ?4, head_sha256 = ?5,
                   offset = ?6, line = ?7, skipping = ?8";
    let (device, inode) = (at.device as i64, at.inode as i64);
    let numbers = (at.head.0 as i64, at.offset as i64, at.line as i64);
    connection
        .execute(sql, params![feed, device, inode, numbers.0, at.head.1, numbers.1, numbers.2, at.skipping])
        .map(drop)
}

#[cfg(test)]
mod tests;
