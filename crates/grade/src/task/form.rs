//! The forms a task can have, and the line of JSON each is written as.

use super::{Case, Compare, Task};
use serde::{Deserialize, Serialize};

/// What a task asks for, and how its tests are written.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskForm {
    /// A function; a test is arguments and the value that is wanted.
    Function(Function),
    /// A program; each test has one argument, its standard input, and expects a text, its output.
    Program {
        /// The language it is written in.
        language: Language,
        /// What a solution in Python finds before it: imports.
        prelude: String,
    },
    /// A HumanEval problem: the submission continues a prompt, and a `check` tests it.
    HumanEval(HumanEval),
    /// Tests as source text: assertions, pytest functions, `unittest` classes or a `check(candidate)`.
    Tests(Tests),
}

/// A function that is asked for, or a class whose methods are called in turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name.
    pub entry_point: String,
    /// Names of its parameters.
    pub params: Vec<String>,
    /// What its arguments are made into; plain values where this ends.
    pub takes: Vec<Shape>,
    /// What it returns.
    pub returns: Shape,
    /// It is a class: a test's arguments are names of methods, the constructor's first, and a list of arguments for
    /// each; what they return, in order, is the answer.
    pub operations: bool,
    /// What a solution finds before it: imports, helpers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prelude: String,
    /// Speed is paid, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// The name under which it takes and returns plain values, where it does not itself.
    #[serde(skip)]
    adapted: Option<String>,
}

/// What a task pays for besides right answers: that they come fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Source that defines `make(size, draw)`, which returns a list of arguments; `draw` is a `random.Random`.
    pub inputs: String,
    /// The sizes that are timed, one input each.
    pub sizes: Vec<u64>,
    /// A right and slow solution, whose time is the measure.
    pub baseline: String,
    /// How many times as fast as the baseline a solution must be.
    pub faster: f64,
    /// The share by which its measured speed may fall short.
    #[serde(default = "quarter")]
    pub tolerance: f64,
    /// How often each size is timed.
    #[serde(default = "five")]
    pub repeats: usize,
}

fn quarter() -> f64 {
    0.25
}

fn five() -> usize {
    5
}

/// What a plain value stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Itself.
    #[default]
    Plain,
    /// A `ListNode` and those after it, as the list of their values.
    LinkedList,
    /// A `TreeNode` and those below it, level by level, `null` where one is missing.
    Tree,
}

impl Shape {
    fn is_plain(&self) -> bool {
        *self == Shape::Plain
    }

    fn python(self) -> &'static str {
        match self {
            Shape::Plain => "None",
            Shape::LinkedList => "\"linked-list\"",
            Shape::Tree => "\"tree\"",
        }
    }
}

impl Function {
    /// A function of plain values.
    pub fn new(entry_point: impl Into<String>, params: Vec<String>) -> Function {
        Function { entry_point: entry_point.into(), params, ..Function::default() }
    }

    /// The same with what it takes and returns, or as a class whose methods are called.
    pub fn shaped(mut self, takes: Vec<Shape>, returns: Shape, operations: bool) -> Function {
        let plain = takes.iter().all(Shape::is_plain) && returns.is_plain() && !operations;
        self.adapted = (!plain).then(|| format!("adapted_{}", self.entry_point));
        Function { takes, returns, operations, ..self }
    }

    /// What stands before and after a solution so that it takes and returns plain values.
    pub(super) fn adapters(&self) -> Option<(&'static str, String)> {
        self.adapted.as_ref()?;
        let takes: Vec<&str> = self.takes.iter().map(|shape| shape.python()).collect();
        let after = include_str!("../python/adapt.py")
            .replace("ENTRY", &self.entry_point)
            .replace("TAKES", &format!("[{}]", takes.join(", ")))
            .replace("RETURNS", self.returns.python())
            .replace("OPERATIONS", if self.operations { "True" } else { "False" });
        Some((include_str!("../python/nodes.py"), after))
    }
}

