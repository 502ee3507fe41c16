//! However a run ends, it leaves no process, namespace, temporary file or staging folder behind.

// Processes and namespaces are found through `/proc`.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use e2e::capture::whole_frames;
use e2e::lab::{names, outcome, read_json};
use e2e::{Lab, has_netns, programs, skip};
use nix::sys::signal::Signal;

/// Runs a case with both backends.
fn by_each_backend(case: impl Fn(&str)) {
    case("relay");
    match has_netns() {
        Ok(()) => case("netns"),
        Err(reason) => skip(&reason),
    }
}

fn assert_nothing_left(lab: &Lab, backend: &str) {
    assert!(lab.files().is_empty(), "{backend}: {:?}", lab.files());
    assert!(names(&lab.tmp()).is_empty(), "{backend}: {:?}", names(&lab.tmp()));
}

#[test]
fn killed_agent_fails_the_run_with_its_name() {
    by_each_backend(|backend| {
        for agent in ["agent-a", "agent-b"] {
            let lab = Lab::new();
            let running = lab.run_at_length(&["http", "--backend", backend]);
            running.signal(agent, Signal::SIGKILL);
            let output = running.end();
            assert_eq!(output.status.code(), Some(1), "{backend} {agent}: {}", outcome(&output));
            let expected = format!("{agent} ended with signal: 9");
            assert!(outcome(&output).contains(&expected), "{backend} {agent}: {}", outcome(&output));
            assert_nothing_left(&lab, backend);
        }
    });
}

#[test]
fn signal_to_the_lab_ends_it_cleanly() {
    by_each_backend(|backend| {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let lab = Lab::new();
            let running = lab.run_at_length(&["https", "--backend", backend]);
            running.signal("lab", signal);
            let output = running.end();
            assert_eq!(output.status.code(), Some(1), "{backend} {signal}: {}", outcome(&output));
            assert!(outcome(&output).contains(signal.as_str()), "{backend} {signal}: {}", outcome(&output));
            assert_nothing_left(&lab, backend);
        }
    });
}

/// Ctrl-C in a terminal reaches every process of the group.
#[test]
fn signal_to_all_processes_at_once_leaves_nothing() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["http", "--backend", backend]);
        for program in ["agent-a", "agent-b", "capturer", "lab"] {
            running.signal(program, Signal::SIGINT);
        }
        let output = running.end();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", outcome(&output));
        assert!(lab.files().iter().all(|name| !name.starts_with('.')), "{backend}: {:?}", lab.files());
        assert!(!lab.files().contains(&"http.pcap".to_owned()), "{backend}: {:?}", lab.files());
    });
}

#[test]
fn killed_capturer_leaves_a_readable_partial_capture_until_the_next_run() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["https", "--backend", backend]);
        lab.wait_for_frames("https");
        running.signal("capturer", Signal::SIGKILL);
        let output = running.end();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", outcome(&output));
        assert!(outcome(&output).contains("https.partial"), "{backend}: {}", outcome(&output));
        assert!(
            outcome(&output).contains("capturer ended with signal: 9"),
            "{backend}: {}",
            outcome(&output)
        );

        assert_eq!(lab.files(), ["https.partial"], "{backend}");
        let partial = lab.captures().join("https.partial");
        let expected = [
            "https.agent-a.jsonl",
            "https.agent-b.jsonl",
            "https.keys",
            "https.partial.manifest.json",
            "https.partial.pcap",
        ];
        assert_eq!(names(&partial), expected, "{backend}");
        let manifest = read_json(&partial.join("https.partial.manifest.json"));
        assert_eq!(manifest["finished"], false, "{backend}");
        let (frames, _) = whole_frames(&fs::read(partial.join("https.partial.pcap")).unwrap());
        assert!(frames.len() > 10, "{backend}: {} frames", frames.len());
        assert!(frames[0].syn, "{backend}");

        let next = lab.run(&["https", "--backend", backend]);
        assert!(next.status.success(), "{backend}: {}", outcome(&next));
        assert!(!lab.files().contains(&"https.partial".to_owned()), "{backend}: {:?}", lab.files());
    });
}

