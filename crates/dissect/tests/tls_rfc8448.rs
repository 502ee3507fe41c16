//! The handshake traces of RFC 8448, "Example Handshake Traces for TLS 1.3": every byte is known, and so is every result.

mod tls_support;

use data_encoding::HEXLOWER;
use dissect::flow::Direction;
use dissect::tls::{
    AlertDescription, CipherSuite, Message, NamedGroup, NotDecrypted, ProtocolVersion, Reason, Session,
};
use tls_support::{Seen, Wire, watch};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

/// RFC 8448 §3, "Simple 1-RTT Handshake": the records in order.
const SIMPLE: [(Direction, &str); 9] = [
    (
        CLIENT,
        "16030100c4010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b0009000006736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d00020101001c00024001",
    ),
    (
        SERVER,
        "160303005a020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304",
    ),
    (
        SERVER,
        "17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf40aa40aa2b8ea73f848a7ca07612ef9f945cb960b4068905123ea78b111b429ba9191cd05d2a389280f526134aadc7fc78c4b729df828b5ecf7b13bd9aefb0e57f271585b8ea9bb355c7c79020716cfb9b1183ef3ab20e37d57a6b9d7477609aee6e122a4cf51427325250c7d0e509289444c9b3a648f1d71035d2ed65b0e3cdd0cbae8bf2d0b227812cbb360987255cc744110c453baa4fcd610928d809810e4b7ed1a8fd991f06aa6248204797e36a6a73b70a2559c09ead686945ba246ab66e5edd8044b4c6de3fcf2a89441ac66272fd8fb330ef8190579b3684596c960bd596eea520a56a8d650f563aad27409960dca63d3e688611ea5e22f4415cf9538d51a200c27034272968a264ed6540c84838d89f72c24461aad6d26f59ecaba9acbbb317b66d902f4f292a36ac1b639c637ce343117b659622245317b49eeda0c6258f100d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e1b7a6c7178af36879018e3f252107f243d243dc7339d5684c8b0378bf30244da8c87c843f5e56eb4c5e8280a2b48052cf93b16499a66db7cca71e4599426f7d461e66f99882bd89fc50800becca62d6c74116dbd2972fda1fa80f85df881edbe5a37668936b335583b599186dc5c6918a396fa48a181d6b6fa4f9d62d513afbb992f2b992f67f8afe67f76913fa388cb5630c8ca01e0c65d11c66a1e2ac4c85977b7c7a6999bbf10dc35ae69f5515614636c0b9b68c19ed2e31c0b3b66763038ebba42f3b38edc0399f3a9f23faa63978c317fc9fa66a73f60f0504de93b5b845e275592c12335ee340bbc4fddd502784016e4b3be7ef04dda49f4b440a30cb5d2af939828fd4ae3794e44f94df5a631ede42c1719bfdabf0253fe5175be898e750edc53370d2b",
    ),
    (
        CLIENT,
        "170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f38f80338ac98fc46deb384bd1caeacab6867d726c40546",
    ),
    (
        SERVER,
        "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758db289a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f75e09c30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca475840025db2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f650db4d023e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779b37bf15985684f",
    ),
    (
        CLIENT,
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
    ),
    (
        SERVER,
        "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
    ),
    (CLIENT, "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"),
    (SERVER, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"),
];

/// RFC 8448 §3: the secrets of that connection.
const SIMPLE_SECRETS: [(&str, &str); 4] = [
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"),
    ("CLIENT_TRAFFIC_SECRET_0", "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"),
    ("SERVER_TRAFFIC_SECRET_0", "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"),
];

/// RFC 8448 §4, "Resumed 0-RTT Handshake": the records in order.
const RESUMED: [(Direction, &str); 10] = [
    (
        CLIENT,
        "1603010200010001fc03031bc3ceb6bbe39cff938355b5a50adb6db21b7a6af649d7b4bc419d7876487d95000006130113031302010001cd0000000b0009000006736572766572ff01000100000a00140012001d00170018001901000101010201030104003300260024001d0020e4ffb68ac05f8d96c99da26698346c6be16482badddafe051a66b4f18d668f0b002a0000002b0003020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d00020101001c0002400100150057000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002900dd00b800b22c035d829359ee5ff7af4ec900000000262a6494dc486d2c8a34cb33fa90bf1b0070ad3c498883c9367c09a2be785abc55cd226097a3a982117283f82a03a143efd3ff5dd36d64e861be7fd61d2827db279cce145077d454a3664d4e6da4d29ee03725a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bda40dda721470f9fbf297b5aea617646fac5c03272e970727c621a79141ef5f7de6505e5bfbc388e93343694093934ae4d357fad6aacb0021203add4fb2d8fdf822a0ca3cf7678ef5e88dae990141c5924d57bb6fa31b9e5f9d",
    ),
    (CLIENT, "1703030017ab1df420e75c457a7cc5d2844f76d5aee4b4edbf049be0"),
    (
        SERVER,
        "16030300600200005c03033ccfd2dec890222763472ae8136777c9d7358777bb66e91ea5122495f559ea2d00130100003400290002000000330024001d0020121761ee42c333e1b9e77b60dd57c2053cd94512ab47f115e86eff50942cea31002b00020304",
    ),
    (
        SERVER,
        "1703030061dc48237b4b879f50d0d4d262ea8b4716eb40ddc1eb957e11126e8a7149c2d012d37a7115957e64ce30008b9e0323f2c05a9c1c77b4f37849a695ab255060a33fee770ca95cb8486bfd0843b87024865ca35cc41c4e515c64dcb1369f98635bc7a5",
    ),
    (CLIENT, "1703030015aca6fc944841298df99593725f9bf9754429b12f09"),
    (
        CLIENT,
        "170303003500f8b467d14cf22a4b3f0b6ae0d8e6cc8d08e0db3515ef5c2bdf1922eafbb70009964716d834fb70c3d2a56c5b1f5f6bdba6c333cf",
    ),
    (
        CLIENT,
        "1703030043b1cebce242aa201be9ae5e1cb2a9aa4b33d4e866af1edb068919237741aa031d7a74d491c99b9d4e232b74206bc6fbaa04fe78be44a9b4f54320a17eb76992afac3103",
    ),
    (
        SERVER,
        "1703030043275e9f20acff57bc000657d3867df039cccf79047884cf75771746f740b5a83f462a0954c3581393a203a25a7dd14141ef1a37900cdb62ff62dee1ba39ab2590cbf194",
    ),
    (CLIENT, "17030300130facce3246bdfc6369838d6a82ae6de5d422dc"),
    (SERVER, "17030300135b18af444e8e1eec7158fb62d8f2577d37ba5d"),
];

/// RFC 8448 §4: the secrets of that connection.
const RESUMED_SECRETS: [(&str, &str); 5] = [
    ("CLIENT_EARLY_TRAFFIC_SECRET", "3fbbe6a60deb66c30a32795aba0eff7eaa10105586e7be5c09678d63b6caab62"),
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "2faac08f851d35fea3604fcb4de82dc62c9b164a70974d0462e27f1ab278700f"),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "fe927ae271312e8bf0275b581c54eef020450dc4ecffaa05a1a35d27518e7803"),
    ("CLIENT_TRAFFIC_SECRET_0", "2abbf2b8e381d23dbebe1dd2a7d16a8bf484cb4950d23fb7fb7fa8547062d9a1"),
    ("SERVER_TRAFFIC_SECRET_0", "cc21f1bf8feb7dd5fa505bd9c4b468a9984d554a993dc49e6d285598fb672691"),
];

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

