//! A small real mail server (RFC 5321, STARTTLS, AUTH PLAIN and LOGIN) that keeps what it receives and misbehaves on
//! demand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The login the server knows.
pub const USER: &str = "ct@ca.example";
/// Its password.
pub const PASSWORD: &str = "open sesame";

/// What the server does and does not do.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Offers STARTTLS.
    pub starttls: bool,
    /// Speaks TLS from the first byte.
    pub implicit_tls: bool,
    /// Demands a login before MAIL (RFC 4954 6: 530).
    pub demand_login: bool,
    /// The AUTH mechanisms it offers.
    pub mechanisms: &'static str,
    /// Answers this many MAIL commands with 451.
    pub busy: usize,
    /// Answers RCPT with 550 for addresses that contain this.
    pub unknown_recipient: Option<&'static str>,
    /// Hangs up this many times after the first bytes of the message.
    pub drop_mid_data: usize,
    /// Waits before the greeting.
    pub greeting_delay: Duration,
    /// Never answers QUIT.
    pub mute_quit: bool,
}

impl Default for Knobs {
    /// A good server: STARTTLS, login demanded, nothing refused.
    fn default() -> Knobs {
        Knobs {
            starttls: true,
            implicit_tls: false,
            demand_login: true,
            mechanisms: "PLAIN LOGIN",
            busy: 0,
            unknown_recipient: None,
            drop_mid_data: 0,
            greeting_delay: Duration::ZERO,
            mute_quit: false,
        }
    }
}

/// A message that the server has taken.
#[derive(Clone, Debug)]
pub struct Received {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Whether it came through TLS.
    pub tls: bool,
    /// Who was logged in.
    pub login: Option<String>,
    /// The message, dots unstuffed.
    pub data: Vec<u8>,
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    commands: Vec<String>,
}

