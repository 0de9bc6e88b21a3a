//! Import of a directory: every file is in it as a whole or not at all, whatever their names and order.
//!
//! All files are staged together, so that a row may name a row of any other file. A file with a mistake is left out, and
//! with it every file of which a row would then name nothing; what is left is written in one transaction.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rusqlite::TransactionBehavior;

use crate::clock::Timestamp;
use crate::finding::escape;
use crate::issuance::import::{self, ImportSummary};
use crate::issuance::lines::{self, Format};
use crate::issuance::staging::{ERROR_LIMIT, Fault, LineError, Staging};
use crate::issuance::{Embedded, IssuanceError, schema, tables};

/// What became of a file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its name, escaped.
    pub name: String,
    /// Its rows in the record; 0 when it was refused.
    pub rows: u64,
    /// Why it was refused; empty when it is in the record.
    pub errors: Vec<LineError>,
    /// Whether there is more that is wrong with it.
    pub more: bool,
}

/// What an import of a directory did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryReport {
    /// What the files that were taken did together.
    pub summary: ImportSummary,
    /// Every file that was read, by name.
    pub files: Vec<FileReport>,
    /// Files that are neither CSV nor NDJSON by their names.
    pub passed_over: Vec<String>,
}

impl DirectoryReport {
    /// Whether every file is in the record.
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.errors.is_empty())
    }
}

/// Tells how far the reading is: bytes read, bytes in all.
pub type Progress<'a> = dyn Fn(u64, u64) + 'a;

impl Embedded {
    /// Imports every `.csv` (named after its table; digits and signs around it do not count: `2026-11-orders.csv`) and
    /// every `.ndjson`, `.jsonl` or `.json` of a directory, but not of directories in it.
    ///
    /// # Errors
    /// What the system or SQLite says; then nothing was imported. Mistakes in files are in the report.
    pub fn import_directory(
        &self,
        directory: &Path,
        now: Timestamp,
        progress: &Progress<'_>,
    ) -> Result<DirectoryReport, IssuanceError> {
        let (inputs, passed_over) =
            list(directory).map_err(|source| IssuanceError::File { path: directory.to_path_buf(), source })?;
        let done = self.import_inputs(&inputs, now, progress)?;
        Ok(DirectoryReport { passed_over, ..done })
    }

    fn import_inputs(
        &self,
        inputs: &[Input],
        now: Timestamp,
        progress: &Progress<'_>,
    ) -> Result<DirectoryReport, IssuanceError> {
        let fault = |error| schema::error(self.path(), error);
        let mut connection = schema::connect(self.path())?;
        // The staging table is temporary, so this transaction locks nothing while the files are read.
        let reading = connection.transaction().map_err(fault)?;
        let names = inputs.iter().map(|input| input.name.clone()).collect();
        let mut staging = Staging::of_files(&reading, names).map_err(fault)?;
        let mut errors: Vec<Vec<LineError>> = vec![Vec::new(); inputs.len()];
        let total_bytes = inputs.iter().map(|input| input.bytes).sum();
        let mut before_bytes = 0;
        for (number, input) in inputs.iter().enumerate() {
            staging.begin(number);
            let format = match input.format() {
                Ok(format) => format,
                Err(reason) => {
                    staging.refuse(1, None, reason);
                    continue;
                }
            };
            let told = |bytes| progress(before_bytes + bytes, total_bytes);
            let read = File::open(&input.path).map_err(Fault::Read).and_then(|file| {
                lines::read(&mut BufReader::new(Counted { file, bytes: 0, told: &told }), format, &mut staging)
            });
            before_bytes += input.bytes;
            match read {
                Ok(()) => {}
                Err(Fault::Read(error)) => staging.refuse(1, None, format!("cannot be read: {error}")),
                Err(Fault::Store(error)) => return Err(fault(error)),
            }
        }
        loop {
            let complaints = staging.complaints().map_err(fault)?;
            if complaints.is_empty() {
                break;
            }
            let mut bad = Vec::new();
            for (error, _) in complaints {
                let (file, line) = Staging::place(error.line);
                errors[file].push(LineError { line, ..error });
                bad.push(file);
            }
            bad.sort_unstable();
            bad.dedup();
            bad.into_iter().try_for_each(|file| staging.leave_out(file)).map_err(fault)?;
        }
        let mut files = Vec::new();
        for (number, (input, mut errors)) in inputs.iter().zip(errors).enumerate() {
            errors.sort();
            let more = errors.len() > ERROR_LIMIT;
            errors.truncate(ERROR_LIMIT);
            let rows = staging.rows_of(number).map_err(fault)?;
            files.push(FileReport { name: input.name.clone(), rows, errors, more });
        }
        let fed = staging.tables();
        drop(staging);
        reading.commit().map_err(fault)?;
        let writing = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
        let summary = import::merge(&writing, &fed, now).map_err(fault)?;
        writing.commit().map_err(fault)?;
        Ok(DirectoryReport { summary, files, passed_over: Vec::new() })
    }
}

struct Input {
    path: PathBuf,
    name: String,
    bytes: u64,
    csv: bool,
}

