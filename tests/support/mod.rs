//! What whole-program tests share.
#![allow(dead_code)]

pub mod mime;
pub mod smtp;
pub mod monitor;
