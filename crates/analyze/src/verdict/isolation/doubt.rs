//! Doubts about an isolation run as data: why it does not prove that the sandboxes were isolated.
//!
//! Codes and scopes as in [`crate::verdict::doubt`]; docs/doubts.md lists them.

use std::fmt;
use std::net::IpAddr;

use exposure_schema::{DoubtEntry, DoubtScope};

use super::boxes::{AttemptName, FEWEST_USERS, MIN_VALUE, SHORTEST_LIFE_NS};
use super::http::NotRead;
use super::not_shown::NotShown;
use crate::verdict::doubt::Doubt;

/// One reason why a run does not prove isolation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IsolationDoubt {
    /// The lab did not finish the run.
    NotFinished,
    /// The number of phases named `isolated` is not one.
    IsolatedPhases(usize),
    /// Two canaries, secrets or user ids are equal: a match has no single owner.
    ValueNotUnique,
    /// A canary, secret or user id is so short that it occurs by chance.
    ValueTooShort(String),
    TooFewUsers(usize),
    /// An address whose traffic counts as the users' belongs to no user.
    UnknownClient(IpAddr),
    /// The run replays a user id, and no capture shows it.
    IdentityNotShown,

    /// The run sends the replay to a gateway that authenticates its users, and the capture does not show that it fails.
    ProtectionNotShown {
        auth: String,
        why: NotShown,
    },

    /// The record names no plan.
    NoPlan,
    /// The plan's file is not the one that the record names, or says something else.
    PlanDiffers(Vec<&'static str>),
    /// The plan was written when a capture had begun, or before the run.
    PlanLate,
    /// The messages of a user do not ask for exactly the attempts that the plan lists.
    PlanInconsistent {
        user: String,
    },
    /// The phases do not follow each other, or not soon, or a time of the record contradicts those of its files.
    PhasesOutOfOrder,
    /// Bytes of a user's connection belong to no planned request, or to no answer of a sandbox.
    TrafficNotAccounted {
        stream: u32,
        why: NotAccounted,
    },
    /// The output of a sandbox is not exactly one answer in the users' traffic.
    BoxWithoutAnswer {
        sandbox: String,
    },
    /// Planned messages are not in the users' traffic.
    MessagesNotSent {
        user: String,
        planned: usize,
        sent: usize,
    },
    /// A user did not send its secret: it could not cross.
    SecretNotTold {
        user: String,
    },
    /// A sandbox ran for no conversation.
    NoConversation {
        sandbox: String,
    },
    /// Two sandboxes have one name.
    NameTwice {
        sandbox: String,
    },
    /// A sandbox ended before its program can have started.
    LivedTooShort {
        sandbox: String,
    },
    /// The output of a sandbox is not exactly the answer that its message and attempts give.
    OutputUnexplained {
        sandbox: String,
    },
    /// The text and the bytes of a sandbox's output contradict each other.
    OutputContradicts {
        sandbox: String,
    },
    /// An attempt is of no kind that can be judged.
    KindUnknown(AttemptName),
    /// A sandbox of the control differs in more than its network.
    ControlDiffers {
        sandbox: String,
        limits: Vec<String>,
    },
    /// A sandbox of the control did not have the network of the run.
    ControlNetwork {
        sandbox: String,
        network: String,
    },
    /// A sandbox reports that an attempt failed, and a capture shows its canary.
    FailureCaptured(AttemptName),

    /// No sandbox of a user was asked to make a kind of attempt.
    AttemptNotRequested {
        user: String,
        kind: &'static str,
    },
    /// An attempt was asked for, and no sandbox of the user made it.
    AttemptNotMade {
        user: String,
        kind: String,
        target: String,
    },
    /// No sandbox without network made a kind of attempt.
    KindNotTried(String),
    /// The control does not show that the captures would have shown an attempt.
    EscapeNotSeen {
        kind: String,
        tried: u64,
        seen: u64,
    },

    SandboxOfOtherRun {
        sandbox: String,
        run: String,
        expected: String,
    },
    /// A sandbox failed: its later attempts are unknown.
    SandboxFailed {
        sandbox: String,
        exit: String,
    },
    TimesReversed {
        sandbox: String,
    },
    /// Lines of a sandbox's stderr that report attempts cannot be read.
    AttemptsUnreadable {
        sandbox: String,
        lines: usize,
    },
    /// The canary of an attempt is not 32 hex digits or is missing, or an attempt that only reads has one.
    CanaryUnsearchable(AttemptName),
    /// A sandbox of the isolated phase was given a network.
    HasNetwork {
        sandbox: String,
        network: String,
    },
    /// The limits of a sandbox, as read back, do not show that it had no network.
    NetworkNotReadBack {
        sandbox: String,
        limits: Vec<String>,
    },
    /// A sandbox ran for no user of the run.
    UnknownUser {
        sandbox: String,
    },
    /// A sandbox of the control had no network.
    ControlWithoutNetwork {
        sandbox: String,
    },
    /// No sandbox of another user listened where this one tried to reach it.
    NeighbourMissing {
        sandbox: String,
        target: String,
    },
    /// A sandbox reports that an attempt succeeded, and no capture shows its canary.
    SuccessNotCaptured(AttemptName),
    /// The search of a sandbox's output reached a bound.
    Output {
        sandbox: String,
        doubt: Doubt,
    },

    /// A doubt about one capture of the run.
    Capture {
        file: String,
        doubt: CaptureDoubt,
    },
    /// No interface was captured during the isolated phase.
    NothingCaptured,
    /// Two captures of one phase name the same interface.
    InterfaceTwice {
        interface: String,
    },
    /// An interface of the run was not captured in every phase.
    InterfaceMissing {
        interface: String,
    },
    InterfaceOnlyInControl {
        interface: String,
    },
    InterfaceOnlyIsolated {
        interface: String,
    },
    /// Two interfaces of one phase carry the users' traffic.
    TrafficOnTwoInterfaces {
        interfaces: [String; 2],
    },
    /// No capture of the isolated phase holds the users' traffic.
    NoUserTraffic,
}

