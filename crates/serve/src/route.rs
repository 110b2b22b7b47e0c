//! Which request is answered by what.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::admit::Admitted;
use crate::http::body::{ANY, Held, parse, parse_options};
use crate::idle::{Activity, until_sent};
use crate::metrics::Gauges;
use crate::model::answer::Answer;
use crate::model::{Model, anthropic, completions, lora, openai, tokens};
use crate::problem::{Form, Problem, json_response, whole};
use crate::queue::{Deadline, Ticket};
use crate::{CONNECTIONS, Service, dialect};

/// Most bytes of a request for a model or a single program.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// An answer that takes longer is not waited for, unless a request says so.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The header with which a client says how long it waits.
const DEADLINE: &str = "x-deadline-seconds";

type Shared = State<Arc<Service>>;

pub(crate) fn router(service: Arc<Service>) -> Router {
    let router = Router::new()
        .route("/", get(front))
        .route("/runs/{name}", get(page))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(completions))
        .route("/v1/messages", post(messages))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize))
        .route("/tokenizer_info", get(tokenizer_info))
        .route("/v1/load_lora_adapter", post(load_adapter))
        .route("/v1/unload_lora_adapter", post(unload_adapter));
    dialect::routes(router)
        .method_not_allowed_fallback(not_taken)
        .fallback(unknown)
        .layer(from_fn_with_state(service.clone(), first))
        .with_state(service)
}

/// Counts a request, also if its client leaves before it is answered.
struct Counted<'a> {
    service: &'a Service,
    route: String,
    began: Instant,
    status: u16,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.service.metrics.request(&self.route, self.status, self.began.elapsed());
    }
}

/// What comes before every handler: who asks, and what is counted.
async fn first(State(service): Shared, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let mut counted = Counted { service: &service, route, began: Instant::now(), status: 499 };
    let form = Form::of(request.uri().path(), request.headers());
    let watched = !matches!(request.uri().path(), "/health" | "/metrics");
    let busy = service.activity.as_ref().filter(|_| watched).map(Activity::begin);
    let mut response = match service.admission.look(request.method(), request.uri(), request.headers()) {
        Ok(Admitted::Yes) => next.run(request).await,
        Ok(Admitted::With(response)) => response,
        Err(problem) => form.refuse(&problem),
    };
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    counted.status = response.status().as_u16();
    drop(counted);
    match busy {
        Some(busy) => until_sent(response, busy),
        None => response,
    }
}

/// An answer, or what stands in its way in the form of who asked.
pub(crate) fn answer(form: Form, result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(|problem| form.refuse(&problem))
}

/// A request whose body was read, with what it holds until it is answered.
pub(crate) struct Asked {
    pub deadline: Deadline,
    #[expect(dead_code, reason = "held for its end")]
    held: (Option<Ticket>, Held),
}

pub(crate) fn deadline(headers: &HeaderMap) -> Result<Deadline, Problem> {
    let latest = Deadline(Instant::now() + PATIENCE);
    let Some(value) = headers.get(DEADLINE) else { return Ok(latest) };
    let seconds =
        value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok()).filter(|s| s.is_finite() && *s >= 0.0);
    seconds
        .map(|seconds| latest.within(seconds))
        .ok_or_else(|| Problem::field(DEADLINE, format!("{DEADLINE} must be a number of seconds")))
}

/// Reads a request for the cells; refused at once where there are none or too many wait.
pub(crate) async fn asked<T: DeserializeOwned + Send + 'static>(
    service: &Service,
    request: Request,
    most: usize,
    weight: usize,
) -> Result<(T, Asked), Problem> {
    service.grading()?;
    service.queue.looks_full()?;
    let deadline = deadline(request.headers())?;
    let (parts, body) = request.into_parts();
    let (bytes, held) = service.room.read(&parts.headers, body, most, weight).await?;
    let ticket = service.queue.enter()?;
    let value = parse(bytes).await?;
    if deadline.passed() {
        return Err(Problem::late("the deadline passed before anything was run"));
    }
    Ok((value, Asked { deadline, held: (Some(ticket), held) }))
}

async fn complete<T: DeserializeOwned + Send + 'static>(
    service: Arc<Service>,
    request: Request,
    complete: fn(&Arc<Model>, T, Answer),
) -> Result<Response, Problem> {
    let model = service.model.clone().ok_or_else(no_model)?;
    let _place = model.enter()?;
    let deadline = deadline(request.headers())?;
    let (parts, body) = request.into_parts();
    let (bytes, held) = service.room.read(&parts.headers, body, MOST_BYTES, ANY).await?;
    let value = parse_options(bytes).await?;
    // Who stops waiting ends the reply.
    let response = tokio::time::timeout_at(deadline.0.into(), model.complete(value, complete)).await;
    drop(held);
    response.unwrap_or_else(|_| Err(Problem::late("the deadline passed before the reply was whole")))
}

fn no_model() -> Problem {
    Problem::other(404, "this server was started without a model")
}

async fn chat_completions(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, openai::complete).await)
}

async fn completions(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, completions::complete).await)
}

async fn tokenize(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, tokens::tokenize).await)
}

async fn detokenize(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, tokens::detokenize).await)
}

