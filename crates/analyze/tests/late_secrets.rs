//! A key log inside of a capture opens sessions wherever it is.

mod support;

use std::path::Path;

use craft::pcapng;
use exposure_schema::Capture;
use support::{Bench, Line};

fn bench() -> Bench {
    Bench::new(&[Line { agent: "agent-a", event: "sent", at: 1, body: "{}" }])
}

/// The blocks of a little-endian pcapng file.
fn blocks(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = file;
    let mut blocks = Vec::new();
    while let Some(len) = rest.get(4..8).and_then(|len| len.try_into().ok()).map(u32::from_le_bytes) {
        let (block, behind) = rest.split_at(len as usize);
        blocks.push(block);
        rest = behind;
    }
    blocks
}

#[test]
fn secrets_behind_their_session_open_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/capture/https-with-keys.pcapng");
    let file = std::fs::read(path).expect("the corpus");
    let (secrets, others): (Vec<&[u8]>, Vec<&[u8]>) =
        blocks(&file).into_iter().partition(|block| block[0] == pcapng::DECRYPTION_SECRETS as u8);
    // A section header has the same first byte.
    let (headers, secrets): (Vec<&[u8]>, Vec<&[u8]>) =
        secrets.into_iter().partition(|block| block[1] == 0x0d);
    assert_eq!(secrets.len(), 1);
    let late = [headers.concat(), others.concat(), secrets.concat()].concat();
    let without = [headers.concat(), others.concat()].concat();
    let [given, late, without] = [file, late, without].map(|file| bench().analyze_file(&file));
    assert_eq!((given.http_total, late.http_total, without.http_total), (2, 2, 0));
    let authenticated = |capture: &Capture| capture.tls.as_ref().map(|tls| tls.records.authenticated);
    assert_eq!(authenticated(&given), authenticated(&late));
}
