use super::*;
use crate::books::{Examination, Lane, NewEntries, PendingHit, Position, Seal};
use crate::case::{CertificateFacts, EntryKind};
use crate::clock::date;
use crate::ct::compact_range::CompactRange;
use crate::ct::signer::LogSigner;
use crate::ct::sth::ClaimedTreeHead;
use crate::watch::{Hit, Standing};

const NOW: Timestamp = date(2026, 11, 22);
const UNKNOWN: LogId = LogId([9; 32]);

fn at(seconds: i64) -> Timestamp {
    NOW.plus(Span::from_seconds(seconds))
}

fn range(size: u64) -> CompactRange {
    let mut range = CompactRange::empty();
    (0..size).for_each(|leaf| range.push([leaf as u8; 32]));
    range
}

struct Desk {
    _directory: tempfile::TempDir,
    books: Books,
    signer: LogSigner,
}

impl Desk {
    async fn open() -> Desk {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let signer = LogSigner::generate();
        let start = Position::proven(CompactRange::empty());
        books.begin_log(signer.log_id(), "log.promise.eus", &start, NOW).await.expect("begin");
        Desk { _directory: directory, books, signer }
    }

    /// Reads up to `size`, with a precertificate of ours at `index`.
    async fn read(&self, size: u64, index: u64) {
        let hit = Hit {
            index,
            logged_at: NOW,
            kind: EntryKind::Precertificate,
            standing: Standing::Ours,
            issuer: "Tests CA".into(),
            key: CaseKey { issuer_key_hash: KeyHash([1; 32]), serial: Serial(vec![1]) },
            core_sha256: [1; 32],
            form: Form::Certificate,
            der: vec![1, 2, 3],
            remark: String::new(),
        };
        let (log_id, hits) = (self.signer.log_id(), vec![hit]);
        let downloaded = Some((Lane::Live, range(size)));
        let new = NewEntries { log_id, downloaded, hits, malformed: vec![], seen_at: NOW };
        self.books.commit_entries(new).await.expect("door 1");
    }

    async fn seal(&self, size: u64, signed_at: Timestamp) {
        let key = LogKey::from_spki_der(&self.signer.spki_der()).expect("key");
        let root_hash = range(size).root();
        let signature = self.signer.sign_tree_head(size, &root_hash, signed_at);
        let head = ClaimedTreeHead { tree_size: size, timestamp: signed_at, root_hash, signature };
        let head = head.verify(&key).expect("our own");
        let log_id = self.signer.log_id();
        let seal = Seal { log_id, lane: Lane::Live, head, verified: range(size), seen_at: signed_at };
        self.books.commit_seal(seal).await.expect("seal");
    }

    async fn examine(&self, promises: Vec<Promise>) {
        let hit: PendingHit = self.books.due_hits(at(1000), 9).await.expect("due").remove(0);
        let examination = Examination {
            hit_id: hit.hit_id,
            key: hit.key.clone(),
            findings: vec![],
            certificate: CertificateFacts {
                issuer: String::new(),
                issuer_key_hash: hit.key.issuer_key_hash,
                serial: hit.key.serial.to_string(),
                precertificate_sha256: None,
                certificate_sha256: None,
                spki_sha256: String::new(),
                subject: String::new(),
                not_before: None,
                not_after: None,
                sans: vec![],
            },
            record: vec![],
            not_evaluable: vec![],
            questions: None,
            promises,
            counted: Default::default(),
            examine_again_at: Some(NOW),
            version: hit.version,
        };
        self.books.commit_examinations(vec![examination], vec![], NOW).await.expect("door 2");
    }

    fn promise(&self, leaf: u8, promised_at: Timestamp, leaf_index: Option<u64>) -> Promise {
        Promise {
            log_id: self.signer.log_id(),
            promised_at,
            due_at: promised_at.plus(Span::from_seconds(10)),
            leaf_index,
            leaf_hash: [leaf; 32],
            sct: vec![leaf],
            signature: Signature::Valid,
        }
    }

    async fn open_promises(&self) -> Vec<OpenPromise> {
        self.books.open_promises(at(1000), at(1000), 9).await.expect("read")
    }
}

