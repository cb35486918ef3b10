//! What the process runs with: the command line, then the environment, then `tollgate.yaml`, then defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tollgate_control::configuration::{
    self, FileObjects, LimitSettings, LogSettings, OtlpSettings, ProcessSettings, ReadConfiguration,
    TlsSettings,
};
use tollgate_gateway::Settings;
use tollgate_ledger::journal::Durability;
use tollgate_telemetry::logs::{self, LogFormat};

use super::Options;

const DEFAULT_DATA: &str = "data";
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// Every choice made.
pub(crate) struct Chosen {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) data: PathBuf,
    pub(crate) database: Option<String>,
    pub(crate) redis_url: Option<String>,
    pub(crate) root_key_file: Option<PathBuf>,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) limits: Settings,
    pub(crate) durability: Durability,
    pub(crate) drain: Duration,
    pub(crate) log: LogSettings,
    pub(crate) otlp: Option<OtlpSettings>,
    pub(crate) objects: Option<FileObjects>,
    /// The file's own part in these choices.
    pub(crate) file: ProcessSettings,
}

/// Reads `tollgate.yaml`; every mistake in it is told, each with its place.
pub(crate) fn read(path: &Path) -> Result<ReadConfiguration, Vec<String>> {
    let read = configuration::read(path, &|name| std::env::var(name).ok());
    read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

impl Chosen {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let file = match &options.config {
            Some(path) => read(path)
                .map_err(|problems| anyhow!("the configuration is wrong:\n{}", problems.join("\n")))?,
            None => ReadConfiguration::default(),
        };
        let process = file.process.clone();
        let default_listen = || super::DEFAULT_LISTEN.parse().context("the default address is wrong");
        let drain_ms = process.limits.drain_ms.map(Duration::from_millis);
        Ok(Self {
            listen: options.listen.or(process.listen).map_or_else(default_listen, Ok)?,
            admin_listen: options.admin_listen.or(process.admin_listen),
            data: options.data.clone().or(process.data).unwrap_or_else(|| DEFAULT_DATA.into()),
            redis_url: options.redis_url.clone().or(process.redis_url),
            database: options.database.clone().or(process.database.map(|database| database.url)),
            root_key_file: options.root_key_file.clone().or(process.root_key_file),
            tls: process.tls,
            limits: Settings { provider_timeouts: process.timeouts, ..limits(&process.limits) },
            durability: match process.durability {
                Some(configuration::Durability::Power) => Durability::Power,
                Some(configuration::Durability::Process) | None => Durability::Process,
            },
            drain: options.drain_seconds.map(Duration::from_secs).or(drain_ms).unwrap_or(DEFAULT_DRAIN),
            log: process.log,
            otlp: process.otlp,
            objects: file.objects,
            file: file.process,
        })
    }

    /// Begins the process's own log.
    pub(crate) fn start_logging(&self) -> anyhow::Result<()> {
        let format = match self.log.format {
            Some(configuration::LogFormat::Text) => LogFormat::Text,
            Some(configuration::LogFormat::Json) => LogFormat::Json,
            None => LogFormat::Auto,
        };
        Ok(logs::start(format, self.log.level.as_deref())?)
    }

    /// How listeners terminate TLS, if they do.
    pub(crate) fn server_tls(&self) -> anyhow::Result<Option<std::sync::Arc<rustls::ServerConfig>>> {
        let Some(files) = &self.tls else { return Ok(None) };
        let problem = |path: &Path| format!("the TLS file {} cannot be used", path.display());
        let certificates = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect)
            .with_context(|| problem(&files.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| problem(&files.key))?;
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .context("certificate and key do not fit together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(std::sync::Arc::new(config)))
    }
}

fn limits(file: &LimitSettings) -> Settings {
    let usual = Settings::default();
    Settings {
        max_body_bytes: file.max_body_bytes.unwrap_or(usual.max_body_bytes),
        max_body_memory_bytes: file.max_body_memory_bytes.unwrap_or(usual.max_body_memory_bytes),
        max_connections: file.max_connections.unwrap_or(usual.max_connections),
        max_requests_in_flight: file.max_requests_in_flight.unwrap_or(usual.max_requests_in_flight),
        header_timeout_ms: file.header_timeout_ms.unwrap_or(usual.header_timeout_ms),
        body_idle_timeout_ms: file.body_idle_timeout_ms.unwrap_or(usual.body_idle_timeout_ms),
        keep_alive_timeout_ms: file.keep_alive_timeout_ms.unwrap_or(usual.keep_alive_timeout_ms),
        connection_age_ms: file.connection_age_ms.unwrap_or(usual.connection_age_ms),
        connection_requests: file.connection_requests.unwrap_or(usual.connection_requests),
        client_write_timeout_ms: file.client_write_timeout_ms.unwrap_or(usual.client_write_timeout_ms),
        stream_keep_alive_after_ms: file
            .stream_keep_alive_after_ms
            .unwrap_or(usual.stream_keep_alive_after_ms),
        stream_keep_alive_every_ms: file
            .stream_keep_alive_every_ms
            .unwrap_or(usual.stream_keep_alive_every_ms),
        max_answer_bytes: file.max_answer_bytes.unwrap_or(usual.max_answer_bytes),
        max_attempts: file.max_attempts.unwrap_or(usual.max_attempts),
        ..usual
    }
}
