//! The files of the isolation experiment: a record of the run, and a journal of its sandboxes.
//!
//! The lab writes both; the gateway writes the journal of the sandboxes that it runs. The observer parses them with
//! readers of its own. In these files a sandbox is called a box.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{create_private, write_private};
use crate::program::ProgramRecord;
use crate::random::RunId;

/// The name on command lines, and the stem of the run's files.
pub const NAME: &str = "isolation";

/// The TCP port that the gateway listens on.
pub const PORT: u16 = 8000;

/// The HTTP version that the users and the gateway use.
pub const HTTP_VERSION: &str = "1.1";

/// The `schema` field of `isolation.json`.
pub const SCHEMA: &str = "plainsight.isolation/1";

/// The `schema` field of each line of a box journal.
pub const BOX_SCHEMA: &str = "plainsight.box/1";

/// The `network` of a box without network.
pub const NO_NETWORK: &str = "none";

/// The `network` of a process that ran outside any box.
pub const UNBOXED: &str = "unboxed";

/// `isolation.json`: the record of a run.
#[derive(Debug, Clone, Serialize)]
pub struct IsolationRecord {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The run id, the same as in the manifests and the box journals.
    pub run_id: RunId,
    /// The sandbox backend: `namespace` or `docker`.
    pub backend: String,
    /// The program that wrote the record.
    pub program: ProgramRecord,
    /// When the run began, ns since the Unix epoch.
    pub started_at_unix_ns: u64,
    /// When the run ended, ns since the Unix epoch.
    pub ended_at_unix_ns: u64,
    /// Whether the run finished in order.
    pub finished: bool,
    /// The boxes without network, then the control runs.
    pub phases: Vec<PhaseRecord>,
    /// Every interface through which a box with a network could send.
    pub interfaces: Vec<String>,
    /// The expected traffic: the users' requests to the gateway.
    #[serde(rename = "talk")]
    pub user_traffic: UserTrafficRecord,
    /// The users whose requests ran in boxes.
    pub users: Vec<UserRecord>,
    /// The request that a client made in another user's name, if there was one.
    pub replay: Option<ReplayRecord>,
}

impl IsolationRecord {
    /// Writes the record as indented JSON, mode 0600, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the message names `path`.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        json.push(b'\n');
        write_private(path, &json)
    }
}

/// One phase of a run.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseRecord {
    /// `isolated` or `control`.
    pub name: &'static str,
    /// The file name of the box journal, beside `isolation.json`.
    pub boxes: String,
    /// The file names of the captures that covered the phase.
    pub captures: Vec<String>,
}

/// The addresses of the traffic between the users and the gateway.
#[derive(Debug, Clone, Serialize)]
pub struct UserTrafficRecord {
    /// The gateway's listening address.
    pub server: SocketAddr,
    /// The addresses that its clients send from.
    pub clients: Vec<IpAddr>,
}

/// A user of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// The value of the header `X-User-Id`.
    pub id: String,
    /// A secret that the user sends to the gateway and that no other user may receive.
    pub secret: String,
    /// The address that the user sends from.
    pub address: IpAddr,
    /// The escape attempts that the user's box was asked to make.
    pub attempts: Vec<AttemptRecord>,
}

/// One escape attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The kind of attempt: `tcp`, `dns`, `file`, …
    pub kind: String,
    /// The address or path that it targets.
    pub target: String,
}

/// A request that a client made in another user's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayRecord {
    /// The user whose name it carried.
    pub user: String,
    /// The address that sent it.
    pub client: IpAddr,
}

/// One box that ran: a line of a box journal.
#[derive(Debug, Clone, Serialize)]
pub struct BoxRecord {
    /// Always [`BOX_SCHEMA`].
    pub schema: &'static str,
    /// The run id.
    pub run: String,
    /// The name of the box.
    #[serde(rename = "box")]
    pub name: String,
    /// The user whose request it ran.
    pub user: Option<String>,
    /// The conversation that the request belongs to.
    pub conversation_id: Option<String>,
    /// [`NO_NETWORK`], [`UNBOXED`], or the network that the box was given.
    pub network: String,
    /// When the box was requested, ns since the Unix epoch.
    pub started_at_unix_ns: u64,
    /// When the box was removed, ns since the Unix epoch.
    pub ended_at_unix_ns: u64,
    /// How the program ended; `code 0` after success.
    pub exit: String,
    /// The limits in force, as read back from the kernel.
    pub limits: Vec<LimitRecord>,
    /// The program's stdout.
    pub stdout: String,
    /// The program's stderr.
    pub stderr: String,
}

