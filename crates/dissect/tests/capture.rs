//! Decodes capture files made by `craft`: whole, in pieces, cut short, damaged.

use craft::{Endian, pcap, pcapng};
use dissect::capture::{
    CaptureError, Decoder, MAX_FRAME_LEN, MAX_INTERFACES, MAX_SECRETS_LEN, Rule, SkippedBlocks, Step,
    Truncation, Unfinished,
};
use proptest::prelude::*;

const AT: u64 = 1_700_000_000_123_456_789;

/// A record without its borrow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    frame: u64,
    captured_at: u64,
    link_type: u16,
    interface: u32,
    original_len: u32,
    bytes: Vec<u8>,
    file_offset: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    records: Vec<Seen>,
    secrets: Vec<Vec<u8>>,
    dropped: u64,
    error: Option<CaptureError>,
    truncation: Option<Truncation>,
}

/// Reads a file that arrives `piece` bytes at a time.
fn read(file: &[u8], piece: usize) -> Read {
    let mut decoder = Decoder::new();
    let mut read = Read::default();
    let (mut start, mut end) = (0, 0);
    loop {
        let input = &file[start..end];
        match decoder.step(input) {
            Ok(Step::Record { consumed, record }) => {
                assert!((1..=input.len()).contains(&consumed));
                assert_eq!(&file[record.file_offset as usize..][..record.bytes.len()], record.bytes);
                assert_eq!(record.is_truncated(), record.original_len as usize > record.bytes.len());
                read.records.push(Seen {
                    frame: record.frame,
                    captured_at: record.captured_at,
                    link_type: record.link_type.0,
                    interface: record.interface,
                    original_len: record.original_len,
                    bytes: record.bytes.to_vec(),
                    file_offset: record.file_offset,
                });
                start += consumed;
            }
            Ok(Step::Secrets { consumed, key_log }) => {
                assert!((1..=input.len()).contains(&consumed));
                read.secrets.push(key_log.to_vec());
                start += consumed;
            }
            Ok(Step::Skipped { consumed }) => {
                assert!((1..=input.len()).contains(&consumed));
                start += consumed;
            }
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > input.len(), "asked for {at_least} bytes, has {}", input.len());
                assert!(at_least <= MAX_SECRETS_LEN as usize);
                if end == file.len() {
                    break;
                }
                end = file.len().min(end + piece);
            }
            Err(error) => {
                assert_eq!(decoder.step(input), Err(error.clone()), "an error stays");
                read.error = Some(error);
                return read;
            }
        }
    }
    assert_eq!(decoder.position(), start as u64);
    assert_eq!(decoder.frames(), read.records.len() as u64);
    read.dropped = decoder.dropped();
    read.truncation = decoder.finish(&file[start..]);
    read
}

fn classic(endian: Endian, resolution: pcap::Resolution) -> Vec<u8> {
    let format = pcap::Format { endian, resolution, snaplen: 5, link_type: 101 };
    let mut writer = pcap::Writer::with_format(Vec::new(), format).unwrap();
    for (i, bytes) in [&b"abc"[..], b"", b"longer"].iter().enumerate() {
        writer.write(AT + i as u64 * 1_000, bytes.len() as u32, bytes).unwrap();
    }
    writer.into_inner()
}

/// Every block in both byte orders, two sections, two interfaces with clocks of their own.
fn modern(first: Endian, second: Endian) -> Vec<u8> {
    let mut writer = pcapng::Writer::new(Vec::new(), first).unwrap();
    writer.interface(1, 0, &[(pcapng::COMMENT, b"micros")]).unwrap();
    writer.interface(101, 4, &[(pcapng::IF_TSRESOL, &[9]), (2, b"eth0")]).unwrap();
    writer.name([192, 0, 2, 1], "host.example").unwrap();
    writer.enhanced(1, AT, 3, b"abc", &[(pcapng::COMMENT, b"with options")]).unwrap();
    writer.key_log(b"CLIENT_RANDOM 00 11\n").unwrap();
    writer.enhanced(0, AT / 1_000, 9, b"defg", &[]).unwrap();
    writer.secrets(0x5747_4b4c, b"not TLS").unwrap();
    writer.obsolete(1, 7, AT + 1, 2, b"hi").unwrap();
    writer.section(second).unwrap();
    let offset = writer.tsoffset(1_000_000_000);
    let options = [(pcapng::IF_TSOFFSET, &offset[..]), (pcapng::IF_TSRESOL, &[0x80 | 10][..])];
    writer.interface(113, 5, &options).unwrap();
    writer.simple(9, b"snapp").unwrap();
    writer.block(pcapng::INTERFACE_STATISTICS, &[0; 12]).unwrap();
    writer.block(0x8000_0bad, b"a custom block, unknown").unwrap();
    writer.enhanced(0, 1024 + 512, 1, b"z", &[]).unwrap();
    writer.into_inner()
}

