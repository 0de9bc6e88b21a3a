//! The real daemon while it runs: its metrics, its signals, and what it says.

use std::process::Child;
use std::time::Duration;

use ctwarden::clock::Stopwatch;

use super::monitor::Bench;

/// Replaces a piece of the configuration.
pub fn edit(bench: &Bench, from: &str, to: &str) {
    let text = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    assert!(text.contains(from), "no {from} in {text}");
    bench.write("ctwarden.toml", &text.replace(from, to));
}

/// A running daemon, killed at the end.
pub struct Daemon {
    child: Child,
    web: String,
}

impl Daemon {
    /// Starts it and waits until it follows.
    pub async fn start(bench: &Bench) -> Daemon {
        let before = said_so_far(bench).len();
        let mut child = bench.start(&["run"]);
        let watch = Stopwatch::start();
        loop {
            let said = said_so_far(bench).split_off(before);
            if let Some(at) = said.find("web=") {
                let web = said[at + 4..].split_whitespace().next().expect("an address").to_string();
                return Daemon { child, web };
            }
            assert!(child.try_wait().expect("its state").is_none(), "the daemon ended early: {said}");
            assert!(watch.elapsed() < Duration::from_secs(60), "the daemon does not start: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as an operator does.
    pub async fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        while self.child.try_wait().expect("its state").is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_raw(self.child.id() as i32).expect("a process");
        rustix::process::kill_process(process, signal).expect("a signal");
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.web)
    }

    /// Its metrics as text.
    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.web)).await.expect("metrics");
        answer.text().await.expect("text")
    }

    /// Waits until a series has this value.
    pub async fn wait_for(&self, series: &str, value: u64) {
        let line = format!("{series} {value}");
        self.wait("that", |metrics| metrics.lines().any(|other| other == line), &line).await;
    }

    /// Waits until nothing speaks of a log any more.
    pub async fn wait_until_gone(&self, log: &str) {
        let label = format!("log=\"{log}\"");
        self.wait("that nothing speaks of", |metrics| !metrics.contains(&label), &label).await;
    }

    /// Waits until the metrics are so.
    pub async fn wait(&self, what: &str, holds: impl Fn(&str) -> bool, of: &str) {
        let watch = Stopwatch::start();
        loop {
            let metrics = self.metrics().await;
            if holds(&metrics) {
                return;
            }
            assert!(watch.elapsed() < Duration::from_secs(60), "waited in vain for {what} {of}:\n{metrics}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the daemons of a bench have said.
pub fn said_so_far(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("daemon.log")).unwrap_or_default()
}
