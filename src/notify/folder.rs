//! Mail into a directory: one `.eml` file per message and recipient, for trials, tests and mail systems that pick up
//! files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{Mail, SendError, SetupError};

/// A directory of mails. The same mail twice is the same file, so a repeated delivery leaves no second copy.
#[derive(Clone, Debug)]
pub struct Folder {
    directory: PathBuf,
    /// Two writers of one mail would share its temporary file.
    turn: Arc<Mutex<()>>,
}

impl Folder {
    /// Opens a mail folder; makes the directory if there is none.
    ///
    /// # Errors
    /// [`SetupError::Folder`] when it cannot be made.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Folder, SetupError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(|error| SetupError::Folder {
            directory: directory.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Folder { directory, turn: Arc::default() })
    }

    /// The file in which a mail is or will be.
    pub fn path(&self, mail: &Mail) -> PathBuf {
        self.directory.join(file_name(mail))
    }

    pub(super) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let _turn = self.turn.lock().await;
        let (path, bytes) = (self.path(mail), mail.bytes.clone());
        let written = tokio::task::spawn_blocking(move || write_durably(&path, &bytes)).await;
        written.unwrap_or_else(|died| Err(io::Error::other(died))).map_err(|error| {
            let directory = self.directory.display();
            SendError::Transient(format!(
                "mail folder {directory}: {error}; check free space and permissions, the mail will be written again"
            ))
        })
    }
}

/// Readable for people, safe for every file system; the hash keeps apart what the readable part makes equal.
fn file_name(mail: &Mail) -> String {
    let readable = |text: &str| -> String {
        let keep = |c: char| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
        text.trim_matches(['<', '>']).chars().map(keep).take(80).collect()
    };
    let hash = Sha256::digest(format!("{}\n{}", mail.message_id, mail.to));
    format!("{}--{}--{}.eml", readable(&mail.message_id), readable(mail.to.as_ref()), hex::encode(&hash[..4]))
}

/// After a crash at any moment the file is whole or absent: written beside, synced, renamed, directory synced.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::notify::{Addressing, Profile, compose, test_notice};

    fn mail(to: &str) -> Mail {
        let addressing = Addressing::parse("ct@ca.example", to, Profile::Human).expect("addresses");
        compose(&test_notice(date(2026, 11, 22)), &addressing)
    }

    #[tokio::test]
    async fn the_same_mail_twice_is_one_file_and_each_recipient_has_one() {
        let place = tempfile::tempdir().expect("a directory");
        let folder = Folder::open(place.path().join("new").join("mail")).expect("it is made");
        for to in ["a@ca.example", "a@ca.example", "b@ca.example", "/etc/x~y@ca.example"] {
            folder.send(&mail(to)).await.expect("written");
            assert_eq!(fs::read(folder.path(&mail(to))).expect("the file"), mail(to).bytes);
        }
        let names: Vec<String> = fs::read_dir(place.path().join("new/mail"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII"))
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("case.TEST-") && name.ends_with(".eml")), "{names:?}");
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_a_transient_failure_with_a_remedy() {
        let place = tempfile::tempdir().expect("a directory");
        let folder = Folder::open(place.path().join("mail")).expect("it is made");
        fs::remove_dir(place.path().join("mail")).expect("removed");
        let Err(SendError::Transient(text)) = folder.send(&mail("a@ca.example")).await else {
            panic!("it cannot be written");
        };
        assert!(text.contains("mail folder") && text.contains("check free space"), "{text}");
        fs::create_dir(place.path().join("mail")).expect("made again");
        folder.send(&mail("a@ca.example")).await.expect("it works again");

        fs::write(place.path().join("file"), "").expect("a file");
        let error = Folder::open(place.path().join("file")).expect_err("a file is no folder").to_string();
        assert!(error.contains("name a directory"), "{error}");
    }
}
