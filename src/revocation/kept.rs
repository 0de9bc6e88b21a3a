//! The last good CRL of a URL, kept in a file of its own: a CRL of a large CA has 100 MB, and its entries are read from
//! here piece by piece.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body::{Body, Der};
use crate::cert::crl::{CrlError, Revoked, first_entry};

/// What is read of a file at once, in bytes; an entry has some forty.
const PIECE: usize = 256 << 10;
/// The longest label, in bytes.
const LONGEST_LABEL: usize = 16 << 10;

/// What stands before the bytes of a CRL, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    /// Where it came from.
    pub(super) url: String,
    /// What its server calls this state of it.
    pub(super) etag: Option<String>,
    /// SHA-256 of the DER.
    pub(super) sha256: [u8; 32],
}

/// The folder of the files.
#[derive(Clone, Debug)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn new(directory: PathBuf) -> Shelf {
        Shelf(directory)
    }

    fn path(&self, url: &str) -> PathBuf {
        self.0.join(format!("{}.crl", hex::encode(Sha256::digest(url))))
    }

    /// The label of what is kept of a URL, with which its server can be asked for something newer.
    pub(super) fn label(&self, url: &str) -> Option<Label> {
        let mut file = File::open(self.path(url)).ok()?;
        label(&mut file, url).map(|(label, _)| label)
    }

    /// What is kept of a URL, and the hash that it had; none when it is longer than `limit_bytes`.
    pub(super) fn der(&self, url: &str, limit_bytes: usize) -> Option<(Der, [u8; 32])> {
        let mut file = File::open(self.path(url)).ok()?;
        let (label, start) = label(&mut file, url)?;
        let end = file.metadata().ok()?.len();
        let length = usize::try_from(end.checked_sub(start)?).ok()?;
        (length <= limit_bytes).then(|| (Der::new(file, start..end), label.sha256))
    }

    /// The files for a CRL of a URL that is about to come.
    pub(super) fn body(&self, url: &str) -> io::Result<Body> {
        fs::create_dir_all(&self.0)?;
        Ok(Body::beside(&self.path(url)))
    }

    /// Keeps a CRL in the place of the one before it. What a power cut leaves behind is told by its hash.
    pub(super) fn keep(&self, label: &Label, der: &mut Der) -> io::Result<()> {
        let path = self.path(&label.url);
        let begun = path.with_extension("new");
        let mut line = serde_json::to_vec(label)?;
        line.push(b'\n');
        let mut written = || {
            let mut file = File::create(&begun)?;
            file.write_all(&line)?;
            der.copy_to(&mut file)?;
            fs::rename(&begun, &path)
        };
        written().inspect_err(|_| drop(fs::remove_file(&begun)))
    }

    /// The entries of the CRL that is kept of a URL.
    pub(super) fn entries(&self, url: &str, sha256: [u8; 32], at: Range<usize>) -> Option<Entries> {
        let path = self.path(url);
        let (label, start) = label(&mut File::open(&path).ok()?, url)?;
        let at = start + at.start as u64..start + at.end as u64;
        (label.sha256 == sha256).then_some(Entries { path, at })
    }

    /// Removes what is kept of other URLs than these.
    pub(super) fn forget_others(&self, urls: &[String]) {
        let known: Vec<PathBuf> = urls.iter().map(|url| self.path(url)).collect();
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.map(|file| file.path()).filter(|path| !known.contains(path)).for_each(|path| drop(fs::remove_file(path)));
    }
}

/// The label of a file, and where the DER begins.
fn label(file: &mut File, url: &str) -> Option<(Label, u64)> {
    let mut head = Vec::new();
    file.take(LONGEST_LABEL as u64).read_to_end(&mut head).ok()?;
    let end = head.iter().position(|octet| *octet == b'\n')?;
    let label: Label = serde_json::from_slice(&head[..end]).ok()?;
    (label.url == url).then_some((label, end as u64 + 1))
}

/// The entries of a CRL in a file.
#[derive(Clone, Debug)]
pub struct Entries {
    path: PathBuf,
    /// Where they stand in it.
    at: Range<u64>,
}

impl Entries {
    /// Begins to read them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(&self) -> io::Result<EntryReader> {
        EntryReader::over(File::open(&self.path)?, self.at.clone())
    }

    /// The file they stand in.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads entries one after the other: [`EntryReader::next`] until there is none, then [`EntryReader::advance`].
#[derive(Debug)]
pub struct EntryReader {
    file: File,
    /// What was not read from the file yet, in bytes.
    left: u64,
    piece: Vec<u8>,
    /// How much of the piece was given.
    read: usize,
}

impl EntryReader {
    /// Of the entries that stand there in a file.
    pub(super) fn over(mut file: File, at: Range<u64>) -> io::Result<EntryReader> {
        file.seek(SeekFrom::Start(at.start))?;
        Ok(EntryReader { file, left: at.end - at.start, piece: Vec::with_capacity(PIECE), read: 0 })
    }

