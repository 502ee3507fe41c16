//! The kinds of fields.

/// The layer that a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Ethernet, a cooked or loopback header, VLAN tags; the bytes behind the packet.
    Link,
    /// ARP.
    Arp,
    /// IPv4 or IPv6.
    Ip,
    /// ICMP or ICMPv6.
    Icmp,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// HTTP/1.
    Http,
    /// WebSocket.
    WebSocket,
    /// JSON.
    Json,
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident, $layer:ident, $id:literal;)*) => {
        /// What a field is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$meta])* $kind,)*
        }

        impl Kind {
            /// All kinds, in the order of the layers.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The layer that the field belongs to.
            pub const fn layer(self) -> Layer {
                match self {
                    $(Self::$kind => Layer::$layer,)*
                }
            }

            /// The name of the field: Wireshark's, where Wireshark has such a field.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$kind => $id,)*
                }
            }
        }
    };
}

kinds! {
    /// Hardware address of the receiver.
    EthernetDestination, Link, "eth.dst";
    /// Hardware address of the sender.
    EthernetSource, Link, "eth.src";
    /// The protocol that follows, or a length below 0x600 (IEEE 802.3 §3.2.6).
    EtherType, Link, "eth.type";
    /// LLC header of a frame whose type field is a length.
    Llc, Link, "llc";
    /// Organisation of a SNAP header (RFC 1042).
    SnapOrganisation, Link, "llc.oui";
    /// EtherType in a SNAP header.
    SnapType, Link, "llc.type";
    /// Priority of a VLAN tag (IEEE 802.1Q §9.6).
    VlanPriority, Link, "vlan.priority";
    /// Whether a tagged frame may be dropped first.
    VlanDropEligible, Link, "vlan.dei";
    /// Number of the VLAN.
    VlanNumber, Link, "vlan.id";
    /// The protocol behind a VLAN tag.
    VlanType, Link, "vlan.etype";
    /// Direction of the packet, as the capturing host saw it (LINKTYPE_LINUX_SLL).
    CookedPacketType, Link, "sll.pkttype";
    /// Kind of the device (ARPHRD).
    CookedDevice, Link, "sll.hatype";
    /// Length of the sender's hardware address.
    CookedAddressLength, Link, "sll.halen";
    /// Hardware address of the sender.
    CookedAddress, Link, "sll.src";
    /// The protocol that follows.
    CookedProtocol, Link, "sll.etype";
    /// Two bytes without a meaning (LINKTYPE_LINUX_SLL2).
    CookedReserved, Link, "sll.unused";
    /// Number of the interface.
    CookedInterface, Link, "sll.ifindex";
    /// Address family of a loopback header.
    LoopbackFamily, Link, "null.family";
    /// Kind of hardware addresses.
    ArpHardwareType, Arp, "arp.hw.type";
    /// Kind of protocol addresses.
    ArpProtocolType, Arp, "arp.proto.type";
    /// Length of a hardware address.
    ArpHardwareSize, Arp, "arp.hw.size";
    /// Length of a protocol address.
    ArpProtocolSize, Arp, "arp.proto.size";
    /// Request or reply.
    ArpOperation, Arp, "arp.opcode";
    /// Hardware address of the sender.
    ArpSenderHardware, Arp, "arp.src.hw_mac";
    /// IPv4 address of the sender.
    ArpSender, Arp, "arp.src.proto_ipv4";
    /// Hardware address of the target.
    ArpTargetHardware, Arp, "arp.dst.hw_mac";
    /// IPv4 address of the target.
    ArpTarget, Arp, "arp.dst.proto_ipv4";
    /// Version, 4.
    IpVersion, Ip, "ip.version";
    /// Length of the header in words of four bytes.
    IpHeaderLength, Ip, "ip.hdr_len";
    /// How routers should treat the packet (RFC 2474).
    IpDifferentiatedServices, Ip, "ip.dsfield.dscp";
    /// Congestion notification (RFC 3168).
    IpCongestion, Ip, "ip.dsfield.ecn";
    /// Length of header and payload.
    IpLength, Ip, "ip.len";
    /// Number that the fragments of one packet share.
    IpIdentification, Ip, "ip.id";
    /// A bit that must be zero.
    IpReserved, Ip, "ip.flags.rb";
    /// Whether routers must not fragment the packet.
    IpDoNotFragment, Ip, "ip.flags.df";
    /// Whether more fragments follow.
    IpMoreFragments, Ip, "ip.flags.mf";
    /// Where the fragment belongs, in units of eight bytes.
    IpFragmentOffset, Ip, "ip.frag_offset";
    /// Routers that the packet may still pass.
    IpTimeToLive, Ip, "ip.ttl";
    /// The protocol that follows.
    IpProtocol, Ip, "ip.proto";
    /// Checksum of the header.
    IpChecksum, Ip, "ip.checksum";
    /// Sender.
    IpSource, Ip, "ip.src";
    /// Receiver.
    IpDestination, Ip, "ip.dst";
    /// Options (RFC 791 §3.1).
    IpOptions, Ip, "ip.options";
    /// Version, 6.
    Ipv6Version, Ip, "ipv6.version";
    /// How routers should treat the packet, and congestion notification.
    Ipv6TrafficClass, Ip, "ipv6.tclass";
    /// Number that the packets of one flow share (RFC 6437).
    Ipv6FlowLabel, Ip, "ipv6.flow";
    /// Length of what follows the header.
    Ipv6Length, Ip, "ipv6.plen";
    /// The protocol, or the extension header, that follows.
    Ipv6NextHeader, Ip, "ipv6.nxt";
    /// Routers that the packet may still pass.
    Ipv6HopLimit, Ip, "ipv6.hlim";
    /// Sender.
    Ipv6Source, Ip, "ipv6.src";
    /// Receiver.
    Ipv6Destination, Ip, "ipv6.dst";
    /// An extension header (RFC 8200 §4).
    Ipv6Extension, Ip, "ipv6.opt";
    /// Kind of the message.
    IcmpType, Icmp, "icmp.type";
    /// Code within its kind.
    IcmpCode, Icmp, "icmp.code";
    /// Checksum of the message.
    IcmpChecksum, Icmp, "icmp.checksum";
    /// The rest of the message.
    IcmpData, Icmp, "icmp.data";
    /// Port of the sender.
    UdpSource, Udp, "udp.srcport";
    /// Port of the receiver.
    UdpDestination, Udp, "udp.dstport";
    /// Length of header and payload.
    UdpLength, Udp, "udp.length";
    /// Checksum; zero if there is none.
    UdpChecksum, Udp, "udp.checksum";
    /// Payload.
    UdpPayload, Udp, "udp.payload";
    /// Port of the sender.
    TcpSource, Tcp, "tcp.srcport";
    /// Port of the receiver.
    TcpDestination, Tcp, "tcp.dstport";
    /// Number of the first byte of payload in its direction, or of the SYN.
    TcpSequence, Tcp, "tcp.seq_raw";
    /// Number of the next byte that the sender expects.
    TcpAcknowledgment, Tcp, "tcp.ack_raw";
    /// Length of the header in words of four bytes.
    TcpHeaderLength, Tcp, "tcp.hdr_len";
    /// Four bits without a meaning.
    TcpReserved, Tcp, "tcp.flags.res";
    /// Control bits.
    TcpFlags, Tcp, "tcp.flags";
    /// Bytes that the sender is ready to receive, before scaling.
    TcpWindow, Tcp, "tcp.window_size_value";
    /// Checksum of pseudo header, header and payload.
    TcpChecksum, Tcp, "tcp.checksum";
    /// Where urgent data ends, if its bit is set.
    TcpUrgentPointer, Tcp, "tcp.urgent_pointer";
    /// End of the options.
    TcpOptionEnd, Tcp, "tcp.options.eol";
    /// A byte between options.
    TcpOptionNop, Tcp, "tcp.options.nop";
    /// Largest segment that the sender wants to receive (RFC 9293 §3.7.1).
    TcpOptionMss, Tcp, "tcp.options.mss";
    /// By how many bits windows are shifted (RFC 7323 §2).
    TcpOptionWindowScale, Tcp, "tcp.options.wscale";
    /// The sender can use selective acknowledgments (RFC 2018 §2).
    TcpOptionSackPermitted, Tcp, "tcp.options.sack_perm";
    /// Selective acknowledgment (RFC 2018 §3).
    TcpOptionSack, Tcp, "tcp.options.sack";
    /// Timestamps (RFC 7323 §3).
    TcpOptionTimestamps, Tcp, "tcp.options.timestamp";
    /// Cookie of TCP Fast Open (RFC 7413 §2).
    TcpOptionFastOpen, Tcp, "tcp.options.tfo";
    /// Multipath TCP (RFC 8684 §3).
    TcpOptionMultipath, Tcp, "tcp.options.mptcp";
    /// Another option.
    TcpOptionOther, Tcp, "tcp.options.unknown";
    /// Payload: the next bytes of this direction of the connection.
    TcpPayload, Tcp, "tcp.payload";
    /// What a record contains.
    TlsRecordType, Tls, "tls.record.content_type";
    /// Version that a record states, for old equipment: 1.2 or lower (RFC 9846 §5.1).
    TlsRecordVersion, Tls, "tls.record.version";
    /// Length of the record's body.
    TlsRecordLength, Tls, "tls.record.length";
    /// Severity of an alert.
    TlsAlertLevel, Tls, "tls.alert_message.level";
    /// Meaning of an alert.
    TlsAlertDescription, Tls, "tls.alert_message.desc";
    /// A message that TLS 1.3 sends for old equipment only (RFC 9846 §D.4).
    TlsChangeCipherSpec, Tls, "tls.change_cipher_spec";
    /// Ciphertext: the body of a protected record but for its tag.
    TlsCiphertext, Tls, "tls.app_data";
    /// Kind of a handshake message.
    TlsHandshakeType, Tls, "tls.handshake.type";
    /// Length of its body.
    TlsHandshakeLength, Tls, "tls.handshake.length";
    /// Version that a hello states, for old equipment: 1.2 (RFC 9846 §4.1.2).
    TlsVersion, Tls, "tls.handshake.version";
    /// 32 random bytes of the sender.
    TlsRandom, Tls, "tls.handshake.random";
    /// Length of the session id.
    TlsSessionIdLength, Tls, "tls.handshake.session_id_length";
    /// Session id; random in TLS 1.3.
    TlsSessionId, Tls, "tls.handshake.session_id";
    /// Length of the list of cipher suites.
    TlsCipherSuitesLength, Tls, "tls.handshake.cipher_suites_length";
    /// A cipher suite: offered by the client, or chosen by the server.
    TlsCipherSuite, Tls, "tls.handshake.ciphersuite";
    /// Length of the challenge of a ClientHello in the form of SSL 2.0 (RFC 5246 appendix E.2).
    TlsChallengeLength, Tls, "tls.handshake.challenge_length";
    /// A cipher suite in the form of SSL 2.0.
    TlsCipherSpec, Tls, "tls.handshake.cipherspec";
    /// Random bytes of the client, in the form of SSL 2.0.
    TlsChallenge, Tls, "tls.handshake.challenge";
    /// Length of the list of compression methods.
    TlsCompressionMethodsLength, Tls, "tls.handshake.comp_methods_length";
    /// A compression method; none in TLS 1.3.
    TlsCompressionMethod, Tls, "tls.handshake.comp_method";
    /// Length of all extensions.
    TlsExtensionsLength, Tls, "tls.handshake.extensions_length";
    /// Kind of an extension.
    TlsExtensionType, Tls, "tls.handshake.extension.type";
    /// Length of its content.
    TlsExtensionLength, Tls, "tls.handshake.extension.len";
    /// Content of an extension.
    TlsExtensionData, Tls, "tls.handshake.extension.data";
    /// Length of the list of server names.
    TlsServerNameListLength, Tls, "tls.handshake.extensions_server_name_list_len";
    /// Kind of a server name; only host names exist.
    TlsServerNameType, Tls, "tls.handshake.extensions_server_name_type";
    /// Length of the server name.
    TlsServerNameLength, Tls, "tls.handshake.extensions_server_name_len";
    /// The host that the client wants to reach, readable by everyone (RFC 6066 §3).
    TlsServerName, Tls, "tls.handshake.extensions_server_name";
    /// Length of the list of application protocols.
    TlsAlpnLength, Tls, "tls.handshake.extensions_alpn_len";
    /// Length of a protocol's name.
    TlsAlpnNameLength, Tls, "tls.handshake.extensions_alpn_str_len";
    /// An application protocol (RFC 7301).
    TlsAlpnName, Tls, "tls.handshake.extensions_alpn_str";
    /// Length of the list of versions.
    TlsSupportedVersionsLength, Tls, "tls.handshake.extensions.supported_versions_len";
    /// A version: offered by the client, or chosen by the server.
    TlsSupportedVersion, Tls, "tls.handshake.extensions.supported_version";
    /// Length of the list of groups.
    TlsSupportedGroupsLength, Tls, "tls.handshake.extensions_supported_groups_length";
    /// A group for the key exchange.
    TlsSupportedGroup, Tls, "tls.handshake.extensions_supported_group";
    /// Length of the list of signature algorithms.
    TlsSignatureAlgorithmsLength, Tls, "tls.handshake.sig_hash_alg_len";
    /// A signature algorithm.
    TlsSignatureAlgorithm, Tls, "tls.handshake.sig_hash_alg";
    /// Length of all key shares of a client.
    TlsKeySharesLength, Tls, "tls.handshake.extensions_key_share_client_length";
    /// Group of a key share.
    TlsKeyShareGroup, Tls, "tls.handshake.extensions_key_share_group";
    /// Length of the public key.
    TlsKeyShareLength, Tls, "tls.handshake.extensions_key_share_key_exchange_length";
    /// The sender's public key of this connection.
    TlsKeyShare, Tls, "tls.handshake.extensions_key_share_key_exchange";
    /// MAC over the handshake so far: shows that nothing was changed in it (RFC 9846 §4.4.4).
    TlsVerifyData, Tls, "tls.handshake.verify_data";
    /// The rest of a handshake message.
    TlsHandshakeData, Tls, "tls.handshake";
    /// Method of a request.
    HttpMethod, Http, "http.request.method";
    /// Target of a request.
    HttpTarget, Http, "http.request.uri";
    /// Version in the start line of a request.
    HttpRequestVersion, Http, "http.request.version";
    /// Version in the start line of an answer.
    HttpResponseVersion, Http, "http.response.version";
    /// Status of an answer.
    HttpStatus, Http, "http.response.code";
    /// Reason phrase of an answer.
    HttpReason, Http, "http.response.phrase";
    /// Name of a header field.
    HttpFieldName, Http, "http.header.name";
    /// Value of a header field.
    HttpFieldValue, Http, "http.header.value";
    /// Characters between the parts of a head: spaces, colons, line ends.
    HttpSeparator, Http, "http.separator";
    /// Content.
    HttpBody, Http, "http.file_data";
    /// Length of a chunk, in hexadecimal digits (RFC 9112 §7.1).
    HttpChunkSize, Http, "http.chunk_size";
    /// Extension of a chunk (RFC 9112 §7.1.1).
    HttpChunkExtension, Http, "http.chunk_extension";
    /// Content in a chunk.
    HttpChunkData, Http, "http.chunk_data";
    /// End of the line behind the length of a chunk, and behind its content.
    HttpChunkBoundary, Http, "http.chunk_boundary";
    /// Whether the frame is the last one of its message (RFC 6455 §5.2).
    WebSocketFin, WebSocket, "websocket.fin";
    /// Reserved for extensions.
    WebSocketReserved, WebSocket, "websocket.rsv";
    /// Kind of frame.
    WebSocketOpcode, WebSocket, "websocket.opcode";
    /// Whether the payload is masked.
    WebSocketMask, WebSocket, "websocket.mask";
    /// Length of the payload, or 126 or 127 if it follows.
    WebSocketLength, WebSocket, "websocket.payload_length";
    /// Length of the payload in two bytes.
    WebSocketLength16, WebSocket, "websocket.payload_length_ext_16";
    /// Length of the payload in eight bytes.
    WebSocketLength64, WebSocket, "websocket.payload_length_ext_64";
    /// What the payload is combined with (RFC 6455 §5.3).
    WebSocketMaskingKey, WebSocket, "websocket.masking_key";
    /// Payload as it was sent.
    WebSocketPayload, WebSocket, "websocket.payload";
    /// Masked payload; its value is what it says.
    WebSocketMaskedPayload, WebSocket, "websocket.masked_payload";
    /// Name of a member.
    JsonKey, Json, "json.key";
    /// A string.
    JsonString, Json, "json.value.string";
    /// A number.
    JsonNumber, Json, "json.value.number";
    /// true, false or null.
    JsonLiteral, Json, "json.value.literal";
    /// Braces, brackets, colons, commas, white space.
    JsonPunctuation, Json, "json.punctuation";
    /// Bytes behind the packet: padding of short frames, a frame check sequence.
    Trailer, Link, "eth.trailer";
    /// Bytes that are not decoded.
    Data, Link, "data";
}
