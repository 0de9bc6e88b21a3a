//! The demo: two small real CT logs, a CA that issues into them and sometimes makes a mistake, and the screen on
//! which the monitor's work is watched. Loopback only.
//!
//! The logs are not pretended: they check chains, sign tree heads and SCTs, and serve proofs and tiles, so that the
//! whole-program tests follow them too.

pub mod ca;
pub mod desk;
mod error;
pub mod ledger;
pub mod log;
pub mod screen;
pub mod show;
pub mod timetable;
pub mod tree;
pub mod verdict;
pub mod world;

pub use error::DemoError;
pub use world::World;
