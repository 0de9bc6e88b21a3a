//! Files served over HTTP as they are: a log that somebody copied from somewhere else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running server on a port of 127.0.0.1; stops when dropped.
pub struct FileServer {
    /// Its port.
    pub port: u16,
    task: JoinHandle<()>,
}

struct Content {
    directory: PathBuf,
    texts: HashMap<String, String>,
}

impl FileServer {
    /// Serves the files of a directory, and before them these texts by path and query. `texts` is told the port.
    pub async fn start(directory: PathBuf, texts: impl FnOnce(u16) -> Vec<(String, String)>) -> FileServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let content = Content { directory, texts: texts(port).into_iter().collect() };
        let app = Router::new().fallback(file).with_state(Arc::new(content));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
        FileServer { port, task }
    }

    /// Where it is, with a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn file(State(content): State<Arc<Content>>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    if let Some(text) = content.texts.get(asked) {
        return Ok(text.clone().into_bytes());
    }
    let path = uri.path().trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        return Err(StatusCode::BAD_REQUEST);
    }
    std::fs::read(content.directory.join(path)).map_err(|_| StatusCode::NOT_FOUND)
}

/// The directory of real CT data; `None`, with a line that says so, where it is absent.
pub fn shared_ct() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/ct"));
    let named = std::env::var_os("CTWARDEN_SHARED").map(|directory| PathBuf::from(directory).join("ct"));
    let found = [Some(beside), named].into_iter().flatten().find(|directory| directory.is_dir());
    if found.is_none() {
        println!("skipped: no ../shared/data");
    }
    found
}
