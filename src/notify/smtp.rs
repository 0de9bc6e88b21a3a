//! Mail to a server by SMTP (RFC 5321), one message per recipient, so that one refused recipient stops no other.
//!
//! Each mail has a connection of its own under one deadline. lettre's own transport would keep a pool, but it bounds
//! only the TCP connect in time, and a connection given up in the middle of a message would go back into the pool.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::{Mail, SendError, SetupError, clean};

/// How the connection is protected. There is no "if the server offers it": whoever sits between could take the offer
/// away (RFC 3207 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain at first, TLS before anything else is said; usually port 587.
    StartTls,
    /// TLS from the first byte (RFC 8314 3.3); usually port 465.
    Implicit,
    /// Plain text, to this machine only.
    NoneOnLoopback,
}

/// What is needed to reach a mail server.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Name or address of the server; its certificate must name it.
    pub server: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// User name for AUTH PLAIN or LOGIN; together with `password` or not at all.
    pub username: Option<String>,
    /// Password; never shown.
    pub password: Option<String>,
    /// Certificates in PEM, trusted instead of those of the operating system.
    pub ca_certificate: Option<Vec<u8>>,
    /// Longest time for one mail from connecting to the server's last word.
    pub timeout: Duration,
}

impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("server", &self.server)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    server: String,
    port: u16,
    tls: Protection,
    credentials: Option<Credentials>,
    timeout: Duration,
}

#[derive(Clone)]
enum Protection {
    StartTls(TlsParameters),
    Implicit(TlsParameters),
    None,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).field("port", &self.port).finish_non_exhaustive()
    }
}

/// How far a delivery had come when it failed; it decides the fate and the remedy.
#[derive(Clone, Copy)]
enum Stage {
    Connect,
    StartTls,
    Login,
    Message,
}

impl Smtp {
    /// Prepares for a server; connects to nothing yet.
    ///
    /// # Errors
    /// [`SetupError::NotLoopback`], [`SetupError::HalfLogin`] or [`SetupError::Tls`].
    pub fn new(settings: SmtpSettings) -> Result<Smtp, SetupError> {
        let SmtpSettings { server, port, tls, username, password, ca_certificate, timeout } = settings;
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some(Credentials::new(username, password)),
            (None, None) => None,
            _ => return Err(SetupError::HalfLogin { server }),
        };
        let tls = match tls {
            Tls::StartTls => Protection::StartTls(tls_parameters(&server, ca_certificate)?),
            Tls::Implicit => Protection::Implicit(tls_parameters(&server, ca_certificate)?),
            Tls::NoneOnLoopback if is_loopback(&server) => Protection::None,
            Tls::NoneOnLoopback => return Err(SetupError::NotLoopback { server }),
        };
        Ok(Smtp { server, port, tls, credentials, timeout })
    }

    pub(super) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let mut connection = match timeout(self.timeout, self.deliver(mail)).await {
            Ok(delivered) => delivered?,
            Err(_) => {
                return Err(SendError::Transient(format!(
                    "mail server {}:{}: no end within {} s; check the network, the server's load and timeouts",
                    self.server,
                    self.port,
                    self.timeout.as_secs_f32()
                )));
            }
        };
        // The server has taken the mail; what comes of saying goodbye changes nothing.
        let _ = timeout(Duration::from_secs(2), connection.abort()).await;
        Ok(())
    }

    /// All of RFC 5321 3.1 to 3.3 up to the 250 after DATA.
    async fn deliver(&self, mail: &Mail) -> Result<AsyncSmtpConnection, SendError> {
        let at = |stage: Stage| move |error: Error| self.failure(stage, mail, &error);
        let envelope = Envelope::new(Some(mail.from.clone()), vec![mail.to.clone()])
            .map_err(|error| SendError::Permanent(format!("mail {}: {error}", mail.message_id)))?;
        let hello = ClientId::default();
        let implicit = match &self.tls {
            Protection::Implicit(parameters) => Some(parameters.clone()),
            Protection::StartTls(_) | Protection::None => None,
        };
        let address = (self.server.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, implicit, None)
            .await
            .map_err(at(Stage::Connect))?;
        if let Protection::StartTls(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &hello).await.map_err(at(Stage::StartTls))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await.map_err(at(Stage::Login))?;
        }
        connection.send(&envelope, &mail.bytes).await.map_err(at(Stage::Message))?;
        Ok(connection)
    }

    /// RFC 5321 4.2.1: 4yz "should be tried again", 5yz "should not repeat the exact request". A 5yz that is about the
    /// sender's login (RFC 4954 6: 530, 534, 535, 538) or comes before MAIL is about our settings, not about the mail:
    /// it is tried again, since the operator may mend it any minute.
    fn failure(&self, stage: Stage, mail: &Mail, error: &Error) -> SendError {
        let code = error.status().map(u16::from);
        let about_login = matches!(stage, Stage::Login) || matches!(code, Some(530 | 534 | 535 | 538));
        let permanent = matches!(stage, Stage::Message) && error.is_permanent() && !about_login;
        let (step, remedy) = match stage {
            Stage::Connect if error.is_tls() => {
                ("TLS failed", "check that the certificate names the server and that its issuer is trusted")
            }
            Stage::Connect => ("no session", "check [mail] server, port and tls, and the network"),
            Stage::StartTls => (
                "no STARTTLS",
                "check that the server offers it and that its certificate names the server and its issuer is trusted",
            ),
            Stage::Login => ("login failed", "check [mail] username and password_file"),
            Stage::Message if about_login => ("login demanded", "check [mail] username and password_file"),
            Stage::Message if permanent => ("refused", "check [mail] from and to, and the server's log"),
            Stage::Message => ("not accepted", "nothing to do unless it goes on: it will be sent again"),
        };
        // The reply is the server's text, so it is cut and escaped like everything foreign.
        let (reply, to) = (clean(&error.to_string(), 300), &mail.to);
        let text = format!("mail server {}:{}, mail to {to}: {step}: {reply}; {remedy}", self.server, self.port);
        if permanent { SendError::Permanent(text) } else { SendError::Transient(text) }
    }
}

