//! Two boxes on one machine notice each other's load: what one computes, the other computes more slowly. No sandbox closes this
//! way; the attempt measures how much passes.

use std::hint;
use std::io;
use std::thread;
use std::time::Duration;

use super::Place;
use super::turn::{Turn, now, turns};
use super::words::{Heard, bits};

/// Bits of a canary that a turn carries.
const BITS: u32 = 16;

/// Parts of a turn: each bit has two. One of them is busy, the first if the bit is set.
const PARTS: u32 = 2 * BITS;

/// Length and number of the turns.
const TURN: Duration = Duration::from_millis(15 * PARTS as u64);
const TURNS: u32 = 4;

/// Returns the first four digits of a canary for each turn of another box, right or wrong: only a comparison with the canary
/// shows whether anything passed.
pub(crate) fn speak_and_listen(place: Place, canary: &str) -> io::Result<Heard> {
    let bits: Vec<bool> = bits(canary)?.take(BITS as usize).collect();
    let mut words = Heard::new();
    for turn in turns(place, TURN, TURNS) {
        if turn.is_own {
            speak(&turn, &bits);
        } else {
            words.push(listen(&turn));
        }
    }
    Ok(words)
}

/// Keeps all CPUs busy in one part of each bit.
fn speak(turn: &Turn, bits: &[bool]) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for (index, bit) in (0..BITS).zip(bits) {
        let part = 2 * index + u32::from(!*bit);
        turn.wait_for(part, PARTS);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| computed_until(turn, part + 1));
            }
        });
    }
}

/// Compares how much can be computed in the two parts of each bit.
fn listen(turn: &Turn) -> String {
    let word = (0..BITS).fold(0_u16, |word, index| {
        let [first, second] = [2 * index + 1, 2 * index + 2].map(|end| computed_until(turn, end));
        word << 1 | u16::from(first < second)
    });
    format!("{word:04x}")
}

/// Computes until this part of the turn begins. Returns how much.
fn computed_until(turn: &Turn, part: u32) -> u64 {
    let end = turn.begin_of(part, PARTS);
    let mut rounds = 0;
    while now() < end {
        for round in 0..64_u64 {
            hint::black_box(round);
        }
        rounds += 1;
    }
    rounds
}