/// What a HumanEval problem has besides: its prompt (the head of the program) and its `check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HumanEval {
    /// The function a solution must define.
    #[serde(default, skip_serializing)]
    pub entry_point: String,
    /// Imports, helpers and the signature with its docstring.
    pub prompt: String,
    /// Source that defines `check(candidate)`.
    pub test: String,
}

/// Tests as source text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tests {
    /// The function or class that is tested, where one is named.
    pub entry_point: Option<String>,
    /// What the tests and the solution need before them: imports, helpers, data structures.
    pub prelude: String,
    /// The tests the policy may see; without hidden ones all there are.
    pub visible: String,
    /// Tests it may not see, of the same form.
    pub hidden: String,
}

/// A language of programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python 3.
    #[default]
    Python,
    /// C.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// Go.
    Go,
    /// Java; the class is `Main`.
    Java,
    /// JavaScript, run by node.
    JavaScript,
    /// A script of bash.
    Bash,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 8] = [
        Language::Python,
        Language::C,
        Language::Cpp,
        Language::Rust,
        Language::Go,
        Language::Java,
        Language::JavaScript,
        Language::Bash,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::C => "c",
            Language::Cpp => "cpp",
            Language::Rust => "rust",
            Language::Go => "go",
            Language::Java => "java",
            Language::JavaScript => "javascript",
            Language::Bash => "bash",
        }
    }

    /// The language of a name as people write it (`c++`, `js`, `Python3`, ...).
    pub fn parse(name: &str) -> Option<Language> {
        let name = name.trim().to_ascii_lowercase();
        Some(match name.as_str() {
            "python" | "python3" | "py" | "py3" | "pypy3" => Language::Python,
            "c" => Language::C,
            "cpp" | "c++" | "cc" | "cxx" | "c++17" | "c++20" | "g++" => Language::Cpp,
            "rust" | "rs" => Language::Rust,
            "go" | "golang" => Language::Go,
            "java" => Language::Java,
            "javascript" | "js" | "node" | "nodejs" => Language::JavaScript,
            "bash" | "sh" | "shell" => Language::Bash,
            _ => return None,
        })
    }

    /// The file a solution lies in.
    pub fn file(self) -> &'static str {
        match self {
            Language::Python => super::SOLUTION,
            Language::C => "solution.c",
            Language::Cpp => "solution.cpp",
            Language::Rust => "solution.rs",
            Language::Go => "solution.go",
            Language::Java => "Main.java",
            Language::JavaScript => "solution.js",
            Language::Bash => "solution.sh",
        }
    }
}

impl Tests {
    /// The tests a grader runs: those that can be seen, or all there are.
    pub fn graded(&self) -> &str {
        if self.visible.trim().is_empty() { &self.hidden } else { &self.visible }
    }

    /// All of them.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.visible, self.hidden).trim().to_owned() + "\n"
    }

    /// Those that say what is right. What cannot be done is judged by what can: where there are hidden tests, they are
    /// the true ones.
    pub(crate) fn judged(&self, impossible: bool) -> String {
        if impossible && !self.hidden.is_empty() { self.hidden.clone() } else { self.all() }
    }

    /// The names of the classes that they bring along.
    pub(crate) fn classes(&self) -> Vec<&str> {
        let lines = [&self.prelude, &self.visible, &self.hidden].into_iter().flat_map(|text| text.lines());
        let named = lines.filter_map(|line| line.trim_start().strip_prefix("class "));
        named.filter_map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()).collect()
    }

    /// Whether only pytest can run them.
    pub fn need_pytest(&self) -> bool {
        let own =
            |text: &str| ["import pytest", "from pytest", "@pytest.", "pytest."].iter().any(|word| text.contains(word));
        own(&self.visible) || own(&self.hidden)
    }
}

