//! Content codings: compression of HTTP bodies (RFC 9110 §8.4).
//!
//! gzip (RFC 1952), deflate (RFC 1950 and, because servers have always sent it too, RFC 1951), br (RFC 7932), zstd (RFC
//! 8878). Decoding streams through one fixed buffer, so a compression bomb costs a bounded time and no memory.

use std::borrow::BorrowMut;
use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

pub use crate::coding::Coding;

/// Maximum number of decoded bytes of one body. Tool calls are far shorter; a bomb of 1:1000 ends here. Beyond it,
/// decoding ends with [`Outcome::TooLarge`].
pub const MAX_DECODED: u64 = 256 << 20;

/// Maximum number of decoded bytes for each coded byte, above [`FREE_DECODED`]. JSON shrinks to a tenth, logs to a
/// hundredth; only bombs exceed this. It limits the time that a capture full of them can cost. Beyond it, decoding ends
/// with [`Outcome::TooLarge`].
pub const MAX_RATIO: u64 = 128;

/// Number of decoded bytes that any body may have, however short it is.
pub const FREE_DECODED: u64 = 64 << 10;

/// Maximum number of codings of one body; servers use one, proxies rarely two.
pub const MAX_STACK: usize = 4;

/// Maximum size of a piece of decoded bytes.
const PIECE: usize = 64 << 10;

/// Largest window that a zstd frame may ask for: RFC 8878 §3.1.1.1.2 recommends decoders to support 8 MiB.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// How decoding ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole body was decoded.
    Complete,
    /// The data is malformed or ends early. Everything decoded before that is valid.
    Malformed(String),
    /// The body exceeds [`MAX_DECODED`], [`MAX_RATIO`] or [`MAX_STACK`].
    TooLarge,
    /// A coding is unknown, so nothing was decoded.
    Unsupported,
}

/// Decodes bodies one after the other with the same buffer.
#[derive(Debug)]
pub struct Decoder {
    piece: Box<[u8]>,
    /// One for each layer of gzip or deflate in the longest stack so far. Each has a window of 32 KiB: to allocate it for
    /// every body takes a fifth of the time of a capture with small bodies, and fragments the memory.
    inflaters: Vec<flate2::Decompress>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { piece: vec![0; PIECE].into_boxed_slice(), inflaters: Vec::new() }
    }
}

impl Decoder {
    /// Undoes `codings` on `coded`, outermost first, and passes the text to `text` piece by piece.
    pub fn decode(&mut self, codings: &[Coding], coded: &[u8], text: impl FnMut(&[u8])) -> Outcome {
        self.decode_up_to(MAX_DECODED, codings, coded, text)
    }

    /// Likewise, with a limit of its own on the number of decoded bytes.
    pub fn decode_up_to(
        &mut self,
        limit: u64,
        codings: &[Coding],
        coded: &[u8],
        mut text: impl FnMut(&[u8]),
    ) -> Outcome {
        if codings.contains(&Coding::Unknown) {
            return Outcome::Unsupported;
        }
        if codings.len() > MAX_STACK {
            return Outcome::TooLarge;
        }
        // A response to HEAD lists the codings of a body that it does not have.
        if coded.is_empty() {
            return Outcome::Complete;
        }
        match self.read(limit, codings, coded, &mut text) {
            Ok(()) => Outcome::Complete,
            Err(Stopped::TooLarge) => Outcome::TooLarge,
            Err(Stopped::Malformed(why)) => Outcome::Malformed(why),
        }
    }

