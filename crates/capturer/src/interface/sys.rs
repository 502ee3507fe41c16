//! The packet socket and its ring: the only module of the capturer with `unsafe` code.
//!
//! The frames arrive in a ring shared with the kernel (TPACKET_V3, Documentation/networking/packet_mmap.rst) and not by
//! `recvmsg`: `net.core.rmem_max` bounds the queue of a socket to some hundred frames on an ordinary machine, and raising it
//! needs a privilege that a rootless run does not have. The size of a ring has no such limit.
//!
//! ```text
//! ring:   | block 0 | block 1 | block 2 | …    the kernel fills them in turn
//! block:  | status, count, first | packet | packet | …           status: owned by the kernel or by us
//! packet: | tpacket3_hdr | sockaddr_ll | … | virtio_net_hdr | frame |
//!                                                            ^ tp_mac
//! ```
#![expect(unsafe_code, reason = "no safe wrapper covers AF_PACKET's options, its ring and its ioctls")]

use std::ffi::CStr;
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::filter::Instruction;
use super::frame::{Offload, Packet, VNET_HEADER_LEN, VlanTag};

/// Size of a block. A frame never spans two blocks. The largest frame that segmentation offload makes by default is 64 KiB;
/// the kernel cuts a frame above 262,000 bytes, and it counts as truncated.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// Number of blocks: 16 MiB, more than a whole run of the experiment sends. With little traffic, when blocks are retired by
/// timeout, the ring lasts for 1.2 s without the capturer running. Not more, because the kernel clears the ring before the
/// capture can begin (some 2 ms per MiB on a small virtual machine).
pub(crate) const RING_BLOCKS: usize = 64;

/// Minimum number of blocks, if memory is short.
pub(crate) const RING_BLOCKS_MIN: usize = 4;

/// The kernel retires a block that is not full after this many milliseconds.
pub(crate) const BLOCK_TIMEOUT_MS: u32 = 20;

/// A raw packet socket.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    /// Whether a `virtio_net_hdr` precedes each frame.
    vnet_header: bool,
    /// The drops read so far; the kernel resets its counter on each read.
    drops: u64,
}

