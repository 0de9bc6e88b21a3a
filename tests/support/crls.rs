//! A server of CRLs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;

/// A server of CRLs.
#[derive(Clone)]
pub struct Crls {
    served: Arc<Mutex<BTreeMap<String, Bytes>>>,
    url: String,
}

impl Crls {
    /// Starts it with nothing to serve.
    pub async fn start() -> Crls {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let crls = Crls { served: Arc::default(), url };
        let served = crls.served.clone();
        let app = Router::new().fallback(move |request: Request| {
            let body = served.lock().unwrap_or_else(PoisonError::into_inner).get(request.uri().path()).cloned();
            async move { body.map_or(StatusCode::INTERNAL_SERVER_ERROR.into_response(), IntoResponse::into_response) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
        crls
    }

    /// The URL of a CRL.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// Serves these bytes, or answers with an error.
    pub fn serve(&self, name: &str, body: Option<Vec<u8>>) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        match body {
            Some(body) => drop(served.insert(format!("/{name}"), body.into())),
            None => drop(served.remove(&format!("/{name}"))),
        }
    }
}
