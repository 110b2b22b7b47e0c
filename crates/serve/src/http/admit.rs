//! Who is answered: looked at before anything of a body is read.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::problem::Problem;

/// The name of the cookie that opens pages.
const NAME: &str = "loophole";

/// Who may ask.
pub(crate) struct Admission {
    token: Option<String>,
    /// What a browser that once showed the token sends; drawn anew by every server.
    cookie: Option<String>,
    /// The address that is listened at; none for a socket of the file system.
    address: Option<IpAddr>,
}

/// A request that may be answered.
pub(crate) enum Admitted {
    Yes,
    /// A browser showed the token in an address: it gets a cookie, and the address without it.
    With(Response),
}

impl Admission {
    pub fn new(token: Option<String>, address: Option<IpAddr>) -> std::io::Result<Self> {
        let cookie = if token.is_some() { Some(drawn()?) } else { None };
        Ok(Admission { token, cookie, address })
    }

    pub fn look(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Problem> {
        // Who balances load has no token, and is told whether there is a server, and of what.
        let probe = uri.path() == "/health";
        match &self.token {
            None => self.is_near(headers).map(|()| Admitted::Yes),
            Some(_) if probe => Ok(Admitted::Yes),
            Some(token) => self.has_token(token, method, uri, headers),
        }
    }

    /// A browser on this machine does the bidding of the pages it shows: their requests name where they come from, or
    /// another host's name that leads here.
    fn is_near(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
        let origin = text(ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
        // No name leads a browser to a socket of the file system.
        let host = text(HOST).filter(|_| self.address.is_some());
        if [origin, host].into_iter().flatten().all(|host| self.is_own(host)) {
            return Ok(());
        }
        Err(Problem::other(403, "without a token only programs on this machine are answered"))
    }

    fn is_own(&self, host: &str) -> bool {
        let digits = |port: &str| port.bytes().all(|c| c.is_ascii_digit());
        let name = match host.rsplit_once(':') {
            Some((name, port)) if digits(port) && (name.ends_with(']') || !name.contains(':')) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost" || address.is_ok_and(|address| address.is_loopback() || Some(address) == self.address)
    }

    fn has_token(&self, token: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        // Clients of trainers send no header of ours, but this one, if the address is http://any:TOKEN@host.
        let basic = text(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Basic ")).map(password);
        let page = *method == Method::GET && (uri.path() == "/" || uri.path().starts_with("/runs/"));
        let shown = uri
            .query()
            .filter(|_| page)
            .and_then(|query| query.split('&').find_map(|part| part.strip_prefix("token=")).map(crate::decoded));
        let wrong = |message| Err(Problem { code: Some("invalid_api_key"), ..Problem::other(401, message) });
        if let Some(given) = bearer.or(basic.as_deref()).or_else(|| text("x-api-key")) {
            return if same(given.trim(), token) { Ok(Admitted::Yes) } else { wrong("this is not the server's token") };
        }
        if let Some(shown) = shown {
            return if same(&shown, token) {
                Ok(Admitted::With(self.enter(uri)))
            } else {
                wrong("this is not the server's token")
            };
        }
        let known = |given: &str| self.cookie.as_ref().is_some_and(|cookie| same(given, cookie));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
        // It opens pages and nothing else, so that no page makes a browser grade or sample.
        if page && cookies.any(|(name, value)| name == NAME && known(value)) {
            return Ok(Admitted::Yes);
        }
        wrong(if page { "this server wants a token: open /?token=TOKEN once" } else { "this server wants a token" })
    }

    fn enter(&self, uri: &Uri) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = axum::http::StatusCode::SEE_OTHER;
        let cookie = self.cookie.as_deref().unwrap_or_default();
        let cookie = format!("{NAME}={cookie}; Path=/; HttpOnly; SameSite=Strict");
        // Two slashes at the beginning would name another host.
        let place = format!("/{}", uri.path().trim_start_matches('/'));
        let headers = response.headers_mut();
        for (name, value) in [(SET_COOKIE, cookie), (LOCATION, place)] {
            // Both are ASCII without control characters.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// The password of a `Basic` authorization; nothing if it is none.
fn password(encoded: &str) -> String {
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.and_then(|pair| Some(pair.split_once(':')?.1.to_string())).unwrap_or_default()
}

/// Compares without telling by the time it takes how much is right.
fn same(given: &str, token: &str) -> bool {
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// A secret of 256 bits.
pub(crate) fn drawn() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_as_a_whole() {
        assert!(same("abc", "abc"));
        assert!(!same("abd", "abc") && !same("ab", "abc") && !same("", "abc"));
    }

    #[test]
    fn the_password_of_an_address_is_the_token() {
        let admission = Admission::new(Some("secret".into()), None).unwrap();
        let look = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            admission.look(&Method::POST, &Uri::from_static("/run_code"), &headers).is_ok()
        };
        let basic = |pair: &str| look(&format!("Basic {}", STANDARD.encode(pair)));
        assert!(basic("any:secret") && basic(":secret") && look("Bearer secret"));
        assert!(!basic("secret:") && !basic("secret") && !basic("secret:x:secret") && !basic("") && !look("Basic !"));
    }

    #[test]
    fn near_is_this_machine_and_the_address_listened_at() {
        let admission = Admission::new(None, "192.0.2.7".parse().ok()).unwrap();
        for host in ["localhost", "localhost:1", "127.0.0.1:80", "127.0.0.2", "[::1]:9", "[::1]", "192.0.2.7:8517"] {
            assert!(admission.is_own(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example:80", "192.0.2.8", "localhost.evil", "[::2]:1", "1"] {
            assert!(!admission.is_own(host), "{host}");
        }
    }
}
