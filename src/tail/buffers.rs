//! Buffers for bodies of entries, used again and again: a new one costs a page fault for every 4 kB, and the allocator
//! does not give back what it scatters.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// The most that is kept between bodies, in bytes, and the largest buffer that is kept.
const MOST_KEPT: usize = 12 << 20;
const LARGEST_KEPT: usize = 8 << 20;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer, with room for `bytes` where one has that.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Buffer {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(_, buffer): &(usize, &Vec<u8>)| buffer.capacity() >= bytes;
        let best = idle.iter().enumerate().filter(fits).min_by_key(|(_, buffer)| buffer.capacity());
        let at = best.map(|(at, _)| at).or(idle.len().checked_sub(1));
        let bytes = at.map_or_else(Vec::new, |at| idle.swap_remove(at));
        Buffer { bytes, home: Some(self.clone()) }
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
        let mut many: Vec<Buffer> = (0..20).map(|_| buffers.take(0)).collect();
        many.iter_mut().for_each(|buffer| buffer.reserve_exact(1 << 20));
        drop(many);
        let kept = |buffers: &Buffers| {
            let idle = buffers.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().map(Vec::capacity).sum::<usize>()
        };
        assert!((1 << 20..=MOST_KEPT).contains(&kept(&buffers)));
        let mut large = buffers.take(LARGEST_KEPT + 1);
        large.reserve_exact(LARGEST_KEPT + 1);
        let before = kept(&buffers);
        drop(large);
        assert_eq!(kept(&buffers), before, "the largest is not kept");
    }
}