impl Input {
    fn format(&self) -> Result<Format, String> {
        if !self.csv {
            return Ok(Format::Ndjson(None));
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let bare = stem.trim_matches(|c: char| !c.is_ascii_alphabetic());
        match tables::table(bare) {
            Some(table) => Ok(Format::Csv(table)),
            None => Err(format!("its name is that of no table: name it after one of {}", tables::names())),
        }
    }
}

/// The files to import by name, and the names of the others.
fn list(directory: &Path) -> io::Result<(Vec<Input>, Vec<String>)> {
    let (mut inputs, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = std::fs::metadata(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !metadata.is_file() || name.starts_with('.') {
            continue;
        }
        let name = escape(name.as_bytes(), 200);
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "ndjson" | "jsonl" | "json" => {
                inputs.push(Input { path, name, bytes: metadata.len(), csv: extension == "csv" });
            }
            _ => others.push(name),
        }
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    others.sort();
    Ok((inputs, others))
}

/// Tells how much of a file was read.
struct Counted<'a> {
    file: File,
    bytes: u64,
    told: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        (self.told)(self.bytes);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    fn import(files: &[(&str, &str)]) -> (tempfile::TempDir, Embedded, DirectoryReport) {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("written");
        }
        let record = Embedded::open(&directory.path().join("data")).expect("a database");
        let report = again(&directory, &record);
        (directory, record, report)
    }

    fn again(directory: &tempfile::TempDir, record: &Embedded) -> DirectoryReport {
        record.import_directory(directory.path(), date(2026, 11, 22), &|_, _| {}).expect("imported")
    }

    fn told(report: &DirectoryReport) -> Vec<String> {
        let errors = |file: &FileReport| file.errors.iter().map(|e| format!("{}: {e}", file.name)).collect::<Vec<_>>();
        report.files.iter().flat_map(errors).collect()
    }

    const ACCOUNTS: (&str, &str) = ("~accounts-2.csv", "account_id,kind\na,cdn\n");
    const APPLICANTS: (&str, &str) =
        ("a.ndjson", "{\"table\":\"applicants\",\"applicant_id\":\"p\",\"account_id\":\"a\"}\n");

    #[test]
    fn parents_come_first_whatever_the_files_are_called() {
        // Each of the first two names a row of the other.
        let both = (
            "b.jsonl",
            "{\"table\":\"accounts\",\"account_id\":\"b\",\"kind\":\"cdn\"}\n\
            {\"table\":\"orders\",\"order_id\":\"o\",\"applicant_id\":\"q\",\"channel\":\"api\",\"vtype\":\"DV\",\
             \"hierarchy\":\"public\",\"created_at\":1}\n",
        );
        let other = ("c.json", "{\"table\":\"applicants\",\"applicant_id\":\"q\",\"account_id\":\"b\"}\n");
        let (directory, record, report) = import(&[ACCOUNTS, APPLICANTS, both, other, ("notes.txt", "x")]);
        assert_eq!((told(&report), report.summary.inserted), (vec![], 5));
        assert_eq!((report.files.len(), &report.passed_over[..]), (4, &["notes.txt".to_string()][..]));
        assert!(report.is_whole());
        let report = again(&directory, &record);
        assert_eq!((report.summary.inserted, report.summary.unchanged), (0, 5), "the same again changes nothing");
    }

    #[test]
    fn a_bad_file_is_refused_with_its_children_and_the_others_stay() {
        let bad = ("accounts.csv", "account_id,kind\nc,cdn\nd,odd\n");
        let child = ("child.ndjson", "{\"table\":\"applicants\",\"applicant_id\":\"r\",\"account_id\":\"c\"}\n");
        let strange = ("strange.csv", "a\n1\n");
        let (directory, record, report) = import(&[ACCOUNTS, APPLICANTS, bad, child, strange]);
        let said = told(&report);
        let kinds = "accounts.csv: line 3: column kind: \"odd\" is none of direct, enterprise, reseller, cdn";
        assert_eq!(said[0], kinds);
        assert_eq!(said[1], "child.ndjson: line 1: column account_id: there is no c in accounts");
        assert!(said[2].starts_with("strange.csv: line 1: its name is that of no table: name it after"), "{said:?}");
        assert_eq!((said.len(), report.summary.inserted, report.is_whole()), (3, 2, false));
        // What is mended comes in, with what hung on it.
        std::fs::write(directory.path().join("accounts.csv"), "account_id,kind\nc,cdn\n").expect("written");
        let report = again(&directory, &record);
        assert_eq!((told(&report).len(), report.summary.inserted, report.summary.unchanged), (1, 2, 2));
    }

    #[test]
    fn a_row_that_stands_differently_in_two_files_is_told_with_both() {
        let other = ("accounts.csv", "account_id,kind\na,direct\n");
        let (_directory, _record, report) = import(&[ACCOUNTS, other]);
        let expected = "~accounts-2.csv: line 2: column account_id: the same row of accounts stands differently in \
                        line 2 of accounts.csv";
        assert_eq!((told(&report), report.summary.inserted), (vec![expected.to_string()], 1));
    }

    #[test]
    fn a_table_whose_only_file_was_refused_was_not_fed() {
        let (_directory, record, report) = import(&[ACCOUNTS, ("approvals.csv", "order_id,step\n")]);
        assert!(!report.is_whole());
        let standing = record.standing().expect("an answer").to_string();
        assert!(standing.contains("\"accounts\"") && !standing.contains("approvals"), "{standing}");
    }
}
