//! docs/exposure.md, "What `sealed` does not prove", line by line: data in a field of the list leaves a capture "sealed", and
//! the same data beside that field does not. The data is the complement of a canary, an encoding that no search knows.

use craft::frame::{Extension, Ip, Ipv6, Link, Vlan, flags};
use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Judged, Record, Side, analyze_command, conversation, insert, own_traffic};
use e2e::run_lab;
use e2e::segment::{self, Segment, correct_checksums, records, segments, tcp_at};
use e2e::tls::{ClientHello, Session, record, vec16};

/// A run of the lab, and data that nothing in it may show.
struct Base {
    run: Copied,
    data: Vec<u8>,
}

impl Base {
    fn new() -> Self {
        let run = Copied::of(run_lab("relay"));
        let data = run.canary("https").bytes().map(|byte| !byte).collect();
        Self { run, data }
    }

    /// Bytes of the data for the frame with this number, over and over.
    fn bytes<const N: usize>(&self, number: usize) -> [u8; N] {
        std::array::from_fn(|at| self.data[(number * N + at) % self.data.len()])
    }

    fn judged(&self, frames: &[Record]) -> Judged {
        own_traffic(&self.run, ETHERNET, frames, self.run.read("https.keys"))
    }

    /// The frames after a change of the bytes of each, with correct checksums.
    fn edited(&self, edit: impl Fn(usize, &mut Vec<u8>)) -> Vec<Record> {
        let mut frames = self.run.records("https");
        for (number, frame) in frames.iter_mut().enumerate() {
            edit(number, &mut frame.bytes);
            correct_checksums(&mut frame.bytes);
            frame.original_len = frame.bytes.len() as u32;
        }
        frames
    }

    /// The frames after a change of the segments.
    fn changed(&self, change: impl FnOnce(&mut Vec<Segment>)) -> Vec<Record> {
        let mut all = segments(&self.run.records("https"));
        change(&mut all);
        records(&all)
    }

    fn each(&self, change: impl Fn(usize, &mut Segment)) -> Vec<Record> {
        self.changed(|all| all.iter_mut().enumerate().for_each(|(number, segment)| change(number, segment)))
    }

    fn session(&self) -> Session {
        Session::of(&self.run)
    }

    /// The capture with this session in place of its first connection.
    fn with_session(&self, session: &Session) -> Vec<Record> {
        let frames = self.run.frames("https");
        let (client, server) = (frames[0].from, frames[0].to);
        let settings = craft::conversation::Settings::new(client, server);
        let sent: Vec<_> = session.records.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
        let own = conversation(settings, &sent).into_iter();
        let own = own.map(|bytes| segment::record(frames[0].at, bytes));
        let all = self.run.records("https").into_iter().zip(&frames);
        let others =
            all.filter(|(_, frame)| frame.from != client && frame.to != client).map(|(frame, _)| frame);
        own.chain(others).collect()
    }

    fn judged_session(&self, session: &Session) -> Judged {
        own_traffic(&self.run, ETHERNET, &self.with_session(session), session.key_log())
    }

    /// The verdict with this ClientHello, which both Finished messages confirm.
    fn judged_hello(&self, change: impl FnOnce(&mut ClientHello)) -> Judged {
        let mut session = self.session();
        session.change_client_hello(change);
        self.judged_session(&session)
    }
}

fn assert_sealed(judged: &Judged) {
    assert_eq!((judged.verdict("mine"), judged.status), ("sealed", 0), "{:#?}", judged.reasons("mine"));
}

/// Asserts that the capture is not sealed, with this code among the doubts.
fn assert_doubted(judged: &Judged, code: &str) {
    assert_eq!(judged.verdict("mine"), "inconclusive", "{:#?}", judged.reasons("mine"));
    assert!(judged.codes("mine").contains(&code), "{:?}", judged.codes("mine"));
}

const UNEXPLAINED: &str = "bytes.unexplained";
const NOT_WHOLE: &str = "stream.not-whole";

