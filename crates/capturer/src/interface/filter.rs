//! The kernel filter: `tcp port N` as a classic BPF program, so that the kernel does not copy other traffic.
//!
//! The program is assembled here and not compiled by libpcap, which cannot be linked statically, and whose `tcp port N`
//! drops frames that this program keeps: segments behind VLAN tags in the frame, segments behind IPv6 extension
//! headers, and later IP fragments. A later fragment has no ports, so it is kept for any connection: an additional
//! frame does no harm, but a missing one is a gap in a stream. For the same reason the program keeps a frame whose
//! chain of IPv6 extension headers is too long to walk.
//!
//! VLAN tags that the kernel removes need no code: the filter sees the frame without them.
//!
//! The first half of the program computes in X the offset of the IP header, less the length of the link header. The second
//! half adds the length of the IP header, so that the ports are at a fixed distance from X.

/// An instruction with the fields of the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) k: u32,
}

/// The header before the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Ethernet; `lo` has this header too.
    Ethernet,
    /// None: tunnels and point-to-point links.
    RawIp,
}

/// Maximum number of VLAN tags that the filter skips. More do not occur outside provider backbones.
const VLAN_TAGS: u32 = 2;

/// Maximum number of IPv6 extension headers that the filter walks. It keeps frames with a longer chain.
const EXTENSION_HEADERS: usize = 4;

/// A program that accepts TCP segments from or to `port`, `snaplen` bytes of each.
pub(crate) fn tcp_port(port: u16, framing: Framing, snaplen: u32) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    let [v4, v6, ports, accept, reject] = asm.labels();
    let port = u32::from(port);

    let l3 = match framing {
        Framing::Ethernet => {
            ethernet(&mut asm, v4, v6, reject);
            ETHERNET_LEN
        }
        Framing::RawIp => {
            asm.op(LDX_IMM, 0);
            asm.op(LD_B_ABS, 0);
            asm.op(RSH_K, 4);
            asm.jump(JEQ, 4, To(v4), Next);
            asm.jump(JEQ, 6, To(v6), To(reject));
            0
        }
    };

    asm.place(v4);
    asm.op(LD_B_IND, l3 + IPV4_PROTOCOL);
    asm.jump(JEQ, PROTOCOL_TCP, Next, To(reject));
    asm.op(LD_H_IND, l3 + IPV4_FRAGMENT);
    // A later fragment has no ports.
    asm.jump(JSET, 0x1fff, To(accept), Next);
    asm.op(LD_B_IND, l3);
    asm.op(AND_K, 0x0f);
    asm.op(LSH_K, 2);
    asm.op(ADD_X, 0);
    asm.op(TAX, 0);
    asm.jump(JA, 0, To(ports), Next);

    asm.place(v6);
    ipv6(&mut asm, l3, ports, accept, reject);

    asm.place(ports);
    asm.op(LD_H_IND, l3);
    asm.jump(JEQ, port, To(accept), Next);
    asm.op(LD_H_IND, l3 + 2);
    asm.jump(JEQ, port, To(accept), To(reject));

    asm.place(accept);
    asm.op(RET, snaplen);
    asm.place(reject);
    asm.op(RET, 0);
    asm.finish()
}

/// A program that accepts every frame, `snaplen` bytes of each.
pub(crate) fn everything(snaplen: u32) -> Vec<Instruction> {
    vec![Instruction { code: RET, jump_true: 0, jump_false: 0, k: snaplen }]
}

