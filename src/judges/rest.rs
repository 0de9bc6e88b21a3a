//! Judges behind HTTP: one POST per certificate, capped in bytes, no redirects, no proxy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode, Url};

use super::answer::{read, unreadable};
use super::{ANSWER_LIMIT_BYTES, Answer, Format, JudgeError, shown};

/// The client of one judge.
pub(super) fn client() -> Result<Client, JudgeError> {
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.build().map_err(|error| JudgeError::Unreachable(format!("the HTTP client cannot be made: {error}")))
}

/// Asks about one certificate.
pub(super) async fn ask(client: &Client, url: &Url, format: Format, der: &[u8]) -> Result<Answer, JudgeError> {
    let base64 = STANDARD.encode(der);
    let request = match format {
        // pkimetal, doc/REST_API.md: b64input, format, severity as form fields; "meta" names the linters and versions.
        Format::Pkimetal => {
            let fields = [("b64input", base64.as_str()), ("format", "json"), ("severity", "meta")];
            let form = Url::parse_with_params("http://localhost", fields);
            let form = form.ok().and_then(|form| form.query().map(str::to_string)).unwrap_or_default();
            client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        }
        // pkilint, rest/model.py: an object with exactly one of pem and b64.
        Format::Pkilint | Format::Zlint => {
            let body = serde_json::json!({ "b64": base64 }).to_string();
            client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body)
        }
    };
    let (status, body) = send(request).await?;
    match status {
        StatusCode::OK => read(format, &body, 1)?.pop().ok_or(JudgeError::Garbled("it is empty".to_string())),
        // pkilint: "Parsing error occurred" about the certificate it was sent, or that it is none.
        StatusCode::UNPROCESSABLE_ENTITY if format == Format::Pkilint => Ok(unreadable("pkilint", &shown(&body))),
        status => Err(JudgeError::Unreachable(format!("HTTP {}: {}", status.as_u16(), shown(&body)))),
    }
}

/// The version of the service where it has a place of its own; pkimetal says it with every answer.
pub(super) async fn version(client: &Client, url: &Url, format: Format) -> Result<String, JudgeError> {
    if format != Format::Pkilint {
        return Ok(String::new());
    }
    #[derive(serde::Deserialize)]
    struct Version {
        version: String,
    }
    let place = url.join("/version").map_err(|error| JudgeError::Garbled(error.to_string()))?;
    let (_, body) = send(client.get(place)).await?;
    let version: Version = serde_json::from_slice(&body).map_err(|error| JudgeError::Garbled(error.to_string()))?;
    Ok(shown(version.version.as_bytes()))
}

async fn send(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), JudgeError> {
    let mut response = request.send().await.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
            return Err(JudgeError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

fn unreachable(error: reqwest::Error) -> JudgeError {
    let error = error.without_url();
    let mut causes = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    JudgeError::Unreachable(shown(causes.join(": ").as_bytes()))
}
