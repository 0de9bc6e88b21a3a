//! The parts one after the other: which are done, which are not, and what each gave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use libdeflater::Crc;
use serde::{Deserialize, Serialize};

use crate::audit::found::{Found, Outcome, Stray};
use crate::audit::incident;
use crate::audit::judge::{self, Bench, Foreign, Ids};
use crate::audit::key::PARTS;
use crate::audit::load::{self, Loaded};
use crate::audit::source::{Corpus, Source};
use crate::audit::{AuditError, Job, Question, Share, Stage, create, file_fault, read_json, remove, write_whole};

/// The form of these files.
const FORM: u32 = 5;

/// Without these tables there is nothing to audit.
pub const NEEDED: [&str; 2] = ["issuers", "certificates"];

/// What an output directory is the output of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) form: u32,
    pub(super) program: String,
    pub(super) question: Question,
    /// What the CA's own terms were.
    pub(super) terms: String,
    /// The day of the Public Suffix List.
    pub(super) suffixes: String,
    /// The files that were read, with their lengths and times.
    pub(super) sources: Vec<String>,
    pub(super) share: Share,
}

/// What a part gave besides its findings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) names: u64,
    pub(super) certificates: u64,
    /// CRC-32 of the file of findings; 0 when there is none.
    pub(super) findings_crc32: u32,
    pub(super) gaps: BTreeMap<String, u64>,
    /// Names that wait for rows of other parts.
    pub(super) strays: Vec<Stray>,
}

pub(super) fn directory(out: &Path) -> PathBuf {
    out.join("parts")
}

/// The files of a part; `second`: of the names that rested on rows of other parts.
pub(super) fn files(out: &Path, part: u32, second: bool) -> (PathBuf, PathBuf) {
    let stem = format!("{part:03}{}", if second { "b" } else { "" });
    let directory = directory(out);
    (directory.join(format!("{stem}.json")), directory.join(format!("{stem}.findings")))
}

fn write(out: &Path, part: u32, second: bool, outcome: Outcome) -> Result<(), AuditError> {
    let (counts_file, findings_file) = files(out, part, second);
    let mut crc32 = Crc::new();
    if outcome.findings.is_empty() {
        remove(&findings_file)?;
    } else {
        let fault = file_fault(&findings_file);
        let mut file = create(&findings_file)?;
        for record in outcome.findings.in_order().ok_or_else(|| strange(&findings_file))? {
            for octets in [&(record.len() as u32).to_le_bytes(), record] {
                crc32.update(octets);
                file.write_all(octets).map_err(&fault)?;
            }
        }
        file.flush().map_err(&fault)?;
    }
    let counts = Counts {
        names: outcome.names,
        certificates: outcome.certificates,
        findings_crc32: crc32.sum(),
        gaps: outcome.gaps,
        strays: outcome.strays,
    };
    // Last: where it stands, the part is done. Nothing waits for the disk: what a loss of power takes is seen by its form
    // or its checksum, and done again.
    write_whole(&counts_file, false, |file| Ok(serde_json::to_writer(file, &counts)?))
}

/// What a part gave; `None` when it is not done, or was not wholly written when the power was lost.
fn counts(out: &Path, part: u32, second: bool) -> Result<Option<Counts>, AuditError> {
    let (path, findings) = files(out, part, second);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(file_fault(&path))?,
    };
    let Ok(counts) = serde_json::from_slice::<Counts>(&bytes) else { return Ok(None) };
    let mut crc32 = Crc::new();
    if let Some(mut records) = Records::open(findings)? {
        loop {
            let bytes = records.input.fill_buf().map_err(file_fault(&records.path))?;
            if bytes.is_empty() {
                break;
            }
            crc32.update(bytes);
            let read = bytes.len();
            records.input.consume(read);
        }
    }
    Ok((crc32.sum() == counts.findings_crc32).then_some(counts))
}

/// The longest finding that is read, in bytes.
const RECORD_LIMIT: u32 = 64 << 20;

/// The findings of a file, one after the other, each behind its length.
struct Records {
    path: PathBuf,
    input: BufReader<std::fs::File>,
    /// The one that was read last.
    record: Vec<u8>,
}