    fn read(
        &mut self,
        limit: u64,
        codings: &[Coding],
        coded: &[u8],
        text: &mut impl FnMut(&[u8]),
    ) -> Result<(), Stopped> {
        let limit = limit.min(MAX_DECODED).min(FREE_DECODED + MAX_RATIO * coded.len() as u64);
        let Self { piece, inflaters } = self;
        inflaters.resize_with(inflaters.len().max(codings.len()), || flate2::Decompress::new(false));
        let mut inflaters = inflaters.iter_mut();
        let (innermost, outer) = codings.split_last().unwrap_or((&Coding::Identity, &[]));
        let mut below: Box<dyn BufRead + '_> = Box::new(coded);
        for coding in outer {
            below = Box::new(BufReader::new(layer(*coding, below, inflaters.next())?));
        }
        let mut reader = layer(*innermost, below, inflaters.next())?;
        let mut total = 0;
        loop {
            // Not more than one byte beyond the limit: a short body costs no whole piece.
            let room = usize::try_from(limit.saturating_sub(total).saturating_add(1)).unwrap_or(usize::MAX);
            let room = room.min(piece.len());
            match reader.read(piece.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Ok(()),
                Ok(len) => {
                    total += len as u64;
                    text(piece.get(..len).unwrap_or_default());
                    if total > limit {
                        return Err(Stopped::TooLarge);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

enum Stopped {
    TooLarge,
    Malformed(String),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads the contents of a file or stream that is compressed as a whole, of any length: gzip with all its members, or
/// zstd with all its frames. Other codings are not those of files: their bytes stay as they are.
///
/// Reading keeps no more than the window of the format. Data that ends early gives an error of the kind
/// [`io::ErrorKind::UnexpectedEof`], or one with such an error among its sources.
pub fn file_reader<'a>(coding: Coding, compressed: impl BufRead + 'a) -> Box<dyn Read + 'a> {
    match coding {
        Coding::Gzip => Box::new(Inflate::new(Format::Gzip, compressed, flate2::Decompress::new(false))),
        Coding::Zstd => Box::new(Zstd::new(compressed)),
        _ => Box::new(compressed),
    }
}

/// Undoes one coding. gzip and deflate need an inflater.
fn layer<'a>(
    coding: Coding,
    inner: Box<dyn BufRead + 'a>,
    inflater: Option<&'a mut flate2::Decompress>,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match (coding, inflater) {
        (Coding::Gzip, Some(inflater)) => Box::new(Inflate::new(Format::Gzip, inner, inflater)),
        (Coding::Deflate, Some(inflater)) => {
            let mut inner = inner;
            let mut start = Vec::with_capacity(2);
            inner.by_ref().take(2).read_to_end(&mut start)?;
            let format = if is_zlib_header(&start) { Format::Zlib } else { Format::Bare };
            Box::new(Inflate::new(format, io::Cursor::new(start).chain(inner), inflater))
        }
        (Coding::Brotli, _) => Box::new(brotli_decompressor::Decompressor::new(inner, PIECE)),
        (Coding::Zstd, _) => Box::new(Zstd::new(inner)),
        (Coding::Identity | Coding::Unknown | Coding::Gzip | Coding::Deflate, _) => inner,
    })
}

/// What surrounds deflated data (RFC 1951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A series of members, each with a header and a checksum (RFC 1952 §2.2).
    Gzip,
    /// A header and a checksum (RFC 1950 §2.2).
    Zlib,
    /// Nothing. Servers send this, too, under the name that means zlib (RFC 9110 §8.4.1.2).
    Bare,
}

/// Inflates gzip, zlib or bare deflate with an inflater, its own or one that others have used before.
struct Inflate<R, I> {
    format: Format,
    inner: R,
    inflater: I,
    /// Checksum of the current gzip member.
    checksum: flate2::Crc,
    state: State,
}

/// What the input has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The header of a gzip member, or its end.
    Header,
    Data,
    End,
}

impl<R: BufRead, I: BorrowMut<flate2::Decompress>> Inflate<R, I> {
    fn new(format: Format, inner: R, mut inflater: I) -> Self {
        let state = if format == Format::Gzip { State::Header } else { State::Data };
        inflater.borrow_mut().reset(format == Format::Zlib);
        Self { format, inner, inflater, checksum: flate2::Crc::new(), state }
    }

    /// Reads the header of a gzip member (RFC 1952 §2.3), if another one follows.
    fn header(&mut self) -> io::Result<()> {
        const FHCRC: u8 = 1 << 1;
        const FEXTRA: u8 = 1 << 2;
        const FNAME: u8 = 1 << 3;
        const FCOMMENT: u8 = 1 << 4;
        if self.inner.fill_buf()?.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        let mut fixed = [0; 10];
        self.inner.read_exact(&mut fixed)?;
        let [0x1f, 0x8b, 8, flags, ..] = fixed else { return Err(malformed("a malformed gzip header")) };
        if flags & FEXTRA != 0 {
            let mut length = [0; 2];
            self.inner.read_exact(&mut length)?;
            self.skip(u64::from(u16::from_le_bytes(length)))?;
        }
        for _ in 0..(flags & (FNAME | FCOMMENT)).count_ones() {
            self.inner.skip_until(0)?;
        }
        if flags & FHCRC != 0 {
            self.skip(2)?;
        }
        self.inflater.borrow_mut().reset(false);
        self.checksum.reset();
        self.state = State::Data;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        io::copy(&mut self.inner.by_ref().take(length), &mut io::sink()).map(drop)
    }

    /// Inflates some data. Returns how many bytes it wrote, which may be none.
    fn data(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.inner.fill_buf()?;
        let is_at_end = input.is_empty();
        let inflater = self.inflater.borrow_mut();
        let (read_before, written_before) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(input, out, flate2::FlushDecompress::None)?;
        let written = (inflater.total_out() - written_before) as usize;
        let read = (inflater.total_in() - read_before) as usize;
        self.inner.consume(read);
        if self.format == Format::Gzip {
            self.checksum.update(out.get(..written).unwrap_or_default());
        }
        if status == flate2::Status::StreamEnd {
            self.end()?;
        } else if written == 0 && is_at_end {
            return Err(ended("deflate data that ends early"));
        }
        Ok(written)
    }

