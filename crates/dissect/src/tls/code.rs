//! Code points of TLS as open newtypes: every value can be represented, known ones have names, and others print as hex.

/// Declares one code: its constants, their names, and how it prints.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident($int:ty) $width:literal { $($constant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $int);

        impl $name {
            $(#[doc = concat!("`", $text, "`")] pub const $constant: Self = Self($value);)*

            /// The registered name, or `None` for an unknown value.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!("0x{:0", $width, "x}"), self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

pub(super) use codes;

codes! {
    /// Content type of a record (RFC 9846 §5.1, RFC 6520 for heartbeat). The last one is none: it is the first bit of a
    /// ClientHello in the form of SSL 2.0, which has no record (RFC 5246 appendix E.2).
    ContentType(u8) 2 {
        CHANGE_CIPHER_SPEC = 20, "change_cipher_spec";
        ALERT = 21, "alert";
        HANDSHAKE = 22, "handshake";
        APPLICATION_DATA = 23, "application_data";
        HEARTBEAT = 24, "heartbeat";
        SSL2_CLIENT_HELLO = 128, "client_hello of SSL 2.0";
    }
}

codes! {
    /// Type of a handshake message (RFC 9846 §4, RFC 5246 §7.4, RFC 6066, RFC 8879).
    HandshakeType(u8) 2 {
        HELLO_REQUEST = 0, "hello_request";
        CLIENT_HELLO = 1, "client_hello";
        SERVER_HELLO = 2, "server_hello";
        NEW_SESSION_TICKET = 4, "new_session_ticket";
        END_OF_EARLY_DATA = 5, "end_of_early_data";
        ENCRYPTED_EXTENSIONS = 8, "encrypted_extensions";
        CERTIFICATE = 11, "certificate";
        SERVER_KEY_EXCHANGE = 12, "server_key_exchange";
        CERTIFICATE_REQUEST = 13, "certificate_request";
        SERVER_HELLO_DONE = 14, "server_hello_done";
        CERTIFICATE_VERIFY = 15, "certificate_verify";
        CLIENT_KEY_EXCHANGE = 16, "client_key_exchange";
        FINISHED = 20, "finished";
        CERTIFICATE_STATUS = 22, "certificate_status";
        KEY_UPDATE = 24, "key_update";
        COMPRESSED_CERTIFICATE = 25, "compressed_certificate";
    }
}

codes! {
    /// Protocol version as two bytes on the wire.
    ProtocolVersion(u16) 4 {
        SSL_2_0 = 0x0002, "SSL 2.0";
        SSL_3_0 = 0x0300, "SSL 3.0";
        TLS_1_0 = 0x0301, "TLS 1.0";
        TLS_1_1 = 0x0302, "TLS 1.1";
        TLS_1_2 = 0x0303, "TLS 1.2";
        TLS_1_3 = 0x0304, "TLS 1.3";
        DRAFT_14 = 0x7f0e, "TLS 1.3 (draft 14)";
        DRAFT_15 = 0x7f0f, "TLS 1.3 (draft 15)";
        DRAFT_16 = 0x7f10, "TLS 1.3 (draft 16)";
        DRAFT_17 = 0x7f11, "TLS 1.3 (draft 17)";
        DRAFT_18 = 0x7f12, "TLS 1.3 (draft 18)";
        DRAFT_19 = 0x7f13, "TLS 1.3 (draft 19)";
        DRAFT_20 = 0x7f14, "TLS 1.3 (draft 20)";
        DRAFT_21 = 0x7f15, "TLS 1.3 (draft 21)";
        DRAFT_22 = 0x7f16, "TLS 1.3 (draft 22)";
        DRAFT_23 = 0x7f17, "TLS 1.3 (draft 23)";
        DRAFT_24 = 0x7f18, "TLS 1.3 (draft 24)";
        DRAFT_25 = 0x7f19, "TLS 1.3 (draft 25)";
        DRAFT_26 = 0x7f1a, "TLS 1.3 (draft 26)";
        DRAFT_27 = 0x7f1b, "TLS 1.3 (draft 27)";
        DRAFT_28 = 0x7f1c, "TLS 1.3 (draft 28)";
        FACEBOOK_23 = 0xfb17, "TLS 1.3 (Facebook draft 23)";
        FACEBOOK_26 = 0xfb1a, "TLS 1.3 (Facebook draft 26)";
    }
}

impl ProtocolVersion {
    /// The number of the draft of TLS 1.3 that it names, which differ in ways of their own.
    #[must_use]
    pub fn draft(self) -> Option<u8> {
        let [kind, number] = self.0.to_be_bytes();
        (self.name().is_some() && matches!(kind, 0x7f | 0xfb)).then_some(number)
    }

    /// Whether it is TLS 1.3 or a draft of it.
    #[must_use]
    pub fn is_tls13(self) -> bool {
        self == Self::TLS_1_3 || self.draft().is_some()
    }
}

codes! {
    /// Group of a key exchange (IANA registry "TLS Supported Groups").
    NamedGroup(u16) 4 {
        SECP256R1 = 0x0017, "secp256r1";
        SECP384R1 = 0x0018, "secp384r1";
        SECP521R1 = 0x0019, "secp521r1";
        X25519 = 0x001d, "x25519";
        X448 = 0x001e, "x448";
        FFDHE2048 = 0x0100, "ffdhe2048";
        FFDHE3072 = 0x0101, "ffdhe3072";
        FFDHE4096 = 0x0102, "ffdhe4096";
        MLKEM512 = 0x0200, "MLKEM512";
        MLKEM768 = 0x0201, "MLKEM768";
        MLKEM1024 = 0x0202, "MLKEM1024";
        SECP256R1MLKEM768 = 0x11eb, "SecP256r1MLKEM768";
        X25519MLKEM768 = 0x11ec, "X25519MLKEM768";
        SECP384R1MLKEM1024 = 0x11ed, "SecP384r1MLKEM1024";
        X25519KYBER768DRAFT00 = 0x6399, "X25519Kyber768Draft00";
    }
}

codes! {
    /// Type of a hello extension (IANA registry "TLS ExtensionType Values").
    ExtensionType(u16) 4 {
        SERVER_NAME = 0, "server_name";
        MAX_FRAGMENT_LENGTH = 1, "max_fragment_length";
        STATUS_REQUEST = 5, "status_request";
        SUPPORTED_GROUPS = 10, "supported_groups";
        EC_POINT_FORMATS = 11, "ec_point_formats";
        SIGNATURE_ALGORITHMS = 13, "signature_algorithms";
        HEARTBEAT = 15, "heartbeat";
        ALPN = 16, "application_layer_protocol_negotiation";
        STATUS_REQUEST_V2 = 17, "status_request_v2";
        SIGNED_CERTIFICATE_TIMESTAMP = 18, "signed_certificate_timestamp";
        CLIENT_CERTIFICATE_TYPE = 19, "client_certificate_type";
        SERVER_CERTIFICATE_TYPE = 20, "server_certificate_type";
        PADDING = 21, "padding";
        ENCRYPT_THEN_MAC = 22, "encrypt_then_mac";
        EXTENDED_MASTER_SECRET = 23, "extended_master_secret";
        COMPRESS_CERTIFICATE = 27, "compress_certificate";
        RECORD_SIZE_LIMIT = 28, "record_size_limit";
        DELEGATED_CREDENTIALS = 34, "delegated_credentials";
        SESSION_TICKET = 35, "session_ticket";
        PRE_SHARED_KEY = 41, "pre_shared_key";
        EARLY_DATA = 42, "early_data";
        SUPPORTED_VERSIONS = 43, "supported_versions";
        COOKIE = 44, "cookie";
        PSK_KEY_EXCHANGE_MODES = 45, "psk_key_exchange_modes";
        POST_HANDSHAKE_AUTH = 49, "post_handshake_auth";
        SIGNATURE_ALGORITHMS_CERT = 50, "signature_algorithms_cert";
        KEY_SHARE = 51, "key_share";
        NEXT_PROTOCOL_NEGOTIATION = 13172, "next_protocol_negotiation";
        APPLICATION_SETTINGS_OLD = 17513, "application_settings (old)";
        APPLICATION_SETTINGS = 17613, "application_settings";
        CHANNEL_ID = 30032, "channel_id";
        TRUST_ANCHORS = 51764, "trust_anchors";
        ENCRYPTED_CLIENT_HELLO = 0xfe0d, "encrypted_client_hello";
        RENEGOTIATION_INFO = 0xff01, "renegotiation_info";
    }
}

codes! {
    /// The meaning of an alert (RFC 9846 §6, RFC 5246 §7.2).
    AlertDescription(u8) 2 {
        CLOSE_NOTIFY = 0, "close_notify";
        UNEXPECTED_MESSAGE = 10, "unexpected_message";
        BAD_RECORD_MAC = 20, "bad_record_mac";
        DECRYPTION_FAILED = 21, "decryption_failed";
        RECORD_OVERFLOW = 22, "record_overflow";
        DECOMPRESSION_FAILURE = 30, "decompression_failure";
        HANDSHAKE_FAILURE = 40, "handshake_failure";
        NO_CERTIFICATE = 41, "no_certificate";
        BAD_CERTIFICATE = 42, "bad_certificate";
        UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
        CERTIFICATE_REVOKED = 44, "certificate_revoked";
        CERTIFICATE_EXPIRED = 45, "certificate_expired";
        CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
        ILLEGAL_PARAMETER = 47, "illegal_parameter";
        UNKNOWN_CA = 48, "unknown_ca";
        ACCESS_DENIED = 49, "access_denied";
        DECODE_ERROR = 50, "decode_error";
        DECRYPT_ERROR = 51, "decrypt_error";
        EXPORT_RESTRICTION = 60, "export_restriction";
        PROTOCOL_VERSION = 70, "protocol_version";
        INSUFFICIENT_SECURITY = 71, "insufficient_security";
        INTERNAL_ERROR = 80, "internal_error";
        INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
        USER_CANCELED = 90, "user_canceled";
        NO_RENEGOTIATION = 100, "no_renegotiation";
        MISSING_EXTENSION = 109, "missing_extension";
        UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
        CERTIFICATE_UNOBTAINABLE = 111, "certificate_unobtainable";
        UNRECOGNIZED_NAME = 112, "unrecognized_name";
        BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
        BAD_CERTIFICATE_HASH_VALUE = 114, "bad_certificate_hash_value";
        UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
        CERTIFICATE_REQUIRED = 116, "certificate_required";
        GENERAL_ERROR = 117, "general_error";
        NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
        ECH_REQUIRED = 121, "ech_required";
    }
}

codes! {
    /// The severity of an alert (RFC 9846 §6).
    AlertLevel(u8) 2 {
        WARNING = 1, "warning";
        FATAL = 2, "fatal";
    }
}

impl NamedGroup {
    /// Whether the key exchange holds against a quantum computer: ML-KEM alone or joined with an elliptic curve.
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        matches!(self, Self::MLKEM512 | Self::MLKEM768 | Self::MLKEM1024) || self.is_post_quantum_hybrid()
    }

    /// Whether it joins an elliptic curve with ML-KEM (or its draft, Kyber).
    #[must_use]
    pub fn is_post_quantum_hybrid(self) -> bool {
        matches!(
            self,
            Self::SECP256R1MLKEM768
                | Self::X25519MLKEM768
                | Self::SECP384R1MLKEM1024
                | Self::X25519KYBER768DRAFT00
        )
    }
}

/// An alert in the clear or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Severity.
    pub level: AlertLevel,
    /// Meaning.
    pub description: AlertDescription,
}

