//! `lab demo`: gateway, agent-b and capture, and the page that shows them, until Ctrl-C.
//!
//! ```text
//! netns:  browser --> 127.0.0.1:3000 (this network)
//!                          │ the listener, passed on as stdin
//!         namespace A     live ──── veth ──── gateway (HTTP and HTTPS), agent-b (both)     namespace B
//!                                     └ captured, with lo of B
//! relay:  browser --> 127.0.0.1:3000 live ──── one recording relay for each server ──── gateway, agent-b
//! ```
//! What fails leaves the rest running: the page shows what is missing, and how to mend it.

mod network;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use experiment::demo::{self, Problem, SCHEMA, SETUP, Service, Setup, WireCapture};
use experiment::{RunId, SERVER_NAME, Scheme};

use self::network::Network;
use crate::backend::{self, Backend};
use crate::cli::DemoArgs;
use crate::process::{Call, Process};
use crate::programs::{Program, Programs};
use crate::report::Reporter;
use crate::run::{CERTGEN_DEADLINE, READY_DEADLINE};
use crate::signals::Signals;
use crate::staging::Captures;

/// The programs of a demo. The page also starts `lab`, `analyze` and `report` when it is asked for an experiment.
const PROGRAMS: [Program; 6] =
    [Program::AgentB, Program::Capturer, Program::Certgen, Program::Gateway, Program::Live, Program::Runner];

/// Folder of the running demo within the captures folder. It is locked as the captures folder is.
const FOLDER: &str = ".demo";

/// The remedy when a program of the demo has ended.
const AGAIN: &str = "end the demo with Ctrl-C, and start it again";

/// The label of the gateway's sandboxes.
const LABEL: &str = "demo";

/// The servers that the page connects to, by the names that it shows.
const GATEWAY: &str = "gateway";
const AGENT_B: &str = "agent-b";

/// Interval at which the lab checks whether a program has ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The page ends an experiment that it runs, and its open connections.
const PAGE_END_DEADLINE: Duration = Duration::from_secs(10);

/// How long a drained capture stays open; it is not kept.
const QUIET_MS: &str = "0";

/// Runs `lab demo`.
pub(crate) fn main(args: &DemoArgs, reporter: &Reporter) -> anyhow::Result<()> {
    let programs = Programs::of_this()?;
    programs.require(&PROGRAMS)?;
    // Before the namespaces, in the network of the caller's browser.
    let listener = demo::listen(args.listen)?;
    let local = listener.local_addr().context("cannot read the listening address")?;
    let token = (!local.ip().is_loopback()).then(RunId::fresh).transpose().context("cannot draw a token")?;
    let token = token.map(|token| token.as_str().to_owned());
    let url = demo::url(local, token.as_ref());
    if args.open {
        // The listener keeps the browser's connection until the page is served.
        if let Err(error) = demo::open_browser(&url) {
            reporter.error(&error.to_string());
        }
    }
    let backend = backend::choose(args.setup.backend, &programs, reporter)?;
    let captures = Captures::open(&args.captures.join(FOLDER), reporter)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let demo = Demo { programs, backend, args, reporter, url };
        demo.run(&captures, listener.into(), token, &mut signals).await
    });
    // Nothing in it is kept.
    let folder = captures.path().to_owned();
    drop(captures);
    let _ = fs::remove_dir(folder);
    if ended.is_ok() {
        reporter.note("ended; nothing is left running");
    }
    ended
}

/// A demo.
struct Demo<'a> {
    programs: Programs,
    backend: Backend,
    args: &'a DemoArgs,
    reporter: &'a Reporter,
    url: String,
}

/// The programs of a demo, dropped, and so ended, in this order.
struct Running {
    page: Process,
    servers: Vec<Server>,
    capturers: Vec<Capturer>,
    _network: Network,
    /// What the page knows, and where it reads it.
    setup: Setup,
    setup_file: PathBuf,
}

