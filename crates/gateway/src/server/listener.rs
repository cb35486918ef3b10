//! Listening sockets that several cores share.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, per core.
const BACKLOG: i32 = 1_024;

/// Binds a listener that shares its address with the other cores' (`SO_REUSEPORT`); the kernel spreads connections.
///
/// # Errors
/// When the address cannot be bound. That another program serves it is not noticed if that program shares too: check
/// with a plain bind first.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
