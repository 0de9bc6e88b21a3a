//! What whole-program tests share.
#![allow(dead_code)]

pub mod smtp;
pub mod monitor;
