//! TLS with a certificate authority made for the test.

use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tollgate_upstream::{Client, ClientSettings, SendError, client_config};

use crate::server::*;

struct TlsServer {
    ca_file: NamedTempFile,
    port: u16,
    protocols: Rc<std::cell::RefCell<Vec<Option<Vec<u8>>>>>,
}

impl TlsServer {
    /// Speaks as `name`, offers HTTP/2 as well, and answers every request.
    async fn start(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut ca_file = NamedTempFile::new().unwrap();
        ca_file.write_all(ca.pem().as_bytes()).unwrap();

        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let protocols = Rc::<std::cell::RefCell<Vec<_>>>::default();
        let seen = protocols.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                seen.borrow_mut().push(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
                tokio::task::spawn_local(async move {
                    while read_request(&mut stream).await.is_some() {
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { ca_file, port, protocols }
    }

    fn client(&self) -> Client {
        Client::new(ClientSettings::new(client_config(Some(self.ca_file.path())).unwrap()))
    }
}

#[test]
fn a_trusted_provider_is_reached_over_one_connection() {
    run(async {
        let server = TlsServer::start("localhost").await;
        let origin = internal(&format!("https://localhost:{}", server.port));
        let client = server.client();
        for _ in 0..3 {
            assert_eq!(get_text(&client, &origin).await, "ok");
        }
        let response = post(&client, &origin, vec![b'x'; 300_000]).await.unwrap();
        assert_eq!(read(response).await.unwrap(), "ok");
        assert_eq!(server.protocols.borrow().as_slice(), [Some(b"http/1.1".to_vec())]);
        assert_eq!((client.statistics().opened, client.statistics().reused), (1, 3));
    });
}

#[test]
fn an_address_can_be_certified_too() {
    run(async {
        let server = TlsServer::start("127.0.0.1").await;
        let origin = internal(&format!("https://127.0.0.1:{}", server.port));
        assert_eq!(get_text(&server.client(), &origin).await, "ok");
    });
}

#[test]
fn a_wrong_name_or_an_unknown_authority_is_refused_before_anything_is_sent() {
    run(async {
        let server = TlsServer::start("other.example").await;
        let origin = internal(&format!("https://localhost:{}", server.port));
        for client in [server.client(), client()] {
            let error = post(&client, &origin, "secret").await.err().unwrap();
            assert!(matches!(error, SendError::Tls(_)), "{error:?}");
            assert!(!error.may_have_reached_provider());
            assert_eq!(client.statistics().in_use, 0);
        }
    });
}

#[test]
fn a_provider_without_tls_is_refused_over_https() {
    run(async {
        let server = Server::answering_once(OK).await;
        let origin = internal(&format!("https://127.0.0.1:{}", server.origin.port()));
        let error = get(&client(), &origin).await.err().unwrap();
        assert!(matches!(error, SendError::Tls(_)), "{error:?}");
    });
}

#[test]
fn a_file_without_certificates_is_an_error() {
    let empty = NamedTempFile::new().unwrap();
    assert!(client_config(Some(empty.path())).is_err());
    assert!(client_config(Some(std::path::Path::new("/nonexistent.pem"))).is_err());
}