fn is_data(segment: &Segment) -> bool {
    !segment.payload.is_empty() && segment.flags & (flags::SYN | flags::FIN | flags::RST) == 0
}

#[test]
fn unchanged_run_and_session_are_sealed() {
    let base = Base::new();
    assert_sealed(&base.judged(&base.edited(|_, _| ())));
    assert_sealed(&base.judged(&base.each(|_, _| ())));
    assert_sealed(&base.judged_session(&base.session()));
    assert_sealed(&base.judged_hello(|_| ()));
}

// Links

#[test]
fn hardware_addresses() {
    let base = Base::new();
    assert_sealed(
        &base.judged(&base.edited(|number, frame| frame[..12].copy_from_slice(&base.bytes::<12>(number)))),
    );
    let behind = base.edited(|number, frame| frame.extend(base.bytes::<6>(number)));
    assert_doubted(&base.judged(&behind), UNEXPLAINED);
}

#[test]
fn control_of_a_vlan_tag() {
    let base = Base::new();
    let tagged = |tags: usize| {
        base.each(|number, segment| {
            let control = u16::from_be_bytes(base.bytes(number));
            segment.ethernet.vlan = vec![Vlan { control, ..Vlan::tag(0) }; tags];
        })
    };
    assert_sealed(&base.judged(&tagged(1)));
    // More tags than any network has.
    assert_doubted(&base.judged(&tagged(5)), UNEXPLAINED);
}

#[test]
fn addresses_in_arp() {
    let base = Base::new();
    let with = |target_hardware: [u8; 6]| {
        let mut frames = base.run.records("https");
        for number in 0..4 {
            let mut request = Vec::new();
            let link = Link::default();
            let (sender, target) = (base.bytes::<4>(number).into(), base.bytes::<4>(number + 1).into());
            craft::frame::arp(&mut request, &link, craft::frame::Ethernet::default().source, sender, target);
            request[32..38].copy_from_slice(&target_hardware);
            insert(&mut frames, 10, vec![request]);
        }
        frames
    };
    assert_sealed(&base.judged(&with([0; 6])));
    assert_doubted(&base.judged(&with(base.bytes(0))), UNEXPLAINED);
}

// IP

#[test]
fn fields_of_the_ipv4_header() {
    let base = Base::new();
    let residue = base.edited(|number, frame| {
        let [tos, id_high, id_low, ttl] = base.bytes(number);
        (frame[15], frame[18], frame[19], frame[22]) = (tos, id_high, id_low, ttl);
        frame[20] = ttl & 0xc0;
    });
    assert_sealed(&base.judged(&residue));
    let options = base.edited(|number, frame| {
        let bytes: [u8; 2] = base.bytes(number);
        frame.splice(34..34, [0x88, 4, bytes[0], bytes[1]]);
        frame[14] += 1;
        let length = u16::from_be_bytes([frame[16], frame[17]]) + 4;
        frame[16..18].copy_from_slice(&length.to_be_bytes());
    });
    assert_doubted(&base.judged(&options), UNEXPLAINED);
    let fragment = base.edited(|number, frame| frame[21] = if number == 30 { base.data[0] } else { 0 });
    assert_doubted(&base.judged(&fragment), UNEXPLAINED);
}

#[test]
fn checksum_of_the_ipv4_header() {
    let base = Base::new();
    let with = |field: fn(&[u8]) -> usize| {
        let mut frames = base.run.records("https");
        for (number, frame) in frames.iter_mut().enumerate() {
            let at = field(&frame.bytes);
            frame.bytes[at..at + 2].copy_from_slice(&base.bytes::<2>(number));
        }
        frames
    };
    let judged = |frames: &[Record]| {
        let copied = base.run.copy();
        copied.write_records("https", ETHERNET, frames);
        copied.update_manifest("https");
        copied.analyze_only("https.pcap").verdict("https").to_owned()
    };
    assert_eq!(judged(&with(|_| 24)), "sealed");
    assert_eq!(judged(&with(|frame| tcp_at(frame) + 16)), "inconclusive");
}