impl Records {
    /// `None` when there is no such file.
    fn open(path: PathBuf) -> Result<Option<Records>, AuditError> {
        match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            file => {
                let input = BufReader::with_capacity(1 << 18, file.map_err(file_fault(&path))?);
                Ok(Some(Records { path, input, record: Vec::new() }))
            }
        }
    }

    /// Reads the next one; whether there is one.
    fn next(&mut self) -> Result<bool, AuditError> {
        let mut length = [0; 4];
        if self.input.fill_buf().map_err(file_fault(&self.path))?.is_empty() {
            return Ok(false);
        }
        self.input.read_exact(&mut length).map_err(file_fault(&self.path))?;
        let length = u32::from_le_bytes(length);
        if length > RECORD_LIMIT {
            return Err(strange(&self.path));
        }
        self.record.resize(length as usize, 0);
        self.input.read_exact(&mut self.record).map_err(file_fault(&self.path))?;
        Ok(true)
    }

    fn found(&self) -> Result<Found<&[u8]>, AuditError> {
        Found::read(&self.record).ok_or_else(|| strange(&self.path))
    }
}

/// That a file, or one of a directory, is not what an audit writes.
pub(super) fn strange(path: &Path) -> AuditError {
    AuditError::Output {
        path: path.to_path_buf(),
        reason: "not what an audit writes: remove the directory".to_string(),
    }
}

/// The findings of a part as they are kept, in their order.
pub(super) fn findings(
    out: &Path,
    part: u32,
    each: &mut dyn FnMut(&[u8]) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let mut files_of = Vec::new();
    for second in [false, true] {
        if let Some(mut records) = Records::open(files(out, part, second).1)?
            && records.next()?
        {
            files_of.push(records);
        }
    }
    while let Some(first) = files_of.first() {
        let later = files_of.len() == 2 && files_of[1].found()? < first.found()?;
        let records = &mut files_of[usize::from(later)];
        each(&records.record)?;
        if !records.next()? {
            files_of.remove(usize::from(later));
        }
    }
    Ok(())
}

/// What a part is still to be asked.
enum Todo {
    All,
    Strays(BTreeSet<(i64, String)>),
    Nothing,
}

fn todo(out: &Path, part: u32) -> Result<Todo, AuditError> {
    let Some(first) = counts(out, part, false)? else { return Ok(Todo::All) };
    if first.strays.is_empty() || counts(out, part, true)?.is_some() {
        return Ok(Todo::Nothing);
    }
    Ok(Todo::Strays(first.strays.into_iter().map(|stray| (stray.cert_id, stray.name)).collect()))
}

/// Judges what is not judged yet of this share; with `resume` what an earlier run of the same question has done stays.
/// What it found lies in the output directory for [`super::finish`].
///
/// # Errors
/// When something cannot be read or written, or the directory holds the output of another question.
pub fn judge(source: &Source, job: &Job<'_>, resume: bool) -> Result<(), AuditError> {
    Judged::of(source, job, resume)?.list()
}

/// An audit whose parts are all judged.
pub(super) struct Judged<'a> {
    corpus: Corpus,
    job: &'a Job<'a>,
    /// What was read for it.
    loaded: Option<Loaded>,
}

impl<'a> Judged<'a> {
    /// Judges the parts; see [`judge()`].
    pub(super) fn of(source: &Source, job: &'a Job<'a>, resume: bool) -> Result<Judged<'a>, AuditError> {
        let corpus = Corpus::open(source, job.threads)?;
        for table in NEEDED {
            if !corpus.has(table) {
                return Err(AuditError::NoTable(table));
            }
        }
        prepare(&corpus, job, resume)?;
        let mut todos = Vec::new();
        for part in 0..PARTS {
            todos.push(if job.share.has(part) { todo(job.out, part)? } else { Todo::Nothing });
        }
        let wanted: Vec<bool> = todos.iter().map(|todo| !matches!(todo, Todo::Nothing)).collect();
        let loaded = if wanted.contains(&true) { Some(rest(&corpus, job, &todos, &wanted)?) } else { None };
        Ok(Judged { corpus, job, loaded })
    }

    /// Lists the certificates of an incident report, and puts away what was needed until then.
    pub(super) fn list(self) -> Result<(), AuditError> {
        let Judged { corpus, job, loaded } = self;
        std::thread::scope(|scope| {
            // It is large, and its end takes the system a while.
            scope.spawn(move || drop(loaded));
            incident::write(&corpus, job)
        })?;
        let spill = job.spill("");
        std::fs::remove_dir_all(&spill).map_err(file_fault(&spill))
    }
}

