use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
};

use super::{
    provider::Shared,
    reading,
    reply::{Reply, Step},
};

/// After FIN the peer gets this long to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// Accepts until it is dropped; its connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // Small writes must leave at once: they are what a script is about.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// Counts the connection down however its task ends.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let connection = shared.connection_opened();
    let _open = Open(Arc::clone(&shared));
    let mut buffer = BytesMut::new();
    let mut position_on_connection = 0;
    while let Ok(Some(mut request)) = reading::next_request(&mut stream, &mut buffer).await {
        request.connection = connection;
        request.position_on_connection = position_on_connection;
        if !request.body_complete {
            request.peer_closed_at = Some(Instant::now());
            shared.record(request);
            return;
        }
        let request = shared.record(request);
        let reply = shared.reply(&request);
        let end = run(&mut stream, &mut buffer, &reply).await;
        shared.change(request.number, |request| match end {
            End::PeerClosed => request.peer_closed_at = Some(Instant::now()),
            _ => request.answered_at = Some(Instant::now()),
        });
        match end {
            End::Complete if reply.keeps_connection() => position_on_connection += 1,
            End::Complete | End::Cut => return finish(stream).await,
            End::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            End::PeerClosed => return,
        }
    }
}

enum End {
    Complete,
    Cut,
    Reset,
    PeerClosed,
}

/// Runs the script. What the peer sends meanwhile is kept for the next request; its leaving ends the script.
async fn run(stream: &mut TcpStream, buffer: &mut BytesMut, reply: &Reply) -> End {
    let (mut reader, mut writer) = stream.split();
    tokio::select! {
        biased;
        end = perform(&mut writer, reply.wire_steps()) => end,
        () = peer_closed(&mut reader, buffer) => End::PeerClosed,
    }
}

async fn perform(writer: &mut WriteHalf<'_>, steps: Vec<Step>) -> End {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if writer.write_all(&bytes).await.is_err() {
                    return End::PeerClosed;
                }
            }
            Step::Wait(duration) => tokio::time::sleep(duration).await,
            Step::WaitFor(signal) => signal.raised().await,
            Step::Raise(signal) => signal.raise(),
            Step::Stall => std::future::pending().await,
            Step::Cut => return End::Cut,
            Step::Reset => return End::Reset,
            Step::SendSlowly { .. } | Step::SendUnframed(_) => {
                unreachable!("framing has turned this step into plain writes")
            }
        }
    }
    End::Complete
}

async fn peer_closed(reader: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    while reader.read_buf(buffer).await.is_ok_and(|read| read > 0) {}
}

/// Sends FIN and reads until the peer has closed too, so that closing cannot turn into RST and take bytes with it.
async fn finish(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = BytesMut::new();
        let drain = async {
            while stream.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {
                rest.clear();
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}
