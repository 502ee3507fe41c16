//! `certgen`: makes the lab's certificates, keeps those that are still good.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Makes a certificate authority, a server and a client certificate for the lab.
///
/// What is there and still good is kept: signed by the authority that is there, for all the names asked for, with its own
/// key, and valid for more than a day. Everything else is renewed.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key.
    #[arg(long, value_name = "FOLDER", default_value = "certs", env = "CERTS")]
    out: PathBuf,
    /// One more DNS name or IP address of the server; may be repeated.
    #[arg(long = "san", value_name = "NAME")]
    sans: Vec<String>,
    /// Renew everything, the authority too.
    #[arg(long)]
    force: bool,
    /// Say only what goes wrong.
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let request = certgen::Request { sans: args.sans, force: args.force, ..certgen::Request::new(args.out) };
    match certgen::ensure(&request) {
        Ok(outcomes) => {
            if !args.quiet {
                outcomes.iter().for_each(|outcome| println!("{outcome}"));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("certgen: {error:#}");
            ExitCode::from(2)
        }
    }
}
