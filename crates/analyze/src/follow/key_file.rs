//! A key log that another program is writing.

use std::fs::File;
use std::path::PathBuf;

use dissect::keylog::{KeyLog, Label};

use super::growing::read_some;

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Most bytes that are read of a key log: more than `dissect::keylog::MAX_CLIENTS` connections fill.
const MAX_KEY_LOG: u64 = 256 << 20;

/// The key log.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    /// `None` until it exists.
    file: Option<File>,
    /// Bytes read so far.
    received: u64,
    /// The beginning of a line that is not whole.
    rest: Vec<u8>,
    secrets: KeyLog,
}

impl KeyFile {
    /// A key log, which need not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, received: 0, rest: Vec::new(), secrets: KeyLog::default() }
    }

    /// Whether the file exists.
    pub(super) fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// The lines that were written since the last call, whole ones only. A file that cannot be read has none: the analysis
    /// at the end reports why.
    pub(super) fn new_lines(&mut self) -> Vec<u8> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let mut lines = std::mem::take(&mut self.rest);
        let mut piece = vec![0; PIECE];
        while let Some(file) = &mut self.file
            && self.received < MAX_KEY_LOG
            && let Ok(len @ 1..) = read_some(file, &mut piece)
        {
            self.received += len as u64;
            lines.extend_from_slice(&piece[..len]);
        }
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.rest = lines.split_off(whole);
        self.secrets.extend(&lines);
        lines
    }

    /// Whether the secrets of the application data of a connection are known.
    pub(super) fn knows(&self, client_random: &[u8; 32]) -> bool {
        self.secrets.client(client_random).is_some_and(|secrets| {
            let has = |label| secrets.secret(label).is_some();
            has(Label::ClientRandom) || has(Label::ClientTrafficSecret0) && has(Label::ServerTrafficSecret0)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn gives_whole_lines_once_as_they_are_written() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.keys");
        let mut keys = KeyFile::new(path.clone());
        assert_eq!((keys.new_lines(), keys.exists()), (Vec::new(), false));
        let mut file = File::create(&path).expect("a file");
        let random = "01".repeat(32);
        let line = |label: &str| format!("{label} {random} {}\n", "02".repeat(32));
        let (client, server) = (line("CLIENT_TRAFFIC_SECRET_0"), line("SERVER_TRAFFIC_SECRET_0"));
        for (written, expected, knows) in [
            (&client[..7], "", false),
            (&client[7..], &client[..], false),
            ("", "", false),
            (&server[..], &server[..], true),
        ] {
            file.write_all(written.as_bytes()).expect("the file");
            assert_eq!(keys.new_lines(), expected.as_bytes());
            assert_eq!(keys.knows(&[1; 32]), knows);
        }
    }
}
