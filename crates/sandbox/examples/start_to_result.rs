//! Measures the time of a box from start to result: p50 and p99, one at a time and several at once, for each backend that works
//! on this machine.
//!
//! ```text
//! cargo run --release -p sandbox --example start_to_result -- [PROGRAM [RUNS [AT_ONCE]]]
//! ```
//!
//! PROGRAM is a static program that copies its input to its output (default: this program, which does the same; the
//! docker backend is left out if it is not static). A time counts only if the output is right.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use sandbox::{Backend, Command, Exit, Job, Limits, Options, Sandbox};

const RUNS: u64 = 100;
const AT_ONCE: u64 = 8;

/// Boxes before the measured ones, which fill caches and make images.
const WARM_UP: u64 = 3;

/// With this argument the program runs in the box.
const INSIDE: &str = "copy";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    sandbox::enter_if_asked();
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(INSIDE) {
        let mut input = Vec::new();
        io::stdin().read_to_end(&mut input)?;
        return Ok(io::stdout().write_all(&input)?);
    }
    let program = match first {
        Some(program) => program,
        None => std::env::current_exe()?.to_string_lossy().into_owned(),
    };
    let runs = arguments.next().map_or(Ok(RUNS), |text| text.parse())?;
    let at_once = arguments.next().map_or(Ok(AT_ONCE), |text| text.parse())?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        println!(
            "{:<28} {:>8} {:>8} {:>9} {:>9} {:>9}",
            "backend", "runs", "at once", "p50 ms", "p99 ms", "max ms"
        );
        for (name, backend, cgroups) in [
            ("namespace", Backend::Namespace, true),
            ("namespace without cgroups", Backend::Namespace, false),
            ("docker", Backend::Docker, true),
        ] {
            let mut options = Options::new("bench");
            options.read_only = sandbox::libraries_of(program.as_ref())?;
            options.cgroups = cgroups;
            options.allow_weak_memory_limit = true;
            let opened = match sandbox::open(backend, options).await {
                Ok(opened) => opened,
                Err(error) => {
                    println!("{name:<28} {error}");
                    continue;
                }
            };
            if let Err(error) = measure(&opened.sandbox, &program, WARM_UP, 1).await {
                println!("{name:<28} {error}");
                continue;
            }
            for at_once in [1, at_once] {
                let times = measure(&opened.sandbox, &program, runs, at_once).await?;
                let ms = |us: u64| us as f64 / 1000.0;
                let (p50, p99) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
                println!(
                    "{name:<28} {runs:>8} {at_once:>8} {:>9.2} {:>9.2} {:>9.2}",
                    ms(p50),
                    ms(p99),
                    ms(times.max())
                );
            }
        }
        Ok(())
    })
}

/// Microseconds from the call to the result, of `runs` boxes, `at_once` at a time.
async fn measure(
    sandbox: &Arc<dyn Sandbox>,
    program: &str,
    runs: u64,
    at_once: u64,
) -> Result<Histogram<u64>, Failure> {
    let mut times = Histogram::new(3)?;
    let mut started = 0;
    let mut running = tokio::task::JoinSet::new();
    while started < runs || !running.is_empty() {
        while started < runs && (running.len() as u64) < at_once {
            running.spawn(one(sandbox.clone(), program.to_owned(), started));
            started += 1;
        }
        if let Some(time) = running.join_next().await {
            times.record(time??)?;
        }
    }
    Ok(times)
}

async fn one(sandbox: Arc<dyn Sandbox>, program: String, number: u64) -> Result<u64, Failure> {
    let text = format!("message {number}");
    let mut command = Command::program(program);
    command.arguments = vec![INSIDE.into()];
    let job = Job { command, stdin: text.clone().into_bytes(), limits: Limits::default(), stdout: None };
    let called = Instant::now();
    let outcome = sandbox.run(job).await?;
    let time = called.elapsed();
    if outcome.exit != Exit::Code(0) || outcome.stdout != text.as_bytes() {
        return Err(format!("a box answered wrongly: {outcome:?}").into());
    }
    Ok(u64::try_from(time.as_micros())?)
}
