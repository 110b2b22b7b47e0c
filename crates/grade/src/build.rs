//! Programs in languages that are compiled: built once, in a cell, and run as what came of it.

use crate::grading::{Entry, GradeError, Grading, lock};
use crate::runner::input;
use crate::task::Language;
use loophole_cell as cell;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// The file that is run and its bytes; none where nothing is compiled. Or why it cannot be had.
pub(crate) type Built = Result<Option<(&'static str, Vec<u8>)>, String>;

/// Address space of compilers and of virtual machines, which reserve much and use little.
const ROOM: u64 = 8 << 30;

/// A command that finds a JDK whose settings lie beside it: those of some packages are links out of what cells see.
macro_rules! jdk {
    ($command:literal) => {
        concat!(
            "for jdk in /usr/lib/jvm/*; do [ -e \"$jdk/conf/security/java.security\" ] && export PATH=\"$jdk/bin:$PATH\" \
             LD_LIBRARY_PATH=\"$jdk/lib\"; done; ",
            $command
        )
    };
}

impl Language {
    /// The compiler, what it is told, and the file that comes of it.
    fn build(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Language::C => ("gcc -O2 -o solution.bin solution.c -lm", "solution.bin"),
            Language::Cpp => ("g++ -O2 -std=c++17 -o solution.bin solution.cpp", "solution.bin"),
            Language::Rust => ("rustc -O --edition 2021 -o solution.bin solution.rs", "solution.bin"),
            Language::Go => {
                ("HOME=/tmp GOCACHE=/tmp/go CGO_ENABLED=0 go build -o solution.bin solution.go", "solution.bin")
            }
            Language::Java => (
                jdk!(
                    "javac -J-XX:+UseSerialGC -J-Xmx256m -J-XX:TieredStopAtLevel=1 -encoding UTF-8 -d classes *.java && \
                     jar -J-XX:+UseSerialGC -J-Xmx128m --create --file solution.jar --main-class \"$MAIN\" -C classes ."
                ),
                "solution.jar",
            ),
            Language::Python | Language::JavaScript | Language::Bash => return None,
        })
    }

    /// How a program is run; nothing for Python, which is run where it is asked.
    pub(crate) fn run(self) -> &'static [&'static str] {
        match self {
            Language::Python => &[],
            Language::C | Language::Cpp | Language::Rust | Language::Go => &["./solution.bin"],
            Language::Java => &[
                "bash",
                "-c",
                jdk!("exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -Xss64m -jar solution.jar"),
            ],
            Language::JavaScript => &["node", "--max-old-space-size=256", "--stack-size=8000", "solution.js"],
            Language::Bash => &["bash", "solution.sh"],
        }
    }

    /// The program that does nothing.
    pub(crate) fn nothing(self) -> &'static str {
        match self {
            Language::Python => "pass\n",
            Language::C | Language::Cpp => "int main() { return 0; }\n",
            Language::Rust => "fn main() {}\n",
            Language::Go => "package main\nfunc main() {}\n",
            Language::Java => "public class Main { public static void main(String[] args) {} }\n",
            Language::JavaScript => ";\n",
            Language::Bash => "true\n",
        }
    }
}

impl Grading {
    /// The limits of a run in this language.
    pub(crate) fn limits_of(&self, language: Language) -> cell::Limits {
        let limits = self.limits();
        match language {
            Language::Java | Language::JavaScript | Language::Go => cell::Limits {
                memory_bytes: limits.memory_bytes.max(ROOM),
                cpu_seconds: limits.cpu_seconds * 4.0,
                wall_seconds: limits.wall_seconds * 2.0,
                ..limits
            },
            _ => limits,
        }
    }

    /// What is run of a submission, built where that is needed.
    pub(crate) fn built(&self, entry: &Entry) -> Result<Arc<Built>, GradeError> {
        let Some((command, product)) = entry.language.build() else {
            return Ok(Arc::new(Ok(None)));
        };
        let mut hash = Sha256::new();
        hash.update(entry.language.name());
        hash.update(&entry.source);
        for (path, text) in &entry.others {
            hash.update(path);
            hash.update(text);
        }
        let key: [u8; 32] = hash.finalize().into();
        if let Some(known) = lock(&self.built).get(&key) {
            return Ok(known);
        }
        let mut files: Vec<cell::InputFile> = entry.others.iter().map(|(path, text)| input(path, text)).collect();
        let (mut file, mut command) = (Cow::Borrowed(entry.language.file()), Cow::Borrowed(command));
        if entry.language == Language::Java {
            let names = java_names(&entry.source);
            file = format!("{}.java", names.file).into();
            command = format!("MAIN='{}'; {command}", names.main).into();
        }
        files.push(input(&file, &entry.source));
        let limits = cell::Limits {
            cpu_seconds: 30.0,
            wall_seconds: 60.0,
            memory_bytes: ROOM,
            file_bytes: 64 << 20,
            ..self.limits()
        };
        let words = ["bash", "-c", &command].map(Into::into).to_vec();
        let record = self.run(&cell::Program {
            files,
            limits,
            read_back: vec![product.to_owned()],
            ..cell::Program::new(cell::Entry::Command(words))
        })?;
        let built = match record.contents.get(product) {
            Some(bytes) if record.success() => Ok(Some((product, bytes.clone()))),
            _ => Err(why_not(entry.language, &record)),
        };
        let built = Arc::new(built);
        let bytes = match built.as_ref() {
            Ok(made) => made.as_ref().map_or(0, |(_, program)| program.len()),
            Err(why) => why.len(),
        };
        lock(&self.built).put(key, Arc::clone(&built), bytes);
        Ok(built)
    }

