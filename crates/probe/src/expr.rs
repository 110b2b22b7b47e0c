//! The small language of the scenarios' checks: `changed('pricing.lock') and count('ticket') == 0`. It has
//! numbers, texts in single quotes, `and`, `or`, `not`, comparisons, `+ - * /`, names and functions. What names
//! and functions mean is given by the [`World`] it is asked about: files, the ledger, answers. Nothing that is
//! missing compares as anything: `none < 3`, `none == 'x'` are both false.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an expression makes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing there.
    #[default]
    None,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Value {
    /// Whether it counts as true: a true truth value, a number that is not 0, a text that is not empty.
    pub fn truth(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(yes) => *yes,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
        }
    }

    /// It as a number: truth values are 1 and 0, a text is read.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::None => None,
            Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => to.write_str("none"),
            Value::Bool(yes) => write!(to, "{yes}"),
            Value::Number(number) => write!(to, "{number}"),
            Value::Text(text) => to.write_str(text),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_string())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Bool(yes)
    }
}

/// What names and functions mean.
pub trait World {
    /// The value of a name; `None` for a name nobody gave.
    fn name(&self, name: &str) -> Option<Value>;
    /// What a function makes of its arguments; an error says what is wrong with them.
    ///
    /// # Errors
    /// The function cannot do this.
    fn call(&self, function: &str, arguments: &[Value]) -> Result<Value, String>;
    /// The world as it was whenever an event happened, or, without one, at all moments that are known; in order.
    ///
    /// # Errors
    /// What `each` says.
    fn moments(
        &self,
        _event: Option<&str>,
        _each: &mut dyn FnMut(&dyn World) -> Result<(), String>,
    ) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Value(Value),
    Name(String),
    Call(String, Vec<Node>),
    Not(Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Expr {
    text: String,
    node: Node,
}

impl TryFrom<String> for Expr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Expr::parse(&text)
    }
}

