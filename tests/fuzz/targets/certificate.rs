#![no_main]

use ctwarden_fuzz::shuffle::{Dice, shuffle};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| ctwarden_fuzz::targets::certificate(bytes));

// Three of four times an element is changed, else octets without regard to what they are.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let shuffled = (!seed.is_multiple_of(4)).then(|| {
        shuffle(&data[..size], &mut Dice::new(seed), |octets| {
            let mut room = octets.to_vec();
            room.resize(octets.len() + 16, 0);
            let length = fuzzer_mutate(&mut room, octets.len(), octets.len() + 16);
            room.truncate(length);
            room
        })
    });
    match shuffled.flatten() {
        Some(changed) if changed.len() <= max_size => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});