    /// The next entry of the piece at hand; `None` when there is none in it.
    ///
    /// # Errors
    /// When what stands there is no entry.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Revoked<'_>>, CrlError> {
        let found = first_entry(&self.piece[self.read..])?;
        Ok(found.map(|(revoked, length)| {
            self.read += length;
            revoked
        }))
    }

    /// Reads the next piece from the file, which takes as long as the disk does. Whether there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or what is left of the piece before is no entry.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.piece.drain(..self.read);
        self.read = 0;
        let most = (PIECE - self.piece.len()).min(usize::try_from(self.left).unwrap_or(PIECE));
        if most == 0 {
            let cut = || io::Error::new(io::ErrorKind::InvalidData, "an entry has no end");
            return if self.piece.is_empty() { Ok(false) } else { Err(cut()) };
        }
        let old = self.piece.len();
        self.piece.resize(old + most, 0);
        self.file.read_exact(&mut self.piece[old..])?;
        self.left -= most as u64;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::der::encode;

    fn entry(serial: u32) -> Vec<u8> {
        encode(0x30, &[encode(2, &serial.to_be_bytes()), encode(23, b"261101000000Z")].concat())
    }

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let directory = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::new(directory.path().join("crls"));
        (directory, shelf)
    }

    const URL: &str = "http://crl.example/1.crl";

    fn label_of(der: &[u8]) -> Label {
        Label { url: URL.to_string(), etag: Some("\"1\"".to_string()), sha256: Sha256::digest(der).into() }
    }

    fn keep(shelf: &Shelf, der: &[u8]) {
        let body = shelf.body(URL).expect("a folder");
        fs::write(body.wire(), der).expect("it came");
        shelf.keep(&label_of(der), &mut body.der(URL, false, der.len()).expect("as it is")).expect("kept");
    }

    /// What is kept, and whether it is what it was.
    fn kept(shelf: &Shelf, limit_bytes: usize) -> Option<bool> {
        let (mut der, sha256) = shelf.der(URL, limit_bytes)?;
        Some(der.read(|_, now| now == sha256).expect("readable"))
    }

    fn read(shelf: &Shelf, der: &[u8], at: Range<usize>) -> Result<Vec<Vec<u8>>, String> {
        let entries = shelf.entries(URL, Sha256::digest(der).into(), at).expect("kept");
        let mut reader = entries.open().expect("a file");
        let mut serials = Vec::new();
        while reader.advance().map_err(|error| error.to_string())? {
            while let Some(entry) = reader.next().map_err(|error| error.to_string())? {
                serials.push(entry.serial.to_vec());
            }
        }
        Ok(serials)
    }

    #[test]
    fn entries_are_read_across_the_ends_of_the_pieces() {
        let (_directory, shelf) = shelf();
        let (first, count) = (0x0100_0000_u32, 40_000);
        let body: Vec<u8> = (first..first + count).flat_map(entry).collect();
        assert!(body.len() > 3 * PIECE, "{}", body.len());
        let der = [b"head".as_slice(), &body, b"tail"].concat();
        keep(&shelf, &der);
        assert_eq!(shelf.label(URL), Some(label_of(&der)));
        assert_eq!(kept(&shelf, der.len()), Some(true));
        assert_eq!(kept(&shelf, der.len() - 1), None, "larger than what is read");
        let serials = read(&shelf, &der, 4..4 + body.len()).expect("entries");
        let expected: Vec<Vec<u8>> = (first..first + count).map(|serial| serial.to_be_bytes().to_vec()).collect();
        assert_eq!(serials, expected);
        assert_eq!(read(&shelf, &der, 4..4), Ok(vec![]));
        // A cut list of entries is an error, and so is what is none.
        assert!(read(&shelf, &der, 4..3 + body.len()).expect_err("cut").contains("no end"));
        assert!(read(&shelf, &der, 0..body.len()).is_err());
    }

    #[test]
    fn what_was_cut_or_is_of_another_url_is_not_there() {
        let (_directory, shelf) = shelf();
        keep(&shelf, b"good");
        let path = shelf.path(URL);
        let bytes = fs::read(&path).expect("it");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
        assert_eq!(kept(&shelf, 100), Some(false));
        fs::write(&path, b"{}").expect("written");
        assert_eq!((shelf.label(URL), kept(&shelf, 100)), (None, None));
        keep(&shelf, b"good");
        fs::rename(&path, shelf.path("http://crl.example/2.crl")).expect("renamed");
        assert_eq!(shelf.label("http://crl.example/2.crl"), None);
        keep(&shelf, b"good");
        shelf.forget_others(&[URL.to_string()]);
        assert_eq!(fs::read_dir(&shelf.0).expect("a folder").count(), 1);
        assert!(shelf.label(URL).is_some());
        assert!(shelf.entries(URL, [0; 32], 0..1).is_none(), "another CRL of this URL");
    }
}
