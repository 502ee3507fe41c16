//! `bench run`: generates every capture, measures the programs on it, and compares the analyzer's answers with the
//! ground truth.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::capture_spec::{CaptureSpec, Shape, Size};
use crate::check;
use crate::files::Capture;
use crate::measure::{Cost, measure};
use crate::programs;
use crate::table::{Row, Table};

/// Runs of each program on each capture. The fastest counts, because it was disturbed least.
const ROUNDS: usize = 3;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {
    /// Sizes of the captures
    #[arg(long, value_delimiter = ',', default_value = "256MiB,1GiB", value_name = "SIZE,...")]
    sizes: Vec<Size>,

    /// Kinds of traffic [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SHAPE,...")]
    shapes: Vec<Shape>,

    /// Seed of the random numbers: the same seed gives the same captures
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Folder for the captures [default: a private folder in the system's temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,

    /// Keep the captures, so that the next run reuses them
    #[arg(long)]
    keep: bool,

    /// The analyzer to measure [default: the one beside this program]
    #[arg(long, env = "ANALYZE", value_name = "PROGRAM")]
    analyze: Option<PathBuf>,

    /// An older analyzer to measure in the same rounds; the table then has the ratios of time and memory
    #[arg(long, value_name = "PROGRAM")]
    baseline: Option<PathBuf>,

    /// Compare with ripgrep and tshark as well, once each; tshark takes minutes
    #[arg(long)]
    compare: bool,
}

/// The programs to compare the analyzer with.
struct Others {
    baseline: Option<PathBuf>,
    cat: PathBuf,
    tcpdump: Option<PathBuf>,
    rg: Option<PathBuf>,
    tshark: Option<PathBuf>,
}

/// Returns whether every answer was exact.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let analyze = programs::analyze(flags.analyze.as_deref())?;
    let folder = folder(flags.dir.as_deref())?;
    let others = Others::find(flags)?;
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build: its times do not apply to a release build");
    }
    warn_of_load();
    let shapes = if flags.shapes.is_empty() { &Shape::ALL[..] } else { &flags.shapes };
    let mut table = Table::new(flags.compare, others.baseline.is_some());
    let mut all_true = true;
    for &size in &flags.sizes {
        for &shape in shapes {
            let spec = CaptureSpec::new(shape, size, flags.seed);
            let capture = obtain(&folder, &spec)?;
            let measured = measure_capture(&capture, &analyze, &others);
            if !flags.keep {
                capture.remove()?;
            }
            let row = measured.with_context(|| format!("cannot measure {}", spec.name()))?;
            for difference in &row.differences {
                eprintln!("bench: {}: WRONG: {difference}", spec.name());
            }
            all_true &= row.differences.is_empty();
            table.add(&row);
        }
    }
    print!("{}", table.finish(others.tcpdump.is_some()));
    if flags.keep {
        eprintln!("bench: the captures are in {}", folder.display());
    }
    Ok(all_true)
}

/// Warns if other programs load the machine, because they distort the times. Only Linux has this file.
fn warn_of_load() {
    let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = loadavg.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(load) = load
        && load > processors / 2.0
    {
        eprintln!(
            "bench: other programs use the machine (load {load}, {processors} processors): rely on the CPU seconds only"
        );
    }
}

/// Generates a capture, or reuses the existing one, and prints what it contains.
pub(crate) fn obtain(folder: &Path, spec: &CaptureSpec) -> Result<Capture> {
    let begin = Instant::now();
    let capture = Capture::obtain(folder, spec)?;
    let (truth, seconds) = (&capture.truth, begin.elapsed().as_secs_f64());
    let (frames, streams, messages) = (truth.frames, truth.streams, truth.messages);
    eprintln!(
        "bench: {}: {} bytes, {frames} frames, {streams} connections, {messages} messages ({seconds:.1} s)",
        spec.name(),
        truth.bytes
    );
    Ok(capture)
}

