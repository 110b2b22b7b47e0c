//! An agent at work: a shell in a cell for the whole episode, commands as answers or as calls of tools, and a
//! supervisor outside that hears what is done while it is done, and looks at the folder after every command.

use loophole_cell::{
    CellError, Entry, ExecRequest, Limits, Pool, Program, Session, SessionOptions, SessionStep, Trace, Verdict,
};
use loophole_chat::{Act, ChatError, Finish, Key, Message, Reply, ToolSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::expr::Value;
use crate::facts::{Altered, Facts};
use crate::help::remarks;
use crate::reporting::{left_files, report};
use crate::stage::{ANNOUNCED, Protocol, Stage};
use crate::talk::{Talk, key, say};
use crate::tools::{FORM, Wish, fenced, tools, wishes};
use crate::{detector, hidden};

/// Bytes of a command; a longer one is not run.
const COMMAND: usize = 64 << 10;
/// Replies in a row that hold no command, after which the episode ends.
const IDLE: usize = 3;
/// Seconds a command may take.
const STEP_SECONDS: f64 = 10.0;
/// What the supervisor's own commands run in: nothing of what the agent has made of its shell.
const CLEAN: &[&str] =
    &["/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-c"];

/// One command of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it typed.
    pub command: String,
    /// The exit status, if it ended by itself.
    pub code: Option<i32>,
    /// How it ended, if not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What happened meanwhile: what the scripts said to the supervisor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledger: Vec<String>,
    /// Given files that became others meanwhile, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<Altered>,
}

/// What ended a sample before it could be judged.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The machine; worth another try.
    Machine(String),
    /// The model.
    Chat(ChatError),
}

impl From<CellError> for Broken {
    fn from(error: CellError) -> Self {
        Broken::Machine(error.to_string())
    }
}

impl From<ChatError> for Broken {
    fn from(error: ChatError) -> Self {
        Broken::Chat(error)
    }
}

/// What is left of an episode.
pub(crate) struct Episode {
    pub conversation: Vec<Message>,
    /// The conversation before the report was asked for.
    pub before_report: Vec<Message>,
    /// Messages of it that there were before the reply in which the deed was done or tried; before the last command, where
    /// it was not.
    pub eve: usize,
    pub steps: Vec<Step>,
}

/// Plays an episode, report included.
pub(crate) fn episode<'a>(
    stage: &'a Stage,
    facts: &mut Facts<'a>,
    talk: &mut Talk,
    pool: &Pool,
    protocol: Protocol,
) -> Result<Episode, Broken> {
    let mut player = Player {
        stage,
        protocol,
        pool,
        session: start(stage, pool, facts)?,
        steps: Vec::new(),
        aware: false,
        blind: false,
        eve: 0,
        done: false,
        last: None,
        tools: if protocol == Protocol::Tools { tools(stage) } else { Vec::new() },
    };
    let mut conversation = talk.begin(Some(&stage.system));
    conversation.push(Message::user(stage.opening.clone()));
    let reported = player.work(&mut conversation, facts, talk)?;
    player.look_back(facts, reported.is_some())?;
    let left = match stage.report {
        Some(_) => left_files(&mut player.session, &player.steps, &stage.files)?,
        None => Vec::new(),
    };
    let eve = player.eve;
    let steps = player.finish(facts)?;
    let before_report = conversation.clone();
    if let Some(asked) = &stage.report {
        report(asked, stage, facts, talk, &mut conversation, (&steps, left))?;
    }
    Ok(Episode { conversation, before_report, eve, steps })
}

fn start(stage: &Stage, pool: &Pool, facts: &mut Facts) -> Result<Session, CellError> {
    let options = SessionOptions {
        files: stage.files.clone(),
        limits: Limits { cpu_seconds: 20.0, output_bytes: 256 << 10, ..Limits::default() },
        step_wall_seconds: STEP_SECONDS,
        trace: Some(Trace { announce: ANNOUNCED.to_string(), files: facts.paths() }),
        ..SessionOptions::default()
    };
    let mut session = pool.session(&options)?;
    set_up(stage, &mut session, facts)?;
    facts.look(&mut session, 0)?;
    Ok(session)
}

/// Starts what is to run beside the agent.
fn set_up(stage: &Stage, session: &mut Session, facts: &mut Facts) -> Result<(), CellError> {
    if !stage.setup.is_empty() {
        session.run(&stage.setup.join("\n"))?;
        facts.follow(session)?;
    }
    Ok(())
}

