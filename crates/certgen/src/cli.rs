//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::{Request, ensure};

/// Creates a certificate authority, a server certificate and a client certificate for the lab.
///
/// Keeps a certificate that is signed by the existing authority, holds all requested names, matches its key, and is valid for
/// more than a day. Renews all others.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key.
    #[arg(long, value_name = "FOLDER", default_value = "certs", env = "CERTS")]
    out: PathBuf,
    /// Additional DNS name or IP address of the server; may be repeated.
    #[arg(long = "san", value_name = "NAME")]
    sans: Vec<String>,
    /// Also create a client certificate with this subject, client-NAME.pem: a user of `gateway --auth mtls`; may be repeated.
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
    /// Renew all certificates, including the authority.
    #[arg(long)]
    force: bool,
    /// Print errors only.
    #[arg(short, long)]
    quiet: bool,
}

/// Does what the command line asks for.
#[must_use]
pub fn main(args: Cli) -> ExitCode {
    let request =
        Request { sans: args.sans, clients: args.clients, force: args.force, ..Request::new(args.out) };
    match ensure(&request) {
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
