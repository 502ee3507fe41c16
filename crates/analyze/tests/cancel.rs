//! The caller of a reading can end it, from the function that receives its progress.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use analyze::analysis::{self, Options};
use analyze::explain;
use analyze::input::capture::Cancelled;
use analyze::input::discover::Input;
use analyze::input::key_log::Keys;
use analyze::walk;

/// Frames of the capture, of 1,000 bytes each.
const FRAMES: u64 = 5000;

fn capture(directory: &Path) -> PathBuf {
    let path = directory.join("a.pcap");
    let mut writer = craft::pcap::Writer::new(Vec::new(), 1, 65_535).expect("a vector can be written");
    for at in 0..FRAMES {
        writer.write(at, 1000, &[7; 1000]).expect("a vector can be written");
    }
    std::fs::write(&path, writer.into_inner()).expect("the capture");
    path
}

/// A progress that ends the reading after `calls` calls, and counts them.
fn after(calls: u32, count: &mut u32) -> impl FnMut(u64) -> ControlFlow<()> {
    move |_| {
        *count += 1;
        if *count > calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn progress_ends_an_analysis_with_a_clear_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let input = Input::file(&capture(directory.path()));
    for calls in [0, 1, 5] {
        let mut count = 0;
        let error = analysis::analyze(&input, Options::default(), &mut after(calls, &mut count))
            .expect_err("the reading was cancelled");
        assert_eq!((error.to_string(), error.downcast_ref()), ("cancelled".to_owned(), Some(&Cancelled)));
        assert_eq!(count, calls + 1, "the reading went on");
    }
}

#[test]
fn progress_ends_the_listing_of_frames() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = capture(directory.path());
    let mut count = 0;
    let error =
        walk::index(&path, Keys::None, &mut after(3, &mut count)).expect_err("the reading was cancelled");
    assert_eq!((error.downcast_ref(), count), (Some(&Cancelled), 4));
    let index = walk::index(&path, Keys::None, &mut |_| ControlFlow::Continue(())).expect("a capture");
    assert_eq!(index.total(), FRAMES);
}

#[test]
fn progress_ends_the_reading_of_a_frame_and_of_a_stream() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = capture(directory.path());
    let mut count = 0;
    let error = explain::frame(&path, FRAMES, Keys::None, &mut after(3, &mut count))
        .expect_err("the reading was cancelled");
    assert_eq!((error.downcast_ref(), count), (Some(&Cancelled), 4));
    let mut count = 0;
    let error = walk::stream(&path, 0, Keys::None, 0..5, &mut after(3, &mut count))
        .expect_err("the reading was cancelled");
    assert_eq!((error.downcast_ref(), count), (Some(&Cancelled), 4));
}
