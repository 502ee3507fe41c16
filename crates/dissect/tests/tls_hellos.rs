//! Hellos of real clients contain nothing that the rules do not foresee.

use std::fs;
use std::path::Path;

use dissect::flow::Direction;
use dissect::tls::{Event, Message, Session, Workspace};

#[test]
fn real_clients_send_nothing_irregular() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/tls");
    let mut checked = 0;
    for entry in fs::read_dir(corpus).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("hello-") {
            continue;
        }
        // A byte for the kind, two of length.
        let bytes = fs::read(entry.path()).unwrap().split_off(3);
        let mut workspace = Workspace::new();
        let mut session = Session::new(None);
        let mut feed = session.feed(&mut workspace, Direction::ClientToServer, 0, &bytes);
        let mut irregularity = None;
        while let Some(event) = feed.next_event() {
            if let Event::Handshake(handshake) = event
                && let Message::ClientHello(hello) = handshake.message
            {
                irregularity = Some(hello.irregularity);
            }
        }
        assert_eq!(irregularity, Some(None), "{name}");
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}
