//! `certgen`: creates the lab's certificates, and keeps those that are still valid.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Creates a certificate authority, a server certificate and a client certificate for the lab.
///
/// Keeps a certificate that is signed by the existing authority, holds all requested names, matches its key, and is valid for
/// more than a day. Renews all others.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
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

fn main() -> ExitCode {
    let args = Args::parse();
    let request = certgen::Request {
        sans: args.sans,
        clients: args.clients,
        force: args.force,
        ..certgen::Request::new(args.out)
    };
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
