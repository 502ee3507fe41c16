//! The files of the isolation experiment: a record of the run, and a journal of its sandboxes.
//!
//! The lab writes both; the gateway writes the journal of the sandboxes that it runs. The observer parses them with
//! readers of its own. In these files a sandbox is called a box.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::files::{create_private, write_private};
use crate::program::ProgramRecord;
use crate::random::RunId;

/// The name on command lines, and the stem of the run's files.
pub const NAME: &str = "isolation";

/// The TCP port that the gateway listens on.
pub const PORT: u16 = 8000;

/// The TCP port of the gateways that authenticate their users over TLS.
pub const TLS_PORT: u16 = 8443;

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

/// The `schema` field of the plan.
pub const PLAN_SCHEMA: &str = "plainsight.isolation-plan/1";

/// The file name of the plan.
pub const PLAN: &str = "isolation.plan.json";

/// The UDP port that beacons are sent from and to.
pub const BEACON_PORT: u16 = 40713;

/// The text of a beacon: a datagram that the host broadcasts on an interface to show that its capture is alive.
///
/// `moment` is `start` or `end`. The hash of the plan shows that the plan was there when the beacon was captured.
#[must_use]
pub fn beacon(run_id: &RunId, phase: &str, interface: &str, moment: &str, plan_sha256: &str) -> String {
    format!("plainsight.beacon/1 {run_id} {phase} {interface} {moment} {plan_sha256}")
}

/// What a run is going to do. Written before its first capture, and repeated in its record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Every interface through which a box with a network could send.
    pub interfaces: Vec<String>,
    /// The expected traffic: the users' requests to the gateway.
    #[serde(rename = "talk")]
    pub user_traffic: UserTrafficRecord,
    /// The users whose requests run in boxes.
    pub users: Vec<UserRecord>,
    /// The request that a client makes in another user's name, if there is one.
    pub replay: Option<ReplayRecord>,
    /// The gateways at which that replay must fail, in the order in which they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protections: Vec<ProtectionRecord>,
}

/// `isolation.plan.json`: the plan as it was before the first capture.
#[derive(Debug, Clone, Serialize)]
pub struct PlanRecord {
    /// Always [`PLAN_SCHEMA`].
    pub schema: &'static str,
    /// The run id.
    pub run_id: RunId,
    /// When it was written, ns since the Unix epoch.
    pub written_at_unix_ns: u64,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
}

impl PlanRecord {
    /// Writes the plan as indented JSON, mode 0600, whole or not at all. Returns the bytes of the file.
    ///
    /// # Errors
    /// If the file cannot be written; the message names `path`.
    pub fn write(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        json.push(b'\n');
        write_private(path, &json)?;
        Ok(json)
    }
}

/// The plan's file, as the record names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanFile {
    /// Its name, beside `isolation.json`.
    pub file: String,
    /// Its SHA-256, 64 hex digits. Every beacon repeats it.
    pub sha256: String,
}

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
    /// What the run was going to do.
    #[serde(flatten)]
    pub plan: Plan,
    /// Where the plan was written before the first capture.
    #[serde(rename = "plan")]
    pub plan_file: PlanFile,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// The messages that the user sends, in this order, all in one conversation.
    pub messages: Vec<String>,
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
    /// The interface that its packets leave by where a box has a network; `null` if it sends none.
    pub interface: Option<String>,
}

/// A request that a client made in another user's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayRecord {
    /// The user whose name it carried.
    pub user: String,
    /// The address that sent it.
    pub client: IpAddr,
}

