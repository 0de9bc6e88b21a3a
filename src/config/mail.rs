//! The meaning of `[mail]`.

use super::address::{check_host, check_mail_address, is_loopback};
use super::document::Document;
use super::problem::quote;
use super::raw::RawMail;
use super::secret::{ca_certificate, password};
use super::{MailConfig, MailTls, MailTransport, directory};

/// Sender and recipient of mails that only go to a folder, when none are given.
const FOLDER_ADDRESS: &str = "ctwarden@localhost";
/// The keys that mean nothing without a server.
const SERVER_KEYS: [&str; 4] = ["mail.port", "mail.username", "mail.password_file", "mail.ca_certificate"];

/// `[mail]`, or `None` when a problem was reported.
pub(super) fn build(raw: RawMail, document: &mut Document<'_>) -> Option<MailConfig> {
    let (from, to, profile) = (raw.from.clone(), raw.to.clone(), raw.profile);
    let folder = document.has("mail.folder");
    let transport = match (document.has("mail.server"), folder) {
        (true, true) => {
            let remedy = "Keep server to send mails, or folder to write them into a directory.";
            document.refuse("mail", "has both server and folder", remedy)
        }
        (false, false) => {
            let key = if document.has("mail") { "mail.server" } else { "mail" };
            let remedy = "Nobody would be told; write [mail] with server, from and to, or with folder = \"DIR\".";
            document.missing(key, remedy);
            None
        }
        (true, false) => smtp(raw, document),
        (false, true) => {
            for key in SERVER_KEYS.into_iter().chain(["mail.tls"]).filter(|key| document.has(key)).collect::<Vec<_>>() {
                document.refuse::<()>(
                    key,
                    "has no meaning with folder",
                    "Remove it, or write server instead of folder.",
                );
            }
            raw.folder.and_then(|text| directory("mail.folder", &text, document)).map(MailTransport::Folder)
        }
    };
    let from = match from {
        Some(from) => address(from, "mail.from", document),
        None => stand_in("mail.from", "Write from = \"NAME@DOMAIN\" in [mail].", folder, document),
    };
    let to = match to {
        Some(to) => recipients(to, document),
        None => stand_in("mail.to", "Write to = [\"NAME@DOMAIN\"] in [mail].", folder, document).map(|one| vec![one]),
    };
    Some(MailConfig { transport: transport?, from: from?, to: to?, profile: profile? })
}

fn stand_in(key: &str, remedy: &str, folder: bool, document: &mut Document<'_>) -> Option<String> {
    if folder {
        return Some(FOLDER_ADDRESS.to_string());
    }
    if document.has("mail") && !document.has(key) {
        document.missing(key, remedy);
    }
    None
}

fn address(text: String, key: &str, document: &mut Document<'_>) -> Option<String> {
    match check_mail_address(&text) {
        Ok(()) => Some(text),
        Err((reason, remedy)) => document.refuse(key, reason, remedy),
    }
}

fn recipients(to: Vec<String>, document: &mut Document<'_>) -> Option<Vec<String>> {
    let mut good: Vec<String> = Vec::new();
    let count = to.len();
    for text in to {
        if good.contains(&text) {
            document.refuse::<()>("mail.to", format!("{} stands twice", quote(&text)), "Name each recipient once.");
        } else {
            good.extend(address(text, "mail.to", document));
        }
    }
    (good.len() == count).then_some(good)
}

fn smtp(raw: RawMail, document: &mut Document<'_>) -> Option<MailTransport> {
    let server = raw.server.and_then(|text| match check_host(&text) {
        Ok(()) => Some(text),
        Err((reason, remedy)) => document.refuse("mail.server", reason, remedy),
    });
    let port = match (document.has("mail.port"), raw.tls) {
        (true, _) | (false, None) => raw.port,
        (false, Some(MailTls::StartTls)) => Some(587),
        (false, Some(MailTls::Tls)) => Some(465),
        (false, Some(MailTls::NoneOnLoopback)) => Some(25),
    };
    if let (Some(server), Some(MailTls::NoneOnLoopback)) = (&server, raw.tls)
        && !is_loopback(server)
    {
        let reason = format!("\"none-on-loopback\" does not go with server {}", quote(server));
        document.refuse::<()>("mail.tls", reason, "Use \"starttls\" or \"tls\"; mail leaves this machine encrypted.");
    }
    match (document.has("mail.username"), document.has("mail.password_file")) {
        (true, false) => {
            document.missing("mail.password_file", "A username needs one; write password_file = \"FILE\".")
        }
        (false, true) => document.missing("mail.username", "A password needs one; write username = \"NAME\"."),
        _ => {}
    }
    let wanted = document.has("mail.password_file");
    let password = raw.password_file.and_then(|text| password("mail.password_file", &text, document));
    let ca_wanted = document.has("mail.ca_certificate");
    let ca_certificate = raw.ca_certificate.and_then(|text| ca_certificate("mail.ca_certificate", &text, document));
    if (wanted && password.is_none()) || (ca_wanted && ca_certificate.is_none()) {
        return None;
    }
    Some(MailTransport::Smtp {
        server: server?,
        port: port?,
        tls: raw.tls?,
        username: raw.username,
        password,
        ca_certificate,
    })
}
