//! A resolver on loopback that knows what the test tells it, over UDP and TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What is known of a name.
#[derive(Clone)]
pub enum Known {
    /// CAA records, as they are written in a zone.
    Caa(Vec<String>),
    /// A CNAME record.
    Alias(String),
    /// An error.
    Broken,
    /// No answer: what comes belongs to another question, and nobody takes it.
    Silent,
}

/// The resolver; it ends with the process.
pub struct Dns {
    /// Where it listens.
    pub address: SocketAddr,
    zone: Arc<Mutex<HashMap<String, Known>>>,
}

impl Dns {
    /// One that knows nothing yet.
    pub fn start() -> Dns {
        let zone: Arc<Mutex<HashMap<String, Known>>> = Arc::default();
        let known = zone.clone();
        let address = listen(move |question| answer(question, &known));
        Dns { address, zone }
    }
    /// Tells it what it knows of a name from now on.
    pub fn set(&self, name: &str, known: Known) {
        self.zone.lock().expect("unpoisoned").insert(name.to_string(), known);
    }
    /// CAA records of a name.
    pub fn caa(&self, name: &str, records: &[&str]) {
        self.set(name, Known::Caa(records.iter().map(|record| record.to_string()).collect()));
    }
}

/// Answers questions on loopback, over UDP and TCP, until the process ends.
pub fn listen(answer: impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let (udp, tcp) = (0..50)
        .find_map(|_| {
            let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
            let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
            Some((udp, tcp))
        })
        .expect("a port that is free for both");
    let address = udp.local_addr().expect("bound");
    let by_udp = answer.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&by_udp(&buffer[..length]), from);
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut question).is_err() {
                    break;
                }
                let answer = answer(&question);
                let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat());
            }
        }
    });
    address
}

fn answer(question: &[u8], zone: &Mutex<HashMap<String, Known>>) -> Vec<u8> {
    let question = Message::from_vec(question).expect("a question");
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let query = question.queries[0].clone();
    let zone = zone.lock().expect("unpoisoned");
    let mut owner = query.name().to_lowercase();
    for _ in 0..10 {
        let name = owner.to_ascii();
        match zone.get(name.trim_end_matches('.')) {
            Some(Known::Silent) => answer.metadata.id = answer.metadata.id.wrapping_add(1),
            Some(Known::Broken) => answer.metadata.response_code = ResponseCode::ServFail,
            Some(Known::Caa(records)) if query.query_type() == RecordType::CAA => {
                for text in records {
                    let data = RData::try_from_str(RecordType::CAA, text).expect("a CAA record");
                    answer.add_answer(Record::from_rdata(owner.clone(), 60, data));
                }
            }
            Some(Known::Alias(target)) => {
                let target = Name::from_ascii(format!("{target}.")).expect("a name");
                let data = RData::try_from_str(RecordType::CNAME, &target.to_ascii()).expect("a CNAME record");
                answer.add_answer(Record::from_rdata(owner, 60, data));
                owner = target;
                continue;
            }
            Some(Known::Caa(_)) => {}
            None if answer.answers.is_empty() => answer.metadata.response_code = ResponseCode::NXDomain,
            None => {}
        }
        break;
    }
    answer.queries.push(query);
    answer.to_vec().expect("an answer")
}