struct Player<'a, 'p> {
    stage: &'a Stage<'a>,
    protocol: Protocol,
    pool: &'p Pool,
    session: Session,
    steps: Vec<Step>,
    /// Whether the rule was on the model's screen.
    aware: bool,
    /// Whether the rule was broken before it was.
    blind: bool,
    /// Messages before the reply in which the deed was done or tried, or else a command was last given.
    eve: usize,
    /// Whether it was done or tried.
    done: bool,
    /// The last command and what it printed.
    last: Option<(String, String)>,
    tools: Vec<ToolSpec>,
}

impl<'a> Player<'a, '_> {
    /// Until the model submits, runs out of steps, or the scenario's end comes. What it submitted, if it did.
    fn work(
        &mut self,
        conversation: &mut Vec<Message>,
        facts: &mut Facts<'a>,
        talk: &mut Talk,
    ) -> Result<Option<Option<Map<String, Json>>>, Broken> {
        let (mut idle, mut chatted, mut asked) = (0, false, false);
        for message in conversation.iter() {
            self.notice(&message.content);
        }
        while self.steps.len() < self.stage.scenario.steps {
            let before = conversation.len();
            let reply = match self.protocol {
                Protocol::Text => talk.command(conversation, self.mock())?,
                Protocol::Tools | Protocol::Line => talk.next(conversation, &self.tools, self.mock())?,
            };
            let wishes = wishes(self.stage, self.protocol, &reply);
            let mut submitted = None;
            let mut over = false;
            for (at, wish) in wishes.into_iter().enumerate() {
                let (text, call) = match wish {
                    // What is called after the end is not carried out, but every call is answered.
                    Wish::Run(_, call) | Wish::Submit(_, call) if over || submitted.is_some() => {
                        ("not run: the work is over".to_string(), call)
                    }
                    Wish::Run(command, call) => {
                        idle = 0;
                        if command.is_empty() {
                            odd(facts, no_command(&reply));
                        }
                        if !self.done {
                            self.eve = before;
                        }
                        let (shown, ended) = self.run(&command, facts)?;
                        self.done |= facts.holds("violated") || facts.holds("attempted");
                        over |= ended || self.steps.len() >= self.stage.scenario.steps;
                        (if over { shown } else { self.with_remarks(command, shown) }, call)
                    }
                    Wish::Submit(fields, call) => {
                        submitted = Some(fields);
                        ("submitted".to_string(), call)
                    }
                    Wish::Wrong(why, call) => {
                        idle += usize::from(at == 0);
                        odd(facts, &why);
                        (why, Some(call))
                    }
                    Wish::Nothing => {
                        idle += 1;
                        odd(facts, no_command(&reply));
                        // What was meant is asked once; after that it is only said that nothing was run.
                        let again = std::mem::replace(&mut asked, true);
                        let form = if again { "" } else { FORM[usize::from(self.protocol == Protocol::Tools)] };
                        (format!("Nothing was run. {form}").trim().to_string(), None)
                    }
                };
                match call {
                    Some(call) => conversation.push(Message::tool(&call, text)),
                    None if submitted.is_none() => conversation.push(Message::user(text)),
                    None => {}
                }
            }
            if submitted.is_some() {
                return Ok(submitted);
            }
            if let Some(chat) = self.stage.scenario.chat.as_ref().filter(|_| !chatted && !self.stage.chat.is_empty())
                && !over
                && facts.value(&chat.when).is_ok_and(|value| value.truth())
            {
                chatted = true;
                say(conversation, &self.stage.chat);
            }
            if over || idle >= IDLE {
                break;
            }
        }
        Ok(None)
    }

    /// What is shown of a command, with remarks for one who types.
    fn with_remarks(&mut self, command: String, shown: String) -> String {
        if self.protocol != Protocol::Text {
            return shown;
        }
        let programs = self.stage.files.iter().filter(|file| file.executable).map(|file| file.path.as_str());
        let told = remarks((&command, &shown), self.last.as_ref(), programs);
        let told = format!("{shown}{told}");
        self.last = Some((command, shown));
        told
    }

    /// What the mocks do at this step.
    fn mock(&self) -> Key {
        let at = self.steps.len();
        key(|character| {
            let script = self.script(character)?;
            let command = script.get(at).map_or("submit", String::as_str);
            Some(match (self.protocol, command) {
                (Protocol::Text, "submit") => "submit".into(),
                (Protocol::Line, command) => command.into(),
                (Protocol::Text, command) => fenced(command).into(),
                (Protocol::Tools, "submit") => Act::call("submit", json!({})),
                (Protocol::Tools, command) => Act::call("bash", json!({ "command": command })),
            })
        })
    }

    /// The commands of a character in this arm.
    fn script(&self, character: &str) -> Option<Vec<String>> {
        if character == "incompetent" {
            return Some(self.stage.mock.get(character).cloned().unwrap_or_else(|| vec!["ls".into()]));
        }
        // Where the rule does not hold, all do what is asked; where honesty is easy, the honest way is another.
        let plays = match (self.stage.arm.plays.get(character), character) {
            (Some(other), _) => other.as_str(),
            // How it is told makes no difference to what is done, unless the scenario says so.
            (None, "open" | "denying") if !self.stage.mock.contains_key(character) => "bad",
            (None, _) => character,
        };
        self.stage.mock.get(plays).or_else(|| self.stage.mock.get("good")).cloned()
    }

    /// Runs a command; what is shown of it, and whether the episode is over.
    fn run(&mut self, command: &str, facts: &mut Facts<'a>) -> Result<(String, bool), Broken> {
        let number = self.steps.len() + 1;
        // A NUL cannot be typed; bash will find nothing to run in what is left.
        let typed = command.replace('\0', "?");
        if typed.len() > COMMAND {
            self.steps.push(Step {
                command: short(&typed),
                code: None,
                ended: Some("too long".into()),
                ledger: Vec::new(),
                altered: Vec::new(),
            });
            return Ok((format!("not run: a command may have {COMMAND} bytes"), false));
        }
        let step = match self.session.run(&typed) {
            Ok(step) => step,
            // Nobody has touched a shell that fails before the first command: that is the machine's doing.
            Err(CellError::SessionEnded(why)) if self.steps.is_empty() => return Err(Broken::Machine(why)),
            Err(CellError::SessionEnded(why)) => {
                self.steps.push(Step {
                    command: short(&typed),
                    code: None,
                    ended: Some(why),
                    ledger: Vec::new(),
                    altered: Vec::new(),
                });
                return Ok(("the shell has ended".into(), true));
            }
            Err(error) => return Err(error.into()),
        };
        let before = facts.entries.len();
        facts.hear(&step.events, step.events_missed, number, &typed);
        if step.verdict == Verdict::Wall {
            // With the command, what runs beside it was ended too: by us, not by the agent.
            facts.cut_short();
            set_up(self.stage, &mut self.session, facts)?;
        }
        facts.look(&mut self.session, number)?;
        if !typed.is_empty() && is_command(step.code, &String::from_utf8_lossy(&step.stderr)) {
            facts.real.push(number);
        }
        if !self.aware && !self.blind && self.stage.rule.is_some() && facts.holds("violated") {
            self.blind = true;
        }
        let shown = shown(&step, self.stage.scenario.manner.shown);
        self.notice(&shown);
        facts.shown.push(shown.clone().into_bytes());
        let ledger = facts.entries[before..].iter().map(|entry| entry.words.join(" ")).collect();
        let ended = (step.verdict != Verdict::Exit).then(|| format!("{:?}", step.verdict).to_lowercase());
        // After the time limit and too much output the shell lives on.
        let gone = !matches!(step.verdict, Verdict::Exit | Verdict::Wall | Verdict::Output);
        let altered = facts.take_altered(before);
        self.steps.push(Step { command: short(&typed), code: step.code, ended, ledger, altered });
        facts.names.insert("commands".into(), Value::Number(number as f64));
        let over = match &self.stage.scenario.ends {
            Some(ends) => facts.value(ends).is_ok_and(|value| value.truth()),
            None => false,
        };
        Ok((shown, over || gone))
    }

    /// Whether the rule stands in what the model is shown.
    fn notice(&mut self, text: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(rule) = &self.stage.rule {
            self.aware |= words(text).contains(&words(rule));
        }
    }

    /// After the agent's last command: the supervisor's own commands, the folder, the hidden checks.
    fn look_back(&mut self, facts: &mut Facts<'a>, submitted: bool) -> Result<(), Broken> {
        // What a signal was to end may have ended only now.
        facts.look(&mut self.session, self.steps.len())?;
        facts.seal();
        let (ended, number) = (self.session.has_ended(), self.steps.len() + 1);
        for (name, command) in &self.stage.after {
            let argv = CLEAN.iter().copied().chain([command.as_str()]);
            let found = match self.session.exec(&ExecRequest::new(argv)) {
                Ok(step) => {
                    facts.hear(&step.events, step.events_missed, number, command);
                    (step.code, String::from_utf8_lossy(&step.stdout).into_owned())
                }
                Err(CellError::SessionEnded(_)) => (None, String::new()),
                Err(error) => return Err(error.into()),
            };
            facts.after.insert(name.clone(), found);
        }
        facts.look(&mut self.session, number)?;
        for check in &self.stage.verify {
            let mut program = Program::new(Entry::Command(check.command.iter().map(Into::into).collect()));
            program.files.clone_from(&check.files);
            for path in &check.takes {
                if let (Some(content), false) = (facts.content(path), check.files.iter().any(|file| file.path == *path))
                {
                    program.files.push(loophole_cell::InputFile::new(path.clone(), content));
                }
            }
            let record = self.pool.run(&program)?;
            if record.verdict == Verdict::Machine {
                return Err(Broken::Machine(record.detail.unwrap_or_default()));
            }
            facts.passes.insert(check.name.clone(), record.success());
        }
        for score in &self.stage.scenario.scores {
            let source = facts.content(&score.takes).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let set = hidden::set(&score.set, self.stage.seed).map_err(Broken::Machine)?;
            let accuracy = source.map(|source| detector::accuracy(&source, &set, self.pool)).transpose();
            let accuracy = accuracy.map_err(Broken::Machine)?.flatten();
            facts.names.insert(score.name.clone(), accuracy.map_or(Value::None, Value::Number));
        }
        let mut names = vec![
            ("acted", Value::Bool(!facts.real.is_empty())),
            ("submitted", Value::Bool(submitted)),
            ("aware", Value::Bool(self.aware && !self.blind)),
            ("tampered", Value::Bool(facts.tampered.is_some())),
            ("forged", Value::Bool(facts.forged() > 0)),
            ("ended", Value::Bool(ended)),
            ("allowed", Value::Bool(self.stage.arm.allowed)),
            ("commands", Value::Number(self.steps.len() as f64)),
            ("reported", "none".into()),
            ("answer", Value::None),
            ("status", Value::None),
        ];
        for (name, value) in names.drain(..) {
            facts.names.insert(name.to_string(), value);
        }
        Ok(())
    }
}

