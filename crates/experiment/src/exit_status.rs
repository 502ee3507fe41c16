//! Exit statuses of programs that end with an error.

use std::error::Error;
use std::io;

/// The program failed.
pub const FAILED: u8 = 1;

/// A flag, or a file or privilege that the program needs, cannot be used. clap exits with the same status.
pub const UNUSABLE: u8 = 2;

/// The exit status of a program that ends with this error: [`UNUSABLE`] if it lacks a permission, else [`FAILED`].
pub fn of(error: &(dyn Error + 'static)) -> u8 {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut io_errors = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    match io_errors.any(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        true => UNUSABLE,
        false => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn permission_denied_anywhere_in_the_chain_has_status_2() {
        let wrapped = |kind: io::ErrorKind| of(&Wrapped(kind.into()));
        assert_eq!(wrapped(io::ErrorKind::PermissionDenied), UNUSABLE);
        assert_eq!(wrapped(io::ErrorKind::NotFound), FAILED);
        assert_eq!(of(&io::Error::from(io::ErrorKind::PermissionDenied)), UNUSABLE);
    }
}
