//! A way to a server that can be closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What stands between the monitor and a server does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing.
    Through,
    /// Ends each at once.
    Refuse,
    /// Ends each when the client speaks of this table.
    Cut(&'static str),
    /// Ends each in the midst of an answer that is longer than [`TORN`].
    Torn,
}

/// How much passes of an answer that is torn, in bytes: more than a greeting.
const TORN: usize = 4096;

/// A way to a server that can be closed.
pub struct Gate {
    /// The port of the way.
    pub port: u16,
    /// How many answers were torn.
    pub torn: Arc<AtomicUsize>,
    pass: tokio::sync::watch::Sender<Pass>,
}

impl Gate {
    /// Opens a way to a port of this machine.
    pub async fn open(to: u16) -> Gate {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (pass, seen) = tokio::sync::watch::channel(Pass::Through);
        let torn = Arc::new(AtomicUsize::new(0));
        let counted = torn.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, seen.clone(), counted.clone()));
            }
        });
        Gate { port, torn, pass }
    }

    /// Ends all connections and treats new ones so.
    pub fn set(&self, pass: Pass) {
        self.pass.send_replace(pass);
    }
}

async fn carry(
    mut client: tokio::net::TcpStream,
    to: u16,
    mut seen: tokio::sync::watch::Receiver<Pass>,
    torn: Arc<AtomicUsize>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let pass = *seen.borrow_and_update();
    if pass == Pass::Refuse {
        return;
    }
    let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut answered = 0;
    loop {
        tokio::select! {
            _ = seen.changed() => return,
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                answered = 0;
                let speaks = |table: &str| up[..count].windows(table.len()).any(|window| window == table.as_bytes());
                let is_cut = matches!(pass, Pass::Cut(table) if speaks(table));
                if is_cut || server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let passes = if pass == Pass::Torn { count.min(TORN - answered) } else { count };
                if client.write_all(&down[..passes]).await.is_err() {
                    return;
                }
                if passes < count {
                    torn.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                answered += if pass == Pass::Torn { passes } else { 0 };
            }
        }
    }
}
