use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use crate::{bench::BenchAnswers, demo::Demo, profile::Profile};

/// Why a simulated provider could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("the simulated provider cannot listen on {address}: {source}; choose another address")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("the simulated provider cannot use its listener: {0}")]
    Listener(io::Error),
    #[error("the simulated provider cannot start its thread: {0}")]
    Thread(io::Error),
}

/// How to simulate; see [`SimulatedProvider::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    profile: Profile,
    delays: bool,
}

/// A provider that has its address and does not answer yet.
#[derive(Debug)]
pub struct BoundProvider {
    listener: std::net::TcpListener,
    address: SocketAddr,
    kind: Kind,
}

/// A provider that answers until it is dropped.
#[derive(Debug)]
pub struct SimulatedProvider {
    address: SocketAddr,
    /// Dropping it ends the accept loop and every connection.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Clone)]
enum Kind {
    Demo(Arc<Demo>),
    Bench(Arc<BenchAnswers>),
}

impl Builder {
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Answers at once, for tests. Faults stay.
    #[must_use]
    pub fn without_delays(mut self) -> Self {
        self.delays = false;
        self
    }

    /// Takes the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub fn bind(self, address: SocketAddr) -> Result<BoundProvider, SimulatorError> {
        let listener = std::net::TcpListener::bind(address)
            .map_err(|source| SimulatorError::Bind { address, source })?;
        self.listen_on(listener)
    }

    /// Uses a listener that exists.
    ///
    /// # Errors
    /// When it cannot be used without blocking.
    pub fn listen_on(self, listener: std::net::TcpListener) -> Result<BoundProvider, SimulatorError> {
        listener.set_nonblocking(true).map_err(SimulatorError::Listener)?;
        let address = listener.local_addr().map_err(SimulatorError::Listener)?;
        let kind = match self.profile {
            Profile::Demo { seed } => Kind::Demo(Arc::new(Demo::new(seed, self.delays))),
            Profile::Bench(profile) => Kind::Bench(Arc::new(BenchAnswers::new(&profile))),
        };
        Ok(BoundProvider { listener, address, kind })
    }
}

impl BoundProvider {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers on the current runtime.
    ///
    /// # Errors
    /// When there is no runtime with input and output.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> Result<SimulatedProvider, SimulatorError> {
        let listener = TcpListener::from_std(self.listener).map_err(SimulatorError::Listener)?;
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, self.kind, stopped));
        Ok(SimulatedProvider { address: self.address, _stop: stop })
    }

    /// Answers on a thread of its own, named `simulator`, so that its work can be told from that of others.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn spawn_on_thread(self) -> Result<SimulatedProvider, SimulatorError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SimulatorError::Thread)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.listener).map_err(SimulatorError::Listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let kind = self.kind;
        std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || runtime.block_on(serve(listener, kind, stopped)))
            .map_err(SimulatorError::Thread)?;
        Ok(SimulatedProvider { address: self.address, _stop: stop })
    }
}

impl SimulatedProvider {
    /// A demo provider with seed 0, to be changed.
    pub fn builder() -> Builder {
        Builder { profile: Profile::Demo { seed: 0 }, delays: true }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a path; OpenAI clients add `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, kind: Kind, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            // Finished connections must not pile up in the set.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // An accept that fails (a peer that left, no descriptors) is tried again.
                let Ok((stream, _)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                connections.spawn(serve_connection(stream, kind.clone()));
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, kind: Kind) {
    // What goes wrong on a connection is the peer's business: there is nobody here to tell.
    match kind {
        Kind::Demo(demo) => demo.serve(stream).await,
        Kind::Bench(answers) => {
            let _ = answers.serve(stream).await;
        }
    }
}
