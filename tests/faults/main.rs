//! Logs that misbehave, one test for each way in which they do: the real binary goes on, tries again, reports what is
//! misbehaviour with its evidence and nothing that is not, and finds every certificate of ours before, in and behind
//! the fault.

#[path = "../support/mod.rs"]
mod support;

mod content;
mod heads;
mod noise;
mod reach;

use std::time::Duration;

use ctwarden::clock::Stopwatch;
use support::faulty::plant::Garden;
use support::faulty::scene::Scene;
use support::faulty::{Api, FaultyLog};

/// Two full tiles and a partial one.
const SIZE: u64 = 700;
/// At the ends of tiles and in their middles.
const HITS: [u64; 7] = [3, 255, 256, 300, 511, 512, 699];
const BOTH: [Api; 2] = [Api::Rfc6962, Api::StaticCt];

/// An honest log with the usual entries, its head signed.
async fn start(garden: &Garden, api: Api) -> FaultyLog {
    let log = FaultyLog::start(api).await;
    log.append(garden.entries(0, SIZE, &HITS));
    log.publish();
    log
}

/// Appends `count` entries of which the first, the middle and the last are ours, and signs a head over them.
fn grow(garden: &Garden, log: &FaultyLog, count: u64) {
    let from = log.head().size;
    log.append(garden.entries(from, count, &[from, from + count / 2, from + count - 1]));
    log.publish();
}

/// Waits until all hits of these logs were found and all entries are proven.
async fn complete(scene: &mut Scene, logs: &[&FaultyLog], seconds: u64) {
    let behind = |scene: &Scene| -> Vec<String> {
        logs.iter().filter(|log| !scene.is_complete(log)).map(|log| scene.state(log)).collect()
    };
    let watch = Stopwatch::start();
    loop {
        let behind = behind(scene);
        if behind.is_empty() {
            return;
        }
        let states = behind.join("\n");
        assert!(scene.is_alive(), "the daemon ended early:\n{states}\n{}", scene.said());
        let late = watch.elapsed().as_secs() >= seconds;
        assert!(!late, "not within {seconds} s:\n{states}\n{}", scene.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
