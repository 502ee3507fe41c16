//! What each field is for, in a sentence for readers who see it for the first time.

use dissect::fields::{Kind, Layer};

/// A language of the explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

/// Name of a layer.
#[must_use]
pub fn layer(layer: Layer, language: Language) -> &'static str {
    let (english, korean) = match layer {
        Layer::Link => ("link layer", "링크 계층"),
        Layer::Arp => ("ARP", "ARP"),
        Layer::Ip => ("IP", "IP"),
        Layer::Icmp => ("ICMP", "ICMP"),
        Layer::Udp => ("UDP", "UDP"),
        Layer::Tcp => ("TCP", "TCP"),
        Layer::Tls => ("TLS", "TLS"),
        Layer::Http => ("HTTP", "HTTP"),
        Layer::WebSocket => ("WebSocket", "WebSocket"),
        Layer::Json => ("JSON", "JSON"),
    };
    match language {
        Language::English => english,
        Language::Korean => korean,
    }
}

/// The sentence for a field.
#[must_use]
pub fn sentence(kind: Kind, language: Language) -> &'static str {
    let (english, korean) = both(kind);
    match language {
        Language::English => english,
        Language::Korean => korean,
    }
}

fn both(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::EthernetDestination => (
            "The hardware address of the network card that this frame is for. It is valid on this link only.",
            "이 프레임을 받을 네트워크 카드의 하드웨어 주소입니다. 이 링크 안에서만 유효합니다.",
        ),
        Kind::EthernetSource => (
            "The hardware address of the network card that sent this frame.",
            "이 프레임을 보낸 네트워크 카드의 하드웨어 주소입니다.",
        ),
        Kind::EtherType => (
            "The protocol that follows: 0x0800 is IPv4, 0x86dd IPv6, 0x0806 ARP.",
            "뒤따르는 프로토콜입니다. 0x0800은 IPv4, 0x86dd는 IPv6, 0x0806은 ARP입니다.",
        ),
        Kind::Llc => (
            "An older header, in frames whose type field is a length.",
            "타입 필드가 길이를 나타내는 프레임에 쓰이는 예전 방식의 헤더입니다.",
        ),
        Kind::SnapOrganisation => (
            "The organisation that assigned the type behind it; zero for the usual EtherTypes.",
            "바로 뒤의 타입을 정한 기관입니다. 0이면 일반적인 EtherType입니다.",
        ),
        Kind::SnapType => ("The protocol that follows.", "뒤따르는 프로토콜입니다."),
        Kind::VlanPriority => (
            "How urgent the frame is to switches, from 0 to 7.",
            "스위치가 이 프레임을 얼마나 먼저 처리할지 나타냅니다(0~7).",
        ),
        Kind::VlanDropEligible => (
            "Whether switches may drop this frame first.",
            "혼잡할 때 스위치가 이 프레임을 먼저 버려도 되는지 나타냅니다.",
        ),
        Kind::VlanNumber => {
            ("The virtual network that the frame belongs to.", "프레임이 속한 가상 네트워크의 번호입니다.")
        }
        Kind::VlanType => ("The protocol behind the tag.", "태그 뒤에 오는 프로토콜입니다."),
        Kind::CookedPacketType => (
            "Whether the capturing host sent the packet, received it, or overheard it.",
            "캡처한 호스트가 이 패킷을 보냈는지, 받았는지, 엿들었는지 나타냅니다.",
        ),
        Kind::CookedDevice => ("The kind of network device.", "네트워크 장치의 종류입니다."),
        Kind::CookedAddressLength => ("Length of the hardware address.", "하드웨어 주소의 길이입니다."),
        Kind::CookedAddress => ("Hardware address of the sender.", "보낸 쪽의 하드웨어 주소입니다."),
        Kind::CookedProtocol => ("The protocol that follows.", "뒤따르는 프로토콜입니다."),
        Kind::CookedReserved => ("Two bytes without a meaning.", "의미가 없는 두 바이트입니다."),
        Kind::CookedInterface => {
            ("Number of the interface on the capturing host.", "캡처한 호스트의 인터페이스 번호입니다.")
        }
        Kind::LoopbackFamily => (
            "The protocol that follows, as the number that the capturing system has for it.",
            "뒤따르는 프로토콜입니다. 캡처한 운영체제가 쓰는 번호로 적혀 있습니다.",
        ),
        Kind::ArpHardwareType => (
            "The kind of hardware addresses; 1 is Ethernet.",
            "하드웨어 주소의 종류입니다. 1은 이더넷입니다.",
        ),
        Kind::ArpProtocolType => (
            "The kind of protocol addresses; 0x0800 is IPv4.",
            "프로토콜 주소의 종류입니다. 0x0800은 IPv4입니다.",
        ),
        Kind::ArpHardwareSize => ("Length of a hardware address.", "하드웨어 주소의 길이입니다."),
        Kind::ArpProtocolSize => ("Length of a protocol address.", "프로토콜 주소의 길이입니다."),
        Kind::ArpOperation => {
            ("1 asks who has an address, 2 answers.", "1은 이 주소를 누가 쓰는지 묻고, 2는 대답합니다.")
        }
        Kind::ArpSenderHardware => ("Hardware address of the sender.", "보낸 쪽의 하드웨어 주소입니다."),
        Kind::ArpSender => ("IPv4 address of the sender.", "보낸 쪽의 IPv4 주소입니다."),
        Kind::ArpTargetHardware => (
            "Hardware address of the target; zero in a question, because it is what is asked for.",
            "대상의 하드웨어 주소입니다. 질문에서는 알고 싶은 값이므로 0입니다.",
        ),
        Kind::ArpTarget => ("IPv4 address of the target.", "대상의 IPv4 주소입니다."),
        Kind::IpVersion | Kind::Ipv6Version => ("Version of IP.", "IP의 버전입니다."),
        Kind::IpHeaderLength => (
            "Length of the IP header in words of four bytes; 5 if it has no options.",
            "IP 헤더의 길이를 4바이트 단위로 나타냅니다. 옵션이 없으면 5입니다.",
        ),
        Kind::IpDifferentiatedServices => (
            "How routers should treat the packet, for example telephony before downloads.",
            "라우터가 패킷을 어떻게 다룰지 나타냅니다. 예를 들어 통화를 다운로드보다 먼저 보냅니다.",
        ),
        Kind::IpCongestion => (
            "A router sets it instead of dropping the packet, when it is congested.",
            "라우터가 혼잡할 때 패킷을 버리는 대신 이 비트를 켭니다.",
        ),
        Kind::IpLength => {
            ("Length of the packet: header and payload.", "헤더와 페이로드를 합한 패킷의 길이입니다.")
        }
        Kind::IpIdentification => (
            "A number that the fragments of one packet share.",
            "한 패킷을 나눈 조각들이 공유하는 번호입니다.",
        ),
        Kind::IpReserved => ("A bit that must be zero.", "항상 0이어야 하는 비트입니다."),
        Kind::IpDoNotFragment => (
            "If set, routers must not divide the packet.",
            "켜져 있으면 라우터가 패킷을 나누어서는 안 됩니다.",
        ),
        Kind::IpMoreFragments => {
            ("If set, more fragments of this packet follow.", "켜져 있으면 이 패킷의 조각이 더 이어집니다.")
        }
        Kind::IpFragmentOffset => (
            "Where this fragment belongs in its packet, in units of eight bytes.",
            "이 조각이 원래 패킷의 어디에 속하는지 8바이트 단위로 나타냅니다.",
        ),
        Kind::IpTimeToLive | Kind::Ipv6HopLimit => (
            "Each router on the way subtracts one; at zero the packet is dropped. It limits loops.",
            "지나는 라우터마다 1씩 줄이고, 0이 되면 패킷을 버립니다. 패킷이 끝없이 도는 것을 막습니다.",
        ),
        Kind::IpProtocol => (
            "The protocol that follows: 6 is TCP, 17 UDP, 1 ICMP.",
            "뒤따르는 프로토콜입니다. 6은 TCP, 17은 UDP, 1은 ICMP입니다.",
        ),
        Kind::IpChecksum => (
            "Detects damage of the header. It protects from accidents, not from attackers.",
            "헤더가 손상되었는지 알아냅니다. 사고는 막아도 공격자는 막지 못합니다.",
        ),
        Kind::IpSource | Kind::Ipv6Source => (
            "The sender's address, readable by everyone on the way, with TLS too.",
            "보낸 쪽의 주소입니다. TLS를 써도 경로 위의 누구나 읽을 수 있습니다.",
        ),
        Kind::IpDestination | Kind::Ipv6Destination => (
            "The receiver's address, readable by everyone on the way, with TLS too.",
            "받는 쪽의 주소입니다. TLS를 써도 경로 위의 누구나 읽을 수 있습니다.",
        ),
        Kind::IpOptions => {
            ("Options that ordinary traffic does not use.", "일반적인 트래픽에서는 쓰지 않는 옵션입니다.")
        }
        Kind::Ipv6TrafficClass => (
            "How routers should treat the packet, and whether one was congested.",
            "라우터가 패킷을 어떻게 다룰지, 혼잡을 겪었는지 나타냅니다.",
        ),
        Kind::Ipv6FlowLabel => (
            "A number that the packets of one connection share, so that they take the same way.",
            "한 연결의 패킷들이 공유하는 번호로, 같은 경로를 지나게 합니다.",
        ),
        Kind::Ipv6Length => ("Length of what follows the header.", "헤더 뒤에 오는 내용의 길이입니다."),
        Kind::Ipv6NextHeader => (
            "What follows: 6 is TCP, 17 UDP, 58 ICMPv6; other numbers are extension headers.",
            "뒤따르는 것입니다. 6은 TCP, 17은 UDP, 58은 ICMPv6이고, 그 밖의 번호는 확장 헤더입니다.",
        ),
        Kind::Ipv6Extension => (
            "An extension header, which ordinary traffic does not use.",
            "일반적인 트래픽에서는 쓰지 않는 확장 헤더입니다.",
        ),
        Kind::IcmpType => (
            "What the message reports or asks, such as an echo.",
            "메시지가 알리거나 묻는 내용의 종류입니다(예: 에코).",
        ),
        Kind::IcmpCode => ("More about its kind.", "종류를 더 자세히 나타냅니다."),
        Kind::IcmpChecksum => ("Detects damage of the message.", "메시지가 손상되었는지 알아냅니다."),
        Kind::IcmpData => ("The rest of the message.", "메시지의 나머지입니다."),
        Kind::UdpSource | Kind::TcpSource => (
            "The sender's port: which program on its host the bytes come from.",
            "보낸 쪽의 포트입니다. 그 호스트의 어느 프로그램이 보냈는지 나타냅니다.",
        ),
        Kind::UdpDestination | Kind::TcpDestination => (
            "The receiver's port: which program on its host the bytes are for.",
            "받는 쪽의 포트입니다. 그 호스트의 어느 프로그램이 받을지 나타냅니다.",
        ),
        Kind::UdpLength => ("Length of header and payload.", "헤더와 페이로드를 합한 길이입니다."),
        Kind::UdpChecksum | Kind::TcpChecksum => (
            "Detects damage of header and payload. It protects from accidents, not from attackers.",
            "헤더와 페이로드가 손상되었는지 알아냅니다. 사고는 막아도 공격자는 막지 못합니다.",
        ),
        Kind::UdpPayload => ("What the program sent.", "프로그램이 보낸 내용입니다."),
        Kind::TcpSequence => (
            "The place of this payload in what the sender says: the receiver puts segments in order by it.",
            "보낸 쪽이 보내는 전체 내용에서 이 페이로드의 위치입니다. 받는 쪽은 이 번호로 순서를 맞춥니다.",
        ),
        Kind::TcpAcknowledgment => (
            "All bytes before this one have arrived; what is not acknowledged is sent again.",
            "이 번호 앞의 바이트는 모두 도착했다는 뜻입니다. 확인되지 않은 것은 다시 보냅니다.",
        ),
        Kind::TcpHeaderLength => (
            "Length of the TCP header in words of four bytes; 5 if it has no options.",
            "TCP 헤더의 길이를 4바이트 단위로 나타냅니다. 옵션이 없으면 5입니다.",
        ),
        Kind::TcpReserved => ("Four bits without a meaning.", "의미가 없는 네 비트입니다."),
        Kind::TcpFlags => (
            "SYN opens a connection, ACK acknowledges, PSH hands over, FIN ends, RST breaks off.",
            "SYN은 연결을 열고, ACK는 확인하고, PSH는 바로 전달하게 하고, FIN은 끝내고, RST는 끊습니다.",
        ),
        Kind::TcpWindow => (
            "How many bytes the sender of this segment is ready to receive, before scaling.",
            "이 세그먼트를 보낸 쪽이 받을 수 있는 바이트 수입니다(배율을 곱하기 전).",
        ),
        Kind::TcpUrgentPointer => (
            "Where urgent data ends; hardly any program uses it.",
            "긴급 데이터가 끝나는 위치입니다. 쓰는 프로그램은 거의 없습니다.",
        ),
        Kind::TcpOptionEnd => ("End of the options.", "옵션의 끝입니다."),
        Kind::TcpOptionNop => ("Padding between options.", "옵션 사이를 채우는 바이트입니다."),
        Kind::TcpOptionMss => (
            "The largest segment that the sender wants to receive.",
            "보낸 쪽이 받고 싶은 가장 큰 세그먼트의 크기입니다.",
        ),
        Kind::TcpOptionWindowScale => (
            "By how many bits the windows of this side are shifted, so that they can exceed 64 KiB.",
            "이 쪽의 윈도를 몇 비트 밀지 정합니다. 윈도가 64 KiB를 넘을 수 있게 합니다.",
        ),
        Kind::TcpOptionSackPermitted => (
            "The sender understands selective acknowledgments.",
            "보낸 쪽이 선택적 확인 응답을 이해한다는 뜻입니다.",
        ),
        Kind::TcpOptionSack => (
            "Bytes that arrived behind a gap, so that only the gap is sent again.",
            "빠진 부분 뒤에 도착한 바이트입니다. 빠진 부분만 다시 보내면 됩니다.",
        ),
        Kind::TcpOptionTimestamps => (
            "A clock of the sender, and the last one it saw: both sides measure the round trip by it.",
            "보낸 쪽의 시계와 마지막으로 본 상대의 시계입니다. 양쪽은 이것으로 왕복 시간을 잽니다.",
        ),
        Kind::TcpOptionFastOpen => (
            "A cookie that lets a client send data with its first segment.",
            "클라이언트가 첫 세그먼트에 데이터를 실을 수 있게 하는 쿠키입니다.",
        ),
        Kind::TcpOptionMultipath => (
            "Multipath TCP: one connection over several ways.",
            "한 연결을 여러 경로로 나르는 Multipath TCP입니다.",
        ),
        Kind::TcpOptionOther => ("An option that is rarely used.", "거의 쓰지 않는 옵션입니다."),
        Kind::TcpPayload => (
            "The next bytes of the conversation in this direction.",
            "이 방향으로 이어지는 대화의 다음 바이트입니다.",
        ),
        Kind::TlsRecordType => (
            "What the record contains: 22 a handshake, 23 protected data, 21 an alert.",
            "레코드의 내용입니다. 22는 핸드셰이크, 23은 보호된 데이터, 21은 경고입니다.",
        ),
        Kind::TlsRecordVersion | Kind::TlsVersion => (
            "An old version, stated for equipment that does not know newer ones. The extension supported_versions decides.",
            "새 버전을 모르는 장비를 위해 적는 옛 버전입니다. 실제 버전은 supported_versions 확장이 정합니다.",
        ),
        Kind::TlsRecordLength => (
            "Length of the record's body. Everyone can read it, so that sizes stay visible under TLS.",
            "레코드 내용의 길이입니다. 누구나 읽을 수 있으므로 TLS를 써도 크기는 드러납니다.",
        ),
        Kind::TlsAlertLevel => ("How severe the alert is.", "경고의 심각도입니다."),
        Kind::TlsAlertDescription => ("What the alert reports.", "경고가 알리는 내용입니다."),
        Kind::TlsChangeCipherSpec => (
            "A message without a meaning in TLS 1.3, sent so that old equipment lets the connection pass.",
            "TLS 1.3에서는 의미가 없는 메시지입니다. 오래된 장비가 연결을 막지 않도록 보냅니다.",
        ),
        Kind::TlsCiphertext => (
            "Ciphertext. Without the keys of the session it cannot be told from random bytes.",
            "암호문입니다. 세션 키가 없으면 무작위 바이트와 구별할 수 없습니다.",
        ),
        Kind::TlsHandshakeType => ("The kind of handshake message.", "핸드셰이크 메시지의 종류입니다."),
        Kind::TlsHandshakeLength => {
            ("Length of the message behind this header.", "이 헤더 뒤에 오는 메시지의 길이입니다.")
        }
        Kind::TlsRandom => (
            "32 random bytes, different in each connection. A key log names the session by those of the client.",
            "연결마다 다른 32바이트의 난수입니다. 키 로그는 클라이언트의 난수로 세션을 가리킵니다.",
        ),
        Kind::TlsSessionIdLength => ("Length of the session id.", "세션 ID의 길이입니다."),
        Kind::TlsSessionId => (
            "Random in TLS 1.3: it only makes the handshake look like an older one.",
            "TLS 1.3에서는 난수이며, 핸드셰이크를 예전 방식처럼 보이게 할 뿐입니다.",
        ),
        Kind::TlsCipherSuitesLength => {
            ("Length of the list of cipher suites.", "암호 스위트 목록의 길이입니다.")
        }
        Kind::TlsCipherSuite => (
            "A combination of cipher and hash: the client offers several, the server chooses one.",
            "암호와 해시의 조합입니다. 클라이언트가 여러 개를 제안하고 서버가 하나를 고릅니다.",
        ),
        Kind::TlsChallengeLength => ("Length of the challenge.", "챌린지의 길이입니다."),
        Kind::TlsCipherSpec => (
            "A cipher suite that the client offers, in the form of SSL 2.0: behind a zero byte one of SSL 3.0 or TLS.",
            "클라이언트가 SSL 2.0 형식으로 제안하는 암호 스위트입니다. 0 바이트 뒤는 SSL 3.0 또는 TLS의 것입니다.",
        ),
        Kind::TlsChallenge => (
            "Random bytes of the client, in the form of SSL 2.0. With zeros in front they are its random.",
            "SSL 2.0 형식의 클라이언트 난수입니다. 앞을 0으로 채우면 클라이언트의 random이 됩니다.",
        ),
        Kind::TlsCompressionMethodsLength => {
            ("Length of the list of compression methods.", "압축 방식 목록의 길이입니다.")
        }
        Kind::TlsCompressionMethod => (
            "Always null: compression before encryption gives secrets away by the length.",
            "항상 null입니다. 암호화 전에 압축하면 길이로 비밀이 새어 나갑니다.",
        ),
        Kind::TlsExtensionsLength => ("Length of all extensions.", "모든 확장의 길이입니다."),
        Kind::TlsExtensionType => ("The kind of extension.", "확장의 종류입니다."),
        Kind::TlsExtensionLength => ("Length of its content.", "확장 내용의 길이입니다."),
        Kind::TlsExtensionData => ("Content of the extension.", "확장의 내용입니다."),
        Kind::TlsServerNameListLength => ("Length of the list of names.", "이름 목록의 길이입니다."),
        Kind::TlsServerNameType => {
            ("The kind of name; 0 is a host name.", "이름의 종류입니다. 0은 호스트 이름입니다.")
        }
        Kind::TlsServerNameLength => ("Length of the name.", "이름의 길이입니다."),
        Kind::TlsServerName => (
            "The host that the client wants to reach. It is not encrypted: everyone on the way can read it.",
            "클라이언트가 접속하려는 호스트입니다. 암호화되지 않으므로 경로 위의 누구나 읽을 수 있습니다.",
        ),
        Kind::TlsAlpnLength => {
            ("Length of the list of application protocols.", "응용 프로토콜 목록의 길이입니다.")
        }
        Kind::TlsAlpnNameLength => ("Length of the protocol's name.", "프로토콜 이름의 길이입니다."),
        Kind::TlsAlpnName => (
            "The protocol inside of TLS, such as HTTP/1.1. In a ClientHello everyone can read it.",
            "TLS 안에서 쓸 프로토콜입니다(예: HTTP/1.1). ClientHello에서는 누구나 읽을 수 있습니다.",
        ),
        Kind::TlsSupportedVersionsLength => ("Length of the list of versions.", "버전 목록의 길이입니다."),
        Kind::TlsSupportedVersion => (
            "A version of TLS: the client offers several, the server chooses one.",
            "TLS 버전입니다. 클라이언트가 여러 개를 제안하고 서버가 하나를 고릅니다.",
        ),
        Kind::TlsSupportedGroupsLength => ("Length of the list of groups.", "그룹 목록의 길이입니다."),
        Kind::TlsSupportedGroup => (
            "A mathematical group in which both sides can agree on a key.",
            "양쪽이 키를 합의할 수 있는 수학적 그룹입니다.",
        ),
        Kind::TlsSignatureAlgorithmsLength => {
            ("Length of the list of signature algorithms.", "서명 알고리즘 목록의 길이입니다.")
        }
        Kind::TlsSignatureAlgorithm => (
            "A way to sign by which the server may prove that it has the certificate's key.",
            "서버가 인증서의 키를 가지고 있음을 증명할 때 쓸 수 있는 서명 방식입니다.",
        ),
        Kind::TlsKeySharesLength => ("Length of all key shares.", "모든 키 공유의 길이입니다."),
        Kind::TlsKeyShareGroup => ("The group of the key share.", "키 공유의 그룹입니다."),
        Kind::TlsKeyShareLength => ("Length of the public key.", "공개 키의 길이입니다."),
        Kind::TlsKeyShare => (
            "A public key made for this connection alone. Both public keys do not suffice to compute the shared one.",
            "이 연결만을 위해 만든 공개 키입니다. 두 공개 키를 모두 알아도 공유 키를 계산할 수 없습니다.",
        ),
        Kind::TlsVerifyData => (
            "A check over the whole handshake: had anyone changed a byte of it, this would differ.",
            "핸드셰이크 전체에 대한 검사 값입니다. 누군가 한 바이트라도 바꿨다면 이 값이 달라집니다.",
        ),
        Kind::TlsHandshakeData => ("The rest of the handshake message.", "핸드셰이크 메시지의 나머지입니다."),
        Kind::HttpMethod => (
            "What the client wants to do: POST sends something.",
            "클라이언트가 하려는 일입니다. POST는 무언가를 보냅니다.",
        ),
        Kind::HttpTarget => ("The path on the server.", "서버에서의 경로입니다."),
        Kind::HttpRequestVersion | Kind::HttpResponseVersion => ("Version of HTTP.", "HTTP의 버전입니다."),
        Kind::HttpStatus => ("How it went: 200 is success.", "처리 결과입니다. 200은 성공입니다."),
        Kind::HttpReason => ("The same in words, for people.", "같은 결과를 사람이 읽을 말로 적은 것입니다."),
        Kind::HttpFieldName => ("Name of a header field.", "헤더 필드의 이름입니다."),
        Kind::HttpFieldValue => (
            "Value of a header field. Cookies and tokens are among them.",
            "헤더 필드의 값입니다. 쿠키와 토큰이 여기에 들어갑니다.",
        ),
        Kind::HttpSeparator => {
            ("What separates the parts of the head.", "헤드의 부분들을 나누는 문자입니다.")
        }
        Kind::HttpBody => ("The content of the message.", "메시지의 내용입니다."),
        Kind::HttpChunkSize => (
            "Length of the next chunk of the content, in hexadecimal digits; 0 ends it. The sender need not know the whole length.",
            "이어지는 청크의 길이를 16진수로 적은 것입니다. 0이면 끝입니다. 보내는 쪽이 전체 길이를 미리 알 필요가 없습니다.",
        ),
        Kind::HttpChunkExtension => (
            "An addition to a chunk, which hardly any program uses.",
            "청크에 덧붙이는 정보입니다. 쓰는 프로그램은 거의 없습니다.",
        ),
        Kind::HttpChunkData => ("A part of the content.", "내용의 일부입니다."),
        Kind::HttpChunkBoundary => (
            "The end of a line. It separates chunks and is no part of the content.",
            "줄의 끝입니다. 청크를 나눌 뿐 내용에는 속하지 않습니다.",
        ),
        Kind::WebSocketFin => (
            "If set, this frame is the last one of its message.",
            "켜져 있으면 이 프레임이 메시지의 마지막 프레임입니다.",
        ),
        Kind::WebSocketReserved => (
            "Three bits for extensions, zero without one.",
            "확장에 쓰는 세 비트입니다. 확장이 없으면 0입니다.",
        ),
        Kind::WebSocketOpcode => (
            "The kind of frame: 1 text, 2 bytes, 0 continues a message, 8 close, 9 ping, 10 pong.",
            "프레임의 종류입니다. 1은 텍스트, 2는 바이트, 0은 메시지의 계속, 8은 닫기, 9는 핑, 10은 퐁입니다.",
        ),
        Kind::WebSocketMask => (
            "Whether the payload is masked: what a client sends always is, what a server sends never.",
            "페이로드에 마스크를 씌웠는지 나타냅니다. 클라이언트는 항상 씌우고 서버는 씌우지 않습니다.",
        ),
        Kind::WebSocketLength => (
            "Length of the payload; 126 and 127 announce that a longer number follows.",
            "페이로드의 길이입니다. 126과 127은 더 긴 숫자가 뒤따른다는 뜻입니다.",
        ),
        Kind::WebSocketLength16 | Kind::WebSocketLength64 => {
            ("Length of the payload in bytes.", "페이로드의 길이(바이트)입니다.")
        }
        Kind::WebSocketMaskingKey => (
            "Four random bytes that the payload is combined with. They are no secret: everyone on the way can undo it.",
            "페이로드와 결합하는 무작위 4바이트입니다. 비밀이 아니므로 경로 위의 누구나 되돌릴 수 있습니다.",
        ),
        Kind::WebSocketPayload => ("What the program sent.", "프로그램이 보낸 내용입니다."),
        Kind::WebSocketMaskedPayload => (
            "What the program sent, combined with the masking key. It only looks encrypted.",
            "프로그램이 보낸 내용을 마스킹 키와 결합한 것입니다. 암호화된 것처럼 보일 뿐입니다.",
        ),
        Kind::JsonKey => ("The name of what follows.", "뒤따르는 값의 이름입니다."),
        Kind::JsonString => ("Text of the message, as it was said.", "메시지에 적힌 글 그대로입니다."),
        Kind::JsonNumber => ("A number of the message.", "메시지에 적힌 숫자입니다."),
        Kind::JsonLiteral => ("True, false or nothing.", "참, 거짓, 또는 값 없음입니다."),
        Kind::JsonPunctuation => ("What holds the JSON document together.", "JSON 문서를 이루는 기호입니다."),
        Kind::Trailer => (
            "Bytes behind the packet: short frames are padded, and some captures keep a check sequence.",
            "패킷 뒤의 바이트입니다. 짧은 프레임은 채워지고, 검사 값을 남기는 캡처도 있습니다.",
        ),
        Kind::Data => ("Bytes that are not decoded.", "해석하지 않은 바이트입니다."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_sentence_in_both_languages() {
        for kind in Kind::ALL {
            let [english, korean] = [Language::English, Language::Korean].map(|it| sentence(*kind, it));
            let is_korean = |c: char| ('가'..='힣').contains(&c);
            assert!(english.ends_with('.') && !english.contains(is_korean), "{kind:?}: {english}");
            assert!(korean.ends_with(['.', ')']) && korean.contains(is_korean), "{kind:?}: {korean}");
        }
    }
}
