//! What a server is reached with and what stands in a file of its own: a password, the certificate of a private CA.

use x509_parser::pem::Pem;

use super::Secret;
use super::document::Document;
use super::problem::read_file;

/// The longest password, in bytes.
const PASSWORD_LIMIT_BYTES: u64 = 4096;
/// The longest file of CA certificates, in bytes.
const CA_LIMIT_BYTES: u64 = 1 << 20;

/// The password in a file: its one line.
pub(super) fn password(key: &str, text: &str, document: &mut Document<'_>) -> Option<Secret> {
    let remedy = "Name a readable file with the password on one line.";
    let path = document.path(text);
    let read = read_file(&path, PASSWORD_LIMIT_BYTES).and_then(|bytes| {
        let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        // Editors end a file with a line break that is not part of the password.
        let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        match line {
            "" => Err(format!("{} has an empty first line", path.display())),
            line if line.chars().any(char::is_control) => Err(format!("{} has more than one line", path.display())),
            line => Ok(Secret::new(line.to_string())),
        }
    });
    read.map_or_else(|reason| document.refuse(key, reason, remedy), Some)
}

/// The bytes of a PEM file with certificates alone.
pub(super) fn ca_certificate(key: &str, text: &str, document: &mut Document<'_>) -> Option<Vec<u8>> {
    let path = document.path(text);
    let read = read_file(&path, CA_LIMIT_BYTES).and_then(|bytes| {
        let good =
            |block: Result<Pem, _>| block.is_ok_and(|block| block.label == "CERTIFICATE" && block.parse_x509().is_ok());
        let mut blocks = Pem::iter_from_buffer(&bytes).peekable();
        let all = blocks.peek().is_some() && blocks.all(good);
        if all { Ok(bytes) } else { Err(format!("{} is not PEM with certificates alone", path.display())) }
    });
    let remedy = "Name a PEM file with the certificate of the CA that signed the server's.";
    read.map_or_else(|reason| document.refuse(key, reason, remedy), Some)
}
