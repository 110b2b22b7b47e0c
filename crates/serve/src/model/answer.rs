//! The answer to a request that a thread of its own works at.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::Frame;
use loophole_chat::Delta;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::problem::{json_response, whole};

/// What hears the replies that are being made for a client; none once the client has left.
type Heard = Arc<Mutex<Option<Vec<Receiver<Delta>>>>>;

/// The answer to one request.
pub(crate) struct Answer {
    to: oneshot::Sender<Response>,
    heard: Heard,
}

/// The client's end: when it is dropped, nobody hears the replies any more, and the model stops.
pub(crate) struct Client {
    pub answer: oneshot::Receiver<Response>,
    heard: Heard,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Answer {
    pub fn new() -> (Answer, Client) {
        let (to, answer) = oneshot::channel();
        let heard: Heard = Arc::new(Mutex::new(Some(Vec::new())));
        (Answer { to, heard: heard.clone() }, Client { answer, heard })
    }

    pub fn send(self, response: Response) {
        // The client may have left.
        let _ = self.to.send(response);
    }

    pub fn json(self, value: &impl Serialize) {
        self.send(json_response(200, value));
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_unwanted(&self) -> bool {
        self.to.is_closed()
    }

    /// Keeps the receiver of a reply as long as the client waits.
    pub fn keep(&self, pieces: Receiver<Delta>) {
        if let Some(kept) = &mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
            kept.push(pieces);
        }
    }

    /// Begins a stream of server-sent events.
    pub fn events(self) -> Events {
        let (sender, receiver) = mpsc::channel(64);
        self.send(whole(200, "text/event-stream; charset=utf-8", Body::new(Stream(receiver))));
        Events(sender)
    }
}

/// What is sent, in JSON.
pub(crate) fn text(value: &impl Serialize) -> String {
    // What has texts for names can be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A stream of events that has begun; it ends when this is dropped.
pub(crate) struct Events(mpsc::Sender<Bytes>);

impl Events {
    /// Sends what makes one event; false if nobody reads any more.
    pub fn send(&self, text: String) -> bool {
        self.0.blocking_send(text.into()).is_ok()
    }
}

/// A body whose parts come over a channel.
pub(crate) struct Stream(pub mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