/// A running server.
struct Server {
    /// `gateway` or `agent-b`.
    service: &'static str,
    /// Its scheme; `None` if it serves both.
    scheme: Option<Scheme>,
    process: Process,
}

/// A running capturer.
struct Capturer {
    /// Name of its capture.
    name: String,
    process: Process,
}

impl Demo<'_> {
    /// Runs until a signal arrives, or until the page's server ends, which it should not.
    async fn run(
        &self,
        captures: &Captures,
        listener: OwnedFd,
        token: Option<String>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let id = RunId::fresh().context("cannot draw an id")?;
        let staging = captures.stage(id.as_str())?;
        let mut running = tokio::select! {
            started = self.start(staging.path(), listener, token) => started?,
            _ = signals.next() => return Ok(()),
        };
        writeln!(std::io::stdout(), "{}", self.url).context("cannot write to stdout")?;
        self.reporter.note("Ctrl-C ends the demo");
        loop {
            tokio::select! {
                ended = running.page.untimely_end("serving the page") => return Err(ended.into()),
                _ = signals.next() => break,
                () = tokio::time::sleep(CHECK_INTERVAL) => running.note_ends(self.reporter).await,
            }
        }
        running.page.terminate();
        running.page.success(PAGE_END_DEADLINE, "ending").await?;
        Ok(())
    }

    /// Starts everything. Only without certificates, a network or the page there is no demo.
    async fn start(
        &self,
        folder: &Path,
        listener: OwnedFd,
        token: Option<String>,
    ) -> anyhow::Result<Running> {
        let working = self.reporter.working();
        working.step("starting");
        let certs = self.certificates().await?;
        let network = Network::build(self.backend)?;
        let interfaces = network.interfaces().iter().map(|(_, name)| (*name).to_owned());
        let host_captures = interfaces.collect();
        let mut starting = Starting {
            demo: self,
            folder,
            network,
            setup: Setup {
                schema: SCHEMA.to_owned(),
                backend: self.backend.manifest_name().as_str().to_owned(),
                services: Vec::new(),
                captures: Vec::new(),
                host_captures,
                ca: certs.join("ca.pem"),
                certs,
                folder: folder.to_owned(),
                boxes: None,
                token,
                problems: Vec::new(),
            },
            servers: Vec::new(),
            capturers: Vec::new(),
        };
        starting.interfaces().await;
        starting.gateway().await;
        starting.agent_b(Scheme::Http).await;
        starting.agent_b(Scheme::Https).await;
        starting.page(listener).await
    }

    /// Makes the certificates, or keeps those that are valid, and returns their folder.
    async fn certificates(&self) -> anyhow::Result<PathBuf> {
        let certs = &self.args.setup.certs;
        let mut certgen =
            Call::new(Program::Certgen).flag("--out", certs).start(&self.programs, self.reporter)?;
        certgen.success(CERTGEN_DEADLINE, "creating certificates").await?;
        fs::canonicalize(certs).with_context(|| format!("cannot find the folder {}", certs.display()))
    }
}

impl Running {
    /// Notes which programs have ended since the last call, for the page to show.
    async fn note_ends(&mut self, reporter: &Reporter) {
        const SERVING: &str = "the demo was running";
        let mut ends = Vec::new();
        for Server { service, scheme, process } in &mut self.servers {
            if let Some(ended) = process.post_mortem(SERVING).await {
                ends.push((*service, *scheme, ended.to_string()));
            }
        }
        self.servers.retain_mut(|server| server.process.is_running());
        for (service, scheme, what) in &ends {
            let of_it = self.setup.services.iter_mut().filter(|known| {
                known.service == *service && scheme.is_none_or(|scheme| scheme == known.scheme)
            });
            for known in of_it {
                known.address = None;
                known.problem = Some(Problem { what: what.clone(), remedy: AGAIN.to_owned() });
            }
            reporter.error(what);
        }
        let mut changed = !ends.is_empty();
        for Capturer { name, process } in &mut self.capturers {
            if let Some(ended) = process.post_mortem(SERVING).await {
                let what = format!("nothing is captured on {name} any more: {ended}");
                reporter.error(&what);
                self.setup.captures.retain(|capture| capture.name != *name);
                self.setup.problems.push(Problem { what, remedy: AGAIN.to_owned() });
                changed = true;
            }
        }
        self.capturers.retain_mut(|capturer| capturer.process.is_running());
        if changed && let Err(error) = self.setup.write(&self.setup_file) {
            reporter.error(&error.to_string());
        }
    }
}

