//! Reads the end of a container from the engine's events.

use std::collections::HashMap;
use std::pin::Pin;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use crate::Error;

/// The events of one container.
pub(super) struct Events(Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>);

/// One event of a container.
pub(super) enum Event {
    /// The kernel killed one of its processes because its memory was used up.
    OutOfMemory,
    /// It ended with this status.
    Ended(i32),
    /// The engine removed it.
    Removed,
}

impl Events {
    /// The container's events since its creation, however late the engine receives this request.
    pub(super) fn of(engine: &bollard::Docker, name: &str) -> Self {
        let filters = HashMap::from([
            ("container".to_owned(), vec![name.to_owned()]),
            ("event".to_owned(), ["die", "oom", "destroy"].map(String::from).into()),
        ]);
        // Second 1 of the epoch: all events that the engine still has. Names are used once, but the engine's filter also
        // passes containers whose name begins with this one.
        let events = engine.events(Some(EventsOptionsBuilder::new().since("1").filters(&filters).build()));
        let name = name.to_owned();
        Self(Box::pin(events.filter(move |event| {
            let attributes = event.as_ref().ok().and_then(|event| event.actor.as_ref()?.attributes.as_ref());
            std::future::ready(attributes.is_none_or(|attributes| attributes.get("name") == Some(&name)))
        })))
    }

    pub(super) async fn next(&mut self) -> Result<Event, Error> {
        while let Some(event) = self.0.next().await {
            let event = event.map_err(Error::engine("listening to events"))?;
            match event.action.as_deref() {
                Some("oom") => return Ok(Event::OutOfMemory),
                Some("destroy") => return Ok(Event::Removed),
                Some("die") => {
                    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                    let status = attributes.get("exitCode").and_then(|code| code.parse().ok());
                    return status
                        .map(Event::Ended)
                        .ok_or_else(|| Error::Broken("the engine reported no exit status".into()));
                }
                _ => {}
            }
        }
        Err(Error::Broken("the engine closed its stream of events".into()))
    }

    /// Whether an out-of-memory event is still to come: it can follow the event of the end, but not that of the removal.
    pub(super) async fn include_out_of_memory(&mut self) -> bool {
        loop {
            match self.next().await {
                Ok(Event::OutOfMemory) => return true,
                Ok(Event::Ended(_)) => {}
                Ok(Event::Removed) | Err(_) => return false,
            }
        }
    }
}