    /// Ends the data, and checks the trailer of a gzip member: a checksum, and a length that adds nothing to it.
    fn end(&mut self) -> io::Result<()> {
        if self.format != Format::Gzip {
            self.state = State::End;
            return Ok(());
        }
        let mut trailer = [0; 8];
        let whole = self.inner.read_exact(&mut trailer);
        whole.map_err(|_| ended("gzip data that ends inside its trailer"))?;
        let [c0, c1, c2, c3, ..] = trailer;
        if u32::from_le_bytes([c0, c1, c2, c3]) != self.checksum.sum() {
            return Err(malformed("gzip data with a wrong checksum"));
        }
        self.state = State::Header;
        Ok(())
    }
}

impl<R: BufRead, I: BorrowMut<flate2::Decompress>> Read for Inflate<R, I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Header => self.header()?,
                State::Data => match self.data(out)? {
                    0 => {}
                    written => return Ok(written),
                },
                State::End => return Ok(0),
            }
        }
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn ended(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

/// Checks CMF and FLG of a zlib stream: method 8, window at most 32 KiB, a multiple of 31 (RFC 1950 §2.2).
fn is_zlib_header(start: &[u8]) -> bool {
    match start {
        &[cmf, flg] => cmf & 0x0f == 8 && cmf >> 4 <= 7 && u16::from_be_bytes([cmf, flg]).is_multiple_of(31),
        _ => false,
    }
}

/// Concatenated zstd frames, including skippable ones (RFC 8878 §3.1).
struct Zstd<R> {
    inner: R,
    decoder: Box<FrameDecoder>,
    open: bool,
}

impl<R: Read> Zstd<R> {
    fn new(inner: R) -> Self {
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { inner, decoder, open: false }
    }

    /// Begins the next frame; `false` at the end of the input.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let mut first = [0];
            if self.inner.read(&mut first)? == 0 {
                return Ok(false);
            }
            match self.decoder.init(io::Cursor::new(first).chain(self.inner.by_ref())) {
                Ok(()) => {
                    self.open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.inner.by_ref().take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(self.inner.by_ref(), BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let len = self.decoder.read(buf)?;
            if len > 0 {
                return Ok(len);
            }
            self.open = !(self.decoder.is_finished() && self.decoder.can_collect() == 0);
            let stated = self.decoder.get_checksum_from_data();
            if !self.open && stated.is_some() && stated != self.decoder.get_calculated_checksum() {
                return Err(malformed("zstd data with a wrong checksum"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &str = r#"{"id":"call-0001","text":"안녕, \"plainsight\" 🙂"}"#;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra("extra")
            .write(Vec::new(), flate2::Compression::default());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn bare_deflate(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// A brotli stream of one uncompressed meta-block and an empty last one (RFC 7932 §9.2, §11.2).
    fn brotli_stored(text: &[u8]) -> Vec<u8> {
        let len = text.len() as u32 - 1;
        // WBITS=16 (0), ISLAST=0, MNIBBLES=4 (00), MLEN-1 (16 bits), ISUNCOMPRESSED=1, then to the byte border
        let bits = u64::from(len) << 4 | 1 << 20;
        let mut stream = bits.to_le_bytes()[..3].to_vec();
        stream.extend_from_slice(text);
        stream.push(0x03);
        stream
    }

    fn decode(codings: &[Coding], coded: &[u8]) -> (Outcome, Vec<u8>) {
        let mut text = Vec::new();
        let outcome = Decoder::default().decode(codings, coded, |piece| text.extend_from_slice(piece));
        (outcome, text)
    }

    fn samples() -> Vec<(Vec<Coding>, Vec<u8>)> {
        let text = TEXT.as_bytes();
        vec![
            (vec![], text.to_vec()),
            (vec![Coding::Gzip], gzip(text)),
            (vec![Coding::Deflate], zlib(text)),
            (vec![Coding::Deflate], bare_deflate(text)),
            (vec![Coding::Brotli], brotli_stored(text)),
            (vec![Coding::Zstd], zstd(text)),
            (vec![Coding::Gzip, Coding::Deflate], gzip(&zlib(text))),
            (vec![Coding::Deflate, Coding::Deflate], bare_deflate(&bare_deflate(text))),
        ]
    }

    #[test]
    fn decodes_every_coding() {
        for (codings, coded) in samples() {
            assert_eq!(
                decode(&codings, &coded),
                (Outcome::Complete, TEXT.as_bytes().to_vec()),
                "{codings:?}"
            );
        }
    }

    #[test]
    fn decodes_an_empty_body_to_nothing() {
        for (codings, _) in samples() {
            assert_eq!(decode(&codings, b""), (Outcome::Complete, Vec::new()), "{codings:?}");
        }
    }

    #[test]
    fn one_decoder_serves_many_bodies() {
        let mut decoder = Decoder::default();
        for (codings, coded) in samples().iter().chain(&samples()) {
            let mut text = Vec::new();
            decoder.decode(codings, &coded[..coded.len() / 2], |_| {});
            decoder.decode(codings, coded, |piece| text.extend_from_slice(piece));
            assert_eq!(text, TEXT.as_bytes(), "{codings:?}");
        }
    }

    #[test]
    fn decodes_consecutive_members_and_frames() {
        let (one, two) = TEXT.as_bytes().split_at(20);
        let members = [gzip(one), gzip(two)].concat();
        assert_eq!(decode(&[Coding::Gzip], &members).1, TEXT.as_bytes());
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
        let frames = [zstd(one), skippable.to_vec(), zstd(two)].concat();
        assert_eq!(decode(&[Coding::Zstd], &frames), (Outcome::Complete, TEXT.as_bytes().to_vec()));
    }

    #[test]
    fn reports_damage_without_panicking() {
        for (codings, coded) in samples().into_iter().skip(1) {
            for end in 0..coded.len() {
                decode(&codings, &coded[..end]);
            }
            for at in 0..coded.len() {
                let mut flipped = coded.clone();
                flipped[at] ^= 0x55;
                decode(&codings, &flipped);
            }
        }
        let mut wrong_checksum = gzip(TEXT.as_bytes());
        let at = wrong_checksum.len() - 8;
        wrong_checksum[at] ^= 1;
        assert!(matches!(decode(&[Coding::Gzip], &wrong_checksum).0, Outcome::Malformed(_)));
    }

    #[test]
    fn stops_a_bomb_at_the_bound() {
        let zeros = vec![0; 16 << 20];
        let bomb = gzip(&zeros);
        let mut total = 0;
        let outcome = Decoder::default().decode(&[Coding::Gzip], &bomb, |piece| total += piece.len() as u64);
        assert_eq!(outcome, Outcome::TooLarge);
        assert!(total <= FREE_DECODED + MAX_RATIO * bomb.len() as u64 + PIECE as u64);
    }

    #[test]
    fn an_unknown_coding_decodes_nothing() {
        let codings = [Coding::from_token(b"compress")];
        assert_eq!(decode(&codings, b"xyz"), (Outcome::Unsupported, vec![]));
        assert_eq!(Coding::from_token(b"X-GZip"), Coding::Gzip);
    }

    /// Whether an error, or one of its sources, says that data ended early.
    fn is_early_end(error: &io::Error) -> bool {
        let inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        let mut causes = std::iter::successors(inner, |cause| (*cause).source());
        let is_eof = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        is_eof(error) || causes.any(|cause| cause.downcast_ref().is_some_and(is_eof))
    }

    #[test]
    fn file_is_read_with_all_its_members_or_frames() {
        let text = TEXT.repeat(5000);
        for (coding, packed) in [
            (Coding::Gzip, [gzip(text.as_bytes()), gzip(b"second")].concat()),
            (Coding::Zstd, [zstd(text.as_bytes()), zstd(b"second")].concat()),
            (Coding::Identity, [text.as_bytes(), b"second"].concat()),
        ] {
            let mut contents = Vec::new();
            // A reader that hands over a few bytes at a time.
            file_reader(coding, BufReader::with_capacity(7, &packed[..])).read_to_end(&mut contents).unwrap();
            assert_eq!(contents, [text.as_bytes(), b"second"].concat(), "{coding:?}");
        }
    }

    #[test]
    fn cut_or_changed_file_is_an_error_that_distinguishes_the_two() {
        let read = |coding, packed: &[u8]| {
            let mut contents = Vec::new();
            file_reader(coding, packed).read_to_end(&mut contents).map(|_| contents)
        };
        for (coding, packed) in [(Coding::Gzip, gzip(TEXT.as_bytes())), (Coding::Zstd, zstd(TEXT.as_bytes()))]
        {
            for len in 1..packed.len() {
                let error = read(coding, &packed[..len]).expect_err("a file that is not whole");
                assert!(is_early_end(&error), "{coding:?}, {len} bytes: {error}");
            }
            for at in 0..packed.len() * 8 {
                let mut changed = packed.clone();
                changed[at / 8] ^= 1 << (at % 8);
                // Some bits of a header mean nothing for the contents; all others are noticed.
                if let Ok(contents) = read(coding, &changed) {
                    assert_eq!(contents, TEXT.as_bytes(), "{coding:?}, bit {at}");
                }
            }
        }
    }
}
