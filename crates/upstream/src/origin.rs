//! Where requests go: scheme, host and port of a provider, checked and prepared once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use http::HeaderValue;
use rustls_pki_types::ServerName;
use url::{Host, Url};

use crate::egress::{Egress, EgressRefusal};

/// A place that connections are opened to. Built once when configuration is published and shared by all threads.
#[derive(Debug)]
pub struct Origin {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) literal: Option<IpAddr>,
    pub(crate) host_header: HeaderValue,
    /// Present when the origin is reached over TLS.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) egress: Egress,
    pub(crate) pool_index: usize,
    path_prefix: String,
}

/// Why a base URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("base_url is not a valid URL: {0}")]
    Invalid(String),
    #[error("base_url must start with https:// or http://, not {0}://")]
    Scheme(String),
    #[error(
        "base_url must not contain a user name or password; put the credential into the provider's secret"
    )]
    UserInfo,
    #[error("base_url must not contain {0:?}; write only scheme, host, port and path")]
    Character(char),
    #[error("base_url must spell its host in its plain form: write {expected:?}")]
    Spelling { expected: String },
    #[error("base_url must not end its host with a dot")]
    TrailingDot,
    #[error("base_url is refused: {0}")]
    Egress(#[from] EgressRefusal),
    #[error("base_url is refused: {0:?} names this machine; declare the provider internal")]
    Localhost(String),
}

impl Origin {
    /// Parses a provider's base URL, for example `https://api.example.com/v1`.
    ///
    /// Only one spelling of each host is accepted, so that no two parsers can disagree about where it points: no user
    /// info, fragment, query, backslash, escapes or trailing dot, and addresses only in their canonical form.
    ///
    /// # Errors
    /// Says which part of the URL is wrong and how to write it.
    pub fn parse(base_url: &str, egress: Egress) -> Result<Self, OriginError> {
        let authority = authority_text(base_url)?;
        let url = Url::parse(base_url).map_err(|error| OriginError::Invalid(error.to_string()))?;
        let uses_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(OriginError::Scheme(other.to_owned())),
        };
        let host = url.host().ok_or_else(|| OriginError::Invalid("it has no host".to_owned()))?;
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or_else(|| OriginError::Invalid("its port must be 1 to 65535".to_owned()))?;
        let bracketed = host.to_string();
        let spelled = strip_port(authority).to_ascii_lowercase();
        if spelled.ends_with('.') {
            return Err(OriginError::TrailingDot);
        }
        if spelled != bracketed {
            return Err(OriginError::Spelling { expected: bracketed });
        }
        let literal = literal_address(&host);
        match (literal, egress) {
            (Some(address), _) => egress.check(address)?,
            (None, Egress::Public) if spelled == "localhost" || spelled.ends_with(".localhost") => {
                return Err(OriginError::Localhost(spelled));
            }
            (None, _) => {}
        }
        let name = literal.map_or_else(|| bracketed.clone(), |address| address.to_string());
        let server_name = match uses_tls {
            true => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| OriginError::Invalid(format!("{name:?} cannot be used with TLS")))?,
            ),
            false => None,
        };
        let host_text = match url.port() {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed,
        };
        let host_header =
            HeaderValue::try_from(host_text).map_err(|error| OriginError::Invalid(error.to_string()))?;
        let pool_index = pool_index(PoolKey { uses_tls, host: name.clone(), port, egress });
        let path_prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { host: name, port, literal, host_header, server_name, egress, pool_index, path_prefix })
    }

    /// Host without brackets or port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub const fn uses_tls(&self) -> bool {
        self.server_name.is_some()
    }

    #[must_use]
    pub const fn egress(&self) -> Egress {
        self.egress
    }

    /// The path of the base URL without a trailing slash; empty if it had none. Requests name their whole path.
    #[must_use]
    pub fn path_prefix(&self) -> &str {
        &self.path_prefix
    }
}

