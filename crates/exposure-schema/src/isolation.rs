//! The isolation experiment.

use serde::{Deserialize, Serialize};

use crate::controls::DecoyControl;
use crate::doubts::DoubtEntry;
use crate::strings::Location;

/// One isolation run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Isolation {
    /// The experiment's file.
    pub file: String,
    /// The run.
    pub run_id: String,
    /// What made the boxes: `namespace` or `docker`.
    pub backend: String,
    /// What it shows.
    pub verdict: IsolationVerdict,
    /// Every leak, then every doubt; empty for `isolated`.
    pub reasons: Vec<String>,
    /// Every leak with its code and scope, in the order of `reasons`.
    #[serde(default)]
    pub leaks: Vec<DoubtEntry>,
    /// Every doubt with its code and scope, in the order of `reasons`, where the doubts follow the leaks.
    #[serde(default)]
    pub doubts: Vec<DoubtEntry>,
    /// Frames that came from boxes without network: every frame that is not of the users' talk. 0 expected.
    pub box_frames: u64,
    /// Attempts of boxes without network whose canary is on a wire. 0 expected.
    pub box_canaries: u64,
    /// Boxes that got hold of another user's secret. 0 expected.
    pub secrets_crossed: u64,
    /// Whether "not seen" means "not there".
    pub controls: IsolationControls,
    /// The ways out that were tried.
    pub kinds: Vec<KindEntry>,
    /// Where packets could have passed, by phase.
    pub interfaces: Vec<InterfaceEntry>,
    /// The boxes: the first 1,000.
    pub boxes: Vec<BoxEntry>,
    /// Number of boxes.
    pub boxes_total: u64,
    /// What they tried: the first 1,000.
    pub attempts: Vec<AttemptEntry>,
    /// Number of attempts.
    pub attempts_total: u64,
    /// The lesson on identity; `null` if it was not part of the run.
    #[serde(deserialize_with = "crate::nullable")]
    pub identity: Option<Identity>,
}

/// What an isolation run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum IsolationVerdict {
    /// Nothing of any box was seen, and it would have been.
    Isolated,
    /// Something of a box was seen, or reached another user.
    Leaked,
    /// Neither can be said.
    Inconclusive,
}

impl IsolationVerdict {
    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Leaked => "leaked",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Whether "not seen" means "not there".
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IsolationControls {
    /// The same attempts with a network are seen.
    pub positive: KindControl,
    /// What was never sent is found nowhere.
    pub decoys: DecoyControl,
}

/// The same attempts with a network are seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KindControl {
    /// Whether every way out was seen.
    pub passed: bool,
    /// Ways out that were tried.
    pub kinds: u64,
    /// Of these, how many were seen with a network.
    pub seen: u64,
}

/// One way out, over all boxes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KindEntry {
    /// Which: `tcp`, `dns`, `udp`, `raw`, `ipv6`, `neighbour`, `file`.
    pub kind: String,
    /// Attempts of boxes without network.
    pub tried: u64,
    /// Of these, how many were seen on a wire (of those that read: how many got what they wanted).
    pub seen: u64,
    /// Attempts with a network, or without any box.
    pub control_tried: u64,
    /// Of these, how many were seen on a wire (of those that read: how many got hold of what a user had told).
    pub control_seen: u64,
    /// Whether at least one was.
    pub control_passed: bool,
}

/// One interface in one phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InterfaceEntry {
    /// The phase.
    pub phase: PhaseName,
    /// The interface; `null` if the capture has no manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub interface: Option<String>,
    /// The capture.
    pub file: String,
    /// SHA-256 of the file as it was analyzed.
    pub sha256: String,
    /// Frames in it.
    pub frames: u64,
    /// Of these, TCP segments of the users' talk with the gateway.
    pub talk_frames: u64,
    /// ARP between the ends of that talk.
    pub arp_frames: u64,
    /// All others: of boxes.
    pub box_frames: u64,
    /// The first 16 of these.
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
    /// Boxes as they are meant to be: nothing of them may be seen.
    Isolated,
    /// The same attempts with a network: each must be seen, or not seeing proves nothing.
    Control,
}

/// A frame that is not of the users' talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ForeignFrame {
    /// Its number, from 1 as Wireshark counts.
    pub frame: u64,
    /// Time, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Bytes on the wire.
    pub wire_bytes: u64,
    /// What it is, as far as it was decoded.
    pub what: String,
}

/// One box.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BoxEntry {
    /// The phase it ran in.
    pub phase: PhaseName,
    /// Its name.
    #[serde(rename = "box")]
    pub name: String,
    /// For whom it ran; `null` for none.
    #[serde(deserialize_with = "crate::nullable")]
    pub user: Option<String>,
    /// Its network: `none`, what it was given, or `unboxed` for a process without any box.
    pub network: String,
    /// How it ended.
    pub exit: String,
    /// What bounded it, as read back from the kernel.
    pub limits: Vec<Limit>,
}

/// A limit that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limit {
    /// What it bounds.
    pub name: String,
    /// What enforces it.
    pub mechanism: String,
    /// The bound as it was read back.
    pub value: String,
}

/// One attempt to get out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AttemptEntry {
    /// The phase.
    pub phase: PhaseName,
    /// The box.
    #[serde(rename = "box")]
    pub name: String,
    /// Which way.
    pub kind: String,
    /// Where to.
    pub target: String,
    /// What it carried; `null` where it only reads.
    #[serde(deserialize_with = "crate::nullable")]
    pub canary: Option<String>,
    /// Whether the box believes that it got through.
    pub succeeded: bool,
    /// What came of it, in the words of the operating system.
    pub outcome: String,
    /// Of how many users it read the secret; of its own user's it is none.
    pub secrets: u64,
    /// In how many places its canary stands in the captures of its phase.
    pub seen: u64,
    /// The first of them.
    #[serde(deserialize_with = "crate::nullable")]
    pub first: Option<Occurrence>,
}

/// A place in one of several captures.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Occurrence {
    /// The capture.
    pub file: String,
    /// Its interface.
    pub interface: String,
    /// Where in it.
    pub location: Location,
}

/// A user id in a header is a claim: over HTTP an eavesdropper reads it, and can repeat it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Identity {
    /// Whose id.
    pub user: String,
    /// Where it was read, in this user's own request.
    #[serde(deserialize_with = "crate::nullable")]
    pub read: Option<Occurrence>,
    /// Who sent that request.
    #[serde(deserialize_with = "crate::nullable")]
    pub read_from: Option<String>,
    /// The location at which another client repeated it.
    #[serde(deserialize_with = "crate::nullable")]
    pub replayed: Option<Occurrence>,
    /// Who that was.
    #[serde(deserialize_with = "crate::nullable")]
    pub replayed_from: Option<String>,
    /// Where the answer to it holds what only this user had told.
    #[serde(deserialize_with = "crate::nullable")]
    pub answered: Option<Occurrence>,
    /// Whether all three were seen.
    pub shown: bool,
}
