//! Exit statuses of servers that end with an error.

use std::error::Error;
use std::io;

/// The server failed.
const FAILED: u8 = 1;

/// A permission is missing. Wrong flags and unusable files have the same status.
const UNUSABLE: u8 = 2;

/// The exit status of a server that ends with this error.
pub fn exit_status(error: &(dyn Error + 'static)) -> u8 {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut io_errors = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    match io_errors.any(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        true => UNUSABLE,
        false => FAILED,
    }
}
