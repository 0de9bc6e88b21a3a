//! The meaning of `[[issuance.follow]]`.

use super::IssuanceSource;
use super::document::Document;
use super::problem::quote;
use super::raw::RawFollow;
use crate::issuance::Followed;

/// Every `[[issuance.follow]]`; those with problems are left out, and the problems reported. The files need not exist.
pub(super) fn build(raw: Vec<RawFollow>, source: Option<IssuanceSource>, document: &mut Document<'_>) -> Vec<Followed> {
    let mut files: Vec<Followed> = Vec::new();
    if !raw.is_empty() && source.is_some_and(|source| source != IssuanceSource::Embedded) {
        let remedy = "Write source = \"embedded\" in [issuance], or remove the section.";
        document.refuse::<()>("issuance.follow", "is of no use without an embedded issuance record", remedy);
    }
    for (at, raw) in raw.into_iter().enumerate() {
        let (Some(path), Some(format)) = (raw.path, raw.format) else { continue };
        let (key, path) = (format!("issuance.follow[{}].path", at + 1), document.path(&path));
        if path.is_dir() {
            document.refuse::<()>(&key, format!("{} is a directory", path.display()), "Name the file that grows.");
        }
        if files.iter().any(|other| other.path == path) {
            document.refuse::<()>(&key, format!("{} stands twice", quote(&path.to_string_lossy())), "Name it once.");
        }
        files.push(Followed { path, format });
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{GOOD, Place};
    use crate::issuance::FileFormat;

    #[test]
    fn followed_files_are_named_once_and_need_not_exist() {
        let place = Place::new();
        let text = format!(
            "{GOOD}[[issuance.follow]]\npath = \"rows.ndjson\"\n\
             [[issuance.follow]]\npath = \"audit.log\"\nformat = \"rows\"\n"
        );
        let file = |name: &str, format| Followed { path: place.path(name), format };
        let expected = [file("rows.ndjson", FileFormat::Rows), file("audit.log", FileFormat::Rows)];
        assert_eq!(place.load(&text).expect("a configuration").issuance.follow, expected);
        let said = |text: &str| place.problems(text).join("; ");
        let twice = said(&text.replace("audit.log", "rows.ndjson"));
        assert!(twice.contains("issuance.follow[2].path: ") && twice.contains("stands twice"), "{twice}");
        let directory = said(&text.replace("audit.log", "."));
        assert!(directory.contains("is a directory. Name the file that grows."), "{directory}");
        let none = said(&(text + "[issuance]\nsource = \"none\"\n"));
        assert!(none.contains("issuance.follow: is of no use"), "{none}");
    }
}