/// A doubt about one capture of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CaptureDoubt {
    /// A doubt that any capture can have.
    Any(Doubt),
    OtherRun {
        run: String,
        expected: String,
    },
    /// The capturer did not keep every frame.
    Filtered,
    NoInterface,
    NoTimes,
    /// The capture does not cover the whole lifetime of a sandbox.
    LifetimeNotCovered {
        sandbox: String,
    },
    /// Connections of the users are not HTTP in the clear: a sandbox could hide in them.
    NotHttp {
        count: u64,
        with_data: u64,
    },
    /// There are more frames of the users' traffic than are remembered with their sender.
    TrafficFrames,
    /// The users' connections have more bytes than are accounted for.
    TrafficBytes,
    /// A beacon is missing: `start` or `end`. Nothing shows that the capture was alive.
    BeaconMissing {
        moment: &'static str,
    },
    /// Beacons of another interface or phase of the run.
    BeaconMisplaced(u64),
    /// Frames before the first beacon or behind the last one.
    FramesOutsideBeacons(u64),
    /// A sandbox ran before the first beacon or after the last one.
    BeaconOrder {
        sandbox: String,
    },
}

/// Why a connection of the users is not accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAccounted {
    /// It was not captured from its first packet on.
    NotWhole,
    /// A client did not open it, or not to the gateway.
    OtherServer,
    Request(NotRead),
    Answer(NotRead),
    /// The answer begins before the request is complete, or the request is for another host.
    Order,
    /// The answer has another time than the capture.
    Time,
    /// It has no user's address and id, and is not the planned replay.
    NoOwner,
    /// The request is not the next one that the plan has for this user.
    NotPlanned,
    /// The answer is no sandbox's of this user, conversation and time.
    NoBox,
    /// The answer to the replay has other contents than the conversation.
    AnswerContent,
}

