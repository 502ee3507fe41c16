//! Values of the flags that both servers have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

/// A path that was given. Compose sets a variable without a value to the empty text; that counts as not given.
pub fn given(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

/// The values of `--tls-cert` and `--tls-key`: both, or `None` for a server without TLS.
///
/// # Errors
/// When one is given without the other.
pub fn certificate_and_key<'a>(
    cert: Option<&'a PathBuf>,
    key: Option<&'a PathBuf>,
) -> Result<Option<(&'a Path, &'a Path)>> {
    match (given(cert), given(key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        _ => bail!("a certificate needs its key: give both --tls-cert and --tls-key, or none"),
    }
}

/// Parses a duration in seconds, above 0 and at most an hour; fractions are allowed.
///
/// # Errors
/// When the text is not such a number; the message is for the command line.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= 3600.0 => Ok(duration),
        _ => Err("not between 0 and 3600 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_counts_as_not_given() {
        assert_eq!(given(Some(&PathBuf::new())), None);
        assert_eq!(given(Some(&PathBuf::from("a"))), Some(Path::new("a")));
    }

    #[test]
    fn refuses_a_certificate_without_key_and_a_key_without_certificate() {
        let (path, empty) = (PathBuf::from("a.pem"), PathBuf::new());
        assert_eq!(certificate_and_key(Some(&empty), None).unwrap(), None);
        assert!(certificate_and_key(Some(&path), Some(&path)).unwrap().is_some());
        assert!(certificate_and_key(Some(&path), Some(&empty)).is_err());
        assert!(certificate_and_key(None, Some(&path)).is_err());
    }

    #[test]
    fn seconds_are_above_zero_and_at_most_an_hour() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("3600"), Ok(Duration::from_secs(3600)));
        for text in ["", "0", "-1", "3600.1", "nan", "inf", "1s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