/// Judges what is left to do; what was read for that.
fn rest(corpus: &Corpus, job: &Job<'_>, todos: &[Todo], wanted: &[bool]) -> Result<Loaded, AuditError> {
    let keep = |part: u32, cert_id: i64, name: &str| match &todos[part as usize] {
        Todo::All => true,
        Todo::Strays(strays) => strays.contains(&(cert_id, name.to_string())),
        Todo::Nothing => false,
    };
    let (loaded, whole) = load::load(corpus, job, wanted, &keep, |facts| judge::whole(job, facts))?;
    let reasons = Mutex::new(BTreeMap::new());
    let bench = Bench::new(job, &loaded, whole, &reasons);
    let first: Vec<u32> = (0..PARTS).filter(|part| matches!(todos[*part as usize], Todo::All)).collect();
    let waiting = Mutex::new(HashMap::new());
    let judged = AtomicUsize::new(0);
    let tell = || (job.progress)(Stage::Judging, 1 + judged.fetch_add(1, Ordering::Relaxed) as u64, first.len() as u64);
    side_by_side(job, &first, &|part| {
        let (outcome, mine) = bench.part(part)?;
        waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(mine.map(|mine| (part, mine)));
        write(job.out, part, false, outcome)?;
        tell();
        Ok(())
    })?;
    let mut astray = Vec::new();
    let (mut dcv, mut caa) = (Ids::new(), Ids::new());
    for part in (0..PARTS).filter(|part| wanted[*part as usize]) {
        let counts: Counts = read_json(&files(job.out, part, false).0)?;
        if !counts.strays.is_empty() {
            dcv.extend(counts.strays.iter().map(|stray| stray.dcv));
            caa.extend(counts.strays.iter().map(|stray| stray.caa));
            astray.push((part, counts.strays));
        }
    }
    if astray.is_empty() {
        return Ok(loaded);
    }
    let here: Vec<u32> = (0..PARTS).filter(|part| wanted[*part as usize]).collect();
    let spools = (&loaded.confirmations[..], &loaded.checks[..]);
    let gathered = Mutex::new(Foreign::default());
    side_by_side(job, &here, &|part| {
        let found = Foreign::gather(&loaded.facts, spools, part, &dcv, &caa)?;
        gathered.lock().unwrap_or_else(PoisonError::into_inner).join(found);
        Ok(())
    })?;
    let mut foreign = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
    if here.len() < PARTS as usize {
        // Parts of other machines, or that were done before, are not on this disk.
        foreign.extend(load::strays(corpus, job, &loaded.facts, &dcv, &caa)?);
    }
    let parts: Vec<u32> = astray.iter().map(|(part, _)| *part).collect();
    side_by_side(job, &parts, &|part| {
        let mine = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&part);
        let strays = astray.iter().find(|(other, _)| *other == part).map(|(_, strays)| &strays[..]);
        let outcome = match mine {
            Some(mine) => bench.waited(&foreign, mine),
            None => bench.strays(part, &foreign, strays.unwrap_or_default())?,
        };
        write(job.out, part, true, outcome)
    })?;
    Ok(loaded)
}

/// Does the parts on the threads of the job.
pub(super) fn side_by_side(
    job: &Job<'_>,
    parts: &[u32],
    work: &(dyn Fn(u32) -> Result<(), AuditError> + Sync),
) -> Result<(), AuditError> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<(), AuditError> {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(*part)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err(AuditError::Stopped)))
    })
}

/// Makes the output directory, or finds that it is of the same question.
fn prepare(corpus: &Corpus, job: &Job<'_>, resume: bool) -> Result<(), AuditError> {
    let manifest = Manifest {
        form: FORM,
        program: env!("CARGO_PKG_VERSION").to_string(),
        question: job.question.clone(),
        terms: format!("{:?}", job.policy),
        suffixes: job.suffixes.as_of().day(),
        sources: corpus.fingerprint.clone(),
        share: job.share,
    };
    let path = job.out.join("audit.json");
    let output = |reason: &str| AuditError::Output { path: job.out.to_path_buf(), reason: reason.to_string() };
    match path.exists() {
        true if !resume => {
            return Err(output("holds an audit already: go on with --resume, or name another directory"));
        }
        true => {
            let before: Manifest = read_json(&path)?;
            if before != manifest {
                let what = match () {
                    () if before.question != manifest.question => "of another question",
                    () if before.share != manifest.share => "of another share of the work",
                    () if before.terms != manifest.terms => "by another configuration",
                    () if before.suffixes != manifest.suffixes => "by another Public Suffix List",
                    () if before.sources != manifest.sources => "of rows that have changed since",
                    () => "of another version of this program",
                };
                return Err(output(&format!("holds an audit {what}: name another directory")));
            }
        }
        false => {}
    }
    for directory in [directory(job.out), job.spill("")] {
        std::fs::create_dir_all(&directory).map_err(file_fault(&directory))?;
    }
    if !path.exists() {
        write_whole(&path, true, |file| Ok(serde_json::to_writer_pretty(file, &manifest)?))?;
    }
    Ok(())
}

