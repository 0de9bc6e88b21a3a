//! What becomes of an answer on its way.

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;
use ctwarden::clock::{Span, Timestamp};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;

use super::{Again, Fault};

/// Pieces in which a slow body comes.
const PIECES: usize = 10;

/// An answer before it is sent.
pub struct Answer {
    pub status: u16,
    body: Vec<u8>,
    content_type: &'static str,
    encoding: Option<&'static str>,
    retry_after: Option<String>,
    /// Before the first byte.
    delay: Duration,
    /// Over the whole body.
    spread: Duration,
    /// Half of the body, and no more.
    cut: bool,
}

impl Answer {
    pub fn ok(content_type: &'static str, body: Vec<u8>) -> Answer {
        let (delay, spread) = (Duration::ZERO, Duration::ZERO);
        Answer { status: 200, body, content_type, encoding: None, retry_after: None, delay, spread, cut: false }
    }

    pub fn missing() -> Answer {
        Answer::ok("text/plain", b"not found\n".to_vec()).with_status(404)
    }

    pub fn with_status(self, status: u16) -> Answer {
        Answer { status, ..self }
    }

    pub async fn send(self) -> Response {
        tokio::time::sleep(self.delay).await;
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).expect("a status"))
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CONTENT_LENGTH, self.body.len());
        if let Some(encoding) = self.encoding {
            response = response.header(header::CONTENT_ENCODING, encoding);
        }
        if let Some(text) = self.retry_after {
            response = response.header(header::RETRY_AFTER, text);
        }
        let body = if self.cut {
            let half = Bytes::copy_from_slice(&self.body[..self.body.len() / 2]);
            // The pause lets the half go out before the connection ends.
            Body::from_stream(stream::unfold(0, move |step| {
                let half = half.clone();
                async move {
                    match step {
                        0 => Some((Ok(half), 1)),
                        1 => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            Some((Err(std::io::Error::other("cut")), 2))
                        }
                        _ => None,
                    }
                }
            }))
        } else if self.spread > Duration::ZERO {
            let length = self.body.len().div_ceil(PIECES).max(1);
            let pieces: Vec<Bytes> = self.body.chunks(length).map(Bytes::copy_from_slice).collect();
            let pause = self.spread / PIECES as u32;
            Body::from_stream(stream::unfold(pieces.into_iter(), move |mut pieces| async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, std::io::Error>(pieces.next()?), pieces))
            }))
        } else {
            Body::from(self.body)
        };
        response.body(body).expect("a response")
    }
}

/// Spoils an answer.
pub fn spoil(mut answer: Answer, fault: Option<&Fault>, now: Timestamp) -> Answer {
    let Some(fault) = fault else { return answer };
    match fault {
        Fault::Status(status) => {
            answer = Answer::ok("text/plain", b"the storage does not answer\n".to_vec()).with_status(*status);
        }
        Fault::NoPartial => answer = Answer::missing(),
        Fault::TooMany(again) => {
            answer = Answer::ok("text/plain", b"too many requests\n".to_vec()).with_status(429);
            answer.retry_after = match again {
                Again::Unsaid => None,
                Again::Seconds(seconds) => Some(seconds.to_string()),
                Again::Gmt(seconds) => Some(http_date(now, *seconds, "GMT")),
                Again::Utc(seconds) => Some(http_date(now, *seconds, "UTC")),
            };
        }
        Fault::SlowFirstByte(delay) => answer.delay = *delay,
        Fault::SlowBody(spread) => answer.spread = *spread,
        Fault::Cut => answer.cut = true,
        Fault::Html => {
            let page = "<!DOCTYPE html>\n<html><head><title>Bad Gateway</title></head><body>Oops</body></html>\n";
            answer = Answer::ok("text/html", page.repeat(4).into_bytes());
        }
        Fault::Bomb(mebibytes) => {
            // RFC 1952 2.2: a gzip file is a series of members, so that one member will do for all.
            answer.body = gzip(&vec![0; 1 << 20]).repeat(*mebibytes);
            answer.body.extend(gzip(b"boom"));
            answer.encoding = Some("gzip");
        }
        Fault::Members => {
            // The first and the last are of one size, so that the trailer of the last is true of the first as well.
            let third = answer.body.len() / 3;
            let (first, rest) = answer.body.split_at(third);
            let (middle, last) = rest.split_at(rest.len() - third);
            answer.body = [gzip(first), gzip(middle), gzip(last)].concat();
            answer.encoding = Some("gzip");
        }
        Fault::SaysGzip => answer.encoding = Some("gzip"),
        Fault::SaysBrotli => answer.encoding = Some("br"),
        Fault::GzipUnsaid => answer.body = gzip(&answer.body),
        // The others are faults of content.
        _ => {}
    }
    answer
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("write to memory");
    encoder.finish().expect("finish in memory")
}

/// `Sat, 21 Nov 2026 23:27:30 GMT` (RFC 9110 5.6.7), so many seconds from now and rounded up.
fn http_date(now: Timestamp, seconds: u32, zone: &str) -> String {
    let at = now.plus(Span::from_seconds(i64::from(seconds) + 1)).seconds();
    let moment = jiff::Timestamp::from_second(at).expect("a moment");
    moment.strftime(&format!("%a, %d %b %Y %H:%M:%S {zone}")).to_string()
}