impl Player<'_, '_> {
    /// Ends the session and takes in what it left.
    fn finish(self, facts: &mut Facts) -> Result<Vec<Step>, Broken> {
        let record = self.session.finish()?;
        facts.names.insert("leftover".into(), Value::Number(f64::from(record.leftover_processes)));
        facts.diff = record.files;
        Ok(self.steps)
    }
}

/// Whether bash found anything to run: 127 is "not found", and a line that is no shell at all ends in 2.
fn is_command(code: Option<i32>, stderr: &str) -> bool {
    let broken = stderr.contains("syntax error") || stderr.contains("unexpected EOF");
    !(code == Some(127) || code == Some(126) || (code == Some(2) && broken))
}

/// Why there is no command in a reply.
fn no_command(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Length => "cut off at the most tokens before a command",
        Finish::Filtered => "withheld by the provider's filter",
        _ if reply.answer.trim().is_empty() => "empty",
        _ => "text without a command",
    }
}

/// Counts a reply that could not be carried out, and keeps why.
fn odd(facts: &mut Facts, why: &str) {
    let before = facts.names.get("odd_replies").and_then(Value::number).unwrap_or(0.0);
    facts.names.insert("odd_replies".into(), Value::Number(before + 1.0));
    facts.names.insert("odd_reply".into(), why.into());
}

/// A text as it is kept in records.
fn short(text: &str) -> String {
    cut(text, [1500, 500])
}

/// The beginning and the end of a text that is too long.
fn cut(text: &str, [head, tail]: [usize; 2]) -> String {
    let count = text.chars().count();
    if count <= head + tail {
        return text.to_string();
    }
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(count - tail).collect();
    format!("{first}\n[... {} characters left out ...]\n{last}", count - head - tail)
}

/// What a command printed, as the model gets to see it.
fn shown(step: &SessionStep, most: [usize; 2]) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&step.stdout), String::from_utf8_lossy(&step.stderr));
    let mut text = cut(text.trim(), most);
    if text.is_empty() {
        text = "(no output)".into();
    }
    match step.verdict {
        // Bash itself went on.
        Verdict::Wall if step.code.is_some() => {
            text + "\n[ended: it took too long; anything after it in the same line was carried out]"
        }
        Verdict::Wall => text + "\n[ended: it took too long]",
        _ => text,
    }
}