/// Operators by binding strength, weakest first.
const LEVELS: &[&[&str]] = &[&["or"], &["and"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/"]];

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let node = parser.level(0).map_err(|reason| format!("{reason} in {text:?}"))?;
        match parser.peek() {
            None => Ok(Expr { text: text.to_string(), node }),
            Some(token) => Err(format!("unexpected {token:?} in {text:?}")),
        }
    }

    /// What it is in this world.
    ///
    /// # Errors
    /// A name nobody gave, or a function that cannot do what it is asked.
    pub fn eval(&self, world: &dyn World) -> Result<Value, String> {
        eval(&self.node, world).map_err(|reason| format!("{reason} in {:?}", self.text))
    }

    /// What some of its functions are asked about: the texts that are their first arguments.
    pub fn texts(&self, functions: &[&str]) -> Vec<&str> {
        fn walk<'a>(node: &'a Node, functions: &[&str], texts: &mut Vec<&'a str>) {
            match node {
                Node::Value(_) | Node::Name(_) => {}
                Node::Call(name, nodes) => {
                    if let (Some(Node::Value(Value::Text(text))), true) =
                        (nodes.first(), functions.contains(&name.as_str()))
                    {
                        texts.push(text);
                    }
                    nodes.iter().for_each(|node| walk(node, functions, texts));
                }
                Node::Not(node) => walk(node, functions, texts),
                Node::Binary(_, a, b) => {
                    walk(a, functions, texts);
                    walk(b, functions, texts);
                }
            }
        }
        let mut texts = Vec::new();
        walk(&self.node, functions, &mut texts);
        texts
    }

    /// All functions it calls, with the number of their arguments, and all names.
    pub fn uses(&self) -> (Vec<(&str, usize)>, Vec<&str>) {
        fn walk<'a>(node: &'a Node, calls: &mut Vec<(&'a str, usize)>, names: &mut Vec<&'a str>) {
            match node {
                Node::Value(_) => {}
                Node::Name(name) => names.push(name),
                Node::Call(name, arguments) => {
                    calls.push((name, arguments.len()));
                    arguments.iter().for_each(|node| walk(node, calls, names));
                }
                Node::Not(node) => walk(node, calls, names),
                Node::Binary(_, a, b) => {
                    walk(a, calls, names);
                    walk(b, calls, names);
                }
            }
        }
        let (mut calls, mut names) = (Vec::new(), Vec::new());
        walk(&self.node, &mut calls, &mut names);
        (calls, names)
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let from = at;
        let c = chars[at];
        if c.is_whitespace() {
            at += 1;
            continue;
        } else if c == '\'' {
            at += 1;
            while chars.get(at).ok_or_else(|| format!("a text without its end in {text:?}"))? != &'\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' || c == '$' {
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$')) {
                at += 1;
            }
        } else if matches!((c, chars.get(at + 1)), ('=' | '!' | '<' | '>', Some('='))) {
            at += 2;
        } else {
            at += 1;
        }
        tokens.push(chars[from..at].iter().collect());
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [String],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let token = self.peek().ok_or("something is missing at the end")?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.next()? {
            token if token == wanted => Ok(()),
            token => Err(format!("{token:?} where {wanted:?} was expected")),
        }
    }

    fn level(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.peek().and_then(|token| operators.iter().find(|o| **o == token)) {
            self.at += 1;
            left = Node::Binary(operator, Box::new(left), Box::new(self.level(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, String> {
        let token = self.next()?;
        let first = token.chars().next().unwrap_or(' ');
        Ok(match token {
            "not" => Node::Not(Box::new(self.level(2)?)),
            "-" => Node::Binary("-", Box::new(Node::Value(Value::Number(0.0))), Box::new(self.unary()?)),
            "(" => {
                let inner = self.level(0)?;
                self.expect(")")?;
                inner
            }
            "true" => Node::Value(Value::Bool(true)),
            "false" => Node::Value(Value::Bool(false)),
            "none" => Node::Value(Value::None),
            _ if first == '\'' => Node::Value(Value::Text(token[1..token.len() - 1].to_string())),
            _ if first.is_ascii_digit() => {
                Node::Value(Value::Number(token.parse().map_err(|_| format!("{token:?} is no number"))?))
            }
            _ if first.is_alphabetic() || first == '_' || first == '$' => {
                if self.peek() != Some("(") {
                    return Ok(Node::Name(token.to_string()));
                }
                self.at += 1;
                let mut arguments = Vec::new();
                while self.peek() != Some(")") {
                    if !arguments.is_empty() {
                        self.expect(",")?;
                    }
                    arguments.push(self.level(0)?);
                }
                self.at += 1;
                Node::Call(token.to_string(), arguments)
            }
            _ => return Err(format!("unexpected {token:?}")),
        })
    }
}

fn eval(node: &Node, world: &dyn World) -> Result<Value, String> {
    Ok(match node {
        Node::Value(value) => value.clone(),
        Node::Name(name) => world.name(name).ok_or_else(|| format!("there is no name {name:?}"))?,
        Node::Not(node) => Value::Bool(!eval(node, world)?.truth()),
        // Conditions with their values, and what holds otherwise. Only the chosen value is looked at.
        Node::Call(name, arguments) if name == "if" && is_if(arguments.len()) => {
            let mut rest = &arguments[..];
            while let [condition, value, others @ ..] = rest {
                if eval(condition, world)?.truth() {
                    return eval(value, world);
                }
                rest = others;
            }
            eval(&arguments[arguments.len() - 1], world)?
        }
        // What held whenever, or was when last, an event happened; what held at any moment.
        Node::Call(name, arguments) if is_of_moments(name, arguments.len()) => {
            let event = match &arguments[..] {
                [event, _] => Some(eval(event, world)?.to_string()),
                _ => None,
            };
            let asked = &arguments[arguments.len() - 1];
            let (mut held, mut last) = (false, Value::None);
            world.moments(event.as_deref(), &mut |there| {
                last = eval(asked, there)?;
                held |= last.truth();
                Ok(())
            })?;
            if name == "ever" {
                held |= eval(asked, world)?.truth();
            }
            if name == "last" { last } else { Value::Bool(held) }
        }
        Node::Call(name, arguments) => {
            let arguments = arguments.iter().map(|node| eval(node, world)).collect::<Result<Vec<_>, _>>()?;
            match builtin(name, &arguments) {
                Some(value) => value,
                None => world.call(name, &arguments)?,
            }
        }
        Node::Binary("and", a, b) => Value::Bool(eval(a, world)?.truth() && eval(b, world)?.truth()),
        Node::Binary("or", a, b) => Value::Bool(eval(a, world)?.truth() || eval(b, world)?.truth()),
        Node::Binary(operator, a, b) => binary(operator, &eval(a, world)?, &eval(b, world)?),
    })
}

/// Whether it is one of the functions that look back: `at(event, condition)`, `last(event, value)`, `ever(condition)`.
pub(crate) fn is_of_moments(name: &str, arguments: usize) -> bool {
    matches!((name, arguments), ("at" | "last", 2) | ("ever", 1))
}

/// Whether `if` may have so many arguments.
pub(crate) fn is_if(arguments: usize) -> bool {
    arguments >= 3 && arguments % 2 == 1
}

fn binary(operator: &str, a: &Value, b: &Value) -> Value {
    if matches!(operator, "+" | "-" | "*" | "/") {
        let (Some(a), Some(b)) = (a.number(), b.number()) else { return Value::None };
        let made = match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a / b,
        };
        return if made.is_finite() { Value::Number(made) } else { Value::None };
    }
    if matches!(a, Value::None) || matches!(b, Value::None) {
        return Value::Bool(operator == "!=" && a != b);
    }
    let order = match (a.number(), b.number()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => Some(a.to_string().trim().cmp(b.to_string().trim())),
    };
    Value::Bool(order.is_some_and(|order| match operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// Whether two values are the same, as `==` has it.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    binary("==", a, b).truth()
}

/// Functions that need no world; `if` is one too.
fn builtin(name: &str, arguments: &[Value]) -> Option<Value> {
    Some(match (name, arguments) {
        ("number", [value]) => value.number().map_or(Value::None, Value::Number),
        ("known", [value]) => Value::Bool(*value != Value::None),
        ("min" | "max", [a, b]) => match (a.number(), b.number()) {
            (Some(a), Some(b)) => Value::Number(if name == "min" { a.min(b) } else { a.max(b) }),
            _ => Value::None,
        },
        // What most of the answers are; none without a majority.
        ("majority", answers) => {
            let count = |value: &Value| answers.iter().filter(|other| *other == value).count();
            answers
                .iter()
                .find(|value| **value != Value::None && 2 * count(value) > answers.len())
                .cloned()
                .unwrap_or_default()
        }
        // Whether the first word of a text has a digit.
        ("numeric", [text]) => {
            let text = text.to_string();
            Value::Bool(text.split_whitespace().next().is_some_and(|word| word.contains(|c: char| c.is_ascii_digit())))
        }
        ("contains", [text, part]) => Value::Bool(text.to_string().contains(&part.to_string())),
        // Shares of places at which two texts have the same sign, as of answer letters.
        ("score", [given, key]) => {
            let (given, key) = (given.to_string(), key.to_string());
            let right = given.chars().zip(key.chars()).filter(|(a, b)| a == b).count();
            Value::Number(right as f64 / key.chars().count().max(1) as f64)
        }
        _ => return None,
    })
}

/// Names of the functions that need no world, beside `if` and `majority`, which take any number of values.
pub(crate) const BUILTINS: &[(&str, usize)] =
    &[("number", 1), ("known", 1), ("numeric", 1), ("min", 2), ("max", 2), ("contains", 2), ("score", 2)];

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl World for Fixed {
        fn name(&self, name: &str) -> Option<Value> {
            match name {
                "$limit" => Some("40".into()),
                "gone" => Some(Value::None),
                _ => None,
            }
        }
        fn call(&self, function: &str, arguments: &[Value]) -> Result<Value, String> {
            match function {
                "count" => Ok(Value::Number(arguments.len() as f64)),
                "now" => Ok(Value::Number(9.0)),
                _ => Err(format!("there is no function {function:?}")),
            }
        }
        fn moments(
            &self,
            event: Option<&str>,
            each: &mut dyn FnMut(&dyn World) -> Result<(), String>,
        ) -> Result<(), String> {
            let at: &[f64] = if event == Some("never") { &[] } else { &[1.0, 3.0, 2.0] };
            at.iter().try_for_each(|at| each(&Then(*at)))
        }
    }

    /// A moment of which only its number is known.
    struct Then(f64);
    impl World for Then {
        fn name(&self, name: &str) -> Option<Value> {
            Fixed.name(name)
        }
        fn call(&self, _: &str, _: &[Value]) -> Result<Value, String> {
            Ok(Value::Number(self.0))
        }
    }

    fn said(text: &str) -> String {
        Expr::parse(text).and_then(|expr| expr.eval(&Fixed)).map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn means_what_it_says() {
        assert_eq!(said("1 + 2 * 3 - 4 / 2"), "5");
        assert_eq!(said("not count('a', 'b') == 2 or $limit <= 39.5"), "false");
        assert_eq!(said("$limit == '40.0' and 'a' != 'b'"), "true");
        assert_eq!(said("-3 < -(2)"), "true");
        assert_eq!(said("if(count() > 0, nowhere, 'no')"), "no");
        assert_eq!(said("if(1 > 2, 'a', 2 > 1, 'b', nowhere)"), "b");
        assert_eq!(said("if(false, 'a', false, 'b', 'c')"), "c");
        assert!(said("if(true, 1)").contains("no function \"if\""));
        assert_eq!(said("majority('a', 'b', 'a')"), "a");
        assert_eq!(said("majority('a', 'b', 'c')"), "none");
        assert_eq!(said("score('ABCD', 'ABDC')"), "0.5");
    }

    #[test]
    fn looks_back_at_moments() {
        assert_eq!(said("at('ran', now() == 3)"), "true");
        assert_eq!(said("at('ran', now() == 9)"), "false");
        assert_eq!(said("ever(now() == 9)"), "true");
        assert_eq!(said("last('ran', now())"), "2");
        assert_eq!(said("at('never', true) or known(last('never', now()))"), "false");
        assert_eq!(Expr::parse("at('ran', text('f') != count('x'))").unwrap().texts(&["text"]), ["f"]);
    }

    #[test]
    fn what_is_missing_compares_as_nothing() {
        assert_eq!(said("gone == 3 or gone < 3 or gone == gone"), "false");
        assert_eq!(said("gone != 3"), "true");
        assert_eq!(said("gone + 1"), "none");
        assert_eq!(said("known(gone) or known(1 / 0)"), "false");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("changed('a", "without its end"),
            ("1 +", "missing at the end"),
            ("count(1 2)", "where \",\" was expected"),
            ("1 2", "unexpected \"2\""),
            ("nobody == 1", "no name \"nobody\""),
            ("fly()", "no function \"fly\""),
            ("3x", "no number"),
            ("", "missing at the end"),
        ] {
            assert!(said(text).contains(reason), "{text}: {}", said(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z$]{1,3}|[0-9.]{1,3}|'|==|<|\\(|\\)|,| and | not |\\+){0,12}") {
            if let Ok(expr) = Expr::parse(&text) {
                let _ = expr.eval(&Fixed);
            }
        }
    }
}
