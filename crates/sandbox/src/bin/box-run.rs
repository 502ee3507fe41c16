//! Runs one command in a box. Passes the command's stdout and stderr on, and writes its exit and the limits in force to stderr
//! as one line of JSON. The command reads this program's standard input.
//!
//! ```text
//! box-run [--backend auto|namespace|docker] [--label LABEL] [--image IMAGE] [--no-cgroups] [--allow-weak-memory-limit]
//!         [--read-only PATH]… [--memory BYTES] [--cpus N] [--processes N] [--scratch BYTES] [--output BYTES] [--wall-ms MS] [--env NAME=VALUE]… PROGRAM [ARGUMENT]…
//! ```
//!
//! Exit status: the command's; 128 plus the signal's number if a signal ended it; 124 if it reached a limit; 2 if the box could
//! not be made.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use sandbox::{Backend, Command, Error, Exit, Job, Limits, Options, Outcome};

/// The box reached a limit; the same status as `timeout(1)`.
const LIMIT_WAS_HIT: u8 = 124;

/// The box could not be made.
const NO_BOX: u8 = 2;

fn main() -> ExitCode {
    sandbox::enter_if_asked();
    let result = parse(std::env::args().skip(1)).and_then(|asked| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(run(asked)).map_err(|error| error.to_string())
    });
    match result {
        Ok(outcome) => report(&outcome),
        Err(error) => {
            eprintln!("box-run: {error}");
            ExitCode::from(NO_BOX)
        }
    }
}

struct Asked {
    backend: Backend,
    options: Options,
    job: Job,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked {
        backend: Backend::Auto,
        options: Options::new("box-run"),
        job: Job {
            command: Command::program(""),
            stdin: Vec::new(),
            limits: Limits::default(),
            stdout: None,
        },
    };
    let limits = &mut asked.job.limits;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--backend" => {
                asked.backend = match value()?.as_str() {
                    "auto" => Backend::Auto,
                    "namespace" => Backend::Namespace,
                    "docker" => Backend::Docker,
                    other => return Err(format!("unknown backend {other:?}")),
                }
            }
            "--label" => asked.options.label = value()?,
            "--image" => asked.job.command.image = Some(value()?),
            "--no-cgroups" => asked.options.cgroups = false,
            "--allow-weak-memory-limit" => asked.options.allow_weak_memory_limit = true,
            "--read-only" => asked.options.read_only.push(value()?.into()),
            "--memory" => limits.memory_bytes = number(&value()?)?,
            "--cpus" => limits.cpus = number(&value()?)?,
            "--processes" => limits.processes = number(&value()?)?,
            "--scratch" => limits.scratch_bytes = number(&value()?)?,
            "--output" => limits.output_bytes = number(&value()?)?,
            "--wall-ms" => limits.wall = Duration::from_millis(number(&value()?)?),
            "--env" => {
                let pair = value()?;
                let (name, value) = pair.split_once('=').ok_or("--env needs NAME=VALUE")?;
                asked.job.command.environment.push((name.into(), value.into()));
            }
            flag if flag.starts_with('-') => return Err(format!("unknown flag {flag:?}")),
            program => {
                asked.job.command.program = program.into();
                asked.job.command.arguments = words.by_ref().collect();
            }
        }
    }
    if asked.job.command.program.is_empty() {
        return Err("no program to run".into());
    }
    Ok(asked)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

async fn run(mut asked: Asked) -> Result<Outcome, Error> {
    if asked.job.command.image.is_none() && asked.backend != Backend::Docker {
        let libraries = sandbox::libraries_of(asked.job.command.program.as_ref());
        asked.options.read_only.extend(libraries.unwrap_or_default());
    }
    let opened = sandbox::open(asked.backend, asked.options).await?;
    for (name, error) in &opened.passed_over {
        eprintln!("box-run: not by {name}: {error}");
    }
    io::stdin()
        .read_to_end(&mut asked.job.stdin)
        .map_err(|error| Error::Io { step: "reading the standard input".into(), error })?;
    opened.sandbox.run(asked.job).await
}

fn report(outcome: &Outcome) -> ExitCode {
    // A closed stdout does not change the exit status.
    let _ = io::stdout().write_all(&outcome.stdout);
    let _ = io::stderr().write_all(&outcome.stderr);
    let report = serde_json::json!({
        "exit": outcome.exit,
        "truncated": outcome.truncated,
        "duration_us": micros(outcome.duration),
        "cpu_us": outcome.cpu_time.map(micros),
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "in_force": outcome.in_force,
    });
    eprintln!("{report}");
    match outcome.exit {
        Exit::Code(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Exit::Signal(signal) => ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0))),
        Exit::OutOfMemory | Exit::TimedOut | Exit::TooMuchOutput => ExitCode::from(LIMIT_WAS_HIT),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