/// Loads the length of the VLAN tags into X, and jumps to the label of the IP version.
fn ethernet(asm: &mut Assembler, v4: Label, v6: Label, reject: Label) {
    let [untagged] = asm.labels();
    asm.op(LDX_IMM, 0);
    asm.op(LD_H_ABS, ETHERTYPE);
    for tags in 1..=VLAN_TAGS {
        let [tagged] = asm.labels();
        asm.jump(JEQ, 0x8100, To(tagged), Next);
        asm.jump(JEQ, 0x88a8, To(tagged), Next);
        asm.jump(JEQ, 0x9100, To(tagged), To(untagged));
        asm.place(tagged);
        asm.op(LDX_IMM, 4 * tags);
        asm.op(LD_H_ABS, ETHERTYPE + 4 * tags);
    }
    asm.place(untagged);
    asm.jump(JEQ, 0x0800, To(v4), Next);
    asm.jump(JEQ, 0x86dd, To(v6), To(reject));
}

/// Walks the extension headers (RFC 8200 §4): X moves past each, and the accumulator holds the next header's number.
fn ipv6(asm: &mut Assembler, l3: u32, ports: Label, accept: Label, reject: Label) {
    let [fragment] = asm.labels();
    asm.op(LD_B_IND, l3 + IPV6_NEXT_HEADER);
    asm.op(ST, 0);
    asm.op(TXA, 0);
    asm.op(ADD_K, IPV6_LEN);
    asm.op(TAX, 0);
    asm.op(LD_MEM, 0);
    for _ in 0..EXTENSION_HEADERS {
        let [walk] = asm.labels();
        asm.jump(JEQ, PROTOCOL_TCP, To(ports), Next);
        asm.jump(JEQ, IPV6_FRAGMENT, To(fragment), Next);
        asm.jump(JEQ, IPV6_HOP_BY_HOP, To(walk), Next);
        asm.jump(JEQ, IPV6_ROUTING, To(walk), Next);
        asm.jump(JEQ, IPV6_DESTINATION, To(walk), To(reject));
        asm.place(walk);
        asm.op(LD_B_IND, l3);
        asm.op(ST, 0);
        asm.op(LD_B_IND, l3 + 1);
        asm.op(ADD_K, 1);
        asm.op(LSH_K, 3);
        asm.op(ADD_X, 0);
        asm.op(TAX, 0);
        asm.op(LD_MEM, 0);
    }
    asm.jump(JEQ, PROTOCOL_TCP, To(ports), To(accept));

    asm.place(fragment);
    asm.op(LD_B_IND, l3);
    asm.jump(JEQ, PROTOCOL_TCP, Next, To(reject));
    asm.op(LD_H_IND, l3 + 2);
    asm.jump(JSET, 0xfff8, To(accept), Next);
    asm.op(TXA, 0);
    asm.op(ADD_K, 8);
    asm.op(TAX, 0);
}

const ETHERNET_LEN: u32 = 14;
const ETHERTYPE: u32 = 12;
const IPV4_FRAGMENT: u32 = 6;
const IPV4_PROTOCOL: u32 = 9;
const IPV6_NEXT_HEADER: u32 = 6;
const IPV6_LEN: u32 = 40;
const PROTOCOL_TCP: u32 = 6;
const IPV6_HOP_BY_HOP: u32 = 0;
const IPV6_ROUTING: u32 = 43;
const IPV6_FRAGMENT: u32 = 44;
const IPV6_DESTINATION: u32 = 60;

// linux/bpf_common.h: class | size | mode, or class | operation | source.
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_H_IND: u16 = 0x48;
const LD_B_IND: u16 = 0x50;
const LD_MEM: u16 = 0x60;
const LDX_IMM: u16 = 0x01;
const ST: u16 = 0x02;
const ADD_K: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const AND_K: u16 = 0x54;
const LSH_K: u16 = 0x64;
const RSH_K: u16 = 0x74;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

#[derive(Debug, Clone, Copy)]
enum Target {
    Next,
    To(Label),
}
use Target::{Next, To};

/// Assembles instructions with jumps to labels that are placed later. BPF jumps only forward.
#[derive(Default)]
struct Assembler {
    code: Vec<(u16, u32, Target, Target)>,
    places: Vec<usize>,
}

impl Assembler {
    fn labels<const N: usize>(&mut self) -> [Label; N] {
        std::array::from_fn(|_| {
            self.places.push(usize::MAX);
            Label(self.places.len() - 1)
        })
    }

