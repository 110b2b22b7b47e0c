//! Where is listened, and the connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};

use super::patient::Patient;

/// A client that does not send its request's head in this time, or takes nothing of an answer, is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is still under way when the server ends has this long.
const GRACE: Duration = Duration::from_secs(3);

/// An open place to listen at.
pub enum Listening {
    /// An address.
    Tcp(TcpListener),
    /// A socket in the file system, removed at the end.
    Unix(UnixListener, PathBuf),
}

impl Listening {
    /// Listens at an address.
    ///
    /// # Errors
    /// It is taken, or not this machine's.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Listening::Tcp)
    }

    /// Listens at a socket that only this user can open. One that a killed server left behind is replaced.
    ///
    /// # Errors
    /// Somebody listens there, or something else is at that path.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if let Ok(found) = path.symlink_metadata() {
            if !found.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file there that is no socket"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Listening::Unix(listener, path.to_path_buf()))
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(..) => None,
        }
    }
}

/// Removes the socket however the server ends.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // It may have been removed by hand.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Answers requests until it is told to stop; what is under way then has a moment to end.
pub(crate) async fn serve(
    listening: Listening,
    router: Router,
    connections: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let all = connections.available_permits() as u32;
    let stopping = stop.clone();
    match listening {
        Listening::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let accept = accept_all(&connections, &router, &stopping, async || {
                let (stream, _) = listener.accept().await?;
                // Events are small and wanted at once; where that cannot be had they come a little later.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            });
            tokio::select! { () = accept => {}, () = told(&mut stop) => {} }
        }
        Listening::Unix(listener, path) => {
            let _socket = Socket(path);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let accept = accept_all(&connections, &router, &stopping, async || Ok(listener.accept().await?.0));
            tokio::select! { () = accept => {}, () = told(&mut stop) => {} }
        }
    }
    // All connections are gone, or are left.
    let _ = tokio::time::timeout(GRACE, connections.acquire_many(all)).await;
    Ok(())
}

async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept_all<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    connections: &Arc<Semaphore>,
    router: &Router,
    stop: &watch::Receiver<bool>,
    accept: impl AsyncFn() -> io::Result<S>,
) {
    loop {
        // Others wait in the kernel until one of the many has gone.
        let Ok(place) = connections.clone().acquire_owned().await else { return };
        let stream = match accept().await {
            Ok(stream) => stream,
            // That client has left already, or there are too many of them for the moment.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (service, mut stop) = (TowerToHyperService::new(router.clone()), stop.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
            // An error here is the client's: it left, or it does not speak HTTP.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = told(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let first = Listening::unix(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Listening::unix(&path).err().unwrap().to_string().contains("another server"));
        drop(first);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert!(Listening::unix(&path).err().unwrap().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