#[test]
fn fields_of_the_ipv6_header() {
    let base = Base::new();
    let with = |extensions: fn([u8; 6]) -> Vec<Extension>| {
        let mut frames = base.each(|number, segment| {
            let Ip::V4(ip) = &segment.ip else { panic!("IPv4") };
            let (source, destination) = (ip.source.to_ipv6_mapped(), ip.destination.to_ipv6_mapped());
            let between = Ipv6::between(source, destination);
            segment.ip = Ip::V6(Ipv6 { extensions: extensions(base.bytes(number)), ..between });
        });
        for (number, frame) in frames.iter_mut().enumerate() {
            let [class, label @ .., hop_limit] = base.bytes::<4>(number);
            (frame.bytes[14], frame.bytes[15]) = (0x60 | class >> 4, class << 4 | label[0] & 15);
            (frame.bytes[16], frame.bytes[17], frame.bytes[21]) = (label[0], label[1], hop_limit);
        }
        frames
    };
    assert_sealed(&base.judged(&with(|_| Vec::new())));
    let options = |data: [u8; 6]| vec![Extension { kind: 60, body: [&[0x1e, 4][..], &data[..4]].concat() }];
    assert_doubted(&base.judged(&with(options)), UNEXPLAINED);
}

#[test]
fn addresses_and_ports() {
    let base = Base::new();
    let port = u16::from_be_bytes(base.bytes(0));
    let with = |stray: bool| {
        base.changed(|all| {
            let server = all[0].ports.1;
            for segment in all.iter_mut() {
                let Ip::V4(ip) = &mut segment.ip else { panic!("IPv4") };
                let is_client = segment.ports.1 == server;
                let (address, own) = match is_client {
                    true => (&mut ip.source, &mut segment.ports.0),
                    false => (&mut ip.destination, &mut segment.ports.1),
                };
                *address = base.bytes::<4>(0).into();
                *own ^= port;
            }
            if stray {
                let mut probe = all[0].clone();
                (probe.ports.1, probe.flags) = (port, flags::ACK);
                probe.payload = base.data.clone();
                all.insert(10, probe);
            }
        })
    };
    assert_sealed(&base.judged(&with(false)));
    assert_doubted(&base.judged(&with(true)), NOT_WHOLE);
}

// TCP

#[test]
fn initial_sequence_numbers() {
    let base = Base::new();
    let by = u32::from_be_bytes(base.bytes(0));
    let from = |first: usize| {
        base.each(|number, segment| {
            if number >= first {
                segment.sequence = segment.sequence.wrapping_add(by);
                if segment.flags & flags::ACK != 0 {
                    segment.acknowledgment = segment.acknowledgment.wrapping_add(by);
                }
            }
        })
    };
    assert_sealed(&base.judged(&from(0)));
    assert_doubted(&base.judged(&from(20)), NOT_WHOLE);
}

#[test]
fn acknowledgment_number() {
    let base = Base::new();
    let number = u32::from_be_bytes(base.bytes(0));
    let syn = base.each(|_, segment| {
        if segment.flags == flags::SYN {
            segment.acknowledgment = number;
        }
    });
    assert_sealed(&base.judged(&syn));
    let moved = |by: u32| {
        base.changed(|all| {
            let opened: Vec<_> = all.iter().filter(|other| other.flags & flags::SYN != 0).cloned().collect();
            for segment in all.iter_mut().filter(|segment| segment.flags == flags::ACK) {
                let sender = opened.iter().find(|syn| syn.ports == (segment.ports.1, segment.ports.0));
                let acknowledged = segment.acknowledgment.wrapping_sub(sender.expect("a SYN").end());
                if acknowledged > 300 {
                    segment.acknowledgment = segment.acknowledgment.wrapping_add(by);
                }
            }
        })
    };
    let by = u32::from(base.data[0]);
    assert_sealed(&base.judged(&moved(by.wrapping_neg())));
    assert_doubted(&base.judged(&moved(by)), NOT_WHOLE);
}

