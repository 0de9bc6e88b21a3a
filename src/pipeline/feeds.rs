//! Growing files -> rows of the CA's record.

use std::sync::Arc;
use std::time::Duration;

use super::Walk;
use crate::books::BooksError;
use crate::issuance::{Followed, Follower, IssuanceDb, IssuanceError, KnownIssuer, Step, feed_tables};

/// The pause when there is nothing to read.
const IDLE: Duration = Duration::from_secs(1);
/// The pause after a failure.
const FAILED: Duration = Duration::from_secs(10);
/// How many refusals of one step are told in the program's own log; all of them are counted and kept.
const TOLD: usize = 10;

/// Follows one file for ever.
///
/// # Errors
/// Never; the type is that of the other loops.
pub async fn follow_feed(walk: Arc<Walk>, followed: Followed) -> Result<(), BooksError> {
    let Some(mut follower) = open(&walk, followed) else { return std::future::pending().await };
    let mut last_failure = String::new();
    loop {
        let (back, done) = step(&walk, follower).await;
        follower = back;
        let pause = match done {
            Ok(step) if step.more => continue,
            Ok(_) => {
                last_failure.clear();
                IDLE
            }
            Err(error) => {
                let text = error.to_string();
                if text != last_failure {
                    tracing::error!(error = text, "a followed file does not feed the record");
                    last_failure = text;
                }
                FAILED
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Reads one file to the end that it has now.
///
/// # Errors
/// When it cannot be read or its rows not be written.
pub async fn drain_feed(walk: &Arc<Walk>, followed: Followed) -> Result<(), IssuanceError> {
    let Some(mut follower) = open(walk, followed) else { return Ok(()) };
    loop {
        let (back, done) = step(walk, follower).await;
        follower = back;
        if !done?.more {
            return Ok(());
        }
    }
}

fn open(walk: &Walk, followed: Followed) -> Option<Follower> {
    let IssuanceDb::Embedded(record) = &*walk.issuance else { return None };
    let tables: Vec<&str> = feed_tables().collect();
    walk.metrics.declare_feed(&followed.path.to_string_lossy(), &tables);
    let issuers = walk.watchlist.issuers().iter().filter_map(|issuer| {
        let certificate = issuer.certificate.as_ref()?.der().into();
        Some(KnownIssuer { name: issuer.name.clone(), key_hash: issuer.key_hash, certificate })
    });
    Some(Follower::new(record.clone(), followed, issuers.collect()))
}

async fn step(walk: &Walk, mut follower: Follower) -> (Follower, Result<Step, IssuanceError>) {
    let now = walk.clock.now();
    let feed = follower.path().to_string_lossy().into_owned();
    let done = tokio::task::spawn_blocking(move || {
        let done = follower.step(now);
        (follower, done)
    });
    let (follower, done) = match done.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away and this task with it.
            Err(_) => std::future::pending().await,
        },
    };
    match &done {
        Ok(step) => report(walk, &feed, step),
        Err(_) => walk.metrics.feed_failed(&feed),
    }
    (follower, done)
}

fn report(walk: &Walk, feed: &str, step: &Step) {
    let now = walk.clock.now();
    for table in &step.summary.tables {
        walk.metrics.feed_rows(feed, &table.table, table.rows, now);
    }
    walk.metrics.feed_refused(feed, step.refused.len() as u64);
    walk.metrics.feed_passed_over(feed, step.passed_over);
    walk.metrics.feed_waiting(feed, step.waiting);
    for refusal in step.refused.iter().take(TOLD) {
        tracing::warn!(feed, line = refusal.line, reason = refusal.reason, "a row of the record was refused");
    }
    if step.refused.len() > TOLD {
        tracing::warn!(feed, more = step.refused.len() - TOLD, "more rows of the record were refused");
    }
    if step.truncated {
        tracing::warn!(
            feed,
            "the file was cut short; import what was written since the last look, or rotate by renaming"
        );
    }
    if step.lost_file {
        walk.metrics.feed_file_lost(feed);
        tracing::error!(feed, "the file that was read before is gone; import what was not read of it");
    }
}