    fn place(&mut self, label: Label) {
        self.places[label.0] = self.code.len();
    }

    fn op(&mut self, code: u16, k: u32) {
        self.code.push((code, k, Next, Next));
    }

    fn jump(&mut self, code: u16, k: u32, if_true: Target, if_false: Target) {
        self.code.push((code, k, if_true, if_false));
    }

    fn finish(self) -> Vec<Instruction> {
        let distance = |at: usize, target: Target| match target {
            Next => 0,
            To(label) => {
                u8::try_from(self.places[label.0] - at - 1).expect("the program is shorter than 256")
            }
        };
        let instruction = |(at, &(code, k, if_true, if_false)): (usize, &(u16, u32, Target, Target))| {
            let jump_true = distance(at, if_true);
            // An unconditional jump holds its distance in k.
            if code == JA {
                return Instruction { code, jump_true: 0, jump_false: 0, k: u32::from(jump_true) };
            }
            Instruction { code, jump_true, jump_false: distance(at, if_false), k }
        };
        self.code.iter().enumerate().map(instruction).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel does: a load beyond the frame returns 0.
    fn run(program: &[Instruction], frame: &[u8]) -> u32 {
        let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
        loop {
            let Instruction { code, jump_true, jump_false, k } = program[at];
            at += 1;
            let load = |offset: u32, size: usize| {
                let bytes = frame.get(offset as usize..offset as usize + size)?;
                Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
            };
            let loaded = match code {
                LD_H_ABS => load(k, 2),
                LD_B_ABS => load(k, 1),
                LD_H_IND => load(x + k, 2),
                LD_B_IND => load(x + k, 1),
                LD_MEM => Some(memory[k as usize]),
                _ => Some(a),
            };
            let Some(loaded) = loaded else { return 0 };
            a = loaded;
            let condition = match code {
                JEQ => a == k,
                JSET => a & k != 0,
                _ => false,
            };
            match code {
                LDX_IMM => x = k,
                ST => memory[k as usize] = a,
                ADD_K => a += k,
                ADD_X => a += x,
                AND_K => a &= k,
                LSH_K => a <<= k,
                RSH_K => a >>= k,
                TAX => x = a,
                TXA => a = x,
                JA => at += k as usize,
                JEQ | JSET => at += usize::from(if condition { jump_true } else { jump_false }),
                RET => return k,
                _ => {}
            }
        }
    }

    fn ethernet(tags: &[u16], ethertype: u16, l3: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend(ethertype.to_be_bytes());
        frame.extend(l3);
        frame
    }

    fn ipv4(options: usize, protocol: u8, fragment: u16, source: u16, destination: u16) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x40 | (5 + options / 4) as u8;
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = protocol;
        packet.extend(source.to_be_bytes());
        packet.extend(destination.to_be_bytes());
        packet.extend([0; 16]);
        packet
    }

    /// `headers`: number and bytes of each extension header, without the number of the next header.
    fn ipv6(headers: &[(u8, &[u8])], last: u8, source: u16, destination: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = headers.first().map_or(last, |header| header.0);
        for (i, (_, bytes)) in headers.iter().enumerate() {
            let next = headers.get(i + 1).map_or(last, |header| header.0);
            packet.push(next);
            packet.extend(&bytes[1..]);
        }
        packet.extend(source.to_be_bytes());
        packet.extend(destination.to_be_bytes());
        packet.extend([0; 16]);
        packet
    }

    const SNAPLEN: u32 = 262_144;

    fn accepts(frame: &[u8]) -> bool {
        match run(&tcp_port(8000, Framing::Ethernet, SNAPLEN), frame) {
            0 => false,
            SNAPLEN => true,
            other => panic!("returned {other}"),
        }
    }