#[test]
fn window_urgent_pointer_and_flags_without_a_meaning() {
    let base = Base::new();
    let residue = base.edited(|number, frame| {
        let [window_high, window_low, urgent_high, urgent_low] = base.bytes(number);
        let tcp = tcp_at(frame);
        frame[tcp + 12] |= window_low & 15;
        frame[tcp + 13] ^= window_low & (0xc0 | flags::URG | flags::PSH);
        frame[tcp + 14..tcp + 16].copy_from_slice(&[window_high, window_low]);
        frame[tcp + 18..tcp + 20].copy_from_slice(&[urgent_high, urgent_low]);
    });
    assert_sealed(&base.judged(&residue));
    let option = base.each(|number, segment| {
        segment.options = [&[253, 6][..], &base.bytes::<4>(number), &[0, 0]].concat();
    });
    assert_doubted(&base.judged(&option), UNEXPLAINED);
}

#[test]
fn options_of_a_syn() {
    let base = Base::new();
    let with = |of: fn(&Segment) -> bool| {
        base.each(|number, segment| {
            if of(segment) {
                let mss = [&[2, 4][..], &base.bytes::<2>(number)].concat();
                let scale = [3, 3, base.data[number % base.data.len()], 1];
                let cookie = [&[34, 18][..], &base.bytes::<16>(number), &[0, 0]].concat();
                segment.options = [&mss[..], &scale, &cookie].concat();
            }
        })
    };
    assert_sealed(&base.judged(&with(|segment| segment.flags & flags::SYN != 0)));
    assert_doubted(&base.judged(&with(is_data)), UNEXPLAINED);
}

#[test]
fn timestamps() {
    let base = Base::new();
    let with = |times: usize| {
        base.each(|number, segment| {
            let option = [&[1, 1, 8, 10][..], &base.bytes::<8>(number)].concat();
            segment.options = option.repeat(times);
        })
    };
    assert_sealed(&base.judged(&with(1)));
    assert_doubted(&base.judged(&with(2)), UNEXPLAINED);
}

#[test]
fn edges_of_a_selective_acknowledgment() {
    let base = Base::new();
    let [left, right] = base.bytes::<2>(0).map(u32::from);
    // The server's acknowledgment names a part of what the client sent out of order.
    let with = |right: u32| {
        base.changed(|all| {
            let at = all.iter().position(|segment| segment.payload.len() > 900).expect("a long segment");
            let [lost, arrived] = all[at].split(1);
            let opening = all.iter().find(|other| other.ports == (arrived.ports.1, arrived.ports.0));
            let opening = opening.expect("the other side").clone();
            let edges = [arrived.sequence + left, arrived.end().wrapping_sub(right)];
            let answer = Segment {
                sequence: opening.end(),
                acknowledgment: lost.sequence,
                flags: flags::ACK,
                options: [&[1, 1, 5, 10][..], &edges.map(u32::to_be_bytes).concat()].concat(),
                payload: Vec::new(),
                ..opening
            };
            all.splice(at..=at, [arrived, answer, lost]);
        })
    };
    assert_sealed(&base.judged(&with(right)));
    assert_doubted(&base.judged(&with(0_u32.wrapping_sub(right))), UNEXPLAINED);
}

#[test]
fn byte_of_a_keep_alive_probe() {
    let base = Base::new();
    let with = |byte: fn(u8, u8) -> u8| {
        base.changed(|all| {
            let before = std::mem::take(all);
            for (number, segment) in before.into_iter().enumerate() {
                all.push(segment.clone());
                if is_data(&segment) {
                    let last = segment.payload[segment.payload.len() - 1];
                    let payload = vec![byte(last, base.data[number % base.data.len()])];
                    all.push(Segment {
                        sequence: segment.end().wrapping_sub(1),
                        payload,
                        flags: flags::ACK,
                        ..segment
                    });
                }
            }
        })
    };
    assert_sealed(&base.judged(&with(|last, data| if data & 1 == 0 { 0 } else { last })));
    assert_doubted(&base.judged(&with(|_, data| data)), NOT_WHOLE);
}