/// The wire with a key log; the client random is at bytes 11 to 43 of the ClientHello's record.
fn wire(records: &[(Direction, &str)], secrets: &[(&str, &str)]) -> Wire {
    let random = &records[0].1[22..86];
    Wire {
        sent: records.iter().map(|(direction, hex)| (*direction, bytes(hex))).collect(),
        keys: secrets.iter().map(|(label, secret)| format!("{label} {random} {secret}\n")).collect(),
    }
}

fn watch_with_keys(wire: &Wire) -> Seen {
    watch(Session::new(Some(wire.key_log())), &wire.sent)
}

#[test]
fn decrypts_the_simple_handshake() {
    let wire = wire(&SIMPLE, &SIMPLE_SECRETS);
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();

    let data: Vec<u8> = (0..=0x31).collect();
    assert_eq!(seen.plain, [data.clone(), data]);
    let close = AlertDescription::CLOSE_NOTIFY.to_string();
    assert_eq!(seen.alerts, [(CLIENT, close.clone()), (SERVER, close)]);

    let hello = seen.message(CLIENT, |m| matches!(m, Message::ClientHello(_))).unwrap();
    let Message::ClientHello(hello) = &hello.message else { unreachable!() };
    assert_eq!(hello.server_name.as_deref(), Some("server"));
    assert_eq!(hello.supported_versions, [ProtocolVersion::TLS_1_3]);
    assert_eq!(hello.key_share_groups, [NamedGroup::X25519]);
    assert_eq!(hello.supported_groups.len(), 9);
    let choice = seen.message(SERVER, |m| matches!(m, Message::ServerHello(_))).unwrap();
    let Message::ServerHello(choice) = &choice.message else { unreachable!() };
    assert_eq!(
        (choice.version, choice.cipher_suite),
        (ProtocolVersion::TLS_1_3, CipherSuite::TLS_AES_128_GCM_SHA256)
    );

    let chain = seen.message(SERVER, |m| matches!(m, Message::Certificate(_))).unwrap();
    assert!(chain.was_encrypted);
    let Message::Certificate(chain) = &chain.message else { unreachable!() };
    let certificate = chain.certificates[0].fields.as_ref().unwrap();
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=rsa", "CN=rsa"));
    assert_eq!(certificate.public_key_algorithm, "RSA 1024 bits");
    assert_eq!(certificate.signature_algorithm, "sha256WithRSAEncryption");
    assert_eq!(certificate.serial, "02");
    let ticket = seen.message(SERVER, |m| matches!(m, Message::NewSessionTicket(_))).unwrap();
    let Message::NewSessionTicket(ticket) = &ticket.message else { unreachable!() };
    assert_eq!((ticket.lifetime_seconds, ticket.max_early_data), (30, Some(1024)));
}