impl PacketSocket {
    /// Opens the socket for no protocol: no frame arrives before [`bind`](Self::bind).
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers. The descriptor is checked, and has no other owner.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, vnet_header: false, drops: 0 })
    }

    /// The hardware type (`ARPHRD_*`) of an interface, and whether it is up.
    pub(crate) fn interface(&self, name: &CStr) -> io::Result<(u16, bool)> {
        // SAFETY: all-zero bytes are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { zeroed() };
        let name = name.to_bytes();
        if name.len() >= request.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        // SAFETY: both requests fill in an `ifreq`, which lives on our stack, and each fills the member read after it.
        unsafe {
            if libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) != 0 {
                return Err(io::Error::last_os_error());
            }
            let hardware = request.ifr_ifru.ifru_hwaddr.sa_family;
            if libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) != 0 {
                return Err(io::Error::last_os_error());
            }
            let flags = libc::c_int::from(request.ifr_ifru.ifru_flags);
            Ok((hardware, flags & libc::IFF_UP != 0))
        }
    }

    /// Sets the filter program that the kernel runs on every frame.
    pub(crate) fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let mut code: Vec<libc::sock_filter> = program
            .iter()
            .map(|i| libc::sock_filter { code: i.code, jt: i.jump_true, jf: i.jump_false, k: i.k })
            .collect();
        let len = u16::try_from(code.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Enables kernel timestamps, taken when a frame passes and not when it is queued.
    pub(crate) fn timestamp(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1_i32)
    }

    /// Leaves out outgoing frames, which loopback also receives, so that each would be captured twice. Kernels before 4.20
    /// do not support this; [`Packet::outgoing`] identifies the frames there.
    pub(crate) fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
    }

    /// Requests a `virtio_net_hdr` before each frame. Call it before [`Ring::map`].
    pub(crate) fn ask_for_offload_header(&mut self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32)?;
        self.vnet_header = true;
        Ok(())
    }

    /// Starts receiving all protocols on one interface.
    pub(crate) fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = i32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // SAFETY: the address lives through the call, and its true size is given.
        let result = unsafe {
            libc::bind(
                self.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Number of frames since the socket was opened that passed the filter but did not fit into the ring. The kernel resets
    /// its counter on each read, so the socket adds the values up.
    pub(crate) fn drops(&mut self) -> io::Result<u64> {
        // SAFETY: all-zero bytes are valid statistics.
        let mut statistics: libc::tpacket_stats_v3 = unsafe { zeroed() };
        self.option(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut statistics)?;
        self.drops += u64::from(statistics.tp_drops);
        Ok(self.drops)
    }

    /// The socket's pending error, such as ENETDOWN; clears it.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut code = 0_i32;
        self.option(libc::SOL_SOCKET, libc::SO_ERROR, &mut code)?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }

    fn set<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: `value` lives through the call, and its true size is given; the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                name,
                ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// `T` must be plain integers: the kernel writes any bytes into it.
    fn option<T: Copy>(&self, level: i32, name: i32, value: &mut T) -> io::Result<()> {
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` lives through the call, the kernel writes at most `len` bytes into it, and both callers give
        // types for which every bit pattern is valid.
        let result = unsafe {
            libc::getsockopt(self.fd.as_raw_fd(), level, name, ptr::from_mut(value).cast(), &raw mut len)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The memory shared with the kernel, which writes the socket's frames to it.
#[derive(Debug)]
pub(crate) struct Ring {
    base: NonNull<u8>,
    blocks: usize,
    next: usize,
    vnet_header: bool,
}

impl Ring {
    /// Creates the ring of a socket that has none. If the kernel has no memory for [`RING_BLOCKS`], tries half as many, down
    /// to [`RING_BLOCKS_MIN`].
    pub(crate) fn map(socket: &PacketSocket) -> io::Result<Self> {
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let mut blocks = RING_BLOCKS;
        loop {
            match Self::map_blocks(socket, blocks) {
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && blocks > RING_BLOCKS_MIN => {
                    blocks /= 2;
                }
                result => return result,
            }
        }
    }

    fn map_blocks(socket: &PacketSocket, blocks: usize) -> io::Result<Self> {
        // Version 3 does not use the frame size, but it must divide the block size.
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: BLOCK_BYTES as u32,
            tp_frame_nr: blocks as u32,
            tp_retire_blk_tov: BLOCK_TIMEOUT_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping at an address that the kernel chooses, of exactly the requested size; it replaces no other
        // mapping. It keeps the ring alive even after the descriptor is closed.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                blocks * BLOCK_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.fd.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))?;
        Ok(Self { base, blocks, next: 0, vnet_header: socket.vnet_header })
    }

    /// Size of the ring in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks * BLOCK_BYTES
    }

    /// The next block, if the kernel has retired it.
    pub(crate) fn next_block(&mut self) -> Option<Block<'_>> {
        // SAFETY: `next < blocks`, so the block lies within the mapping.
        let block = unsafe { self.base.add(self.next * BLOCK_BYTES) };
        const STATUS: usize =
            offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);
        // SAFETY: the status is an aligned u32 of the mapping, which outlives the borrow of `self`; the kernel writes it
        // too, and we access it only by atomic operations.
        let status = unsafe { AtomicU32::from_ptr(block.add(STATUS).cast().as_ptr()) };
        // Acquire: makes the kernel's writes to the block before it retired it visible.
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        self.next = (self.next + 1) % self.blocks;
        const BODY: usize = STATUS + size_of::<u32>();
        // SAFETY: the rest of the block lies within the mapping, and the kernel does not write to it while the status
        // assigns it to us. `Block` returns it when it is dropped, and no reference outlives it.
        let body = unsafe { std::slice::from_raw_parts(block.add(BODY).as_ptr(), BLOCK_BYTES - BODY) };
        Some(Block { status, body: Body { bytes: body, base: BODY }, vnet_header: self.vnet_header })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly what `map_blocks` mapped; every `Block` borrows the ring, so none is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes()) };
    }
}

/// A block that the kernel has retired. Dropping it returns it to the kernel.
#[derive(Debug)]
pub(crate) struct Block<'r> {
    status: &'r AtomicU32,
    body: Body<'r>,
    vnet_header: bool,
}

impl Block<'_> {
    /// The packets in the block, in the order of their arrival. The iterator ends early on invalid offsets.
    pub(crate) fn packets(&self) -> Packets<'_> {
        const HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);
        let count = self.body.u32(HEADER + offset_of!(libc::tpacket_hdr_v1, num_pkts));
        let first = self.body.u32(HEADER + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt));
        Packets {
            body: self.body,
            vnet_header: self.vnet_header,
            left: count.unwrap_or(0),
            at: first.unwrap_or(0) as usize,
        }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // Release: completes our reads before the kernel may write again.
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// The packets of a block.
#[derive(Debug)]
pub(crate) struct Packets<'b> {
    body: Body<'b>,
    vnet_header: bool,
    left: u32,
    at: usize,
}

impl<'b> Iterator for Packets<'b> {
    type Item = Packet<'b>;

    fn next(&mut self) -> Option<Packet<'b>> {
        self.left = self.left.checked_sub(1)?;
        let (packet, step) = self.read()?;
        self.at += step;
        Some(packet)
    }
}

impl<'b> Packets<'b> {
    /// The packet at the current offset, and the distance to the next one.
    fn read(&self) -> Option<(Packet<'b>, usize)> {
        type Header = libc::tpacket3_hdr;
        const VARIANT: usize = offset_of!(Header, hv1);
        const ADDRESS: usize = size_of::<Header>().next_multiple_of(libc::TPACKET_ALIGNMENT);
        const NANOS_PER_SECOND: u64 = 1_000_000_000;

        let field = |offset| self.body.u32(self.at + offset);
        let short = |offset| self.body.u16(self.at + offset);
        let status = field(offset_of!(Header, tp_status))?;
        let seconds = field(offset_of!(Header, tp_sec))?;
        let nanos = field(offset_of!(Header, tp_nsec))?;
        let start = self.at + usize::from(short(offset_of!(Header, tp_mac))?);
        let bytes = self.body.get(start, field(offset_of!(Header, tp_snaplen))? as usize)?;

        let mut offload = Offload::default();
        if self.vnet_header {
            let header = self.body.get(start.checked_sub(VNET_HEADER_LEN)?, VNET_HEADER_LEN)?;
            offload = Offload::of_header(header.try_into().ok()?);
        }
        offload.unfinished_checksum |= status & libc::TP_STATUS_CSUMNOTREADY != 0;

        let mut vlan = None;
        if status & libc::TP_STATUS_VLAN_VALID != 0 {
            let control = field(VARIANT + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci))? as u16;
            let has_protocol = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let protocol = short(VARIANT + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid))?;
            vlan = Some(VlanTag {
                protocol: if has_protocol { protocol } else { libc::ETH_P_8021Q as u16 },
                control,
            });
        }

        let kind = self.body.get(self.at + ADDRESS + offset_of!(libc::sockaddr_ll, sll_pkttype), 1)?[0];
        let packet = Packet {
            captured_at: u64::from(seconds) * NANOS_PER_SECOND + u64::from(nanos),
            original_len: field(offset_of!(Header, tp_len))?,
            bytes,
            vlan,
            offload,
            outgoing: kind == libc::PACKET_OUTGOING,
        };
        Some((packet, field(offset_of!(Header, tp_next_offset))? as usize))
    }
}

/// A block without its status field. Offsets count from the start of the block, as the kernel's do.
#[derive(Debug, Clone, Copy)]
struct Body<'b> {
    bytes: &'b [u8],
    base: usize,
}

impl<'b> Body<'b> {
    fn get(self, offset: usize, len: usize) -> Option<&'b [u8]> {
        let start = offset.checked_sub(self.base)?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    fn u32(self, offset: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.get(offset, 4)?.try_into().ok()?))
    }

    fn u16(self, offset: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(self.get(offset, 2)?.try_into().ok()?))
    }
}