impl fmt::Display for NotAccounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWhole => f.write_str("it was not captured from its first packet on"),
            Self::OtherServer => f.write_str("no client opened it to the gateway"),
            Self::Request(why) => write!(f, "the request is not read: {why}"),
            Self::Answer(why) => write!(f, "the answer is not read: {why}"),
            Self::Order => f.write_str("request and answer do not belong together"),
            Self::Time => f.write_str("the answer has another time than the capture"),
            Self::NoOwner => f.write_str("it belongs to no user, and is not the planned replay"),
            Self::NotPlanned => f.write_str("its request is not the next one in the plan"),
            Self::NoBox => {
                f.write_str("its answer is not the output of a sandbox of this user, conversation and time")
            }
            Self::AnswerContent => {
                f.write_str("its answer holds something else than the user's conversation")
            }
        }
    }
}

impl From<Doubt> for CaptureDoubt {
    fn from(doubt: Doubt) -> Self {
        Self::Any(doubt)
    }
}

impl IsolationDoubt {
    pub(crate) fn code(&self) -> &'static str {
        self.kind().0
    }

    pub(crate) fn scope(&self) -> DoubtScope {
        self.kind().1
    }

    /// Code and scope, as in docs/doubts.md.
    fn kind(&self) -> (&'static str, DoubtScope) {
        use DoubtScope::{Run, Sandbox, Stream};
        match self {
            Self::NotFinished => ("isolation.not-finished", Run),
            Self::IsolatedPhases(_) => ("isolation.phase-count", Run),
            Self::ValueNotUnique => ("isolation.value-not-unique", Run),
            Self::ValueTooShort(_) => ("isolation.value-too-short", Run),
            Self::TooFewUsers(_) => ("isolation.too-few-users", Run),
            Self::UnknownClient(_) => ("isolation.unknown-client", Run),
            Self::IdentityNotShown => ("isolation.identity-not-shown", Run),
            Self::ProtectionNotShown { .. } => ("isolation.protection-not-shown", Run),
            Self::NoPlan => ("isolation.no-plan", Run),
            Self::PlanDiffers(_) => ("isolation.plan-differs", Run),
            Self::PlanLate => ("isolation.plan-late", Run),
            Self::PlanInconsistent { .. } => ("isolation.plan-inconsistent", Run),
            Self::PhasesOutOfOrder => ("isolation.phases-out-of-order", Run),
            Self::TrafficNotAccounted { .. } => ("traffic.not-accounted", Stream),
            Self::BoxWithoutAnswer { .. } => ("traffic.box-without-answer", Sandbox),
            Self::MessagesNotSent { .. } => ("traffic.messages-not-sent", Run),
            Self::SecretNotTold { .. } => ("traffic.secret-not-told", Run),
            Self::NoConversation { .. } => ("sandbox.no-conversation", Sandbox),
            Self::NameTwice { .. } => ("sandbox.name-twice", Sandbox),
            Self::LivedTooShort { .. } => ("sandbox.lived-too-short", Sandbox),
            Self::OutputUnexplained { .. } => ("sandbox.output-unexplained", Sandbox),
            Self::OutputContradicts { .. } => ("sandbox.output-contradicts", Sandbox),
            Self::KindUnknown(_) => ("sandbox.kind-unknown", Sandbox),
            Self::ControlDiffers { .. } => ("control.differs", Sandbox),
            Self::ControlNetwork { .. } => ("control.other-network", Sandbox),
            Self::FailureCaptured(_) => ("control.failure-captured", Sandbox),
            Self::AttemptNotRequested { .. } => ("sandbox.attempt-not-requested", Sandbox),
            Self::AttemptNotMade { .. } => ("sandbox.attempt-not-made", Sandbox),
            Self::KindNotTried(_) => ("sandbox.kind-not-tried", Sandbox),
            Self::EscapeNotSeen { .. } => ("control.escape-not-seen", Sandbox),
            Self::SandboxOfOtherRun { .. } => ("sandbox.other-run", Sandbox),
            Self::SandboxFailed { .. } => ("sandbox.failed", Sandbox),
            Self::TimesReversed { .. } => ("sandbox.times-reversed", Sandbox),
            Self::AttemptsUnreadable { .. } => ("sandbox.attempts-unreadable", Sandbox),
            Self::CanaryUnsearchable(_) => ("sandbox.canary-unsearchable", Sandbox),
            Self::HasNetwork { .. } => ("sandbox.has-network", Sandbox),
            Self::NetworkNotReadBack { .. } => ("sandbox.network-not-read-back", Sandbox),
            Self::UnknownUser { .. } => ("sandbox.unknown-user", Sandbox),
            Self::ControlWithoutNetwork { .. } => ("control.no-network", Sandbox),
            Self::NeighbourMissing { .. } => ("sandbox.neighbour-missing", Sandbox),
            Self::SuccessNotCaptured(_) => ("sandbox.success-not-captured", Sandbox),
            Self::Output { doubt, .. } => (doubt.code(), Sandbox),
            Self::Capture { doubt, .. } => doubt.kind(),
            Self::NothingCaptured => ("isolation.nothing-captured", Run),
            Self::InterfaceTwice { .. } => ("isolation.interface-twice", Run),
            Self::InterfaceMissing { .. } => ("isolation.interface-missing", Run),
            Self::InterfaceOnlyInControl { .. } => ("isolation.interface-only-in-control", Run),
            Self::InterfaceOnlyIsolated { .. } => ("isolation.interface-only-isolated", Run),
            Self::TrafficOnTwoInterfaces { .. } => ("isolation.traffic-on-two-interfaces", Run),
            Self::NoUserTraffic => ("isolation.no-user-traffic", Run),
        }
    }

    /// The doubt as an entry of the result.
    pub(crate) fn entry(&self) -> DoubtEntry {
        DoubtEntry { code: self.code().into(), scope: self.scope(), text: self.to_string() }
    }
}