#[test]
fn yields_the_same_events_in_every_split() {
    for wire in [wire(&SIMPLE, &SIMPLE_SECRETS), wire(&RESUMED, &RESUMED_SECRETS)] {
        let whole = watch_with_keys(&wire);
        for size in [1, 2, 3, 5, 6, 17, 100] {
            assert_eq!(watch_with_keys(&wire.chopped(size)), whole, "{size}");
        }
    }
}

#[test]
fn decrypts_the_resumed_handshake_with_early_data() {
    let wire = wire(&RESUMED, &RESUMED_SECRETS);
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();
    let data: Vec<u8> = (0..=0x31).collect();
    assert_eq!(seen.plain, [[b"ABCDEF".to_vec(), data.clone()].concat(), data]);
    assert!(seen.message(CLIENT, |m| *m == Message::EndOfEarlyData).is_some());
    assert!(
        seen.message(SERVER, |m| matches!(m, Message::ServerHello(hello) if hello.accepts_psk)).is_some()
    );
    assert!(seen.message(SERVER, |m| matches!(m, Message::Certificate(_))).is_none());
}

#[test]
fn reports_early_data_without_its_secret_as_not_decrypted() {
    let wire = wire(&RESUMED, &RESUMED_SECRETS[1..]);
    let seen = watch_with_keys(&wire);
    let data: Vec<u8> = (0..=0x31).collect();
    assert_eq!(seen.plain, [data.clone(), data]);
    let counters = seen.counters(CLIENT);
    // The early data and the message that ends them.
    assert_eq!((counters.not_decrypted, counters.failed, counters.unexplained_bytes), (2, 0, 23 + 21));
    assert_eq!(counters.first_unexplained.unwrap().reason, Reason::NotDecrypted(NotDecrypted::EarlyData));
    assert!(seen.counters(SERVER).is_explained());
}

#[test]
fn parses_only_the_hellos_without_a_key_log() {
    let wire = wire(&SIMPLE, &[]);
    for (session, why) in [
        (Session::new(None), NotDecrypted::NoKeyLog),
        (Session::new(Some(wire.key_log())), NotDecrypted::ClientRandomNotInKeyLog),
    ] {
        let seen = watch(session, &wire.sent);
        assert_eq!(seen.messages.len(), 2);
        for counters in &seen.counters {
            assert_eq!((counters.authenticated, counters.failed), (0, 0));
            assert_eq!(counters.not_decrypted, counters.application_data_records);
            assert_eq!(counters.first_unexplained.unwrap().reason, Reason::NotDecrypted(why));
        }
    }
}