/// A gateway that authenticates its users over TLS, and the replay that must fail there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProtectionRecord {
    /// What names the user, as `gateway --auth` calls it: `token` or `mtls`. Also the phase in the beacons.
    pub auth: String,
    /// The gateway's listening address.
    pub server: SocketAddr,
    /// The user who keeps a secret there.
    pub user: String,
    /// The address that the user sends from.
    pub owner: IpAddr,
    /// The address that sends the replay.
    pub intruder: IpAddr,
    /// The secret, which nothing else in the run sends.
    pub secret: String,
    /// The user's one message, with the secret.
    pub message: String,
    /// The interface that is captured: the one towards the users.
    pub interface: String,
    /// The file name of its capture.
    pub capture: String,
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
    /// The program's stdout. What is not UTF-8 is replaced by U+FFFD.
    pub stdout: String,
    /// The bytes of stdout in Base64, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_base64: Option<String>,
    /// The program's stderr, likewise.
    pub stderr: String,
    /// The bytes of stderr in Base64, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr_base64: Option<String>,
}

/// Output of a program as a text and, if the text does not show every byte, in Base64.
#[must_use]
pub fn output(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(BASE64.encode(bytes))),
    }
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
            stdout_base64: None,
            stderr: "a\nb".to_owned(),
            stderr_base64: None,
        }
    }

    fn plan() -> Plan {
        Plan {
            user_traffic: UserTrafficRecord {
                server: "10.78.0.1:8000".parse().unwrap(),
                clients: vec!["10.78.0.2".parse().unwrap()],
            },
            interfaces: vec!["lo".to_owned()],
            users: vec![UserRecord {
                id: "alice".to_owned(),
                secret: "s".to_owned(),
                address: "10.78.0.2".parse().unwrap(),
                messages: vec!["keep s".to_owned()],
                attempts: vec![AttemptRecord {
                    kind: "tcp".to_owned(),
                    target: "10.79.0.2:8000".to_owned(),
                    interface: Some("lo".to_owned()),
                }],
            }],
            replay: Some(ReplayRecord { user: "alice".to_owned(), client: "10.78.0.3".parse().unwrap() }),
            protections: vec![ProtectionRecord {
                auth: "token".to_owned(),
                server: "10.78.0.1:8443".parse().unwrap(),
                user: "alice".to_owned(),
                owner: "10.78.0.2".parse().unwrap(),
                intruder: "10.78.0.3".parse().unwrap(),
                secret: "t".to_owned(),
                message: "keep t".to_owned(),
                interface: "lo".to_owned(),
                capture: "isolation.token.lo.pcap".to_owned(),
            }],
        }
    }

    #[test]
    fn output_that_is_no_text_is_kept_byte_for_byte() {
        assert_eq!(output("안녕".as_bytes()), ("안녕".to_owned(), None));
        assert_eq!(output(b"a\xffb"), ("a\u{fffd}b".to_owned(), Some("Yf9i".to_owned())));
    }

    #[test]
    fn plan_matches_the_documented_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PLAN);
        let record = PlanRecord {
            schema: PLAN_SCHEMA,
            run_id: "00112233445566778899aabbccddeeff".parse().unwrap(),
            written_at_unix_ns: 1,
            plan: plan(),
        };
        let written = record.write(&path).unwrap();
        assert_eq!(written, std::fs::read(&path).unwrap());
        let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(read["schema"], "plainsight.isolation-plan/1");
        assert_eq!(read["users"][0]["messages"], serde_json::json!(["keep s"]));
        assert_eq!(
            beacon(&record.run_id, "isolated", "lo", "start", "abc"),
            "plainsight.beacon/1 00112233445566778899aabbccddeeff isolated lo start abc"
        );
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
            plan: plan(),
            plan_file: PlanFile { file: PLAN.to_owned(), sha256: "0".repeat(64) },
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
                "messages": ["keep s"],
                "attempts": [{ "kind": "tcp", "target": "10.79.0.2:8000", "interface": "lo" }],
            }],
            "replay": { "user": "alice", "client": "10.78.0.3" },
            "protections": [{
                "auth": "token", "server": "10.78.0.1:8443", "user": "alice", "owner": "10.78.0.2",
                "intruder": "10.78.0.3", "secret": "t", "message": "keep t", "interface": "lo",
                "capture": "isolation.token.lo.pcap",
            }],
            "plan": { "file": "isolation.plan.json", "sha256": "0".repeat(64) },
        });
        assert_eq!(written, expected);
    }
}
