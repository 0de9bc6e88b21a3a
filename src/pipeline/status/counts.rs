//! The counts of the CA's records, held against its issuance database hour by hour.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Hours, Tally};
use super::{commit_matter, count, silent};
use crate::books::{BooksError, Matter};
use crate::clock::{HOUR, Timestamp};
use crate::finding::{KeyHash, Verdict};
use crate::metrics::LOGS;
use crate::pipeline::Walk;
use crate::record::Count;
use crate::status::RULES;
use crate::status::counts::{Difference, compare, finding, hour_of};

/// The most records of the CA that are compared; each has metrics of its own.
const MOST_SOURCES: usize = 16;
/// The most records whose age is told, those included that have fallen silent since.
const MOST_AGES: usize = 4 * MOST_SOURCES;
/// How the newest hour that a record counted is called among the walks in the books.
const NEWEST_OF: &str = "counts ";

/// Tells how old the counts of every record are that has ever counted, whether or not it still does: a restart forgets
/// none of them.
pub(super) async fn tell_ages(walk: &Walk) -> Result<(), BooksError> {
    let known = walk.storage(walk.books.walk_positions(NEWEST_OF).await)?;
    let ages = known.into_iter().filter(|(source, _)| !walk.status.retired_counts.contains(source));
    for (source, newest) in ages.take(MOST_AGES) {
        walk.metrics.reconciled_until(&source, Timestamp::from_millis(newest));
    }
    Ok(())
}

/// Compares every record that the feed counts, and the logs, with the issuance database over the hours that were walked.
pub(super) async fn reconcile(walk: &Walk, hours: &Hours, from: Timestamp, to: Timestamp) -> Result<(), BooksError> {
    let end = hour_of(to);
    for (issuer, name) in issuers(walk) {
        let tallies = hours.get(&issuer);
        let logged = of(tallies, |tally| tally.logged);
        walk.metrics.reconciled(&name, LOGS, compare(&of(tallies, |tally| tally.recorded), &logged, end).total());
    }
    walk.metrics.reconciled_until(LOGS, end);
    let counts = match walk.issuance.counts(from, end).await {
        Ok(counts) => counts,
        Err(silence) => {
            silent(walk, &silence);
            return Ok(());
        }
    };
    let sources: BTreeSet<&String> = counts.iter().map(|count| &count.source).collect();
    if let Some(first) = sources.iter().nth(MOST_SOURCES) {
        let (most, first) = (MOST_SOURCES, crate::finding::escape(first.as_bytes(), 100));
        tracing::error!(most, first, "the feed counts for more records than are compared; from this one on none is");
    }
    let mut ages = Vec::new();
    for source in sources.into_iter().take(MOST_SOURCES) {
        let counts: Vec<&Count> = counts.iter().filter(|count| count.source == *source).collect();
        // What it has not counted yet it does not lack.
        let newest = counts.iter().map(|count| count.hour.plus(HOUR)).max().unwrap_or(from).min(end);
        ages.push((format!("{NEWEST_OF}{source}"), newest.millis()));
        for (issuer, name) in issuers(walk) {
            let of_issuer = counts.iter().filter(|count| count.issuer_key_hash == issuer);
            let counted: BTreeMap<Timestamp, u64> = of_issuer.map(|count| (count.hour, count.certificates)).collect();
            let recorded = of(hours.get(&issuer), |tally| tally.recorded);
            if counted.is_empty() && recorded.is_empty() {
                continue;
            }
            let mut difference = compare(&recorded, &counted, newest);
            // What the first hour has beyond the record may be of the hour before it.
            difference.hours.retain(|(hour, _)| *hour > hour_of(from));
            settle(walk, issuer, (&name, source), &difference, (from, newest)).await?;
        }
    }
    walk.storage(walk.books.commit_positions(ages).await)?;
    tell_ages(walk).await
}

async fn settle(
    walk: &Walk,
    issuer: KeyHash,
    (name, source): (&str, &str),
    difference: &Difference,
    (from, until): (Timestamp, Timestamp),
) -> Result<(), BooksError> {
    walk.metrics.reconciled(name, source, difference.total());
    let found = finding(name, source, difference);
    let verdict = found.clone().map_or(Verdict::Pass, |found| Verdict::Fail(vec![found]));
    count(
        walk,
        &RULES
            .iter()
            .filter(|rule| rule.id == "counts.differ")
            .map(|rule| (*rule, verdict.clone()))
            .collect::<Vec<_>>(),
    );
    let matter = Matter::Counts { issuer, source: source.to_string() };
    let shown = format!("counts of {name}");
    // What differed before that is not made good by it.
    let well = format!("from {from} to {until} the counts are the same; earlier hours are compared no more");
    commit_matter(walk, matter, found.into_iter().collect(), (&shown, &well)).await
}

fn issuers(walk: &Walk) -> Vec<(KeyHash, String)> {
    walk.watchlist.issuers().iter().map(|issuer| (issuer.key_hash, issuer.name.clone())).collect()
}

fn of(tallies: Option<&BTreeMap<Timestamp, Tally>>, what: fn(&Tally) -> u64) -> BTreeMap<Timestamp, u64> {
    tallies.into_iter().flatten().map(|(hour, tally)| (*hour, what(tally))).collect()
}
