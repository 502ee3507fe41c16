//! Leaks as data: traffic or data of a sandbox without network, or of one user, where it must not be.
//!
//! Codes and scopes as in [`crate::verdict::doubt`]; docs/doubts.md lists them.

use std::fmt;

use exposure_schema::{DoubtEntry, DoubtScope, ForeignFrame};

use super::boxes::AttemptName;

/// One leak.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Leak {
    /// The canary of an escape attempt is in a capture.
    CanaryOnWire {
        attempt: AttemptName,
        /// Where it is first; `None` if the search does not remember its location.
        first: Option<WirePlace>,
    },
    /// An attempt that only reads got data.
    ReadSucceeded(AttemptName),
    /// Frames that are not the users' traffic.
    ForeignFrames { interface: Option<String>, count: u64, first: Option<ForeignFrame> },
    /// The traffic of one user holds the secret of another one.
    SecretInTraffic { interface: Option<String>, frame: u64, user: String },
    /// A connection that is not a user's holds the secret of that user.
    SecretInConnection { stream: u32, user: String },
    /// A client that is not a user got a conversation, a message or an answer of that user.
    ConversationInTraffic { stream: u32, user: String },
    /// A gateway that authenticates its users answered the replay with the secret of that user.
    ReplayAnswered { auth: String, user: String, stream: Option<u32>, frame: Option<u64> },
    /// Sandboxes of several users ran for one conversation, or a user got the conversation of another one.
    SharedConversation { conversation: String, users: Vec<String> },
    /// The output of a sandbox holds the secret of a user for whom it did not run.
    SecretInOutput { sandbox: String, user: String },
    /// The output of a sandbox holds the canary of another sandbox.
    CanaryInOutput { sandbox: String, owner: String },
}

/// Frames of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WirePlace {
    pub interface: String,
    pub frames: Vec<u64>,
}

impl Leak {
    pub(crate) fn code(&self) -> &'static str {
        self.kind().0
    }

    pub(crate) fn scope(&self) -> DoubtScope {
        self.kind().1
    }

    /// Code and scope, as in docs/doubts.md.
    fn kind(&self) -> (&'static str, DoubtScope) {
        use DoubtScope::{Frame, Run, Sandbox, Stream};
        match self {
            Self::CanaryOnWire { .. } => ("leak.canary-on-wire", Sandbox),
            Self::ReadSucceeded(_) => ("leak.read-succeeded", Sandbox),
            Self::ForeignFrames { .. } => ("leak.foreign-frames", Frame),
            Self::SecretInTraffic { .. } => ("leak.secret-in-traffic", Frame),
            Self::SecretInConnection { .. } => ("leak.secret-in-connection", Stream),
            Self::ConversationInTraffic { .. } => ("leak.conversation-in-traffic", Stream),
            Self::ReplayAnswered { .. } => ("leak.replay-answered", Stream),
            Self::SharedConversation { .. } => ("leak.shared-conversation", Run),
            Self::SecretInOutput { .. } => ("leak.secret-in-output", Sandbox),
            Self::CanaryInOutput { .. } => ("leak.canary-in-output", Sandbox),
        }
    }

    /// The leak as an entry of the result.
    pub(crate) fn entry(&self) -> DoubtEntry {
        DoubtEntry { code: self.code().into(), scope: self.scope(), text: self.to_string() }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CanaryOnWire { attempt: AttemptName { sandbox, kind, target }, first } => {
                write!(f, "{sandbox}: the canary of its {kind} attempt to {target} is on ")?;
                match first {
                    Some(first) => write!(f, "{first}"),
                    None => f.write_str("a wire"),
                }
            }
            Self::ReadSucceeded(AttemptName { sandbox, kind, target }) => {
                write!(f, "{sandbox}: its {kind} attempt read {target}")
            }
            Self::ForeignFrames { interface, count, first } => {
                let interface = interface.as_deref().unwrap_or("?");
                write!(f, "{interface}: {count} frame(s) are not the users' traffic")?;
                match first {
                    Some(first) => write!(f, "; first: frame {}, {}", first.frame, first.what),
                    None => Ok(()),
                }
            }
            Self::SecretInTraffic { interface, frame, user } => {
                let interface = interface.as_deref().unwrap_or("?");
                write!(
                    f,
                    "{interface}: frame {frame} carries the secret of user {user} to or from another client"
                )
            }
            Self::SecretInConnection { stream, user } => {
                write!(
                    f,
                    "tcp.stream {stream} of the users' traffic holds the secret of user {user}, and is not that user's"
                )
            }
            Self::ConversationInTraffic { stream, user } => {
                write!(
                    f,
                    "tcp.stream {stream} of the users' traffic holds the conversation of user {user}, and is not that user's"
                )
            }
            Self::ReplayAnswered { auth, user, stream, frame } => {
                write!(f, "under {auth} the replay was answered with the secret of user {user}")?;
                match (stream, frame) {
                    (Some(stream), _) => write!(f, ", in tcp.stream {stream}"),
                    (None, Some(frame)) => write!(f, ", in frame {frame}"),
                    (None, None) => Ok(()),
                }
            }
            Self::SharedConversation { conversation, users } => {
                write!(f, "conversation {conversation} is of several users: {}", users.join(", "))
            }
            Self::SecretInOutput { sandbox, user } => {
                write!(f, "{sandbox}: its output holds the secret of user {user}")
            }
            Self::CanaryInOutput { sandbox, owner } => {
                write!(f, "{sandbox}: its output holds a canary of {owner}")
            }
        }
    }
}

impl fmt::Display for WirePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames: Vec<_> = self.frames.iter().map(u64::to_string).collect();
        let word = if frames.len() == 1 { "frame" } else { "frames" };
        write!(f, "{}, {word} {}", self.interface, frames.join(", "))
    }
}
