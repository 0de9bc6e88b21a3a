//! The cache of things that were fetched and can be fetched again: issuer certificates, lists, CRLs.
//!
//! Nothing here is needed: whoever misses a value fetches it. sled 0.34 may lose, damage or refuse its own files after
//! a power cut, so every failure ends the same way: the directory is moved aside, an empty one takes its place, and
//! [`Cache::take_incidents`] has a sentence for the log. Where not even that works, there is no cache for an hour.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::clock::{Clock, HOUR, Timestamp};
use crate::finding::escape;

/// The longest value that is kept, in bytes.
pub const VALUE_LIMIT_BYTES: usize = 16 << 20;
/// The longest key, in bytes.
pub const KEY_LIMIT_BYTES: usize = 1024;

/// Damaged caches that are kept for study; older ones are deleted.
const KEPT_ASIDE: usize = 2;
/// Incidents that are kept until someone takes them.
const INCIDENT_LIMIT: usize = 100;
/// What sled may keep in memory, in bytes; it would take 1 GiB.
const MEMORY_BYTES: u64 = 32 << 20;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An issuer certificate, DER; the key is the SHA-256 of it.
    Issuer,
    /// The last good log list; the key is where it came from.
    LogList,
    /// The last good log list with its signature; the key is where the list came from.
    SignedLogList,
    /// The last good list of top-level domains or registry of them; the key is where it came from.
    TldList,
    /// The last good public suffix list; the key is where it came from.
    SuffixList,
    /// A certificate revocation list; the key is its URL.
    Crl,
}

impl Kind {
    /// The first byte of a key on disk; never given to another kind.
    const fn prefix(self) -> u8 {
        match self {
            Kind::Issuer => 1,
            Kind::LogList => 2,
            Kind::TldList => 3,
            Kind::SuffixList => 4,
            Kind::Crl => 5,
            Kind::SignedLogList => 6,
        }
    }
}

/// The cache. All calls block on the disk; clones are not needed, share it by `Arc`.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None`: there is no cache until `retry_at`.
    open: Option<sled::Db>,
    retry_at: Timestamp,
    /// When the directory was last moved aside.
    moved_at: Option<Timestamp>,
    incidents: Vec<String>,
    incident_count: u64,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    /// Its files are not what was written: they are moved aside.
    #[error("{0}")]
    Damaged(String),
    /// Its files may be good, but cannot be used now: another process has them, the disk is full or read-only.
    #[error("{0}")]
    Unusable(String),
}

impl Cache {
    /// Opens the cache in its own directory, or makes it. Never fails: see [`Cache::take_incidents`].
    pub fn open(directory: &Path, clock: Clock) -> Cache {
        let empty =
            State { open: None, retry_at: Timestamp::EPOCH, moved_at: None, incidents: vec![], incident_count: 0 };
        let cache = Cache { directory: directory.to_path_buf(), clock, state: Mutex::new(empty) };
        cache.reopen(&mut cache.lock());
        cache
    }

    /// The value that was last put under this key, or `None`: then fetch it.
    pub fn get(&self, kind: Kind, key: &[u8]) -> Option<Vec<u8>> {
        let key = full_key(kind, key)?;
        self.with(|db| match db.get(&key)? {
            Some(stored) => unseal(&key, &stored).map(Some),
            None => Ok(None),
        })
        .flatten()
    }

    /// Keeps a value until the next power cut at least. A key or value beyond the limits is not kept.
    pub fn put(&self, kind: Kind, key: &[u8], value: &[u8]) {
        let Some(key) = full_key(kind, key).filter(|_| value.len() <= VALUE_LIMIT_BYTES) else { return };
        self.with(|db| {
            db.insert(&key, seal(&key, value))?;
            Ok(())
        });
    }