async fn tokenizer_info(State(service): Shared) -> Response {
    let info = service.model.as_ref().ok_or_else(no_model).and_then(|model| tokens::info(model));
    answer(Form::OpenAi, info.map(|info| json_response(200, &info)))
}

async fn load_adapter(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, lora::load).await)
}

async fn unload_adapter(State(service): Shared, request: Request) -> Response {
    answer(Form::OpenAi, complete(service, request, lora::unload).await)
}

async fn messages(State(service): Shared, request: Request) -> Response {
    answer(Form::Anthropic, complete(service, request, anthropic::complete).await)
}

async fn models(State(service): Shared, headers: HeaderMap) -> Response {
    let base = service.model.clone().into_iter();
    let models: Vec<Arc<Model>> = base.flat_map(|base| std::iter::once(base.clone()).chain(base.adapters())).collect();
    let value = match Form::of("/v1/models", &headers) {
        Form::Anthropic => {
            let (first, last) = (models.first().map(|model| &model.name), models.last().map(|model| &model.name));
            let data: Vec<Value> = models.iter().map(|model| anthropic::model(model)).collect();
            json!({ "data": data, "has_more": false, "first_id": first, "last_id": last })
        }
        _ => {
            let data: Vec<Value> = models.iter().map(|model| openai::model(model)).collect();
            json!({ "object": "list", "data": data })
        }
    };
    json_response(200, &value)
}

async fn model(State(service): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let form = Form::of("/v1/models/", &headers);
    let Some(model) = &service.model else { return form.refuse(&no_model()) };
    match (model.named(&name), form) {
        (Err(problem), form) => form.refuse(&problem),
        (Ok(model), Form::Anthropic) => json_response(200, &anthropic::model(&model)),
        (Ok(model), _) => json_response(200, &openai::model(&model)),
    }
}

async fn health(State(service): Shared) -> Response {
    let model = service.model.as_ref().map(|model| &model.name);
    if !service.ready.load(Ordering::Relaxed) {
        let mut response = json_response(503, &json!({ "status": "starting", "ready": false, "model": model }));
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, 1.into());
        return response;
    }
    let tier = service.grading.as_ref().map(|grading| grading.tier());
    // The words that clients of open-instruct and OpenEnv look for.
    json_response(200, &json!({ "status": "healthy", "ready": true, "model": model, "tier": tier }))
}

async fn metrics(State(service): Shared) -> Response {
    let (requests, waiting, working) = service.queue.counts();
    let text = service.metrics.text(&Gauges {
        ready: service.ready.load(Ordering::Relaxed),
        requests,
        waiting,
        working,
        cells: service.grading.as_ref().map_or(0, |grading| grading.cells_alive()),
        sessions: service.cells.count(),
        connections: CONNECTIONS - service.connections.available_permits().min(CONNECTIONS),
        body_bytes: service.room.bytes_held(),
    });
    whole(200, "text/plain; version=0.0.4; charset=utf-8", text)
}

async fn page(State(service): Shared, Path(name): Path<String>, request: Request) -> Response {
    let Some(at) = service.pages.iter().position(|page| page.name == name) else {
        return unknown(request).await;
    };
    let made = tokio::task::spawn_blocking(move || (service.pages[at].render)()).await;
    match made {
        Ok(Ok(html)) => whole(200, "text/html; charset=utf-8", html),
        Ok(Err(why)) => whole(500, "text/plain; charset=utf-8", why + "\n"),
        Err(_) => whole(500, "text/plain; charset=utf-8", "a mistake in the server\n"),
    }
}

async fn front(State(service): Shared) -> Response {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let link = |page: &crate::Page| format!("<li><a href=\"/runs/{0}\">{0}</a></li>", escaped(&page.name));
    let runs: String = service.pages.iter().map(link).collect();
    let model = service.model.as_ref().map_or_else(String::new, |model| {
        format!("<p>The model <code>{}</code> is at <code>/v1</code>.</p>", escaped(&model.name))
    });
    let paths = paths(&service).map(|path| format!("<li><code>{path}</code></li>")).collect::<String>();
    let html = format!(
        "<!doctype html><meta charset=utf-8><title>Loophole</title><h1>Loophole</h1>{model}<ul>{runs}</ul>\
         <details><summary>Routes</summary><ul>{paths}</ul></details>"
    );
    whole(200, "text/html; charset=utf-8", html)
}

/// What there is.
fn paths(service: &Service) -> impl Iterator<Item = &'static str> {
    let model: &[&str] = &[
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/models",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/tokenize",
        "/detokenize",
        "/tokenizer_info",
    ];
    let model = if service.model.is_some() { model } else { &[] };
    let cells = if service.grading.is_some() { dialect::PATHS } else { &[] };
    model.iter().chain(cells).chain(&["/health", "/metrics", "/"]).copied()
}

async fn not_taken(request: Request) -> Response {
    let form = Form::of(request.uri().path(), request.headers());
    form.refuse(&Problem::other(405, format!("{} does not take {}", request.uri().path(), request.method())))
}

async fn unknown(request: Request) -> Response {
    let form = Form::of(request.uri().path(), request.headers());
    let message = format!("there is nothing at {}; GET / lists what there is", request.uri().path());
    form.refuse(&Problem::other(404, message))
}