#[test]
fn killed_lab_ends_its_programs_and_the_next_run_removes_its_folder() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["http", "--backend", backend]);
        running.signal("lab", Signal::SIGKILL);
        let _ = running.end();
        assert!(lab.files().iter().all(|name| name.starts_with(".staging-")), "{backend}: {:?}", lab.files());
        assert!(names(&lab.tmp()).is_empty(), "{backend}");

        let next = lab.run(&["http", "--backend", backend]);
        assert!(next.status.success(), "{backend}: {}", outcome(&next));
        assert!(outcome(&next).contains("left behind by a killed lab"), "{backend}: {}", outcome(&next));
        assert!(lab.files().iter().all(|name| name.starts_with("http.")), "{backend}: {:?}", lab.files());
    });
}

/// agent-a does not trust a certificate that another CA has signed.
#[test]
fn wrong_ca_fails_the_run_with_the_error_of_agent_a() {
    // The real certgen would renew the server's certificate.
    let programs = programs::with_script("certgen", "exit 0");
    by_each_backend(|backend| {
        let lab = Lab::new();
        let other = Lab::new();
        for folder in [lab.certs(), other.certs()] {
            let made = Command::new(programs::program("certgen")).arg("--out").arg(&folder).output().unwrap();
            assert!(made.status.success(), "{}", outcome(&made));
        }
        fs::copy(other.certs().join("ca.pem"), lab.certs().join("ca.pem")).unwrap();
        let output = lab.command_of(programs.path(), &["https", "--backend", backend]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", outcome(&output));
        assert!(
            outcome(&output).contains("agent-a ended with exit status"),
            "{backend}: {}",
            outcome(&output)
        );
        assert!(outcome(&output).to_lowercase().contains("certificate"), "{backend}: {}", outcome(&output));
        assert_nothing_left(&lab, backend);
    });
}

#[test]
fn error_names_a_program_that_fails_at_start_and_quotes_its_stderr() {
    for program in ["certgen", "capturer", "agent-b", "agent-a"] {
        let programs = programs::with_script(program, "echo 'no such luck' >&2; exit 7");
        by_each_backend(|backend| {
            let lab = Lab::new();
            let output = lab.command_of(programs.path(), &["https", "--backend", backend]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{backend}: {}", outcome(&output));
            let expected = format!("{program} ended with exit status: 7");
            assert!(outcome(&output).contains(&expected), "{backend}: {}", outcome(&output));
            assert!(outcome(&output).contains("no such luck"), "{backend}: {}", outcome(&output));
            assert_nothing_left(&lab, backend);
        });
    }
}

/// The capturer ends normally, but its manifest counts lost frames.
#[test]
fn capture_with_kernel_drops_is_discarded() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let capturer = programs::program("capturer");
    let script = format!(
        "{capturer:?} \"$@\" & child=$!\n\
         trap 'kill -TERM $child' TERM\n\
         wait $child; wait $child; status=$?\n\
         while [ $# -gt 1 ]; do [ \"$1\" = --output ] && output=$2; shift; done\n\
         sed -i 's/\"kernel_drops\": 0/\"kernel_drops\": 3/' $output/http.manifest.json\n\
         exit $status"
    );
    let programs = programs::with_script("capturer", &script);
    let lab = Lab::new();
    let output = lab.command_of(programs.path(), &["http", "--backend", "netns"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", outcome(&output));
    assert!(outcome(&output).contains("the kernel dropped 3 frames"), "{}", outcome(&output));
    assert_nothing_left(&lab, "netns");
}

#[test]
fn failed_run_keeps_the_files_of_the_last_good_run() {
    let lab = Lab::new();
    let good = lab.run(&["http", "--backend", "relay"]);
    assert!(good.status.success(), "{}", outcome(&good));
    let (files, manifest) = (lab.files(), lab.manifest("http"));
    let running = lab.run_at_length(&["http", "--backend", "relay"]);
    running.signal("agent-b", Signal::SIGKILL);
    assert_eq!(running.end().status.code(), Some(1));
    assert_eq!((lab.files(), lab.manifest("http")), (files, manifest));
}