fn samples() -> Vec<Vec<u8>> {
    use Endian::{Big, Little};
    use pcap::Resolution::{Micros, Nanos};
    vec![
        classic(Little, Nanos),
        classic(Little, Micros),
        classic(Big, Nanos),
        classic(Big, Micros),
        modern(Little, Little),
        modern(Little, Big),
        modern(Big, Little),
        modern(Big, Big),
    ]
}

/// Frame, time, link type, interface, original length, bytes.
type Row<'a> = (u64, u64, u16, u32, u32, &'a [u8]);

fn rows(read: &Read) -> Vec<Row<'_>> {
    read.records
        .iter()
        .map(|r| (r.frame, r.captured_at, r.link_type, r.interface, r.original_len, &r.bytes[..]))
        .collect()
}

#[test]
fn reads_a_known_pcap_file() {
    for endian in [Endian::Little, Endian::Big] {
        let file = classic(endian, pcap::Resolution::Nanos);
        let whole = read(&file, file.len());
        let expected = [
            (1, AT, 101, 0, 3, &b"abc"[..]),
            (2, AT + 1_000, 101, 0, 0, b""),
            (3, AT + 2_000, 101, 0, 6, b"longe"),
        ];
        assert_eq!(rows(&whole), expected);
        assert_eq!(whole.records.iter().map(|r| r.file_offset).collect::<Vec<_>>(), [40, 59, 75]);
        assert_eq!((whole.error, whole.truncation), (None, None));
        let micros = read(&classic(endian, pcap::Resolution::Micros), 1_000);
        assert_eq!(micros.records[0].captured_at, AT - 789);
    }
}

#[test]
fn reads_a_known_pcapng_file() {
    for (first, second) in [(Endian::Little, Endian::Big), (Endian::Big, Endian::Little)] {
        let file = modern(first, second);
        let whole = read(&file, file.len());
        let expected = [
            (1, AT, 101, 1, 3, &b"abc"[..]),
            (2, AT - 789, 1, 0, 9, b"defg"),
            (3, AT + 1, 101, 1, 2, b"hi"),
            (4, 0, 113, 0, 9, b"snapp"),
            (5, 1_000_000_001_500_000_000, 113, 0, 1, b"z"),
        ];
        assert_eq!(rows(&whole), expected);
        assert_eq!(whole.secrets, [b"CLIENT_RANDOM 00 11\n"]);
        assert_eq!((whole.error, whole.truncation), (None, None));
    }
}

#[test]
fn reads_the_same_frames_in_any_division() {
    for file in samples() {
        let whole = read(&file, file.len());
        for piece in [1, 2, 3, 7, 16, 33] {
            assert_eq!(read(&file, piece), whole, "in pieces of {piece}");
        }
    }
}

#[test]
fn reads_a_truncated_file_up_to_its_end_and_reports_it() {
    for file in samples() {
        let whole = read(&file, file.len());
        // Where a block or record ends, the file may end.
        let mut ends = Vec::new();
        let (mut decoder, mut at) = (Decoder::new(), 0);
        while let Step::Record { consumed, .. }
        | Step::Secrets { consumed, .. }
        | Step::Skipped { consumed } = decoder.step(&file[at..]).unwrap()
        {
            at += consumed;
            ends.push(at);
        }
        for length in 0..file.len() {
            let cut = read(&file[..length], length.max(1));
            assert_eq!(cut.error, None);
            assert_eq!(cut.records[..], whole.records[..cut.records.len()]);
            let next = cut.records.len() as u64 + 1;
            match cut.truncation {
                None => assert!(ends.contains(&length), "cut at {length}, and not reported"),
                Some(t) => {
                    // A block that is skipped in two pieces may end only behind the second.
                    assert!(t.available < t.needed, "{t}");
                    assert_eq!(t.file_offset + t.available, length as u64);
                    match t.unfinished {
                        Unfinished::Frame(frame) => assert_eq!(frame, next),
                        Unfinished::FileHeader => assert!(cut.records.is_empty()),
                        Unfinished::Block => assert_eq!(&file[..4], b"\n\r\r\n"),
                    }
                }
            }
        }
    }
}

