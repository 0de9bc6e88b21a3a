//! What the demo shows on the terminal: one status line, a block for each case.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::case::Notice;
use crate::clock::{Span, Stopwatch};

/// How often a status line is written where nothing can be redrawn.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// The most findings, facts or sightings that a block shows; the mail has all.
const SHOWN: usize = 8;

/// The state of the monitor at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Time since the start.
    pub elapsed: Span,
    /// Every log that is followed.
    pub logs: Vec<LogState>,
    /// Entries read per second of late.
    pub entries_per_second: f64,
    /// Time from SCT to sight of the newest hit.
    pub lag_seconds: f64,
    /// Certificates that the demo CA issued.
    pub issued: u64,
    /// Entries that are ours.
    pub hits: u64,
    /// Findings so far.
    pub findings: u64,
    /// Mistakes planted so far.
    pub planted: u64,
    /// Cases opened so far.
    pub cases: u64,
    /// Mails written so far.
    pub mails: u64,
}

/// One log in a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogState {
    /// Short name.
    pub name: String,
    /// Size of its newest tree head.
    pub tree_size: u64,
    /// Entries read.
    pub downloaded: u64,
    /// Entries proven to be under a signed root.
    pub verified: u64,
}

/// Where it is shown.
pub enum Screen {
    /// A terminal: the status line is redrawn in place.
    Terminal(ProgressBar),
    /// Anything else: lines, a status line now and then.
    Plain {
        /// Where they go.
        out: Box<dyn Write + Send>,
        /// Runs since the last status line.
        last: Option<Stopwatch>,
    },
}

impl Screen {
    /// Standard output, as a terminal if it is one.
    pub fn stdout() -> Screen {
        if !std::io::stdout().is_terminal() {
            return Screen::Plain { out: Box::new(std::io::stdout()), last: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout_with_hz(4));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Screen::Terminal(bar)
    }

    /// Shows the state: at once on a terminal, otherwise every 5 seconds.
    pub fn status(&mut self, snapshot: &Snapshot) {
        match self {
            Screen::Terminal(bar) => {
                bar.set_message(status_line(snapshot));
                bar.tick();
            }
            Screen::Plain { out, last } => {
                if last.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
                    *last = Some(Stopwatch::start());
                    // A reader that went away is no reason to stop the monitor.
                    writeln!(out, "{}", status_line(snapshot)).ok();
                }
            }
        }
    }

