//! The monitor before faulty logs, and what its books say about each.

use std::process::Child;
use std::time::Duration;

use ctwarden::clock::Stopwatch;
use ctwarden::ct::key::LogId;
use rusqlite::{Connection, OpenFlags, params};

use super::plant::Garden;
use super::{FaultyLog, log_list};
use crate::support::monitor::Bench;

/// The real binary, following some logs until it is dropped.
pub struct Scene {
    pub bench: Bench,
    running: Option<Child>,
}

/// A row of the misbehaviours.
#[derive(Clone, Debug)]
pub struct Charge {
    pub kind: String,
    pub tree_size: u64,
    pub detail: String,
    pub evidence: serde_json::Value,
}

/// A row of the tree heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHead {
    pub size: u64,
    pub root: [u8; 32],
    pub signed_at: i64,
    pub signature: Vec<u8>,
    pub outcome: String,
}

impl Scene {
    /// The daemon on these logs, started.
    pub fn start(garden: &Garden, logs: &[&FaultyLog]) -> Scene {
        Scene::on(garden, &log_list(logs.iter().map(|log| log.list_entry())))
    }

    /// The daemon on a log list, started.
    pub fn on(garden: &Garden, list: &str) -> Scene {
        let mut scene = Scene::still(garden, list);
        scene.go_on();
        scene
    }

    /// The daemon on a log list, not started.
    pub fn still(garden: &Garden, list: &str) -> Scene {
        let bench = Bench::with_list(list, &garden.issuers(), "");
        bench.write("issuing.pem", &garden.ca.issuing_pem());
        Scene { bench, running: None }
    }

    /// Starts the daemon.
    pub fn go_on(&mut self) {
        self.running = Some(self.bench.start(&["run"]));
    }