// All traffic

#[test]
fn lengths_numbers_and_times() {
    let base = Base::new();
    let divided = |all: &mut Vec<Segment>| {
        let before = std::mem::take(all);
        for (number, mut segment) in before.into_iter().enumerate() {
            let [len, times, delay] = base.bytes(number);
            segment.at += u64::from(delay) * 1000;
            let len = 200 + usize::from(len);
            if is_data(&segment) && segment.payload.len() > len {
                let [head, tail] = segment.split(len);
                all.extend([head, tail]);
            } else {
                all.extend(vec![segment; 1 + usize::from(times % 3)]);
            }
        }
    };
    assert_sealed(&base.judged(&base.changed(divided)));
    // A repeated segment says the same as before.
    let other = base.changed(|all| {
        divided(all);
        let at = all.iter().rposition(is_data).expect("data");
        let mut again = all[at].clone();
        again.payload[..2].copy_from_slice(&base.bytes::<2>(0));
        all.insert(at + 1, again);
    });
    assert_doubted(&base.judged(&other), NOT_WHOLE);
}

// TLS in the clear

#[test]
fn version_of_a_plaintext_record() {
    let base = Base::new();
    let with = |version: [u8; 2], content_type: u8| {
        let mut session = base.session();
        for (_, record) in session.records.iter_mut().filter(|(_, record)| record[0] == content_type) {
            record[1..3].copy_from_slice(&version);
        }
        session
    };
    let [byte] = base.bytes(0);
    assert_sealed(&base.judged_session(&with([3, byte % 4 + 1], 22)));
    assert_doubted(&base.judged_session(&with([byte, byte], 22)), UNEXPLAINED);
    assert_doubted(&base.judged_session(&with([3, byte % 3], 23)), UNEXPLAINED);
}

#[test]
fn two_plaintext_alerts_of_a_side() {
    let base = Base::new();
    let with = |alerts: &[[u8; 2]]| {
        let mut session = base.session();
        let first_hello = 1;
        let sent = alerts.iter().map(|alert| (Side::Client, record(21, alert)));
        session.records.splice(first_hello..first_hello, sent);
        session
    };
    assert_sealed(&base.judged_session(&with(&[[1, 90], [1, 112]])));
    assert_doubted(&base.judged_session(&with(&[[1, 90], [1, 112], [1, 90]])), UNEXPLAINED);
    assert_doubted(&base.judged_session(&with(&[[1, base.data[0]]])), UNEXPLAINED);
}

#[test]
fn randoms_and_session_id() {
    let base = Base::new();
    let with = |echo: [u8; 32]| {
        let mut session = base.session();
        session.change_client_hello(|hello| {
            hello.random = base.bytes(0);
            hello.session_id = base.bytes::<32>(0).to_vec();
        });
        session.change_server_hello(|body| {
            body[2..34].copy_from_slice(&base.bytes::<32>(1));
            body[35..67].copy_from_slice(&echo);
        });
        session
    };
    assert_sealed(&base.judged_session(&with(base.bytes(0))));
    let mut other = base.bytes(0);
    other[0] ^= 1;
    assert_doubted(&base.judged_session(&with(other)), UNEXPLAINED);
}

/// The share of a group of which the server takes no notice.
#[test]
fn key_shares() {
    let base = Base::new();
    let with = |len: usize| {
        base.judged_hello(|hello| {
            const KEY_SHARE: u16 = 51;
            const SECP384R1: [u8; 2] = [0, 24];
            let share: Vec<u8> = base.data.iter().copied().cycle().take(len).collect();
            let contents = hello.extension(KEY_SHARE);
            let shares = [&contents[2..], &SECP384R1, &vec16(&share)].concat();
            *contents = vec16(&shares);
        })
    };
    assert_sealed(&with(97));
    assert_doubted(&with(98), UNEXPLAINED);
}

