//! The rooms of ctwarden that read the bytes of strangers, and what must hold of them whatever the bytes are.
//!
//! The words and the judgement do no I/O and know no runtime, so they are compiled in here as they stand; of the edges
//! the few files that only turn bytes into values.
#![allow(dead_code)]

#[path = "../../../src/case.rs"]
pub mod case;
#[path = "../../../src/cert/mod.rs"]
pub mod cert;
#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/conduct/mod.rs"]
pub mod conduct;
#[path = "../../../src/crosscheck/mod.rs"]
pub mod crosscheck;
#[path = "../../../src/ct/mod.rs"]
pub mod ct;
#[path = "../../../src/evidence/mod.rs"]
pub mod evidence;
#[path = "../../../src/exam/mod.rs"]
pub mod exam;
#[path = "../../../src/finding.rs"]
pub mod finding;
#[path = "../../../src/lint/mod.rs"]
pub mod lint;
#[path = "../../../src/promise.rs"]
pub mod promise;
#[path = "../../../src/record.rs"]
pub mod record;
#[path = "../../../src/watch.rs"]
pub mod watch;

pub mod issuance;
pub mod page_scan;
mod ration;
pub mod shuffle;
pub mod tail;
pub mod targets;

pub use ration::rationed;
