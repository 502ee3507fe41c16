//! The kernel counts the queued signals of each user of a user namespace, and shows the number to each of the user's
//! processes (`SigQ` in proc_pid_status(5)). A timer counts as a signal, because its own is allocated in advance
//! (timer_create(2), "NOTES"). Two boxes with one number hear each other's timers.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify};
use nix::sys::timer::Timer;
use nix::time::ClockId;

use super::Place;
use super::turn::{Turn, now, turns};
use super::words::{Heard, bits, distinct, word};

/// Length of a turn. The turns end when both have heard each other; a machine that stops one of the two for a while costs a
/// turn, and so does a third process of the user that changes the number.
const TURN: Duration = Duration::from_millis(500);

/// The turns of a box that notices no other, and the turns of one that does.
const TURNS_ALONE: u32 = 10;
const TURNS: u32 = 60;

/// Digits of the canary that a turn carries: few enough for a machine on which each look takes milliseconds. Their check
/// follows.
const DIGITS: usize = 8;
const BITS: usize = 4 * DIGITS + u8::BITS as usize;

/// The number of timers of a speaker at first: more than the bits can take away, and fewer than a box may have.
const LEVEL: usize = 2 * BITS;

/// Pause between two looks.
const AGAIN: Duration = Duration::from_micros(100);

/// For so long the number must not change before the listener takes it as [`LEVEL`].
const SETTLED: Duration = Duration::from_millis(20);

/// For so long one waits for the other's next answer, beyond the end of the turn, after a first one: on a busy machine an
/// answer takes as long as the scheduler does. In a sandbox there is no first one.
const PATIENCE: Duration = Duration::from_secs(1);

/// In all at most this long: its turns.
const LONGEST: Duration = Duration::from_secs(30);

/// Speaker and listener wait for each other at each bit, so neither has to be in time: the speaker has one timer more for a
/// set bit and one less for the other, and the listener answers with one more or less of its own.
pub(crate) fn speak_and_listen(path: &str, place: Place, canary: &str) -> io::Result<Heard> {
    let word: Vec<bool> = bits(canary)?.take(4 * DIGITS).collect();
    let check = check(&word);
    let mut words = Vec::new();
    let (mut was_heard, mut is_alone) = (false, true);
    let last_end = now() + LONGEST;
    for (turn, number) in turns(place, TURN, TURNS).zip(1..) {
        let mut counter = Counter { path, turn: &turn, answered: None, last_end, timers: Vec::new() };
        if turn.is_own {
            was_heard |= counter.speak(word.iter().chain(&check).copied())?;
        } else {
            words.extend(counter.listen()?);
        }
        is_alone &= counter.answered.is_none();
        drop(counter);
        let is_done = was_heard && !words.is_empty();
        if is_done || is_alone && number >= TURNS_ALONE || now() >= last_end {
            break;
        }
        turn.wait_for(1, 1);
    }
    distinct(words)
}

/// The common number, for the time of one turn.
struct Counter<'a> {
    path: &'a str,
    turn: &'a Turn,
    /// When the other answered last in this turn, since the epoch, as [`now`].
    answered: Option<Duration>,
    /// When the attempt ends at the latest.
    last_end: Duration,
    /// This box's part of the number.
    timers: Vec<Timer>,
}

impl Counter<'_> {
    /// Whether a listener answered each bit, the last one after its check.
    fn speak(&mut self, bits: impl Iterator<Item = bool>) -> io::Result<bool> {
        // The listener has given up its part of the last turn by now.
        self.turn.wait_for(1, 16);
        let mut answered = self.others()?;
        for _ in 0..LEVEL {
            self.add()?;
        }
        for bit in bits {
            let Some(next) = self.another(answered)? else { return Ok(false) };
            answered = next;
            if bit { self.add()? } else { self.remove() }
        }
        Ok(self.another(answered)?.is_some())
    }

    /// The word of the other box; `None` if it said none in this turn, or another process disturbed it.
    fn listen(&mut self) -> io::Result<Option<String>> {
        let Some(mut level) = self.level()? else { return Ok(None) };
        let mut bits = Vec::new();
        self.add()?;
        while bits.len() < BITS {
            let Some(next) = self.another(level)? else { return Ok(None) };
            bits.push(next > level);
            level = next;
            // Only a word that was understood has its last bit answered: the speaker goes on until then.
            if bits.len() == BITS && bits[4 * DIGITS..] != check(&bits[..4 * DIGITS]) {
                return Ok(None);
            }
            if bits.len() % 2 == 0 { self.add()? } else { self.remove() }
        }
        // The last answer stays until the speaker has seen it.
        while self.others()? >= BITS && !self.is_ending() {
            thread::sleep(AGAIN);
        }
        Ok(word(&bits[..4 * DIGITS], DIGITS))
    }

    /// The number of the others when the speaker has raised it; `None` if none does in this turn.
    fn level(&mut self) -> io::Result<Option<usize>> {
        while !self.is_ending() {
            let level = self.others()?;
            if level >= LEVEL {
                thread::sleep(SETTLED);
                if self.others()? == level {
                    self.answered = Some(now());
                    return Ok(Some(level));
                }
            }
            thread::sleep(AGAIN);
        }
        Ok(None)
    }

    /// The next number of the others that differs, by one; `None` if it stays until the end of the turn. Two steps at once are
    /// those of a third process, or of another turn.
    fn another(&mut self, number: usize) -> io::Result<Option<usize>> {
        while !self.is_ending() {
            let next = self.others()?;
            if next != number {
                self.answered = Some(now());
                return Ok((next.abs_diff(number) == 1).then_some(next));
            }
            thread::sleep(AGAIN);
        }
        Ok(None)
    }

    fn is_ending(&self) -> bool {
        let now = now();
        let is_waiting =
            self.answered.is_some_and(|answered| now < answered + PATIENCE && now < self.last_end);
        self.turn.is_ending() && !is_waiting
    }

    fn others(&self) -> io::Result<usize> {
        let status = fs::read_to_string(self.path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("SigQ:"));
        let number = line.and_then(|line| line.trim().split_once('/')?.0.parse::<usize>().ok());
        let all = number.ok_or_else(|| io::Error::other("no SigQ"))?;
        Ok(all.saturating_sub(self.timers.len()))
    }

    fn add(&mut self) -> io::Result<()> {
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(SigevNotify::SigevNone))?;
        self.timers.push(timer);
        Ok(())
    }

    fn remove(&mut self) {
        self.timers.pop();
    }
}

/// Eight bits that differ for words that differ in one bit, or in neighbouring bits: the remainder of a division by the
/// polynomial x⁸ + x² + x + 1 (ITU-T I.432.1, section 7.3.2.2).
fn check(word: &[bool]) -> [bool; 8] {
    let remainder = word.iter().fold(0_u8, |remainder, bit| {
        let is_divided = (remainder >> 7 == 1) != *bit;
        remainder << 1 ^ if is_divided { 0b111 } else { 0 }
    });
    std::array::from_fn(|at| remainder >> (7 - at) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_wrong_bit_has_another_check() {
        // The check value of CRC-8/SMBUS for the digits 1 to 9, as catalogues of checksums give it.
        let digits: Vec<bool> =
            b"123456789".iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)).collect();
        assert_eq!(word(&check(&digits), 2).as_deref(), Some("f4"));
        for at in 0..digits.len() {
            let mut wrong = digits.clone();
            wrong[at] ^= true;
            assert_ne!(check(&wrong), check(&digits), "bit {at}");
        }
    }
}