impl CaptureDoubt {
    /// Code and scope, as in docs/doubts.md.
    fn kind(&self) -> (&'static str, DoubtScope) {
        use DoubtScope::{Capture, Stream};
        match self {
            Self::Any(doubt) => (doubt.code(), doubt.scope()),
            Self::OtherRun { .. } => ("capture.other-run", Capture),
            Self::Filtered => ("capture.filtered", Capture),
            Self::NoInterface => ("manifest.no-interface", Capture),
            Self::NoTimes => ("manifest.no-times", Capture),
            Self::LifetimeNotCovered { .. } => ("capture.lifetime-not-covered", Capture),
            Self::NotHttp { .. } => ("stream.not-http", Stream),
            Self::TrafficFrames => ("bound.traffic-frames", Capture),
            Self::TrafficBytes => ("bound.traffic-bytes", Capture),
            Self::BeaconMissing { .. } => ("capture.beacon-missing", Capture),
            Self::BeaconMisplaced(_) => ("capture.beacon-misplaced", Capture),
            Self::FramesOutsideBeacons(_) => ("capture.frames-outside-beacons", Capture),
            Self::BeaconOrder { .. } => ("capture.beacon-order", Capture),
        }
    }
}

impl fmt::Display for IsolationDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinished => f.write_str("the run did not finish"),
            Self::IsolatedPhases(count) => write!(f, "{count} phases of the run are named isolated, not one"),
            Self::ValueNotUnique => {
                f.write_str("two canaries, secrets or user ids are equal: a match has no single owner")
            }
            Self::ValueTooShort(value) => {
                write!(f, "{value:?} is shorter than {MIN_VALUE} bytes: it can occur by chance")
            }
            Self::TooFewUsers(count) => {
                write!(f, "the run has {count} user(s): isolation of users needs {FEWEST_USERS}")
            }
            Self::UnknownClient(address) => {
                write!(f, "traffic of {address} counts as the users', and no user has that address")
            }
            Self::IdentityNotShown => f.write_str("no capture shows the claimed user id read and replayed"),
            Self::ProtectionNotShown { auth, why } => {
                write!(f, "it is not shown that the replay fails under {auth}: {why}")
            }
            Self::NoPlan => f.write_str("the record names no plan"),
            Self::PlanDiffers(fields) => {
                write!(f, "the plan is not the one that the record names: {}", fields.join(", "))
            }
            Self::PlanLate => {
                f.write_str("the plan was not written between the start of the run and its captures")
            }
            Self::PlanInconsistent { user } => {
                write!(f, "the messages of user {user} do not ask for exactly the planned attempts")
            }
            Self::PhasesOutOfOrder => {
                f.write_str("the times of the run, its phases and their captures contradict each other")
            }
            Self::TrafficNotAccounted { stream, why } => {
                write!(f, "tcp.stream {stream} of the users' traffic is not accounted for: {why}")
            }
            Self::BoxWithoutAnswer { sandbox } => {
                write!(f, "{sandbox}: no answer in the users' traffic is its output")
            }
            Self::MessagesNotSent { user, planned, sent } => {
                write!(f, "user {user} sent {sent} of {planned} planned messages")
            }
            Self::SecretNotTold { user } => {
                write!(f, "user {user} did not send its secret, so it could not cross")
            }
            Self::NoConversation { sandbox } => write!(f, "{sandbox} ran for no conversation"),
            Self::NameTwice { sandbox } => write!(f, "two sandboxes have the name {sandbox}"),
            Self::LivedTooShort { sandbox } => {
                write!(f, "{sandbox} lived less than {} µs: no program can have run", SHORTEST_LIFE_NS / 1000)
            }
            Self::OutputUnexplained { sandbox } => {
                write!(f, "{sandbox}: its output is not exactly the answer to a message of its user")
            }
            Self::OutputContradicts { sandbox } => {
                write!(f, "{sandbox}: the text and the bytes of its output contradict each other")
            }
            Self::KindUnknown(AttemptName { sandbox, kind, target }) => {
                write!(f, "{sandbox}: its {kind} attempt to {target} is of no kind that can be judged")
            }
            Self::ControlDiffers { sandbox, limits } => write!(
                f,
                "{sandbox} belongs to the control and differs in more than its network: {}",
                limits.join(", ")
            ),
            Self::ControlNetwork { sandbox, network } => {
                write!(
                    f,
                    "{sandbox} belongs to the control and did not have the network of the run: {network:?}"
                )
            }
            Self::FailureCaptured(AttemptName { sandbox, kind, target }) => write!(
                f,
                "{sandbox} reports that its {kind} attempt to {target} failed, and a capture shows it"
            ),
            Self::AttemptNotRequested { user, kind } => {
                write!(f, "no sandbox of user {user} was asked to try {kind}")
            }
            Self::AttemptNotMade { user, kind, target } => {
                write!(f, "no sandbox of user {user} tried {kind} to {target}")
            }
            Self::KindNotTried(kind) => write!(f, "no sandbox without network tried {kind}"),
            Self::EscapeNotSeen { kind, tried, seen } => write!(
                f,
                "{kind}: no positive control: {seen} of {tried} attempt(s) with a network were seen, not one to every target"
            ),
            Self::SandboxOfOtherRun { sandbox, run, expected } => {
                write!(f, "{sandbox} belongs to run {run}, not to {expected}")
            }
            Self::SandboxFailed { sandbox, exit } => {
                write!(f, "{sandbox} ended with {exit}: what else it would have tried is unknown")
            }
            Self::TimesReversed { sandbox } => write!(f, "{sandbox} ended before it started"),
            Self::AttemptsUnreadable { sandbox, lines } => {
                write!(f, "{sandbox}: {lines} line(s) on attempts cannot be read")
            }
            Self::CanaryUnsearchable(AttemptName { sandbox, kind, target }) => write!(
                f,
                "{sandbox}: the canary of its {kind} attempt to {target} cannot be searched: it is not 32 hex digits"
            ),
            Self::HasNetwork { sandbox, network } => write!(f, "{sandbox} was given the network {network}"),
            Self::NetworkNotReadBack { sandbox, limits } => {
                write!(f, "{sandbox}: its limits as read back do not show that it had no network: {limits:?}")
            }
            Self::UnknownUser { sandbox } => write!(f, "{sandbox} ran for no user of this run"),
            Self::ControlWithoutNetwork { sandbox } => {
                write!(f, "{sandbox} belongs to the control and had no network")
            }
            Self::NeighbourMissing { sandbox, target } => {
                write!(f, "{sandbox}: no sandbox of another user listened at {target} while it ran")
            }
            Self::SuccessNotCaptured(AttemptName { sandbox, kind, target }) => write!(
                f,
                "{sandbox} reports that its {kind} attempt to {target} succeeded, and no capture shows it"
            ),
            Self::Output { sandbox, doubt } => write!(f, "the output of {sandbox}: {doubt}"),
            Self::Capture { file, doubt } => write!(f, "{file}: {doubt}"),
            Self::NothingCaptured => f.write_str("no interface was captured while the sandboxes ran"),
            Self::InterfaceTwice { interface } => {
                write!(f, "two captures of one phase name the interface {interface}")
            }
            Self::InterfaceMissing { interface } => {
                write!(f, "{interface} was not captured in every phase of the run")
            }
            Self::InterfaceOnlyInControl { interface } => {
                write!(f, "{interface} was captured for the control only, not while the sandboxes ran")
            }
            Self::InterfaceOnlyIsolated { interface } => {
                write!(f, "{interface} was captured while the sandboxes ran, but not for the control")
            }
            Self::TrafficOnTwoInterfaces { interfaces: [first, second] } => {
                write!(f, "the users' traffic is on {first} and on {second}")
            }
            Self::NoUserTraffic => f.write_str(
                "no capture holds the users' traffic with the gateway, so its interface was not captured",
            ),
        }
    }
}

