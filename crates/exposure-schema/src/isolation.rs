//! The isolation experiment: whether anything left the sandboxes. In identifiers a sandbox is called `box`.

use serde::{Deserialize, Serialize};

use crate::controls::DecoyControl;
use crate::doubts::DoubtEntry;
use crate::strings::Location;

/// One isolation run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Isolation {
    /// Path of the run's record, `isolation.json`.
    pub file: String,
    /// Id of the run.
    pub run_id: String,
    /// Backend of the sandboxes: `namespace` or `docker`.
    pub backend: String,
    /// The verdict on the run.
    pub verdict: IsolationVerdict,
    /// Every leak, then every doubt, as text; empty for `isolated`.
    pub reasons: Vec<String>,
    /// Every leak with its code and scope, in the order of `reasons`.
    #[serde(default)]
    pub leaks: Vec<DoubtEntry>,
    /// Every doubt with its code and scope, in the order of `reasons`, where the doubts follow the leaks.
    #[serde(default)]
    pub doubts: Vec<DoubtEntry>,
    /// Frames from sandboxes without network: every frame other than the users' own traffic. 0 expected.
    pub box_frames: u64,
    /// Attempts in sandboxes without network whose canary is in a capture. 0 expected.
    pub box_canaries: u64,
    /// Sandboxes that obtained another user's secret. 0 expected.
    pub secrets_crossed: u64,
    /// How much of the users' traffic is accounted for: planned requests, and answers of sandboxes.
    #[serde(default)]
    pub traffic: TrafficAccount,
    /// Whether "not seen" means "not sent" in this run.
    pub controls: IsolationControls,
    /// The kinds of escape attempts that were made.
    pub kinds: Vec<KindEntry>,
    /// The ways between sandboxes that none of them closes, and how much passed. They do not change the verdict.
    #[serde(default)]
    pub measured: Vec<MeasuredEntry>,
    /// The interfaces that packets could have crossed, by phase.
    pub interfaces: Vec<InterfaceEntry>,
    /// The sandboxes: the first 1,000.
    pub boxes: Vec<BoxEntry>,
    /// Number of sandboxes.
    pub boxes_total: u64,
    /// The escape attempts: the first 1,000.
    pub attempts: Vec<AttemptEntry>,
    /// Number of attempts.
    pub attempts_total: u64,
    /// The demonstration that a user id in a header is unauthenticated; `null` if it was not part of the run.
    #[serde(deserialize_with = "crate::nullable")]
    pub identity: Option<Identity>,
    /// Whether the same replay fails where users are authenticated over TLS; empty if it was not part of the run.
    #[serde(default)]
    pub protections: Vec<ProtectionEntry>,
}

/// The verdict on an isolation run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum IsolationVerdict {
    /// Nothing left any sandbox, and the controls show that it would have been seen.
    Isolated,
    /// Something left a sandbox, or reached another user.
    Leaked,
    /// The run proves neither.
    Inconclusive,
}

impl IsolationVerdict {
    /// The verdict as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Leaked => "leaked",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The controls of an isolation run: whether "not seen" means "not sent".
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IsolationControls {
    /// The same attempts are seen when the sandbox has a network.
    pub positive: KindControl,
    /// The search does not find values that were never sent.
    pub decoys: DecoyControl,
    /// Every capture has the frames that the host sent on its interface at its start and end.
    #[serde(default)]
    pub beacons: BeaconControl,
}

/// Control: every capture has the frames that the host sent on its interface at its start and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BeaconControl {
    /// Whether every capture has both.
    pub passed: bool,
    /// Number of beacons that were to be sent: two for each capture.
    pub expected: u64,
    /// Number of these that are in their capture.
    pub seen: u64,
}

/// How much of the users' traffic is accounted for: each request is planned, and each answer is the output of one sandbox of
/// the same user and conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrafficAccount {
    /// TCP connections in the captures of the isolated phase.
    pub connections: u64,
    /// Number of these whose every byte is accounted for.
    pub connections_accounted: u64,
    /// Bytes of payload that they carried.
    pub bytes: u64,
    /// Number of these that are accounted for.
    pub bytes_accounted: u64,
    /// Sandboxes without network.
    pub boxes: u64,
    /// Number of these whose output is exactly one answer.
    pub boxes_answered: u64,
}

