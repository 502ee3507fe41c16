//! The replay where it must fail: at gateways that authenticate their users over TLS, by a token or by a certificate.
//!
//! ```text
//! owner     token or certificate, X-User-Id   keeps a secret, and reads it       200
//! intruder  X-User-Id, nothing else           asks for the owner's conversation  401
//! intruder  X-User-Id, a wrong token          likewise                           401
//! ```
//! The authority, the certificates and the token are made for the run and are never published.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use experiment::RunId;
use experiment::files::write_private;
use experiment::isolation::{ProtectionRecord, TLS_PORT, UserRecord};
use hyper::StatusCode;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::STEM;
use super::user_traffic::GatewayClient;
use crate::process::Call;
use crate::programs::{Program, Programs};

/// What names the user at each of the gateways.
const MODES: [&str; 2] = [TOKEN, MTLS];

/// As `gateway --auth` calls them.
pub(super) const TOKEN: &str = "token";
pub(super) const MTLS: &str = "mtls";

/// The deadline of `certgen` and of `gateway token`, which take some milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Plans both protections: `owner` keeps a fresh secret at each.
pub(super) fn plan(
    server: IpAddr,
    owner: &UserRecord,
    intruder: IpAddr,
    interface: &str,
) -> anyhow::Result<Vec<ProtectionRecord>> {
    let planned = MODES.map(|auth| {
        let secret = RunId::fresh().context("cannot draw a secret")?.as_str().to_owned();
        Ok(ProtectionRecord {
            auth: auth.to_owned(),
            server: SocketAddr::new(server, TLS_PORT),
            user: owner.id.clone(),
            owner: owner.address,
            intruder,
            message: format!("Keep this for me: {secret}"),
            secret,
            interface: interface.to_owned(),
            capture: format!("{STEM}{auth}.{interface}.pcap"),
        })
    });
    planned.into_iter().collect()
}

/// The file name of the key log of a protection's gateway.
pub(super) fn key_log(protection: &ProtectionRecord) -> String {
    format!("{STEM}{}.keys", protection.auth)
}

/// What the owner and the gateways identify themselves with: files in a folder of their own.
pub(super) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Those of the run in this folder.
    pub(super) fn of(run: &Path) -> Self {
        Self { folder: run.join("credentials") }
    }

    /// Makes an authority, the certificates of the gateways and of the owner, and the owner's token.
    pub(super) async fn make(&self, programs: &Programs, plan: &[ProtectionRecord]) -> anyhow::Result<()> {
        let Some(ProtectionRecord { server, user, .. }) = plan.first() else { return Ok(()) };
        let certgen = Call::new(Program::Certgen)
            .flag("--out", &self.folder)
            .flag("--san", server.ip().to_string())
            .flag("--client", user)
            .word("--quiet");
        certgen.output(programs, Vec::new(), DEADLINE).await?;
        let add = Call::new(Program::Gateway)
            .word("token")
            .word("add")
            .word(user.as_str())
            .flag("--tokens", self.tokens());
        let added = add.output(programs, Vec::new(), DEADLINE).await?;
        let token = String::from_utf8(added.stdout).context("the token is no text")?;
        self.write("token", token.trim())
    }

    /// The flags that make a gateway authenticate its users.
    pub(super) fn flags(&self, auth: &str, call: Call) -> Call {
        call.flag("--auth", auth)
            .flag("--tls-cert", self.folder.join("server.pem"))
            .flag("--tls-key", self.folder.join("server.key"))
            .flag("--tokens", self.tokens())
            .flag("--client-ca", self.authority())
    }

    fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.json")
    }

    fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A client of the gateway that can name the user, and nothing more.
    fn client(
        &self,
        protection: &ProtectionRecord,
        address: IpAddr,
        certificate_of: Option<&str>,
    ) -> anyhow::Result<GatewayClient> {
        let mut client = GatewayClient::new(protection.server, address, &protection.user);
        client.tls = Some(Arc::new(self.tls(certificate_of)?));
        Ok(client)
    }

    /// TLS 1.3 as a client that trusts this authority, with a certificate of this user or with none. It resumes no session, so
    /// that every connection shows a whole handshake.
    fn tls(&self, certificate_of: Option<&str>) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority()).context("cannot read the authority")?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots);
        let mut config = match certificate_of {
            None => builder.with_no_client_auth(),
            Some(user) => {
                let file = |extension| self.folder.join(format!("client-{user}.{extension}"));
                let chain =
                    CertificateDer::from_pem_file(file("pem")).context("cannot read the certificate")?;
                let key = PrivateKeyDer::from_pem_file(file("key")).context("cannot read the key")?;
                builder.with_client_auth_cert(vec![chain], key)?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The owner keeps its secret and reads it. Its conversation is written down for the intruder, who would not know it.
    pub(super) async fn own(&self, protection: &ProtectionRecord) -> anyhow::Result<()> {
        let is_by_token = protection.auth == TOKEN;
        let certificate_of = (!is_by_token).then_some(protection.user.as_str());
        let mut owner = self.client(protection, protection.owner, certificate_of)?;
        if is_by_token {
            owner.token = Some(self.read("token")?);
        }
        let answer = owner.send(&protection.message, None).await?;
        let all = owner.read_everything().await.context("the owner cannot read its conversation")?;
        ensure!(all.contains(&protection.secret), "the gateway did not return the secret to its owner");
        self.write(&protection.auth, &answer.conversation_id)
    }

    /// The intruder names the owner as it did over plain HTTP. Every request must be refused.
    pub(super) async fn intrude(&self, protection: &ProtectionRecord) -> anyhow::Result<()> {
        let conversation = self.read(&protection.auth)?;
        let mut intruder = self.client(protection, protection.intruder, None)?;
        let mut statuses = intruder.try_to_read(&conversation).await?;
        if protection.auth == TOKEN {
            let half = || RunId::fresh().context("cannot draw a token");
            intruder.token = Some(format!("plns_{}{}", half()?, half()?));
            statuses.extend(intruder.try_to_read(&conversation).await?);
        }
        ensure!(
            statuses.iter().all(|status| *status == StatusCode::UNAUTHORIZED),
            "gateway --auth {} answered the replay with {statuses:?}",
            protection.auth
        );
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        write_private(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}