    #[test]
    fn accepts_the_port_on_either_side_and_no_other() {
        for options in [0, 4, 40] {
            assert!(accepts(&ethernet(&[], 0x0800, &ipv4(options, 6, 0x4000, 8000, 9))));
            assert!(accepts(&ethernet(&[], 0x0800, &ipv4(options, 6, 0, 9, 8000))));
            assert!(!accepts(&ethernet(&[], 0x0800, &ipv4(options, 6, 0, 8001, 7999))));
        }
        assert!(!accepts(&ethernet(&[], 0x0800, &ipv4(0, 17, 0, 8000, 8000))), "UDP");
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&[], 6, 8000, 9))));
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&[], 6, 9, 8000))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[], 6, 9, 9))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[], 58, 8000, 8000))), "ICMPv6");
        assert!(!accepts(&ethernet(&[], 0x0806, &[0; 28])), "ARP");
    }

    #[test]
    fn finds_the_port_behind_vlan_tags() {
        for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100]] {
            assert!(accepts(&ethernet(tags, 0x0800, &ipv4(4, 6, 0, 9, 8000))), "{tags:x?}");
            assert!(accepts(&ethernet(tags, 0x86dd, &ipv6(&[], 6, 8000, 9))), "{tags:x?}");
            assert!(!accepts(&ethernet(tags, 0x0800, &ipv4(4, 6, 0, 9, 8001))), "{tags:x?}");
        }
    }

    #[test]
    fn keeps_later_fragments_and_filters_first_ones() {
        assert!(accepts(&ethernet(&[], 0x0800, &ipv4(0, 6, 185, 1, 2))));
        assert!(!accepts(&ethernet(&[], 0x0800, &ipv4(0, 17, 185, 1, 2))), "of UDP");
        assert!(!accepts(&ethernet(&[], 0x0800, &ipv4(0, 6, 0x2000, 1, 2))), "first, other port");
        let first = [0, 0, 0, 1, 0, 0, 0, 1];
        let later = [0, 0, 5, 0xa9, 0, 0, 0, 1];
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&[(44, &first)], 6, 9, 8000))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[(44, &first)], 6, 9, 9))));
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&[(44, &later)], 6, 9, 9))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[(44, &later)], 17, 9, 9))), "of UDP");
    }

    #[test]
    fn finds_the_port_behind_extension_headers() {
        let short = [0; 8];
        let mut long = [0; 24];
        long[1] = 2;
        let hop = (0, &short[..]);
        let routing = (43, &long[..]);
        let options = (60, &long[..]);
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&[hop, routing, options], 6, 9, 8000))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[hop, routing, options], 6, 9, 8001))));
        assert!(!accepts(&ethernet(&[], 0x86dd, &ipv6(&[hop], 58, 8000, 8000))), "MLD");
        let too_many = [hop, options, options, options, options];
        assert!(accepts(&ethernet(&[], 0x86dd, &ipv6(&too_many, 6, 9, 9))));
    }

    #[test]
    fn recognises_raw_ip_by_its_version() {
        let program = tcp_port(8000, Framing::RawIp, 96);
        assert_eq!(run(&program, &ipv4(0, 6, 0, 9, 8000)), 96);
        assert_eq!(run(&program, &ipv6(&[], 6, 8000, 9)), 96);
        assert_eq!(run(&program, &ipv4(0, 6, 0, 9, 9)), 0);
        assert_eq!(run(&program, &[0x50; 60]), 0);
    }

    #[test]
    fn rejects_frames_cut_before_the_ports() {
        let frame = ethernet(&[0x8100], 0x86dd, &ipv6(&[(0, &[0; 8])], 6, 9, 8000));
        let ports_end = frame.len() - 16;
        for len in 0..ports_end {
            assert!(!accepts(&frame[..len]), "{len}");
        }
        assert!(accepts(&frame[..ports_end]));
    }

    #[test]
    fn everything_accepts_an_empty_frame() {
        assert_eq!(run(&everything(96), &[]), 96);
    }
}