#[test]
fn displays_truncations() {
    let file = classic(Endian::Little, pcap::Resolution::Nanos);
    let say = |length: usize| read(&file[..length], 1_000).truncation.unwrap().to_string();
    assert_eq!(say(0), "the file is empty");
    assert_eq!(say(10), "the file ends inside its header (file offset 0: 10 of 24 bytes)");
    assert_eq!(say(77), "the file ends inside the record of frame 3 (file offset 59: 18 of 21 bytes)");
    assert_eq!(say(60), "the file ends inside the record of frame 3 (file offset 59: 1 of 16 bytes)");
}

#[test]
fn names_the_format_of_files_that_are_not_captures() {
    let say = |bytes: &[u8]| read(bytes, bytes.len()).error.unwrap().to_string();
    assert_eq!(say(b"{\"id\": 1}"), "not a pcap or pcapng file: it begins with 7b 22 69 64 (\"{\\\"id\")");
    assert_eq!(say(&[0; 100]), "not a pcap or pcapng file: it begins with 00 00 00 00");
    assert_eq!(
        say(&[0x1f, 0x8b, 8, 0, 0]),
        "the file is compressed with gzip: unpack it first, for instance by `gzip -dc FILE`"
    );
    assert!(say(&[0x28, 0xb5, 0x2f, 0xfd, 0]).contains("zstd -dc"));
    assert!(say(&[0x34, 0xcd, 0xb2, 0xa1]).contains("modified pcap"));
    let mut old = classic(Endian::Little, pcap::Resolution::Nanos);
    old[6] = 2;
    assert_eq!(say(&old), "pcap version 2.2 is not read (file offset 4)");
}

#[test]
fn rejects_a_captured_length_above_the_bound_before_buffering() {
    for endian in [Endian::Little, Endian::Big] {
        let mut file = classic(endian, pcap::Resolution::Nanos);
        file[43 + 8..43 + 12].fill(0xff);
        let read = read(&file, file.len());
        assert_eq!(read.records.len(), 1);
        assert_eq!(
            read.error.unwrap().to_string(),
            "damaged capture at file offset 43, before frame 2 is whole: \
             the captured length is 4294967295, at most 262144 is possible"
        );
    }
}

#[test]
fn reads_the_largest_frame() {
    let bytes = vec![7; MAX_FRAME_LEN as usize];
    let mut writer = pcap::Writer::new(Vec::new(), 1, pcap::FULL_SNAPLEN).unwrap();
    writer.write(1, MAX_FRAME_LEN, &bytes).unwrap();
    let classic = writer.into_inner();
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    writer.interface(1, 0, &[]).unwrap();
    writer.enhanced(0, 1, MAX_FRAME_LEN, &bytes, &[(pcapng::COMMENT, &[b'x'; 65_535])]).unwrap();
    for file in [classic, writer.into_inner()] {
        let read = read(&file, 65_536);
        assert_eq!((read.error, read.records.len()), (None, 1));
        assert_eq!(read.records[0].bytes, bytes);
    }
}

/// One interface, one packet block, then `damage`.
fn damaged(damage: impl FnOnce(&mut [u8])) -> CaptureError {
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    writer.interface(1, 0, &[]).unwrap();
    let start = writer.get_mut().len();
    writer.enhanced(0, 1, 3, b"abc", &[]).unwrap();
    let mut file = writer.into_inner();
    damage(&mut file[start..]);
    read(&file, file.len()).error.unwrap()
}

#[test]
fn rejects_damaged_blocks_and_names_the_field() {
    let rule = |error| match error {
        CaptureError::Damaged { frame: 1, offset: 48, field, value, rule } => (field, value, rule),
        other => panic!("{other}"),
    };
    assert_eq!(rule(damaged(|b| b[4] = 37)), ("the block length", 37, Rule::MultipleOf(4)));
    assert_eq!(rule(damaged(|b| b[4] = 28)), ("the block length", 28, Rule::AtLeast(32)));
    assert_eq!(rule(damaged(|b| b[7] = 1)).2, Rule::AtMost(u64::from(2 * MAX_FRAME_LEN)));
    assert_eq!(rule(damaged(|b| b[8] = 1)), ("the interface number", 1, Rule::BelowInterfaces(1)));
    assert_eq!(rule(damaged(|b| b[20] = 5)), ("the captured length", 5, Rule::AtMost(4)));
    assert_eq!(rule(damaged(|b| b[20..24].fill(0xff))).1, u64::from(u32::MAX));
    assert_eq!(rule(damaged(|b| b[32] = 40)), ("the block length repeated at the end", 40, Rule::Equal(36)));
}

