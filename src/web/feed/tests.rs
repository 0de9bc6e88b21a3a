use std::io::Write;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::issuance::{FILE_NAME, feed_tables};

const ROWS: &str = r#"{"table":"accounts","account_id":"1","kind":"cdn"}
{"table":"accounts","account_id":"2","kind":"direct"}
"#;

struct Running {
    address: SocketAddr,
    directory: tempfile::TempDir,
    record: Embedded,
    metrics: Arc<Metrics>,
}

impl Running {
    async fn start(limit_bytes: usize, places: usize, arrival: Duration) -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let record = Embedded::open(directory.path()).expect("a database");
        let metrics = Arc::new(Metrics::new("0", "0"));
        metrics.declare_feed("ra", &feed_tables().collect::<Vec<_>>());
        let token = |name: &str, role| Token { name: name.into(), role, sha256: Sha256::digest(name).into() };
        let tokens = vec![token("ra", Role::Feed), token("board", Role::Read)];
        let (metrics, clock) = (metrics.clone(), Clock::System);
        let door = Door { record: record.clone(), tokens, limit_bytes, metrics: metrics.clone(), clock };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(crate::web::serve(listener, router_within(door, places, arrival), std::future::pending()));
        Running { address, directory, record, metrics }
    }

    async fn sound() -> Running {
        Running::start(10_000, 2, Duration::from_secs(60)).await
    }

    /// Sends a request with these headers; status, headers and body of the answer.
    async fn send(&self, method: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, Value) {
        let method = method.parse().expect("a method");
        let mut request = reqwest::Client::new().request(method, format!("http://{}/api/v1/issuance", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let body = answer.text().await.expect("a body");
        (status, headers, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
    }

    async fn post(&self, body: &str) -> (u16, Value) {
        let (status, _, body) = self.send("POST", &[("Authorization", "Bearer ra")], body.into()).await;
        (status, body)
    }

    fn accounts(&self) -> i64 {
        let connection = rusqlite::Connection::open(self.record.path()).expect("opened");
        connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0)).expect("a number")
    }

    fn counted(&self, outcome: &str) -> bool {
        let line = format!("ctwarden_issuance_feed_requests_total{{outcome=\"{outcome}\"}} 1");
        self.metrics.render().expect("renders").lines().any(|other| other == line)
    }
}

#[tokio::test]
async fn a_batch_is_in_the_record_when_it_is_answered_and_changes_nothing_again() {
    let running = Running::sound().await;
    let (status, told) = running.post(ROWS).await;
    assert_eq!((status, running.accounts()), (200, 2), "{told}");
    let table = json!({"table": "accounts", "rows": 2, "inserted": 2, "updated": 0, "unchanged": 0});
    let expected = json!({"imported": true, "rows": 2, "inserted": 2, "updated": 0, "unchanged": 0,
                          "reclassified": 0, "tables": [table], "replayed": false});
    assert_eq!(told, expected);
    let (status, told) = running.post(ROWS).await;
    assert_eq!((status, &told["inserted"], &told["unchanged"]), (200, &json!(0), &json!(2)), "{told}");
    let text = running.metrics.render().expect("renders");
    assert!(text.contains("ctwarden_issuance_feed_rows_total{feed=\"ra\",table=\"accounts\"} 4"), "{text}");
    let (status, _, told) = running.send("GET", &[("Authorization", "Bearer board")], vec![]).await;
    assert_eq!((status, &told["tables"][0]["table"], &told["waiting"]), (200, &json!("accounts"), &json!(0)));
}

#[tokio::test]
async fn one_bad_line_refuses_the_whole_batch_with_line_column_and_reason() {
    let running = Running::sound().await;
    let (status, told) = running.post(&format!("{ROWS}{{\"table\":\"accounts\",\"account_id\":\"3\"}}\n")).await;
    let error = json!({"line": 3, "column": "kind", "reason": "is missing"});
    assert_eq!((status, told), (422, json!({"imported": false, "errors": [error], "more": false})));
    assert_eq!(running.accounts(), 0);
    assert!(running.counted("refused"));
}

#[tokio::test]
async fn a_key_makes_one_batch_of_all_its_sendings() {
    let running = Running::sound().await;
    let with = [("Authorization", "Bearer ra"), ("Idempotency-Key", "0001-a")];
    let (_, _, first) = running.send("POST", &with, ROWS.into()).await;
    assert_eq!((&first["inserted"], &first["replayed"]), (&json!(2), &json!(false)));
    let (status, _, again) = running.send("POST", &with, ROWS.into()).await;
    assert_eq!((status, &again["inserted"], &again["replayed"]), (200, &json!(2), &json!(true)));
    let (status, _, other) = running.send("POST", &with, ROWS.replace("\"2\"", "\"3\"").into()).await;
    assert_eq!((status, running.accounts()), (422, 2));
    assert!(other["error"].as_str().is_some_and(|text| text.contains("used for another batch")), "{other}");
    // A batch that was refused is not remembered: it can be mended under its key.
    let with = [("Authorization", "Bearer ra"), ("Idempotency-Key", "0002")];
    assert_eq!(running.send("POST", &with, "{}".into()).await.0, 422);
    assert_eq!(running.send("POST", &with, ROWS.replace("\"2\"", "\"4\"").into()).await.0, 200);
    let long = "k".repeat(256);
    for key in ["a b", &*long] {
        let with = [("Authorization", "Bearer ra"), ("Idempotency-Key", key)];
        assert_eq!(running.send("POST", &with, ROWS.into()).await.0, 400, "{key}");
    }
}

