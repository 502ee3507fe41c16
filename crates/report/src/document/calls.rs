//! Requests paired with their answers, and their latency.

use std::collections::HashMap;

use exposure_schema::{Direction, HttpMessage};

use crate::model::Capture;

#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: &'a str,
    pub(crate) request: &'a HttpMessage,
    pub(crate) answer: Option<&'a HttpMessage>,
}

impl Call<'_> {
    /// From the first frame of the request to the last of the answer, in ns.
    pub(crate) fn latency_ns(&self) -> Option<u64> {
        let answered = self.answer?.last_at_unix_ns?;
        answered.checked_sub(self.request.first_at_unix_ns?)
    }
}

/// The calls of a capture in the order of their requests: every request that a journal names, with the first answer
/// after it that has the same id.
pub(crate) fn of(capture: &Capture) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for message in &capture.http {
        let Some(id) = message.message_id.as_deref() else { continue };
        match message.direction {
            Some(Direction::ClientToServer) => {
                open.insert(id, calls.len());
                calls.push(Call { id, request: message, answer: None });
            }
            Some(Direction::ServerToClient) => {
                if let Some(call) = open.remove(id) {
                    calls[call].answer = Some(message);
                }
            }
            None => (),
        }
    }
    calls
}

/// The latencies of the answered calls in ns, sorted.
pub(crate) fn latencies(calls: &[Call<'_>]) -> Vec<u64> {
    let mut latencies: Vec<u64> = calls.iter().filter_map(Call::latency_ns).collect();
    latencies.sort_unstable();
    latencies
}

/// The median; of an even number of values the lower of the two in the middle.
pub(crate) fn median(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_is_the_lower_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!([median(&[3]), median(&[1, 2]), median(&[1, 2, 9])], [Some(3), Some(1), Some(2)]);
    }
}