    /// Kills the daemon.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("SIGKILL");
            running.wait().expect("the daemon is gone");
        }
    }

    fn books(&self) -> Option<Connection> {
        let connection =
            Connection::open_with_flags(self.bench.path("data/books.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.busy_timeout(Duration::from_secs(5)).ok()?;
        Some(connection)
    }

    /// Waits until something holds, or fails with what the daemon has said.
    pub async fn wait(&mut self, seconds: u64, what: &str, holds: impl Fn(&Scene) -> bool) {
        let watch = Stopwatch::start();
        while !holds(self) {
            assert!(self.is_alive(), "the daemon ended early:\n{}", self.said());
            assert!(watch.elapsed().as_secs() < seconds, "{what}: not within {seconds} s:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the daemon, if one was started, still runs.
    pub fn is_alive(&mut self) -> bool {
        self.running.as_mut().is_none_or(|child| child.try_wait().expect("status").is_none())
    }

    /// What the daemon has said, the end of it.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(self.bench.path("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn rows<T>(&self, log_id: LogId, sql: &str, read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let Some(books) = self.books() else { return Vec::new() };
        // While the daemon makes the tables there are none.
        let Ok(mut statement) = books.prepare(sql) else { return Vec::new() };
        let rows = statement.query_map(params![log_id.0], read).expect(sql);
        rows.map(|row| row.expect(sql)).collect()
    }

    /// The indexes at which something was found that no second reading has called into doubt.
    pub fn sightings(&self, log: &FaultyLog) -> Vec<u64> {
        let sql = "SELECT idx FROM sightings WHERE log_id = ?1 AND doubted = 0 ORDER BY idx";
        self.rows(log.log_id(), sql, |row| row.get(0))
    }

    /// The content of what was found at an index.
    pub fn found(&self, log: &FaultyLog, index: u64) -> Vec<[u8; 32]> {
        let sql = "SELECT core_sha256, idx FROM sightings JOIN hits USING (hit_id)
                   WHERE log_id = ?1 AND doubted = 0";
        let all = self.rows(log.log_id(), sql, |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, u64>(1)?)));
        all.into_iter().filter(|(_, at)| *at == index).map(|(core, _)| core).collect()
    }

    /// How many entries are proven.
    pub fn verified(&self, log: &FaultyLog) -> u64 {
        let sql = "SELECT verified_size FROM logs WHERE log_id = ?1";
        self.rows(log.log_id(), sql, |row| row.get(0)).first().copied().unwrap_or(0)
    }

    /// How many entries were read.
    pub fn downloaded(&self, log: &FaultyLog) -> u64 {
        let sql = "SELECT downloaded_size FROM logs WHERE log_id = ?1";
        self.rows(log.log_id(), sql, |row| row.get(0)).first().copied().unwrap_or(0)
    }

    /// The indexes of entries that are kept as malformed.
    pub fn malformed(&self, log: &FaultyLog) -> Vec<u64> {
        self.rows(log.log_id(), "SELECT idx FROM malformed WHERE log_id = ?1 ORDER BY idx", |row| row.get(0))
    }

    /// The tree heads that were kept.
    pub fn heads(&self, log: &FaultyLog) -> Vec<KeptHead> {
        let sql = "SELECT tree_size, root_hash, signed_at, signature, outcome FROM tree_heads
                   WHERE log_id = ?1 ORDER BY tree_size";
        self.rows(log.log_id(), sql, |row| {
            Ok(KeptHead {
                size: row.get(0)?,
                root: row.get(1)?,
                signed_at: row.get(2)?,
                signature: row.get(3)?,
                outcome: row.get(4)?,
            })
        })
    }

    /// When the first head of a size was proven, in milliseconds.
    pub fn proven_at(&self, log: &FaultyLog) -> Option<i64> {
        let sql = "SELECT min(seen_at) FROM tree_heads WHERE log_id = ?1 AND outcome = 'verified'";
        self.rows(log.log_id(), sql, |row| row.get(0)).first().copied().flatten()
    }

    /// What the log is charged with.
    pub fn charges(&self, log: &FaultyLog) -> Vec<Charge> {
        let sql = "SELECT kind, tree_size, detail, evidence FROM misbehaviours WHERE log_id = ?1";
        self.rows(log.log_id(), sql, |row| {
            let evidence: String = row.get(3)?;
            let evidence = serde_json::from_str(&evidence).expect("evidence is JSON");
            Ok(Charge { kind: row.get(0)?, tree_size: row.get(1)?, detail: row.get(2)?, evidence })
        })
    }

    /// Whether the log is charged with this.
    pub fn is_charged(&self, log: &FaultyLog, kind: &str) -> bool {
        self.charges(log).iter().any(|charge| charge.kind == kind)
    }

    /// What the log does not serve, as the books have it: the first entry and the first behind, of each part.
    pub fn gaps(&self, log: &FaultyLog) -> Vec<(u64, u64)> {
        let sql =
            "SELECT start_index, end_index FROM gaps WHERE log_id = ?1 AND filled_at IS NULL ORDER BY start_index";
        self.rows(log.log_id(), sql, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Whether the log is read from one place, and from its beginning.
    pub fn is_whole(&self, log: &FaultyLog) -> bool {
        let sql = "SELECT start_index = 0 AND NOT EXISTS (SELECT 1 FROM backlogs AS b WHERE b.log_id = logs.log_id)
                   FROM logs WHERE log_id = ?1";
        self.rows(log.log_id(), sql, |row| row.get(0)).first().copied().unwrap_or(false)
    }

    /// All entries are read and proven, and every hit was found.
    pub fn is_complete(&self, log: &FaultyLog) -> bool {
        let size = log.head().size;
        self.verified(log) == size && self.downloaded(log) == size && self.sightings(log) == log.planted()
    }

    /// Every hit was found, proven or not.
    pub fn has_found_all(&self, log: &FaultyLog) -> bool {
        self.sightings(log) == log.planted()
    }

    /// What is true of a log, in a line.
    pub fn state(&self, log: &FaultyLog) -> String {
        let charges: Vec<String> =
            self.charges(log).iter().map(|charge| format!("{}: {}", charge.kind, charge.detail)).collect();
        format!(
            "{:?} {}: read {} proven {} of {}, found {:?} of {:?}, malformed {}, charged {charges:?}",
            log.api(),
            log.name(),
            self.downloaded(log),
            self.verified(log),
            log.head().size,
            self.sightings(log),
            log.planted(),
            self.malformed(log).len(),
        )
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}
