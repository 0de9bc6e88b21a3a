//! A stand-in for pkimetal's REST interface: `POST /lintcert` with a form, answered in its JSON, or as a broken service
//! answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As pkimetal 1.20 does.
    Answer,
    /// 500.
    Failing,
    /// 200 with something else.
    Garbage,
    /// 200 with the word that one of its linters broke down.
    Broken,
    /// 200 without end.
    Huge,
    /// Nothing, for ever.
    Silent,
}

const ANSWER: &str = r#"[{"Linter":"pkimetal","Finding":"Profile: tbr_leaf_tlsserver_dv; Version: v1.20.0","Severity":"meta"},
{"Linter":"pkilint","Field":"certificate.tbsCertificate","Finding":"Internal name","Code":"cabf.internal_domain_name","Severity":"error"},
{"Linter":"pkilint","Finding":"Queued: 1ms; Runtime: 9ms; Version: v0.13.3","Severity":"meta"},
{"Linter":"zlint","Finding":"DNSNames must have a valid TLD.","Code":"e_dnsname_not_valid_tld","Severity":"error"},
{"Linter":"zlint","Finding":"Queued: 1ms; Runtime: 1ms; Version: v3.6.4","Severity":"meta"}]"#;

/// A service on loopback; it ends with the runtime of its test.
pub struct Service(std::net::SocketAddr);

impl Service {
    /// A path of it.
    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.0).parse().expect("a URL")
    }
}

/// Where nobody listens.
pub fn nobody() -> Url {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    format!("http://127.0.0.1:{port}/lintcert").parse().expect("a URL")
}

/// Starts one that expects to be asked about this certificate.
pub async fn start(mode: Mode, expected: Vec<u8>) -> Service {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/lintcert", post(lint)).with_state((mode, expected));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Service(address)
}

async fn lint(State((mode, expected)): State<(Mode, Vec<u8>)>, headers: HeaderMap, body: String) -> Response {
    match mode {
        Mode::Answer => {}
        Mode::Failing => return (StatusCode::INTERNAL_SERVER_ERROR, "it fell over").into_response(),
        Mode::Garbage => return "<!DOCTYPE HTML>".into_response(),
        Mode::Broken => {
            let broken = r#"[{"Linter":"pkimetal","Finding":"pkilint: stdout.Scan() => false","Severity":"fatal"}]"#;
            return broken.into_response();
        }
        Mode::Huge => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
            return Body::from_stream(endless).into_response();
        }
        Mode::Silent => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return StatusCode::OK.into_response();
        }
    }
    let form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let fields: Vec<(String, String)> = Url::parse(&format!("http://localhost/?{body}"))
        .map(|url| url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
        .unwrap_or_default();
    let field = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let certificate = field("b64input").and_then(|text| STANDARD.decode(text).ok());
    let asked_well = form && field("format") == Some("json") && field("severity") == Some("meta");
    if asked_well && certificate.as_ref() == Some(&expected) {
        return ANSWER.into_response();
    }
    // As pkimetal refuses: with 200, and a fatal finding of its own.
    r#"[{"Linter":"pkimetal","Finding":"Unrecognised input","Severity":"fatal"}]"#.into_response()
}
