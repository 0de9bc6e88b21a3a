//! Other linters as judges beside our own rules. Their findings carry their own rule identifiers; [`mapping`] says which
//! of them are rules of ours.

pub mod mapping;