impl TaskForm {
    /// A function of this name and these parameters.
    pub fn function(entry_point: impl Into<String>, params: Vec<String>) -> TaskForm {
        TaskForm::Function(Function::new(entry_point, params))
    }

    /// A program in a language.
    pub fn program(language: Language) -> TaskForm {
        TaskForm::Program { language, prelude: String::new() }
    }

    /// The form in a word.
    pub fn name(&self) -> &'static str {
        match self {
            TaskForm::Function(_) => "function",
            TaskForm::Program { .. } => "stdin and stdout",
            TaskForm::HumanEval(_) => "HumanEval",
            TaskForm::Tests(_) => "tests as text",
        }
    }
}

impl Task {
    /// The name a solution must define; none where it is a program, or where its tests name none.
    pub fn entry_point(&self) -> Option<&str> {
        match &self.form {
            TaskForm::Function(function) => Some(&function.entry_point),
            TaskForm::HumanEval(problem) => Some(&problem.entry_point),
            TaskForm::Tests(tests) => tests.entry_point.as_deref(),
            TaskForm::Program { .. } => None,
        }
    }

    /// The function a solution must define, where it is named by a plain name.
    pub(crate) fn function_name(&self) -> Option<&str> {
        self.entry_point().filter(|name| !name.contains('.'))
    }

    /// The name a solution must define, or what stands for it where there is none.
    pub(crate) fn entry_name(&self) -> &str {
        let adapted = match &self.form {
            TaskForm::Function(function) => function.adapted.as_deref(),
            _ => None,
        };
        adapted.or(self.entry_point()).unwrap_or("main")
    }

    /// Whether its tests are more than arguments and expected values.
    pub(crate) fn is_impure(&self) -> bool {
        matches!(self.form, TaskForm::HumanEval(_) | TaskForm::Tests(_))
    }

    /// Whether `==`, or what counts types besides, says what is right.
    pub(crate) fn compares_plainly(&self) -> bool {
        Compare { strict_types: false, ..self.compare.clone() }.is_default()
    }

    /// Names of the parameters, where the task says them.
    pub fn params(&self) -> &[String] {
        match &self.form {
            TaskForm::Function(function) => &function.params,
            _ => &[],
        }
    }

    /// The problem, where the task has HumanEval's form.
    pub fn humaneval(&self) -> Option<&HumanEval> {
        match &self.form {
            TaskForm::HumanEval(problem) => Some(problem),
            _ => None,
        }
    }

    /// What a solution finds before it.
    pub fn prelude(&self) -> &str {
        match &self.form {
            TaskForm::Function(function) => &function.prelude,
            TaskForm::Program { prelude, .. } => prelude,
            TaskForm::Tests(tests) => &tests.prelude,
            TaskForm::HumanEval(_) => "",
        }
    }

    /// Gives solutions something to find before them.
    pub fn set_prelude(&mut self, text: &str) {
        match &mut self.form {
            TaskForm::Function(Function { prelude, .. })
            | TaskForm::Program { prelude, .. }
            | TaskForm::Tests(Tests { prelude, .. }) => *prelude = text.to_owned(),
            TaskForm::HumanEval(_) => {}
        }
    }

    /// The tests, where they are source text.
    pub fn tests(&self) -> Option<&Tests> {
        match &self.form {
            TaskForm::Tests(tests) => Some(tests),
            _ => None,
        }
    }

    /// The language of the program that is asked for, where one is.
    pub fn program_language(&self) -> Option<Language> {
        match &self.form {
            TaskForm::Program { language, .. } => Some(*language),
            _ => None,
        }
    }

    /// What is paid for speed, where that is paid.
    pub fn speed(&self) -> Option<&Speed> {
        match &self.form {
            TaskForm::Function(function) => function.speed.as_ref(),
            _ => None,
        }
    }

    /// Whether a program is asked for.
    pub fn is_program(&self) -> bool {
        self.program_language().is_some()
    }
}

