//! The helper of the namespace backend as a program of its own, for hosts whose `main` cannot begin with
//! `sandbox::enter_if_asked()`. It does nothing when started by hand.

fn main() -> std::process::ExitCode {
    sandbox::enter_if_asked();
    eprintln!("box-init: started by plainsight's sandbox, and for nothing else");
    std::process::ExitCode::from(2)
}
