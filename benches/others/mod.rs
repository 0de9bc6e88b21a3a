//! Other open monitors on the same logs, each only where it is installed: what they need of CPU time until they have
//! read all. Where there is a choice, it is the one that costs them least: nothing is found, saved, mailed or passed on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::served::{self, Kind};
use crate::{Measured, measure};

/// Another monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// SSLMate's, from Debian's package. Builds the tree; reads no tiles in the version of Debian 12.
    Certspotter,
    /// certstream-server-rust, whose watcher `others/rust` runs. Checks tiles against the tree, of pages nothing.
    Certstream,
}

impl Other {
    /// All of them.
    pub const ALL: [Other; 2] = [Other::Certspotter, Other::Certstream];

    fn program(self) -> PathBuf {
        match self {
            Other::Certspotter => "/usr/bin/certspotter".into(),
            Other::Certstream => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/others/release/others"),
        }
    }

    /// What it calls itself, and its version; the error says what is missing.
    pub fn name(self) -> Result<String, String> {
        let program = self.program();
        if !program.exists() {
            return Err(format!("{self:?}: not measured, {} is not installed", program.display()));
        }
        Ok(match self {
            Other::Certspotter => {
                let said = Command::new(program).arg("-version").output().map_err(|e| e.to_string())?;
                // "certspotter version 0.16.0?": the mark stands for a build that is not from a module.
                let said = String::from_utf8_lossy(&said.stdout).replace(" version", "");
                said.trim().trim_end_matches('?').to_string()
            }
            Other::Certstream => "certstream-server-rust 1.7.2".into(),
        })
    }

    /// Whether it can read logs of this kind.
    pub fn reads(self, kind: Kind) -> bool {
        kind != Kind::Tiles || self == Other::Certstream
    }

    /// Reads a log, given as its entry in a log list, from the first entry to the last.
    pub fn run(self, log: &Value, entries: u64) -> Measured {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let said = std::fs::File::create(path("said")).expect("a file");
        let mut command = Command::new(self.program());
        command.stdout(Stdio::null()).stderr(said).stdin(Stdio::null());
        let url = || log["url"].as_str().or(log["monitoring_url"].as_str()).expect("a URL");
        let kind = if log.get("url").is_some() { "pages" } else { "tiles" };
        match self {
            Other::Certspotter => {
                std::fs::write(path("logs.json"), served::log_list(std::slice::from_ref(log)).to_string())
                    .expect("a file");
                std::fs::write(path("watchlist"), ".ca-bench.eus\n").expect("a file");
                command.arg("-state_dir").arg(path("state")).arg("-logs").arg(path("logs.json"));
                command.arg("-watchlist").arg(path("watchlist")).args(["-stdout", "-no_save", "-verbose"]);
            }
            Other::Certstream => {
                let origin = url().split_once("://").expect("a scheme").1.trim_end_matches('/');
                command.args([kind, url(), &entries.to_string(), origin]);
                command.arg(log["key"].as_str().expect("a key"));
            }
        }
        // certspotter follows for ever: it has read all when its state says that it has verified all.
        let measured =
            measure(&mut command, || self == Other::Certspotter && verified(&path("state")) == Some(entries));
        let said = std::fs::read_to_string(path("said")).unwrap_or_default();
        assert!(measured.ended_well, "{self:?} failed: {said}");
        measured
    }
}

/// How many entries of its only log certspotter has verified.
fn verified(state: &Path) -> Option<u64> {
    let log = std::fs::read_dir(state.join("logs")).ok()?.next()?.ok()?;
    let state: Value = serde_json::from_str(&std::fs::read_to_string(log.path().join("state.json")).ok()?).ok()?;
    state["verified_position"]["size"].as_u64()
}