impl Alert {
    /// Parses the body of an alert record: exactly two bytes, the level 1 or 2 (RFC 9846 §6), and a registered description.
    /// Any other is a byte of the sender's choice.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let &[level, description] = body else { return None };
        let level = AlertLevel(level);
        let description = AlertDescription(description);
        (level.name().is_some() && description.name().is_some()).then_some(Self { level, description })
    }
}

/// Whether a value is reserved for GREASE (RFC 8701).
#[must_use]
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::CipherSuite;

    #[test]
    fn prints_unknown_values_as_hex() {
        assert_eq!(CipherSuite(0x1301).to_string(), "TLS_AES_128_GCM_SHA256");
        assert_eq!(CipherSuite(0x0a0a).to_string(), "0x0a0a");
        assert_eq!(format!("{:?}", ContentType(7)), "0x07");
        assert!(NamedGroup(0x11ec).is_post_quantum_hybrid());
        assert!(!NamedGroup::X25519.is_post_quantum());
        assert!(NamedGroup::MLKEM768.is_post_quantum() && !NamedGroup::MLKEM768.is_post_quantum_hybrid());
        assert!(is_grease(0x7a7a) && !is_grease(0x7a8a) && !is_grease(0x1301));
    }

    #[test]
    fn rejects_alerts_that_are_not_two_registered_bytes() {
        assert_eq!(Alert::parse(&[1, 0]).unwrap().description, AlertDescription::CLOSE_NOTIFY);
        for bad in [&[][..], &[1], &[1, 0, 0], &[3, 0], &[0, 0], &[1, 1], &[2, 207]] {
            assert_eq!(Alert::parse(bad), None);
        }
    }
}
