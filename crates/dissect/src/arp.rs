//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! ```text
//! hardware 1 | protocol 0x0800 | 6 | 4 | operation | sender (6 + 4) | target (6 + 4)
//! ```

/// An Ethernet address.
pub type Hardware = [u8; 6];

/// Length of the packet.
pub const LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, lengths of their addresses.
const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// The operation of an ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Asks for the hardware address of the target.
    pub const REQUEST: Self = Operation(1);
    /// Announces the hardware address of the sender.
    pub const REPLY: Self = Operation(2);
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request, reply or something else.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sender_hardware: Hardware,
    /// IPv4 address of the sender.
    pub sender: [u8; 4],
    /// Hardware address of the target; in a request, the one that is asked for.
    pub target_hardware: Hardware,
    /// IPv4 address of the target.
    pub target: [u8; 4],
}

impl Arp {
    /// Reads the packet that begins at `offset` of a frame. `None` if it was not captured completely, or has other
    /// kinds of addresses.
    pub fn parse(frame: &[u8], offset: usize) -> Option<Self> {
        let packet = frame.get(offset..)?.first_chunk::<LEN>()?;
        let rest = packet.strip_prefix(&ETHERNET_AND_IPV4)?;
        let (operation, rest) = rest.split_first_chunk()?;
        let (sender_hardware, rest) = rest.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (target_hardware, rest) = rest.split_first_chunk()?;
        Some(Self {
            operation: Operation(u16::from_be_bytes(*operation)),
            sender_hardware: *sender_hardware,
            sender: *sender,
            target_hardware: *target_hardware,
            target: *rest.first_chunk()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; LEN] = [
        0, 1, 8, 0, 6, 4, 0, 2, // Ethernet, IPv4, lengths, reply
        2, 0, 0, 0, 0, 1, 10, 0, 0, 1, // sender
        2, 0, 0, 0, 0, 2, 10, 0, 0, 2, // target
    ];

    #[test]
    fn reads_the_fields_at_an_offset() {
        let expected = Arp {
            operation: Operation::REPLY,
            sender_hardware: [2, 0, 0, 0, 0, 1],
            sender: [10, 0, 0, 1],
            target_hardware: [2, 0, 0, 0, 0, 2],
            target: [10, 0, 0, 2],
        };
        assert_eq!(Arp::parse(&PACKET, 0), Some(expected));
        assert_eq!(Arp::parse(&[&[0xff; 14][..], &PACKET, &[0; 18]].concat(), 14), Some(expected));
    }

    #[test]
    fn rejects_truncated_packets_and_other_kinds_of_addresses() {
        for len in 0..LEN {
            assert_eq!(Arp::parse(&PACKET[..len], 0), None, "cut to {len}");
        }
        assert_eq!(Arp::parse(&PACKET, 1), None);
        assert_eq!(Arp::parse(&PACKET, usize::MAX), None);
        for at in 0..6 {
            let mut other = PACKET;
            other[at] ^= 1;
            assert_eq!(Arp::parse(&other, 0), None, "byte {at}");
        }
    }
}
