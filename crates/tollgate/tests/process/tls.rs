//! TLS on both listeners, with a certificate made for the test.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{PATIENCE, address_on_screen, binary};

struct Serving {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    _directory: tempfile::TempDir,
    _child: tokio::process::Child,
}

/// Starts on `listen` and, if it is given, `admin_listen`; the testkit's process asks without TLS whether it is ready.
async fn serve(arguments: &[&str]) -> Serving {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let settings = "tls: {certificate: certificate.pem, key: key.pem}\n";
    std::fs::write(directory.path().join("tollgate.yaml"), settings).unwrap();
    let mut command = tokio::process::Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(directory.path().join("data"));
    command.arg("--config").arg(directory.path().join("tollgate.yaml")).args(arguments);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let address = address_on_screen(child.stdout.take().unwrap()).await;
    Serving { address, certificate: made.cert.der().clone(), _directory: directory, _child: child }
}

impl Serving {
    /// The answer to a request over TLS.
    async fn ask(&self, address: SocketAddr, path: &str) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        exchange(&mut stream, path).await
    }
}

async fn exchange(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let exchanging = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A peer that does not speak HTTP here may reset the connection.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchanging).await.expect("the connection ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_is_answered_and_plain_http_is_not() {
    let serving = serve(&[]).await;
    let answer = serving.ask(serving.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n"), "{answer}");
    let answer = serving.ask(serving.address, "/v1/models").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let mut plain = TcpStream::connect(serving.address).await.unwrap();
    let answer = exchange(&mut plain, "/readyz").await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    // That did no harm.
    assert!(serving.ask(serving.address, "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_has_the_same_tls_and_tells_of_its_health() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serving = serve(&["--admin-listen", &free.to_string()]).await;
    // A peer that says nothing holds nobody up.
    let _silent = TcpStream::connect(free).await.unwrap();
    for (path, status) in [
        ("/readyz", "200"),
        ("/healthz", "200"),
        ("/api/v1/keys", "401"),
        ("/metrics", "200"),
        ("/v1/models", "404"),
    ] {
        let answer = serving.ask(free, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    let mut plain = TcpStream::connect(free).await.unwrap();
    assert!(!exchange(&mut plain, "/readyz").await.contains("HTTP/1.1 200"));
}