/// Control: the same attempts are seen when the sandbox has a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KindControl {
    /// Whether every kind of attempt was seen.
    pub passed: bool,
    /// Number of kinds of escape attempts.
    pub kinds: u64,
    /// Number of these that were seen with a network.
    pub seen: u64,
}

/// One kind of escape attempt, over all sandboxes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KindEntry {
    /// The kind: `tcp`, `dns`, `udp`, `raw`, `ipv6`, `neighbour`, `file`, `lock`, `notify`, `counter`, and others that the run's
    /// plan names.
    pub kind: String,
    /// Attempts in sandboxes without network.
    pub tried: u64,
    /// Number of these that are in a capture; of attempts to read or to hear, number that obtained data.
    pub seen: u64,
    /// Attempts of the control: with a network, or outside any sandbox.
    pub control_tried: u64,
    /// Number of these that are in a capture, on their way to the target, by its protocol, on the planned interface; of attempts
    /// to read, number that obtained another user's data; of attempts to hear, number that heard another's canary.
    pub control_seen: u64,
    /// Whether each attempt without network has a counterpart that was seen.
    pub control_passed: bool,
}

/// A way between sandboxes that none of them closes: how many bits of what one sent another one heard. Half of them are right
/// by chance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeasuredEntry {
    /// The kind of attempt: `timing`, by the load of the CPUs.
    pub kind: String,
    /// Bits that sandboxes without network heard.
    pub bits: u64,
    /// Number of these that are as they were sent.
    pub right: u64,
    /// Bits that processes outside any sandbox heard.
    pub control_bits: u64,
    /// Number of these that are as they were sent.
    pub control_right: u64,
}

/// One interface in one phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InterfaceEntry {
    /// Phase of the capture.
    pub phase: PhaseName,
    /// Name of the interface; `null` if the capture has no manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub interface: Option<String>,
    /// Path of the capture.
    pub file: String,
    /// SHA-256 of the file as it was analyzed.
    pub sha256: String,
    /// Frames in the capture.
    pub frames: u64,
    /// TCP segments of the users' own traffic with the gateway.
    pub talk_frames: u64,
    /// ARP frames between the ends of that traffic.
    pub arp_frames: u64,
    /// The host's beacons: 2 expected.
    #[serde(default)]
    pub beacon_frames: u64,
    /// All other frames, which count as a sandbox's.
    pub box_frames: u64,
    /// The first 16 of the sandboxes' frames.
    pub box_frames_listed: Vec<ForeignFrame>,
    /// Frames that the kernel dropped.
    #[serde(deserialize_with = "crate::nullable")]
    pub kernel_drops: Option<u64>,
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PhaseName {
    /// Sandboxes without network: nothing from them may be seen.
    Isolated,
    /// The same attempts with a network: each kind must be seen, otherwise not seeing it before proves nothing.
    Control,
}

/// A frame other than the users' own traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ForeignFrame {
    /// Number of the frame, from 1 as in Wireshark.
    pub frame: u64,
    /// Time of capture, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Length of the frame on the wire in bytes.
    pub wire_bytes: u64,
    /// Description of the frame, as far as it was decoded.
    pub what: String,
}

/// One sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BoxEntry {
    /// Phase in which the sandbox ran.
    pub phase: PhaseName,
    /// Name of the sandbox.
    #[serde(rename = "box")]
    pub name: String,
    /// User whose request ran in the sandbox; `null` for none.
    #[serde(deserialize_with = "crate::nullable")]
    pub user: Option<String>,
    /// Network of the sandbox: `none`, a description, or `unboxed` for a process outside any sandbox.
    pub network: String,
    /// How the command in the sandbox ended.
    pub exit: String,
    /// Limits of the sandbox, as read back from the kernel.
    pub limits: Vec<Limit>,
}

