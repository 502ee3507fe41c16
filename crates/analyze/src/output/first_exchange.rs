//! Which part of the wire is shown byte by byte.

use crate::analysis::{CaptureReport, is_in, nearest};
use crate::observe::evidence::WireMessage;
use crate::output::claims::Name;
use crate::output::transcript::{Plan, WireString};
use crate::search::needles::MatchMode;

impl CaptureReport<'_> {
    /// What is to be shown of the first exchange, if it was read.
    pub(crate) fn exhibit(&self) -> Option<Plan> {
        let index = |name: &Option<Name>| name.as_ref()?.index(&self.known.messages);
        let messages = [index(&self.said.request)?, index(&self.said.answer)?];
        let seen = |index: usize| self.evidence.sightings[index].first.as_ref();
        let [request, answer] = [seen(messages[0])?, seen(messages[1])?];
        let stream = request.place.stream.filter(|stream| answer.place.stream == Some(*stream))?;
        let connection = self.streams.described.iter().find(|connection| connection.index == stream)?;
        let frames = (connection.course.first.0, answer.last_frame);
        let end = |message: &WireMessage| Some(message.place.stream_offset? + message.place.wire_len);
        Some(Plan {
            message_id: self.known.messages[messages[0]].id.clone(),
            stream,
            endpoints: (connection.client, connection.server),
            frames,
            ends: [end(request)?, end(answer)?],
            string: messages.iter().find_map(|message| self.wire_string(*message)),
        })
        // A frame that is no longer known is numbered 0.
        .filter(|_| frames.0 <= frames.1)
    }

    /// The first string of a message that was found in it by its own bytes.
    fn wire_string(&self, message: usize) -> Option<WireString> {
        let mut of_message = self.known.strings.iter().filter(|string| string.message == message);
        of_message.find_map(|string| {
            let MatchMode::Value(needle) = string.match_mode else { return None };
            let sighting = &self.evidence.sightings[message];
            let hit = *nearest(self.evidence.findings.of(needle), sighting).first()?;
            let (place, side) = (&hit.place, hit.place.side?);
            let start = place.stream_offset.filter(|_| is_in(place, sighting))?;
            Some(WireString {
                path: string.path.to_string(),
                message_id: self.known.messages[message].id.clone(),
                level: hit.level,
                side,
                range: place.ciphertext.clone().unwrap_or(start..start + place.wire_len),
            })
        })
    }
}
