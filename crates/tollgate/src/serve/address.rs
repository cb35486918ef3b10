//! Taking the addresses to serve on.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use tollgate_gateway::server;

/// One listener per core on the same address, refused when somebody serves there already.
pub(crate) fn bind(address: SocketAddr, count: usize) -> anyhow::Result<(SocketAddr, Vec<TcpListener>)> {
    let problem = || {
        format!("cannot listen on {address}; stop what serves there, or choose another address with --listen")
    };
    // Shared listeners would not notice a stranger on the address, a plain one does. It also finds a free port.
    let plain = TcpListener::bind(address).with_context(problem)?;
    let address = plain.local_addr().with_context(problem)?;
    drop(plain);
    let listeners = (0..count.max(1)).map(|_| server::bind(address)).collect::<Result<Vec<_>, _>>();
    Ok((address, listeners.with_context(problem)?))
}

/// How a client on this machine reaches it.
pub(crate) fn url(address: SocketAddr, uses_tls: bool) -> String {
    let scheme = if uses_tls { "https" } else { "http" };
    let host = match address {
        _ if address.ip().is_unspecified() && address.is_ipv4() => "127.0.0.1".to_owned(),
        _ if address.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    format!("{scheme}://{host}:{}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_served_is_refused_also_when_it_is_shared() {
        let (address, _listeners) = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = bind(address, 1).unwrap_err();
        assert!(error.to_string().contains("--listen"), "{error}");
    }

    #[test]
    fn urls_can_be_pasted() {
        assert_eq!(url("0.0.0.0:8080".parse().unwrap(), false), "http://127.0.0.1:8080");
        assert_eq!(url("[::]:1".parse().unwrap(), true), "https://[::1]:1");
        assert_eq!(url("[::1]:1".parse().unwrap(), false), "http://[::1]:1");
    }
}
