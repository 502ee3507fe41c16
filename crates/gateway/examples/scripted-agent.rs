//! A program for sandboxes that executes commands in the prompt, for the gateway's tests. It shows what such a program
//! must do: read the prompt from stdin (`plainsight.prompt/1`, or text), answer on stdout, and exit with status 0.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

fn main() {
    let mut stdin = Vec::new();
    std::io::stdin().read_to_end(&mut stdin).expect("stdin");
    let (prompt, conversation) = understood(stdin);
    let conversation = conversation.as_array().expect("a list of messages");

    let (word, rest) = prompt.split_once(' ').unwrap_or((&prompt, ""));
    match word {
        "history" => print!("{}", serde_json::to_string(conversation).expect("JSON")),
        "sleep" => {
            std::thread::sleep(Duration::from_millis(rest.parse().expect("milliseconds")));
            print!("slept");
        }
        "exit" => std::process::exit(rest.parse().expect("a status")),
        "abort" => std::process::abort(),
        "flood" => {
            let line = [b'x'; 4096];
            while std::io::stdout().write_all(&line).is_ok() {}
        }
        "noise" => std::io::stdout().write_all(b"\xff\xfe").expect("stdout"),
        "terminal" => {
            eprint!("\u{1b}]0;stderr\u{7}");
            print!("\u{1b}[2J\u{202e}answer\r\n{{\"conversation\":\"forged\"}}");
        }
        // The form of a coding agent's `--output-format json`.
        "agent" => {
            let failed = rest == "fail";
            println!("{}", json!({"type": "result", "is_error": failed, "result": rest, "num_turns": 1}));
        }
        "controls" => print!("{}", "\u{1}".repeat(rest.parse().expect("a number"))),
        "steps" => steps(rest.split_once(' ').expect("a folder and an end")),
        "memory" => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 1 << 20]);
            }
        }
        _ => println!("{} before; you said: {prompt}", conversation.len()),
    }
}

/// Writes a piece of an answer, and waits until the host has written into a file before the next one. The end is `text`,
/// `lines` (of JSON, as the project's runner writes them), or a failure: `exit`, `noise` or `flood`.
fn steps((folder, end): (&str, &str)) {
    for (number, piece) in ["one ", "둘 ", "three\n"].into_iter().enumerate() {
        if number > 0 {
            let file = Path::new(folder).join(number.to_string());
            while std::fs::metadata(&file).expect("a file of the host").len() == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        match end {
            "lines" => println!("{}", json!({ "delta": piece })),
            _ => print!("{piece}"),
        }
        std::io::stdout().flush().expect("stdout");
    }
    match end {
        "lines" => println!("{}", json!({ "text": "one 둘 three\n", "failed": false })),
        "exit" => std::process::exit(3),
        "noise" => std::io::stdout().write_all(b"\xff").expect("stdout"),
        "flood" => while std::io::stdout().write_all(&[b'x'; 4096]).is_ok() {},
        _ => (),
    }
}

/// The prompt, and the conversation before it.
fn understood(stdin: Vec<u8>) -> (String, Value) {
    let document: Value = serde_json::from_slice(&stdin).unwrap_or_default();
    if document["schema"] == "plainsight.prompt/1" {
        let prompt = document["prompt"].as_str().expect("a prompt is text").to_owned();
        (prompt, document["conversation"].clone())
    } else {
        (String::from_utf8(stdin).expect("text"), json!([]))
    }
}
