//! Reading a response with nothing of ours in it allocates for the response, never for the entry.

#[path = "../benches/synthetic/mod.rs"]
mod synthetic;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ctwarden::tail::decode;
use ctwarden::tail::inflate::{Coding, Inflater};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Counts what the thread asks the system's allocator for.
struct Counting;

// SAFETY: every call is handed to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let done = work();
    (COUNT.get() - before, done)
}

#[test]
fn entries_of_others_cost_no_allocation() {
    assert!(allocations(|| vec![1u8]).0 > 0, "allocations are counted");
    let (entries, list) = (synthetic::entries(1000, 7), synthetic::watchlist());
    let mut inflater = Inflater::default();
    for count in [256, 1000] {
        let wire = synthetic::gzip(&synthetic::page(&entries[..count]));
        let mut read = || {
            let page = inflater.read(&wire, Coding::Gzip, 1 << 24, |body| decode::page(body, 0, 1000, &list));
            page.expect("gzip").expect("a page")
        };
        read();
        let (number, decoded) = allocations(read);
        assert_eq!((decoded.leaf_hashes.len(), decoded.candidates.len(), decoded.malformed.len()), (count, 0, 0));
        assert!(number <= 12, "{number} allocations for a page of {count}");
    }
    let wire = synthetic::gzip(&synthetic::tile(&entries[..256], 512));
    let mut read = || {
        let tile = inflater.read(&wire, Coding::Gzip, 1 << 24, |body| decode::tile(body, 512, 512, 768, &list));
        tile.expect("gzip").expect("a tile")
    };
    read();
    let (number, decoded) = allocations(read);
    assert_eq!((decoded.leaf_hashes.len(), decoded.candidates.len(), decoded.malformed.len()), (256, 0, 0));
    assert!(number <= 2, "{number} allocations for a tile");
}
