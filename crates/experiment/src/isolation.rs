//! The files of the isolation experiment: what was done, and what each box said.
//!
//! Written by the lab and, for the boxes that it runs, by the gateway. The observer reads both with readers of its own.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{create_private, write_private};
use crate::manifest::ProgramRecord;
use crate::random::RunId;

/// The `schema` member of the experiment's file.
pub const SCHEMA: &str = "plainsight.isolation/1";

/// The `schema` member of each line of a boxes' journal.
pub const BOX_SCHEMA: &str = "plainsight.box/1";

/// The name of a box's network when it has none.
pub const NO_NETWORK: &str = "none";

/// What stands in the place of a network for a process without any box.
pub const UNBOXED: &str = "unboxed";

/// `isolation.json`: what was done.
#[derive(Debug, Clone, Serialize)]
pub struct IsolationRecord {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The same in the manifests and in the boxes' journals.
    pub run_id: RunId,
    /// What made the boxes: `namespace` or `docker`.
    pub backend: String,
    /// The program that wrote this.
    pub program: ProgramRecord,
    /// When it began, ns since the Unix epoch.
    pub started_at_unix_ns: u64,
    /// When it ended, ns since the Unix epoch.
    pub ended_at_unix_ns: u64,
    /// Whether it came to its end.
    pub finished: bool,
    /// The boxes without network, then the control.
    pub phases: Vec<PhaseRecord>,
    /// Every interface that a box with a network could have sent by.
    pub interfaces: Vec<String>,
    /// What else may be on the wire.
    pub talk: TalkRecord,
    /// Who talked to the gateway.
    pub users: Vec<UserRecord>,
    /// Who claimed to be somebody else.
    pub replay: Option<ReplayRecord>,
}

impl IsolationRecord {
    /// Writes it as indented JSON, mode 0600, whole or not at all.
    ///
    /// # Errors
    /// With `path` in the message.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        json.push(b'\n');
        write_private(path, &json)
    }
}

/// One part of the run.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseRecord {
    /// `isolated` or `control`.
    pub name: &'static str,
    /// Name of the boxes' journal, beside the experiment's file.
    pub boxes: String,
    /// Names of the captures that ran meanwhile.
    pub captures: Vec<String>,
}

/// The users' talk with the gateway.
#[derive(Debug, Clone, Serialize)]
pub struct TalkRecord {
    /// Where the gateway listens.
    pub server: SocketAddr,
    /// Addresses that talk to it.
    pub clients: Vec<IpAddr>,
}

/// A user of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// The value of the header `X-User-Id`.
    pub id: String,
    /// What this user told the gateway and nobody else may get.
    pub secret: String,
    /// Where this user talks from.
    pub address: IpAddr,
    /// What this user's box was asked to try.
    pub attempts: Vec<AskedRecord>,
}

/// One way out of a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedRecord {
    /// Which: `tcp`, `dns`, `file`, …
    pub kind: String,
    /// Where to.
    pub target: String,
}

/// A request in another user's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayRecord {
    /// Whose name.
    pub user: String,
    /// The address that claimed it.
    pub client: IpAddr,
}

/// One box that ran: a line of a boxes' journal.
#[derive(Debug, Clone, Serialize)]
pub struct BoxRecord {
    /// Always [`BOX_SCHEMA`].
    pub schema: &'static str,
    /// The run it belongs to.
    pub run: String,
    /// Its name.
    #[serde(rename = "box")]
    pub name: String,
    /// For whom it ran.
    pub user: Option<String>,
    /// The conversation it belongs to.
    pub conversation_id: Option<String>,
    /// [`NO_NETWORK`], [`UNBOXED`], or what it was given.
    pub network: String,
    /// When it was asked for, ns since the Unix epoch.
    pub started_at_unix_ns: u64,
    /// When it was gone, ns since the Unix epoch.
    pub ended_at_unix_ns: u64,
    /// How it ended; `code 0` if all was well.
    pub exit: String,
    /// What bounded it, as read back from the kernel.
    pub limits: Vec<LimitRecord>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A limit that was in force.
#[derive(Debug, Clone, Serialize)]
pub struct LimitRecord {
    /// What it bounds.
    pub name: String,
    /// What enforces it.
    pub mechanism: String,
    /// The bound.
    pub value: String,
}

/// A boxes' journal, mode 0600. Each line is in the file before [`BoxJournal::append`] returns.
#[derive(Debug)]
pub struct BoxJournal {
    file: File,
}

impl BoxJournal {
    /// A new, empty one.
    ///
    /// # Errors
    /// With `path` in the message.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: create_private(path)? })
    }

    /// Adds one line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, record: &BoxRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)
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

    /// The names and the order are an interface: another program reads them.
    #[test]
    fn a_line_is_the_documented_one() {
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
    fn the_experiments_file_is_the_documented_one() {
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
            talk: TalkRecord {
                server: "10.78.0.1:8000".parse().unwrap(),
                clients: vec!["10.78.0.2".parse().unwrap()],
            },
            interfaces: vec!["lo".to_owned()],
            users: vec![UserRecord {
                id: "alice".to_owned(),
                secret: "s".to_owned(),
                address: "10.78.0.2".parse().unwrap(),
                attempts: vec![AskedRecord { kind: "tcp".to_owned(), target: "10.79.0.2:8000".to_owned() }],
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
