//! ctwarden: a CT misissuance monitor for certificate authorities.
//!
//! Data flows one way. [`tail`] reads the logs, [`watch`] says which entries are ours, [`exam`] judges each against
//! the rules ([`lint`]), the CA's own record ([`issuance`], [`crosscheck`]) and the evidence ([`evidence`]),
//! [`mod@case`] folds what was found into one case per certificate, [`books`] keeps it, [`notify`] tells people.
//! [`pipeline`] is that walk and nothing else: three loops, each ending in one durable transaction (a door).
//!
//! The rooms come in four floors and imports go down only (`tests/tidy.rs`): words, judgement, edges, wiring.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

// Words: pure.
pub mod case;
pub mod cert;
pub mod clock;
pub mod conduct;
pub mod ct;
pub mod finding;
pub mod record;

// Judgement: pure.
pub mod crosscheck;
pub mod evidence;
pub mod exam;
pub mod lint;
pub mod promise;
pub mod status;
pub mod watch;

// Edges: I/O.
pub mod audit;
pub mod books;
pub mod cache;
pub mod issuance;
pub mod judges;
pub mod metrics;
pub mod notify;
pub mod revocation;
pub mod tail;
pub mod web;

// Wiring.
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod pipeline;
