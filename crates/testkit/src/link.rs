//! A TCP link that a test can cut: what is behind it is then as good as switched off.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to one address for as long as it is whole. Dropping it cuts it.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    whole: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let whole = Arc::new(watch::Sender::new(true));
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&whole)));
        Ok(Self { address, whole, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Passes connections on again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, whole: Arc<watch::Sender<bool>>) {
    while let Ok((near, _)) = listener.accept().await {
        let mut state = whole.subscribe();
        if *state.borrow_and_update() {
            tokio::spawn(pass_on(near, target, state));
        }
    }
}

async fn pass_on(mut near: TcpStream, target: SocketAddr, mut whole: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        // Whichever change comes first is a cut.
        _ = whole.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_link_ends_what_it_carries_and_a_mended_one_carries_again() {
        let behind = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let link = Link::to(behind.local_addr().unwrap()).await.unwrap();
        let mut near = TcpStream::connect(link.address()).await.unwrap();
        let (mut far, _) = behind.accept().await.unwrap();
        near.write_all(b"a").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'a');
        link.cut();
        assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(link.address()).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);
        link.mend();
        let mut again = TcpStream::connect(link.address()).await.unwrap();
        let (mut far, _) = behind.accept().await.unwrap();
        again.write_all(b"b").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'b');
    }
}
