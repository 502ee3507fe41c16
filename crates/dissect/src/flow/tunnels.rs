//! Tells tunnels apart, so that equal addresses inside of two tunnels are different hosts.
//!
//! Most tunnels have one identifier for both directions: then both directions have one number. In GTP-U and PPTP each
//! receiver chooses an identifier, and only signalling that is not read here says which two belong together. They are
//! joined when a connection shows it: its one direction is in one of them, its other direction in the other, and no third one
//! comes into question.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Endpoint;
use crate::encapsulation::{Encapsulation, Encapsulations};
use crate::ip::Address;

/// One direction of a tunnel, with the tunnels around it. The default is no tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel(u32);

impl Tunnel {
    /// A number that only this direction of this tunnel has; 0 for no tunnel.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Directions of tunnels remembered for one connection until one is joined: more make every choice ambiguous.
const MAX_CANDIDATES: usize = 8;

/// The tunnels of a capture.
#[derive(Default)]
pub(super) struct Tunnels {
    /// By the tunnel around it, ends in order and identifiers.
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    /// By the tunnel around it, ends sorted, and the identifiers that both directions share.
    both_ways: HashMap<Box<[u8]>, u32, RandomState>,
    /// By number minus one.
    directions: Vec<OneWay>,
    /// Directions of tunnels that wait for the other one, by a connection in them.
    waiting: HashMap<(u32, [Endpoint; 2]), Vec<Waiting>, RandomState>,
}

/// The number of a direction, and whether the first end of the connection sends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    number: u32,
    from_first: bool,
}

#[derive(Clone, Copy, Debug)]
struct OneWay {
    /// The number of both directions together, as far as shared identifiers say.
    both_ways: u32,
    /// Whether an identifier is of this direction alone.
    is_directional: bool,
    /// The number of the direction that both are known by, once it has carried a segment.
    known_by: Option<u32>,
    /// Whether the other direction is known.
    is_joined: bool,
}

impl Tunnels {
    /// The tunnel that `path` describes inside of `outer`.
    pub(super) fn of(&mut self, outer: Tunnel, path: &Encapsulations<'_>) -> Tunnel {
        if !path.iter().any(|layer| layer.kind.identifies_tunnel()) {
            return outer;
        }
        let around = self.direction(outer.0);
        let mut key = Vec::with_capacity(64);
        let mut both_ways = Vec::with_capacity(64);
        let mut is_directional = around.is_some_and(|around| around.is_directional);
        key.extend_from_slice(&outer.0.to_be_bytes());
        both_ways.extend_from_slice(&around.map_or(0, |around| around.both_ways).to_be_bytes());
        for Encapsulation { kind, id, ends, .. } in path.iter().filter(|layer| layer.kind.identifies_tunnel())
        {
            key.push(kind as u8);
            both_ways.push(kind as u8);
            if let Some((src, dst)) = ends {
                write_ends(&mut key, src, dst);
                write_ends(&mut both_ways, src.min(dst), src.max(dst));
            }
            key.extend_from_slice(&id.to_be_bytes());
            if kind.has_directional_ids() {
                is_directional = true;
            } else {
                both_ways.extend_from_slice(&id.to_be_bytes());
            }
        }
        if let Some(number) = self.numbers.get(key.as_slice()) {
            return Tunnel(*number);
        }
        let next = self.both_ways.len() as u32 + 1;
        let both_ways = *self.both_ways.entry(both_ways.into()).or_insert(next);
        self.directions.push(OneWay { both_ways, is_directional, known_by: None, is_joined: false });
        let number = self.directions.len() as u32;
        self.numbers.insert(key.into(), number);
        Tunnel(number)
    }

    /// The number of a tunnel, the same for both directions, of which the one between `ends` is in `tunnel`.
    pub(super) fn number(&mut self, tunnel: Tunnel, ends: [Endpoint; 2], from_first: bool) -> u32 {
        let Some(OneWay { both_ways, is_directional, known_by, is_joined }) = self.direction(tunnel.0) else {
            return 0;
        };
        // The lowest bit separates the two kinds of numbers.
        if !is_directional {
            return both_ways << 1;
        }
        if let (true, Some(known_by)) = (is_joined, known_by) {
            return known_by << 1 | 1;
        }
        let directions = &self.directions;
        let is_free = |number: u32| {
            directions.get(number.wrapping_sub(1) as usize).is_some_and(|direction| !direction.is_joined)
        };
        let waiting = self.waiting.entry((both_ways, ends)).or_default();
        let mut others =
            waiting.iter().filter(|other| other.from_first != from_first && is_free(other.number));
        let partner = others.next().map(|other| other.number).filter(|_| others.next().is_none());
        let itself = Waiting { number: tunnel.0, from_first };
        if !waiting.contains(&itself) && waiting.len() < MAX_CANDIDATES {
            waiting.push(itself);
        }
        let free = partner.and_then(|partner| self.direction(partner).map(|found| (partner, found)));
        let known_by = match free {
            Some((partner, found)) => {
                let known_by = found.known_by.unwrap_or(partner);
                self.join(partner, known_by);
                self.join(tunnel.0, known_by);
                known_by
            }
            None => {
                let known_by = known_by.unwrap_or(tunnel.0);
                if let Some(direction) = self.direction_mut(tunnel.0) {
                    direction.known_by = Some(known_by);
                }
                known_by
            }
        };
        known_by << 1 | 1
    }

    fn join(&mut self, number: u32, known_by: u32) {
        if let Some(direction) = self.direction_mut(number) {
            (direction.known_by, direction.is_joined) = (Some(known_by), true);
        }
    }

    fn direction(&self, number: u32) -> Option<OneWay> {
        self.directions.get(number.checked_sub(1)? as usize).copied()
    }

    fn direction_mut(&mut self, number: u32) -> Option<&mut OneWay> {
        self.directions.get_mut(number.checked_sub(1)? as usize)
    }
}

fn write_ends(key: &mut Vec<u8>, src: Address, dst: Address) {
    for address in [src, dst] {
        key.push(address.is_v4().into());
        address.words().into_iter().for_each(|word| key.extend_from_slice(&word.to_be_bytes()));
    }
}
