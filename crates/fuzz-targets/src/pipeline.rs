use std::io::Write;
use std::ops::ControlFlow;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;

/// A capture file through all of `analyze`. A file that is not a capture is refused; for any other file there is a
/// result that can be written and that counts no more bytes than the file has.
pub fn pipeline(data: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(".pcap").tempfile().expect("a temporary file");
    file.write_all(data).expect("a temporary file can be written");
    let input = Input::file(file.path());
    let Ok(capture) = analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(()))
    else {
        return;
    };
    let result = serde_json::to_value(&capture).expect("a result can be written");
    assert_eq!(result["bytes"], data.len());
}
