//! Who is answered, and by what.

use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Answer, Incoming, MOST_BYTES};
use crate::{Endpoint, Problem, anthropic, openai};

/// Whose form an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    OpenAi,
    Anthropic,
}

impl Form {
    /// Anthropic's clients name the version they speak; others are taken for OpenAI's.
    fn of(incoming: &Incoming) -> Self {
        let anthropic = incoming.path.starts_with("/v1/messages") || incoming.headers.contains_key("anthropic-version");
        if anthropic { Form::Anthropic } else { Form::OpenAi }
    }

    pub fn refuse(self, problem: &Problem, answer: Answer) {
        let body = match self {
            Form::OpenAi => openai::problem(problem),
            Form::Anthropic => anthropic::problem(problem),
        };
        answer.whole(problem.status, "application/json", body.to_string());
    }
}

/// Answers with a value.
pub(crate) fn json_answer(answer: Answer, value: &Value) {
    answer.whole(200, "application/json", value.to_string());
}

impl Endpoint {
    pub(crate) fn route(&self, incoming: &Incoming, answer: Answer) {
        let form = Form::of(incoming);
        if let Err(problem) = self.admits(incoming) {
            return form.refuse(&problem, answer);
        }
        let path = incoming.path.as_str();
        let get = incoming.method == Method::GET || incoming.method == Method::HEAD;
        let post = incoming.method == Method::POST;
        match path {
            "/v1/chat/completions" if post => match parse(incoming) {
                Ok(body) => openai::complete(self, &body, answer),
                Err(problem) => form.refuse(&problem, answer),
            },
            "/v1/messages" if post => match parse(incoming) {
                Ok(body) => anthropic::complete(self, &body, answer),
                Err(problem) => form.refuse(&problem, answer),
            },
            "/v1/models" if get => match form {
                Form::OpenAi => json_answer(answer, &json!({ "object": "list", "data": [openai::model(self)] })),
                Form::Anthropic => {
                    let list = json!({ "data": [anthropic::model(self)], "has_more": false, "first_id": self.name, "last_id": self.name });
                    json_answer(answer, &list);
                }
            },
            "/health" if get => json_answer(answer, &json!({ "status": "ok", "model": self.name })),
            "/" if get => answer.whole(200, "text/html; charset=utf-8", self.front()),
            _ => {
                let model = path.strip_prefix("/v1/models/").filter(|_| get);
                let page = path.strip_prefix("/runs/").filter(|_| get);
                match (model, page.and_then(|name| self.pages.iter().find(|page| page.name == name))) {
                    (Some(name), _) => match (self.serves(name), form) {
                        (Err(problem), form) => form.refuse(&problem, answer),
                        (Ok(()), Form::OpenAi) => json_answer(answer, &openai::model(self)),
                        (Ok(()), Form::Anthropic) => json_answer(answer, &anthropic::model(self)),
                    },
                    (_, Some(page)) => match (page.render)() {
                        Ok(html) => answer.whole(200, "text/html; charset=utf-8", html),
                        Err(why) => answer.whole(500, "text/plain; charset=utf-8", why + "\n"),
                    },
                    (None, None) => form.refuse(&unknown(incoming), answer),
                }
            }
        }
    }

    /// Whether the request comes from one who may ask.
    fn admits(&self, incoming: &Incoming) -> Result<(), Problem> {
        let Some(token) = &self.token else {
            // A browser on this machine does the bidding of the pages it shows: their requests name where they come
            // from, or another host's name that leads here.
            let own = |host: &str| {
                let name = host
                    .rsplit_once(':')
                    .map_or(host, |(name, port)| if port.bytes().all(|c| c.is_ascii_digit()) { name } else { host });
                matches!(name, "localhost" | "127.0.0.1" | "[::1]")
            };
            let origin = incoming.header("origin").map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
            if incoming.header("host").is_some_and(|host| !own(host)) || origin.is_some_and(|host| !own(host)) {
                return Err(Problem::other(403, "without a token only programs on this machine are answered"));
            }
            return Ok(());
        };
        let bearer = incoming.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match bearer.or_else(|| incoming.header("x-api-key")) {
            None => Err(Problem { code: Some("invalid_api_key"), ..Problem::other(401, "this server wants a token") }),
            Some(given) if !same(given.trim(), token) => {
                Err(Problem { code: Some("invalid_api_key"), ..Problem::other(401, "this is not the server's token") })
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether this is the name of the model that is served.
    pub(crate) fn serves(&self, name: &str) -> Result<(), Problem> {
        if name == self.name {
            return Ok(());
        }
        Err(Problem {
            status: 404,
            message: format!("there is no model {name:?} here; this server has {:?}", self.name),
            field: Some("model".to_string()),
            code: Some("model_not_found"),
        })
    }

    fn front(&self) -> String {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let link = |name: &String| format!("<li><a href=\"/runs/{0}\">{0}</a></li>", escaped(name));
        let runs: String = self.pages.iter().map(|page| link(&page.name)).collect();
        format!(
            "<!doctype html><meta charset=utf-8><title>Loophole</title><h1>Loophole</h1>\
             <p>The model <code>{}</code> is at <code>/v1</code>.</p><ul>{runs}</ul>",
            escaped(&self.name)
        )
    }
}

/// Compares without telling by the time it takes how much is right.
fn same(given: &str, token: &str) -> bool {
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn parse(incoming: &Incoming) -> Result<Value, Problem> {
    let Some(body) = &incoming.body else {
        return Err(Problem::other(413, format!("the body is longer than {} MiB", MOST_BYTES >> 20)));
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Problem::other(400, format!("the body is no JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(Problem::other(400, "the body is no JSON object")) }
}

fn unknown(incoming: &Incoming) -> Problem {
    const PATHS: &[&str] = &["/v1/chat/completions", "/v1/messages", "/v1/models", "/health", "/"];
    if PATHS.contains(&incoming.path.as_str()) {
        return Problem::other(405, format!("{} does not take {}", incoming.path, incoming.method));
    }
    Problem::other(404, format!("there is nothing at {}; there is {}", incoming.path, PATHS.join(", ")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_compared_as_a_whole() {
        assert!(super::same("abc", "abc"));
        assert!(!super::same("abd", "abc") && !super::same("ab", "abc") && !super::same("", "abc"));
    }
}
