//! A job: a command, its standard input, and its limits.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

/// A command to run in a box of its own.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program to run.
    pub command: Command,
    /// The command's standard input, at most [`Job::MAX_STDIN`] bytes.
    pub stdin: Vec<u8>,
    /// Limits of the box.
    pub limits: Limits,
    /// Receives the command's standard output piece by piece while the command runs; [`crate::Outcome::stdout`] holds all
    /// of it as well. The box never waits for the receiver: what is sent is bounded by [`Limits::output_bytes`], and
    /// pieces that no receiver takes are dropped. The last piece is sent before [`crate::Sandbox::run`] returns.
    pub stdout: Option<UnboundedSender<Vec<u8>>>,
}

impl Job {
    /// Largest standard input in bytes. Conversations have kilobytes; both host and box hold it in memory.
    pub const MAX_STDIN: usize = 16 << 20;

    /// Maximum number of bytes of program, arguments and environment together. The kernel accepts 128 KiB for one
    /// string and a quarter of the stack limit (2 MiB) for all.
    pub const MAX_COMMAND: usize = 1 << 20;
}

/// A program with arguments and environment. The program gets only the variables named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Without an `image`: the absolute path of a file of this machine, which the box gets read-only. The docker backend makes
    /// an image of it, so it has to be statically linked. With an `image`: a path in the image.
    pub program: String,
    /// Arguments, without the program's name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// An image that the engine already has; it is never pulled. Only for the docker backend.
    pub image: Option<String>,
}

impl Command {
    /// A program of this machine without arguments and environment.
    pub fn program(path: impl Into<String>) -> Self {
        Self { program: path.into(), arguments: Vec::new(), environment: Vec::new(), image: None }
    }
}

/// Limits of a box. A backend enforces all of them, or refuses the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Memory of all processes together in bytes, scratch included. There is no swap in addition.
    pub memory_bytes: u64,
    /// CPUs at a time. Fractions need a cgroup.
    pub cpus: f64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Size of `/tmp` in bytes, the only writable folder.
    pub scratch_bytes: u64,
    /// Bytes on stdout and stderr together; above them the box is killed.
    pub output_bytes: u64,
    /// Time from the start until the box is killed.
    pub wall: Duration,
}

impl Default for Limits {
    /// 1 GiB, 1 CPU, 64 processes, 64 MiB of scratch, 1 MiB of output, 60 s.
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            cpus: 1.0,
            processes: 64,
            scratch_bytes: 64 << 20,
            output_bytes: 1 << 20,
            wall: Duration::from_secs(60),
        }
    }
}

/// Smallest memory of a box in bytes: the engine accepts no less than 6 MiB, and a process needs some to start.
const MIN_MEMORY: u64 = 8 << 20;

/// Smallest scratch in bytes: one page.
const MIN_SCRATCH: u64 = 4096;

/// Maximum number of processes: a 16-bit process number allows no more.
const MAX_PROCESSES: u64 = 32_768;

/// Maximum output in bytes: the host holds it in memory.
const MAX_OUTPUT: u64 = 1 << 30;

/// Longest time of a box: a day.
const MAX_WALL: Duration = Duration::from_secs(24 * 3600);

impl Job {
    /// Rejects a job that is wrong for every backend. The error names the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { command, stdin, limits, stdout: _ } = self;
        if stdin.len() > Self::MAX_STDIN {
            return Err(format!("stdin has {} bytes, more than {}", stdin.len(), Self::MAX_STDIN));
        }
        if !command.program.starts_with('/') {
            return Err(format!("the program {:?} is not an absolute path", command.program));
        }
        let pairs = command.environment.iter().flat_map(|(name, value)| [name, value]);
        let mut length = 0;
        for text in command.arguments.iter().chain([&command.program]).chain(pairs) {
            length += text.len() + 1;
            if text.contains('\0') {
                return Err("program, arguments and environment must not hold a zero byte".into());
            }
        }
        if length > Self::MAX_COMMAND {
            return Err(format!(
                "program, arguments and environment have {length} bytes, more than {}",
                Self::MAX_COMMAND
            ));
        }
        for (name, _) in &command.environment {
            if name.is_empty() || name.contains('=') {
                return Err(format!("{name:?} cannot be the name of a variable"));
            }
        }
        limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} is {value}, not {least} to {most}"))
            }
        };
        within("memory_bytes", self.memory_bytes, MIN_MEMORY, 1 << 50)?;
        within("processes", self.processes, 1, MAX_PROCESSES)?;
        within("scratch_bytes", self.scratch_bytes, MIN_SCRATCH, self.memory_bytes)?;
        within("output_bytes", self.output_bytes, 1, MAX_OUTPUT)?;
        if !(0.01..=1024.0).contains(&self.cpus) {
            return Err(format!("cpus is {}, not 0.01 to 1024", self.cpus));
        }
        if self.wall.is_zero() || self.wall > MAX_WALL {
            return Err(format!("wall is {:?}, not up to a day", self.wall));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            command: Command::program("/program"),
            stdin: Vec::new(),
            limits: Limits::default(),
            stdout: None,
        }
    }

    #[test]
    fn rejects_invalid_jobs() {
        job().check().unwrap();
        let wrong: [fn(&mut Job); 12] = [
            |job| job.command.program = "program".into(),
            |job| job.command.arguments.push("a\0b".into()),
            |job| job.command.arguments.push("a".repeat(Job::MAX_COMMAND)),
            |job| job.command.environment.push(("A=B".into(), String::new())),
            |job| job.command.environment.push((String::new(), String::new())),
            |job| job.stdin = vec![0; Job::MAX_STDIN + 1],
            |job| job.limits.memory_bytes = 1,
            |job| job.limits.processes = 0,
            |job| job.limits.scratch_bytes = job.limits.memory_bytes + 1,
            |job| job.limits.output_bytes = 0,
            |job| job.limits.cpus = f64::NAN,
            |job| job.limits.wall = Duration::ZERO,
        ];
        for change in wrong {
            let mut job = job();
            change(&mut job);
            assert!(job.check().is_err(), "{:?}", job.limits);
        }
    }
}
