//! Whether the CA's record answers, and how fresh its answers are. A database that is down or behind is our outage: it is
//! counted and shown, and never a finding about a certificate.

use std::sync::Arc;
use std::time::Duration;

use super::Walk;
use crate::books::BooksError;
use crate::clock::Timestamp;
use crate::issuance::IssuanceDb;
use crate::record::Lookup;

/// How often a database server is looked at when no certificate is.
const EVERY: Duration = Duration::from_secs(60);

/// Looks at the database server for ever, so that an outage is known before it matters. Ends only with the program.
///
/// # Errors
/// None of its own.
pub async fn watch_record(walk: Arc<Walk>) -> Result<(), BooksError> {
    let IssuanceDb::Sql(server) = walk.issuance.as_ref() else { return std::future::pending().await };
    loop {
        match server.as_of().await {
            Ok(as_of) => fresh(&walk, as_of, walk.clock.now()),
            Err(error) => failed(&walk, &error.to_string()),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Counts the answers to one batch of questions.
pub(super) fn count_answers(walk: &Walk, lookups: &[Lookup], now: Timestamp) {
    let unanswered = lookups.iter().find_map(|lookup| match lookup {
        Lookup::Unavailable { reason } => Some(reason),
        _ => None,
    });
    let answers = lookups.iter().filter_map(|lookup| match lookup {
        Lookup::Found(record) => Some(record.as_of),
        Lookup::Unknown { as_of } => Some(*as_of),
        _ => None,
    });
    match (unanswered, answers.max()) {
        (Some(reason), _) => failed(walk, reason),
        (None, Some(as_of)) if walk.issuance.is_server() => fresh(walk, as_of, now),
        (None, Some(_)) => walk.metrics.issuance_db_answered(now),
        (None, None) => {}
    }
}

fn failed(walk: &Walk, reason: &str) {
    walk.metrics.issuance_db_failed();
    tracing::warn!(reason, "the issuance database gave no answer; what needs it is judged later");
}

fn fresh(walk: &Walk, as_of: Timestamp, now: Timestamp) {
    walk.metrics.issuance_db_answered(now);
    walk.metrics.issuance_db_lag(now.since(as_of));
}

/// A server that shows nothing newer than the end of the grace of a certificate may not have its row yet: that it knows
/// no row is then no answer.
pub(super) fn distrust(lookup: &mut Lookup, grace_ends: Timestamp, now: Timestamp) {
    if let Lookup::Unknown { as_of } = lookup
        && now >= grace_ends
        && *as_of < grace_ends
    {
        let reason = format!("its newest write is of {as_of}, and it may have the row only from {grace_ends} on");
        *lookup = Lookup::Unavailable { reason };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;

    #[test]
    fn a_server_that_is_behind_knows_nothing_of_a_new_certificate() {
        let end = Timestamp::from_seconds(1_795_338_840);
        let second = Span::from_seconds(1);
        let asked = |as_of: Timestamp, now: Timestamp| {
            let mut lookup = Lookup::Unknown { as_of };
            distrust(&mut lookup, end, now);
            lookup
        };
        assert!(
            matches!(asked(end.minus(second), end), Lookup::Unavailable { reason } if reason.contains("newest write"))
        );
        assert_eq!(asked(end, end), Lookup::Unknown { as_of: end });
        // Within the grace nothing is said anyway.
        let early = end.minus(second);
        assert_eq!(asked(early, early), Lookup::Unknown { as_of: early });
    }
}
