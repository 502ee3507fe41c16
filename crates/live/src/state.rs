//! What the page's server knows: the demo that runs, the captures that are open, and the open tabs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use experiment::demo::{Problem, Service, Setup, WireCapture};
use experiment::{Backend, Scheme};
use serde_json::{Value, json};

use crate::boxes::Boxes;
use crate::error::ApiError;
use crate::events::Events;
use crate::exchanges::{Exchanges, Route};
use crate::guard::Guard;
use crate::opened::Captures;
use crate::trial::Trials;
use crate::wire::Wires;

/// What all routes share.
pub(crate) struct Page {
    pub(crate) guard: Arc<Guard>,
    pub(crate) events: Events,
    pub(crate) captures: Arc<Captures>,
    /// `None` where no demo runs.
    pub(crate) demo: Option<Demo>,
}

/// A running demo.
pub(crate) struct Demo {
    pub(crate) setup: Mutex<Setup>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) wires: Wires,
    pub(crate) boxes: Arc<Boxes>,
    pub(crate) trials: Arc<Trials>,
    /// Of the lab's first message.
    pub(crate) call: Bytes,
    pub(crate) folder: PathBuf,
}

/// The argument of a route that needs it.
pub(crate) type Shared = State<Arc<Page>>;

impl Page {
    /// The demo.
    pub(crate) fn demo(&self) -> Result<&Demo, ApiError> {
        self.demo.as_ref().ok_or_else(|| {
            ApiError::new(StatusCode::CONFLICT, "no_demo", "no gateway and no capture run with this page")
                .with_remedy("start the page with `make demo`")
        })
    }

    /// The state of everything that runs.
    pub(crate) fn state(&self) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let Some(demo) = &self.demo else {
            return json!({
                "version": version, "mode": "captures", "backend": {"name": null, "detail": null},
                "services": [], "captures": [], "problems": [], "examples": {"call": null},
            });
        };
        let setup = demo.setup.lock().unwrap_or_else(PoisonError::into_inner);
        let service = |service: &Service| {
            let problem = service.problem.as_ref();
            json!({
                "service": service.service,
                "scheme": service.scheme,
                "address": service.address,
                "state": if service.address.is_some() { "up" } else { "down" },
                "why": problem.map(|problem| &problem.what),
                "remedy": problem.map(|problem| &problem.remedy),
            })
        };
        let capture = |capture: &WireCapture| {
            let why = demo.wires.get(&capture.name).and_then(|wire| wire.failed());
            json!({
                "name": capture.name,
                "file": capture.path.file_name().map(|name| name.to_string_lossy()),
                "state": if why.is_none() { "up" } else { "down" },
                "remedy": why.is_some().then_some("end the demo with Ctrl-C, and start it again"),
                "why": why,
            })
        };
        let problem = |Problem { what, remedy }: &Problem| json!({"what": what, "remedy": remedy});
        json!({
            "version": version,
            "mode": "demo",
            "backend": {"name": setup.backend, "detail": null},
            "services": setup.services.iter().map(service).collect::<Vec<_>>(),
            "captures": setup.captures.iter().map(capture).collect::<Vec<_>>(),
            "problems": setup.problems.iter().map(problem).collect::<Vec<_>>(),
            "examples": {"call": String::from_utf8_lossy(&demo.call)},
        })
    }
}

impl Demo {
    /// Whether this program runs in a container, beside those of the servers.
    pub(crate) fn is_in_container(&self) -> bool {
        let setup = self.setup.lock().unwrap_or_else(PoisonError::into_inner);
        setup.backend == Backend::Docker.as_str()
    }

    /// The way to a server.
    pub(crate) fn route(&self, service: &str, scheme: Scheme) -> Result<Route, ApiError> {
        let setup = self.setup.lock().unwrap_or_else(PoisonError::into_inner);
        let known = setup.services.iter().find(|known| known.service == service && known.scheme == scheme);
        let Some(known) = known else {
            return Err(ApiError::not_found("service"));
        };
        let Some(server) = known.address.clone() else {
            let what = known.problem.as_ref();
            let why = what.map_or_else(|| format!("{service} does not run"), |problem| problem.what.clone());
            let refused = ApiError::new(StatusCode::BAD_GATEWAY, "server_down", why);
            return Err(match what {
                Some(problem) => refused.with_remedy(problem.remedy.clone()),
                None => refused,
            });
        };
        let (server_name, capture) = (known.server_name.clone(), known.capture.clone());
        Ok(Route { scheme, server, server_name, capture })
    }
}