#[test]
fn counts_the_blocks_that_it_skips() {
    for (first, second) in [(Endian::Little, Endian::Big), (Endian::Big, Endian::Little)] {
        let mut file = pcapng::Writer::new(modern(first, second), second).unwrap();
        file.interface(1, 0, &[]).unwrap();
        file.block(0xbad, &[0, 0, 1, 2]).unwrap();
        file.block(0x4000_0bad, &[0, 0, 1, 2]).unwrap();
        file.enhanced(0, 0, 1, b"z", &[]).unwrap();
        let file = file.into_inner();
        let mut decoder = Decoder::new();
        let mut rest = &file[..];
        while let Ok(step) = decoder.step(rest)
            && step.consumed() > 0
        {
            rest = &rest[step.consumed()..];
        }
        assert!(rest.is_empty());
        let expected =
            SkippedBlocks { name_resolution: 1, statistics: 1, other_secrets: 1, custom: 2, unknown: 1 };
        assert_eq!(decoder.skipped_blocks(), expected);
    }
    assert_eq!(Decoder::new().skipped_blocks(), SkippedBlocks::default());
}

/// A section in each byte order with interfaces of its own: a number means another interface in each.
#[test]
fn interfaces_have_links_and_clocks_of_their_own() {
    let mut file = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    for order in [Endian::Big, Endian::Little, Endian::Big] {
        file.section(order).unwrap();
        for (interface, (link_type, resolution)) in [(1, 6), (105, 9), (113, 3)].into_iter().enumerate() {
            let back = file.tsoffset(-1);
            let options = [(pcapng::IF_TSRESOL, &[resolution][..]), (pcapng::IF_TSOFFSET, &back)];
            file.interface(link_type, 0, &options).unwrap();
            let time = 3 * 10_u64.pow(resolution.into());
            file.enhanced(interface as u32, time, 1, b"z", &[]).unwrap();
        }
    }
    let read = read(&file.into_inner(), 7);
    assert_eq!(read.error, None);
    assert_eq!(read.records.len(), 9);
    for records in read.records.chunks(3) {
        let links: Vec<_> =
            records.iter().map(|record| (record.interface, record.link_type, record.captured_at)).collect();
        assert_eq!(links, [(0, 1, 2_000_000_000), (1, 105, 2_000_000_000), (2, 113, 2_000_000_000)]);
    }
}

