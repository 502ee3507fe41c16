//! Doubts about an isolation run as data: why it does not prove that the sandboxes were isolated.
//!
//! Codes and scopes as in [`crate::verdict::doubt`]; docs/doubts.md lists them.

use std::fmt;
use std::net::IpAddr;

use exposure_schema::{DoubtEntry, DoubtScope};

use super::boxes::{AttemptName, FEWEST_USERS, MIN_VALUE};
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
    /// A secret occurs in more locations than are remembered.
    SecretLocations {
        user: String,
    },
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
        use DoubtScope::{Run, Sandbox};
        match self {
            Self::NotFinished => ("isolation.not-finished", Run),
            Self::IsolatedPhases(_) => ("isolation.phase-count", Run),
            Self::ValueNotUnique => ("isolation.value-not-unique", Run),
            Self::ValueTooShort(_) => ("isolation.value-too-short", Run),
            Self::TooFewUsers(_) => ("isolation.too-few-users", Run),
            Self::UnknownClient(_) => ("isolation.unknown-client", Run),
            Self::IdentityNotShown => ("isolation.identity-not-shown", Run),
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
            Self::SecretLocations { .. } => ("bound.secret-locations", Capture),
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
            Self::SecretLocations { user } => {
                write!(f, "the secret of user {user} occurs in more locations than are remembered")
            }
        }
    }
}