#[tokio::test]
async fn nobody_without_the_right_token_is_listened_to() {
    let running = Running::sound().await;
    for headers in [vec![], vec![("Authorization", "Bearer wrong")], vec![("Authorization", "Basic ra")]] {
        let (status, headers, told) = running.send("POST", &headers, ROWS.into()).await;
        assert_eq!((status, told), (401, json!({"error": "Unauthorized"})));
        assert!(headers.contains("\"www-authenticate\": \"Bearer\""), "{headers}");
    }
    for (method, token) in [("POST", "Bearer board"), ("GET", "Bearer ra")] {
        let (status, _, told) = running.send(method, &[("Authorization", token)], vec![]).await;
        assert_eq!((status, told), (403, json!({"error": "Forbidden"})), "{method}");
    }
    assert_eq!(running.accounts(), 0);
    assert!(running.counted("forbidden"));
}

#[tokio::test]
async fn bodies_are_capped_as_sent_and_as_inflated() {
    let running = Running::start(1_000, 2, Duration::from_secs(60)).await;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("finished")
    };
    let with = [("Authorization", "Bearer ra"), ("Content-Encoding", "gzip")];
    assert_eq!(running.send("POST", &with, gzip(ROWS.as_bytes())).await.0, 200);
    assert_eq!(running.send("POST", &with, gzip(&vec![b'\n'; 1_001])).await.0, 413);
    assert_eq!(running.send("POST", &with, b"no gzip".to_vec()).await.0, 400);
    assert_eq!(running.post(&"\n".repeat(1_001)).await.0, 413);
    assert_eq!(running.post(&"\n".repeat(1_000)).await.0, 200);
    let other = [("Authorization", "Bearer ra"), ("Content-Encoding", "br")];
    assert_eq!(running.send("POST", &other, ROWS.into()).await.0, 415);
    // Without a stated length it is given up at the first byte too many.
    let mut stream = TcpStream::connect(running.address).await.expect("connects");
    let head = "POST /api/v1/issuance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ra\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{head}3e9\r\n{}\r\n", "\n".repeat(1_001)).as_bytes()).await.expect("written");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");
}

/// A request that has its place and whose body does not come.
async fn stalled(running: &Running) -> TcpStream {
    let mut slow = TcpStream::connect(running.address).await.expect("connects");
    let head = "POST /api/v1/issuance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ra\r\nContent-Length: 9\r\n\
                Expect: 100-continue\r\nConnection: close\r\n\r\n";
    slow.write_all(head.as_bytes()).await.expect("written");
    // The server asks for the body once the request has its place.
    let mut start = [0; 12];
    slow.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 100");
    slow
}

#[tokio::test]
async fn one_batch_too_many_is_told_to_come_again() {
    let running = Running::start(1_000, 1, Duration::from_secs(600)).await;
    let slow = stalled(&running).await;
    let (status, headers, _) = running.send("POST", &[("Authorization", "Bearer ra")], ROWS.into()).await;
    assert_eq!(status, 429);
    assert!(headers.contains("\"retry-after\": \"1\"") && running.counted("busy"), "{headers}");
    drop(slow);
    while running.post(ROWS).await.0 == 429 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.accounts(), 2);
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_place_back() {
    let running = Running::start(1_000, 1, Duration::from_millis(50)).await;
    let mut rest = String::new();
    stalled(&running).await.read_to_string(&mut rest).await.expect("an answer");
    assert!(rest.contains("HTTP/1.1 408") && running.counted("timed_out"), "{rest}");
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_said_so_and_nothing_else() {
    let running = Running::sound().await;
    let path = running.directory.path().join(FILE_NAME);
    let aside = running.directory.path().join("aside");
    std::fs::rename(&path, &aside).expect("moved");
    let (status, headers, told) = running.send("POST", &[("Authorization", "Bearer ra")], ROWS.into()).await;
    assert_eq!(status, 503);
    assert!(headers.contains("\"retry-after\": \"10\""), "{headers}");
    assert!(!told.to_string().contains("sqlite"), "{told}");
    std::fs::rename(&aside, &path).expect("moved back");
    assert_eq!(running.post(ROWS).await.0, 200);
}