/// A limit of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limit {
    /// Name of the limited resource.
    pub name: String,
    /// Mechanism that enforces the limit.
    pub mechanism: String,
    /// Value of the limit, as read back.
    pub value: String,
}

/// One escape attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AttemptEntry {
    /// Phase in which the sandbox ran.
    pub phase: PhaseName,
    /// Name of the sandbox.
    #[serde(rename = "box")]
    pub name: String,
    /// Kind of attempt.
    pub kind: String,
    /// Target of the attempt: an address, a name or a path.
    pub target: String,
    /// Canary that the attempt sends; `null` for an attempt that only reads.
    #[serde(deserialize_with = "crate::nullable")]
    pub canary: Option<String>,
    /// Whether the attempt succeeded as seen from inside the sandbox.
    pub succeeded: bool,
    /// Outcome as the operating system reported it.
    pub outcome: String,
    /// Number of other users whose secret the attempt read.
    pub secrets: u64,
    /// Number of occurrences of the canary in the captures of the phase.
    pub seen: u64,
    /// The first occurrence.
    #[serde(deserialize_with = "crate::nullable")]
    pub first: Option<Occurrence>,
}

/// A location in one of several captures.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Occurrence {
    /// Path of the capture.
    pub file: String,
    /// Interface of the capture.
    pub interface: String,
    /// Location in the capture.
    pub location: Location,
}

/// A user id in a header is unauthenticated: over HTTP an eavesdropper can replay it and get answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Identity {
    /// The user id.
    pub user: String,
    /// Where the id can be read in the user's own request.
    #[serde(deserialize_with = "crate::nullable")]
    pub read: Option<Occurrence>,
    /// Address and port that sent this request.
    #[serde(deserialize_with = "crate::nullable")]
    pub read_from: Option<String>,
    /// Where another client replays the id.
    #[serde(deserialize_with = "crate::nullable")]
    pub replayed: Option<Occurrence>,
    /// Address and port of that client.
    #[serde(deserialize_with = "crate::nullable")]
    pub replayed_from: Option<String>,
    /// Where the answer to the replay contains text that only this user had sent.
    #[serde(deserialize_with = "crate::nullable")]
    pub answered: Option<Occurrence>,
    /// Whether all three were seen.
    pub shown: bool,
}

/// A gateway that authenticates its users over TLS: the id cannot be read, and its replay is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProtectionEntry {
    /// What names the user there: `token` or `mtls`.
    pub auth: String,
    /// Address that the gateway listens on.
    pub listen: String,
    /// The user id that is replayed.
    pub user: String,
    /// Path of the capture; `null` if it is missing.
    #[serde(deserialize_with = "crate::nullable")]
    pub file: Option<String>,
    /// Occurrences of the user's id, token, secret and conversation that can be read without a key. 0 expected.
    pub read: u64,
    /// The answer to the user that has the secret; `null` if it was not seen.
    #[serde(deserialize_with = "crate::nullable")]
    pub owner: Option<ProtectedAnswer>,
    /// The answers to the intruder. 401 expected.
    pub replays: Vec<ProtectedAnswer>,
    /// Whether the capture shows all of this, and nothing else.
    pub shown: bool,
}

/// An answer of a gateway that authenticates its users.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProtectedAnswer {
    /// What the client shows beside the user id.
    pub credential: Credential,
    /// Address and port of the client.
    pub from: String,
    /// Status of the answer.
    pub status: u16,
    /// Where the answer is, with the key log; `null` if it was not found.
    #[serde(deserialize_with = "crate::nullable")]
    pub answered: Option<Occurrence>,
}

/// What a client shows beside a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// The user's bearer token.
    Token,
    /// The user's certificate.
    Certificate,
    /// A token that is none.
    WrongToken,
    /// Nothing.
    Nothing,
}

impl Credential {
    /// The credential as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::WrongToken => "wrong-token",
            Self::Nothing => "nothing",
        }
    }
}
