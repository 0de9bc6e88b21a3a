use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start() -> Running {
    start_within(LIMITS).await
}

async fn start_within(limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let readiness = Readiness::waiting("the log list is not loaded");
    let metrics = Arc::new(Metrics::new("0.1.0", "abc"));
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    let server =
        tokio::spawn(serve_within(limits, listener, router(metrics, readiness.clone(), "ctwarden 0.1.0"), shutdown));
    Running { address, readiness, stop, server }
}

async fn say(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The server may answer and close before it has read all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn pages() {
    let running = start().await;
    let metrics = fetch(running.address, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
    assert!(metrics.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("ctwarden_build_info{revision=\"abc\",version=\"0.1.0\"} 1"), "{metrics}");
    assert!(fetch(running.address, "/").await.contains("ctwarden 0.1.0\n\n/metrics"));
    assert!(fetch(running.address, "/-/healthy").await.ends_with("\r\n\r\nhealthy\n"));
    assert!(fetch(running.address, "/etc/passwd").await.starts_with("HTTP/1.1 404 "));
    let post =
        say(running.address, b"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(post.await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn readiness_says_why_not() {
    let running = start().await;
    let answer = fetch(running.address, "/-/ready").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("not ready: the log list is not loaded"),
        "{answer}"
    );
    running.readiness.set_ready();
    assert!(fetch(running.address, "/-/ready").await.starts_with("HTTP/1.1 200 "));
    running.readiness.set_waiting("the books cannot be written");
    assert!(fetch(running.address, "/-/ready").await.contains("the books cannot be written"));
    assert!(fetch(running.address, "/-/healthy").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let running = start().await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(64 * 1024));
    let answer = say(running.address, head.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(fetch(running.address, "/-/healthy").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_frees_the_port() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.address).await.expect("connects");
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("answers");
    assert_eq!(&first, b"HTTP/1.1 200");
    running.stop.send(()).expect("the server runs");
    tokio::time::timeout(SHUTDOWN_TIMEOUT, running.server).await.expect("in time").expect("no panic");
    assert!(TcpStream::connect(running.address).await.is_err(), "the port is still open");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_shown_the_door() {
    let limits = Limits { connections: 1, head: Duration::from_millis(200), ..LIMITS };
    let running = start_within(limits).await;
    let mut mute = TcpStream::connect(running.address).await.expect("connects");
    mute.write_all(b"GET / HT").await.expect("writes");
    // The only place is taken, so this one waits until the mute client is gone.
    assert!(fetch(running.address, "/-/healthy").await.starts_with("HTTP/1.1 200 "));
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), mute.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection stayed open");
}