/// A demo whose programs are being started.
struct Starting<'a> {
    demo: &'a Demo<'a>,
    folder: &'a Path,
    network: Network,
    setup: Setup,
    servers: Vec<Server>,
    capturers: Vec<Capturer>,
}

impl Starting<'_> {
    /// Starts the captures of the host's interfaces, where it has any of its own.
    async fn interfaces(&mut self) {
        for (interface, name) in self.network.interfaces() {
            let call = self
                .capturer("interface", name)
                .word("--no-filter")
                .flag("--interface", interface)
                .flag("--variant", experiment::isolation::NAME)
                .inside(self.network.servers());
            let started = self.ready(call, name).await;
            self.capture(name, started);
        }
    }

    /// Starts the gateway, and in front of it what records its traffic.
    async fn gateway(&mut self) {
        let boxes = self.folder.join("boxes.jsonl");
        let [tls, plain] = self.network.gateway();
        let call = Call::new(Program::Gateway)
            .flag("--listen", tls)
            .flag("--plain-listen", plain)
            .flag("--tls-cert", self.setup.certs.join("server.pem"))
            .flag("--tls-key", self.setup.certs.join("server.key"))
            .flag("--store", self.folder.join("conversations.sqlite"))
            .flag("--label", LABEL)
            // The sandboxes run the project's own program.
            .word("--allow-weak-memory-limit")
            .flag("--journal", &boxes)
            // The page names its users itself, and only the page reaches this address.
            .word("--insecure-header-auth")
            .inside(self.network.servers());
        let (https, http, problem) = match self.ready(call, "gateway").await {
            Ok((gateway, ready)) => {
                self.demo.reporter.note(
                    "sandboxes: where no cgroup can limit their memory it is only watched (--allow-weak-memory-limit)",
                );
                self.servers.push(Server { service: GATEWAY, scheme: None, process: gateway });
                self.setup.boxes = Some(boxes);
                (Some(ready.local), ready.plain, None)
            }
            Err(error) => {
                let remedy = "run `lab doctor`; see docs/gateway.md for the backends of sandboxes".to_owned();
                (None, None, Some(Problem { what: format!("{error:#}"), remedy }))
            }
        };
        self.service(GATEWAY, Scheme::Http, http, problem.clone()).await;
        self.service(GATEWAY, Scheme::Https, https, problem).await;
    }

    /// Starts agent-b, and in front of it what records its traffic.
    async fn agent_b(&mut self, scheme: Scheme) {
        let mut call = Call::new(Program::AgentB)
            .flag("--listen", self.network.agent_b(scheme))
            .inside(self.network.servers());
        if scheme == Scheme::Https {
            call = call
                .flag("--tls-cert", self.setup.certs.join("server.pem"))
                .flag("--tls-key", self.setup.certs.join("server.key"));
        }
        let name = format!("agent-b-{}", scheme.as_str());
        let (address, problem) = match self.ready(call, &name).await {
            Ok((agent, ready)) => {
                self.servers.push(Server { service: AGENT_B, scheme: Some(scheme), process: agent });
                (Some(ready.local), None)
            }
            Err(error) => {
                let remedy = AGAIN.to_owned();
                (None, Some(Problem { what: format!("{error:#}"), remedy }))
            }
        };
        self.service(AGENT_B, scheme, address, problem).await;
    }

    /// Adds a server. On the backend `relay`, starts its relay.
    async fn service(
        &mut self,
        service: &'static str,
        scheme: Scheme,
        listens: Option<SocketAddr>,
        problem: Option<Problem>,
    ) {
        let mut address = listens;
        let mut capture = self.network.capture().map(ToOwned::to_owned);
        if let (None, Some(behind)) = (&capture, listens) {
            let name = format!("{service}-{}", scheme.as_str());
            let call = self
                .capturer("relay", &name)
                .flag("--listen", "127.0.0.1:0")
                .flag("--connect", behind.to_string())
                .flag("--variant", scheme.as_str());
            let started = self.ready(call, &format!("relay-{name}")).await;
            // Without its relay the server is reached directly, and the page says that nothing is captured.
            address = started.as_ref().map_or(listens, |(_, ready)| Some(ready.local));
            self.capture(&name, started);
            capture = Some(name);
        }
        if let Some(problem) = &problem {
            self.demo.reporter.error(&problem.what);
        }
        self.setup.services.push(Service {
            service: service.to_owned(),
            scheme,
            address: address.map(|address| address.to_string()),
            server_name: SERVER_NAME.to_owned(),
            capture: capture.unwrap_or_default(),
            problem,
        });
    }

    /// Adds a capture, or the reason why there is none.
    fn capture(&mut self, name: &str, started: anyhow::Result<(Process, Ready)>) {
        match started {
            Ok((capturer, _)) => {
                self.capturers.push(Capturer { name: name.to_owned(), process: capturer });
                let path = self.folder.join(format!("{name}.partial.pcap"));
                self.setup.captures.push(WireCapture { name: name.to_owned(), path });
            }
            Err(error) => {
                let what = format!("nothing is captured on {name}: {error:#}");
                self.demo.reporter.error(&what);
                let remedy = "run `lab doctor`, or `make demo PLAINSIGHT_BACKEND=relay`".to_owned();
                self.setup.problems.push(Problem { what, remedy });
            }
        }
    }

    /// Writes the setup, and starts the page with the listener as its stdin.
    async fn page(self, listener: OwnedFd) -> anyhow::Result<Running> {
        let Self { demo, folder, network, setup, servers, capturers } = self;
        let path = folder.join(SETUP);
        setup.write(&path)?;
        let ready = folder.join("page.ready");
        let page = Call::new(Program::Live)
            .word("--listener-is-stdin")
            .flag("--demo", &path)
            .flag("--ready-file", &ready)
            .inside(network.page())
            .stdin(listener);
        let page = page.start(&demo.programs, demo.reporter)?;
        let mut running = Running { page, servers, capturers, _network: network, setup, setup_file: path };
        running.page.ready(&ready, READY_DEADLINE).await?;
        Ok(running)
    }

    fn capturer(&self, vantage: &str, name: &str) -> Call {
        Call::new(Program::Capturer)
            .word(vantage)
            .flag("--backend", self.setup.backend.as_str())
            .flag("--output", self.folder)
            .flag("--name", name)
            .flag("--quiet-ms", QUIET_MS)
    }

    /// Starts a program, and waits until it is ready.
    async fn ready(&self, call: Call, name: &str) -> anyhow::Result<(Process, Ready)> {
        let path = self.folder.join(format!("{name}.ready"));
        let call = call.flag("--ready-file", &path);
        let mut process = call.start(&self.demo.programs, self.demo.reporter)?;
        let text = process.ready(&path, READY_DEADLINE).await?;
        let Ok(ready) = serde_json::from_str(&text) else {
            bail!("{name}: its ready file holds {text:?}, not an address");
        };
        Ok((process, ready))
    }
}

/// The content of a ready file. A capturer of an interface has no address.
#[derive(serde::Deserialize)]
struct Ready {
    #[serde(default = "nowhere")]
    local: SocketAddr,
    plain: Option<SocketAddr>,
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}
