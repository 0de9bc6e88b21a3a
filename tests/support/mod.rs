//! What whole-program tests share.
#![allow(dead_code)]

pub mod crls;
pub mod daemon;
pub mod disk;
pub mod faulty;
pub mod files;
pub mod gate;
pub mod issuer;
pub mod mime;
pub mod monitor;
pub mod proxy;
pub mod scene;
pub mod smtp;
