//! The lists of weak and of compromised keys, read line by line: a list of millions is never in memory as text.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::DaemonError;
use crate::clock::Timestamp;
use crate::lint::KeyLists;
use crate::lint::key_list::LineError;

/// Longest line of a list, in octets.
const MAX_LINE_BYTES: u64 = 4096;

/// Reads lists of weak keys and lists of compromised keys.
///
/// # Errors
/// [`DaemonError::KeyList`] with file and line: a list of which half is read would let the other half pass.
pub fn read(weak: &[PathBuf], compromised: &[PathBuf]) -> Result<KeyLists, DaemonError> {
    let (mut lists, mut as_of) = (KeyLists::default(), None);
    let weak = weak.iter().map(|path| (path, KeyLists::weak_line as fn(&mut KeyLists, &[u8]) -> _));
    let compromised =
        compromised.iter().map(|path| (path, KeyLists::compromised_line as fn(&mut KeyLists, &[u8]) -> _));
    for (path, take) in weak.chain(compromised) {
        as_of = as_of.max(read_one(path, |line| take(&mut lists, line))?);
    }
    Ok(lists.finish(as_of))
}

/// Reads one list; the time when the file was last changed.
fn read_one(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<Option<Timestamp>, DaemonError> {
    let refused = |line: Option<usize>, reason: String| DaemonError::KeyList { path: path.to_path_buf(), line, reason };
    let file = File::open(path).map_err(|e| refused(None, format!("cannot be read ({e}); let this user read it")))?;
    let changed = file.metadata().ok().and_then(|about| about.modified().ok());
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let length = length.map_err(|e| refused(Some(number), format!("cannot be read ({e}); give a file")))?;
        if length == 0 {
            break;
        }
        if length as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            return Err(refused(
                Some(number),
                format!("is longer than {MAX_LINE_BYTES} octets; write one hash per line"),
            ));
        }
        take(&line).map_err(|error| refused(Some(number), error.to_string()))?;
    }
    Ok(changed.map(Timestamp::from_system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let weak = write("weak", &format!("# list\n{}\n00005890bc78bcbee3ca", "ab".repeat(32)));
        let own = write("own", &format!("{} sent by its owner\n", "cd".repeat(32)));
        let lists = read(std::slice::from_ref(&weak), std::slice::from_ref(&own)).expect("well formed");
        assert_eq!((lists.weak_count(), lists.compromised_count()), (2, 1));
        assert!(lists.as_of().is_some());
        for (text, said) in [
            ("\n\nxyz\n", "line 3: does not begin with hexadecimal digits; write a hash"),
            ("00ff\n", "line 1: begins with 4 hexadecimal digits; write 64"),
            (&" ".repeat(5000), "line 1: is longer than 4096 octets"),
        ] {
            let bad = write("bad", text);
            let error = read(&[weak.clone(), bad], &[]).expect_err(said).to_string();
            assert!(error.contains("bad") && error.contains(said), "{error}");
        }
        let error = read(&[], &[folder.path().join("absent"), own]).expect_err("absent").to_string();
        assert!(error.contains("absent: cannot be read"), "{error}");
        assert!(read(&[folder.path().to_path_buf()], &[]).is_err());
    }
}
