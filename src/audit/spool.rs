//! Rows until their part is judged, in blocks that belong to one part each: in memory as far as there is room, the rest
//! on disk, in one file per thread and table.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::AuditError;
use crate::audit::facts::NO_MOMENT;
use crate::audit::key::{PARTS, Place};

/// The place of the rows that belong to every part.
const EVERY: usize = PARTS as usize;

/// How many bytes of rows may still stay in memory, of all writers together.
pub(super) type Room = Arc<AtomicU64>;

/// Takes rows of one table from one thread.
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    at: u64,
    buffers: Vec<Vec<u8>>,
    blocks: Vec<Vec<Block>>,
    /// About the most bytes of a block.
    block_bytes: usize,
    room: Room,
}

/// Rows of one place.
#[derive(Debug)]
enum Block {
    Kept(Vec<u8>),
    Filed { at: u64, bytes: usize },
}

/// What was written.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    blocks: Vec<Vec<Block>>,
}

fn fault(path: &Path) -> impl Fn(std::io::Error) -> AuditError {
    let path = path.to_path_buf();
    move |source| AuditError::File { path: path.clone(), source }
}

impl Writer {
    /// A new file, which only its owner may read.
    pub(super) fn create(path: PathBuf, block_bytes: usize, room: Room) -> Result<Writer, AuditError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(fault(&path))?;
        let buffers = (0..=EVERY).map(|_| Vec::with_capacity(block_bytes)).collect();
        let blocks = (0..=EVERY).map(|_| Vec::new()).collect();
        Ok(Writer { path, file, at: 0, buffers, blocks, block_bytes, room })
    }

    /// Keeps a row that `write` appends.
    pub(super) fn put(&mut self, place: Place, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), AuditError> {
        let place = match place {
            Place::Part(part) => part as usize,
            Place::Every => EVERY,
        };
        write(&mut self.buffers[place]);
        // Most rows find place in what is left then, so that no buffer has to grow.
        let full = self.buffers[place].len() >= self.block_bytes - self.block_bytes / 16;
        if full { self.flush(place, self.block_bytes) } else { Ok(()) }
    }

    /// Makes a block of what is in a buffer; where that stays in memory, one for so many bytes takes its place.
    fn flush(&mut self, place: usize, bytes: usize) -> Result<(), AuditError> {
        let buffer = &mut self.buffers[place];
        let takes = buffer.capacity() as u64;
        let stays = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(takes));
        let block = match stays {
            Ok(_) => Block::Kept(std::mem::replace(buffer, Vec::with_capacity(bytes))),
            Err(_) => {
                self.file.write_all(buffer).map_err(fault(&self.path))?;
                let filed = Block::Filed { at: self.at, bytes: buffer.len() };
                self.at += buffer.len() as u64;
                buffer.clear();
                filed
            }
        };
        self.blocks[place].push(block);
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<Spool, AuditError> {
        for place in (0..=EVERY).filter(|place| !self.buffers[*place].is_empty()).collect::<Vec<_>>() {
            self.buffers[place].shrink_to_fit();
            self.flush(place, 0)?;
        }
        Ok(Spool { path: self.path, file: self.file, blocks: self.blocks })
    }
}

impl Spool {
    fn of(&self, part: u32) -> impl Iterator<Item = &Block> {
        self.blocks[part as usize].iter().chain(&self.blocks[EVERY])
    }

    /// How many bytes a part has.
    pub(super) fn bytes(&self, part: u32) -> u64 {
        let bytes = |block: &Block| match block {
            Block::Kept(rows) => rows.len() as u64,
            Block::Filed { bytes, .. } => *bytes as u64,
        };
        self.of(part).map(bytes).sum()
    }

    /// Gives the rows of a part block by block, then those that belong to every part.
    pub(super) fn each_block(&self, part: u32, each: &mut dyn FnMut(&[u8])) -> Result<(), AuditError> {
        let mut read = Vec::new();
        for block in self.of(part) {
            match block {
                Block::Kept(rows) => each(rows),
                Block::Filed { at, bytes } => {
                    read.clear();
                    self.append(*at, *bytes, &mut read)?;
                    each(&read);
                }
            }
        }
        Ok(())
    }