/// A running server on a port of 127.0.0.1; stops when dropped.
pub struct SmtpServer {
    /// Its port.
    pub port: u16,
    /// Its certificate, PEM: for `localhost` and 127.0.0.1.
    pub certificate: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl SmtpServer {
    /// Starts a server.
    pub async fn start(knobs: Knobs) -> SmtpServer {
        let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a TLS server");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (knobs, shared) = (Arc::new(Mutex::new(knobs)), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (knobs, seen, acceptor) = (Arc::clone(&knobs), Arc::clone(&shared), acceptor.clone());
                // A client that hangs up ends its own conversation only.
                tokio::spawn(async move {
                    let (delay, implicit) = {
                        let knobs = knobs.lock().expect("knobs");
                        (knobs.greeting_delay, knobs.implicit_tls)
                    };
                    tokio::time::sleep(delay).await;
                    let mut talk = Talk { knobs, seen, tls: false, login: None };
                    if implicit {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            talk.tls = true;
                            let _ = talk.greet_and_serve(BufReader::new(stream)).await;
                        }
                    } else if let Ok(Some(plain)) = talk.greet_and_serve(BufReader::new(stream)).await
                        && let Ok(stream) = acceptor.accept(plain.into_inner()).await
                    {
                        talk.tls = true;
                        let _ = talk.serve(&mut BufReader::new(stream)).await;
                    }
                });
            }
        });
        SmtpServer { port, certificate: own.cert.pem().into_bytes(), seen, task }
    }

    /// The messages taken so far.
    pub fn received(&self) -> Vec<Received> {
        self.seen.lock().expect("seen").received.clone()
    }

    /// Every command line so far, without the secrets of AUTH.
    pub fn commands(&self) -> Vec<String> {
        self.seen.lock().expect("seen").commands.clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a conversation goes on.
enum Next {
    StartTls,
    End,
}

struct Talk {
    knobs: Arc<Mutex<Knobs>>,
    seen: Arc<Mutex<Seen>>,
    tls: bool,
    login: Option<String>,
}

impl Talk {
    /// Gives the stream back when it is to become TLS.
    async fn greet_and_serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: BufReader<S>,
    ) -> std::io::Result<Option<BufReader<S>>> {
        say(&mut stream, "220 mail.ca.example ESMTP").await?;
        Ok(match self.serve(&mut stream).await? {
            Next::StartTls => Some(stream),
            Next::End => None,
        })
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut BufReader<S>) -> std::io::Result<Next> {
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let Some(line) = hear(stream).await? else { return Ok(Next::End) };
            let upper = line.to_ascii_uppercase();
            let verb = upper.split([' ', ':']).next().unwrap_or_default().to_string();
            self.note(if verb == "AUTH" { "AUTH" } else { &line });
            let knobs = self.knobs.lock().expect("knobs").clone();
            match verb.as_str() {
                "EHLO" => {
                    say(stream, "250-mail.ca.example").await?;
                    if knobs.starttls && !self.tls {
                        say(stream, "250-STARTTLS").await?;
                    }
                    if self.tls || !knobs.starttls {
                        say(stream, &format!("250-AUTH {}", knobs.mechanisms)).await?;
                    }
                    say(stream, "250 8BITMIME").await?;
                }
                "STARTTLS" if knobs.starttls && !self.tls => {
                    say(stream, "220 go ahead").await?;
                    return Ok(Next::StartTls);
                }
                "AUTH" => self.auth(stream, &line).await?,
                "MAIL" if knobs.demand_login && self.login.is_none() => {
                    say(stream, "530 5.7.0 Authentication required").await?
                }
                "MAIL" if knobs.busy > 0 => {
                    self.knobs.lock().expect("knobs").busy -= 1;
                    say(stream, "451 4.3.0 busy,\u{1b}[31m try later").await?;
                }
                "MAIL" => {
                    (from, to) = (path(&line), Vec::new());
                    say(stream, "250 ok").await?;
                }
                "RCPT" if knobs.unknown_recipient.is_some_and(|unknown| line.contains(unknown)) => {
                    say(stream, "550 5.1.1 no such mailbox").await?
                }
                "RCPT" => {
                    to.push(path(&line));
                    say(stream, "250 ok").await?;
                }
                "DATA" => {
                    say(stream, "354 go on").await?;
                    if knobs.drop_mid_data > 0 {
                        self.knobs.lock().expect("knobs").drop_mid_data -= 1;
                        stream.read_exact(&mut [0; 100]).await?;
                        return Ok(Next::End);
                    }
                    let Some(data) = hear_message(stream).await? else { return Ok(Next::End) };
                    let (from, to, login) = (from.clone(), to.clone(), self.login.clone());
                    self.seen.lock().expect("seen").received.push(Received { from, to, tls: self.tls, login, data });
                    say(stream, "250 2.0.0 taken").await?;
                }
                "QUIT" if knobs.mute_quit => tokio::time::sleep(Duration::from_secs(3600)).await,
                "QUIT" => {
                    say(stream, "221 bye").await?;
                    return Ok(Next::End);
                }
                "NOOP" | "RSET" => say(stream, "250 ok").await?,
                _ => say(stream, "502 5.5.1 not here").await?,
            }
        }
    }

    /// RFC 4954 4: PLAIN with an initial response, LOGIN with two challenges.
    async fn auth<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        line: &str,
    ) -> std::io::Result<()> {
        let decode = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let words: Vec<&str> = line.split(' ').collect();
        let login = match words[..] {
            [_, "PLAIN", initial] => decode(initial).and_then(|text| {
                let mut fields = text.split('\0').skip(1).map(str::to_string);
                Some((fields.next()?, fields.next()?))
            }),
            [_, "LOGIN"] => {
                let mut answers = Vec::new();
                for challenge in ["Username:", "Password:"] {
                    say(stream, &format!("334 {}", STANDARD.encode(challenge))).await?;
                    answers.push(hear(stream).await?.and_then(|answer| decode(&answer)).unwrap_or_default());
                }
                Some((answers[0].clone(), answers[1].clone()))
            }
            _ => None,
        };
        if login.is_some_and(|(user, password)| user == USER && password == PASSWORD) {
            self.login = Some(USER.to_string());
            say(stream, "235 2.7.0 welcome").await
        } else {
            say(stream, "535 5.7.8 wrong user or password").await
        }
    }

    fn note(&self, command: &str) {
        self.seen.lock().expect("seen").commands.push(command.to_string());
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// One line without its CRLF; `None` at the end.
async fn hear<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    stream.take(100_000).read_until(b'\n', &mut line).await?;
    let text = String::from_utf8_lossy(&line);
    Ok((!line.is_empty()).then(|| text.trim_end_matches(['\r', '\n']).to_string()))
}

/// RFC 5321 4.5.2: up to the lone dot; a dot that begins a line was doubled.
async fn hear_message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 || data.len() > 50_000_000 {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(data));
        }
        data.extend_from_slice(if line.starts_with(b".") { &line[1..] } else { &line });
    }
}

/// `a@b` of `MAIL FROM:<a@b> BODY=8BITMIME`.
fn path(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path).to_string()
}