/// What the audit in a directory asked; `None` when there is none.
///
/// # Errors
/// When its manifest cannot be read.
pub fn asked(out: &Path) -> Result<Option<Question>, AuditError> {
    let path = out.join("audit.json");
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(read_json::<Manifest>(&path)?.question))
}

/// Puts the outputs of the shares of one audit together in `out`, as if one machine had done it all.
///
/// # Errors
/// When they are not the shares of one audit, or not all of it.
pub fn merge(outs: &[PathBuf], out: &Path) -> Result<Question, AuditError> {
    let output = |path: &Path, reason: String| AuditError::Output { path: path.to_path_buf(), reason };
    let mut first: Option<Manifest> = None;
    let target = directory(out);
    std::fs::create_dir_all(&target).map_err(file_fault(&target))?;
    if out.join("audit.json").exists() {
        return Err(output(out, "holds an audit already: name another directory".to_string()));
    }
    let mut certificates = incident::Merged::default();
    for from in outs {
        let mut manifest: Manifest = read_json(&from.join("audit.json"))?;
        let share = std::mem::replace(&mut manifest.share, Share::ALL);
        // Copies of the exports have other times; what was asked must be the same.
        manifest.sources.clear();
        if first.get_or_insert_with(|| manifest.clone()) != &manifest {
            return Err(output(from, "is an audit of another question, configuration or version".to_string()));
        }
        for part in (0..PARTS).filter(|part| share.has(*part)) {
            if !matches!(todo(from, part)?, Todo::Nothing) {
                return Err(output(from, format!("part {part} is not done: finish it with --resume")));
            }
            for second in [false, true] {
                let (counts, findings) = files(from, part, second);
                let (counts_to, findings_to) = files(out, part, second);
                for (from, to) in
                    [(findings, findings_to), (counts, counts_to)].iter().filter(|(from, _)| from.exists())
                {
                    std::fs::copy(from, to).map_err(file_fault(from))?;
                }
            }
        }
        certificates.read(from)?;
    }
    let missing: Vec<u32> = (0..PARTS).filter(|part| !files(out, *part, false).0.exists()).collect();
    if let Some(part) = missing.first() {
        let reason = format!("{} of {PARTS} parts are in none of the outputs, the first is {part}", missing.len());
        return Err(output(out, reason));
    }
    certificates.write(out)?;
    let manifest = first.ok_or_else(|| output(out, "no output to merge was named".to_string()))?;
    write_whole(&out.join("audit.json"), true, |file| Ok(serde_json::to_writer_pretty(file, &manifest)?))?;
    Ok(manifest.question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_whose_files_are_not_what_was_written_is_not_done() {
        let out = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory(out.path())).expect("a directory");
        let mut outcome = Outcome { names: 3, ..Outcome::default() };
        (1..4).for_each(|cert_id| outcome.findings.add(&Found { cert_id, name: "a.eus", ..Found::default() }));
        write(out.path(), 7, false, outcome).expect("written");
        let is_done = || counts(out.path(), 7, false).expect("read").is_some();
        assert!(is_done());
        let (_, path) = files(out.path(), 7, false);
        let whole = std::fs::read(&path).expect("findings");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).expect("written");
            assert!(!is_done(), "octet {at} of {}", whole.len());
            std::fs::write(&path, &whole[..at]).expect("written");
            assert!(!is_done(), "cut at {at}");
        }
        std::fs::remove_file(&path).expect("removed");
        assert!(!is_done());
        write(out.path(), 7, false, Outcome::default()).expect("written");
        assert!(is_done(), "without findings");
    }
}