    /// Shows text above the status line.
    pub fn text(&mut self, text: &str) {
        match self {
            Screen::Terminal(bar) => bar.println(text),
            Screen::Plain { out, .. } => {
                writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).ok();
            }
        }
    }

    /// Takes the status line away.
    pub fn finish(&mut self) {
        if let Screen::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `42s | 2 logs 120/120 verified | 12.0 entries/s, lag 0.6s | issued 60, hits 120 | ...`.
pub fn status_line(snapshot: &Snapshot) -> String {
    let sum = |count: fn(&LogState) -> u64| snapshot.logs.iter().map(count).sum::<u64>();
    format!(
        "{} | {} logs: {} entries, {} read, {} verified | {:.1} entries/s, lag {:.1}s | issued {}, hits {} | \
         mistakes {}, findings {}, cases {}, mails {}",
        snapshot.elapsed,
        snapshot.logs.len(),
        sum(|log| log.tree_size),
        sum(|log| log.downloaded),
        sum(|log| log.verified),
        snapshot.entries_per_second,
        snapshot.lag_seconds,
        snapshot.issued,
        snapshot.hits,
        snapshot.planted,
        snapshot.findings,
        snapshot.cases,
        snapshot.mails,
    )
}

/// A case as one readable block: what, why with rule and section, deadline, evidence. `title` is what was done wrong,
/// if it was planted.
pub fn block(title: Option<&str>, notice: &Notice) -> String {
    let mut out = String::new();
    let head = format!("{} {} {}", notice.case, notice.event.word(), title.unwrap_or("not planted"));
    let mut line = |label: &str, text: &str| writeln!(out, "   {label:<9} {text}").unwrap_or_default();
    if let Some(certificate) = &notice.certificate {
        for san in certificate.sans.iter().take(SHOWN) {
            line("what", &format!("{}{}", san.text, if san.offending { "   <--" } else { "" }));
        }
        line("", &format!("serial {} of {}", certificate.serial, certificate.issuer));
        for (kind, sha256) in
            [("precertificate", &certificate.precertificate_sha256), ("certificate", &certificate.certificate_sha256)]
        {
            if let Some(sha256) = sha256 {
                line("", &format!("{kind} sha256 {sha256}"));
            }
        }
    }
    for finding in notice.findings.iter().take(SHOWN) {
        line("why", &format!("{} ({}, {}): {}", finding.rule, finding.citation, finding.severity, finding.subject));
        line("", &format!("  {}", finding.detail));
    }
    if notice.findings.len() > SHOWN {
        line("", &format!("and {} more findings", notice.findings.len() - SHOWN));
    }
    match (notice.due, notice.clock.item()) {
        (Some(due), Some(item)) => {
            line(
                "deadline",
                &format!("revoked and published by {} ({}, BR 4.9.1.1 item {item})", due.minute(), notice.clock.word()),
            );
        }
        _ => line("deadline", "none: no revocation follows from it"),
    }
    for sighting in notice.sightings.iter().take(SHOWN) {
        let proof = if sighting.included { "inclusion proven" } else { "inclusion not proven yet" };
        line(
            "evidence",
            &format!(
                "{} at {} index {}, logged {}, {proof}",
                sighting.kind.word(),
                sighting.log,
                sighting.index,
                sighting.logged_at
            ),
        );
    }
    // Two findings often rest on one fact.
    let facts = notice.findings.iter().flat_map(|finding| &finding.evidence);
    let mut shown: Vec<String> = Vec::new();
    for fact in facts.map(|fact| format!("{}: {}", fact.source, fact.text)) {
        if shown.len() < SHOWN && !shown.contains(&fact) {
            line("", &fact);
            shown.push(fact);
        }
    }
    for (label, text) in notice.record.iter().take(SHOWN) {
        line("", &format!("record, {label}: {text}"));
    }
    let rule = "-".repeat(100usize.saturating_sub(head.len() + 4));
    format!("-- {head} {rule}\n{out}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::verdict::tests::notice;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_block_says_what_why_until_when_and_how_it_is_known() {
        let text = block(Some("internal name"), &notice("0001", &["name.internal"]));
        for part in [
            "-- CASE-2026-0001 opened internal name ---",
            "   what      dNSName www.barakaldo.bizkaia.euskalsarea   <--\n",
            "   why       name.internal (BR 4.2.2, error): www.barakaldo.bizkaia.euskalsarea\n",
            "             the TLD euskalsarea is not in the IANA root zone\n",
            "   deadline  revoked and published by 2026-11-23 00:00Z (24h, BR 4.9.1.1 item 5)\n",
            "   evidence  precertificate at 127.0.0.1:4711 index 17, logged 2026-11-22T00:00:00Z, inclusion proven\n",
            "TLD table: as of 2026-11-21: no euskalsarea",
            "record, order: ORD-000001 channel=web",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.lines().count() <= 40);
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_terminal_status_lines_are_rare_and_blocks_are_not() {
        let sink = Sink::default();
        let mut screen = Screen::Plain { out: Box::new(sink.clone()), last: None };
        let log = LogState { name: "a".into(), tree_size: 12, downloaded: 11, verified: 10 };
        let snapshot = Snapshot { logs: vec![log.clone(), log], hits: 7, ..Snapshot::default() };
        screen.status(&snapshot);
        screen.status(&snapshot);
        screen.text("a block\n");
        screen.finish();
        let shown = String::from_utf8(sink.0.lock().expect("no panic").clone()).expect("text");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(lines[0].starts_with("0s | 2 logs: 24 entries, 22 read, 20 verified"), "{shown}");
        assert!(lines[0].contains("hits 7"));
        assert_eq!(lines[1], "a block");
    }
}
