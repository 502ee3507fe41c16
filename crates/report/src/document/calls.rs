//! Requests paired with their answers.

use std::collections::HashMap;

use exposure_schema::{Direction, HttpMessage};

use crate::model::Capture;

#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: &'a str,
    pub(crate) request: &'a HttpMessage,
    pub(crate) answer: Option<&'a HttpMessage>,
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