    /// What went wrong since the last call: sentences for the log.
    pub fn take_incidents(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().incidents)
    }

    /// How often something went wrong since the cache was opened.
    pub fn incident_count(&self) -> u64 {
        self.lock().incident_count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with sled. A panic of sled is damage like any other.
    fn with<T>(&self, act: impl FnOnce(&sled::Db) -> Result<T, CacheError>) -> Option<T> {
        let mut state = self.lock();
        let now = self.clock.now();
        // A clock that was put back must not make it wait longer.
        if state.open.is_none() && (now >= state.retry_at || now.plus(HOUR) < state.retry_at) {
            self.reopen(&mut state);
        }
        let done = guarded(|| act(state.open.as_ref()?).map(Some).transpose())?;
        done.map_err(|error| self.give_up(&mut state, error)).ok()
    }

    fn reopen(&self, state: &mut State) {
        match open_sled(&self.directory) {
            Ok(db) => state.open = Some(db),
            Err(error) => self.give_up(state, error),
        }
    }

    /// Closes what is open; moves damaged files aside and begins again, at most once an hour.
    fn give_up(&self, state: &mut State, error: CacheError) {
        let db = state.open.take();
        // sled writes once more when it is closed, and what is damaged may panic there too: it stays closed.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        let now = self.clock.now();
        state.retry_at = now.plus(HOUR);
        let shown = self.directory.display();
        let again = state.retry_at.minute();
        let moved_lately = state.moved_at.is_some_and(|at| now.since(at) < HOUR);
        let sentence = match error {
            CacheError::Unusable(reason) => format!(
                "the cache {shown} cannot be used ({reason}); everything is fetched anew until it is tried again at \
                 {again}; free the disk or end the other process"
            ),
            CacheError::Damaged(reason) if moved_lately => format!(
                "the cache {shown} is damaged again ({reason}); everything is fetched anew until it is tried again at \
                 {again}; check the disk"
            ),
            CacheError::Damaged(reason) => {
                state.moved_at = Some(now);
                match self.move_aside(now).map_err(|error| error.to_string()) {
                    Ok(aside) => {
                        let begun = open_sled(&self.directory);
                        let after = match &begun {
                            Ok(_) => "an empty one took its place".to_string(),
                            Err(error) => format!("and there is none until {again}, because {error}"),
                        };
                        state.open = begun.ok();
                        format!("the cache {shown} was damaged ({reason}) and moved to {}; {after}", aside.display())
                    }
                    Err(why) => format!(
                        "the cache {shown} is damaged ({reason}) and cannot be moved aside ({why}); everything is \
                         fetched anew until {again}; make its parent directory writable"
                    ),
                }
            }
        };
        state.incident_count += 1;
        if state.incidents.len() < INCIDENT_LIMIT {
            state.incidents.push(sentence);
        }
    }

    /// Renames the directory to `NAME.damaged-TIME` and deletes all but the newest of such.
    fn move_aside(&self, now: Timestamp) -> io::Result<PathBuf> {
        let parent = self.directory.parent().unwrap_or(Path::new("/"));
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!("{name}.damaged-");
        let aside = parent.join(format!("{prefix}{}", now.to_string().replace(':', "")));
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(&self.directory, &aside)?;
        let mut old: Vec<PathBuf> = fs::read_dir(parent)?.flatten().map(|entry| entry.path()).collect();
        old.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
        old.sort();
        for path in old.iter().rev().skip(KEPT_ASIDE) {
            fs::remove_dir_all(path)?;
        }
        Ok(aside)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let db = self.lock().open.take();
        // Closing is the last write; what it cannot write is fetched again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// Runs something of sled's; a panic becomes damage.
fn guarded<T>(act: impl FnOnce() -> Option<Result<T, CacheError>>) -> Option<Result<T, CacheError>> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        Some(Err(CacheError::Damaged(format!("sled gave up: {}", escape(text.as_bytes(), 200)))))
    })
}

fn open_sled(directory: &Path) -> Result<sled::Db, CacheError> {
    let opened = guarded(|| {
        let config = sled::Config::new().path(directory).cache_capacity(MEMORY_BYTES);
        Some(config.mode(sled::Mode::LowSpace).open().map_err(CacheError::from))
    });
    opened.unwrap_or_else(|| Err(CacheError::Damaged("sled did not answer".to_string())))
}

impl From<sled::Error> for CacheError {
    fn from(error: sled::Error) -> CacheError {
        let reason = escape(error.to_string().as_bytes(), 200);
        let damaged = match &error {
            // sled reports a lock that another process holds as `Other`.
            sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => false,
            sled::Error::Io(io) => !matches!(
                io.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
            ),
            _ => true,
        };
        if damaged { CacheError::Damaged(reason) } else { CacheError::Unusable(reason) }
    }
}

fn full_key(kind: Kind, key: &[u8]) -> Option<Vec<u8>> {
    (key.len() <= KEY_LIMIT_BYTES).then(|| [&[kind.prefix()], key].concat())
}

/// A value with the SHA-256 of its key and itself before it.
fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    [digest(key, value).as_slice(), value].concat()
}

fn unseal(key: &[u8], stored: &[u8]) -> Result<Vec<u8>, CacheError> {
    match stored.split_at_checked(32) {
        Some((sum, value)) if sum == digest(key, value) => Ok(value.to_vec()),
        _ => Err(CacheError::Damaged("a value is not what was written".to_string())),
    }
}

