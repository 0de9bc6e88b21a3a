//! The real binary on a directory of its own: configuration, start, kill, and what it left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ctwarden::clock::Clock;
use ctwarden::demo::log::{LogServer, log_list};

/// The lists that rules rest on: those that are built in. A test asks nobody outside of this machine.
pub const BUILT_IN: &str = "gtld_registry = \"none\"\ntld_list = \"none\"\npublic_suffix_list = \"embedded\"";

/// A directory with a configuration that follows some logs.
pub struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// A configuration for these logs. `issuers` is TOML with the [[issuer]] tables; `more` is added at the end.
    pub fn new(logs: &[&LogServer], issuers: &str, more: &str) -> Bench {
        let list = log_list(logs, Clock::System.now()).to_string();
        Bench::with_list(&list, issuers, more)
    }

    /// The same for a log list as text.
    pub fn with_list(list: &str, issuers: &str, more: &str) -> Bench {
        let status = if more.contains("[status]") { "" } else { "[status]\nnamed_crls = false\n" };
        let bench = Bench { directory: tempfile::tempdir().expect("a directory") };
        bench.write("logs.json", list);
        bench.write(
            "ctwarden.toml",
            &format!(
                "[logs]\nlist = \"logs.json\"\ncontact = \"pki-team@ca-tests.eus\"\nstart = \"beginning\"\n{issuers}\n\
             [data]\ndirectory = \"data\"\n[lint]\n{BUILT_IN}\n[mail]\nfolder = \"mail\"\nfrom = \"ctwarden@ca-tests.eus\"\n\
             to = [\"oncall@ca-tests.eus\"]\n[web]\nlisten = \"127.0.0.1:0\"\n{more}\n{status}"
            ),
        );
        bench
    }

    /// Writes a file of the directory.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("write a file");
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command of the program on this directory's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
        command.args(arguments).env("CTWARDEN_CONFIG", self.path("ctwarden.toml")).env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("start the program")
    }

    /// Runs a command to its end on the blocking pool, so that a log server in this process goes on serving.
    pub async fn run_beside(&self, arguments: &'static [&'static str]) -> Output {
        let mut command = self.command(arguments);
        let done = tokio::task::spawn_blocking(move || command.output().expect("start the program"));
        done.await.expect("the program ends")
    }

    /// Starts the daemon; what it says goes to daemon.log.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path("daemon.log")).expect("daemon.log");
        self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().expect("start the daemon")
    }

    /// The books, for looking.
    pub fn books(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("data/books.sqlite")).expect("open the books")
    }

    /// One number from the books.
    pub fn count(&self, sql: &str) -> i64 {
        self.books().query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    /// Every mail by file name.
    pub fn mails(&self) -> BTreeMap<String, String> {
        let Ok(files) = std::fs::read_dir(self.path("mail")) else { return BTreeMap::new() };
        files
            .map(|file| file.expect("file").path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .map(|path| (name(&path), std::fs::read_to_string(&path).expect("mail")))
            .collect()
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What a command wrote to standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command wrote to standard output.
pub fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
