//! A rustls client and server in memory: every byte between them is recorded, and their key log.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, OnceLock};

use data_encoding::HEXLOWER;
use dissect::flow::Direction;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite,
};

use crate::tls_support::Wire;

/// The parameters of a connection.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) suite: SupportedCipherSuite,
    pub(crate) client_groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) server_groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) client_certificate: bool,
    pub(crate) early_data: bool,
}

impl Setup {
    pub(crate) fn new(suite: SupportedCipherSuite, group: &'static dyn SupportedKxGroup) -> Self {
        let groups = vec![group];
        Self {
            suite,
            client_groups: groups.clone(),
            server_groups: groups,
            client_certificate: false,
            early_data: false,
        }
    }

    pub(crate) fn usual() -> Self {
        Self::new(aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256, aws_lc_rs::kx_group::X25519)
    }

    pub(crate) fn configs(&self) -> Configs {
        let pki = Pki::shared();
        let log = Arc::new(Log::default());
        let provider = |groups: &[&'static dyn SupportedKxGroup]| {
            Arc::new(CryptoProvider {
                cipher_suites: vec![self.suite],
                kx_groups: groups.to_vec(),
                ..aws_lc_rs::default_provider()
            })
        };
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca.clone()).unwrap();
        let roots = Arc::new(roots);

        let client = ClientConfig::builder_with_provider(provider(&self.client_groups))
            .with_protocol_versions(&[self.suite.version()])
            .unwrap()
            .with_root_certificates(Arc::clone(&roots));
        let mut client = if self.client_certificate {
            client.with_client_auth_cert(vec![pki.client.0.clone()], pki.client.1.clone_key()).unwrap()
        } else {
            client.with_no_client_auth()
        };
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        client.key_log = log.clone();
        client.enable_early_data = self.early_data;

        let server_provider = provider(&self.server_groups);
        let server = ServerConfig::builder_with_provider(Arc::clone(&server_provider))
            .with_protocol_versions(&[self.suite.version()])
            .unwrap();
        let server = if self.client_certificate {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, server_provider).build().unwrap();
            server.with_client_cert_verifier(verifier)
        } else {
            server.with_no_client_auth()
        };
        // TLS 1.3 chooses no kind of key.
        let is_rsa = format!("{:?}", self.suite.suite()).contains("_RSA_");
        let (certificate, key) = if is_rsa { &pki.rsa_server } else { &pki.server };
        let mut server = server.with_single_cert(vec![certificate.clone()], key.clone_key()).unwrap();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.key_log = log.clone();
        server.max_early_data_size = if self.early_data { 4096 } else { 0 };
        Configs { client: Arc::new(client), server: Arc::new(server), log }
    }
}

/// The settings of both ends; connections with the same ones may resume.
pub(crate) struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    log: Arc<Log>,
}

/// An open connection.
pub(crate) struct TestConnection {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    wire: Wire,
    log: Arc<Log>,
    /// What each end received, as plaintext.
    pub(crate) received: [Vec<u8>; 2],
}

impl Configs {
    pub(crate) fn connect(&self) -> TestConnection {
        self.log.0.lock().unwrap().clear();
        let name = ServerName::try_from("agent-b").unwrap();
        TestConnection {
            client: ClientConnection::new(Arc::clone(&self.client), name).unwrap(),
            server: ServerConnection::new(Arc::clone(&self.server)).unwrap(),
            wire: Wire::default(),
            log: Arc::clone(&self.log),
            received: [Vec::new(), Vec::new()],
        }
    }
}

impl TestConnection {
    /// Carries bytes in both directions until neither end has more to send.
    pub(crate) fn settle(&mut self) -> &mut Self {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let from_client = sent.len();
            if from_client > 0 {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    self.server.read_tls(&mut rest).unwrap();
                    self.server.process_new_packets().unwrap();
                    if let Some(mut early) = self.server.early_data() {
                        let _ = early.read_to_end(&mut self.received[1]);
                    }
                    let _ = self.server.reader().read_to_end(&mut self.received[1]);
                }
                self.wire.sent.push((Direction::ClientToServer, sent));
            }
            let mut sent = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut sent).unwrap();
            }
            if sent.is_empty() && from_client == 0 {
                return self;
            }
            if !sent.is_empty() {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    self.client.read_tls(&mut rest).unwrap();
                    self.client.process_new_packets().unwrap();
                    let _ = self.client.reader().read_to_end(&mut self.received[0]);
                }
                self.wire.sent.push((Direction::ServerToClient, sent));
            }
        }
    }

    pub(crate) fn client_sends(&mut self, text: &[u8]) -> &mut Self {
        for part in text.chunks(32 << 10) {
            self.client.writer().write_all(part).unwrap();
            self.settle();
        }
        self
    }

    pub(crate) fn server_sends(&mut self, text: &[u8]) -> &mut Self {
        for part in text.chunks(32 << 10) {
            self.server.writer().write_all(part).unwrap();
            self.settle();
        }
        self
    }

    /// How many bytes the client has sent so far.
    pub(crate) fn client_sent(&self) -> usize {
        self.wire.stream(Direction::ClientToServer).len()
    }

    pub(crate) fn close(&mut self) -> Wire {
        self.client.send_close_notify();
        self.server.send_close_notify();
        self.settle();
        self.wire.keys = self.log.0.lock().unwrap().clone();
        self.wire.clone()
    }
}

/// A short connection: a question and an answer.
pub(crate) fn converse(setup: &Setup) -> Wire {
    setup.configs().connect().settle().client_sends(b"a question").server_sends(b"an answer").close()
}

/// Both ends write to it, so it contains every line twice.
#[derive(Debug, Default)]
struct Log(Mutex<String>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut text = self.0.lock().unwrap();
        text.push_str(label);
        for field in [client_random, secret] {
            text.push(' ');
            HEXLOWER.encode_append(field, &mut text);
        }
        text.push('\n');
    }
}

struct Pki {
    ca: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    rsa_server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Pki {
    fn shared() -> &'static Self {
        static PKI: OnceLock<Pki> = OnceLock::new();
        PKI.get_or_init(|| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let leaf = |name: &str, key: KeyPair, usage| {
                let mut params =
                    CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
                params.extended_key_usages = vec![usage];
                let certificate = params.signed_by(&key, &ca).unwrap();
                (
                    certificate.der().clone(),
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
            };
            let ec = || KeyPair::generate().unwrap();
            let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
            Self {
                ca: ca.der().clone(),
                server: leaf("agent-b", ec(), ExtendedKeyUsagePurpose::ServerAuth),
                rsa_server: leaf("agent-b", rsa, ExtendedKeyUsagePurpose::ServerAuth),
                client: leaf("agent-a", ec(), ExtendedKeyUsagePurpose::ClientAuth),
            }
        })
    }
}
