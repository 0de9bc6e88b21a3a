//! (empty)
pub mod issuance;