    /// As [`Spool::each_block`], at the end of `rows`: `look` keeps of each block what it likes.
    pub(super) fn append_blocks(
        &self,
        part: u32,
        rows: &mut Vec<u8>,
        look: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Result<(), AuditError> {
        for block in self.of(part) {
            match block {
                Block::Kept(kept) => rows.extend_from_slice(kept),
                Block::Filed { at, bytes } => self.append(*at, *bytes, rows)?,
            }
            look(rows);
        }
        Ok(())
    }

    fn append(&self, at: u64, bytes: usize, rows: &mut Vec<u8>) -> Result<(), AuditError> {
        let before = rows.len();
        rows.resize(before + bytes, 0);
        self.file.read_exact_at(&mut rows[before..], at).map_err(fault(&self.path))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nothing is lost when it stays: the next run writes it anew.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Reads what the rows hold.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    pub(super) fn number(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
    pub(super) fn small(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    pub(super) fn smalls<const N: usize>(&mut self) -> Option<[u32; N]> {
        let (head, rest) = self.0.split_at_checked(4 * N)?;
        self.0 = rest;
        let (chunks, _) = head.as_chunks();
        Some(std::array::from_fn(|at| u32::from_le_bytes(chunks[at])))
    }
    pub(super) fn moments<const N: usize>(&mut self) -> Option<[i64; N]> {
        let (head, rest) = self.0.split_at_checked(MOMENT * N)?;
        self.0 = rest;
        let (chunks, _) = head.as_chunks::<MOMENT>();
        Some(std::array::from_fn(|at| match chunks[at] {
            NEVER => NO_MOMENT,
            [a, b, c, d, e] => i64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
        }))
    }
    pub(super) fn text(&mut self) -> Option<&'b [u8]> {
        let length = self.small()?;
        self.octets(length)
    }
    pub(super) fn octets(&mut self, length: u32) -> Option<&'b [u8]> {
        let (text, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(text)
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_small(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_smalls<const N: usize>(out: &mut Vec<u8>, numbers: [u32; N]) {
    out.extend_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
}

/// The octets of a moment: those of the feed end with the year 9999.
const MOMENT: usize = 5;
const NEVER: [u8; MOMENT] = [0xff; MOMENT];

/// Moments from 1970 to 9999, or [`NO_MOMENT`].
pub(super) fn put_moments<const N: usize>(out: &mut Vec<u8>, moments: [i64; N]) {
    let octets = moments.map(|moment| match moment.to_le_bytes() {
        [a, b, c, d, e, 0, 0, 0] => [a, b, c, d, e],
        _ => NEVER,
    });
    out.extend_from_slice(octets.as_flattened());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_small(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_part_by_part_and_the_file_goes() {
        // In memory, on disk, and some here, some there.
        for (room, filed) in [(u64::MAX, 0..1), (0, 5_000..5_200), (2_000, 3_000..4_500)] {
            let directory = tempfile::tempdir().expect("a directory");
            come_back(directory.path().join("names"), Arc::new(AtomicU64::new(room)), filed);
        }
    }

    fn come_back(path: PathBuf, room: Room, filed: std::ops::Range<u64>) {
        let mut writer = Writer::create(path.clone(), 40, room).expect("a file");
        for n in 0..100_u32 {
            let place = if n == 50 { Place::Every } else { Place::Part(n % 3) };
            writer
                .put(place, |out| {
                    put_small(out, n);
                    put_smalls(out, [n, u32::MAX]);
                    put_moments(out, [NO_MOMENT, 0, 253_402_300_799, i64::from(n)]);
                    put_number(out, -i64::from(n));
                    put_text(out, &format!("name {n}"));
                })
                .expect("written");
        }
        let spool = writer.finish().expect("finished");
        let bytes = path.metadata().expect("a file").len();
        assert!(filed.contains(&bytes), "{bytes} not in {filed:?}");
        let mut seen = Vec::new();
        spool
            .each_block(1, &mut |block| {
                let mut fields = Fields(block);
                while let Some(n) = fields.small() {
                    assert_eq!(fields.smalls(), Some([n, u32::MAX]));
                    assert_eq!(fields.moments(), Some([NO_MOMENT, 0, 253_402_300_799, i64::from(n)]));
                    assert_eq!(
                        (fields.number(), fields.text()),
                        (Some(-i64::from(n)), Some(format!("name {n}").as_bytes()))
                    );
                    seen.push(n);
                }
            })
            .expect("read");
        let expected: Vec<u32> = (0..100).filter(|n| n % 3 == 1 && *n != 50).chain([50]).collect();
        assert_eq!(seen, expected);
        assert!(spool.bytes(1) > spool.bytes(200));
        drop(spool);
        assert!(!path.exists());
    }
}
