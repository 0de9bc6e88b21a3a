//! The CA's own controls: that each is in force, says so in time, and is what the CP/CPS says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{commit_matter, count, silent};
use crate::books::{BooksError, Matter};
use crate::clock::Timestamp;
use crate::config::{ControlConfig, EntriesSource};
use crate::issuance::ControlHistory;
use crate::pipeline::Walk;
use crate::record::Control;
use crate::status::control::{Expected, judge, off_since};
use crate::status::findings;

/// The longest file with the source of a list, in bytes.
const LIST_LIMIT_BYTES: u64 = 1 << 30;
/// The most controls that the feed alone names.
const MOST_UNNAMED: usize = 200;

/// Looks after the controls for ever. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn watch_controls(walk: Arc<Walk>) -> Result<(), BooksError> {
    loop {
        watch_controls_due(&walk).await?;
        tokio::time::sleep(walk.status.controls_every.duration()).await;
    }
}

/// Looks at every control once: at each observation since the last look, in their order.
///
/// # Errors
/// Unusable books.
pub async fn watch_controls_due(walk: &Walk) -> Result<(), BooksError> {
    let controls = &walk.status.controls;
    let mut after = Vec::new();
    for control in controls {
        let name = &control.expected.name;
        if let Some(at) = walk.storage(walk.books.walk_position(&position(name)).await)? {
            after.push((name.clone(), Timestamp::from_millis(at)));
        }
    }
    let histories = match walk.issuance.controls(after).await {
        Ok(histories) => histories,
        Err(silence @ crate::issuance::Silence::NotFed(_)) if controls.is_empty() => {
            silent(walk, &silence);
            return Ok(());
        }
        // A feed that never was is a control that was never heard of.
        Err(crate::issuance::Silence::NotFed(_)) => Vec::new(),
        Err(silence) => {
            silent(walk, &silence);
            return Ok(());
        }
    };
    // A replica that is behind shows nothing of the last hour, and that is no silence of a control.
    let now = match walk.issuance.complete_until(walk.clock.now()).await {
        Ok(until) => until,
        Err(silence) => {
            silent(walk, &silence);
            return Ok(());
        }
    };
    let mut by_name: HashMap<String, ControlHistory> = HashMap::new();
    for history in histories {
        if let Some(newest) = history.rows.last() {
            by_name.insert(newest.name.clone(), history);
        }
    }
    let mut positions = Vec::new();
    for control in controls {
        let history = by_name.get(&control.expected.name);
        let source = entries(control, &by_name).await;
        look(walk, &control.expected, history, source.as_ref(), now).await?;
        positions.extend(newest(history).map(|at| (position(&control.expected.name), at.millis())));
    }
    let named = |name: &String| controls.iter().any(|control| control.expected.name == *name);
    let mut unnamed: Vec<&String> = by_name.keys().filter(|name| !named(name)).collect();
    unnamed.sort();
    for name in unnamed.into_iter().take(MOST_UNNAMED) {
        // A control that nobody has described here must be in force all the same.
        let expected = Expected { name: name.clone(), enabled: true, ..Expected::default() };
        look(walk, &expected, by_name.get(name), None, now).await?;
    }
    walk.storage(walk.books.commit_positions(positions).await)
}

fn position(name: &str) -> String {
    format!("control {name}")
}

fn newest(history: Option<&ControlHistory>) -> Option<Timestamp> {
    history.and_then(|history| history.rows.last()).map(|newest| newest.observed_at)
}

/// Judges every observation of a control; only the newest can be too old at `now` or have the wrong number of entries.
async fn look(
    walk: &Walk,
    expected: &Expected,
    history: Option<&ControlHistory>,
    source: Option<&Result<u64, String>>,
    now: Timestamp,
) -> Result<(), BooksError> {
    let rows: &[Control] = history.map_or(&[], |history| &history.rows);
    let earlier = Expected { max_age: None, has_source: false, ..expected.clone() };
    // What is said of the newest waits until it is read.
    let more = history.is_some_and(|history| history.more);
    for (at, row) in rows.iter().enumerate().take(rows.len().saturating_sub(usize::from(!more))) {
        // Of a row of the same ones the last one counts.
        let alike =
            |other: &Control| (other.enabled, &other.version, &other.value) == (row.enabled, &row.version, &row.value);
        if !rows.get(at + 1).is_some_and(alike) {
            settle(walk, expected, findings(&judge(&earlier, Some(row), None, now))).await?;
        }
    }
    if more {
        return Ok(());
    }
    let judged = judge(expected, rows.last(), source, now);
    count(walk, &judged);
    let since = history.and_then(|history| history.off_since);
    let wrong = findings(&judged).into_iter();
    let wrong: Vec<_> = wrong.map(|f| if f.rule == "control.off" { off_since(f, since) } else { f }).collect();
    walk.metrics.control(&expected.name, newest(history), wrong.len() as u64);
    settle(walk, expected, wrong).await
}

async fn settle(walk: &Walk, expected: &Expected, wrong: Vec<crate::finding::Finding>) -> Result<(), BooksError> {
    let shown = format!("control {}", crate::finding::escape(expected.name.as_bytes(), 100));
    let well = "the control is as it must be again";
    commit_matter(walk, Matter::Control(expected.name.clone()), wrong, (&shown, well)).await
}

/// How many entries the source of a list has; `None`: it has no source.
async fn entries(control: &ControlConfig, by_name: &HashMap<String, ControlHistory>) -> Option<Result<u64, String>> {
    match control.source.as_ref()? {
        EntriesSource::Control(other) => {
            let newest = by_name.get(other).and_then(|history| history.rows.last());
            let none = || format!("the feed has no entries of control {other}");
            Some(newest.and_then(|newest| newest.entries).ok_or_else(none))
        }
        EntriesSource::File(path) => {
            let path = path.clone();
            let counted = tokio::task::spawn_blocking(move || lines(&path)).await;
            Some(counted.unwrap_or_else(|_| Err("it was not counted".to_string())))
        }
    }
}

/// The lines of a file that are neither empty nor a remark.
fn lines(path: &Path) -> Result<u64, String> {
    use std::io::BufRead;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LIST_LIMIT_BYTES {
        return Err(format!("{} has more than {LIST_LIMIT_BYTES} bytes", path.display()));
    }
    let (mut reader, mut line, mut count) = (std::io::BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(count);
        }
        let text = line.trim_ascii();
        count += u64::from(!text.is_empty() && text[0] != b'#');
    }
}
