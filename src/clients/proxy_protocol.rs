//! The PROXY protocol, version 2: what load balancers send before the first byte of a connection, to say whose it is.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What each header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header behind its first 16 bytes. There may be more in it than addresses; nobody sends as much.
const MAX_LENGTH: usize = 4096;

/// Why a connection does not begin as it should.
#[derive(Debug)]
pub(crate) enum ProxyError {
    /// It ended, or failed.
    Read(io::Error),
    /// It begins otherwise.
    Malformed,
    /// Nothing came in time.
    Slow,
    /// It is of somebody who is not believed.
    Untrusted(IpAddr),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Read(error) => write!(out, "the PROXY header did not arrive: {error}"),
            ProxyError::Slow => out.write_str("the PROXY header did not arrive in time"),
            ProxyError::Untrusted(address) => {
                write!(out, "`clients.trusted_proxies` does not have {address}")
            }
            ProxyError::Malformed => out.write_str(
                "the connection does not begin with a header of the PROXY protocol, version 2",
            ),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads the header, and no byte behind it. Returns whose connection it is; `None` for that of the load balancer itself, or of another kind than TCP.
pub(crate) async fn read_proxy_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut head = [0; 16];
    stream
        .read_exact(&mut head)
        .await
        .map_err(ProxyError::Read)?;
    let [.., version, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !head.starts_with(&SIGNATURE) || version >> 4 != 2 || length > MAX_LENGTH {
        return Err(ProxyError::Malformed);
    }
    let mut rest = vec![0; length];
    stream
        .read_exact(&mut rest)
        .await
        .map_err(ProxyError::Read)?;
    match version & 15 {
        0 => Ok(None),
        1 => source(family, &rest),
        _ => Err(ProxyError::Malformed),
    }
}

/// The address that a connection comes from.
fn source(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let (address, port): (IpAddr, usize) = match family {
        0x11 => {
            let bytes = *rest.first_chunk::<4>().ok_or(ProxyError::Malformed)?;
            (Ipv4Addr::from(bytes).into(), 8)
        }
        0x21 => {
            let bytes = *rest.first_chunk::<16>().ok_or(ProxyError::Malformed)?;
            (Ipv6Addr::from(bytes).into(), 32)
        }
        _ => return Ok(None),
    };
    let ports = rest.get(port..port + 4).ok_or(ProxyError::Malformed)?;
    let port = u16::from_be_bytes([ports[0], ports[1]]);
    Ok(Some(SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    /// `(version and command, family, what follows)`.
    fn header(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[version, family], &length, rest].concat()
    }

    async fn read(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), ProxyError> {
        let mut left = bytes;
        let found = read_proxy_header(&mut left).await?;
        Ok((found, left.len()))
    }

    const V4: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0xd4, 0x31, 0, 80];

    #[tokio::test]
    async fn the_header_says_whose_connection_it_is() {
        let mut bytes = header(0x21, 0x11, &V4);
        bytes.extend(b"GET /");
        let (found, left) = read(&bytes).await.expect("a header");
        assert_eq!(found, "203.0.113.9:54321".parse().ok());
        assert_eq!(left, 5);
        // With a further field.
        let more = [&V4[..], &[4, 0, 2, 7, 7]].concat();
        let (found, _) = read(&header(0x21, 0x11, &more)).await.expect("a header");
        assert_eq!(found, "203.0.113.9:54321".parse().ok());
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 9, 7);
        let (found, _) = read(&header(0x21, 0x21, &v6)).await.expect("a header");
        assert_eq!(found, "[2001::9]:7".parse().ok());
        for (version, family) in [(0x20, 0x00), (0x20, 0x11), (0x21, 0x00), (0x21, 0x31)] {
            let (found, _) = read(&header(version, family, &V4)).await.expect("a header");
            assert_eq!(found, None);
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let mut long = header(0x21, 0x11, &V4);
        (long[14], long[15]) = (0xff, 0xff);
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: h\r\n\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 1 80\r\n".to_vec(),
            header(0x11, 0x11, &V4),
            header(0x22, 0x11, &V4),
            header(0x21, 0x11, &V4[..11]),
            header(0x21, 0x21, &V4),
            long,
        ] {
            assert!(
                matches!(read(&bytes).await, Err(ProxyError::Malformed)),
                "{bytes:?}"
            );
        }
        let cut = &header(0x21, 0x11, &V4)[..20];
        assert!(matches!(read(cut).await, Err(ProxyError::Read(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(family in any::<u8>(), version in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(read(&header(version, family, &rest)));
            let _ = runtime.block_on(read(&rest));
        }
    }
}
