//! A disk of its own for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of a fixed size; in memory, gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// A disk of this many KiB at a directory, which is made; `None` where this user may not mount.
    pub fn mount(path: &Path, kib: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(path).expect("a directory");
        let size = format!("size={kib}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        done.is_ok_and(|done| done.status.success()).then(|| SmallDisk(path.to_path_buf()))
    }

    /// Makes it this many MiB.
    pub fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        let done = Command::new("mount").args(["-o", &size]).arg(&self.0).output().expect("mount");
        assert!(done.status.success(), "{}", super::monitor::said(&done));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still hold a file.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}