/// The text between `://` and the first slash, after refusing what parsers are known to read differently.
fn authority_text(base_url: &str) -> Result<&str, OriginError> {
    if let Some(strange) = base_url.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#' | '?')) {
        return Err(OriginError::Character(strange));
    }
    let (_, rest) = base_url
        .split_once("://")
        .ok_or_else(|| OriginError::Invalid("it must start with https:// or http://".to_owned()))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(OriginError::UserInfo);
    }
    if authority.contains('%') {
        return Err(OriginError::Character('%'));
    }
    Ok(authority)
}

fn strip_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn literal_address(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        Host::Domain(_) => None,
    }
}

#[derive(PartialEq, Eq, Hash)]
struct PoolKey {
    uses_tls: bool,
    host: String,
    port: u16,
    egress: Egress,
}

/// Equal origins share an index for the life of the process, so that connections outlive a change of configuration.
fn pool_index(key: PoolKey) -> usize {
    static KNOWN: OnceLock<Mutex<HashMap<PoolKey, usize>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let next = known.len();
    *known.entry(key).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(base_url: &str) -> Result<Origin, OriginError> {
        Origin::parse(base_url, Egress::Public)
    }

    #[test]
    fn a_plain_base_url_is_taken_apart() {
        let origin = public("https://API.example.com/v1/").unwrap();
        assert_eq!((origin.host(), origin.port(), origin.uses_tls()), ("api.example.com", 443, true));
        assert_eq!(origin.path_prefix(), "/v1");
        assert_eq!(origin.host_header, "api.example.com");
        let origin = Origin::parse("http://[::1]:8000", Egress::Internal).unwrap();
        assert_eq!((origin.host(), origin.port(), origin.path_prefix()), ("::1", 8000, ""));
        assert_eq!(origin.host_header, "[::1]:8000");
    }

    #[test]
    fn equal_origins_share_a_pool_and_policies_do_not() {
        let first = public("https://pool.example.com/a").unwrap();
        let same = public("https://pool.example.com:443/b").unwrap();
        let declared = Origin::parse("https://pool.example.com", Egress::Internal).unwrap();
        assert_eq!(first.pool_index, same.pool_index);
        assert_ne!(first.pool_index, declared.pool_index);
    }

    #[test]
    fn loopback_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "0x7F.1",
            "2130706433",
            "017700000001",
            "127.0.0.1.",
            "127.000.000.001",
            "127%2e0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000::0001]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "0",
            "0.0.0.0",
            "[::]",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "[::1%25lo]",
        ] {
            for url in [format!("http://{host}/v1"), format!("https://{host}:8443")] {
                assert!(public(&url).is_err(), "{url} was accepted");
            }
        }
    }

    #[test]
    fn parser_tricks_are_refused() {
        for url in [
            "https://user@api.example.com",
            "https://user:pw@api.example.com",
            "https://api.example.com@evil.test",
            "https://api.example.com#@evil.test",
            "https://api.example.com?x=1",
            "https://api.example.com\\@evil",
            "https:\\\\evil.test",
            "https://api.example.com\n.evil.test",
            "https://a%00b.example.com",
            "https://api.example.com./v1",
            "file:///etc/passwd",
            "gopher://a.example.com",
            "ftp://a.example.com",
            "javascript:alert(1)",
            "https://",
            "https:///v1",
            "//api.example.com",
            "api.example.com",
            "https://api.example.com:0",
            "https://api.example.com:99999",
            "https://bücher.example",
            "",
        ] {
            assert!(public(url).is_err(), "{url:?} was accepted");
        }
    }

    #[test]
    fn an_internal_origin_still_needs_the_canonical_spelling() {
        assert!(Origin::parse("http://127.0.0.1:8000", Egress::Internal).is_ok());
        assert!(Origin::parse("http://localhost:8000", Egress::Internal).is_ok());
        assert_eq!(
            Origin::parse("http://127.1:8000", Egress::Internal).unwrap_err(),
            OriginError::Spelling { expected: "127.0.0.1".to_owned() }
        );
        assert!(Origin::parse("http://169.254.169.254", Egress::Internal).is_err());
    }
}