#[test]
fn cookie() {
    let base = Base::new();
    const COOKIE: u16 = 44;
    assert_sealed(&base.judged_hello(|hello| hello.with(COOKIE, vec16(&base.data))));
    let behind = [vec16(&[]), base.data.clone()].concat();
    assert_doubted(&base.judged_hello(|hello| hello.with(COOKIE, behind)), UNEXPLAINED);
}

#[test]
fn session_tickets_identities_and_binders() {
    let base = Base::new();
    const SESSION_TICKET: u16 = 35;
    const PRE_SHARED_KEY: u16 = 41;
    const PADDING: u16 = 21;
    let age: [u8; 4] = base.bytes(3);
    let identities = vec16(&[vec16(&base.data), age.to_vec()].concat());
    let binder = |len: usize| [&[len as u8][..], &base.data[..len]].concat();
    let offer = |len: usize| [identities.clone(), vec16(&binder(len))].concat();
    assert_sealed(&base.judged_hello(|hello| hello.with(SESSION_TICKET, base.data.clone())));
    assert_sealed(&base.judged_hello(|hello| hello.with(PRE_SHARED_KEY, offer(32))));
    assert_doubted(&base.judged_hello(|hello| hello.with(PRE_SHARED_KEY, offer(31))), UNEXPLAINED);
    assert_doubted(&base.judged_hello(|hello| hello.with(PADDING, base.data.clone())), UNEXPLAINED);
}

#[test]
fn host_name() {
    let base = Base::new();
    const SERVER_NAME: u16 = 0;
    let name: String = base.data.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let host = [&[0][..], &vec16(name.as_bytes())].concat();
    assert_sealed(&base.judged_hello(|hello| hello.with(SERVER_NAME, vec16(&host))));
    let twice = vec16(&host.repeat(2));
    assert_doubted(&base.judged_hello(|hello| hello.with(SERVER_NAME, twice)), UNEXPLAINED);
}

#[test]
fn trust_anchors() {
    let base = Base::new();
    const TRUST_ANCHORS: u16 = 0xca34;
    // The last byte of an identifier has no continuation bit.
    let with = |last: u8| {
        let anchor = [&[base.data.len() as u8 + 1][..], &base.data, &[last]].concat();
        base.judged_hello(|hello| hello.with(TRUST_ANCHORS, vec16(&anchor)))
    };
    assert_sealed(&with(1));
    assert_doubted(&with(0x81), UNEXPLAINED);
}

#[test]
fn outer_form_of_an_encrypted_hello() {
    let base = Base::new();
    const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
    let with = |kind: u8| {
        let outer = [&[kind, 0, 1, 0, 1, 5][..], &vec16(&base.data), &vec16(&base.data)].concat();
        base.judged_hello(|hello| hello.with(ENCRYPTED_CLIENT_HELLO, outer))
    };
    assert_sealed(&with(0));
    assert_doubted(&with(1), UNEXPLAINED);
}

/// Each order, and each selection, is a number.
#[test]
fn offered_values_and_their_order() {
    let base = Base::new();
    let residue = base.judged_hello(|hello| {
        let by = usize::from(base.data[0]) % hello.extensions.len();
        hello.extensions.rotate_left(by);
        hello.suites.reverse();
        hello.suites.push(0xc000 | u16::from(base.data[1] % 0x80 + 1));
    });
    assert_sealed(&residue);
    // No number of a suite, and none that RFC 8701 reserves.
    let unknown = u16::from_be_bytes([base.data[0], 0x77]);
    assert_doubted(&base.judged_hello(|hello| hello.suites.push(unknown)), UNEXPLAINED);
}

