//! The helper of the namespace backend as a program of its own, for hosts whose `main` cannot begin with
//! `sandbox::enter_if_asked()`. It only exits when started by hand.

fn main() -> std::process::ExitCode {
    sandbox::enter_if_asked();
    eprintln!("box-init: this program is started by plainsight's sandbox only");
    std::process::ExitCode::from(2)
}
