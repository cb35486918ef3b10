//! The TLS settings that all outbound connections share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    #[error("could not read certificates from {path}: {reason}")]
    CaFile { path: PathBuf, reason: String },
    #[error("{path} contains no certificate")]
    EmptyCaFile { path: PathBuf },
    #[error("tls could not be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Trusts the certificates of the operating system and, if given, those of one more PEM file.
///
/// A machine without any certificates is not an error, since its providers may all be reached without TLS; each TLS
/// connection then fails.
///
/// # Errors
/// The extra file cannot be read or has no usable certificate.
pub fn client_config(extra_ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra_ca_file {
        add_ca_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        tracing::warn!("no trusted certificates were found; providers cannot be reached over https");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn add_ca_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsSetupError> {
    let unreadable = |error: &dyn std::fmt::Display| TlsSetupError::CaFile {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let mut added = 0_usize;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
        added += 1;
    }
    if added == 0 {
        return Err(TlsSetupError::EmptyCaFile { path: path.to_owned() });
    }
    Ok(())
}
