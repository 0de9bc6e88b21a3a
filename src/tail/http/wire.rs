use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::*;
use crate::clock::Stopwatch;

/// A server on loopback that answers every path by `answer`.
async fn serve(answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let app = Router::new().fallback(move |request: Request| {
        let response = answer(request);
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
    address
}

fn fetcher() -> Fetcher {
    Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client")
}

#[tokio::test]
async fn a_limited_host_is_read_to_the_end_with_few_refusals() {
    let (served, refused) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let bucket = Arc::new(Mutex::new((20.0_f64, Stopwatch::start())));
    let (counted, turned_away) = (served.clone(), refused.clone());
    let address = serve(move |_| {
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.0 = (bucket.0 + bucket.1.seconds() * 40.0).min(20.0);
        bucket.1 = Stopwatch::start();
        if bucket.0 < 1.0 {
            turned_away.fetch_add(1, Ordering::SeqCst);
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        bucket.0 -= 1.0;
        counted.fetch_add(1, Ordering::SeqCst);
        "entries".into_response()
    })
    .await;
    let (fetcher, url) = (fetcher(), format!("http://{address}/"));
    let logs = ["a", "b", "c"].map(|log| {
        let (fetcher, url) = (fetcher.for_log(log, Limits::default()), url.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while done < 40 {
                match fetcher.get(&url, Caps::SMALL, Urgency::Backlog).await {
                    Ok(body) => {
                        assert_eq!(body, b"entries");
                        done += 1;
                    }
                    Err(error) => assert_eq!(error.outcome(), "rate_limited"),
                }
            }
        })
    });
    for log in logs {
        log.await.expect("every request is served in the end");
    }
    assert_eq!(served.load(Ordering::SeqCst), 120);
    assert!(refused.load(Ordering::SeqCst) <= 24, "{refused:?} refused");
    assert!(fetcher.rate(&url).is_some());
}

#[tokio::test]
async fn retry_after_rests_the_whole_host_in_each_of_its_forms() {
    for form in ["seconds", "GMT", "UTC"] {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let address = serve(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                return "ok".into_response();
            }
            let after = Clock::System.now().plus(Span::from_millis(2_500)).to_string();
            let moment: jiff::Timestamp = after.parse().expect("a moment");
            let date = moment.strftime("%a, %d %b %Y %H:%M:%S").to_string();
            let value = if form == "seconds" { "2".to_string() } else { format!("{date} {form}") };
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", value)]).into_response()
        })
        .await;
        let (fetcher, url) = (fetcher(), format!("http://{address}/"));
        let first = fetcher.for_log("a", Limits::default()).get(&url, Caps::SMALL, Urgency::Fresh).await;
        assert!(matches!(first, Err(FetchError::Status { status: 503, .. })), "{first:?}");
        let watch = Stopwatch::start();
        let second = fetcher.for_log("b", Limits::default()).get(&url, Caps::SMALL, Urgency::Head).await;
        assert_eq!(second.expect("served"), b"ok");
        // A date has whole seconds, so that up to one of the two and a half is lost.
        assert!(watch.elapsed() >= Duration::from_millis(1_200), "{form}: {:?}", watch.elapsed());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let address = serve(|request| {
        let headers: &HeaderMap = request.headers();
        match headers.get("if-none-match").and_then(|tag| tag.to_str().ok()) {
            Some("\"v1\"") => (StatusCode::NOT_MODIFIED, [("etag", "\"v1\"")]).into_response(),
            _ => (StatusCode::OK, [("etag", "\"v1\"")], "list").into_response(),
        }
    })
    .await;
    let (fetcher, url) = (fetcher(), format!("http://{address}/list.json"));
    let first = fetcher.get_changed(&url, Caps::SMALL, None).await.expect("served").expect("changed");
    assert_eq!((first.body.as_slice(), first.etag.as_deref()), (&b"list"[..], Some("\"v1\"")));
    assert_eq!(fetcher.get_changed(&url, Caps::SMALL, first.etag.as_deref()).await.expect("served"), None);
    let other = fetcher.get_changed(&url, Caps::SMALL, Some("\"v0\"")).await.expect("served");
    assert_eq!(other.expect("changed").body, b"list");
}

#[tokio::test]
async fn a_body_is_written_to_a_file_as_it_came_and_an_excuse_is_not() {
    let address = serve(|request| {
        let gone = || (StatusCode::NOT_FOUND, "no such list").into_response();
        match (request.uri().path(), request.headers().get("if-none-match")) {
            ("/1", Some(_)) => (StatusCode::NOT_MODIFIED, "").into_response(),
            ("/1", None) => ([("etag", "\"v1\"")], vec![7_u8; 100_000]).into_response(),
            ("/gzip", _) => ([("content-encoding", "gzip")], "as it came").into_response(),
            ("/odd", _) => ([("content-encoding", "br")], "as it came").into_response(),
            ("/busy", _) => (StatusCode::BAD_GATEWAY, "an excuse").into_response(),
            _ => gone(),
        }
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("body");
    let fetch = async |name: &str, limit: usize, etag: Option<&str>| {
        let mut file = File::create(&path).await.expect("a file");
        let fetched = fetcher().fetch_changed_into(&format!("http://{address}{name}"), limit, etag, &mut file).await;
        let told = fetched.map(|arrived| arrived.map(|arrived| arrived.expect("written")));
        let told = told.map(|arrived| arrived.map(|arrived| (arrived.etag, arrived.is_gzip)));
        (told.map_err(|error| error.outcome()), std::fs::read(&path).expect("it"))
    };
    let whole = (Ok(Some((Some("\"v1\"".to_string()), false))), vec![7; 100_000]);
    assert_eq!(fetch("/1", 100_000, None).await, whole);
    assert_eq!(fetch("/1", 99_999, None).await, (Err("too_large"), vec![]));
    assert_eq!(fetch("/1", 100_000, Some("\"v1\"")).await, (Ok(None), vec![]));
    assert_eq!(fetch("/gzip", 100, None).await, (Ok(Some((None, true))), b"as it came".to_vec()));
    assert_eq!(fetch("/odd", 100, None).await.0, Err("garbled"));
    assert_eq!(fetch("/busy", 100, None).await, (Err("server_error"), vec![]));
    assert_eq!(fetch("/other", 100, None).await, (Err("not_found"), vec![]));
    // What cannot be written is no fault of the server.
    std::fs::write(&path, "").expect("a file");
    let mut file = File::open(&path).await.expect("to be read alone");
    let fetched = fetcher().fetch_changed_into(&format!("http://{address}/1"), 100_000, None, &mut file).await;
    assert!(matches!(fetched, Ok(Some(Err(_)))), "{fetched:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let target = serve(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        "elsewhere".into_response()
    })
    .await;
    for code in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let away = format!("http://{target}/");
        let address = serve(move |_| (code, [("location", away.clone())]).into_response()).await;
        let answer = fetcher().get(&format!("http://{address}/"), Caps::SMALL, Urgency::Head).await;
        assert!(matches!(answer, Err(FetchError::Status { status, .. }) if status == code.as_u16()), "{answer:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the other host was dialled");
    for odd in ["file:///etc/passwd", "ftp://127.0.0.1/", "data:text/plain,x", "nonsense"] {
        assert!(fetcher().get(odd, Caps::SMALL, Urgency::Head).await.is_err(), "{odd}");
    }
}

#[tokio::test]
async fn a_configured_rate_is_kept() {
    let address = serve(|_| "ok".into_response()).await;
    let limits = Limits { requests_per_second: Some(20.0), ..Limits::default() };
    let slow = fetcher().for_log("slow", limits);
    let watch = Stopwatch::start();
    for _ in 0..11 {
        slow.get(&format!("http://{address}/"), Caps::SMALL, Urgency::Fresh).await.expect("served");
    }
    assert!(watch.elapsed() >= Duration::from_millis(490), "{:?}", watch.elapsed());
}