#[test]
fn reserved_values() {
    let base = Base::new();
    let digit = base.data[0] & 15;
    let grease = u16::from_be_bytes([digit << 4 | 10; 2]);
    assert_sealed(&base.judged_hello(|hello| {
        hello.suites.insert(0, grease);
        hello.with(grease, vec![0]);
    }));
    assert_doubted(&base.judged_hello(|hello| hello.with(grease, base.data[..1].to_vec())), UNEXPLAINED);
    assert_doubted(&base.judged_hello(|hello| hello.with(grease | 0x0100, vec![0])), UNEXPLAINED);
}

// TLS under the keys

/// The server knows its keystream, so that it can choose what the ciphertext of a ticket is.
#[test]
fn ciphertext_of_what_is_read_under_the_keys() {
    let base = Base::new();
    let mut session = base.session();
    session.spell_in_ticket(&base.data);
    assert_sealed(&base.judged_session(&session));
    // A known string is found there, and an inner record of no protocol is a doubt.
    let mut session = base.session();
    session.spell_in_ticket(base.run.canary("https").as_bytes());
    assert_eq!(base.judged_session(&session).verdict("mine"), "exposed");
    let mut session = base.session();
    session.spell_in_record(99, &base.data);
    assert_doubted(&base.judged_session(&session), UNEXPLAINED);
}

// Anywhere

#[test]
fn short_part_of_a_message() {
    let base = Base::new();
    const COOKIE: u16 = 44;
    let journal = base.run.journal("https", "agent-a");
    let bodies: Vec<&[u8]> =
        journal.iter().map(|line| line["body"].as_str().expect("a body").as_bytes()).collect();
    let judged = |part: &[u8]| {
        let mut session = base.session();
        session.change_client_hello(|hello| hello.with(COOKIE, vec16(part)));
        let folder = Copied::empty();
        folder.write_records("mine", ETHERNET, &base.with_session(&session));
        folder.write("mine.keys", session.key_log());
        folder.write("sent.jsonl", base.run.read("https.agent-a.jsonl"));
        folder.write("answered.jsonl", base.run.read("https.agent-b.jsonl"));
        let flags = ["mine.pcap", "--journal", "sent.jsonl", "--journal", "answered.jsonl"];
        let mut command = analyze_command();
        command.args(flags).args(["--keys", "mine.keys", "--scope", "all", "--format", "json"]);
        Judged::of(&command.current_dir(folder.folder()).output().expect("analyze starts"))
    };
    let body = &bodies[4][bodies[4].len() / 2..];
    assert_sealed(&judged(&body[..12]));
    assert_eq!(judged(&body[..47]).verdict("mine"), "exposed");

    // A text that ends in dots.
    let padding_of = |body: &&[u8]| body.windows(47).position(|part| part == [b'.'; 47]);
    let (body, at) =
        bodies.iter().find_map(|body| Some((*body, padding_of(body)?))).expect("a text is padded");
    let ends_in_padding = |before: usize| &body[at - before..][..47];
    assert_sealed(&judged(ends_in_padding(3)));
    assert_eq!(judged(ends_in_padding(9)).verdict("mine"), "exposed");
}

// The list

/// The last cells of the rows of the list: the tests that show them.
fn listed() -> Vec<&'static str> {
    let page = include_str!("../../../docs/exposure.md");
    let section = page.split("### What `sealed` does not prove").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("it ends");
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-")).skip(1);
    let last = |row: &'static str| row.trim_matches('|').rsplit('|').next().unwrap_or_default().trim();
    rows.map(|row| last(row).trim_matches('`')).collect()
}

#[test]
fn every_line_of_the_list_has_a_test_and_every_test_a_line() {
    let source = include_str!("residue.rs");
    let tests =
        source.split("#[test]\nfn ").skip(1).filter_map(|test| test.split_once('(')).map(|(name, _)| name);
    let about_no_field =
        ["unchanged_run_and_session_are_sealed", "every_line_of_the_list_has_a_test_and_every_test_a_line"];
    let tests: Vec<_> = tests.filter(|name| !about_no_field.contains(name)).collect();
    assert_eq!(listed(), tests, "in the same order");
}
