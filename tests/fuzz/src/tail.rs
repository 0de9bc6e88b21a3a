//! What of reading logs is bytes alone.

#[path = "../../../src/tail/decode.rs"]
pub mod decode;
#[path = "../../../src/tail/inflate.rs"]
pub mod inflate;
#[path = "../../../src/tail/retry_after.rs"]
pub mod retry_after;
