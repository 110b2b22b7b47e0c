//! An HTTP grader on this machine. Nothing but loopback is ever contacted.

mod openenv;

pub(crate) use openenv::Openenv;

use crate::EnvError;
use crate::Payment;
use crate::foreign::{Asked, Caller, reward_in};
use crate::row::Row;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The largest answer that is read.
const MAX_ANSWER: u64 = 4 << 20;

/// What is said to the grader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `{"submission", "task"}` -> `{"reward"}` or a number
    #[default]
    Plain,
    /// OpenRLHF's remote reward model: `{"query", "prompts", "labels"}` -> `{"rewards"}`
    Openrlhf,
    /// SandboxFusion's `/run_code`: the submission with the task's tests behind it; `Success` pays
    Sandboxfusion,
    /// An OpenEnv server: reset, one step with the completion as the action, the reward of what was observed
    Openenv,
}

impl Protocol {
    /// The protocol of that name.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(name: &str) -> Result<Protocol, EnvError> {
        match name {
            "plain" => Ok(Protocol::Plain),
            "openrlhf" => Ok(Protocol::Openrlhf),
            "sandboxfusion" => Ok(Protocol::Sandboxfusion),
            "openenv" => Ok(Protocol::Openenv),
            _ => {
                Err(EnvError::Input(format!("no protocol {name:?}; known are openrlhf, sandboxfusion, openenv, plain")))
            }
        }
    }
}

pub(crate) struct Http {
    url: String,
    protocol: Protocol,
    agent: ureq::Agent,
    addresses: Vec<SocketAddr>,
}

impl Http {
    pub(crate) fn open(url: &str, protocol: Protocol, seconds: f64) -> Result<Http, EnvError> {
        let wrong = |why: &str| EnvError::Input(format!("{url}: {why}"));
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("write http://127.0.0.1:PORT/PATH"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains('@') {
            return Err(wrong("an address with a user name is not taken"));
        }
        let (host, port) = match authority.rsplit_once(':').filter(|(_, p)| p.parse::<u16>().is_ok()) {
            Some((host, port)) => (host, port.parse().unwrap_or(80)),
            None => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let all_local = || (host, port).to_socket_addrs().is_ok_and(|mut a| a.all(|a| a.ip().is_loopback()));
        if !local || !all_local() {
            return Err(wrong(
                "only graders on this machine (127.0.0.1, ::1, localhost) are attacked; forward the port",
            ));
        }
        // No redirects: they could lead elsewhere. No proxy: it would be elsewhere.
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(seconds)))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let addresses = (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        Ok(Http { url: url.into(), protocol, agent, addresses })
    }

    fn request(&self, text: &str, row: &Row) -> Value {
        match self.protocol {
            Protocol::Plain | Protocol::Openenv => json!({"submission": text, "task": row.fields}),
            Protocol::Openrlhf => {
                json!({"query": [format!("{}{text}", row.prompt)], "prompts": [row.prompt], "labels": [row.truth()]})
            }
            Protocol::Sandboxfusion => json!({"code": format!("{text}\n{}", tests(row)), "language": "python"}),
        }
    }
}

/// The tests of a task as a program's tail.
fn tests(row: &Row) -> String {
    let Some(task) = &row.task else { return String::new() };
    if let Some(h) = task.humaneval() {
        return format!("{}\ncheck({})\n", h.test, h.entry_point);
    }
    let entry = task.entry_point().unwrap_or("main");
    let line = |c: &loophole_grade::Case| {
        let args: Vec<String> = c.args.iter().map(loophole_grade::Value::python).collect();
        format!("assert {}({}) == {}\n", entry, args.join(", "), c.expected.python())
    };
    task.cases().map(line).collect()
}

impl Caller for Http {
    fn name(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Plain | Protocol::Openenv => "service",
            Protocol::Openrlhf => "OpenRLHF reward model",
            Protocol::Sandboxfusion => "SandboxFusion",
        };
        format!("{protocol} at {}", self.url)
    }

    fn tags(&self) -> Vec<&'static str> {
        vec!["service"]
    }

    fn alive(&self) -> bool {
        let wait = Duration::from_millis(500);
        (0..4).any(|n| {
            if n > 0 {
                std::thread::sleep(wait);
            }
            self.addresses.iter().any(|a| std::net::TcpStream::connect_timeout(a, wait).is_ok())
        })
    }

    fn call(&self, asked: &Asked) -> Result<Payment, EnvError> {
        let (text, row) = (asked.text, asked.row);
        let began = Instant::now();
        let said = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(self.request(text, row).to_string())
            .and_then(|mut answer| {
                let status = answer.status().as_u16();
                let body = answer.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string()?;
                Ok((status, body))
            });
        let seconds = began.elapsed().as_secs_f64();
        let (status, body) = match said {
            Ok(said) => said,
            Err(ureq::Error::ConnectionFailed | ureq::Error::HostNotFound) => {
                return Err(EnvError::Unusable(format!(
                    "{} cannot be reached; is it running, or did a submission end it?",
                    self.url
                )));
            }
            Err(ureq::Error::Io(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Err(EnvError::Unusable(format!(
                    "{} refuses connections; is it running, or did a submission end it?",
                    self.url
                )));
            }
            // The grader died or hung over this submission: it pays nothing.
            Err(error) => {
                return Ok(Payment { reward: None, valid: true, transcript: format!("no answer: {error}"), seconds });
            }
        };
        let answer: Option<Value> = serde_json::from_str(&body).ok();
        let reward = answer.as_ref().filter(|_| (200..300).contains(&status)).and_then(|answer| match self.protocol {
            Protocol::Sandboxfusion => match answer.get("status")?.as_str()? {
                "Success" => Some(1.0),
                "Failed" => Some(0.0),
                _ => None,
            },
            _ => reward_in(answer),
        });
        let short: String = body.chars().take(4000).collect();
        Ok(Payment { reward, valid: true, transcript: format!("HTTP {status}\n{short}"), seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_loopback_is_contacted() {
        for url in [
            "http://example.org/",
            "http://10.0.0.1:80/",
            "http://127.0.0.1@example.org/",
            "http://127.0.0.1.example.org/",
            "https://127.0.0.1/",
            "http://0.0.0.0:1/",
            "http://[2001:db8::1]/",
        ] {
            assert!(matches!(Http::open(url, Protocol::Plain, 1.0), Err(EnvError::Input(_))), "{url}");
        }
        for url in ["http://127.0.0.1:9/x", "http://localhost/", "http://[::1]:9/", "http://127.8.9.10:1"] {
            assert!(Http::open(url, Protocol::Plain, 1.0).is_ok(), "{url}");
        }
    }
}