#[test]
fn skips_unknown_blocks_of_any_length() {
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Big).unwrap();
    writer.interface(1, 0, &[]).unwrap();
    writer.block(0x0bad, &vec![1; 3 << 20]).unwrap();
    writer.enhanced(0, 1, 1, b"x", &[]).unwrap();
    let file = writer.into_inner();
    let mut decoder = Decoder::new();
    let (mut at, mut frames) = (0, 0);
    while at < file.len() {
        let window = &file[at..file.len().min(at + 4096)];
        match decoder.step(window).unwrap() {
            Step::Record { consumed, .. } => {
                frames += 1;
                at += consumed;
            }
            Step::Skipped { consumed } => at += consumed,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((frames, decoder.finish(&[])), (1, None));
}

#[test]
fn rejects_more_interfaces_than_the_bound() {
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    for _ in 0..=MAX_INTERFACES {
        writer.interface(1, 0, &[]).unwrap();
    }
    let file = writer.into_inner();
    let error = read(&file, file.len()).error.unwrap().to_string();
    assert!(error.ends_with("the number of interfaces is 65537, at most 65536 is possible"), "{error}");
}

#[test]
fn reads_times_of_every_resolution() {
    // if_tsresol, time, nanoseconds
    let table: [(u8, u64, u64); 9] = [
        (0, 3, 3_000_000_000),
        (3, 1_500, 1_500_000_000),
        (6, AT / 1_000, AT - 789),
        (9, AT, AT),
        (12, 1_500_000, 1_500),
        (127, u64::MAX, 0),
        (0x80, 2, 2_000_000_000),
        (0x80 | 32, 1 << 31, 500_000_000),
        (0, u64::MAX, u64::MAX),
    ];
    for (resolution, time, nanos) in table {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
        writer.interface(1, 0, &[(pcapng::IF_TSRESOL, &[resolution])]).unwrap();
        writer.enhanced(0, time, 0, b"", &[]).unwrap();
        let read = read(&writer.into_inner(), 1_000);
        assert_eq!(read.records[0].captured_at, nanos, "if_tsresol {resolution}, time {time}");
    }
}

#[test]
fn rejects_a_packet_before_any_interface() {
    for simple in [false, true] {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
        if simple {
            writer.simple(1, b"x").unwrap();
        } else {
            writer.enhanced(0, 1, 1, b"x", &[]).unwrap();
        }
        let error = read(&writer.into_inner(), 1_000).error.unwrap();
        assert!(matches!(error, CaptureError::Damaged { rule: Rule::BelowInterfaces(0), .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..9usize) {
        let mut file = samples().get(kind).map_or(Vec::new(), |sample| sample[..28].to_vec());
        file.extend_from_slice(&bytes);
        let whole = read(&file, file.len().max(1));
        prop_assert_eq!(whole, read(&file, 1));
    }

    #[test]
    fn damaged_files_cause_no_panic(kind in 0..8usize, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut file = samples()[kind].clone();
        for (at, value) in hits {
            let at = at.index(file.len());
            file[at] = value;
        }
        let whole = read(&file, file.len());
        prop_assert_eq!(whole, read(&file, 5));
    }
}

/// The drops that each file reports, read whole and byte by byte.
#[test]
fn counts_the_drops_that_a_capture_reports() {
    use pcapng::BlockOption;
    /// Options of packets on two interfaces, in turn; then statistics, by interface.
    fn read_with_options(
        endian: Endian,
        packets: &[&[BlockOption<'_>]],
        statistics: &[(u32, &[BlockOption<'_>])],
    ) -> Read {
        let number =
            |value: u16| if endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut writer = pcapng::Writer::new(Vec::new(), endian).unwrap();
        writer.interface(1, 0, &[]).unwrap();
        writer.interface(1, 0, &[]).unwrap();
        for (at, options) in packets.iter().enumerate() {
            writer.enhanced(at as u32 % 2, 1, 5, b"bytes", options).unwrap();
        }
        for (interface, options) in statistics {
            let interface =
                if endian == Endian::Big { interface.to_be_bytes() } else { interface.to_le_bytes() };
            let mut body = [&interface[..], &[0; 8]].concat();
            for (code, value) in *options {
                body.extend([number(*code), number(value.len() as u16)].concat());
                body.extend(*value);
                body.resize(body.len().next_multiple_of(4), 0);
            }
            writer.block(pcapng::INTERFACE_STATISTICS, &body).unwrap();
        }
        // Another section numbers its interfaces from 0 again; earlier drops still count.
        writer.section(endian).unwrap();
        let file = writer.into_inner();
        let whole = read(&file, file.len());
        assert_eq!(read(&file, 1), whole);
        whole
    }
    for endian in [Endian::Little, Endian::Big] {
        let number =
            |value: u64| if endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        let (three, four, most) = (number(3), number(4), number(u64::MAX));
        let dropped = |packets: &[&[_]], statistics: &[_]| {
            let read = read_with_options(endian, packets, statistics);
            assert_eq!(read.error, None);
            read.dropped
        };
        assert_eq!(dropped(&[&[], &[(pcapng::COMMENT, b"no drops")]], &[(0, &[]), (1, &[])]), 0);
        assert_eq!(dropped(&[&[(4, &three)], &[(4, &four)], &[(2, &[0; 4]), (4, &three)]], &[]), 10);
        // Both count the same packets; statistics continue counting. isb_filteraccept and isb_ifrecv are no drops.
        let counted: [(u32, &[BlockOption<'_>]); 3] = [
            (0, &[(5, &three)]),
            (0, &[(5, &three), (7, &four)]),
            (1, &[(4, &most), (6, &most), (7, &three)]),
        ];
        assert_eq!(dropped(&[&[(4, &three)]], &counted), 10);
        assert_eq!(dropped(&[&[(4, &most)], &[(4, &most)]], &[]), u64::MAX);
        // Options that are not 8 bytes long, or behind the end of the list.
        assert_eq!(dropped(&[&[(4, &three[..4])], &[(0, b""), (4, &three)]], &[]), 0);
        let read = read_with_options(endian, &[], &[(2, &[])]);
        assert!(matches!(
            read.error,
            Some(CaptureError::Damaged { field: "the interface number", value: 2, .. })
        ));
    }
    // An option whose length exceeds the block.
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    writer.interface(1, 0, &[]).unwrap();
    writer
        .block(pcapng::INTERFACE_STATISTICS, &[&[0; 12][..], &[5, 0, 0xff, 0xff], &[1; 8]].concat())
        .unwrap();
    let file = writer.into_inner();
    assert_eq!((read(&file, file.len()).dropped, read(&file, 1).error), (0, None));
}

#[test]
fn counts_the_drops_of_obsolete_packets_if_known() {
    for (drops, dropped) in [(0, 0), (7, 7), (u16::MAX, 0)] {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Big).unwrap();
        writer.interface(1, 0, &[]).unwrap();
        writer.obsolete(0, drops, 1, 5, b"bytes").unwrap();
        assert_eq!(read(&writer.into_inner(), 1 << 16).dropped, dropped);
    }
}
