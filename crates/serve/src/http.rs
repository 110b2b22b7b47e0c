//! HTTP/1.1 by `hyper`: one thread for the connections, one for every request that is worked at.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{mpsc, oneshot};

/// Most bytes of a request's body.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// Requests worked at at a time; others wait.
const THREADS: usize = 256;
/// A client that does not send its request in this time is left.
const PATIENCE: Duration = Duration::from_secs(60);

type Head = Response<UnsyncBoxBody<Bytes, Infallible>>;
/// Works at a request and answers it.
pub(crate) type Handler = dyn Fn(Incoming, Answer) + Send + Sync;

/// A request.
pub(crate) struct Incoming {
    pub method: Method,
    /// The path, decoded, without the query.
    pub path: String,
    pub headers: HeaderMap,
    /// The body; none if it is longer than [`MOST_BYTES`].
    pub body: Option<Bytes>,
}

impl Incoming {
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The answer to one request.
pub(crate) struct Answer(oneshot::Sender<Head>);

impl Answer {
    /// Answers as a whole.
    pub fn whole(self, status: u16, kind: &'static str, body: impl Into<Bytes>) {
        // The client may have left.
        let _ = self.0.send(head(status, kind, Full::new(body.into()).boxed_unsync()));
    }

    /// Begins a stream of server-sent events.
    pub fn events(self) -> Events {
        let (sender, receiver) = mpsc::channel(64);
        let _ = self.0.send(head(200, "text/event-stream; charset=utf-8", Stream(receiver).boxed_unsync()));
        Events(sender)
    }
}

fn head(status: u16, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Head {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream of events that has begun; it ends when this is dropped.
pub(crate) struct Events(mpsc::Sender<Bytes>);

impl Events {
    /// Sends what makes one event; false if nobody reads any more.
    pub fn send(&self, text: String) -> bool {
        self.0.blocking_send(text.into()).is_ok()
    }
}

struct Stream(mpsc::Receiver<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Answers requests until the process ends.
pub(crate) fn serve(listener: TcpListener, handler: Arc<Handler>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // That client has left already, or there are too many of them for the moment.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            // Events are small and wanted at once; where that cannot be had they come a little later.
            let _ = stream.set_nodelay(true);
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| work(request, handler.clone()));
                // An error here is the client's: it left, or it does not speak HTTP.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

async fn work(request: Request<hyper::body::Incoming>, handler: Arc<Handler>) -> Result<Head, Infallible> {
    let (parts, body) = request.into_parts();
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, MOST_BYTES).collect()).await;
    let body = match collected {
        Ok(Ok(body)) => Some(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => None,
        // It broke off in the middle: nobody waits for an answer.
        _ => return Ok(head(400, "text/plain", Full::new("the body broke off\n".into()).boxed_unsync())),
    };
    let path = decoded(parts.uri.path());
    let incoming = Incoming { method: parts.method, path, headers: parts.headers, body };
    let (sender, answered) = oneshot::channel();
    tokio::task::spawn_blocking(move || handler(incoming, Answer(sender)));
    Ok(answered.await.unwrap_or_else(|_| {
        // The handler has panicked, which it says on stderr.
        head(500, "text/plain", Full::new("a mistake in the server\n".into()).boxed_unsync())
    }))
}

/// A path without its percent signs; one that is no text then stays as it is.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |at: usize| after.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_decoded() {
        let decoded = super::decoded;
        assert_eq!(decoded("/v1/models/organism%3Aruns%2fquick"), "/v1/models/organism:runs/quick");
        assert_eq!((decoded("/a%"), decoded("/a%2"), decoded("/%ff")), ("/a%".into(), "/a%2".into(), "/%ff".into()));
    }
}
