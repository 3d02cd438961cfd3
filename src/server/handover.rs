//! Hands the address of the public listener over to another process, which listens there as well (`SO_REUSEPORT`).
//!
//! The system gives each new connection to one of the sockets at an address. What a socket has not accepted when it is closed is lost, and so are the
//! connections whose handshake is not over. So a socket that is to be closed first takes no new ones: Linux drops their first packets, and clients send
//! these again after a second, when the other process is alone there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long handshakes that have begun may take.
const PAUSE: Duration = Duration::from_millis(500);

/// As many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens at an address, beside others if `is_shared`.
pub(super) fn bind(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of an earlier process that are still being closed do not count.
    socket.set_reuseaddr(true)?;
    if is_shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns when the last connections that this socket takes can be accepted.
pub(super) async fn leave(listener: &TcpListener) {
    if let Err(error) = drop_new(listener) {
        tracing::debug!(%error, "new connections come until the listener closes");
    }
    tokio::time::sleep(PAUSE).await;
}

/// The connections that nobody has accepted yet.
pub(super) fn rest(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    // It does not block: the first error means that there are no more.
    std::iter::from_fn(|| listener.accept().ok())
        .filter_map(|(stream, address)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, address))
        })
        .collect()
}

/// Drops packets with the flag SYN and without ACK: they open a connection.
#[cfg(target_os = "linux")]
fn drop_new(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    // Berkeley Packet Filter: the words of `linux/bpf_common.h`.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
fn drop_new(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::{bind, drop_new, rest};

    #[tokio::test]
    async fn an_address_is_shared_by_those_who_want_it() {
        for any in [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        ] {
            let first = bind(any, true).expect("a free port");
            let address = first.local_addr().expect("it is bound");
            assert!(bind(address, false).is_err(), "{address}");
            bind(address, true).expect("both share it");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_that_leaves_keeps_what_it_has_and_takes_no_more() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = bind(any, true).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let waiting = TcpStream::connect(address).await;
        let waiting = waiting.expect("it waits to be accepted");
        drop_new(&listener).expect("Linux");
        let late = timeout(Duration::from_millis(100), TcpStream::connect(address));
        assert!(late.await.is_err(), "nobody answers");
        let accepted = rest(listener);
        let peers: Vec<SocketAddr> = accepted.iter().map(|(_, peer)| *peer).collect();
        assert_eq!(peers, [waiting.local_addr().expect("it is open")]);
        let refused = TcpStream::connect(address).await;
        assert!(refused.is_err(), "the listener is closed");
    }
}
