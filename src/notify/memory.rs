//! Mail into memory, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Mail, SendError};

/// Keeps what it is sent; clones share one store. It can be told to fail first.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Store>>);

#[derive(Debug, Default)]
struct Store {
    sent: Vec<Mail>,
    failures: VecDeque<SendError>,
}

impl Memory {
    /// Everything sent so far, in order.
    pub fn sent(&self) -> Vec<Mail> {
        self.store().sent.clone()
    }

    /// The next mail that is not already doomed fails with this.
    pub fn fail_next(&self, error: SendError) {
        self.store().failures.push_back(error);
    }

    pub(super) fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let mut store = self.store();
        match store.failures.pop_front() {
            Some(error) => Err(error),
            None => {
                store.sent.push(mail.clone());
                Ok(())
            }
        }
    }

    /// A list stays a list even when another test panicked while holding it.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