#[tokio::test]
async fn a_leaf_counts_as_seen_at_its_time_and_index_in_a_proven_part_alone() {
    let desk = Desk::open().await;
    desk.read(10, 5).await;
    let promises = [(1, NOW, None), (2, NOW, Some(5)), (3, NOW, Some(6)), (4, at(1), None)];
    let promises = promises.map(|(leaf, time, index)| desk.promise(leaf, time, index)).to_vec();
    desk.examine(promises.clone()).await;
    // The same again, as after a crash: nothing is there twice.
    desk.examine(promises).await;
    let seen = async || {
        let open = desk.open_promises().await;
        open.iter()
            .map(|one| (one.promise.leaf_hash[0], one.proven_index))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(seen().await, [(1, None), (2, None), (3, None), (4, None)].into(), "nothing is proven yet");
    desk.seal(10, at(5)).await;
    assert_eq!(seen().await, [(1, Some(5)), (2, Some(5)), (3, None), (4, None)].into());
    let looked = |leaf: u8, state| Looked {
        log_id: desk.signer.log_id(),
        leaf_hash: [leaf; 32],
        state,
        denials: 1,
        checked_at: at(20),
        next_check_at: at(30),
    };
    let results = vec![looked(1, PromiseState::Kept), looked(3, PromiseState::Broken), looked(4, PromiseState::Open)];
    desk.books.commit_promises(results).await.expect("write");
    let counts = desk.books.promise_counts().await.expect("read");
    let expected = [(PromiseState::Open, 2), (PromiseState::Kept, 1), (PromiseState::Broken, 1)];
    assert_eq!(counts, [expected.as_slice(), &[(PromiseState::UnknownLog, 0)]].concat());
    let unkept = desk.books.unkept_promises(at(11), 9).await.expect("read");
    let mut unkept: Vec<_> = unkept.iter().map(|line| (line.state, line.promised_at)).collect();
    unkept.sort_by_key(|(state, at)| (state.word(), *at));
    let open = PromiseState::Open;
    assert_eq!(
        unkept,
        [(PromiseState::Broken, NOW), (open, NOW), (open, at(1))],
        "what is due and not known to be kept"
    );
}

#[tokio::test]
async fn a_log_that_becomes_known_has_its_certificates_examined_again() {
    let desk = Desk::open().await;
    desk.read(10, 5).await;
    let unknown = Promise { log_id: UNKNOWN, signature: Signature::UnknownLog, ..desk.promise(1, NOW, None) };
    let refused =
        Promise { signature: Signature::Invalid(crate::ct::sct::SctError::Version(1)), ..desk.promise(2, NOW, None) };
    desk.examine(vec![unknown.clone(), refused]).await;
    assert_eq!(desk.open_promises().await, []);
    assert_eq!(desk.books.unknown_logs().await.expect("read"), [UNKNOWN]);
    desk.books.examine_promises_of(UNKNOWN, at(7)).await.expect("write");
    assert_eq!(desk.books.next_examination().await.expect("read"), Some(at(7)));
    assert_eq!(desk.books.unknown_logs().await.expect("read"), []);
    desk.examine(vec![Promise { signature: Signature::Valid, ..unknown }]).await;
    assert_eq!(desk.open_promises().await.len(), 1);
}

#[tokio::test]
async fn an_entry_is_late_when_a_verified_head_after_its_delay_does_not_cover_it() {
    let desk = Desk::open().await;
    let late = async |delay| desk.books.late_entries(desk.signer.log_id(), 0..10, Span::from_seconds(delay)).await;
    desk.seal(5, at(60)).await;
    desk.read(10, 5).await;
    desk.seal(10, at(90)).await;
    assert_eq!(late(60).await.expect("read"), [(5, NOW)]);
    assert_eq!(late(61).await.expect("read"), []);
    let key = LogKey::from_spki_der(&desk.signer.spki_der()).expect("key");
    let head = desk.books.head_before(key.clone(), 5).await.expect("read").expect("kept");
    assert_eq!((head.tree_size(), head.timestamp()), (5, at(60)));
    assert_eq!(desk.books.head_before(key, 4).await.expect("read"), None);
}
