//! The addresses of this machine from which hosts are asked.
//!
//! Limits of logs are per source address, so that each address has a pace of its own at every host.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Client;

use super::super::gate::Gates;

/// One client for each address.
#[derive(Debug)]
pub(super) struct Sources {
    /// At least one; with no address the system chooses.
    clients: Vec<(Client, Option<IpAddr>)>,
    next: AtomicUsize,
}

impl Sources {
    /// Of at least one client.
    pub fn new(clients: Vec<(Client, Option<IpAddr>)>) -> Sources {
        Sources { clients, next: AtomicUsize::new(0) }
    }

    /// The client by which a host (name and port) is asked next: of those that wait least there, each in its turn. With
    /// the name of its gate.
    pub fn choose(&self, host: &str, gates: &Gates) -> (Client, String) {
        let (first, count) = (self.next.fetch_add(1, Ordering::Relaxed), self.clients.len());
        let wait = |at: &usize| gates.wait(&gate(host, self.clients[*at].1));
        let in_turn = (0..count).map(|at| first.wrapping_add(at) % count);
        let chosen = if count > 1 { in_turn.min_by_key(wait).unwrap_or(0) } else { 0 };
        let (client, address) = &self.clients[chosen];
        (client.clone(), gate(host, *address))
    }

    /// Requests per second that a host is known to allow all addresses together; `None` when it never asked one of them
    /// for less.
    pub fn rate(&self, host: &str, gates: &Gates) -> Option<f64> {
        self.clients.iter().map(|(_, address)| gates.rate(&gate(host, *address))).sum()
    }
}

fn gate(host: &str, address: Option<IpAddr>) -> String {
    address.map_or_else(|| host.to_string(), |address| format!("{host} from {address}"))
}
