//! Outbox -> notifier; door 3.

use std::sync::Arc;
use std::time::Duration;

use super::Walk;
use crate::books::{BooksError, Delivery, OutboxItem};
use crate::metrics::{Channel, Delivery as Counted};
use crate::notify::{SendError, mail, retry_after};

/// Messages taken up at once.
const BATCH: usize = 64;

/// Sends messages for ever, as they come and as their next attempt comes. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn deliver(walk: Arc<Walk>) -> Result<(), BooksError> {
    loop {
        while deliver_due(&walk).await? > 0 {}
        let queue = walk.storage(walk.books.queue_state().await)?;
        let wait = queue.next_try_at.map_or(Duration::from_secs(30), |next| next.since(walk.clock.now()).duration());
        let wait = wait.clamp(Duration::from_millis(10), Duration::from_secs(30));
        tokio::select! {
            () = walk.mail_waiting.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Tries one batch of the messages that are due; returns how many there were.
///
/// # Errors
/// Unusable books.
pub async fn deliver_due(walk: &Walk) -> Result<usize, BooksError> {
    let items = walk.storage(walk.books.due_messages(walk.clock.now(), BATCH).await)?;
    for item in &items {
        let delivery = attempt(walk, item).await;
        let marked = walk.books.commit_delivery(item.outbox_id, delivery, walk.clock.now()).await;
        walk.storage(marked)?;
    }
    let queue = walk.storage(walk.books.queue_state().await)?;
    walk.metrics.notification_queue(queue.length, queue.oldest);
    Ok(items.len())
}

async fn attempt(walk: &Walk, item: &OutboxItem) -> Delivery {
    let known = walk.recipients.iter().find(|addressing| addressing.recipient() == item.recipient);
    let Some(addressing) = known else {
        // The address may have been a mistake that was mended while the message waited: somebody must be told.
        tracing::info!(case = item.notice.case, "a message waits for a recipient who was removed; the others get it");
        return Delivery::Redirected(walk.outbox_recipients());
    };
    let error = match walk.notifier.send(&mail::compose(&item.notice, addressing)).await {
        Ok(()) => {
            walk.metrics.notification(Channel::Mail, Counted::Delivered);
            return Delivery::Delivered;
        }
        Err(error) => error,
    };
    let counted = match &error {
        SendError::Transient(_) => Counted::Deferred,
        SendError::Permanent(_) => Counted::Failed,
    };
    walk.metrics.notification(Channel::Mail, counted);
    tracing::warn!(case = item.notice.case, attempts = item.attempts + 1, %error, "a message could not be delivered");
    let wait = retry_after(&error, item.attempts + 1, rand::random());
    Delivery::Deferred { until: walk.clock.now().plus(wait), error: error.to_string() }
}