/// A limit in force.
#[derive(Debug, Clone, Serialize)]
pub struct LimitRecord {
    /// The resource that it bounds.
    pub name: String,
    /// The mechanism that enforces it.
    pub mechanism: String,
    /// The bound.
    pub value: String,
}

/// A box journal, mode 0600. [`BoxJournal::append`] writes a line before it returns.
#[derive(Debug)]
pub struct BoxJournal {
    file: File,
}

impl BoxJournal {
    /// Creates an empty journal at `path`; a file that is there already is replaced.
    ///
    /// # Errors
    /// If the file cannot be created; the message names `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: create_private(path)? })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn append(&mut self, record: &BoxRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// Appends lines that another program has written.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> BoxRecord {
        BoxRecord {
            schema: BOX_SCHEMA,
            run: "00112233445566778899aabbccddeeff".to_owned(),
            name: "box-1".to_owned(),
            user: Some("alice".to_owned()),
            conversation_id: None,
            network: NO_NETWORK.to_owned(),
            started_at_unix_ns: 1,
            ended_at_unix_ns: 2,
            exit: "code 0".to_owned(),
            limits: vec![LimitRecord {
                name: "memory".to_owned(),
                mechanism: "cgroup memory.max".to_owned(),
                value: "1073741824".to_owned(),
            }],
            stdout: "{}".to_owned(),
            stderr: "a\nb".to_owned(),
        }
    }

    /// Field names and their order are an interface: another program reads them.
    #[test]
    fn journal_line_matches_the_documented_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isolation.boxes.jsonl");
        let mut journal = BoxJournal::create(&path).unwrap();
        journal.append(&record()).unwrap();
        let expected = concat!(
            r#"{"schema":"plainsight.box/1","run":"00112233445566778899aabbccddeeff","box":"box-1","user":"alice","#,
            r#""conversation_id":null,"network":"none","started_at_unix_ns":1,"ended_at_unix_ns":2,"exit":"code 0","#,
            r#""limits":[{"name":"memory","mechanism":"cgroup memory.max","value":"1073741824"}],"#,
            r#""stdout":"{}","stderr":"a\nb"}"#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn record_matches_the_documented_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isolation.json");
        let run = IsolationRecord {
            schema: SCHEMA,
            run_id: "00112233445566778899aabbccddeeff".parse().unwrap(),
            backend: "namespace".to_owned(),
            program: ProgramRecord { name: "lab".to_owned(), version: "0.1.0".to_owned() },
            started_at_unix_ns: 1,
            ended_at_unix_ns: 2,
            finished: true,
            phases: vec![PhaseRecord {
                name: "isolated",
                boxes: "isolation.boxes.jsonl".to_owned(),
                captures: vec!["isolation.lo.pcap".to_owned()],
            }],
            user_traffic: UserTrafficRecord {
                server: "10.78.0.1:8000".parse().unwrap(),
                clients: vec!["10.78.0.2".parse().unwrap()],
            },
            interfaces: vec!["lo".to_owned()],
            users: vec![UserRecord {
                id: "alice".to_owned(),
                secret: "s".to_owned(),
                address: "10.78.0.2".parse().unwrap(),
                attempts: vec![AttemptRecord { kind: "tcp".to_owned(), target: "10.79.0.2:8000".to_owned() }],
            }],
            replay: Some(ReplayRecord { user: "alice".to_owned(), client: "10.78.0.3".parse().unwrap() }),
        };
        run.write(&path).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "schema": "plainsight.isolation/1",
            "run_id": "00112233445566778899aabbccddeeff",
            "backend": "namespace",
            "program": { "name": "lab", "version": "0.1.0" },
            "started_at_unix_ns": 1,
            "ended_at_unix_ns": 2,
            "finished": true,
            "phases": [
                { "name": "isolated", "boxes": "isolation.boxes.jsonl", "captures": ["isolation.lo.pcap"] }
            ],
            "interfaces": ["lo"],
            "talk": { "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] },
            "users": [{
                "id": "alice", "secret": "s", "address": "10.78.0.2",
                "attempts": [{ "kind": "tcp", "target": "10.79.0.2:8000" }],
            }],
            "replay": { "user": "alice", "client": "10.78.0.3" },
        });
        assert_eq!(written, expected);
    }
}
