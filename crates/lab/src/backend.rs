//! The choice of a run's backend, with the reason for it.

use anyhow::bail;
use experiment::manifest;

use crate::cli::BackendChoice;
use crate::machine::{Explanation, Machine};
use crate::programs::Programs;
use crate::report::Reporter;

/// A backend that works on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Two network namespaces joined by a veth pair.
    Netns {
        /// Whether the process must first enter a user namespace of its own.
        user_namespace: bool,
    },
    /// Loopback with a recording relay.
    Relay,
}

impl Backend {
    /// The backend as the manifest and the capturer's flags name it.
    pub(crate) fn manifest_name(self) -> manifest::Backend {
        match self {
            Self::Netns { .. } => manifest::Backend::Netns,
            Self::Relay => manifest::Backend::Relay,
        }
    }
}

/// Whether `netns` works on this machine.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it works on Linux only"))]
pub(crate) enum NetnsProbe {
    Works { user_namespace: bool, detail: String },
    Refused { error: String, explanation: Explanation },
}

/// Enters the chosen backend, or the first that works, and reports which and why.
///
/// Call it before the process has a second thread: for `netns` without root it enters a user namespace.
pub(crate) fn choose(
    choice: BackendChoice,
    programs: &Programs,
    reporter: &Reporter,
) -> anyhow::Result<Backend> {
    let backend = match choice {
        BackendChoice::Relay => {
            reporter.note("backend relay: as requested");
            Backend::Relay
        }
        BackendChoice::Auto | BackendChoice::Netns => match (probe_netns(programs)?, choice) {
            (NetnsProbe::Works { user_namespace, detail }, BackendChoice::Auto) => {
                reporter.note(&format!("backend netns: the first that works on this machine ({detail})"));
                Backend::Netns { user_namespace }
            }
            (NetnsProbe::Works { user_namespace, detail }, _) => {
                reporter.note(&format!("backend netns: as requested ({detail})"));
                Backend::Netns { user_namespace }
            }
            (NetnsProbe::Refused { error, explanation }, BackendChoice::Auto) => {
                reporter.note(&format!(
                    "backend relay: netns does not work on this machine: {error}; {}; run `lab doctor` for a remedy",
                    explanation.cause
                ));
                Backend::Relay
            }
            (NetnsProbe::Refused { error, explanation }, _) => bail!(
                "backend netns does not work on this machine: {error}; {}\nremedy: {}",
                explanation.cause,
                explanation.remedy
            ),
        },
    };
    enter(backend)?;
    Ok(backend)
}

#[cfg(target_os = "linux")]
fn enter(backend: Backend) -> anyhow::Result<()> {
    if let Backend::Netns { user_namespace: true } = backend {
        crate::netns::become_root_of_own_user_namespace()?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn enter(_backend: Backend) -> anyhow::Result<()> {
    Ok(())
}

/// Tries the netns backend in a child process.
#[cfg(target_os = "linux")]
pub(crate) fn probe_netns(programs: &Programs) -> anyhow::Result<NetnsProbe> {
    use crate::netns::probe::{Probe, run};

    Ok(match run(&programs.lab())? {
        Probe::Works { user_namespace, built_in_us, .. } => {
            let how = if user_namespace { "in a user namespace" } else { "as root" };
            let detail = format!("{how}, veth pair up in {} ms", built_in_us.div_ceil(1000));
            NetnsProbe::Works { user_namespace, detail }
        }
        Probe::Refused { step, errno, error } => NetnsProbe::Refused {
            error: format!("{step}: {error}"),
            explanation: crate::machine::explain(&Machine::read(), step, errno, &programs.lab_path()),
        },
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn probe_netns(_programs: &Programs) -> anyhow::Result<NetnsProbe> {
    let _ = Machine::read();
    Ok(NetnsProbe::Refused {
        error: "network namespaces need Linux".to_owned(),
        explanation: Explanation {
            cause: format!("this is {}", std::env::consts::OS),
            remedy: "use `--backend relay`".to_owned(),
        },
    })
}
