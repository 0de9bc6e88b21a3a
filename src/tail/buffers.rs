//! Buffers for bodies of entries, used again and again: a new one costs a page fault for every 4 kB, and the allocator
//! does not give back what it scatters.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// The most that is kept between bodies, in bytes, and the largest buffer that is kept. As many as [`super::room`] lets
/// be under way come back at once when a transaction ends.
const MOST_KEPT: usize = 24 << 20;
const LARGEST_KEPT: usize = 8 << 20;
/// The least by which a buffer grows, in bytes: a page of memory.
const STEP: usize = 4 << 10;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with room for `bytes`: the smallest that has it, or else one that is made larger.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Buffer {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(_, buffer): &(usize, &Vec<u8>)| buffer.capacity() >= bytes;
        let best = idle.iter().enumerate().filter(fits).min_by_key(|(_, buffer)| buffer.capacity());
        let at = best.map(|(at, _)| at).or(idle.len().checked_sub(1));
        let mut buffer = at.map_or_else(Vec::new, |at| idle.swap_remove(at));
        drop(idle);
        // Up to an eighth more, so that the next body fits too, which is a little larger.
        let step = (bytes.next_power_of_two() / 8).max(STEP);
        buffer.reserve_exact(bytes.next_multiple_of(step));
        Buffer { bytes: buffer, home: Some(self.clone()) }
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = idle.iter().map(Vec::capacity).sum();
        if buffer.capacity() <= LARGEST_KEPT && kept + buffer.capacity() <= MOST_KEPT {
            idle.push(buffer);
        }
    }
}

/// Bytes that go back to their [`Buffers`], if they have any.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    /// One that nobody uses again, with room for `bytes`.
    pub fn of(bytes: usize) -> Buffer {
        Buffer { bytes: Vec::with_capacity(bytes), home: None }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_few_are_kept() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take(10);
        first.extend_from_slice(b"0123456789");
        let at = first.as_ptr();
        drop(first);
        let again = buffers.take(5);
        assert!(again.is_empty() && again.as_ptr() == at);
        drop(again);
        let kept = |buffers: &Buffers| {
            let idle = buffers.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().map(Vec::capacity).sum::<usize>()
        };
        assert_eq!(kept(&buffers), STEP);
        drop(buffers.take(LARGEST_KEPT + 1));
        assert_eq!(kept(&buffers), 0, "the largest is not kept");
        let many: Vec<Buffer> = (0..(2 * MOST_KEPT) >> 20).map(|_| buffers.take(1 << 20)).collect();
        drop(many);
        assert_eq!(kept(&buffers), MOST_KEPT);
    }

    #[test]
    fn a_body_that_is_a_little_larger_than_the_last_fits() {
        let buffers = Arc::new(Buffers::default());
        let page = buffers.take(6_200_000);
        assert!((6_200_000..7_400_000).contains(&page.capacity()));
        let at = page.as_ptr();
        drop(page);
        let next = buffers.take(6_250_000);
        assert!(next.as_ptr() == at && next.capacity() < 7_400_000);
    }
}
