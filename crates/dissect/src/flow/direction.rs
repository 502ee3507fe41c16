//! The two directions of a connection.

use std::ops::{Index, IndexMut};

/// A direction of a connection. The client is the end that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the server.
    ClientToServer,
    /// From the server to the client.
    ServerToClient,
}

impl Direction {
    /// Both directions, the client's first.
    pub const BOTH: [Self; 2] = [Self::ClientToServer, Self::ServerToClient];

    /// The other direction.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }
}

/// One value for each direction.
///
/// ```
/// use dissect::flow::{Direction, PerDirection};
///
/// let mut bytes = PerDirection::<u64>::default();
/// bytes[Direction::ClientToServer] += 7;
/// assert_eq!(bytes, PerDirection { client_to_server: 7, server_to_client: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerDirection<T> {
    /// The value of [`Direction::ClientToServer`].
    pub client_to_server: T,
    /// The value of [`Direction::ServerToClient`].
    pub server_to_client: T,
}

impl<T> PerDirection<T> {
    /// Calls `make` for each direction, the client's first.
    pub fn from_fn(mut make: impl FnMut(Direction) -> T) -> Self {
        Self {
            client_to_server: make(Direction::ClientToServer),
            server_to_client: make(Direction::ServerToClient),
        }
    }

    /// Applies a function to both values.
    pub fn map<U>(self, mut map: impl FnMut(T) -> U) -> PerDirection<U> {
        PerDirection {
            client_to_server: map(self.client_to_server),
            server_to_client: map(self.server_to_client),
        }
    }

    /// References to both values.
    pub fn as_ref(&self) -> PerDirection<&T> {
        PerDirection { client_to_server: &self.client_to_server, server_to_client: &self.server_to_client }
    }

    /// References to both values, the client's first.
    pub fn iter(&self) -> impl Iterator<Item = (Direction, &T)> {
        self.as_ref().into_iter()
    }

    /// Mutable references to both values, the client's first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Direction, &mut T)> {
        let Self { client_to_server, server_to_client } = self;
        PerDirection { client_to_server, server_to_client }.into_iter()
    }

    /// References to both values without their directions, the client's first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.as_ref().into_array().into_iter()
    }

    /// Both values, the client's first.
    pub fn into_array(self) -> [T; 2] {
        [self.client_to_server, self.server_to_client]
    }
}

impl<T> Index<Direction> for PerDirection<T> {
    type Output = T;

    #[inline]
    fn index(&self, direction: Direction) -> &T {
        match direction {
            Direction::ClientToServer => &self.client_to_server,
            Direction::ServerToClient => &self.server_to_client,
        }
    }
}

impl<T> IndexMut<Direction> for PerDirection<T> {
    #[inline]
    fn index_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ClientToServer => &mut self.client_to_server,
            Direction::ServerToClient => &mut self.server_to_client,
        }
    }
}

impl<T> IntoIterator for PerDirection<T> {
    type Item = (Direction, T);
    type IntoIter = std::iter::Zip<std::array::IntoIter<Direction, 2>, std::array::IntoIter<T, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        Direction::BOTH.into_iter().zip(self.into_array())
    }
}
