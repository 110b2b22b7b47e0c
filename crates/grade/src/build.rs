//! Programs in languages that are compiled: built once, in a cell, and run as what came of it.

use crate::grading::{Entry, GradeError, Grading, input, lock};
use crate::task::Language;
use loophole_cell as cell;
use sha2::{Digest, Sha256};
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
                     jar -J-XX:+UseSerialGC -J-Xmx128m --create --file solution.jar -C classes ."
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
                jdk!("exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -Xss64m -cp solution.jar Main"),
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
        files.push(input(entry.language.file(), &entry.source));
        let limits = cell::Limits {
            cpu_seconds: 30.0,
            wall_seconds: 60.0,
            memory_bytes: ROOM,
            file_bytes: 64 << 20,
            ..self.limits()
        };
        let words = ["bash", "-c", command].map(Into::into).to_vec();
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