fn digest(key: &[u8], value: &[u8]) -> [u8; 32] {
    // The length keeps key and value apart: ("ab", "c") is not ("a", "bc").
    let length = (key.len() as u64).to_be_bytes();
    Sha256::new().chain_update(length).chain_update(key).chain_update(value).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    type Damage = Box<dyn Fn(&mut Vec<u8>)>;

    const COUNT: u32 = 120;

    /// Values from a few bytes to beyond one page, and one that sled keeps in a file of its own.
    fn value(n: u32) -> Vec<u8> {
        let length = if n == 7 { 600_000 } else { n as usize * 37 };
        n.to_be_bytes().into_iter().cycle().take(length + 4).collect()
    }

    fn clock() -> Clock {
        Clock::manual(date(2026, 11, 22))
    }

    fn filled(directory: &Path) {
        let cache = Cache::open(directory, clock());
        for n in 0..COUNT {
            cache.put(Kind::Issuer, &n.to_be_bytes(), &value(n));
        }
        assert_eq!(cache.take_incidents(), Vec::<String>::new());
        drop(cache);
        released(directory);
    }

    /// Waits until nobody holds the lock of a cache: a thread of sled's own lets go of it, a moment after the last handle.
    fn released(directory: &Path) {
        let lock = fs::File::open(directory.join("db")).expect("the file that sled locks");
        while lock.try_lock().is_err() {
            std::thread::yield_now();
        }
    }

    /// Every value is either right or missing, and new values are kept.
    fn usable(cache: &Cache, what: &str) -> usize {
        let mut right = 0;
        for n in 0..COUNT {
            if let Some(found) = cache.get(Kind::Issuer, &n.to_be_bytes()) {
                assert!(found == value(n), "{what}: a wrong value under {n}");
                right += 1;
            }
        }
        cache.put(Kind::Crl, b"new", b"value");
        assert_eq!(
            cache.get(Kind::Crl, b"new").as_deref(),
            Some(&b"value"[..]),
            "{what}: {:?}",
            cache.take_incidents()
        );
        right
    }

    fn asides(parent: &Path) -> usize {
        let names = fs::read_dir(parent).unwrap().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("cache.damaged-2026-11-22T")).count()
    }

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("deep/cache");
        filled(&directory);
        let cache = Cache::open(&directory, clock());
        assert_eq!(usable(&cache, "undamaged"), COUNT as usize);
        assert_eq!(cache.get(Kind::LogList, &3u32.to_be_bytes()), None, "kinds are apart");
        cache.put(Kind::Crl, b"long", &vec![1; VALUE_LIMIT_BYTES + 1]);
        cache.put(Kind::Crl, &[0; KEY_LIMIT_BYTES + 1], b"x");
        assert_eq!(cache.get(Kind::Crl, b"long"), None);
        assert_eq!(cache.get(Kind::Crl, &[0; KEY_LIMIT_BYTES + 1]), None);
        assert_eq!(cache.incident_count(), 0);
    }

    #[test]
    fn damage_anywhere_is_survived() {
        let place = tempfile::tempdir().unwrap();
        let good = place.path().join("good");
        filled(&good);
        let files: Vec<PathBuf> = files_under(&good);
        assert!(files.len() >= 3, "{files:?}");
        let mut moved = 0;
        for file in &files {
            let length = fs::metadata(good.join(file)).unwrap().len();
            // Cut in half, emptied, a bit changed in each of the first bytes, every sixth part overwritten.
            let mut damages: Vec<(String, Damage)> = vec![
                ("cut".into(), Box::new(|bytes| bytes.truncate(bytes.len() / 2))),
                ("emptied".into(), Box::new(Vec::clear)),
                ("bits".into(), Box::new(|bytes| bytes.iter_mut().take(5).for_each(|byte| *byte ^= 1))),
            ];
            for part in 0..6 {
                let at = (length * part / 6) as usize;
                for (name, pattern) in [("zeros", 0), ("ones", 0xff)] {
                    damages.push((
                        format!("{name} at {at}"),
                        Box::new(move |bytes| bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = pattern)),
                    ));
                }
            }
            for (name, damage) in damages {
                let here = tempfile::tempdir().unwrap();
                let directory = here.path().join("cache");
                copy(&good, &directory);
                let mut bytes = fs::read(directory.join(file)).unwrap();
                damage(&mut bytes);
                fs::write(directory.join(file), bytes).unwrap();
                let cache = Cache::open(&directory, clock());
                usable(&cache, &format!("{} {name}", file.display()));
                let incidents = cache.take_incidents();
                assert_eq!(incidents.len(), asides(here.path()), "{incidents:?}");
                assert_eq!(incidents.len() as u64, cache.incident_count());
                moved += incidents.len();
            }
        }
        assert!(moved > 0, "no damage was noticed at all");
    }

    #[test]
    fn a_value_that_was_changed_behind_our_back_is_never_returned() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        filled(&directory);
        let key = full_key(Kind::Issuer, &5u32.to_be_bytes()).unwrap();
        let db = open_sled(&directory).unwrap();
        let mut stored = db.get(&key).unwrap().unwrap().to_vec();
        stored[40] ^= 1;
        db.insert(&key, stored).unwrap();
        drop(db);
        released(&directory);
        let cache = Cache::open(&directory, clock());
        assert_eq!(cache.get(Kind::Issuer, &5u32.to_be_bytes()), None);
        let incidents = cache.take_incidents();
        assert_eq!(incidents.len(), 1);
        assert!(incidents[0].contains("a value is not what was written") && incidents[0].contains("an empty one"));
        assert_eq!((usable(&cache, "recreated"), asides(place.path())), (0, 1));
    }

    #[test]
    fn damage_twice_within_an_hour_rests_until_the_hour_is_over() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let clock = clock();
        let cache = Cache::open(&directory, clock.clone());
        let spoil =
            || cache.with(|db| db.insert(full_key(Kind::Crl, b"x").unwrap(), b"short").map_err(CacheError::from));
        for round in 0..5 {
            spoil();
            assert_eq!(cache.get(Kind::Crl, b"x"), None);
            cache.put(Kind::Crl, b"y", b"value");
            assert!(cache.get(Kind::Crl, b"y").is_some(), "round {round}: the first damage of the hour is mended");
            spoil();
            assert_eq!(cache.get(Kind::Crl, b"x"), None);
            assert_eq!(cache.get(Kind::Crl, b"y"), None, "round {round}: the second is not");
            let said = cache.take_incidents();
            assert!(said.len() == 2 && said[1].contains("is damaged again") && said[1].contains(":00Z"), "{said:?}");
            // The files still hold the short value, so the next hour begins with damage: remove it.
            clock.advance(HOUR);
            cache.with(|db| db.remove(full_key(Kind::Crl, b"x").unwrap()).map_err(CacheError::from));
            assert!(cache.get(Kind::Crl, b"y").is_some());
        }
        assert_eq!((cache.incident_count(), asides(place.path())), (10, KEPT_ASIDE));
    }

    #[test]
    fn a_cache_in_use_or_in_an_impossible_place_is_done_without() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let clock = clock();
        let first = Cache::open(&directory, clock.clone());
        let second = Cache::open(&directory, clock.clone());
        let said = second.take_incidents();
        assert!(said.len() == 1 && said[0].contains("cannot be used"), "{said:?}");
        second.put(Kind::Crl, b"k", b"v");
        assert_eq!((second.get(Kind::Crl, b"k"), asides(place.path())), (None, 0));
        drop(first);
        released(&directory);
        clock.advance(HOUR);
        assert_eq!(usable(&second, "after the other ended"), 0);
        let third = Cache::open(&directory, clock.clone());
        drop(second);
        released(&directory);
        clock.advance(crate::clock::Span::from_days(-1));
        assert_eq!(usable(&third, "a clock that was put back is not waited for"), 0);
        fs::write(place.path().join("file"), b"").unwrap();
        let nowhere = Cache::open(&place.path().join("file/cache"), clock);
        nowhere.put(Kind::Crl, b"k", b"v");
        assert_eq!(nowhere.get(Kind::Crl, b"k"), None);
        assert_eq!(nowhere.incident_count(), 1);
        // A file where the directory should be is moved aside like any damage.
        let onto = Cache::open(&place.path().join("file"), Clock::manual(date(2026, 11, 22)));
        assert_eq!(usable(&onto, "a file in its place"), 0);
    }

    fn files_under(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let name = PathBuf::from(entry.file_name());
            if entry.path().is_dir() {
                found.extend(files_under(&entry.path()).into_iter().map(|path| name.join(path)));
            } else {
                found.push(name);
            }
        }
        found.sort();
        found
    }

    fn copy(from: &Path, to: &Path) {
        for file in files_under(from) {
            let target = to.join(&file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(from.join(&file), target).unwrap();
        }
        fs::create_dir_all(to.join("blobs")).unwrap();
    }
}
