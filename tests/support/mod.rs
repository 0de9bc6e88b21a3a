//! What whole-program tests share.
#![allow(dead_code)]

pub mod files;
pub mod mime;
pub mod monitor;
pub mod smtp;