impl fmt::Display for CaptureDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(doubt) => write!(f, "{doubt}"),
            Self::OtherRun { run, expected } => write!(f, "it belongs to run {run}, not to {expected}"),
            Self::Filtered => f.write_str("it was filtered: not every frame is in it"),
            Self::NoInterface => f.write_str("its manifest names no interface"),
            Self::NoTimes => f.write_str("its manifest does not state when it started and ended"),
            Self::LifetimeNotCovered { sandbox } => {
                write!(f, "it does not cover the whole lifetime of {sandbox}")
            }
            Self::NotHttp { count, with_data } => {
                write!(f, "{count} of {with_data} TCP streams are not HTTP in the clear")
            }
            Self::TrafficFrames => f.write_str(
                "it contains more frames of the users' traffic than are remembered with their sender",
            ),
            Self::TrafficBytes => {
                f.write_str("the users' connections have more bytes than are accounted for")
            }
            Self::BeaconMissing { moment } => {
                write!(f, "the beacon of its {moment} is not in it: nothing shows that it was alive")
            }
            Self::BeaconMisplaced(count) => {
                write!(f, "{count} beacon(s) of another interface or phase are in it")
            }
            Self::FramesOutsideBeacons(count) => {
                write!(f, "{count} frame(s) are before its first beacon or behind its last")
            }
            Self::BeaconOrder { sandbox } => {
                write!(f, "{sandbox} ran before its first beacon or after its last")
            }
        }
    }
}