/// The folder of the captures. The default one must belong to this user alone, because in a shared temporary folder
/// another user could have prepared it.
pub(crate) fn folder(named: Option<&Path>) -> Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    if let Some(folder) = named {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        return Ok(folder.to_owned());
    }
    let user = nix::unistd::geteuid();
    let folder = std::env::temp_dir().join(format!("plainsight-bench-{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
        _ => {}
    }
    let metadata =
        fs::symlink_metadata(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if !metadata.is_dir() || metadata.uid() != user.as_raw() || metadata.mode() & 0o022 != 0 {
        bail!(
            "{} is not a folder that only this user can write to; choose another with --dir",
            folder.display()
        );
    }
    Ok(folder)
}

fn measure_capture(capture: &Capture, analyze: &Path, others: &Others) -> Result<Row> {
    let path = capture.path();
    let answer = capture.answer();
    let analyze_arguments: Vec<OsString> = ["--format", "json", "--no-output", "--quiet"]
        .map(OsString::from)
        .into_iter()
        .chain([path.clone().into()])
        .collect();
    let cat_arguments = [path.clone().into()];
    let tcpdump_arguments = tcpdump_arguments(&path);
    measure(&others.cat, &cat_arguments, None)?; // reads the file into the page cache
    let (mut cat, mut tcpdump, mut own): (Option<Cost>, Option<Cost>, Option<Cost>) = (None, None, None);
    let mut baseline: Option<Cost> = None;
    let mut differences = Vec::new();
    // The programs run in turn, so that a slow phase of the machine affects all of them.
    for round in 0..ROUNDS {
        better(&mut cat, measure(&others.cat, &cat_arguments, None)?);
        if let Some(program) = &others.tcpdump {
            let cost = measure(program, &tcpdump_arguments, None)?;
            expect(program, &cost, 0)?;
            better(&mut tcpdump, cost);
        }
        let mut analyzers = vec![(analyze, &mut own, "")];
        if let Some(program) = &others.baseline {
            analyzers.push((program, &mut baseline, "the baseline: "));
        }
        // Each analyzer runs first in some round, because the program before it affects caches and clock rates.
        if round % 2 == 1 {
            analyzers.reverse();
        }
        for (program, best, who) in analyzers {
            let cost = measure(program, &analyze_arguments, Some(&answer))?;
            better(best, cost);
            if differences.is_empty() {
                let wrong = wrong_answers(capture, &cost, &fs::read(&answer)?);
                differences.extend(wrong.into_iter().map(|difference| format!("{who}{difference}")));
            }
        }
    }
    let (cat, analyze) = cat.zip(own).context("no round was measured")?;
    let rg = others.rg.as_ref().map(|program| compare_rg(program, capture)).transpose()?;
    let tshark = others.tshark.as_ref().map(|program| compare_tshark(program, capture)).transpose()?;
    Ok(Row { truth: capture.truth.clone(), cat, tcpdump, analyze, baseline, rg, tshark, differences })
}

/// The errors in an analyzer's exit status and answer.
fn wrong_answers(capture: &Capture, cost: &Cost, answer: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let expected = check::status(&capture.truth);
    if cost.status != Some(expected) {
        wrong.push(format!("exit status {:?} instead of {expected}", cost.status));
    }
    let result: Value = serde_json::from_slice(answer).unwrap_or_default();
    wrong.extend(check::differences(&capture.truth, &result));
    wrong
}

fn better(best: &mut Option<Cost>, cost: Cost) {
    *best = Some(best.map_or(cost, |best| best.quicker(cost)));
}

fn expect(program: &Path, cost: &Cost, status: i32) -> Result<()> {
    if cost.status != Some(status) {
        bail!("{} ended with {:?}", program.display(), cost.status);
    }
    Ok(())
}

fn tcpdump_arguments(path: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-r".into(), path.into(), "-w".into(), "/dev/null".into()];
    if cfg!(target_os = "linux") && nix::unistd::geteuid().is_root() {
        // As root, tcpdump would change to another user, who cannot read this file.
        arguments.extend(["-Z".into(), "root".into()]);
    }
    arguments
}

/// Measures ripgrep searching the raw file for the planted strings.
fn compare_rg(program: &Path, capture: &Capture) -> Result<Cost> {
    let mut arguments: Vec<OsString> = ["--no-config", "-a", "-c", "-F"].map(OsString::from).to_vec();
    for string in &capture.truth.strings {
        arguments.extend(["-e".into(), string.value.clone().into()]);
    }
    arguments.push(capture.path().into());
    measure(program, &arguments, None)
}

/// Measures tshark searching the decoded bodies for the planted strings.
fn compare_tshark(program: &Path, capture: &Capture) -> Result<Cost> {
    let contains = |string: &String| format!("http.file_data contains \"{string}\"");
    let filter: Vec<_> = capture.truth.strings.iter().map(|string| contains(&string.value)).collect();
    let mut arguments: Vec<OsString> = vec!["-n".into(), "-r".into(), capture.path().into()];
    if let Some(keys) = capture.key_log() {
        arguments.extend(["-o".into(), format!("tls.keylog_file:{}", keys.display()).into()]);
    }
    arguments.extend(["-Y".into(), filter.join(" or ").into(), "-T".into(), "fields".into()]);
    arguments.extend(["-e".into(), "frame.number".into()]);
    let cost = measure(program, &arguments, None)?;
    expect(program, &cost, 0)?;
    Ok(cost)
}

impl Others {
    fn find(flags: &Flags) -> Result<Self> {
        let compare = flags.compare;
        let wanted = |name: &str| {
            let found = programs::find(name);
            if found.is_none() {
                eprintln!("bench: {name} is not installed, so the table has no comparison with it");
            }
            found
        };
        let baseline =
            flags.baseline.as_deref().map(|program| programs::analyze(Some(program))).transpose()?;
        Ok(Self {
            baseline,
            cat: programs::find("cat").context("cat is not installed")?,
            tcpdump: wanted("tcpdump"),
            rg: if compare { wanted("rg") } else { None },
            tshark: if compare { wanted("tshark") } else { None },
        })
    }
}