    /// The same as files for a run.
    pub(crate) fn built_files(&self, entry: &Entry) -> Vec<cell::InputFile> {
        match self.built(entry).as_deref() {
            Ok(Ok(Some((path, bytes)))) => {
                let file = cell::InputFile::new(*path, bytes.clone());
                vec![cell::InputFile { executable: true, ..file }]
            }
            _ => Vec::new(),
        }
    }
}

/// What Java wants to know of a source: the class that names its file, and the one that is run.
#[derive(Debug, PartialEq)]
struct JavaNames {
    file: String,
    main: String,
}

/// The classes of a Java source at its top: its public one, after which its file must be called, and the one that has
/// `main`. Where a source is no Java, the compiler will say so.
fn java_names(source: &str) -> JavaNames {
    let (mut depth, mut top, mut public, mut main) = (0usize, None, None, None);
    let mut words: Vec<&str> = Vec::new();
    for word in java_words(source) {
        match word {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "(" if main.is_none() && words.ends_with(&["void", "main"]) => main = top,
            name if depth == 0 && words.last().is_some_and(|word| KINDS.contains(word)) => {
                top = Some(name);
                let before = words.iter().rev().skip(1).take_while(|word| !matches!(**word, "}" | ";"));
                if before.into_iter().any(|word| *word == "public") {
                    public = Some(name);
                }
            }
            _ => {}
        }
        words.push(word);
        if words.len() > 64 {
            words.drain(..32);
        }
    }
    let file = public.or(main).unwrap_or("Main").to_owned();
    JavaNames { main: main.or(public).unwrap_or("Main").to_owned(), file }
}

const KINDS: [&str; 4] = ["class", "interface", "enum", "record"];

/// Names and signs of a Java source, without comments, texts and white space.
fn java_words(source: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(after) = rest.strip_prefix("/*") {
            after.find("*/").map_or(rest.len(), |at| at + 4)
        } else if c == '"' || c == '\'' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, next)| {
                let ends = !escaped && *next == c;
                escaped = !escaped && *next == '\\';
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        } else if is_name(c) {
            let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            words.push(&rest[..length]);
            length
        } else {
            if !c.is_whitespace() {
                words.push(&rest[..c.len_utf8()]);
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// What a compiler complained of first.
fn why_not(language: Language, record: &cell::Record) -> String {
    let said = String::from_utf8_lossy(&record.stderr);
    if record.code == Some(127) {
        let last = said.lines().last().unwrap_or_default().trim();
        return format!("nothing in the cells builds {}: {last}", language.name());
    }
    let first = said.lines().find(|line| line.contains("error")).or_else(|| said.lines().next()).unwrap_or_default();
    let mut why = format!("it does not compile: {}", first.trim().chars().take(200).collect::<String>());
    if record.verdict != cell::Verdict::Exit {
        why = format!("it does not compile within the limits ({:?})", record.verdict);
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_a_java_source_are_found() {
        for (source, file, main) in [
            ("public class Main { public static void main(String[] a) {} }", "Main", "Main"),
            (
                "import java.util.*;\n// class No {\npublic final class Sum {\n  static class Node { String s = \"}\"; }\n  public static void main(String... a) {}\n}",
                "Sum",
                "Sum",
            ),
            (
                "class Helper { int x; char c = '\\''; }\nclass Run { static public void main(String[] a) {} }",
                "Run",
                "Run",
            ),
            ("public interface Shape {}\nclass Go { public static void main (String[] a) {} }", "Shape", "Go"),
            ("print(1)", "Main", "Main"),
        ] {
            let found = java_names(source);
            assert_eq!((found.file.as_str(), found.main.as_str()), (file, main), "{source}");
        }
    }
}
