//! Whatever ends a run, nothing of it is left: no process, no namespace, no temporary file, no staging folder.

// What is left is looked for in `/proc`.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use e2e::capture::whole_frames;
use e2e::lab::{names, read_json, said};
use e2e::{Lab, has_netns, programs, skip};
use nix::sys::signal::Signal;

/// Runs a case by both backends.
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
fn a_killed_agent_fails_the_run_and_is_named() {
    by_each_backend(|backend| {
        for agent in ["agent-a", "agent-b"] {
            let lab = Lab::new();
            let running = lab.run_at_length(&["http", "--backend", backend]);
            running.signal(agent, Signal::SIGKILL);
            let output = running.end();
            assert_eq!(output.status.code(), Some(1), "{backend} {agent}: {}", said(&output));
            let expected = format!("{agent} ended with signal: 9");
            assert!(said(&output).contains(&expected), "{backend} {agent}: {}", said(&output));
            assert_nothing_left(&lab, backend);
        }
    });
}

#[test]
fn a_signal_to_the_lab_ends_it_in_order() {
    by_each_backend(|backend| {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let lab = Lab::new();
            let running = lab.run_at_length(&["https", "--backend", backend]);
            running.signal("lab", signal);
            let output = running.end();
            assert_eq!(output.status.code(), Some(1), "{backend} {signal}: {}", said(&output));
            assert!(said(&output).contains(signal.as_str()), "{backend} {signal}: {}", said(&output));
            assert_nothing_left(&lab, backend);
        }
    });
}

/// A Ctrl-C in a terminal reaches every process of the group, and whoever else it finds.
#[test]
fn a_signal_to_everybody_at_once_leaves_nothing_either() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["http", "--backend", backend]);
        for program in ["agent-a", "agent-b", "capturer", "lab"] {
            running.signal(program, Signal::SIGINT);
        }
        let output = running.end();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", said(&output));
        assert!(lab.files().iter().all(|name| !name.starts_with('.')), "{backend}: {:?}", lab.files());
        assert!(!lab.files().contains(&"http.pcap".to_owned()), "{backend}: {:?}", lab.files());
    });
}

#[test]
fn a_killed_capturer_leaves_a_readable_part_and_the_next_run_removes_it() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["https", "--backend", backend]);
        lab.wait_for_frames("https");
        running.signal("capturer", Signal::SIGKILL);
        let output = running.end();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", said(&output));
        assert!(said(&output).contains("https.partial"), "{backend}: {}", said(&output));
        assert!(said(&output).contains("capturer ended with signal: 9"), "{backend}: {}", said(&output));

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
        assert!(next.status.success(), "{backend}: {}", said(&next));
        assert!(!lab.files().contains(&"https.partial".to_owned()), "{backend}: {:?}", lab.files());
    });
}

#[test]
fn a_killed_lab_takes_its_programs_along_and_the_next_removes_its_folder() {
    by_each_backend(|backend| {
        let lab = Lab::new();
        let running = lab.run_at_length(&["http", "--backend", backend]);
        running.signal("lab", Signal::SIGKILL);
        let _ = running.end();
        assert!(lab.files().iter().all(|name| name.starts_with(".staging-")), "{backend}: {:?}", lab.files());
        assert!(names(&lab.tmp()).is_empty(), "{backend}");

        let next = lab.run(&["http", "--backend", backend]);
        assert!(next.status.success(), "{backend}: {}", said(&next));
        assert!(said(&next).contains("left behind by a killed lab"), "{backend}: {}", said(&next));
        assert!(lab.files().iter().all(|name| name.starts_with("http.")), "{backend}: {:?}", lab.files());
    });
}

/// agent-a does not trust a server whose certificate another CA has signed: the run fails, and says what agent-a said.
#[test]
fn a_wrong_ca_fails_the_run_with_the_agents_own_words() {
    // The real certgen would see it and renew the server's certificate.
    let programs = programs::with_script("certgen", "exit 0");
    by_each_backend(|backend| {
        let lab = Lab::new();
        let other = Lab::new();
        for folder in [lab.certs(), other.certs()] {
            let made = Command::new(programs::program("certgen")).arg("--out").arg(&folder).output().unwrap();
            assert!(made.status.success(), "{}", said(&made));
        }
        fs::copy(other.certs().join("ca.pem"), lab.certs().join("ca.pem")).unwrap();
        let output = lab.command_of(programs.path(), &["https", "--backend", backend]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", said(&output));
        assert!(said(&output).contains("agent-a ended with exit status"), "{backend}: {}", said(&output));
        assert!(said(&output).to_lowercase().contains("certificate"), "{backend}: {}", said(&output));
        assert_nothing_left(&lab, backend);
    });
}

#[test]
fn a_program_that_cannot_start_is_named_with_its_last_words() {
    for program in ["certgen", "capturer", "agent-b", "agent-a"] {
        let programs = programs::with_script(program, "echo 'no such luck' >&2; exit 7");
        by_each_backend(|backend| {
            let lab = Lab::new();
            let output = lab.command_of(programs.path(), &["https", "--backend", backend]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{backend}: {}", said(&output));
            let expected = format!("{program} ended with exit status: 7");
            assert!(said(&output).contains(&expected), "{backend}: {}", said(&output));
            assert!(said(&output).contains("no such luck"), "{backend}: {}", said(&output));
            assert_nothing_left(&lab, backend);
        });
    }
}

/// A capturer that ends well but has lost frames has not recorded what was said.
#[test]
fn a_capture_with_kernel_drops_is_not_put_into_place() {
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
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the kernel dropped 3 frames"), "{}", said(&output));
    assert_nothing_left(&lab, "netns");
}

#[test]
fn a_failed_run_leaves_the_last_good_one_in_place() {
    let lab = Lab::new();
    let good = lab.run(&["http", "--backend", "relay"]);
    assert!(good.status.success(), "{}", said(&good));
    let (files, manifest) = (lab.files(), lab.manifest("http"));
    let running = lab.run_at_length(&["http", "--backend", "relay"]);
    running.signal("agent-b", Signal::SIGKILL);
    assert_eq!(running.end().status.code(), Some(1));
    assert_eq!((lab.files(), lab.manifest("http")), (files, manifest));
}