/// A task as a line of JSON has it.
#[derive(Deserialize)]
pub(super) struct TaskLine {
    id: String,
    #[serde(default)]
    statement: String,
    entry_point: Option<String>,
    #[serde(default)]
    params: Vec<String>,
    #[serde(default)]
    takes: Vec<Shape>,
    #[serde(default)]
    returns: Shape,
    #[serde(default)]
    operations: bool,
    #[serde(default)]
    reference: String,
    #[serde(default)]
    visible: Vec<Case>,
    #[serde(default)]
    hidden: Vec<Case>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    stdio: bool,
    language: Option<String>,
    humaneval: Option<HumanEval>,
    tests: Option<String>,
    #[serde(default)]
    hidden_tests: String,
    #[serde(default)]
    prelude: String,
    #[serde(default)]
    compare: Compare,
    #[serde(default)]
    impossible: bool,
    speed: Option<Speed>,
}

#[derive(Serialize)]
struct TaskLineRef<'a> {
    id: &'a str,
    statement: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_point: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    params: &'a [String],
    #[serde(skip_serializing_if = "<[Shape]>::is_empty")]
    takes: &'a [Shape],
    #[serde(skip_serializing_if = "Shape::is_plain")]
    returns: Shape,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    operations: bool,
    reference: &'a str,
    visible: &'a [Case],
    hidden: &'a [Case],
    tags: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stdio: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    humaneval: Option<&'a HumanEval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    hidden_tests: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    prelude: &'a str,
    #[serde(skip_serializing_if = "Compare::is_default")]
    compare: &'a Compare,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    impossible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<&'a Speed>,
}

impl Serialize for Task {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tests = self.tests();
        let plain = Function::default();
        let function = match &self.form {
            TaskForm::Function(function) => function,
            _ => &plain,
        };
        TaskLineRef {
            id: &self.id,
            statement: &self.statement,
            entry_point: self.entry_point(),
            params: self.params(),
            takes: &function.takes,
            returns: function.returns,
            operations: function.operations,
            reference: &self.reference,
            visible: &self.visible,
            hidden: &self.hidden,
            tags: &self.tags,
            stdio: self.is_program(),
            language: self.program_language().filter(|language| *language != Language::Python),
            humaneval: self.humaneval(),
            tests: tests.map(|tests| tests.visible.as_str()),
            hidden_tests: tests.map_or("", |tests| &tests.hidden),
            prelude: self.prelude(),
            compare: &self.compare,
            impossible: self.impossible,
            speed: self.speed(),
        }
        .serialize(serializer)
    }
}

impl TryFrom<TaskLine> for Task {
    type Error = String;

