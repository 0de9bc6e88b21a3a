//! Files, folders and standard input as a stream of certificates, in the order in which they were named.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cert::pem::{Block, Splitter};
use crate::finding::escape;

/// How much is read at once, in octets.
const PIECE_BYTES: usize = 256 << 10;
/// Names of a folder that are sorted together: one with more is read in the order of its pieces, so that a folder of millions
/// needs no list of millions.
const SORTED: usize = 65_536;
/// Most folders within folders; a loop of mounts would have no end.
const MAX_DEPTH: usize = 64;
/// Most names of things that could not be read that are kept.
const MAX_NAMED: usize = 100;
/// What is written for standard input.
const STDIN: &str = "-";

/// A certificate of a file, or why there is none in its place.
pub struct Item {
    /// The file as it was named or found.
    pub file: Arc<PathBuf>,
    /// Its place in the file, from 0.
    pub index: usize,
    /// The DER.
    pub block: Block,
}

/// The reader is gone: nobody wants more.
pub struct Gone;

/// What could not be read, each with its reason and remedy.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// The first of them.
    pub named: Vec<String>,
    /// How many more there were.
    pub more: usize,
}

impl Unreadable {
    /// Notes it and passes it over.
    fn pass(&mut self, path: &Path, error: &dyn std::fmt::Display) -> Result<(), Gone> {
        if self.named.len() < MAX_NAMED {
            let remedy = "give files or folders of PEM or DER certificates that this user may read";
            self.named.push(format!("cannot read {}: {error}; {remedy}", shown(path)));
        } else {
            self.more += 1;
        }
        Ok(())
    }
}

/// A path, safe to print.
pub fn shown(path: &Path) -> String {
    escape(path.to_string_lossy().as_bytes(), 1000)
}

/// Hands every certificate of every path on, folders with all that is in them. What cannot be read is noted and passed over.
///
/// # Errors
/// [`Gone`] when `take` says so.
pub fn read(
    paths: &[PathBuf],
    unreadable: &mut Unreadable,
    take: &mut dyn FnMut(Item) -> Result<(), Gone>,
) -> Result<(), Gone> {
    for path in paths {
        if path.as_os_str() == STDIN {
            stream(path, &mut io::stdin().lock(), unreadable, take)?;
            continue;
        }
        let (mut taken, before) = (false, unreadable.named.len() + unreadable.more);
        let mut one = |item: Item| {
            taken = true;
            take(item)
        };
        enter(path, 0, unreadable, &mut one)?;
        // Whoever names the wrong folder must not read from the exit code that all is well.
        if !taken && unreadable.named.len() + unreadable.more == before {
            unreadable.pass(path, &"no file is in it")?;
        }
    }
    Ok(())
}

fn enter(
    path: &Path,
    depth: usize,
    unreadable: &mut Unreadable,
    take: &mut dyn FnMut(Item) -> Result<(), Gone>,
) -> Result<(), Gone> {
    // A link is followed when it was named, or when it leads to a file.
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => return unreadable.pass(path, &error),
    };
    if about.is_file() {
        return match File::open(path) {
            Ok(mut file) => stream(path, &mut file, unreadable, take),
            Err(error) => unreadable.pass(path, &error),
        };
    }
    if !about.is_dir() {
        return unreadable.pass(path, &"it is neither a file nor a folder");
    }
    if depth > 0 && fs::symlink_metadata(path).is_ok_and(|link| link.is_symlink()) {
        return Ok(());
    }
    if depth >= MAX_DEPTH {
        return unreadable.pass(path, &format!("it lies {MAX_DEPTH} folders deep"));
    }
    let mut entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return unreadable.pass(path, &error),
    };
    loop {
        let mut names = Vec::new();
        for entry in entries.by_ref().take(SORTED) {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => unreadable.pass(path, &error)?,
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        names.sort();
        for name in names {
            enter(&path.join(name), depth + 1, unreadable, take)?;
        }
    }
}

fn stream(
    path: &Path,
    source: &mut dyn Read,
    unreadable: &mut Unreadable,
    take: &mut dyn FnMut(Item) -> Result<(), Gone>,
) -> Result<(), Gone> {
    let file = Arc::new(path.to_path_buf());
    let mut index = 0;
    let mut give = |blocks: Vec<Block>| {
        for block in blocks {
            take(Item { file: file.clone(), index, block })?;
            index += 1;
        }
        Ok(())
    };
    let mut splitter = Splitter::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return give(splitter.finish()),
            Ok(length) => give(splitter.push(&piece[..length]))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return unreadable.pass(path, &error),
        }
    }
}