fn tls_parameters(server: &str, ca_certificate: Option<Vec<u8>>) -> Result<TlsParameters, SetupError> {
    let fail = |reason: String| SetupError::Tls { server: server.to_string(), reason };
    let mut builder = TlsParameters::builder(server.to_string());
    if let Some(pem) = ca_certificate {
        // lettre takes a file without any certificate for an empty list, with which every server would be refused.
        if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
            return Err(fail("there is no certificate in it".to_string()));
        }
        let certificate = Certificate::from_pem(&pem).map_err(|error| fail(clean(&error.to_string(), 200)))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| fail(clean(&error.to_string(), 200)))
}

/// Decided by what is written, not by what a resolver says.
fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(server: &str, tls: Tls) -> SmtpSettings {
        SmtpSettings {
            server: server.to_string(),
            port: 25,
            tls,
            username: Some("ct".to_string()),
            password: Some("open sesame".to_string()),
            ca_certificate: None,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn plain_text_goes_to_this_machine_only() {
        for server in ["localhost", "127.0.0.1", "127.8.8.8", "::1"] {
            Smtp::new(settings(server, Tls::NoneOnLoopback)).expect(server);
        }
        for server in ["mail.ca.example", "192.0.2.1", "localhost.example", "::ffff:192.0.2.1", "", "0.0.0.0"] {
            let error = Smtp::new(settings(server, Tls::NoneOnLoopback)).expect_err(server);
            assert_eq!(error, SetupError::NotLoopback { server: server.to_string() });
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let settings = settings("localhost", Tls::NoneOnLoopback);
        let shown = format!("{settings:?} {:?}", Smtp::new(settings.clone()));
        assert!(shown.contains("\"ct\"") && !shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        let half = SmtpSettings { password: None, ..settings("localhost", Tls::NoneOnLoopback) };
        assert!(matches!(Smtp::new(half), Err(SetupError::HalfLogin { .. })));
        for bad in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let pem = Some(bad.as_bytes().to_vec());
            let error = Smtp::new(SmtpSettings { ca_certificate: pem, ..settings("localhost", Tls::StartTls) });
            assert!(matches!(error, Err(SetupError::Tls { .. })), "{bad}");
        }
    }
}