    fn try_from(line: TaskLine) -> Result<Task, String> {
        let text = |case: &Case| {
            matches!((case.args.as_slice(), &case.expected), ([super::Value::Str(_)], super::Value::Str(_)))
        };
        let all_texts = || line.visible.iter().chain(&line.hidden).all(text);
        let (timed, id) = (line.speed.is_some(), line.id.clone());
        let form = if let Some(problem) = line.humaneval {
            let entry_point = line.entry_point.unwrap_or(problem.entry_point);
            TaskForm::HumanEval(HumanEval { entry_point, ..problem })
        } else if let Some(visible) = line.tests {
            TaskForm::Tests(Tests {
                entry_point: line.entry_point,
                prelude: line.prelude,
                visible,
                hidden: line.hidden_tests,
            })
        } else if line.stdio || line.language.is_some() || (line.entry_point.is_none() && all_texts()) {
            let language = match &line.language {
                None => Language::Python,
                Some(name) => Language::parse(name).ok_or_else(|| {
                    let known: Vec<&str> = Language::ALL.iter().map(|language| language.name()).collect();
                    format!("language {name:?} of task `{}` is none of {}", line.id, known.join(", "))
                })?,
            };
            TaskForm::Program { language, prelude: line.prelude }
        } else if let Some(entry_point) = line.entry_point {
            let named = Function::new(entry_point, line.params);
            let function = Function { prelude: line.prelude, speed: line.speed, ..named };
            TaskForm::Function(function.shaped(line.takes, line.returns, line.operations))
        } else {
            return Err(format!("task `{}` has no entry_point", line.id));
        };
        if timed && !matches!(&form, TaskForm::Function(function) if function.speed.is_some()) {
            return Err(format!("task `{id}`: speed is paid for a function with cases, and this is none"));
        }
        Ok(Task {
            id,
            statement: line.statement,
            form,
            reference: line.reference,
            visible: line.visible,
            hidden: line.hidden,
            tags: line.tags,
            compare: line.compare,
            impossible: line.impossible,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_written_as_it_is_read() {
        for line in [
            r#"{"id":"f","entry_point":"f","params":["x"],"reference":"def f(x): return x","visible":[{"args":[1],"expected":1}]}"#,
            r#"{"id":"p","reference":"print(input())","visible":[{"stdin":"1\n","stdout":"1\n"}]}"#,
            r#"{"id":"i","reference":"","prelude":"import math\n","visible":[{"stdin":"1\n","stdout":"1\n"}]}"#,
            r#"{"id":"g","entry_point":"f","prelude":"import math\n","visible":[{"args":[1],"expected":1}]}"#,
            r#"{"id":"c","language":"C++","reference":"","visible":[{"stdin":"1\n","stdout":"1\n"}]}"#,
            r#"{"id":"old","stdio":true,"entry_point":"main","reference":"","visible":[{"args":["1\n"],"expected":"1\n"}]}"#,
            r#"{"id":"t","tests":"assert f(1) == 1\n","hidden_tests":"assert f(2) == 2\n","prelude":"import math\n","entry_point":"f"}"#,
            r#"{"id":"u","tests":"def test_it():\n    assert solution.f(1) == 1\n","impossible":true,"reference":"x"}"#,
            r#"{"id":"h","entry_point":"f","reference":"def f(x):\n    return x\n","humaneval":{"prompt":"def f(x):\n","test":"def check(candidate):\n    pass\n"}}"#,
            r#"{"id":"s","entry_point":"f","visible":[{"args":[[1,2]],"expected":[2,1]}],"takes":["linked-list","tree","plain"],"returns":"linked-list"}"#,
            r#"{"id":"o","entry_point":"C","visible":[{"args":[["C","get"],[[1],[]]],"expected":[null,1]}],"operations":true}"#,
            r#"{"id":"v","entry_point":"f","visible":[{"args":[1],"expected":1}],"speed":{"inputs":"def make(size, draw):\n    return [size]\n","sizes":[9],"baseline":"def f(x): return x","faster":2.0}}"#,
            r#"{"id":"j","entry_point":"f","visible":[{"args":[1],"expected":1.5}],"compare":{"tolerance":0.001,"any_order":true}}"#,
        ] {
            let task = Task::parse(line).unwrap();
            let written = serde_json::to_string(&task).unwrap();
            assert_eq!(Task::parse(&written).unwrap(), task, "{written}");
        }
        let wrong = Task::parse(r#"{"id":"l","language":"cobol","visible":[{"stdin":"","stdout":""}]}"#);
        assert!(wrong.unwrap_err().contains("python, c, cpp"));
    }

    #[test]
    fn a_humaneval_line_gives_the_name_to_its_form() {
        let line = r#"{"task_id":"h","prompt":"def g(x):\n","entry_point":"g","canonical_solution":"    return x\n","test":"def check(candidate):\n    assert candidate(1) == 1\n"}"#;
        let task = Task::parse(line).unwrap();
        assert_eq!(task.entry_point(), Some("g"));
        assert_eq!(task.humaneval().unwrap().entry_point, "g");
        assert!(!task.is_program());
    }
}
